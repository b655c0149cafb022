//! How effects are delivered: user channels, support desks, operators' channels, contact sources and
//! the refresh of a connection.
//!
//! Each of the first four is a folder of plugins. A plugin is one file that implements one small trait
//! of [`contract`] and declares its settings, and one line in its folder's `mod.rs`; build,
//! configuration section and the row of the delivery battery follow from that line.

pub mod contacts;
mod contract;
pub mod desks;
mod durable;
mod filing;
pub mod guard;
mod hook;
mod http;
pub mod message;
pub mod operators;
pub mod refresh;
mod registry;
pub mod smtp;
pub mod users;

pub use contract::{
    Channel, Comment, Contact, Contacts, DeliveryError, Desk, MessageConnection, News, Notice, Operators,
    Receipt, Repeat, Standing, Ticket, UserMessage,
};
pub(crate) use filing::{add_comment, file};
pub use registry::{Named, Parts, Plugin, SettingsError};
