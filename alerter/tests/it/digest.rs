//! The daily digest: what it says, where it comes from, and that it is sent once a day.

use std::{sync::Arc, time::Duration};

use basiq_alerter::{
    channels::{DeliveryError, Notice, Operators, Receipt},
    demand::{Action, Report},
    digest::{Bank, Digest, Figures, Task, gather, notice},
    plan::Changes,
    store::{Batch, Effect, EffectState, Payload, Phase, Sqlite, Store},
};
use daemon::{CancellationToken, Clock, Timestamp};
use tokio::sync::mpsc;

use crate::{
    channels_files::ticket,
    messages::{message, time},
};

#[test]
fn a_digest_says_who_was_told_what_waits_and_where_it_fails() {
    let figures = Figures {
        told: [("credentials".to_owned(), 7), ("delayed".to_owned(), 12)].into(),
        closed: 9,
        unreachable: 2,
        failed: [("notify-user".to_owned(), 1)].into(),
        tickets: 3,
        refreshes: 24,
        dry_run: 0,
        held: 51,
        open: vec![("invalid-credentials".to_owned(), 30), ("service-unavailable".to_owned(), 11)],
        baseline: 400,
        banks: vec![
            Bank { name: "Hooli".to_owned(), institution: "AU00000".to_owned(), failing: 25 },
            Bank { name: "Nucleus Bank".to_owned(), institution: "AU00001".to_owned(), failing: 16 },
        ],
        at_least: false,
    };
    let digest =
        notice(&figures, "production", time("2026-11-20T22:00:00Z"), time("2026-11-21T22:00:00Z"), 10);
    assert_eq!(digest.key, "production/digest/2026-11-22");
    assert_eq!(digest.summary, "Digest of 22 November: 19 told, 3 tickets, 51 held, 41 failing");
    assert_eq!(
        digest.description,
        "From Saturday 21 November 08:00 to Sunday 22 November 08:00 (UTC+10).\n\n\
         Told\n  19 messages that something is wrong, 9 that it is well again\n       7  credentials\n      12  delayed\n\n\
         Done\n  3 tickets filed, 24 refreshes asked for\n\n\
         Needs a person\n  51 held now (basiq-alerter outbox list --state held)\n  \
         2 could not be reached: no address, or one that was refused\n  1 notify-user ended dead or expired\n\n\
         Failing now\n  41 connections, and 400 of the baseline\n      30  invalid-credentials\n      11  service-unavailable\n\n\
         Banks with most of them\n      25  Hooli (AU00000)\n      16  Nucleus Bank (AU00001)\n"
    );
}

fn effect(key: &str, state: EffectState, phase: Phase, payload: Payload, changed: Timestamp) -> Effect {
    Effect {
        key: key.to_owned(),
        incidents: Vec::new(),
        action: if phase == Phase::Ticket { Action::FileTicket } else { Action::NotifyUser },
        phase,
        channel: "x".to_owned(),
        state,
        reason: String::new(),
        rule: String::new(),
        due: changed,
        next_attempt: changed,
        expires: changed,
        attempts: 1,
        marks: 1,
        unknowns: 0,
        created: changed,
        changed,
        remote: None,
        traceparent: None,
        payload,
    }
}

async fn filled(folder: &std::path::Path, now: Timestamp) -> Arc<Sqlite> {
    let store = Arc::new(Sqlite::open(&folder.join("alerter.db"), now).await.unwrap());
    let told = |key: &str, template: &str, state, ago: i64| {
        let at = now - jiff::SignedDuration::from_hours(ago);
        effect(key, state, Phase::Opening, Payload::Message(message(template)), at)
    };
    let mut closing = told("5", "ready", EffectState::Delivered, 2);
    closing.phase = Phase::Closing;
    let filed = Payload::Ticket { ticket: ticket(), cases: Vec::new() };
    let effects = vec![
        told("1", "locked", EffectState::Delivered, 1),
        told("2", "locked", EffectState::Delivered, 23),
        told("3", "locked", EffectState::Delivered, 25),
        told("4", "mfa", EffectState::Unreachable, 3),
        closing,
        told("6", "mfa", EffectState::Held, 3),
        told("7", "mfa", EffectState::Expired, 3),
        effect("8", EffectState::Delivered, Phase::Ticket, filed, now - jiff::SignedDuration::from_hours(4)),
    ];
    let changes = Changes { effects, ..Changes::default() };
    store.commit(&Batch { changes, at: now, ..Batch::default() }).await.unwrap();
    store
}

