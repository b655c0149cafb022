//! Section 8: operators and switches.

use super::Sentence;

pub(super) const SENTENCES: &[Sentence] = &[
    (
        "`notify-operator` goes by",
        &[
            "a_whole_daemon_keeps_a_real_alertmanager_and_the_watchdog_informed",
            "a_real_alertmanager_lists_a_notice_with_its_labels_until_it_ends",
            "what_lasts_is_sent_again_to_a_real_alertmanager_until_it_ends",
            "the_heartbeat_is_called_while_the_watchdog_fires_and_rules_are_evaluated",
        ],
    ),
    (
        "Where Prometheus runs",
        &["prometheus_is_given_the_rules_for_operators_and_the_alerter_those_of_connections"],
    ),
    (
        "An alert without a connection",
        &[
            "silence_ends_what_has_a_connection_and_nothing_else",
            "operators_hear_of_alerts_that_nobody_sends_again",
        ],
    ),
    (
        "Each of `notify-user`",
        &["what_is_off_is_not_planned", "an_empty_file_is_all_defaults_and_nothing_is_live"],
    ),
    (
        "Dry run takes",
        &[
            "a_dry_run_never_counts_as_told",
            "what_went_through_dry_run_is_tried_and_filed_when_it_fails_anew_under_live",
        ],
    ),
    ("Going live", &["going_live_makes_a_baseline_of_what_is_failing"]),
    (
        "`pause`/`resume`",
        &[
            "a_pause_holds_up_what_it_names_also_over_a_restart",
            "a_pause_holds_up_nothing_else",
            "a_pause_asked_for_through_the_store_is_obeyed",
            "a_pause_holds_up_the_end_as_well",
            "a_pause_of_an_institution_holds_up_what_was_planned_before_it",
            "a_pause_of_an_institution_or_user_holds_up_comments_on_tickets",
        ],
    ),
    (
        "Changing a rule",
        &[
            "changing_a_rule_holds_what_it_had_planned",
            "what_is_over_leaves_its_hold",
            "removing_a_rule_cancels_what_it_had_planned",
            "a_rule_that_goes_away_ends_no_incident",
        ],
    ),
    (
        "No rule can switch these limits off",
        &[
            "a_rule_that_asks_for_everything_at_once_is_bounded_all_the_same",
            "a_simulated_month_keeps_its_promises",
        ],
    ),
    (
        "`forget` a user",
        &[
            "a_user_who_is_forgotten_stays_so",
            "the_end_of_a_consent_forgets_the_user",
            "a_user_whom_basiq_has_no_more_is_forgotten_and_one_who_only_deleted_a_connection_is_not",
            "what_names_a_forgotten_user_is_erased_and_counts_stay",
            "forgetting_one_of_two_in_a_message_on_its_way_doubles_nothing_and_brings_nobody_back",
            "forgetting_one_of_a_storm_whose_ticket_is_on_its_way_files_no_other",
        ],
    ),
    (
        "Rendered bodies",
        &[
            "every_template_reads_as_it_was_looked_at",
            "old_variables_and_rows_go_and_keys_of_open_incidents_stay",
        ],
    ),
];
