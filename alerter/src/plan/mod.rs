//! What to do about incidents, and the limits no rule can switch off (pure).

mod limits;

pub use limits::Limits;
