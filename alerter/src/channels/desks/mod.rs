//! Support desks, where tickets go.

mod api;
mod fields;

use super::registry::plugins;

plugins! {
    /// Section `desks`: a list of instances per plugin.
    Desks, DeskKind: dyn Desk in "desks" {
        /// Writes each ticket as a file, the default.
        files => Files,
        /// Jira Cloud.
        jira => Jira,
        /// Jira Service Management Cloud.
        jsm => Jsm,
        /// By mail, to Basiq's support for example.
        mail => Mail,
        /// Request Tracker 5.
        rt => Rt,
        /// Any other system, by signed webhook.
        webhook => Webhook,
        /// Zendesk Support.
        zendesk => Zendesk,
    } default files
}
