//! `/connectors`: the banks and their status.

use std::sync::Arc;

use axum::extract::{Query, State};
use serde_json::{Value, json};

use super::{Answer, Params, connections::method_name, ok, page};
use crate::{
    app::App,
    connectors::{CATALOGUE, Institution, status},
    draw::Draw,
    filter,
    scenario::{ConnectorStatus, Method},
    switches::Switches,
};

const PROPERTIES: [&str; 9] = [
    "connector.id",
    "connector.method",
    "connector.status",
    "connector.stage",
    "connector.scopes",
    "connector.institution.country",
    "connector.institution.tier",
    "connector.institution.type",
    "connector.authorization.type",
];

pub(super) async fn list(State(app): State<Arc<App>>, Query(params): Query<Params>) -> Answer {
    let filters = filter::parse(params.filter.as_deref(), &PROPERTIES)?;
    let (env, now) = (app.world.env(), app.clock.now());
    let mut found = Vec::new();
    for institution in CATALOGUE.all() {
        for &method in &institution.methods {
            let status = status(&env.outages, &institution.id, method, now, env.epoch);
            let fits = filters.iter().all(|filter| match filter.property.as_str() {
                "connector.id" => filter.fits(&institution.id),
                // Both spellings are taken, whichever is shown.
                "connector.method" => ["openbanking", "open-banking", "web"]
                    .iter()
                    .any(|name| filter.fits(name) && (*name == "web") == (method == Method::Web)),
                "connector.status" => filter.fits(status.as_str()),
                "connector.stage" => filter.fits(institution.stage),
                "connector.scopes" => SCOPES.iter().any(|scope| filter.fits(scope)),
                "connector.institution.country" => filter.fits(institution.country),
                "connector.institution.tier" => filter.fits(institution.tier),
                "connector.institution.type" => filter.fits(institution.kind),
                _ => filter.fits(institution.authorization),
            });
            if fits {
                found.push(connector_json(&app, institution, method, status, &env.switches));
            }
        }
    }
    let total = found.len();
    let (data, links) = page(&app, "/connectors", &params, app.page_size, found)?;
    ok(json!({"type": "list", "totalCount": total, "data": data, "links": links}))
}

const SCOPES: [&str; 3] = ["customer.person.basic", "bank.accounts.basic", "bank.transactions"];

fn connector_json(
    app: &App,
    institution: &Institution,
    method: Method,
    status: ConnectorStatus,
    switches: &Switches,
) -> Value {
    let id = &institution.id;
    let draw = Draw::new(0, "connector")
        .with(id.bytes().fold(0, |sum, byte| sum * 31 + u64::from(byte)))
        .with(u64::from(method == Method::Web));
    let (verify, accounts, transactions) = (
        draw.with(1).between(900, 9_000),
        draw.with(2).between(900, 6_000),
        draw.with(3).between(900, 20_000),
    );
    // Basiq has no averages for connectors that nobody used.
    let stats = if draw.with(4).chance(0.1) {
        json!({})
    } else {
        json!({"averageDurationMs": {
            "verifyCredentials": verify, "retrieveAccounts": accounts, "retrieveTransactions": transactions,
            "retrieveMeta": 0, "total": verify + accounts + transactions,
        }})
    };
    json!({
        "type": "connector",
        "id": id,
        "method": method_name(method, switches),
        "stage": institution.stage,
        "status": status.as_str(),
        "institution": {
            "type": institution.kind,
            "name": institution.name,
            "shortName": institution.short_name,
            "tier": institution.tier,
            "country": institution.country,
            "logo": {"type": "image", "links": {"full": format!("{}/logos/{id}-full.svg", app.base), "square": format!("{}/logos/{id}.svg", app.base)}},
        },
        "scopes": SCOPES,
        "authorization": {"type": institution.authorization},
        "stats": stats,
        "links": {"self": format!("{}/connectors/{id}/{}", app.base, method_name(method, switches))},
    })
}
