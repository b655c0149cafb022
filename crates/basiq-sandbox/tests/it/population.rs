//! Generated users: the same from the same seed, whoever looks and whenever.

use basiq_sandbox::{SandboxConfig, Scenario};

use crate::support::{Basiq, hours, start_time};

async fn world(seed: u64) -> Basiq {
    let mut scenario = Scenario::from_yaml(
        "population: {users: 2000, connections: 2, wrong_credentials: 0.05, unavailable: 0.05}",
    )
    .unwrap();
    scenario.seed = seed;
    Basiq::start_with(SandboxConfig { scenario, epoch: Some(start_time()), ..SandboxConfig::default() }).await
}

#[tokio::test]
async fn the_same_seed_gives_the_same_world_however_it_is_looked_at() {
    let (often, once, other) = (world(1).await, world(1).await, world(2).await);
    for _ in 0..40 {
        often.hand.advance(hours(2));
        often.handle.truth_of(&often.handle.user_ids()[7]);
    }
    once.hand.advance(hours(80));
    assert_eq!(often.handle.user_ids(), once.handle.user_ids());
    assert_ne!(often.handle.user_ids(), other.handle.user_ids());
    for id in often.handle.user_ids().into_iter().step_by(37) {
        let [a, b] =
            [&often, &once].map(|basiq| serde_json::to_value(basiq.handle.truth_of(&id).unwrap()).unwrap());
        assert_eq!(a, b);
    }
    often.renew().await;
    once.renew().await;
    let path = format!("/users/{}/jobs", often.handle.user_ids()[1234]);
    let (mut a, mut b) = (often.get(&path).await.body, once.get(&path).await.body);
    for body in [&mut a, &mut b] {
        // Links name the port.
        *body = serde_json::from_str(
            &body.to_string().replace(&often.handle.base_url(), "").replace(&once.handle.base_url(), ""),
        )
        .unwrap();
    }
    assert_eq!(a, b);
}

#[tokio::test]
async fn looking_holds_nobody_and_changing_holds_one() {
    let basiq = world(1).await;
    let id = basiq.handle.user_ids()[100].clone();
    let jobs = basiq.get(&format!("/users/{id}/jobs")).await.body;
    let job = jobs["data"][0]["id"].as_str().unwrap();
    assert_eq!(basiq.get(&format!("/jobs/{job}")).await.body["id"], job);
    assert!(basiq.handle.truth().users.is_empty());
    let connection = basiq.handle.truth_of(&id).unwrap().connections[0].id.clone();
    assert_eq!(basiq.post(&format!("/users/{id}/connections/{connection}/refresh")).await.status, 202);
    let held: Vec<_> = basiq.handle.truth().users.into_iter().map(|user| user.id).collect();
    assert_eq!(held, [id]);
}

#[tokio::test]
async fn rates_are_those_that_were_set() {
    let basiq = world(3).await;
    basiq.hand.advance(hours(24 * 10));
    let ids = basiq.handle.user_ids();
    let (mut failed, mut all) = (0, 0);
    for id in ids.iter().step_by(4) {
        for connection in basiq.handle.truth_of(id).unwrap().connections {
            all += 1;
            failed += usize::from(
                connection.jobs.iter().any(|job| job.tries.iter().any(|run| run.failed.is_some())),
            );
        }
    }
    // A third of the failures (10 of 30 days, and three days before) have happened; half of the connections have no password.
    let share = f64::from(u32::try_from(failed).unwrap()) / f64::from(u32::try_from(all).unwrap());
    assert!((0.01..0.06).contains(&share), "{failed} of {all}");
}
