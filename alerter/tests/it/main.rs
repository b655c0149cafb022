//! One test binary for the crate: a module per topic.

mod channels_files;
mod exim;
mod messages;
mod page;
mod smtp;
mod support;
