//! Rounds: what is shown was stored, also when storing failed before.

use basiq::{ClientConfig, KeySource};
use daemon::{Clock, Secret, Timestamp};

use super::*;
use crate::{
    ledger::{ConnectionSeen, Settings, Status},
    poll::Need,
};

const NOON: Ms = 1_795_348_800_000;

async fn core(path: &std::path::Path) -> Core {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (clock, hand) = Clock::manual(Timestamp::from_millisecond(NOON).unwrap());
    std::mem::forget(hand);
    let (store, ledger, notes) = Store::open(path, Settings::default(), NOON).await.unwrap();
    let mut settings = ClientConfig::new(KeySource::value(Secret::new("key")));
    settings.clock = clock.clone();
    let client = Client::new(settings).unwrap();
    Core::new(
        ledger,
        (store, notes),
        Metrics::new().unwrap(),
        client,
        &Config::default(),
        Context::new(clock),
    )
}

fn id(text: &str) -> Id {
    Id::parse(text).unwrap()
}

fn invalid(connection: &str) -> ConnectionSeen {
    ConnectionSeen {
        id: id(connection),
        institution: "AU00000".to_owned(),
        method: Method::Web,
        status: Status::Invalid,
        created: NOON - 1000,
        last_used: 0,
        expiry: 0,
    }
}

impl Core {
    fn sees(&mut self, user: &str, connection: &str) {
        self.ledger.discover(2, &id(user), NOON);
        self.ledger.observe_connections(&id(user), &[invalid(connection)], NOON, NOON);
    }

    fn shows(&self, what: &str) -> bool {
        self.metrics.connections.to_text(exposition::Format::Text).contains(what)
    }
}

#[tokio::test]
async fn what_could_not_be_stored_is_not_shown_and_both_are_made_up_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let mut core = core(&path).await;
    core.store.refuse_writes(true).await;
    core.sees("u1", "first");
    let (stored, mut answer) = oneshot::channel();
    core.unstored.push(stored);
    core.round().await;
    assert!(!core.shows("first") && answer.try_recv().is_err(), "neither shown nor acknowledged");
    // Seen while the first still waits to be stored.
    core.sees("u2", "second");
    core.round().await;
    assert!(!core.shows("second"));
    core.store.refuse_writes(false).await;
    core.round().await;
    assert!(core.shows("first") && core.shows("second") && answer.try_recv().is_ok());
    core.store.close().await;
    let (_, ledger, _) = Store::open(&path, Settings::default(), NOON).await.unwrap();
    for (user, connection) in [("u1", "first"), ("u2", "second")] {
        assert!(ledger.knows(&id(user), &id(connection)), "{connection} is stored");
    }
}

#[tokio::test]
async fn throttling_changes_nothing_about_whether_basiq_is_up() {
    let dir = tempfile::tempdir().unwrap();
    let mut core = core(&dir.path().join("ledger.db")).await;
    let throttled = || basiq::Error {
        endpoint: basiq::Endpoint::Connectors,
        kind: basiq::ErrorKind::Throttled { retry_after: Duration::from_secs(3600) },
        correlation_id: None,
    };
    core.connectors(NOON, Err(throttled()), NOON);
    assert!(core.up_until <= NOON, "who was not up does not become it by being throttled");
    core.connectors(NOON, Ok(Vec::new()), NOON);
    let mut now = NOON;
    // A poll each minute, each of which may wait two minutes in the client.
    for _ in 0..40 {
        now += 60_000;
        let asked = now;
        now += 2 * 60_000 - 1;
        assert!(now < core.up_until, "{} minutes of throttling", (now - NOON) / 60_000);
        core.connectors(asked, Err(throttled()), now);
    }
}

#[tokio::test]
async fn what_was_spent_of_the_day_and_marks_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let mut first = core(&path).await;
    first.client.resume(&[(NOON / 3_600_000, 70)]);
    let news = crate::discovery::News { items: Vec::new(), mark: Some(NOON - 5) };
    first.found("events", Found::News(news), NOON);
    first.note_spending(NOON);
    first.round().await;
    first.store.close().await;
    let (_, _, notes) = Store::open(&path, Settings::default(), NOON).await.unwrap();
    assert_eq!(notes.spent, [(NOON / 3_600_000, 70)]);
    assert_eq!(notes.marks["events"], NOON - 5);
}

#[tokio::test]
async fn what_was_spent_is_stored_with_what_it_was_spent_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let mut killed = core(&path).await;
    killed.round().await;
    killed.client.resume(&[(NOON / 3_600_000, 7)]);
    killed.sees("u1", "c1");
    killed.round().await;
    // Closed without the rest of an orderly end.
    killed.store.close().await;
    let (_, _, notes) = Store::open(&path, Settings::default(), NOON).await.unwrap();
    assert_eq!(notes.spent, [(NOON / 3_600_000, 7)]);
}

