//! What the pages say against what really happened, under each value of the sandbox's switches.

use std::collections::{BTreeMap, BTreeSet};

use basiq_sandbox::{
    faults::{Fault, FaultKind},
    scenario::{JobKind, Span},
    switches::*,
    truth::Truth,
};
use daemon::Timestamp;

use crate::world::{Samples, World, label, one, sum};

/// Wrong passwords, an outage, the retry queue, a queue that expires, success, other jobs, a deleted connection.
const STORY: &str = r#"
seed: 7
users:
  - name: password
    connections:
      - institution: AU00000
        failures: [{code: invalid-credentials, from: 5m, until: credentials}]
        timeline: [{at: -5h, do: update}, {at: 10m, do: update}, {at: 90m, do: give-credentials}]
  - name: stays-wrong
    connections:
      - institution: AU00000
        failures: [{as: bighead, from: 5m, until: never}]
        timeline: [{at: -5h, do: update}, {at: 12m, do: update}]
  - name: queue-heals
    connections:
      - institution: AU00001
        failures: [{code: service-unavailable, step: retrieve-transactions, from: 5m, until: 1h}]
        timeline: [{at: -5h, do: update}, {at: 14m, do: update}]
  - name: not-queued
    connections:
      - institution: AU00001
        failures: [{code: service-unavailable, from: 5m, until: 1h, queue: never}]
        timeline: [{at: -5h, do: update}, {at: 20m, do: update}, {at: 80m, do: update}]
  - name: gone
    connections:
      - institution: AU00002
        failures: [{code: user-action-required, from: 5m, until: never}]
        timeline: [{at: -5h, do: update}, {at: 16m, do: update}, {at: 70m, do: delete}]
  - name: two
    connections:
      - institution: AU00000
        timeline: [{at: -5h, do: update}, {at: 30m, do: update}, {at: 60m, do: report}]
      - institution: AU00003
        method: openbanking
        timeline: [{at: -5h, do: update}, {at: 40m, do: update}, {at: 61m, do: statement}]
"#;

/// Counts of finished connection jobs by institution and outcome, as far as they finished after `born` and could be
/// observed: where Basiq shows a queued job as pending or running between its tries, nobody sees that a try failed, and
/// the job counts when it has succeeded at last.
fn finished(truth: &Truth, born: Timestamp, queue_is_visible: bool) -> BTreeMap<(String, &'static str), f64> {
    let mut counts = BTreeMap::new();
    for connection in truth.users.iter().flat_map(|user| &user.connections) {
        for job in
            connection.jobs.iter().filter(|job| !matches!(job.kind, JobKind::Report | JobKind::Statement))
        {
            let ended = |failed: bool| {
                job.tries
                    .iter()
                    .any(|run| run.failed.is_some() == failed && run.ended <= truth.now && run.ended > born)
            };
            let was_queued = job.next_try.is_some() || job.left.is_some();
            if ended(true) && (queue_is_visible || !was_queued) {
                *counts.entry((connection.institution.clone(), "failed")).or_default() += 1.0;
            }
            if ended(false) {
                *counts.entry((connection.institution.clone(), "success")).or_default() += 1.0;
            }
        }
    }
    counts
}

/// Counts of the same jobs' steps by institution, step and, of failures, code: each outcome of a step once, however often
/// Basiq tried it.
fn steps(truth: &Truth, born: Timestamp, queue_is_visible: bool) -> BTreeMap<Step, f64> {
    let mut counts = BTreeMap::new();
    for connection in truth.users.iter().flat_map(|user| &user.connections) {
        for job in
            connection.jobs.iter().filter(|job| !matches!(job.kind, JobKind::Report | JobKind::Statement))
        {
            let was_queued = job.next_try.is_some() || job.left.is_some();
            let observable = |failed: bool| !failed || queue_is_visible || !was_queued;
            let ended = job.tries.iter().filter(|run| run.ended <= truth.now && run.ended > born);
            let mut outcomes = BTreeSet::new();
            for run in ended.filter(|run| observable(run.failed.is_some())) {
                for (nth, step) in run.steps.iter().enumerate() {
                    let failed = run.failed.as_ref().filter(|_| nth + 1 == run.steps.len());
                    outcomes.insert((nth, step, failed.map(|(_, code)| code)));
                }
            }
            for (_, step, code) in outcomes {
                let key = |code| (connection.institution.clone(), step.clone(), code);
                *counts.entry(key(None)).or_default() += 1.0;
                if let Some(code) = code {
                    *counts.entry(key(Some(code.clone()))).or_default() += 1.0;
                }
            }
        }
    }
    counts
}

