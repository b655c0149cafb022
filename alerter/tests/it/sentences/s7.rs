//! Section 7: tickets.

use super::Sentence;

pub(super) const SENTENCES: &[Sentence] = &[
    (
        "Due when `retry_max`",
        &[
            "due_when_both_retries_have_failed_and_settled",
            "due_after_six_hours_where_retries_could_not_be_spent",
            "the_ticket_states_the_true_attempts_and_their_jobs",
            "numbers_and_addresses_are_masked_and_the_rest_is_kept",
        ],
    ),
    (
        "Creation settles",
        &[
            "due_when_both_retries_have_failed_and_settled",
            "a_ticket_that_is_not_filed_yet_is_withdrawn",
            "what_was_tried_before_an_outage_or_an_end_makes_no_ticket_at_once",
        ],
    ),
    (
        "At least 10 connections",
        &[
            "ten_of_a_kind_make_one_storm_ticket",
            "a_whole_incident_and_a_storm_at_jira",
            "nine_of_a_kind_have_a_ticket_each",
            "later_ones_join_the_storm_and_its_recoveries_are_comments",
            "a_storm_hears_of_half_of_nine_tenths_and_of_all",
            "nothing_joins_a_storm_that_a_person_closed",
        ],
    ),
    (
        "Recovery is a comment",
        &[
            "recovery_is_a_comment_on_the_ticket",
            "other_ends_are_comments_as_well",
            "a_ticket_withdrawn_on_its_way_hears_of_the_recovery_and_is_the_only_one",
        ],
    ),
    (
        "Closed by a human",
        &[
            "a_ticket_closed_by_a_person_hears_once_that_it_still_fails",
            "a_ticket_that_a_person_closed_is_noticed_without_being_told",
            "a_ticket_is_closed_once_however_often_its_desk_says_so",
            "a_closed_ticket_of_what_recovered_hears_of_the_recovery_only",
            "a_storm_closed_by_a_person_is_reminded_of_whatever_became_of_its_first",
        ],
    ),
    ("\"won't fix\" is final", &["wont_fix_is_final_for_the_incident"]),
    ("Default desk", &["an_empty_file_is_all_defaults_and_nothing_is_live"]),
    (
        "Basiq's support",
        &[
            "five_new_tickets_a_day_and_one_digest_for_the_rest",
            "only_the_desk_that_is_capped_is_and_withdrawn_tickets_do_not_count",
        ],
    ),
    ("Desks declare", &["a_ticket_of_unknown_outcome_is_searched_for_and_not_filed_twice"]),
    ("\"never doubled\"", &["a_ticket_of_unknown_outcome_is_searched_for_and_not_filed_twice"]),
];
