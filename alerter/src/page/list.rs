//! The list of incidents: what fails now and why, and the search.

use axum::{
    Extension,
    extract::{Query, State},
    response::{IntoResponse, Redirect, Response},
};
use daemon::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Shared,
    handlers::{PAGE, encoded, failed, listed},
    identity::Actor,
    overview::{AGES, Overview},
    view::Row,
};
use crate::store::{Group, IncidentFilter, IncidentRow, Search, StoreError};

/// Banks beside the list.
const BANKS: usize = 8;
/// Nobody reads further than so many pages; a search finds what is beyond.
const PAGES: u32 = 200;

/// What can be asked of the list of incidents.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    /// A reference, connection, user, external id, ticket or bank.
    q: String,
    /// `open` (where not set), `ended` or `all`.
    show: String,
    bank: String,
    scenario: String,
    age: String,
    page: u32,
    did: String,
}

#[derive(Serialize)]
struct List {
    overview: Overview,
    said: Option<&'static str>,
    rows: Vec<Row>,
    q: String,
    /// What the search took the text for.
    found: &'static str,
    show: &'static str,
    bank: String,
    bank_name: String,
    scenario: String,
    age: String,
    /// The filters as a query, to which `page` is added.
    query: String,
    page: u32,
    more: bool,
}

pub(super) async fn incidents(
    State(shared): State<Shared>,
    Extension(actor): Extension<Actor>,
    Query(asked): Query<Asked>,
) -> Response {
    match list(&shared, &actor, asked).await {
        Ok(response) => response,
        Err(error) => failed(&error),
    }
}

async fn list(shared: &Shared, actor: &Actor, asked: Asked) -> Result<Response, StoreError> {
    let (store, now) = (&shared.state.store, shared.state.clock.now());
    let q: String = asked.q.trim().chars().take(200).collect();
    if !q.is_empty()
        && let Some(found) = store.incident(&q.to_uppercase()).await?
    {
        return Ok(Redirect::to(&format!("/incidents/{}", encoded(&found.reference))).into_response());
    }
    let show = match asked.show.as_str() {
        "" if !q.is_empty() => "all",
        "ended" => "ended",
        "all" => "all",
        _ => "open",
    };
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let (failing_from, failing_until) = ages(&asked.age, now);
    let page = asked.page.min(PAGES);
    let search = Search {
        filter: IncidentFilter {
            open: match show {
                "open" => Some(true),
                "ended" => Some(false),
                _ => None,
            },
            institution: some(&asked.bank),
            scenario: some(&asked.scenario),
            limit: PAGE + 1,
            offset: page * PAGE,
            ..IncidentFilter::default()
        },
        failing_from,
        failing_until,
        ..Search::default()
    };
    let names = shared.names();
    let (mut rows, found) = if q.is_empty() {
        (store.search(&search).await?, "")
    } else {
        let (rows, found) = find(shared, &q, &search).await?;
        // What was typed is not logged: it may be anything, an address too.
        tracing::info!(actor = actor.name, found = rows.len(), by = found, "searched on the page");
        (rows, found)
    };
    let more = rows.len() > PAGE as usize && page < PAGES;
    rows.truncate(PAGE as usize);
    listed(actor, "incidents", rows.iter().map(|incident| &*incident.reference));
    let counted = shared.overview.get(store, now).await?;
    let mut query = String::new();
    for (name, value) in [
        ("q", q.as_str()),
        ("show", show),
        ("bank", &asked.bank),
        ("scenario", &asked.scenario),
        ("age", &asked.age),
    ] {
        if !value.is_empty() {
            query.push_str(&format!("{name}={}&", encoded(value)));
        }
    }
    Ok(shared.page(
        "incidents.html",
        List {
            overview: Overview::new(&counted, &names, BANKS),
            said: super::actions::said(&asked.did),
            rows: rows.iter().map(|incident| Row::new(incident, now)).collect(),
            q,
            found,
            show,
            bank_name: names.of(&asked.bank),
            bank: asked.bank,
            scenario: asked.scenario,
            age: asked.age,
            query,
            page,
            more,
        },
    ))
}

/// Between which times what has this age began to fail.
fn ages(age: &str, now: Timestamp) -> (Option<Timestamp>, Option<Timestamp>) {
    let Some(place) = AGES.iter().position(|(name, _)| *name == age) else { return (None, None) };
    let bound = |place: usize| Group::AGES.get(place).map(|seconds| Group::before(now, *seconds));
    (bound(place), place.checked_sub(1).and_then(bound))
}

/// Takes the text for one thing after another until something is found.
async fn find(
    shared: &Shared,
    q: &str,
    search: &Search,
) -> Result<(Vec<IncidentRow>, &'static str), StoreError> {
    let with = |filter: IncidentFilter| Search { filter, ..search.clone() };
    let number = q.trim_start_matches('#');
    let mut tries = vec![
        ("connection", with(IncidentFilter { connection: Some(q.to_owned()), ..search.filter.clone() })),
        ("user", with(IncidentFilter { user: Some(q.to_owned()), ..search.filter.clone() })),
        ("ticket", Search { ticket: Some(q.to_owned()), ..search.clone() }),
    ];
    if number != q {
        tries.push(("ticket", Search { ticket: Some(number.to_owned()), ..search.clone() }));
    }
    let institution = shared.names().find(q).unwrap_or_else(|| q.to_uppercase());
    tries.push(("bank", with(IncidentFilter { institution: Some(institution), ..search.filter.clone() })));
    // A person asks the contact source last: it may be another company's service.
    for (what, search) in tries {
        let rows = shared.state.store.search(&search).await?;
        if !rows.is_empty() {
            return Ok((rows, what));
        }
    }
    match shared.state.contacts.user_of(q).await {
        Ok(Some(user)) => {
            let search = with(IncidentFilter { user: Some(user), ..search.filter.clone() });
            Ok((shared.state.store.search(&search).await?, "external id"))
        }
        Ok(None) => Ok((Vec::new(), "")),
        Err(error) => {
            tracing::warn!(reason = %error, "the contact source cannot be asked for an external id");
            Ok((Vec::new(), ""))
        }
    }
}
