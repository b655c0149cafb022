//! Flags, configuration, secrets, clock, logs, traces, reload and shutdown, once for both daemons.

mod clock;
mod secret;

pub use clock::{Clock, Hand};
pub use jiff::Timestamp;
pub use secret::Secret;
