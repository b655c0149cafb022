//! Notices to a signed webhook.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;

use crate::channels::{
    DeliveryError, Notice, Operators, Parts, Plugin, Receipt, SettingsError,
    hook::{Hook, HookSettings, receipt},
    http::Effect,
};

/// One instance.
pub type Settings = HookSettings;

impl Plugin<dyn Operators> for Settings {
    fn name(&self) -> &str {
        &self.name
    }

    fn build(self, parts: &Parts) -> Result<Arc<dyn Operators>, SettingsError> {
        Ok(Arc::new(ByWebhook { hook: Hook::new(self, parts)?, environment: parts.environment.clone() }))
    }
}

struct ByWebhook {
    hook: Hook,
    environment: Arc<str>,
}

/// Data of `notice.update`.
#[derive(Serialize)]
struct Update<'a> {
    environment: &'a str,
    #[serde(flatten)]
    notice: &'a Notice,
}

#[async_trait]
impl Operators for ByWebhook {
    async fn notify(&self, notice: &Notice) -> Result<Receipt, DeliveryError> {
        // The end is another event than the beginning; a repetition of either is the same one.
        let key = format!("{}/{}", notice.key, if notice.ended.is_some() { "ended" } else { "firing" });
        let data = Update { environment: &self.environment, notice };
        let at = notice.ended.unwrap_or(notice.since);
        let answer = self.hook.post(Effect::Repeatable, "notice.update", &key, at, data).await?;
        Ok(receipt(&answer))
    }
}
