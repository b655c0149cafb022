//! One test binary for the crate: a module per topic.
#![allow(clippy::unwrap_used)] // helpers of tests, too, stop at what must not happen

mod admin;
mod basics;
mod binary;
mod faults;
mod openapi;
mod population;
mod queue;
mod stories;
mod support;
mod webhooks;
