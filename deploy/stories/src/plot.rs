//! Who of the sandbox's default scenario fails how, and what must come of it.
//!
//! The sandbox's side is its `quickstart.yml`; here stand the same people with what `behaviour` owes
//! each of them: exactly these messages in this order, these refreshes, this ticket.

use std::time::Duration;

/// The stories' time in which everything must have been told.
pub const LENGTH: Duration = Duration::from_secs(6 * 3600 + 30 * 60);

/// When the exporter is killed, and when it comes back; nobody may be told anything because of it.
pub const EXPORTER_GONE: (Duration, Duration) =
    (Duration::from_secs(150 * 60), Duration::from_secs(160 * 60));

/// When the major outage of the bank of `russ` and `tracy` lifts.
pub const OUTAGE_LIFTS: Duration = Duration::from_secs(3 * 3600);

/// What operators hear where the alerter evaluates their rules itself: exactly these, once each, and that it is over of
/// all but the watchdog, which never ends.
pub const NOTICES: &[&str] =
    &["BasiqExporterDown", "BasiqInstitutionMajorOutage", "BasiqRetryQueueExpiring", WATCHDOG];

/// May be told too, and then ends: the exporter is away for just as long as this rule waits.
pub const AT_THE_EDGE: &str = "BasiqSourceStale";

/// May be told too, and then end, if the machine stood still: a few seconds without an answer are minutes of the
/// stories, in which somebody truly did not answer.
pub const OF_A_STALL: &[&str] = &[
    "BasiqAlerterDown",
    "BasiqAlerterNoLeader",
    "BasiqDeliverySlow",
    "BasiqDown",
    "BasiqExporterDown",
    "BasiqSourceStale",
];

/// Fires always.
pub const WATCHDOG: &str = "BasiqWatchdog";

/// Who may be told what, too, before the rest: Basiq's tries are two hours apart, which is how long that message
/// waits, so after the last try it becomes due in the minute in which the job expires.
pub const LETTER_AT_THE_EDGE: (&str, &str) = ("keenan", "delayed");

/// A person of the stories.
#[derive(Clone, Copy, Debug)]
pub struct Person {
    /// The scenario's name.
    pub name: &'static str,
    /// What happens to them, in one line.
    pub story: &'static str,
    /// The templates of the messages they get, in order, and no others.
    pub letters: &'static [&'static str],
    /// What refreshes their connections get.
    pub refreshes: Refreshes,
    /// The ticket about their connection.
    pub ticket: Ticket,
}

/// What refreshes a connection gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refreshes {
    /// Exactly so many.
    Exactly(usize),
    /// None while its bank is in major outage.
    OnlyAfterTheOutage,
}

/// What is filed about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ticket {
    /// Nothing.
    None,
    /// One ticket, with a comment when the connection recovered.
    FiledAndCommented,
}

const fn healthy(name: &'static str) -> Person {
    Person {
        name,
        story: "healthy: hears nothing",
        letters: &[],
        refreshes: Refreshes::Exactly(0),
        ticket: Ticket::None,
    }
}

/// Everybody in the stories.
pub const PEOPLE: &[Person] = &[
    Person {
        name: "bighead",
        story: "the bank locked the account: told to unlock it there first; hears when it works again",
        letters: &["locked", "ready"],
        refreshes: Refreshes::Exactly(0),
        ticket: Ticket::None,
    },
    Person {
        name: "monica",
        story: "a wrong password: told to give it again; hears when it works again",
        letters: &["credentials", "ready"],
        refreshes: Refreshes::Exactly(0),
        ticket: Ticket::None,
    },
    Person {
        name: "erlich",
        story: "the bank shows a pop-up: told to deal with it at the bank; hears when it works again",
        letters: &["bank-action", "ready"],
        refreshes: Refreshes::Exactly(0),
        ticket: Ticket::None,
    },
    Person {
        name: "jianYang",
        story: "the bank does not answer: told of the delay, refreshed twice, then a ticket, which hears of the recovery",
        letters: &["delayed", "ready"],
        refreshes: Refreshes::Exactly(2),
        ticket: Ticket::FiledAndCommented,
    },
    Person {
        name: "dinesh",
        story: "in Basiq's retry queue: told of the delay, healed by a later try",
        letters: &["delayed", "ready"],
        refreshes: Refreshes::Exactly(1),
        ticket: Ticket::None,
    },
    Person {
        name: "keenan",
        story: "in Basiq's retry queue for 7 days: one message and one ticket when it expires",
        letters: &["gave-up", "ready"],
        refreshes: Refreshes::Exactly(1),
        ticket: Ticket::FiledAndCommented,
    },
    Person {
        name: "russ",
        story: "the bank has a major outage: told so, no refresh and no ticket meanwhile",
        letters: &["outage", "ready"],
        refreshes: Refreshes::OnlyAfterTheOutage,
        ticket: Ticket::None,
    },
    Person {
        name: "tracy",
        story: "the bank has a major outage: told so, no refresh and no ticket meanwhile",
        letters: &["outage", "ready"],
        refreshes: Refreshes::OnlyAfterTheOutage,
        ticket: Ticket::None,
    },
    healthy("gavinBelson"),
    healthy("Gilfoyle"),
    healthy("jared"),
    healthy("richard"),
    healthy("laurieBream"),
    healthy("ashMann"),
];
