//! The product's own client against the sandbox: it reads all that is there, under every switch, and outlives all faults.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use basiq::{
    Client, ClientConfig, ConnectorFilter, EventFilter, KeySource, NewSubscription, Priority, Quota,
    Refreshed,
    job::{self, Outcome},
};
use basiq_sandbox::{
    Handle, Sandbox, SandboxConfig, Scenario, Switches,
    faults::{Fault, FaultKind},
    scenario::Span,
};
use daemon::{Clock, Secret, Timestamp};

use crate::support::{Basiq, hours};

const STORY: &str = "
users:
  - {name: well, connections: [{timeline: [{at: 10m, do: update}, {at: 20m, do: report}, {at: 30m, do: statement}]}]}
  - {name: locked, connections: [{failures: [{code: invalid-credentials, from: 5m, queue: never}], timeline: [{at: 10m, do: update}]}]}
  - {name: queued, connections: [{failures: [{from: 5m, until: 9h}], timeline: [{at: 10m, do: update}]}]}
  - {name: consented, connections: [{method: openbanking, timeline: [{at: 10m, do: update}, {at: 40m, do: revoke-consent}]}]}
";

fn client(handle: &Handle, clock: Clock, quota: Quota) -> Client {
    let mut config = ClientConfig::new(KeySource::value(Secret::new(handle.api_key.clone())));
    config.base_url = handle.base_url();
    config.clock = clock;
    config.quota = quota;
    config.request_timeout = Duration::from_millis(500);
    config.max_body = 1024 * 1024;
    Client::new(config).unwrap()
}

/// What truth and client say of the same jobs: the id, and whether it failed, where it is neither running nor queued.
fn ended(truth: &basiq_sandbox::truth::User) -> BTreeSet<(String, bool)> {
    let jobs = truth.connections.iter().flat_map(|connection| &connection.jobs);
    let ended = jobs.filter(|job| job.next_try.is_none());
    ended.map(|job| (job.id.clone(), job.tries.last().is_some_and(|last| last.failed.is_some()))).collect()
}

#[tokio::test]
async fn the_client_reads_all_that_there_is_under_every_switch() {
    let ample = Quota { per_second: 1e6, burst: 100_000, ..Quota::default() };
    for (name, switches) in Switches::each() {
        let mut scenario = Scenario::from_yaml(STORY).unwrap();
        scenario.switches = switches;
        let config = SandboxConfig { scenario, page_size: Some(100), ..SandboxConfig::default() };
        let basiq = Basiq::start_with(config).await;
        // A clock of its own: the quota must not wait for a hand.
        let client = client(&basiq.handle, Clock::system(), ample);
        basiq.hand.advance(hours(5));
        for truth in basiq.handle.truth().users {
            let user = client.user(&truth.id, Priority::Routine).await.unwrap();
            assert_eq!(user.id, truth.id, "{name}");
            let jobs = client.jobs(&truth.id, None, Priority::Routine).await.unwrap();
            let all: BTreeSet<_> =
                truth.connections.iter().flat_map(|connection| &connection.jobs).map(|job| &job.id).collect();
            assert_eq!(jobs.iter().map(|job| &job.id).collect::<BTreeSet<_>>(), all, "{name} {}", truth.name);
            let queued: BTreeSet<_> = truth
                .connections
                .iter()
                .flat_map(|connection| &connection.jobs)
                .filter(|job| job.next_try.is_some())
                .map(|job| job.id.as_str())
                .collect();
            assert_eq!(queued.len(), usize::from(truth.name == "queued"), "{name}: the story holds");
            let settled = jobs.iter().filter(|job| !queued.contains(job.id.as_str()));
            let seen: BTreeSet<_> = settled
                .map(|job| {
                    assert!(job::outcome(job).is_finished(), "{name}: {job:?}");
                    assert!(job.created.is_some() && job::finished_at(job).is_some(), "{name}: {job:?}");
                    (job.id.clone(), matches!(job::outcome(job), Outcome::Failed { .. }))
                })
                .collect();
            assert_eq!(seen, ended(&truth), "{name} {}", truth.name);

            let connections = client.connections(&truth.id, None, Priority::Routine).await.unwrap();
            for (seen, connection) in connections.iter().zip(&truth.connections) {
                assert_eq!(seen.id, connection.id, "{name}");
                let one = client.connections(&truth.id, Some(&seen.id), Priority::Routine).await.unwrap();
                assert!(one.len() == 1 && one[0] == *seen, "{name}");
                let filtered = client.jobs(&truth.id, Some(&seen.id), Priority::Routine).await.unwrap();
                assert!(!filtered.is_empty() && filtered.len() <= jobs.len(), "{name}");
            }
            for job in &jobs {
                let single = client.job(&job.id, Priority::Running).await.unwrap();
                assert_eq!((&single.id, job::outcome(&single)), (&job.id, job::outcome(job)), "{name}");
            }
        }
        let connectors = client.connectors(&ConnectorFilter::default(), Priority::Routine).await.unwrap();
        assert!(connectors.len() > 300, "{name}: {} connectors", connectors.len());
        let events = client.events(&EventFilter::default(), Priority::Routine).await.unwrap();
        assert!(
            events.iter().any(|event| event.entity == "consent" && event.event_type == "revoked"),
            "{name}"
        );
        let event = client.event(&events[0].id, Priority::Routine).await.unwrap();
        assert_eq!(event.id, events[0].id, "{name}");

        let queued = basiq.handle.truth_of("queued").unwrap();
        let of = |name: &str| basiq.handle.connection_ids(name)[0].clone();
        let refreshed = client.refresh(&queued.id, &of("queued"), Priority::Effect).await.unwrap();
        assert_eq!(refreshed.job().id, queued.connections[0].jobs.last().unwrap().id, "{name}: a 200");
        assert!(matches!(refreshed, Refreshed::Existing(_)), "{name}");
        let well = basiq.user("well");
        let refreshed = client.refresh(&well, &of("well"), Priority::Effect).await.unwrap();
        assert!(matches!(refreshed, Refreshed::Started(_)), "{name}: a 202");
    }
}

