//! Section 5: messages to users.

use super::Sentence;

pub(super) const SENTENCES: &[Sentence] = &[
    ("Opening and closing only.", &["what_turns_into_another_failure_is_told_anew"]),
    ("\"Delayed\" and \"outage\"", &["delayed_and_outage_are_one_opening"]),
    (
        "Settling before an opening",
        &[
            "credentials_like_openings_settle_for_a_quarter_of_an_hour",
            "delayed_waits_for_the_first_retry_to_have_failed",
            "delayed_waits_no_longer_than_two_hours",
        ],
    ),
    ("Urgency is measured", &["urgency_is_measured_from_when_it_became_due"]),
    (
        "Cooldown (24 h",
        &[
            "the_cooldown_defers_and_never_drops",
            "what_is_over_at_the_end_of_the_cooldown_is_not_sent",
            "what_may_have_been_taken_begins_a_cooldown_as_well",
            "forgetting_one_of_two_users_with_one_address_keeps_its_cooldown",
            "what_is_gone_while_a_merged_message_waits_is_not_in_it",
        ],
    ),
    (
        "Several connections of one person",
        &[
            "several_connections_of_one_person_go_into_one_message",
            "a_merged_message_speaks_only_of_what_still_holds",
            "a_message_for_two_users_of_one_address_knows_whose_each_connection_is",
            "forgetting_one_of_two_in_a_message_on_its_way_doubles_nothing_and_brings_nobody_back",
        ],
    ),
    (
        "A closing message is owed",
        &[
            "a_closing_is_owed_to_those_who_were_told_after_half_an_hour_of_health",
            "nobody_is_told_the_end_of_what_nobody_was_told",
            "an_end_that_could_not_be_told_is_told_with_the_next_one",
            "health_is_counted_from_the_newest_end",
            "the_end_is_told_once_though_the_address_has_changed",
            "an_end_that_is_paused_for_days_is_told_after_a_restart",
        ],
    ),
    (
        "`recovered` and `superseded` owe it",
        &["only_recovered_and_superseded_are_told", "an_end_cancels_what_is_pending"],
    ),
    (
        "Hold: if one settling batch",
        &[
            "a_batch_that_is_too_large_is_held_whole_until_released",
            "a_discarded_hold_is_never_sent",
            "an_hour_that_is_too_full_holds_the_rest",
            "what_fails_otherwise_leaves_its_hold",
            "hold_numbers_are_not_used_again",
            "a_discarded_hold_of_what_was_given_up_is_never_sent",
            "an_hour_that_is_too_full_stays_so_over_a_restart_and_is_over_after_an_hour",
        ],
    ),
    (
        "A new or changed rule",
        &[
            "a_new_rule_that_would_reach_too_many_is_held_whole",
            "a_changed_rule_that_would_reach_too_many_is_held_whole",
            "a_rule_that_is_known_is_not_held",
        ],
    ),
    ("Holding is a metric", &["a_batch_that_is_too_large_is_held_whole_until_released"]),
    (
        "Suppression: only a reply",
        &[
            "only_a_refused_recipient_of_the_list_is_the_recipients_fault",
            "a_channel_at_fault_opens_its_circuit_spends_no_attempt_and_operators_hear",
        ],
    ),
    ("Over 20 automatic suppressions", &["too_many_refusals_in_an_hour_stop_suppression"]),
    ("Operators and desks", &["a_desk_that_refuses_is_not_suppressed"]),
    ("Each relay has a rate", &["throttling_halves_the_rate_and_quiet_minutes_bring_it_back"]),
    (
        "One bad mailbox",
        &[
            "a_domain_that_hangs_holds_up_nobody_else",
            "a_connection_carries_many_messages_and_a_refused_recipient_does_not_end_it",
        ],
    ),
    (
        "A message names sender",
        &["the_rules_for_what_a_message_may_say_hold_in_every_template", "live_messages_need_a_sender"],
    ),
    ("No link to a bank's login", &["the_rules_for_what_a_message_may_say_hold_in_every_template"]),
    (
        "Annotation text never enters it",
        &["what_an_alert_is_annotated_with_enters_no_message", "hostile_text_in_every_field_stays_text"],
    ),
    (
        "Outside production recipients",
        &["outside_production_recipients_match_an_allow_list_or_are_redirected"],
    ),
    (
        "The address comes at send time",
        &[
            "no_address_is_kept",
            "a_missing_or_broken_address_is_unreachable_and_not_repeated",
            "three_days_without_a_contact_source_lose_and_double_nothing",
        ],
    ),
];
