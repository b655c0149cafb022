//! Which test holds which sentence of behaviour's sections 3 to 8: each sentence by its first words, with the tests
//! that would fail if it did not hold. The tests quote their sentence; this table is the way to them.

use std::path::{Path, PathBuf};

/// Section, the sentence's first words, its tests.
const SENTENCES: &[(u32, &str, &[&str])] = &[
    (
        3,
        "An incident is (environment, connection",
        &["a_reference_depends_on_environment_connection_and_start_only", "two_environments_share_no_key"],
    ),
    (3, "All alerts on one connection", &["all_alerts_on_one_connection_belong_to_one_incident"]),
    (3, "Alerts are demands:", &["all_alerts_on_one_connection_belong_to_one_incident"]),
    (3, "*this rule asks for this action", &["all_alerts_on_one_connection_belong_to_one_incident"]),
    (3, "Fingerprints and start times", &["the_reference_does_not_depend_on_the_alert"]),
    (
        3,
        "Labels of an alert are not trusted",
        &[
            "an_alert_that_names_another_user_is_dead_and_alerted",
            "a_message_about_a_connection_that_is_another_users_is_not_sent",
        ],
    ),
    (3, "A mismatch is dead", &["an_alert_that_names_another_user_is_dead_and_alerted"]),
    (
        3,
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
        3,
        "So neither a first install",
        &[
            "what_failed_before_the_store_was_born_has_no_effect",
            "users_who_are_new_to_the_exporter_are_baseline_until_they_fail_after_a_success",
        ],
    ),
    (
        3,
        "A reopening within 24 h",
        &[
            "failing_again_within_a_day_continues_the_incident",
            "failing_again_after_a_day_is_another_incident",
            "a_storm_that_comes_back_is_said_on_its_ticket",
            "what_is_told_of_a_reopening_is_in_the_same_thread",
        ],
    ),
    (
        3,
        "Its cause is the connection",
        &[
            "the_bank_is_named_only_while_its_connector_is_in_major_outage",
            "the_bank_is_named_when_its_jobs_say_so",
            "a_bank_is_named_only_by_people_share_and_what_is_usual_together",
            "an_outage_by_jobs_lasts_until_they_succeed",
        ],
    ),
    (3, "Otherwise the mail says", &["below_a_threshold_the_bank_is_not_named"]),
    (
        3,
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
        3,
        "Time under major outage",
        &[
            "time_under_major_outage_counts_for_nothing",
            "escalation_starts_anew_within_an_hour_of_the_end_of_an_outage",
        ],
    ),
    (
        3,
        "A connector left in major outage",
        &[
            "a_connector_left_in_major_outage_is_one_notice_and_one_ticket",
            "a_bank_without_connections_here_is_not_told",
        ],
    ),
    (
        4,
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
        4,
        "Planned and the alert's state",
        &[
            "deaths_lose_nothing_and_double_nothing_uncounted",
            "what_could_not_be_stored_is_news_when_it_is_sent_again",
        ],
    ),
    (4, "Keys of open incidents", &["old_variables_and_rows_go_and_keys_of_open_incidents_stay"]),
    (
        4,
        "Evidence before each attempt",
        &[
            "a_message_about_what_is_over_is_not_sent",
            "while_the_banks_status_is_not_known_everything_waits",
            "evidence_is_at_most_five_minutes_old_whatever_the_clock_does",
        ],
    ),
    (4, "If it no longer holds", &["a_message_about_what_is_over_is_not_sent"]),
    (
        4,
        "If nobody can be asked",
        &[
            "without_evidence_everything_waits_and_spends_no_attempt",
            "no_refresh_is_planned_while_the_status_of_the_bank_is_not_known",
        ],
    ),
    (
        4,
        "A series that disappears",
        &[
            "a_series_that_disappears_ends_nothing",
            "an_exporter_that_goes_away_tells_nobody_anything",
            "what_is_only_stale_is_told_to_nobody_and_ends_nothing",
        ],
    ),
    (4, "A closing message needs", &["a_closing_message_is_not_sent_if_it_fails_again_meanwhile"]),
    (
        4,
        "Lifetimes:",
        &[
            "each_kind_lives_as_long_as_is_written",
            "what_waits_too_long_expires_and_only_a_refresh_is_planned_anew",
        ],
    ),
    (
        4,
        "What was due during an outage",
        &[
            "what_waited_for_a_relay_restarts_spread_out",
            "what_was_due_during_an_outage_is_spread_out",
            "five_banks_at_once_are_basiq_itself",
        ],
    ),
    (4, "Ends:", &["each_end_is_kept_with_its_reason"]),
    (
        4,
        "`delivered`, `obsolete`",
        &[
            "each_end_is_kept_with_its_reason",
            "a_message_about_what_is_over_is_not_sent",
            "what_waits_too_long_expires_and_only_a_refresh_is_planned_anew",
            "an_end_cancels_what_is_pending",
            "a_dry_run_never_counts_as_told",
        ],
    ),
    (4, "On the way:", &["what_is_held_for_a_person_is_told_to_operators_until_it_is_decided"]),
    (
        4,
        "`planned`, `deferred until`",
        &["what_is_held_for_a_person_is_told_to_operators_until_it_is_decided"],
    ),
    (
        4,
        "Each change keeps its reason",
        &["each_end_is_kept_with_its_reason", "every_state_of_an_effect_has_its_reason"],
    ),
    (
        4,
        "\"why was this (not) sent\"",
        &[
            "why_it_was_sent_is_answered_for_user_connection_incident_and_ticket",
            "every_state_of_an_effect_has_its_reason",
        ],
    ),
    (
        4,
        "A reply that never came",
        &[
            "an_unknown_outcome_of_a_mail_is_tried_once_more_with_the_same_message_id",
            "a_ticket_of_unknown_outcome_is_searched_for_and_not_filed_twice",
            "what_is_held_for_a_person_is_told_to_operators_until_it_is_decided",
        ],
    ),
    (4, "Counted.", &["deaths_lose_nothing_and_double_nothing_uncounted"]),
    (5, "Opening and closing only.", &["what_turns_into_another_failure_is_told_anew"]),
    (5, "\"Delayed\" and \"outage\"", &["delayed_and_outage_are_one_opening"]),
    (
        5,
        "Settling before an opening",
        &[
            "credentials_like_openings_settle_for_a_quarter_of_an_hour",
            "delayed_waits_for_the_first_retry_to_have_failed",
            "delayed_waits_no_longer_than_two_hours",
        ],
    ),
    (5, "Urgency is measured", &["urgency_is_measured_from_when_it_became_due"]),
    (
        5,
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
        5,
        "Several connections of one person",
        &[
            "several_connections_of_one_person_go_into_one_message",
            "a_merged_message_speaks_only_of_what_still_holds",
            "a_message_for_two_users_of_one_address_knows_whose_each_connection_is",
            "forgetting_one_of_two_in_a_message_on_its_way_doubles_nothing_and_brings_nobody_back",
        ],
    ),
    (
        5,
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
        5,
        "`recovered` and `superseded` owe it",
        &["only_recovered_and_superseded_are_told", "an_end_cancels_what_is_pending"],
    ),
    (
        5,
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
        5,
        "A new or changed rule",
        &[
            "a_new_rule_that_would_reach_too_many_is_held_whole",
            "a_changed_rule_that_would_reach_too_many_is_held_whole",
            "a_rule_that_is_known_is_not_held",
        ],
    ),
    (5, "Holding is a metric", &["a_batch_that_is_too_large_is_held_whole_until_released"]),
    (
        5,
        "Suppression: only a reply",
        &[
            "only_a_refused_recipient_of_the_list_is_the_recipients_fault",
            "a_channel_at_fault_opens_its_circuit_spends_no_attempt_and_operators_hear",
        ],
    ),
    (5, "Over 20 automatic suppressions", &["too_many_refusals_in_an_hour_stop_suppression"]),
    (5, "Operators and desks", &["a_desk_that_refuses_is_not_suppressed"]),
    (5, "Each relay has a rate", &["throttling_halves_the_rate_and_quiet_minutes_bring_it_back"]),
    (
        5,
        "One bad mailbox",
        &[
            "a_domain_that_hangs_holds_up_nobody_else",
            "a_connection_carries_many_messages_and_a_refused_recipient_does_not_end_it",
        ],
    ),
    (
        5,
        "A message names sender",
        &["the_rules_for_what_a_message_may_say_hold_in_every_template", "live_messages_need_a_sender"],
    ),
    (5, "No link to a bank's login", &["the_rules_for_what_a_message_may_say_hold_in_every_template"]),
    (
        5,
        "Annotation text never enters it",
        &["what_an_alert_is_annotated_with_enters_no_message", "hostile_text_in_every_field_stays_text"],
    ),
    (
        5,
        "Outside production recipients",
        &["outside_production_recipients_match_an_allow_list_or_are_redirected"],
    ),
    (
        5,
        "The address comes at send time",
        &[
            "no_address_is_kept",
            "a_missing_or_broken_address_is_unreachable_and_not_repeated",
            "three_days_without_a_contact_source_lose_and_double_nothing",
        ],
    ),
    (6, "Eligible: status", &["what_may_be_refreshed_is_decided_by_status_and_newest_failure"]),
    (6, "Never for credentials", &["never_for_what_a_refresh_cannot_mend"]),
    (
        6,
        "For `user-action-required`",
        &[
            "one_refresh_follows_the_word_that_the_pop_up_is_dealt_with",
            "the_users_word_is_kept_until_basiq_has_answered_it_and_no_longer",
        ],
    ),
    (
        6,
        "10 minutes after",
        &["ten_minutes_after_the_newest_failure_and_twice", "a_newer_failure_puts_the_refresh_off"],
    ),
    (6, "A 202 spends an attempt", &["a_200_spends_no_attempt_and_is_recorded"]),
    (
        6,
        "A 4xx refusal",
        &[
            "a_refusal_ends_retrying",
            "a_403_about_an_invalid_connection_is_a_refusal_and_no_fault_of_the_channel",
        ],
    ),
    (
        6,
        "Never while a job runs",
        &[
            "never_while_the_job_of_the_last_refresh_runs",
            "never_into_a_major_outage",
            "what_may_be_refreshed_is_decided_by_status_and_newest_failure",
        ],
    ),
    (
        6,
        "After an unknown outcome",
        &["after_an_unknown_outcome_the_jobs_are_read_first_and_the_exporter_hears_with_its_login"],
    ),
    (
        6,
        "With `smart_cache: true`",
        &["with_the_smart_cache_basiqs_own_next_refresh_is_awaited_after_an_outage"],
    ),
    (
        7,
        "Due when `retry_max`",
        &[
            "due_when_both_retries_have_failed_and_settled",
            "due_after_six_hours_where_retries_could_not_be_spent",
            "the_ticket_states_the_true_attempts_and_their_jobs",
            "numbers_and_addresses_are_masked_and_the_rest_is_kept",
        ],
    ),
    (
        7,
        "Creation settles",
        &[
            "due_when_both_retries_have_failed_and_settled",
            "a_ticket_that_is_not_filed_yet_is_withdrawn",
            "what_was_tried_before_an_outage_or_an_end_makes_no_ticket_at_once",
        ],
    ),
    (
        7,
        "At least 10 connections",
        &[
            "ten_of_a_kind_make_one_storm_ticket",
            "nine_of_a_kind_have_a_ticket_each",
            "later_ones_join_the_storm_and_its_recoveries_are_comments",
            "a_storm_hears_of_half_of_nine_tenths_and_of_all",
            "nothing_joins_a_storm_that_a_person_closed",
        ],
    ),
    (
        7,
        "Recovery is a comment",
        &[
            "recovery_is_a_comment_on_the_ticket",
            "other_ends_are_comments_as_well",
            "a_ticket_withdrawn_on_its_way_hears_of_the_recovery_and_is_the_only_one",
        ],
    ),
    (
        7,
        "Closed by a human",
        &[
            "a_ticket_closed_by_a_person_hears_once_that_it_still_fails",
            "a_ticket_that_a_person_closed_is_noticed_without_being_told",
            "a_ticket_is_closed_once_however_often_its_desk_says_so",
            "a_closed_ticket_of_what_recovered_hears_of_the_recovery_only",
            "a_storm_closed_by_a_person_is_reminded_of_whatever_became_of_its_first",
        ],
    ),
    (7, "\"won't fix\" is final", &["wont_fix_is_final_for_the_incident"]),
    (7, "Default desk", &["an_empty_file_is_all_defaults_and_nothing_is_live"]),
    (
        7,
        "Basiq's support",
        &[
            "five_new_tickets_a_day_and_one_digest_for_the_rest",
            "only_the_desk_that_is_capped_is_and_withdrawn_tickets_do_not_count",
        ],
    ),
    (7, "Desks declare", &["a_ticket_of_unknown_outcome_is_searched_for_and_not_filed_twice"]),
    (7, "\"never doubled\"", &["a_ticket_of_unknown_outcome_is_searched_for_and_not_filed_twice"]),
    (
        8,
        "`notify-operator` goes by",
        &[
            "a_whole_daemon_keeps_a_real_alertmanager_and_the_watchdog_informed",
            "a_real_alertmanager_lists_a_notice_with_its_labels_until_it_ends",
            "what_lasts_is_sent_again_to_a_real_alertmanager_until_it_ends",
            "the_heartbeat_is_called_while_the_watchdog_fires_and_rules_are_evaluated",
        ],
    ),
    (
        8,
        "Where Prometheus runs",
        &["prometheus_is_given_the_rules_for_operators_and_the_alerter_those_of_connections"],
    ),
    (8, "An alert without a connection", &["silence_ends_what_has_a_connection_and_nothing_else"]),
    (
        8,
        "Each of `notify-user`",
        &["what_is_off_is_not_planned", "an_empty_file_is_all_defaults_and_nothing_is_live"],
    ),
    (
        8,
        "Dry run takes",
        &[
            "a_dry_run_never_counts_as_told",
            "what_went_through_dry_run_is_tried_and_filed_when_it_fails_anew_under_live",
        ],
    ),
    (8, "Going live", &["going_live_makes_a_baseline_of_what_is_failing"]),
    (
        8,
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
        8,
        "Changing a rule",
        &[
            "changing_a_rule_holds_what_it_had_planned",
            "what_is_over_leaves_its_hold",
            "removing_a_rule_cancels_what_it_had_planned",
            "a_rule_that_goes_away_ends_no_incident",
        ],
    ),
    (
        8,
        "No rule can switch these limits off",
        &[
            "a_rule_that_asks_for_everything_at_once_is_bounded_all_the_same",
            "a_simulated_month_keeps_its_promises",
        ],
    ),
    (
        8,
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
        8,
        "Rendered bodies",
        &[
            "every_template_reads_as_it_was_looked_at",
            "old_variables_and_rows_go_and_keys_of_open_incidents_stay",
        ],
    ),
];

