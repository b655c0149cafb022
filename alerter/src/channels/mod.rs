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
pub mod guard;
mod hook;
mod http;
pub mod message;
pub mod operators;
pub mod refresh;
mod registry;
pub mod smtp;
pub mod users;

pub(crate) use contract::add_comment;
pub use contract::{
    Channel, Comment, Contact, Contacts, DeliveryError, Desk, MessageConnection, News, Notice, Operators,
    Receipt, Repeat, Standing, Ticket, UserMessage,
};
pub use registry::{Named, Parts, Plugin, SettingsError};
