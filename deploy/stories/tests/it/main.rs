//! End-to-end tests of both daemons together, as processes: a module per topic.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test whose stage cannot be set ends here")]

mod browser;
mod dashboards;
mod docs;
mod real_parts;
mod refusals;
mod samples;
mod soak;
mod sources;
mod traces;
