//! One test binary for the crate: a module per topic.

mod channels_files;
mod messages;
mod smtp;
mod support;
