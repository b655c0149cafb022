//! One test binary for the crate: a module per topic.

mod basics;
mod support;
