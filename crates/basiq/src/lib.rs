#![doc = include_str!("../README.md")]

pub mod client;
mod error;
pub mod job;
pub mod model;
pub mod scenario;

pub use client::{
    Client, ClientConfig, ConnectorFilter, Endpoint, EventFilter, KeySource, KeyState, Observer, Priority,
    Quota, Refreshed, Request, Retry, Status,
};
pub use error::{Error, ErrorKind};
pub use model::*;
pub use scenario::Scenario;
