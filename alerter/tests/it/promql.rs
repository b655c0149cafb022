//! Rules asked of a server: one that answers as it is told, one behind TLS, and a real Prometheus.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Form, Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use basiq_alerter::{
    channels::message::TEMPLATES,
    evidence::ExporterConfig,
    sources::{Sources, SourcesConfig},
};
use daemon::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{
    sources::{Shown, WARM, World, exporter, failing, repository, rules},
    support::tls,
};

/// What the server knows and how it says it.
#[derive(Default)]
struct Server {
    /// Failing connections and their scenarios.
    failing: Vec<(&'static str, &'static str)>,
    /// What the sight is; nothing is an empty result.
    sight: Option<&'static str>,
    /// Joins every answer.
    also: Option<(&'static str, Value)>,
    status: u16,
    asked: Vec<(HeaderMap, BTreeMap<String, String>)>,
}

type Shared = Arc<Mutex<Server>>;

async fn answer(
    State(server): State<Shared>,
    headers: HeaderMap,
    Form(form): Form<BTreeMap<String, String>>,
) -> Response {
    let mut server = server.lock().unwrap();
    let query = form.get("query").cloned().unwrap_or_default();
    server.asked.push((headers, form));
    if server.status != 0 {
        let status = StatusCode::from_u16(server.status).unwrap();
        return (status, "<html>down</html>").into_response();
    }
    let result: Vec<Value> = if query.contains("basiq_exporter_warm") {
        server.sight.iter().map(|value| json!({"metric": {}, "value": [1, value]})).collect()
    } else {
        let asked = |(_, scenario): &&(&str, &str)| query.contains(&format!("\"{scenario}\""));
        let sample = |(connection, scenario): &(&str, &str)| {
            let metric = json!({"connection_id": connection, "user_id": "u1", "institution": "AU1", "method": "web", "scenario": scenario});
            json!({"metric": metric, "value": [1, "1700000000"]})
        };
        server.failing.iter().filter(asked).map(sample).collect()
    };
    let mut body = json!({"status": "success", "data": {"resultType": "vector", "result": result}});
    if let Some((key, value)) = &server.also {
        body[*key] = value.clone();
    }
    Json(body).into_response()
}

async fn start(server: &Shared) -> String {
    let router = Router::new().route("/prom/api/v1/query", post(answer)).with_state(server.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/prom/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

const NOBODY: &str = "http://127.0.0.1:1";

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_600).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_complete_answer_about_exporters_in_sight_ends_anything() {
    let server: Shared = Arc::default();
    let url = start(&server).await;
    let sources = format!("{{ embedded: [], promql: [{{ url: '{url}' }}] }}");
    let set = |change: &dyn Fn(&mut Server)| change(&mut server.lock().unwrap());
    set(&|server| {
        server.failing = vec![("c1", "account-locked")];
        server.sight = Some("1");
    });
    let mut world = World::start(NOBODY, &sources, HashMap::new(), now()).await;
    assert_eq!(rules(&world.report().await.firing), ["BasiqAccountLocked"]);
    let report = world.tick().await;
    assert!(report.firing.is_empty() && report.ended.is_empty(), "nothing changed");

    set(&|server| server.failing.clear());
    let proves_nothing: [&dyn Fn(&mut Server); 6] = [
        &|server| server.status = 503,
        &|server| {
            server.status = 0;
            server.also = Some(("warnings", json!(["a store does not answer"])));
        },
        &|server| server.also = Some(("isPartial", json!(true))),
        &|server| {
            server.also = None;
            server.sight = None;
        },
        &|server| server.sight = Some("0"),
        &|server| server.also = Some(("data", json!({"resultType": "matrix", "result": []}))),
    ];
    for (number, change) in proves_nothing.into_iter().enumerate() {
        set(change);
        assert!(world.tick().await.ended.is_empty(), "{number}");
    }
    set(&|server| {
        server.also = Some(("infos", json!(["PromQL info: nothing of weight"])));
        server.sight = Some("1");
    });
    assert_eq!(rules(&world.tick().await.ended), ["BasiqAccountLocked"]);

    // A restart forgets nothing, and what fires is told again.
    set(&|server| server.failing = vec![("c2", "mfa-required")]);
    assert_eq!(rules(&world.tick().await.firing), ["BasiqMfaRequired"]);
    let rows = world.end().await;
    set(&|server| server.status = 500);
    let mut world = World::start(NOBODY, &sources, rows, now() + Duration::from_secs(300)).await;
    assert_eq!(rules(&world.report().await.firing), ["BasiqMfaRequired"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn login_tenant_and_parameters_go_with_every_query() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "t0ken\n").unwrap();
    let server: Shared = Arc::default();
    let url = start(&server).await;
    let token = folder.path().join("token");
    let sources = format!(
        "{{ embedded: [], promql: [{{ url: '{url}', bearer_token_file: {}, tenant: team-a, \
         parameters: {{ partial_response: 'false' }}, timeout: 7s }}] }}",
        token.display()
    );
    let mut world = World::start(NOBODY, &sources, HashMap::new(), now()).await;
    world.report().await;
    world.end().await;
    let asked = std::mem::take(&mut server.lock().unwrap().asked);
    assert!(asked.len() > 10, "a query for each rule, and the sight");
    for (headers, form) in asked {
        assert_eq!(headers["authorization"], "Bearer t0ken");
        assert_eq!(headers["x-scope-orgid"], "team-a");
        assert_eq!((form["partial_response"].as_str(), form["timeout"].as_str()), ("false", "7000ms"));
        assert_eq!(form["time"], "1700000600.000");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_behind_tls_is_asked_if_its_certificate_is_trusted() {
    let body = json!({"status": "success", "data": {"resultType": "vector", "result": [
        {"metric": {"connection_id": "c1", "user_id": "u1"}, "value": [1, "1"]},
    ]}});
    let Some(server) = tls::start(body.to_string()).await else { return };
    let one = tempfile::tempdir().unwrap();
    let rule = "groups: [{ name: g, rules: [{ alert: A, expr: failing, labels: { action: file-ticket } }] }]";
    std::fs::write(one.path().join("rules.yml"), rule).unwrap();
    let sources = |ca: &str| {
        format!(
            "{{ embedded: [], promql: [{{ url: 'https://localhost:{}', rules: ['{}/rules.yml'] {ca} }}] }}",
            server.port,
            one.path().display()
        )
    };
    let trusted = format!(", ca_file: '{}'", server.certificate.display());
    for (ca, firing) in [("", 0), (&*trusted, 1)] {
        let mut world = World::start(NOBODY, &sources(ca), HashMap::new(), now()).await;
        assert_eq!(world.report().await.firing.len(), firing, "{ca}");
        world.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_for_a_certificate_is_shown_it() {
    let body = json!({"status": "success", "data": {"resultType": "vector", "result": [
        {"metric": {"connection_id": "c1", "user_id": "u1"}, "value": [1, "1"]},
    ]}});
    let Some(server) = tls::start_mutual(body.to_string()).await else { return };
    let one = tempfile::tempdir().unwrap();
    let rule = "groups: [{ name: g, rules: [{ alert: A, expr: failing, labels: { action: file-ticket } }] }]";
    std::fs::write(one.path().join("rules.yml"), rule).unwrap();
    let certificate = server.certificate.display();
    let shown = format!(", cert_file: '{certificate}', key_file: '{}'", server.key.display());
    for (show, firing) in [("", 0), (&*shown, 1)] {
        let sources = format!(
            "{{ embedded: [], promql: [{{ url: 'https://localhost:{}', rules: ['{}/rules.yml'], \
             ca_file: '{certificate}' {show} }}] }}",
            server.port,
            one.path().display()
        );
        let mut world = World::start(NOBODY, &sources, HashMap::new(), now()).await;
        assert_eq!(world.report().await.firing.len(), firing, "{show}");
        world.end().await;
    }
}

#[test]
fn what_cannot_work_is_refused_with_the_setting() {
    let folder = tempfile::tempdir().unwrap();
    let recording = "groups: [{ name: g, rules: [{ record: a, expr: b }] }]";
    std::fs::write(folder.path().join("recording.yml"), recording).unwrap();
    let load = |settings: &str| {
        let sources = format!("{{ embedded: [], promql: [{{ {settings} }}] }}");
        let config: SourcesConfig = serde_saphyr::from_str(&sources).unwrap();
        let exporters = [ExporterConfig::default()];
        let loaded = Sources::load(&config, &exporters, Some(&repository("alerter.yml")), &TEMPLATES);
        loaded.err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(load(""), "");
    let recording = format!("rules: ['{}/recording.yml']", folder.path().display());
    for (settings, reason) in [
        (recording.as_str(), "cannot record"),
        ("url: 127.0.0.1:9090", "write it as http"),
        ("url: 'http://me:secret@a.test'", "takes no password"),
        ("interval: 100ms", "must be 1s or more"),
        ("sight: ''", "must be an expression"),
        ("username: me", "set bearer_token_file, or"),
        ("parameters: { query: up }", "set by the source itself"),
        ("cert_file: a.pem", "belong together"),
        ("ca_file: Cargo.toml", "is not a PEM file"),
        ("tenant: \"a\\nb\"", "no value of a header"),
    ] {
        let error = load(settings);
        assert!(error.contains("sources.promql") || error.contains("recording.yml"), "{settings}: {error}");
        assert!(error.contains(reason) && !error.contains("secret@"), "{settings}: {error}");
    }
}

/// The shipped rules, asked of a real Prometheus that scrapes an exporter: its own staleness and look-back.
#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_is_asked() {
    let shown: Shown = Arc::default();
    let url = exporter(shown.clone()).await;
    let show = |warm: &str, connections: String| {
        *shown.lock().unwrap() = Some((warm.to_owned(), connections));
    };
    show(WARM, failing("c1", "account-locked"));
    let folder = tempfile::tempdir().unwrap();
    let nobody = stories::house::free_address(0).unwrap();
    let address = url.trim_start_matches("http://").parse().unwrap();
    let none = folder.path().join("none");
    std::fs::write(&none, "nothing").unwrap();
    let Some(prometheus) =
        stories::real::Prometheus::start(folder.path(), address, &none.with_extension("yml"), nobody, &none)
            .unwrap()
    else {
        return;
    };
    let sources =
        format!("{{ embedded: [], promql: [{{ url: 'http://{}', interval: 1s }}] }}", prometheus.address);
    let mut world = World::start(&url, &sources, HashMap::new(), Timestamp::now()).await;
    let mut next = world.report().await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while next.firing.is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "Prometheus says nothing");
        next = world.second().await;
    }
    assert_eq!(rules(&next.firing), ["BasiqAccountLocked"]);
    assert_eq!(next.firing[0].labels.get("connection_id"), Some("c1"));

    // What Prometheus cannot scrape goes stale there, and ends nothing here.
    *shown.lock().unwrap() = None;
    for _ in 0..4 {
        assert!(world.second().await.ended.is_empty());
    }
    show(WARM, failing("c2", "mfa-required"));
    let (mut fired, mut ended) = (Vec::new(), Vec::new());
    while fired.is_empty() || ended.is_empty() {
        assert!(tokio::time::Instant::now() < deadline + Duration::from_secs(30), "{fired:?} {ended:?}");
        let report = world.second().await;
        fired.extend(report.firing.iter().map(|demand| demand.rule.to_string()));
        ended.extend(report.ended.iter().map(|demand| demand.rule.to_string()));
    }
    assert_eq!((fired, ended), (vec!["BasiqMfaRequired".to_owned()], vec!["BasiqAccountLocked".to_owned()]));
    world.end().await;
}
