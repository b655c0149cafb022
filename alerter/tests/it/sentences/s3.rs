//! Section 3: incidents.

use super::Sentence;

pub(super) const SENTENCES: &[Sentence] = &[
    (
        "An incident is (environment, connection",
        &["a_reference_depends_on_environment_connection_and_start_only", "two_environments_share_no_key"],
    ),
    ("All alerts on one connection", &["all_alerts_on_one_connection_belong_to_one_incident"]),
    ("Alerts are demands:", &["all_alerts_on_one_connection_belong_to_one_incident"]),
    ("*this rule asks for this action", &["all_alerts_on_one_connection_belong_to_one_incident"]),
    ("Fingerprints and start times", &["the_reference_does_not_depend_on_the_alert"]),
    (
        "Labels of an alert are not trusted",
        &[
            "an_alert_that_names_another_user_is_dead_and_alerted",
            "a_message_about_a_connection_that_is_another_users_is_not_sent",
        ],
    ),
    ("A mismatch is dead", &["an_alert_that_names_another_user_is_dead_and_alerted"]),
    (
        "Baseline, per connection",
        &[
            "what_has_failed_for_a_day_at_the_first_sight_has_no_effect",
            "what_failed_before_the_store_was_born_has_no_effect",
            "the_baseline_can_be_released_by_number",
            "a_baseline_connection_that_recovered_and_fails_anew_is_an_incident_like_any",
            "users_who_are_new_to_the_exporter_are_baseline_until_they_fail_after_a_success",
            "a_failure_after_a_success_is_told_whatever_became_of_the_message_before",
        ],
    ),
    (
        "So neither a first install",
        &[
            "what_failed_before_the_store_was_born_has_no_effect",
            "users_who_are_new_to_the_exporter_are_baseline_until_they_fail_after_a_success",
        ],
    ),
    (
        "A reopening within 24 h",
        &[
            "failing_again_within_a_day_continues_the_incident",
            "failing_again_after_a_day_is_another_incident",
            "a_storm_that_comes_back_is_said_on_its_ticket",
            "what_is_told_of_a_reopening_is_in_the_same_thread",
        ],
    ),
    (
        "Its cause is the connection",
        &[
            "the_bank_is_named_only_while_its_connector_is_in_major_outage",
            "the_bank_is_named_when_its_jobs_say_so",
            "a_bank_is_named_only_by_people_share_and_what_is_usual_together",
            "an_outage_by_jobs_lasts_until_they_succeed",
        ],
    ),
    ("Otherwise the mail says", &["below_a_threshold_the_bank_is_not_named"]),
    (
        "User mails and refreshes stop",
        &[
            "five_banks_at_once_are_basiq_itself",
            "fewer_banks_or_a_smaller_share_are_not_basiq",
            "what_waits_when_basiq_fails_is_withdrawn_and_planned_anew",
            "what_may_have_been_taken_waits_while_basiq_fails",
            "a_second_try_waits_while_basiq_fails_and_restarts_spread_out",
        ],
    ),
    (
        "Time under major outage",
        &[
            "time_under_major_outage_counts_for_nothing",
            "escalation_starts_anew_within_an_hour_of_the_end_of_an_outage",
        ],
    ),
    (
        "A connector left in major outage",
        &[
            "a_connector_left_in_major_outage_is_one_notice_and_one_ticket",
            "a_bank_without_connections_here_is_not_told",
        ],
    ),
];
