//! Users by HTTP and by Basiq's events, and lists that are wrong for a moment.

use std::sync::{Arc, Mutex};

use axum::{Router, extract::State, http::HeaderMap, response::IntoResponse, routing::get};
use basiq_sandbox::Change;
use reqwest::StatusCode;

use crate::world::{Running, World, one, sum};

const TWO: &str = r#"
users:
  - name: ann
    connections: [{institution: AU00000, timeline: [{at: -1h, do: update}]}]
  - name: bob
    connections:
      - institution: AU00001
        failures: [{as: bighead, from: 5m, until: credentials}]
        timeline: [{at: 10m, do: update}, {at: 40m, do: give-credentials}]
"#;

async fn watched(exporter: &Running, users: f64) {
    let holds = |samples: &_| one(samples, "basiq_exporter_users_watched") == Some(users);
    exporter.until(&format!("{users} users watched"), holds).await;
}

/// What an endpoint of the partner's answers: status, type, body; and with what it was asked.
#[derive(Clone, Default)]
struct Partner {
    answer: Arc<Mutex<(u16, &'static str, String)>>,
    asked: Arc<Mutex<Vec<HeaderMap>>>,
}

impl Partner {
    async fn start() -> (Self, String) {
        let partner = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/users", listener.local_addr().unwrap());
        let answer = async |State(partner): State<Partner>, headers: HeaderMap| {
            partner.asked.lock().unwrap().push(headers);
            let (status, kind, body) = partner.answer.lock().unwrap().clone();
            (StatusCode::from_u16(status).unwrap(), [("content-type", kind)], body).into_response()
        };
        let router = Router::new().route("/users", get(answer)).with_state(partner.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (partner, url)
    }

    fn says(&self, status: u16, kind: &'static str, body: &str) {
        *self.answer.lock().unwrap() = (status, kind, body.to_owned());
    }

    /// Waits until it was asked again, twice, so that what it answered was taken in.
    async fn is_asked(&self, world: &World) {
        for _ in 0..2 {
            let before = self.asked.lock().unwrap().len();
            for _ in 0..20 {
                world.tick(31);
                // Its next interval may begin only now.
                for _ in 0..100 {
                    if self.asked.lock().unwrap().len() > before {
                        break;
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                }
                if self.asked.lock().unwrap().len() > before {
                    break;
                }
            }
            assert!(self.asked.lock().unwrap().len() > before, "it is asked at its interval");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http_endpoint_names_users_and_one_that_fails_costs_nobody_a_place() {
    let world = World::new(TWO).await;
    let (partner, url) = Partner::start().await;
    let ids = world.sandbox.user_ids();
    let both = serde_json::json!([{ "targets": ids }]).to_string();
    partner.says(200, "application/json; charset=utf-8", &both);
    let token = world.path("token");
    std::fs::write(&token, "hunter2\n").unwrap();
    let config = world.config_with(&format!(
        "http: [{{url: '{url}', refresh_interval: 30s, authorization: {{credentials_file: '{}'}}}}]",
        token.display()
    ));
    let exporter = world.start_with(config).await;
    watched(&exporter, 2.0).await;
    {
        let asked = partner.asked.lock().unwrap();
        assert_eq!(asked[0]["authorization"], "Bearer hunter2");
        assert_eq!(asked[0]["x-prometheus-refresh-interval-seconds"], "30");
    }
    for (status, kind, body) in [
        (500, "application/json", both.as_str()),
        (200, "text/html", "<html>"),
        (200, "application/json", &both[..both.len() / 2]),
        (200, "application/json", r#"[{"targets": ["not an id"]}]"#),
        (200, "application/json", ""),
    ] {
        partner.says(status, kind, body);
        partner.is_asked(&world).await;
        world.skip(15);
        partner.is_asked(&world).await;
        watched(&exporter, 2.0).await;
    }
    // An answer that is right and shorter is believed, once it has held for ten minutes.
    partner.says(200, "application/json", &serde_json::json!([{ "targets": [ids[0]] }]).to_string());
    partner.is_asked(&world).await;
    watched(&exporter, 2.0).await;
    partner.says(200, "application/json", &both);
    partner.is_asked(&world).await;
    world.skip(15);
    partner.is_asked(&world).await;
    watched(&exporter, 2.0).await;
    partner.says(200, "application/json", &serde_json::json!([{ "targets": [ids[0]] }]).to_string());
    partner.is_asked(&world).await;
    world.skip(11);
    watched(&exporter, 1.0).await;
    exporter.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_users_file_that_is_gone_or_empty_for_a_moment_costs_nobody_a_place() {
    let world = World::new(TWO).await;
    let users = world.path("lists");
    std::fs::create_dir(&users).unwrap();
    let file = users.join("users.yml");
    std::fs::rename(world.path("users.yml"), &file).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let config = world.config_with(&format!("file: [{{paths: ['{}/*.yml']}}]", users.display()));
    let exporter = world.start_with(config).await;
    watched(&exporter, 2.0).await;
    let last = "basiq_exporter_collector_last_success_timestamp_seconds";
    let success = |samples: &_| sum(samples, last, &[("collector", "discovery")]);
    for gone in [true, false] {
        if gone {
            std::fs::remove_file(&file).unwrap();
        } else {
            std::fs::write(&file, "[]").unwrap();
        }
        // It has been noticed once a success after it is told.
        world.tick(60);
        let now = world.clock.now().as_second() as f64;
        exporter.until("the file looked at", |samples| success(samples) >= now).await;
        watched(&exporter, 2.0).await;
        std::fs::write(&file, &text).unwrap();
        world.tick(1);
        let now = world.clock.now().as_second() as f64;
        exporter.until("the file looked at", |samples| success(samples) >= now).await;
        world.skip(15);
        let now = world.clock.now().as_second() as f64;
        exporter.until("the file looked at", |samples| success(samples) >= now).await;
        watched(&exporter, 2.0).await;
    }
    exporter.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn basiqs_events_name_users_and_say_what_happened_also_while_nobody_listened() {
    let world = World::new(TWO).await;
    let config = || world.config_with("events: [{interval: 1m}]");
    let exporter = world.start_with(config()).await;
    // Nobody has named ann and bob, whose connections are a month old.
    watched(&exporter, 0.0).await;
    world.skip(11);
    let failing = |samples: &_| sum(samples, "basiq_connections_failing", &[]);
    exporter.until("bob's invalidated connection", |samples| failing(samples) == 1.0).await;
    exporter.stop().await.unwrap();

    // Meanwhile bob gives the password again, and cid comes.
    world.skip(40);
    let cid = "{name: cid, created: 50m, connections: [{institution: AU00002, created: 50m}]}";
    world.sandbox.change(Change::AddUser(Box::new(daemon::config::decode("test", cid).unwrap()))).unwrap();
    let jobs = world.requests("jobs");
    let exporter = world.start_with(config()).await;
    watched(&exporter, 2.0).await;
    let ended = "basiq_connection_ended_timestamp_seconds";
    let recovered =
        |samples: &_| sum(samples, ended, &[("scenario", "recovered")]) > 0.0 && failing(samples) == 0.0;
    exporter.until("bob's recovery", recovered).await;
    assert!(world.requests("jobs") <= jobs + 8, "only who has news is looked at");

    world.sandbox.change(Change::DeleteUser { user: "bob".to_owned() }).unwrap();
    world.tick(61);
    watched(&exporter, 1.0).await;
    // Events that are read again after a restart bring nobody back.
    exporter.stop().await.unwrap();
    let exporter = world.start_with(config()).await;
    watched(&exporter, 1.0).await;
    exporter.stop().await.unwrap();
}
