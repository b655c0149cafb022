//! Section 4: effects.

use super::Sentence;

pub(super) const SENTENCES: &[Sentence] = &[
    (
        "An effect's key is",
        &[
            "a_key_is_planned_once_whatever_repeats",
            "a_rule_that_is_renamed_tells_nobody_twice",
            "an_alert_that_flaps_is_one_message",
            "a_message_withdrawn_on_its_way_is_not_followed_by_another",
            "a_clock_that_is_set_back_doubles_nothing",
        ],
    ),
    (
        "Planned and the alert's state",
        &[
            "deaths_lose_nothing_and_double_nothing_uncounted",
            "what_could_not_be_stored_is_news_when_it_is_sent_again",
        ],
    ),
    ("Keys of open incidents", &["old_variables_and_rows_go_and_keys_of_open_incidents_stay"]),
    (
        "Evidence before each attempt",
        &[
            "a_message_about_what_is_over_is_not_sent",
            "while_the_banks_status_is_not_known_everything_waits",
            "evidence_is_at_most_five_minutes_old_whatever_the_clock_does",
        ],
    ),
    ("If it no longer holds", &["a_message_about_what_is_over_is_not_sent"]),
    (
        "If nobody can be asked",
        &[
            "without_evidence_everything_waits_and_spends_no_attempt",
            "no_refresh_is_planned_while_the_status_of_the_bank_is_not_known",
        ],
    ),
    (
        "A series that disappears",
        &[
            "a_series_that_disappears_ends_nothing",
            "an_exporter_that_goes_away_tells_nobody_anything",
            "what_is_only_stale_is_told_to_nobody_and_ends_nothing",
        ],
    ),
    ("A closing message needs", &["a_closing_message_is_not_sent_if_it_fails_again_meanwhile"]),
    (
        "Lifetimes:",
        &[
            "each_kind_lives_as_long_as_is_written",
            "what_waits_too_long_expires_and_only_a_refresh_is_planned_anew",
        ],
    ),
    (
        "What was due during an outage",
        &[
            "what_waited_for_a_relay_restarts_spread_out",
            "what_was_due_during_an_outage_is_spread_out",
            "five_banks_at_once_are_basiq_itself",
        ],
    ),
    ("Ends:", &["each_end_is_kept_with_its_reason"]),
    (
        "`delivered`, `obsolete`",
        &[
            "each_end_is_kept_with_its_reason",
            "a_message_about_what_is_over_is_not_sent",
            "what_waits_too_long_expires_and_only_a_refresh_is_planned_anew",
            "an_end_cancels_what_is_pending",
            "a_dry_run_never_counts_as_told",
        ],
    ),
    ("On the way:", &["what_is_held_for_a_person_is_told_to_operators_until_it_is_decided"]),
    ("`planned`, `deferred until`", &["what_is_held_for_a_person_is_told_to_operators_until_it_is_decided"]),
    (
        "Each change keeps its reason",
        &["each_end_is_kept_with_its_reason", "every_state_of_an_effect_has_its_reason"],
    ),
    (
        "\"why was this (not) sent\"",
        &[
            "why_it_was_sent_is_answered_for_user_connection_incident_and_ticket",
            "every_state_of_an_effect_has_its_reason",
        ],
    ),
    (
        "A reply that never came",
        &[
            "an_unknown_outcome_of_a_mail_is_tried_once_more_with_the_same_message_id",
            "a_ticket_of_unknown_outcome_is_searched_for_and_not_filed_twice",
            "what_is_held_for_a_person_is_told_to_operators_until_it_is_decided",
        ],
    ),
    ("Counted.", &["deaths_lose_nothing_and_double_nothing_uncounted"]),
];