#[tokio::test]
async fn the_client_keeps_webhook_subscriptions() {
    let basiq = Basiq::yaml(STORY).await;
    let client = client(&basiq.handle, Clock::system(), Quota { per_second: 1e6, ..Quota::default() });
    let mut wanted = NewSubscription {
        name: "exporter".into(),
        description: String::new(),
        url: "https://hooks.example.com/basiq".into(),
        subscribed_events: vec!["connection.invalidated".into()],
    };
    let made = client.subscribe(&wanted, Priority::Routine).await.unwrap();
    assert!(made.secret.is_some(), "the answer alone carries the secret");
    let listed = client.subscriptions(Priority::Routine).await.unwrap();
    assert_eq!(
        listed.iter().map(|one| (&one.id, one.status.as_str())).collect::<Vec<_>>(),
        [(&made.id, "active")]
    );
    assert!(listed[0].secret.is_none());
    wanted.subscribed_events.push("connection.activated".into());
    client.update_subscription(&made.id, &wanted, Priority::Routine).await.unwrap();
    let listed = client.subscriptions(Priority::Routine).await.unwrap();
    assert_eq!(listed[0].subscribed_events, wanted.subscribed_events);
    assert!(client.messages(&made.id, Priority::Routine).await.unwrap().is_empty());
    client.unsubscribe(&made.id, Priority::Routine).await.unwrap();
    assert!(client.subscriptions(Priority::Routine).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_soak_against_all_faults_leaves_nothing_stuck_and_keeps_the_quota() {
    const SPEED: f64 = 100.0;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let clock = Clock::scaled(Timestamp::now(), SPEED);
    let mut scenario = Scenario::quickstart().unwrap();
    scenario.population.users = 1000;
    let config = SandboxConfig { scenario, clock: clock.clone(), ..SandboxConfig::default() };
    let handle = Sandbox::start(config).await.unwrap();
    let status = |code, retry_after| FaultKind::Status { code, retry_after };
    let faults = [
        status(429, Some(2)),
        status(429, None),
        status(403, None),
        status(500, None),
        status(503, Some(1)),
        FaultKind::Slow(Span::seconds(1)),
        FaultKind::Hang,
        FaultKind::Cut,
        FaultKind::Truncate,
        FaultKind::Malform,
        FaultKind::WrongTypes,
        FaultKind::Huge(4 << 20),
        FaultKind::Skew(Span::seconds(3600)),
    ];
    let any = |kind: &FaultKind| Fault { route: None, ..Fault::on("", kind.clone()).share(0.04) };
    handle.set_faults(faults.iter().map(any).collect()).unwrap();
    let quota = Quota { per_second: 4.0, burst: 8, per_day: 100_000, concurrency: 8 };
    let began = Instant::now();
    let client = client(&handle, clock, quota);
    let users: Vec<_> = (0..1000).filter_map(|number| handle.user_id_at(number)).collect();
    let callers: Vec<_> = users
        .chunks(50)
        .map(|users| {
            let (client, users) = (client.clone(), users.to_vec());
            tokio::spawn(async move {
                let mut kinds = Vec::new();
                for (n, user) in users.iter().take(12).enumerate() {
                    let failed = match n % 3 {
                        0 => client.jobs(user, None, Priority::Routine).await.err(),
                        1 => client.connections(user, None, Priority::Running).await.err(),
                        _ => client.events(&EventFilter::default(), Priority::Background).await.err(),
                    };
                    kinds.push(failed.map_or("ok", |error| error.kind.as_str()));
                }
                kinds
            })
        })
        .collect();
    let mut kinds = Vec::new();
    for caller in callers {
        kinds.extend(
            tokio::time::timeout(Duration::from_secs(60), caller).await.expect("a call is stuck").unwrap(),
        );
    }
    let truth = handle.truth();
    let asked: u64 = truth.requests.values().map(|route| route.requests).sum();
    let allowed = f64::from(quota.burst) + quota.per_second * began.elapsed().as_secs_f64() * SPEED;
    #[allow(clippy::cast_precision_loss, reason = "some thousand requests")]
    let asked_in_all = asked as f64;
    assert!(asked_in_all <= allowed + 1.0, "{asked} asked, {allowed} allowed");
    let good = kinds.iter().filter(|kind| **kind == "ok").count();
    let seen: BTreeSet<_> = kinds.into_iter().collect();
    assert!(good > 100 && seen.len() >= 5, "{good} good, {seen:?}");
    let status = client.status();
    assert_eq!((status.in_flight, status.waiting), (0, 0));
}