/// Institution, step and, of failures, code.
type Step = (String, String, Option<String>);

fn shown_steps(samples: &Samples) -> BTreeMap<Step, f64> {
    let mut counts = BTreeMap::new();
    for ((name, labels), value) in samples {
        let code = match name.as_str() {
            "basiq_job_steps_total" => None,
            "basiq_job_steps_failed_total" => Some(labels["code"].clone()),
            _ => continue,
        };
        if *value > 0.0 && (labels["method"] == "web" || labels["method"] == "openbanking") {
            *counts.entry((labels["institution"].clone(), labels["step"].clone(), code)).or_default() +=
                value;
        }
    }
    counts
}

/// Connections by institution and status.
fn statuses(truth: &Truth) -> BTreeMap<(String, String), f64> {
    let mut counts = BTreeMap::new();
    let all = truth.users.iter().filter(|user| user.deleted.is_none()).flat_map(|user| &user.connections);
    for connection in all.filter(|connection| connection.deleted.is_none()) {
        let status = serde_json::to_value(connection.status).unwrap().as_str().unwrap().to_owned();
        *counts.entry((connection.institution.clone(), status)).or_default() += 1.0;
    }
    counts
}

fn shown_statuses(samples: &Samples) -> BTreeMap<(String, String), f64> {
    let mut counts = BTreeMap::new();
    for ((name, labels), value) in samples {
        if name == "basiq_connections" && *value > 0.0 {
            *counts.entry((labels["institution"].clone(), labels["status"].clone())).or_default() += value;
        }
    }
    counts
}

fn shown(samples: &Samples) -> BTreeMap<(String, &'static str), f64> {
    let mut counts = BTreeMap::new();
    for ((name, labels), value) in samples {
        let of_connections =
            labels.get("method").is_some_and(|method| method == "web" || method == "openbanking");
        if name == "basiq_jobs_finished_total" && of_connections && *value > 0.0 {
            let outcome = if labels["outcome"] == "failed" { "failed" } else { "success" };
            *counts.entry((labels["institution"].clone(), outcome)).or_default() += value;
        }
    }
    counts
}

/// Every fault that the sandbox knows, at once. Of two the amount is bounded by what can be true afterwards: times that
/// are half a minute off leave the order of events as it was, and what hangs does so in real time.
fn all_faults() -> Vec<Fault> {
    let fault = |kind, share| Fault { route: None, kind, share, from: None, until: None, times: None };
    let status = |code, retry_after| FaultKind::Status { code, retry_after };
    vec![
        fault(status(500, None), 0.1),
        fault(status(503, None), 0.1),
        fault(status(429, Some(1)), 0.02),
        fault(status(403, None), 0.02),
        fault(status(401, None), 0.02),
        fault(FaultKind::Hang, 0.02).times(1),
        fault(FaultKind::Slow(Span::seconds(1)), 0.03),
        fault(FaultKind::Cut, 0.05),
        fault(FaultKind::Truncate, 0.05),
        fault(FaultKind::Malform, 0.05),
        fault(FaultKind::WrongTypes, 0.05),
        fault(FaultKind::Huge(10_000_000), 0.02),
        fault(FaultKind::Skew(Span::seconds(30)), 0.05),
    ]
}

