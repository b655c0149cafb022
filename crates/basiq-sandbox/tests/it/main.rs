//! One test binary for the crate: a module per topic.

mod basics;
mod faults;
mod population;
mod queue;
mod stories;
mod support;
mod webhooks;
