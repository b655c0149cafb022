//! The refresh of a connection at Basiq, and the word to the exporter.

use std::sync::{Arc, Mutex};

use basiq_alerter::{
    channels::{
        DeliveryError,
        refresh::{AtBasiq, RefreshSettings},
    },
    evidence::{ExporterConfig, hints},
    refresh::{Refreshed, Refresher},
};
use daemon::{Clock, Timestamp};
use serde_json::{Value, json};

use crate::{
    store::suite::now,
    support::{
        http::{AsyncHandler, Faults, Said, serve},
        web::{Got, Reply, Web},
    },
};

/// Basiq with one connection, whose status and jobs are these.
#[derive(Default)]
struct Basiq {
    jobs: Mutex<Vec<Value>>,
    refreshes: Mutex<u32>,
    invalid: std::sync::atomic::AtomicBool,
    /// Whether refreshes are answered with 403.
    forbids: bool,
}

impl AsyncHandler for Arc<Basiq> {
    async fn answer(&self, got: Got) -> Said {
        let (method, target) = got.target();
        let path = target.split('?').next().unwrap_or_default();
        match (method, path) {
            ("POST", "/token") => {
                Said::json(200, &json!({"access_token": "t", "expires_in": 3600, "token_type": "Bearer"}))
            }
            ("GET", "/users/u-1/connections") => {
                let invalid = self.invalid.load(std::sync::atomic::Ordering::SeqCst);
                let status = if invalid { "invalid" } else { "active" };
                let connection =
                    json!({"id": "c-1", "status": status, "method": "web", "institution": {"id": "AU00001"}});
                Said::json(200, &json!({"type": "list", "data": [connection]}))
            }
            ("GET", "/users/u-1/jobs") => {
                Said::json(200, &json!({"type": "list", "data": *self.jobs.lock().unwrap()}))
            }
            ("POST", "/users/u-1/connections/c-1/refresh") => {
                *self.refreshes.lock().unwrap() += 1;
                if self.forbids {
                    let error = json!({"type": "error", "code": "access-denied", "title": "Access denied."});
                    return Said::json(403, &json!({"type": "list", "data": [error]}));
                }
                Said::json(202, &json!({"type": "job", "id": "job-new"}))
            }
            _ => Said::json(404, &json!({"data": []})),
        }
    }
}

/// A job of the connection that runs since then.
fn job(id: &str, created: Timestamp) -> Value {
    json!({
        "type": "job",
        "id": id,
        "created": created.to_string(),
        "updated": created.to_string(),
        "steps": [{"title": "verify-credentials", "status": "success", "result": {"type": "link"}}],
        "links": {"source": "https://au-api.basiq.io/users/u-1/connections/c-1"},
    })
}

/// "After an unknown outcome the jobs are read first": one that began since was ours, and no other is asked for. The
/// exporter hears of it, with the login that it asks for.
#[tokio::test]
async fn after_an_unknown_outcome_the_jobs_are_read_first_and_the_exporter_hears_with_its_login() {
    let (basiq, exporter) =
        (Arc::new(Basiq::default()), Web::start(Reply::Say(202, "", String::new())).await);
    // A second installation changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = serve(Faults::default(), basiq.clone()).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "t0ken-of-the-exporter\n").unwrap();
    let (clock, _hand) = Clock::manual(now());
    let client = ::basiq::Client::new(::basiq::ClientConfig {
        base_url: url,
        clock: clock.clone(),
        ..::basiq::ClientConfig::new(::basiq::KeySource::value(daemon::Secret::new("key")))
    })
    .unwrap();
    let config = ExporterConfig {
        url: exporter.url.clone(),
        bearer_token_file: Some("token".into()),
        ..ExporterConfig::default()
    };
    // The token's path is relative to the configuration file.
    let targets = hints(&[config], Some(&folder.path().join("alerter.yml"))).unwrap();
    let at_basiq = AtBasiq::new(client, clock, targets, RefreshSettings::default()).unwrap();

    let asked = now() - crate::world::minutes(10);
    *basiq.jobs.lock().unwrap() = vec![
        job("job-old", asked - crate::world::hours(2)),
        job("job-ours", asked + crate::world::minutes(1)),
    ];
    let found = at_basiq.refresh("u-1", "c-1", Some(asked)).await.unwrap();
    assert_eq!(found, Refreshed::Started { job: "job-ours".to_owned() });
    assert_eq!(*basiq.refreshes.lock().unwrap(), 0, "it was not asked for twice");
    let hint = exporter.got().remove(0);
    assert_eq!(hint.target(), ("POST", "/api/v1/hints"));
    assert_eq!(hint.header("authorization"), Some("Bearer t0ken-of-the-exporter"));
    assert_eq!(hint.json()["job_id"], "job-ours");

    // Nothing began since: it never arrived, and is asked for.
    let later = now() - crate::world::minutes(1);
    basiq.jobs.lock().unwrap().truncate(1);
    let started = at_basiq.refresh("u-1", "c-1", Some(later)).await.unwrap();
    assert_eq!(started, Refreshed::Started { job: "job-new".to_owned() });
    assert_eq!(*basiq.refreshes.lock().unwrap(), 1);
}

/// "A 4xx refusal ends retrying": also the 403 that Basiq may say of an invalid connection. Of an active one it is
/// the key that lacks the right, which concerns all.
#[tokio::test]
async fn a_403_about_an_invalid_connection_is_a_refusal_and_no_fault_of_the_channel() {
    let basiq = Arc::new(Basiq { forbids: true, ..Basiq::default() });
    // A second installation changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = serve(Faults::default(), basiq.clone()).await;
    let (clock, _hand) = Clock::manual(now());
    let client = ::basiq::Client::new(::basiq::ClientConfig {
        base_url: url,
        clock: clock.clone(),
        ..::basiq::ClientConfig::new(::basiq::KeySource::value(daemon::Secret::new("key")))
    })
    .unwrap();
    let at_basiq = AtBasiq::new(client, clock, Vec::new(), RefreshSettings::default()).unwrap();
    let mut failed = job("job-1", now() - crate::world::hours(1));
    failed["steps"] = json!([{
        "title": "retrieve-accounts", "status": "failed",
        "result": {"type": "error", "code": "service-unavailable", "title": "Service unavailable"},
    }]);
    *basiq.jobs.lock().unwrap() = vec![failed];
    let error = at_basiq.refresh("u-1", "c-1", None).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Channel { .. }), "{error}");
    basiq.invalid.store(true, std::sync::atomic::Ordering::SeqCst);
    let refused = at_basiq.refresh("u-1", "c-1", None).await.unwrap();
    assert!(matches!(&refused, Refreshed::Refused { why } if why.contains("access-denied")), "{refused:?}");
}
