//! Channels that take messages to users.

use super::registry::plugins;

plugins! {
    /// Section `channels`: a list of instances per plugin.
    UserChannels, UserChannelKind: dyn Channel in "channels" {
        /// Writes each message as a file, the default.
        files => Files,
        /// E-mail over a relay.
        smtp => Smtp,
        /// The partner's own message platform, by signed webhook.
        webhook => Webhook,
    } default files
}