#[tokio::test]
async fn a_queued_job_is_gone_only_when_basiq_has_said_so_for_an_hour() {
    const HOUR: Ms = 3_600_000;
    let dir = tempfile::tempdir().unwrap();
    let mut core = core(&dir.path().join("ledger.db")).await;
    core.sees("u1", "c1");
    let failed =
        crate::ledger::StepStatus::Failed { code: "service-unavailable".to_owned(), detail: String::new() };
    let step = crate::ledger::StepSeen { title: "verify-credentials".to_owned(), status: failed };
    let job = crate::ledger::JobSeen {
        id: id("j"),
        kind: crate::ledger::Kind::Connection,
        connection: Some(id("c1")),
        institution: None,
        created: NOON,
        updated: NOON + 1,
        steps: vec![step],
    };
    core.ledger.observe_jobs(&id("u1"), &[job], true, NOON + 2, NOON + 2);
    let hint = crate::ledger::HintKind::Updated;
    core.ledger.observe_hint(&id("u1"), Some(&id("c1")), Some(&id("j")), hint, NOON + 3);
    let place = core.ledger.place(&id("u1")).unwrap();
    let queued = |core: &Core| core.ledger.user(place).unwrap().jobs.iter().any(|job| job.is_queued());
    let look = |core: &mut Core, found: bool, now| {
        let plan = poll::plan(core.ledger.user(place).unwrap(), Need::Failing, &core.pace, now);
        assert_eq!(plan.jobs, [id("j")], "read where no list shows it");
        let gone = poll::ByJob { id: id("j"), asked: now, job: None };
        let by_id = if found { Vec::new() } else { vec![gone] };
        let look = Look { jobs: Some((now, Vec::new())), by_id, ..Look::default() };
        core.looked(place, &plan, look, now);
    };
    assert!(queued(&core));
    look(&mut core, false, NOON + HOUR);
    look(&mut core, false, NOON + HOUR + HOUR / 2);
    look(&mut core, true, NOON + 2 * HOUR);
    look(&mut core, false, NOON + 3 * HOUR);
    look(&mut core, false, NOON + 3 * HOUR + HOUR / 2);
    assert!(queued(&core), "once it was shown, and since for half an hour only it was not");
    look(&mut core, false, NOON + 4 * HOUR);
    assert!(!queued(&core));
}

#[tokio::test]
async fn an_event_older_than_the_last_look_asks_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut core = core(&dir.path().join("ledger.db")).await;
    core.sees("u1", "c1");
    core.ledger.observe_jobs(&id("u1"), &[], true, NOON, NOON);
    core.settle_for_test(NOON);
    let what = crate::discovery::What::Changed;
    let item = |at| crate::discovery::Item { user: id("u1"), at, what: what.clone() };
    let news = |at| Found::News(crate::discovery::News { items: vec![item(at)], mark: None });
    core.found("events", news(NOON - 3_600_000), NOON);
    assert_eq!(core.schedule.next(NOON), None);
    core.found("events", news(NOON + 1), NOON + 2);
    assert_eq!(core.schedule.next(NOON + 2).map(|(_, need, _)| need), Some(Need::Hint));
}

impl Core {
    /// Puts everybody where need says.
    fn settle_for_test(&mut self, now: Ms) {
        self.ledger.take_added();
        for (place, user) in self.ledger.users() {
            let (need, due) = poll::need(user, &self.pace, poll::Banks::Well, now);
            self.schedule.set(place, need, due + 1);
        }
    }
}

#[tokio::test]
async fn trouble_at_a_bank_is_reason_for_one_look_at_each_of_its_users_while_the_day_allows() {
    const WINDOW: Ms = 30 * 60_000;
    let dir = tempfile::tempdir().unwrap();
    let mut core = core(&dir.path().join("ledger.db")).await;
    let healthy = ConnectionSeen { status: Status::Active, ..invalid("c1") };
    core.ledger.discover(2, &id("u1"), NOON);
    core.ledger.observe_connections(&id("u1"), &[healthy], NOON, NOON);
    core.ledger.observe_jobs(&id("u1"), &[], true, NOON, NOON);
    core.settle_for_test(NOON);
    let bank = (core.ledger.institutions.intern("AU00000"), Method::Web);
    let place = core.ledger.place(&id("u1")).unwrap();
    let suspect = |core: &Core| core.is_suspect(core.ledger.user(place).unwrap());
    assert!(!suspect(&core));
    core.trouble_at(bank, NOON + 1);
    assert!(suspect(&core));
    assert_eq!(core.schedule.next(NOON + WINDOW - 1), None, "it was looked at just now");
    let at = NOON + WINDOW;
    assert_eq!(core.schedule.next(at), Some((place, Need::Suspect, at)));
    let plan = poll::plan(core.ledger.user(place).unwrap(), Need::Suspect, &core.pace, at);
    core.looked(place, &plan, Look { jobs: Some((at, Vec::new())), ..Look::default() }, at);
    // It comes up again while the bank may still be in trouble, for nothing if there was no other alarm.
    assert_eq!(core.schedule.next_due(), Some(at + WINDOW));
    assert!(!suspect(&core));
    core.trouble_at(bank, at + 2);
    assert!(suspect(&core));
    assert_eq!(core.schedule.next_due(), Some(at + WINDOW), "what was soon is not hastened");
    core.client.resume(&[(NOON / 3_600_000, 199_000)]);
    assert!(!suspect(&core), "the rest of the day is for turns");
}
