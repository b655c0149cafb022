//! The rules that are shipped, and promtool as the oracle of ours.

mod oracle;
mod shipped;

use std::path::{Path, PathBuf};

/// A folder of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}