fn sources(folder: &Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder of the sources").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&std::fs::read_to_string(&path).expect("a readable source"));
        }
    }
}

fn crate_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn each_test_of_the_table_exists() {
    let mut text = String::new();
    sources(&crate_folder().join("src"), &mut text);
    sources(&crate_folder().join("tests"), &mut text);
    for (section, sentence, tests) in SENTENCES {
        assert!(!tests.is_empty(), "section {section}, {sentence:?} has no test");
        for test in *tests {
            assert!(
                text.contains(&format!("fn {test}(")),
                "section {section}, {sentence:?}: there is no test {test}"
            );
        }
    }
}

/// Where the document lies beside the repository, each of its sentences is in the table, in its order.
#[test]
fn each_sentence_has_a_test() {
    let Ok(text) = std::fs::read_to_string(crate_folder().join("../../shared/behaviour.md")) else {
        assert!(std::env::var_os("CI").is_none(), "behaviour.md is not beside the repository");
        eprintln!("SKIPPED each_sentence_has_a_test: behaviour.md is not beside the repository");
        return;
    };
    let mut table = SENTENCES.iter();
    for section in text.split("\n## ").filter(|section| section.starts_with(['3', '4', '5', '6', '7', '8'])) {
        let number: u32 = section[..1].parse().unwrap();
        let body = section.split_once('\n').unwrap().1.replace("**", "");
        for paragraph in format!("\n{}", body.trim()).split("\n- ").filter(|text| !text.trim().is_empty()) {
            let paragraph = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
            for sentence in sentences(&paragraph) {
                let (section, words, _) =
                    table.next().unwrap_or_else(|| panic!("not in the table: {sentence}"));
                assert!(
                    number == *section && sentence.starts_with(words),
                    "the table has {words:?}, not: {sentence}"
                );
            }
        }
    }
    assert_eq!(table.next(), None, "the table has more than the document");
}

/// Splits after a full stop, colon or semicolon that something new follows.
fn sentences(text: &str) -> Vec<&str> {
    let (mut all, mut from) = (Vec::new(), 0);
    for (at, _) in text.match_indices(' ') {
        let new = text[at + 1..].starts_with(|c: char| c.is_ascii_uppercase() || "`\"*2".contains(c));
        if new && text[..at].ends_with(['.', ':', ';']) {
            all.push(&text[from..at]);
            from = at + 1;
        }
    }
    all.push(&text[from..]);
    all
}
