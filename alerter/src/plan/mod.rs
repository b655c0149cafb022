//! What to do about incidents, and the limits no rule can switch off (pure).

mod beginnings;
mod byhand;
mod causes;
mod changes;
mod closed;
mod commands;
mod cooldowns;
mod demands;
mod draft;
mod forget;
mod holds;
mod limits;
mod load;
mod messages;
mod notices;
mod observe;
mod openings;
mod outcomes;
mod owed;
mod planner;
mod quota;
mod retry;
mod stops;
mod storm;
mod storms;
mod switches;
mod tickets;
mod trace;
mod troubles;
mod unsaved;
mod versions;
mod wheel;
mod withdrawn;

use std::collections::{HashMap, HashSet};

/// Keys come from outside: seeded at random, as the standard's, and an order that must decide nothing.
type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;
type Set<T> = HashSet<T, foldhash::fast::RandomState>;

pub(crate) use causes::{Health, health};
pub use changes::{Changes, Command, Forgotten, Input, Outcome, Pause, Person, Row, Said, Saved};
pub use holds::Hold;
pub use limits::Limits;
pub use planner::{Planner, Settings};
pub(crate) use planner::{after, digest, hex, share, since};
pub use retry::BASIQ;
pub use stops::{Stop, Stops};
