//! The `basiq-sandbox` binary.
fn main() {}
