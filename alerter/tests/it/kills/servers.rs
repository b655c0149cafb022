//! Who the alerters speak with: an exporter, a Basiq, a slow relay and a desk, all on loopback.

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    routing::{get, post},
};
use daemon::Timestamp;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    time::sleep,
};

use super::{Plan, connection, institution};

/// What arrived.
#[derive(Default)]
pub(super) struct Arrived {
    /// How often each Message-ID was taken.
    pub(super) mails: Mutex<HashMap<String, usize>>,
    /// External ids of the tickets that were filed, in order.
    pub(super) tickets: Mutex<Vec<String>>,
}

/// The servers; they end with the runtime.
pub(super) struct Servers {
    pub(super) http: u16,
    pub(super) smtp: u16,
    pub(super) arrived: Arc<Arrived>,
}

impl Servers {
    pub(super) async fn start(plan: &Plan, now: Timestamp) -> Self {
        let arrived = Arc::new(Arrived::default());
        let (metrics, connections) = pages(plan, now);
        let router = Router::new()
            .route("/metrics", get(move || async move { metrics }))
            .route("/metrics/connections", get(move || async move { connections }))
            .route(
                "/token",
                post(async || Json(json!({"access_token": "t", "expires_in": 3600, "token_type": "Bearer"}))),
            )
            .route("/api/v2/tickets", post(file).get(find))
            .fallback(async || (StatusCode::NOT_FOUND, Json(json!({"data": []}))))
            .with_state(arrived.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = listener.local_addr().unwrap().port();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let smtp = listener.local_addr().unwrap().port();
        let (pace, seen) = (Arc::new(tokio::sync::Mutex::new(())), arrived.clone());
        let each = Duration::from_secs(1) / plan.rate;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (pace, seen) = (pace.clone(), seen.clone());
                tokio::spawn(async move {
                    // A client that was killed ends the conversation.
                    let _ = converse(stream, &seen, &pace, each).await;
                });
            }
        });
        Self { http, smtp, arrived }
    }
}

/// The exporter's pages: every connection fails since a minute.
fn pages(plan: &Plan, now: Timestamp) -> (String, String) {
    let mut metrics = "basiq_exporter_warm 1\n".to_owned();
    let mut connections = String::new();
    let since = now.as_second() - 60;
    for (kind, number, scenario) in (0..plan.messages)
        .map(|n| ("mail", n, "invalid-credentials"))
        .chain((0..plan.tickets).map(|n| ("ticket", n, "unknown")))
    {
        let (id, bank) = (connection(kind, number), institution(kind, number));
        if kind == "ticket" || number == 0 {
            writeln!(
                metrics,
                "basiq_connector_status{{institution=\"{bank}\",method=\"web\",status=\"operational\"}} 1"
            )
            .unwrap();
        }
        let labels = format!(
            "connection_id=\"{id}\",user_id=\"u-{id}\",institution=\"{bank}\",method=\"web\",scenario=\"{scenario}\""
        );
        writeln!(connections, "basiq_connection_failed_jobs{{{labels}}} 1").unwrap();
        for name in ["failing_since", "last_failure"] {
            writeln!(connections, "basiq_connection_{name}_timestamp_seconds{{{labels}}} {since}").unwrap();
        }
    }
    (metrics, connections)
}

async fn file(State(arrived): State<Arc<Arrived>>, Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
    let id = body["ticket"]["external_id"].as_str().unwrap_or_default().to_owned();
    let number = {
        let mut tickets = arrived.tickets.lock().unwrap();
        tickets.push(id);
        tickets.len()
    };
    sleep(Duration::from_millis(5)).await;
    (StatusCode::CREATED, Json(json!({"ticket": {"id": number}})))
}

async fn find(
    State(arrived): State<Arc<Arrived>>,
    Query(query): Query<HashMap<String, String>>,
) -> Json<Value> {
    let wanted = query.get("external_id").cloned().unwrap_or_default();
    let tickets = arrived.tickets.lock().unwrap();
    let found = tickets.iter().enumerate().filter(|(_, id)| **id == wanted);
    Json(json!({"tickets": found.map(|(at, _)| json!({"id": at + 1})).collect::<Vec<_>>()}))
}

async fn converse(
    stream: TcpStream,
    arrived: &Arrived,
    pace: &tokio::sync::Mutex<()>,
    each: Duration,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 sink ESMTP\r\n").await?;
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 0 {
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        line.clear();
        match verb.as_str() {
            "DATA" => {
                stream.write_all(b"354 go\r\n").await?;
                let mut id = String::new();
                while stream.read_line(&mut line).await? > 0 && line != ".\r\n" {
                    if let Some(value) = line.strip_prefix("Message-ID:") {
                        id = value.trim().to_owned();
                    }
                    line.clear();
                }
                if line.is_empty() {
                    return Ok(());
                }
                line.clear();
                // Taken: from here on it counts, whether or not the reply is heard.
                *arrived.mails.lock().unwrap().entry(id).or_default() += 1;
                {
                    let _turn = pace.lock().await;
                    sleep(each).await;
                }
                stream.write_all(b"250 2.0.0 ok\r\n").await?;
            }
            "QUIT" => return Ok(()),
            _ => stream.write_all(b"250 2.0.0 ok\r\n").await?,
        }
    }
    Ok(())
}
