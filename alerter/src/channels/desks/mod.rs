//! Support desks, where tickets go.

use super::registry::plugins;

plugins! {
    /// Section `desks`: a list of instances per plugin.
    Desks, DeskKind: dyn Desk in "desks" {
        /// Writes each ticket as a file, the default.
        files => Files,
    } default files
}
