//! Who fails how, and what must come of it.
//!
//! The sandbox's side is `plot.yml`; here stand the same people with what `behaviour` owes each of
//! them: exactly these messages in this order, this many refreshes, this ticket.

use std::time::Duration;

/// The scenario that the sandbox plays.
pub const SCENARIO: &str = include_str!("plot.yml");

/// The stories' time in which everything must have been told.
pub const LENGTH: Duration = Duration::from_secs(4 * 3600);

/// When the exporter is killed, and when it comes back; nobody may be told anything because of it.
pub const EXPORTER_GONE: (Duration, Duration) = (Duration::from_secs(60 * 60), Duration::from_secs(68 * 60));

/// From when to when AU00004's connector is in major outage.
pub const OUTAGE: (Duration, Duration) = (Duration::from_secs(20 * 60), Duration::from_secs(80 * 60));

/// A person of the stories.
#[derive(Clone, Copy, Debug)]
pub struct Person {
    /// The scenario's name.
    pub name: &'static str,
    /// Basiq's user id.
    pub user: &'static str,
    /// Where messages go.
    pub address: &'static str,
    /// What happens to them, in one line.
    pub story: &'static str,
    /// The templates of the messages they get, in order, and no others.
    pub letters: &'static [&'static str],
    /// How many refreshes their connection gets.
    pub refreshes: Refreshes,
    /// The ticket about their connection.
    pub ticket: Ticket,
}

/// How many refreshes a connection gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refreshes {
    /// Not one.
    None,
    /// Exactly so many.
    Exactly(usize),
    /// At least one, and none while its bank is in major outage.
    AfterTheOutage,
}

/// What is filed about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ticket {
    /// Nothing.
    None,
    /// One ticket.
    Filed,
    /// One ticket, with a comment when the connection recovered.
    FiledAndCommented,
}

/// Everybody in the stories.
pub const PEOPLE: &[Person] = &[
    Person {
        name: "bighead",
        user: "0b16ead0-0000-4000-8000-000000000001",
        address: "bighead@hooli.example",
        story: "the bank locked the account: unlock it with the bank first",
        letters: &["locked"],
        refreshes: Refreshes::None,
        ticket: Ticket::None,
    },
    Person {
        name: "erlich",
        user: "0e7110c4-0000-4000-8000-000000000002",
        address: "erlich@hooli.example",
        story: "the bank shows a pop-up: deal with it at the bank",
        letters: &["bank-action"],
        refreshes: Refreshes::None,
        ticket: Ticket::None,
    },
    Person {
        name: "jianYang",
        user: "01a2a9f0-0000-4000-8000-000000000003",
        address: "jianyang@hooli.example",
        story: "service unavailable: refreshed twice, then a ticket; recovers later",
        letters: &["delayed", "ready"],
        refreshes: Refreshes::Exactly(2),
        ticket: Ticket::FiledAndCommented,
    },
    Person {
        name: "monica",
        user: "0d017ca0-0000-4000-8000-000000000004",
        address: "monica@raviga.example",
        story: "a wrong password, given again an hour later",
        letters: &["credentials", "ready"],
        refreshes: Refreshes::None,
        ticket: Ticket::None,
    },
    Person {
        name: "dinesh",
        user: "0d19e540-0000-4000-8000-000000000005",
        address: "dinesh@piedpiper.example",
        story: "in Basiq's retry queue: heals at the next try",
        letters: &["delayed", "ready"],
        refreshes: Refreshes::Exactly(1),
        ticket: Ticket::None,
    },
    Person {
        name: "carla",
        user: "0ca71a00-0000-4000-8000-000000000006",
        address: "carla@piedpiper.example",
        story: "in Basiq's retry queue for 7 days: one message and one ticket when it expires",
        letters: &["delayed", "gave-up"],
        refreshes: Refreshes::Exactly(1),
        ticket: Ticket::Filed,
    },
    Person {
        name: "peter",
        user: "09e7e700-0000-4000-8000-000000000007",
        address: "peter@raviga.example",
        story: "the bank has a major outage: told so, no refresh and no ticket meanwhile",
        letters: &["outage", "ready"],
        refreshes: Refreshes::AfterTheOutage,
        ticket: Ticket::None,
    },
    Person {
        name: "gavinBelson",
        user: "06a71b00-0000-4000-8000-000000000008",
        address: "gavin@hooli.example",
        story: "healthy: hears nothing",
        letters: &[],
        refreshes: Refreshes::None,
        ticket: Ticket::None,
    },
    Person {
        name: "Whistler",
        user: "03415700-0000-4000-8000-000000000009",
        address: "whistler@hooli.example",
        story: "healthy, at the bank in outage by another method: hears nothing",
        letters: &[],
        refreshes: Refreshes::None,
        ticket: Ticket::None,
    },
];
