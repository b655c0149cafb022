//! What must survive a move to another store or machine: which ticket stands for what, and who gets no mail.

use std::path::Path;

use daemon::{Fatal, Secret, config};
use serde::{Deserialize, Serialize};

use super::as_json;
use crate::store::{Store, Suppression, TicketRow};

/// Larger than any installation's.
const MAX_BYTES: u64 = 256 << 20;
/// What this version writes and reads.
const VERSION: u32 = 1;

/// The file. Persons are hashes keyed with the salt of the store that exported them; without it they would mean nobody
/// elsewhere. With the salt, somebody who knows an address can tell whether it is in the file: keep it as a secret.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Carried {
    version: u32,
    salt: String,
    tickets: Vec<TicketRow>,
    suppressions: Vec<Suppression>,
}

pub(super) async fn export(store: &dyn Store) -> Result<String, Fatal> {
    as_json(&Carried {
        version: VERSION,
        salt: store.salt().await.map_err(Fatal::running)?.expose().to_owned(),
        tickets: store.tickets().await.map_err(Fatal::running)?,
        suppressions: store.suppressions().await.map_err(Fatal::running)?,
    })
}

pub(super) async fn import(file: &Path, store: &dyn Store) -> Result<String, Fatal> {
    let wrong = |why: String| Fatal::settings(format!("{}: {why}", file.display()));
    let size = std::fs::metadata(file).map_err(|error| wrong(config::unreadable(&error)))?.len();
    if size > MAX_BYTES {
        return Err(wrong("is larger than 256 MiB".to_owned()));
    }
    let text = std::fs::read(file).map_err(|error| wrong(config::unreadable(&error)))?;
    let carried: Carried = serde_json::from_slice(&text).map_err(|error| {
        wrong(format!("line {}, column {}: not what `export` prints", error.line(), error.column()))
    })?;
    if carried.version != VERSION {
        return Err(wrong(format!("is of version {}; this one reads {VERSION}", carried.version)));
    }
    let salt = Secret::new(carried.salt);
    let same = store.adopt_salt(&salt).await.map_err(Fatal::running)?;
    let suppressions: &[Suppression] = if same { &carried.suppressions } else { &[] };
    store.import(&carried.tickets, suppressions).await.map_err(Fatal::running)?;
    let said =
        format!("{} tickets and {} suppressions taken in\n", carried.tickets.len(), suppressions.len());
    if same || carried.suppressions.is_empty() {
        return Ok(said);
    }
    Err(Fatal::running(format!(
        "{said}the {} suppressions of the file name nobody here: this store has incidents already, with hashes of its \
         own; import before the first start",
        carried.suppressions.len()
    )))
}
