//! `quickstart --live`: exporter and alerter against the real Basiq, in dry run.

use std::{path::Path, time::Duration};

use daemon::Fatal;
use tokio_util::sync::CancellationToken;

use crate::{
    house::{House, free_address},
    play::Say,
    settings::{Addresses, Places},
};

/// Basiq's production address.
const BASIQ: &str = "https://au-api.basiq.io";

/// Watches the users of a file at the real Basiq until `stop`. Every action stays in dry run: what would be
/// done is on the alerter's page, and nothing is sent to anybody.
///
/// # Errors
/// The key or the users file is missing, or a daemon could not be started.
pub async fn watch(work: &Path, users: &Path, say: Say<'_>, stop: &CancellationToken) -> Result<(), Fatal> {
    if std::env::var("BASIQ_API_KEY").unwrap_or_default().is_empty() {
        return Err(Fatal::settings(
            "BASIQ_API_KEY is not set; export the API key that Basiq's dashboard shows",
        ));
    }
    let users = users.canonicalize().map_err(|error| {
        Fatal::settings(format!("--users {}: {error}; name a readable file", users.display()))
    })?;
    let running = |error: anyhow::Error| Fatal::running(format!("{error:#}"));

    let work = work.join("live");
    let house = House::new(work, 1.0).map_err(running)?;
    let places = Places { work: house.work.clone(), rules: Places::repository().join("rules") };
    let addresses = Addresses {
        sandbox: free_address(0).map_err(running)?,
        exporter: free_address(9765).map_err(running)?,
        alerter: free_address(9766).map_err(running)?,
    };
    let exporter_config = places.live_exporter(BASIQ, &users).map_err(running)?;
    let alerter_config = places.live_alerter(BASIQ, addresses).map_err(running)?;
    let flag = |path: &Path| [format!("--config.file={}", path.display())];
    let mut exporter =
        house.start("basiq-exporter", addresses.exporter, &flag(&exporter_config)).await.map_err(running)?;
    let mut alerter =
        house.start("basiq-alerter", addresses.alerter, &flag(&alerter_config)).await.map_err(running)?;
    say(&format!(
        "Watching the real Basiq in dry run; nothing is sent to anybody. Ctrl-C stops.\n\
         \x20 metrics:            http://{}/metrics and /metrics/connections\n\
         \x20 what would be done: http://{}/\n  state and logs:     {}",
        addresses.exporter,
        addresses.alerter,
        places.work.display()
    ));
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
        for process in [&mut exporter, &mut alerter] {
            if let Some(status) = process.ended().map_err(running)? {
                return Err(Fatal::running(format!(
                    "{} ended with {status}:\n{}",
                    process.name(),
                    process.tail()
                )));
            }
        }
    }
    alerter.stop().await.map_err(running)?;
    exporter.stop().await.map_err(running)?;
    Ok(())
}
