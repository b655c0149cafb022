//! One test binary for the crate: a module per topic.

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
