//! When whom to ask, and the asking.
//!
//! [`need`] says from the ledger when a user must next be looked at and how much that is needed; [`Schedule`]
//! hands out what is due, the most needed first; [`look`] asks Basiq and translates.

mod look;
mod need;
mod schedule;

pub use look::{ByJob, Look, Plan, connections_seen, job_seen, look};
pub use need::{Banks, Pace, need, plan};
pub use schedule::{Need, Schedule};
