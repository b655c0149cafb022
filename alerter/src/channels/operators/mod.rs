//! Channels that take notices to operators.

mod repeat;

pub use repeat::{Lasting, repeat};

use super::registry::plugins;

plugins! {
    /// Section `operators`: a list of instances per plugin.
    OperatorChannels, OperatorChannelKind: dyn Operators in "operators" {
        /// Writes each notice as a file, the default.
        files => Files,
        /// Alertmanager, as alerts.
        alertmanager => Alertmanager,
        /// A dead man's switch, called while the watchdog fires.
        heartbeat => Heartbeat,
        /// By mail.
        mail => Mail,
        /// Any other system, by signed webhook.
        webhook => Webhook,
    } default files
}
