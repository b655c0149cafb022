//! The daily digest for support: who was told what, what is held or could not be delivered, and which banks
//! fail most. Off unless a channel to operators is named for it.

mod figures;
mod task;

use daemon::Fatal;
use schemars::JsonSchema;
use serde::Deserialize;

pub use figures::{Bank, Figures, gather, notice};
pub use task::Task;

/// The name under which the time of the last digest is kept, beside the state of sources.
pub const SOURCE: &str = "digest";

/// Section `digest`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Digest {
    /// A name under `operators`, best one of mail or files; no digest without it.
    pub channel: Option<String>,
    /// The time of day, `HH:MM`, at the offset `sender.utc_offset_hours`.
    pub at: String,
}

impl Default for Digest {
    fn default() -> Self {
        Self { channel: None, at: "08:00".to_owned() }
    }
}

impl Digest {
    /// Whether the time is one.
    ///
    /// # Errors
    /// It is not.
    pub fn check(&self) -> Result<(), Fatal> {
        self.minute_of_day().map(|_| ()).ok_or_else(|| {
            Fatal::settings(format!("digest.at: {:?} is no time of day such as 08:00", self.at))
        })
    }

    /// Minutes since midnight.
    fn minute_of_day(&self) -> Option<i64> {
        let (hours, minutes) = self.at.split_once(':')?;
        let two = |text: &str| (text.len() == 2).then(|| text.parse::<i64>().ok()).flatten();
        let (hours, minutes) = (two(hours)?, two(minutes)?);
        ((0..24).contains(&hours) && (0..60).contains(&minutes)).then_some(hours * 60 + minutes)
    }
}
