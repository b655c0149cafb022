//! The `basiq-alerter` binary.
fn main() {}
