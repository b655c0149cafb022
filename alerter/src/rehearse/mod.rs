//! What the alerter would do, without doing it: `preview` and `replay`.
//!
//! The rules, the planner and the check against the evidence are those of the running alerter. Only the last
//! step differs: a [`Stage`] stands where store and channels would be, and takes everything in memory.

mod history;
mod preview;
mod record;
mod replay;
mod stage;

pub use preview::{Preview, preview};
pub use record::{Played, Record};
pub use replay::{Replay, replay};
pub use stage::Stage;
