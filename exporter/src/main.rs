//! The `basiq-exporter` binary.
fn main() {}
