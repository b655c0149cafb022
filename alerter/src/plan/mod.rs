//! What to do about incidents, and the limits no rule can switch off (pure).

mod byhand;
mod changes;
mod holds;
mod limits;
mod messages;
mod notices;
mod observe;
mod outcomes;
mod planner;
mod retry;
mod switches;
mod tickets;
mod wheel;

pub use changes::{Changes, Command, Input, Outcome, Pause, Person, Row, Said, Saved};
pub use holds::Hold;
pub use limits::Limits;
pub use planner::{Planner, Settings};
pub(crate) use planner::{after, share, since};