#[tokio::test]
async fn the_figures_are_those_of_the_time_and_of_now() {
    let folder = tempfile::tempdir().unwrap();
    let now = time("2026-11-22T08:00:00Z");
    let store = filled(folder.path(), now).await;
    let figures = gather(&*store, now - jiff::SignedDuration::from_hours(24)).await.unwrap();
    let expected = Figures {
        told: [("locked".to_owned(), 2)].into(),
        closed: 1,
        unreachable: 1,
        failed: [("notify-user".to_owned(), 1)].into(),
        tickets: 1,
        held: 1,
        ..Figures::default()
    };
    assert_eq!(figures, expected);
}

#[derive(Default)]
struct Remembers {
    got: std::sync::Mutex<Vec<Notice>>,
    answers: std::sync::Mutex<Vec<DeliveryError>>,
}

#[async_trait::async_trait]
impl Operators for Remembers {
    async fn notify(&self, notice: &Notice) -> Result<Receipt, DeliveryError> {
        self.got.lock().unwrap().push(notice.clone());
        let answer = self.answers.lock().unwrap().pop();
        answer.map_or(Ok(Receipt { remote: String::new(), detail: String::new() }), Err)
    }
}

#[tokio::test]
async fn it_is_sent_once_a_day_again_after_a_refusal_and_not_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let begin = time("2026-11-22T07:59:00Z");
    let store = filled(folder.path(), begin).await;
    let (clock, hand) = Clock::manual(begin);
    let channel = Arc::new(Remembers::default());
    let why = "later".to_owned();
    *channel.answers.lock().unwrap() = vec![DeliveryError::Retry { after: None, why }];
    let start = || {
        let (reports, mut reported) = mpsc::channel::<Report>(4);
        let (kept, stop) = (store.clone(), CancellationToken::new());
        tokio::spawn(async move {
            while let Some(report) = reported.recv().await {
                let batch =
                    Batch { state: vec![(report.source, report.state)], at: report.at, ..Batch::default() };
                kept.commit(&batch).await.unwrap();
                let _ = report.committed.unwrap().send(());
            }
        });
        let task = Task {
            settings: Digest { channel: Some("ops".to_owned()), at: "08:00".to_owned() },
            utc_offset_hours: 0,
            environment: "test".to_owned(),
            channel: Some(channel.clone()),
            store: store.clone() as Arc<dyn Store>,
            reports,
            clock: clock.clone(),
            stop: stop.clone(),
        };
        (tokio::spawn(task.run()), stop)
    };
    let count = || channel.got.lock().unwrap().len();
    let minutes = async |minutes: u64| {
        tokio::time::sleep(Duration::from_millis(300)).await;
        hand.advance(Duration::from_secs(minutes * 60));
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    let (task, stop) = start();
    assert_eq!(count(), 0);
    minutes(2).await;
    assert_eq!(count(), 1, "at eight, refused");
    minutes(11).await;
    assert_eq!(count(), 2, "again");
    minutes(600).await;
    assert_eq!(count(), 2, "once a day");
    stop.cancel();
    task.await.unwrap();

    let (task, stop) = start();
    minutes(60).await;
    assert_eq!(count(), 2, "the restart remembers");
    minutes(24 * 60).await;
    assert_eq!(count(), 3, "the next day");
    let got = channel.got.lock().unwrap().clone();
    assert_eq!(got[0].key, got[1].key, "a repetition can be recognised");
    assert_ne!(got[1].key, got[2].key);
    stop.cancel();
    task.await.unwrap();
}
