//! One test binary for the crate: a module per topic.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod bounds;
mod documents;
mod examples;
mod observer;
mod pages;
mod prism;
mod refresh;
mod requests;
mod schemas;
mod server;
mod soak;
mod throttling;
mod token;
