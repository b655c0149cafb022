//! One test binary for the crate: a module per topic.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test whose stage cannot be set ends there, and a skipped one says so"
)]

mod battery;
mod byhand;
mod channels_files;
mod contacts;
mod desks;
mod digest;
mod engine;
mod exim;
mod killed;
mod kills;
mod message_pictures;
mod messages;
mod month;
mod operators;
mod page;
mod promql;
mod refresher;
mod rehearse;
mod rounds;
mod rulebook;
mod rules;
mod s3_causes;
mod s3_incidents;
mod s4_effects;
mod s4_situations;
mod s5_closings;
mod s5_limits;
mod s5_openings;
mod s5_situations;
mod s6_refresh;
mod s7_storms;
mod s7_tickets;
mod s8_pauses;
mod s8_rules;
mod s8_switches;
mod send_test;
mod sentences;
mod signatures;
mod smtp;
mod sources;
mod store;
mod support;
mod tools;
mod world;
