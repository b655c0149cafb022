//! The wave: who begins to fail, when and how, and who is told of it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::SocketAddr,
    time::Duration,
};

use basiq_sandbox::{
    Handle,
    scenario::{Act, Failure as Failing, Method},
};
use daemon::{Clock, Timestamp};

use crate::{Args, Failure};

/// How long it takes until all have begun to fail.
pub(crate) const LASTS: Duration = Duration::from_secs(600);
/// Failures of which Basiq or the partner says nothing, among all: the others are announced, or hinted.
const KINDS: [Kind; 4] = [Kind::Announced, Kind::Hinted, Kind::Silent, Kind::Silent];

/// Who says that something has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Basiq: a wrong password invalidates the connection.
    Announced,
    /// The partner, whose application updated the connection.
    Hinted,
    /// Nobody.
    Silent,
}

/// A failure as it really was.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) user: String,
    pub(crate) kind: Kind,
    /// When its job ended.
    pub(crate) at: Timestamp,
    /// How many users had failed at that bank before.
    pub(crate) before: u32,
    /// How many fail there in all.
    pub(crate) in_all: u32,
}

/// Who is going to fail.
pub(crate) struct Wave {
    users: Vec<(String, Kind)>,
    ids: HashSet<String>,
}

impl Wave {
    pub(crate) fn new(basiq: &Handle, args: &Args) -> Self {
        let count = (args.users as f64 * args.share) as usize;
        // Open banking announces otherwise; the wave is one of passwords and of banks. About half the users are met.
        let every = (args.users / count.max(1) / 3).max(3);
        let fits = |id: &String| {
            basiq
                .truth_of(id)
                .is_some_and(|user| user.connections.first().is_some_and(|c| c.method == Method::Web))
        };
        let numbers = (0..count * 3).map(|n| n * every);
        let ids = numbers.filter_map(|number| basiq.user_id_at(number)).filter(fits).take(count);
        let users: Vec<_> = ids.enumerate().map(|(n, id)| (id, KINDS[n % KINDS.len()])).collect();
        let ids = users.iter().map(|(id, _)| id.clone()).collect();
        Self { users, ids }
    }

    pub(crate) fn has(&self, user: &str) -> bool {
        self.ids.contains(user)
    }

    pub(crate) fn len(&self) -> usize {
        self.users.len()
    }

    /// Lets them fail one after the other; the partner gives its hints at `hints`. What really happened.
    pub(crate) async fn roll(
        &self,
        basiq: &Handle,
        clock: &Clock,
        hints: Option<SocketAddr>,
    ) -> Result<Vec<Told>, Failure> {
        let http = reqwest::Client::new();
        let begun = clock.now();
        for (nth, (user, kind)) in self.users.iter().enumerate() {
            let due = LASTS.mul_f64(nth as f64 / self.users.len() as f64);
            clock.sleep_until(begun + due).await;
            let code = if *kind == Kind::Announced { "invalid-credentials" } else { "service-unavailable" };
            basiq.fail(user, 0, Failing { code: Some(code.to_owned()), ..Failing::default() })?;
            basiq.act(user, 0, Act::Update)?;
            if let (Kind::Hinted, Some(address)) = (kind, hints) {
                let body = serde_json::json!({ "user_id": user, "kind": "updated" }).to_string();
                let url = format!("http://{address}{}", basiq_exporter::HINTS);
                let (http, user) = (http.clone(), user.clone());
                tokio::spawn(async move {
                    if http.post(url).body(body).send().await.is_err() {
                        eprintln!("no hint could be given of {user}");
                    }
                });
            }
        }
        // The last job takes up to half a minute.
        clock.sleep(Duration::from_secs(40)).await;
        Ok(self.told(basiq))
    }

    fn told(&self, basiq: &Handle) -> Vec<Told> {
        let mut all = Vec::new();
        for (user, kind) in &self.users {
            let Some(truth) = basiq.truth_of(user) else { continue };
            let Some(connection) = truth.connections.into_iter().next() else { continue };
            let failed =
                connection.jobs.iter().filter_map(|job| job.tries.iter().find(|run| run.failed.is_some()));
            if let Some(at) = failed.map(|run| run.ended).min() {
                all.push((at, user.clone(), *kind, (connection.institution, connection.method as u8)));
            }
        }
        all.sort();
        let mut at_bank: BTreeMap<(String, u8), u32> = BTreeMap::new();
        let count = |(at, user, kind, bank): (Timestamp, String, Kind, (String, u8))| {
            let known = at_bank.entry(bank.clone()).or_default();
            *known += 1;
            (Told { user, kind, at, before: *known - 1, in_all: 0 }, bank)
        };
        let told: Vec<_> = all.into_iter().map(count).collect();
        let told = told.into_iter().map(|(told, bank)| Told { in_all: at_bank[&bank], ..told });
        told.collect()
    }
}

/// When each user's failure was first seen.
pub(crate) type Seen = HashMap<String, Timestamp>;