async fn plays(switches: Switches, faults: Vec<Fault>) {
    let faulty = !faults.is_empty();
    let world = World::new(STORY).await;
    world.sandbox.set_switches(switches.clone());
    let born = world.clock.now();
    let exporter = world.start().await;
    // Most that happens begins in these ten minutes.
    world.pass_in(&exporter, 8, 4).await;
    world.sandbox.set_faults(faults).unwrap();
    world.pass_in(&exporter, 10, 1).await;
    world.sandbox.set_faults(Vec::new()).unwrap();
    // Until all is told, the last try of the queue at 2 h 14 min included.
    world.pass(&exporter, 130).await;
    // Looks that failed are tried again within minutes.
    let mut samples = exporter.samples().await;
    let (mut expected, mut expected_steps, mut expected_statuses) = Default::default();
    for _ in 0..12 {
        let (truth, visible) = (world.sandbox.truth(), switches.queued_steps == QueuedSteps::Failed);
        expected = finished(&truth, born, visible);
        expected_steps = steps(&truth, born, visible);
        expected_statuses = statuses(&truth);
        let failing = sum(&samples, "basiq_connections_failing", &[]);
        // The pause after the last fault may outlast the stories.
        let up = one(&samples, "basiq_up") == Some(1.0);
        let quiet = shown(&samples) == expected && shown_steps(&samples) == expected_steps;
        if quiet && shown_statuses(&samples) == expected_statuses && failing == 1.0 && up {
            break;
        }
        world.pass(&exporter, 10).await;
        samples = exporter.samples().await;
        // Ten minutes at a stroke age the last success until the connectors have been asked again.
        for _ in 0..50 {
            if one(&samples, "basiq_up") == Some(1.0) {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            samples = exporter.samples().await;
        }
    }
    assert!(expected.values().sum::<f64>() >= 9.0, "the story is told: {expected:?}");
    assert_eq!(shown(&samples), expected, "{switches:?}");
    assert_eq!(shown_steps(&samples), expected_steps, "{switches:?}");
    assert_eq!(shown_statuses(&samples), expected_statuses, "{switches:?}");
    let of = |user: &str| world.sandbox.connection_ids(user)[0].clone();
    let scenario =
        |user: &str, family: &str| label(&samples, family, &[("connection_id", &of(user))], "scenario");
    let since = "basiq_connection_failing_since_timestamp_seconds";
    let ended = "basiq_connection_ended_timestamp_seconds";
    assert_eq!(scenario("stays-wrong", since).as_deref(), Some("account-locked"));
    for user in ["password", "queue-heals", "not-queued", "gone", "two"] {
        assert_eq!(scenario(user, since), None, "{user}");
    }
    for user in ["password", "not-queued"] {
        // A failure and its end that faults let nobody see before one and the same look began nothing.
        let shown = scenario(user, ended);
        assert!(shown.as_deref() == Some("recovered") || faulty && shown.is_none(), "{user}: {shown:?}");
    }
    assert_eq!(scenario("gone", ended).as_deref(), Some("deleted"));
    assert_eq!(sum(&samples, "basiq_retry_queue_jobs", &[]), 0.0);
    if switches.queued_steps == QueuedSteps::Failed {
        assert_eq!(sum(&samples, "basiq_retry_queue_jobs_left_total", &[("reason", "success")]), 1.0);
    }
    assert_eq!(sum(&samples, "basiq_jobs_finished_total", &[("method", "report")]), 1.0);
    assert_eq!(one(&samples, "basiq_up"), Some(1.0), "{switches:?}");
    exporter.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_and_states_equal_the_truth() {
    plays(Switches::default(), Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn and_after_ten_minutes_of_all_faults_under_each_value_of_every_switch() {
    let all = Switches::each();
    assert!(all.len() > 20, "every value of every switch");
    for some in all.chunks(6) {
        let play = |(name, switches): &(String, Switches)| {
            eprintln!("with {name}");
            tokio::spawn(plays(switches.clone(), all_faults()))
        };
        let running: Vec<_> = some.iter().map(play).collect();
        for world in running {
            world.await.unwrap();
        }
    }
}
