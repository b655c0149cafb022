//! Telling the exporter what only the caller of a refresh can know.

use std::time::Duration;

use serde::Serialize;

use crate::{
    channels::{SettingsError, http},
    evidence::HintTarget,
};

const TRIES: u32 = 3;

/// `POST /api/v1/hints` of each exporter.
pub(super) struct Hints {
    client: reqwest::Client,
    exporters: Vec<HintTarget>,
}

#[derive(Serialize)]
struct Hint<'a> {
    user_id: &'a str,
    connection_id: &'a str,
    job_id: &'a str,
    kind: &'a str,
}

impl Hints {
    pub(super) fn new(exporters: Vec<HintTarget>) -> Result<Self, SettingsError> {
        Ok(Self { client: http::client(Duration::from_secs(5))?, exporters })
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
                let sent =
                    exporter.login.sign(self.client.post(exporter.url.clone())).json(hint).send().await;
                let problem = match sent.map(|response| response.status()) {
                    Ok(status) if status.is_success() => break,
                    Ok(status) => format!("it answered {}", status.as_u16()),
                    Err(error) => http::reason(&error).to_owned(),
                };
                if attempt == TRIES {
                    // The exporter will see the job on its own, only later.
                    tracing::warn!(exporter = %exporter.instance, kind = hint.kind, problem, "the exporter did not take a hint");
                } else {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }
}
