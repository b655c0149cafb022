//! Section 6: trying again.

use super::Sentence;

pub(super) const SENTENCES: &[Sentence] = &[
    ("Eligible: status", &["what_may_be_refreshed_is_decided_by_status_and_newest_failure"]),
    ("Never for credentials", &["never_for_what_a_refresh_cannot_mend"]),
    (
        "For `user-action-required`",
        &[
            "one_refresh_follows_the_word_that_the_pop_up_is_dealt_with",
            "the_users_word_is_kept_until_basiq_has_answered_it_and_no_longer",
        ],
    ),
    (
        "10 minutes after",
        &["ten_minutes_after_the_newest_failure_and_twice", "a_newer_failure_puts_the_refresh_off"],
    ),
    ("A 202 spends an attempt", &["a_200_spends_no_attempt_and_is_recorded"]),
    (
        "A 4xx refusal",
        &[
            "a_refusal_ends_retrying",
            "a_403_about_an_invalid_connection_is_a_refusal_and_no_fault_of_the_channel",
        ],
    ),
    (
        "Never while a job runs",
        &[
            "never_while_the_job_of_the_last_refresh_runs",
            "never_into_a_major_outage",
            "what_may_be_refreshed_is_decided_by_status_and_newest_failure",
        ],
    ),
    (
        "After an unknown outcome",
        &["after_an_unknown_outcome_the_jobs_are_read_first_and_the_exporter_hears_with_its_login"],
    ),
    (
        "With `smart_cache: true`",
        &["with_the_smart_cache_basiqs_own_next_refresh_is_awaited_after_an_outage"],
    ),
];
