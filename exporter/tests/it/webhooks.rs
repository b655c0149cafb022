//! Webhooks, from the sandbox's sender to the pages: honest, forged, late, replayed, lost.

use basiq::{NewSubscription, Priority};
use basiq_sandbox::{
    Change, Trick,
    faults::{Fault, FaultKind},
};
use tokio::net::TcpListener;

use crate::world::{Running, World, one, sum};

const STORY: &str = r#"
users:
  - name: ann
    connections:
      - institution: AU00000
        failures: [{as: bighead, from: 5m, until: credentials}]
        timeline: [{at: 10m, do: update}, {at: 20m, do: give-credentials}]
  - name: bob
    connections:
      - institution: AU00001
        failures: [{as: bighead, from: 30m, until: credentials}]
        timeline: [{at: 31m, do: update}]
  - name: cid
    connections:
      - institution: AU00002
        failures: [{as: bighead, from: 30m, until: credentials}]
        timeline: [{at: 70m, do: update}]
"#;

const EVENTS: [&str; 8] = [
    "user.created",
    "user.deleted",
    "connection.created",
    "connection.deleted",
    "connection.invalidated",
    "connection.activated",
    "consent.revoked",
    "transactions.updated",
];

struct Subscribed {
    id: String,
    public: TcpListener,
    config: basiq_exporter::Config,
}

async fn subscribe(world: &World) -> Subscribed {
    let public = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hooks/basiq", public.local_addr().unwrap());
    let new = NewSubscription {
        name: "exporter".to_owned(),
        url: url.clone(),
        subscribed_events: EVENTS.map(str::to_owned).to_vec(),
        ..NewSubscription::default()
    };
    let made = world.client().subscribe(&new, Priority::Effect).await.unwrap();
    let secret = world.path("webhook-secret");
    std::fs::write(&secret, made.secret.unwrap().expose()).unwrap();
    let config = world.config_with(&format!(
        "{{file: [{{paths: ['{}']}}], webhooks: [{{url: '{url}', secret_file: '{}', interval: 5m}}]}}",
        world.path("users.yml").display(),
        secret.display()
    ));
    Subscribed { id: made.id, public, config }
}

async fn ended(exporter: &Running, outcome: &str, times: f64) {
    let name = "basiq_exporter_webhooks_total";
    let holds = |samples: &_| sum(samples, name, &[("outcome", outcome)]) == times;
    exporter.until(&format!("{times} webhooks {outcome}"), holds).await;
}

const ACTIVE: &str = "basiq_exporter_webhook_subscription_active";

