//! Telling the exporter what only the caller of a refresh can know.

use std::time::Duration;

use serde::Serialize;
use url::Url;

use crate::channels::{SettingsError, http};

const TRIES: u32 = 3;

/// `POST /api/v1/hints` of each exporter.
pub(super) struct Hints {
    client: reqwest::Client,
    exporters: Vec<Url>,
}

#[derive(Serialize)]
struct Hint<'a> {
    user_id: &'a str,
    connection_id: &'a str,
    job_id: &'a str,
    kind: &'a str,
}

impl Hints {
    pub(super) fn new(exporters: &[String]) -> Result<Self, SettingsError> {
        let mut urls = Vec::new();
        for exporter in exporters {
            let url = format!("{}/api/v1/hints", exporter.trim_end_matches('/'));
            urls.push(
                Url::parse(&url)
                    .map_err(|_| SettingsError::new("exporters: `url` must be a full address"))?,
            );
        }
        Ok(Self { client: http::client(Duration::from_secs(5))?, exporters: urls })
    }

    /// A job that our refresh started: the exporter polls it at once, and learns whose it is.
    pub(super) async fn started(&self, user: &str, connection: &str, job: &str) {
        self.send(&Hint { user_id: user, connection_id: connection, job_id: job, kind: "created" }).await;
    }

    /// The job that Basiq answered instead of starting one: evidence of its retry queue.
    pub(super) async fn existing(&self, user: &str, connection: &str, job: &str) {
        self.send(&Hint { user_id: user, connection_id: connection, job_id: job, kind: "refreshed" }).await;
    }

    async fn send(&self, hint: &Hint<'_>) {
        for exporter in &self.exporters {
            for attempt in 1..=TRIES {
                let sent = self.client.post(exporter.clone()).json(hint).send().await;
                let problem = match sent.map(|response| response.status()) {
                    Ok(status) if status.is_success() => break,
                    Ok(status) => format!("it answered {}", status.as_u16()),
                    Err(error) => http::reason(&error).to_owned(),
                };
                if attempt == TRIES {
                    // The exporter will see the job on its own, only later.
                    tracing::warn!(%exporter, kind = hint.kind, problem, "the exporter did not take a hint");
                } else {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }
}
