//! Ledgers that no sandbox needs to fill: users with two connections each, well or failing.

use std::{
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use basiq_exporter::{
    ledger::{
        ConnectionSeen, Id, JobSeen, Kind, Ledger, Method, Ms, Settings, Status, StepSeen, StepStatus, span,
    },
    store::{Batch, Store},
};

use crate::process::Child;

/// A size of world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct World {
    pub(crate) users: u32,
    /// Every so many users have failing connections.
    every: u32,
}

impl World {
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "users" => Self { users: crate::MANY.0, every: 100 },
            _ => Self { users: crate::FAILING.0, every: 1 },
        }
    }
}

/// The present time in milliseconds.
pub(crate) fn now() -> Ms {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Ms::try_from(since.as_millis()).unwrap()
}

/// An id as random as Basiq's.
fn id(seed: u64) -> Id {
    let mix = |seed: u64| {
        // SplitMix64
        let mut mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    };
    let (a, b) = (mix(2 * seed + 1), mix(2 * seed + 2));
    let text = format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        a >> 32,
        a >> 16 & 0xffff,
        a & 0xffff,
        b >> 48,
        b & 0xffff_ffff_ffff
    );
    Id::parse(&text).unwrap()
}

/// A user's id.
pub(crate) fn user(nth: u32) -> Id {
    id(u64::from(nth))
}

fn connection(nth: u32, which: u64) -> Id {
    id(1 << 40 | u64::from(nth) << 1 | which)
}

/// Failed jobs of both connections of a user that finished at `at`.
pub(crate) fn failed_jobs(nth: u32, at: Ms) -> Vec<JobSeen> {
    let code = [
        "account-not-accessible-requires-user-action",
        "invalid-credentials",
        "service-unavailable",
        "mfa-required",
    ];
    let job = |which: u64| JobSeen {
        id: id(1 << 50 | (at.unsigned_abs() % 1_000_003) << 24 ^ (u64::from(nth) << 1 | which)),
        kind: Kind::Connection,
        connection: Some(connection(nth, which)),
        institution: None,
        created: at - 9000,
        updated: at,
        steps: vec![StepSeen {
            title: "verify-credentials".to_owned(),
            status: StepStatus::Failed { code: code[(nth % 4) as usize].to_owned(), detail: String::new() },
        }],
    };
    vec![job(0), job(1)]
}

/// A ledger of that size, as it is after every user was looked at.
pub(crate) fn ledger(world: World, now: Ms) -> Ledger {
    let born = now - 30 * span::DAY;
    let mut ledger = Ledger::new(Settings::default(), born);
    // Looked at over the last hour, so that nobody is due for the time of the measurement.
    let asked = |nth: u32| now - span::HOUR / 2 + Ms::from(nth) % (span::HOUR / 4);
    for nth in 0..world.users {
        let user = user(nth);
        ledger.discover(0, &user, born);
        let method = if nth % 3 == 0 { Method::Web } else { Method::OpenBanking };
        let seen = |which: u64| ConnectionSeen {
            id: connection(nth, which),
            institution: format!("AU{:05}", (u64::from(nth) * 7 + which) % 120),
            method,
            status: Status::Active,
            created: born + span::DAY,
            last_used: now - span::DAY,
            expiry: now + 300 * span::DAY,
        };
        ledger.observe_connections(&user, &[seen(0), seen(1)], asked(nth), asked(nth));
        let jobs =
            if nth % world.every == 0 { failed_jobs(nth, asked(nth) - span::MINUTE) } else { Vec::new() };
        ledger.observe_jobs(&user, &jobs, true, asked(nth), asked(nth));
    }
    ledger.take_added();
    ledger.take_alarms();
    ledger
}

/// Writes the ledger's file and the users file into `folder`.
pub(crate) fn generate(world: World, folder: &Path) {
    let now = now();
    let mut ledger = ledger(world, now);
    let batch = Batch::take(&mut ledger);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut store, ..) = Store::open(&folder.join("ledger.db"), Settings::default(), now).await.unwrap();
        store.commit(&batch).await.unwrap();
        store.close().await;
    });
    let ids: Vec<String> = (0..world.users).map(|nth| user(nth).to_string()).collect();
    let users = serde_json::json!([{ "targets": ids }]);
    std::fs::write(folder.join("users.json"), users.to_string()).unwrap();
}

/// The same in a process of its own, whose memory goes with it.
pub(crate) fn generate_apart(what: &str, folder: &Path) {
    let mut child = Child::again(&["generate", what, &folder.display().to_string()]);
    let (_, mut out) = child.pipes();
    std::io::copy(&mut out, &mut std::io::stderr()).unwrap();
    assert!(folder.join("users.json").is_file(), "the world could not be written");
}

/// The exporter's configuration for it.
pub(crate) fn config(folder: &Path, basiq: &str, key: &str) -> PathBuf {
    std::fs::write(folder.join("key"), key).unwrap();
    let (path, at) = (folder.join("exporter.yml"), folder.display());
    let text = format!(
        "basiq: {{url: '{basiq}', api_key_file: '{at}/key'}}\n\
         discovery: {{file: [{{paths: ['{at}/users.json']}}]}}\n\
         store: {{path: '{at}/ledger.db'}}\n\
         poll: {{failing: 6h}}\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}