fn failing(samples: &crate::world::Samples) -> f64 {
    sum(samples, "basiq_connections_failing", &[])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_basiq_announces_is_seen_at_once_and_only_what_basiq_announces() {
    let world = World::new(STORY).await;
    let Subscribed { public, config, .. } = subscribe(&world).await;
    let (exporter, _) = world.start_public(config, &world.sandbox.api_key, Some(public)).await;
    exporter.until_warm().await;
    exporter.until("the subscription is active", |samples| one(samples, ACTIVE) == Some(1.0)).await;
    // Without webhooks ann's turn would come within a day.
    world.skip(11);
    exporter.until("ann's failure", |samples| failing(samples) == 1.0).await;
    ended(&exporter, "accepted", 1.0).await;
    let jobs = world.requests("jobs");
    for (trick, outcome) in [(Trick::Forged, "forged"), (Trick::Late, "late"), (Trick::Replayed, "replayed")]
    {
        world.sandbox.change(Change::Webhook(trick)).unwrap();
        ended(&exporter, outcome, 1.0).await;
    }
    assert_eq!(world.requests("jobs"), jobs, "what is refused asks nothing of Basiq");
    world.sandbox.change(Change::Webhook(Trick::Duplicated)).unwrap();
    ended(&exporter, "accepted", 2.0).await;
    let finished = |samples: &_| sum(samples, "basiq_jobs_finished_total", &[("outcome", "failed")]);
    assert_eq!(finished(&exporter.samples().await), 1.0, "told twice, counted once");
    // Success is announced, too, and what the subscription names beyond need is taken and ignored.
    world.skip(10);
    exporter.until("ann's recovery", |samples| failing(samples) == 0.0).await;
    let ignored =
        |samples: &_| sum(samples, "basiq_exporter_webhooks_total", &[("outcome", "ignored")]) > 0.0;
    exporter.until("transactions.updated ignored", ignored).await;
    exporter.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_cannot_be_explained_comes_again_and_a_lost_subscription_is_noticed_and_made_up_for() {
    let world = World::new(STORY).await;
    let Subscribed { id, public, config } = subscribe(&world).await;
    let (exporter, _) = world.start_public(config, &world.sandbox.api_key, Some(public)).await;
    exporter.until_warm().await;
    let broken = Fault::on("event", FaultKind::Status { code: 500, retry_after: None });
    world.sandbox.set_faults(vec![broken]).unwrap();
    world.skip(11);
    ended(&exporter, "failed", 1.0).await;
    assert_eq!(failing(&exporter.samples().await), 0.0);
    world.sandbox.set_faults(Vec::new()).unwrap();
    // Basiq tries again after 5 seconds.
    world.tick(6);
    exporter.until("ann's failure", |samples| failing(samples) == 1.0).await;

    world.client().unsubscribe(&id, Priority::Effect).await.unwrap();
    world.skip(10);
    exporter.until("the loss noticed", |samples| one(samples, ACTIVE) == Some(0.0)).await;
    // Bob's failure is not announced, but listed.
    world.skip(12);
    let bobs = |samples: &_| sum(samples, "basiq_connections_failing", &[("institution", "AU00001")]) == 1.0;
    exporter.until("bob's failure", bobs).await;
    exporter.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_without_webhooks_and_webhooks_without_a_listener_are_refused() {
    let world = World::new(STORY).await;
    let Subscribed { public, config, .. } = subscribe(&world).await;
    let (exporter, _) = world.start_public(config, &world.sandbox.api_key, None).await;
    let error = exporter.ended().await.unwrap_err();
    assert!(error.code() == 2 && error.to_string().contains("--web.public-address"), "{error}");
    let (exporter, _) = world.start_public(world.config(), &world.sandbox.api_key, Some(public)).await;
    let error = exporter.ended().await.unwrap_err();
    assert!(error.code() == 2 && error.to_string().contains("discovery.webhooks"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_makes_the_subscription_and_keeps_its_secret_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;

    let world = World::new(STORY).await;
    let public = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let secret = world.path("made-secret");
    let config = world.config_with(&format!(
        "{{file: [{{paths: ['{}']}}], webhooks: [{{url: 'http://{}/hooks', secret_file: '{}', interval: 5m}}]}}",
        world.path("users.yml").display(),
        public.local_addr().unwrap(),
        secret.display()
    ));
    let context = daemon::Context::new(world.clock.clone());
    let key = || Some(daemon::Secret::new(&world.sandbox.api_key));
    basiq_exporter::subscribe(&config, key(), false, &context).await.unwrap();
    assert_eq!(std::fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
    let first = std::fs::read_to_string(&secret).unwrap();
    assert!(first.starts_with("whsec_"));

    // Again it changes nothing, neither with the secret at hand nor without, unless it is told to.
    let error = basiq_exporter::subscribe(&config, key(), false, &context).await.unwrap_err().to_string();
    assert!(error.contains("--replace") && !error.contains(&first), "{error}");
    std::fs::remove_file(&secret).unwrap();
    let error = basiq_exporter::subscribe(&config, key(), false, &context).await.unwrap_err().to_string();
    assert!(error.contains("--replace") && !secret.exists(), "{error}");
    basiq_exporter::subscribe(&config, key(), true, &context).await.unwrap();
    assert_ne!(std::fs::read_to_string(&secret).unwrap(), first);
    assert_eq!(world.client().subscriptions(Priority::Effect).await.unwrap().len(), 1);
    let left = std::fs::read_dir(world.folder.path()).unwrap();
    assert!(left.filter_map(Result::ok).all(|file| !file.file_name().to_string_lossy().ends_with(".new")));

    // What it made works.
    let (exporter, _) = world.start_public(config, &world.sandbox.api_key, Some(public)).await;
    exporter.until_warm().await;
    world.skip(11);
    exporter.until("ann's failure", |samples| failing(samples) == 1.0).await;
    exporter.stop().await.unwrap();
    // Without a listener there is nothing to make.
    let error = basiq_exporter::subscribe(&world.config(), key(), false, &context).await.unwrap_err();
    assert!(error.code() == 2 && error.to_string().contains("discovery.webhooks"), "{error}");
}
