//! What is wrong with a connection, from its first failure to its end (pure).

mod incident;
mod reference;
mod scenario;

pub use incident::{
    Attempt, Cause, Incident, Message, MessageState, Outage, Status, TicketLink, TicketState,
};
pub use reference::{key, reference};
pub use scenario::Class;
