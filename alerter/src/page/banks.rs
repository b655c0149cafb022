//! What Basiq says of banks, and what fails there.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::{Shared, overview::Overview, view::Chip, words::Time};
use crate::evidence::Snapshot;

/// Most banks that the page lists.
const MOST: usize = 500;

/// Names and statuses of banks, as the newest evidence has them.
pub(super) struct Names {
    snapshot: Arc<Snapshot>,
    /// Name and worst status by institution.
    known: BTreeMap<Arc<str>, (Arc<str>, Arc<str>)>,
}

impl Names {
    pub(super) fn new(snapshot: Arc<Snapshot>) -> Self {
        let mut known: BTreeMap<Arc<str>, (Arc<str>, Arc<str>)> = BTreeMap::new();
        for ((institution, _), connector) in &snapshot.connectors {
            let (_, worst) = known
                .entry(institution.clone())
                .or_insert_with(|| (connector.name.clone(), connector.status.clone()));
            if severity(&connector.status) > severity(worst) {
                *worst = connector.status.clone();
            }
        }
        Self { snapshot, known }
    }

    /// The name for people, or the id where nobody knows it.
    pub(super) fn of(&self, institution: &str) -> String {
        self.known.get(institution).map_or_else(|| institution.to_owned(), |(name, _)| name.to_string())
    }

    /// The institution whose name people write like this.
    pub(super) fn find(&self, text: &str) -> Option<String> {
        let text = text.to_lowercase();
        let named = |fits: &dyn Fn(&str) -> bool| {
            let mut known = self.known.iter();
            known.find(|(_, (name, _))| fits(&name.to_lowercase())).map(|(id, _)| id.to_string())
        };
        named(&|name| name == text)
            .or_else(|| named(&|name| text.chars().count() > 2 && name.contains(&text)))
    }

    /// The worst status of the bank's connectors, unless all work.
    pub(super) fn status(&self, institution: &str) -> Option<Chip> {
        let (_, worst) = self.known.get(institution)?;
        (severity(worst) > 0).then(|| chip(worst))
    }
}

fn severity(status: &str) -> u8 {
    match status {
        "operational" => 0,
        "unknown" => 1,
        "major-outage" => 4,
        "partial-outage" => 3,
        _ => 2,
    }
}

fn chip(status: &str) -> Chip {
    let tone = match severity(status) {
        0 => "good",
        1 => "quiet",
        4 => "bad",
        _ => "warn",
    };
    Chip { tone, text: status.replace('-', " ") }
}

#[derive(Serialize)]
struct Row {
    institution: String,
    name: String,
    /// By method, so that an outage of one is not taken for the bank's.
    connectors: Vec<(String, Chip)>,
    open: u64,
    fresh: u64,
    scenarios: Vec<super::overview::Choice>,
    worst: u8,
}

#[derive(Serialize)]
struct Banks {
    overview: Overview,
    rows: Vec<Row>,
    hidden: usize,
    as_of: Option<Time>,
}

pub(super) async fn banks(State(shared): State<Shared>) -> Response {
    let counted = match shared.counted().await {
        Ok(counted) => counted,
        Err(response) => return response.into_response(),
    };
    let names = shared.names();
    let overview = Overview::new(&counted, &names, usize::MAX);
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for bank in &overview.banks {
        let row = Row {
            institution: bank.institution.clone(),
            name: bank.name.clone(),
            connectors: Vec::new(),
            open: bank.open,
            fresh: bank.fresh,
            scenarios: bank.scenarios.clone(),
            worst: 0,
        };
        rows.insert(bank.institution.clone(), row);
    }
    for ((institution, method), connector) in &names.snapshot.connectors {
        let row = rows.entry(institution.to_string()).or_insert_with(|| Row {
            institution: institution.to_string(),
            name: connector.name.to_string(),
            connectors: Vec::new(),
            open: 0,
            fresh: 0,
            scenarios: Vec::new(),
            worst: 0,
        });
        row.worst = row.worst.max(severity(&connector.status));
        row.connectors.push((method.to_string(), chip(&connector.status)));
    }
    let mut rows: Vec<Row> = rows.into_values().collect();
    for row in &mut rows {
        row.connectors.sort_by(|one, other| one.0.cmp(&other.0));
    }
    // What needs looking at comes first.
    rows.sort_by(|one, other| {
        (other.worst, other.open).cmp(&(one.worst, one.open)).then_with(|| one.name.cmp(&other.name))
    });
    let hidden = rows.len().saturating_sub(MOST);
    rows.truncate(MOST);
    let now = shared.state.clock.now();
    let as_of = names.snapshot.as_of.map(|at| Time::new(at, now));
    shared.page("banks.html", Banks { overview, rows, hidden, as_of })
}
