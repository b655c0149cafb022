//! What every store must do.

use std::sync::Arc;

use basiq_alerter::{
    channels::{Ticket, UserMessage},
    demand::{Action, StateRow},
    incidents::Incident,
    plan::{Changes, Command, Forgotten, Row},
    store::{
        Batch, Effect, EffectFilter, EffectState, IncidentFilter, Payload, Phase, Store, StoreError,
        Suppression, TicketRow, TimelineEntry,
    },
};
use daemon::Timestamp;
use sqlx::Connection;

use super::{Place, on_both_stores};
use crate::world::{World, hours, minutes};

pub(crate) fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

/// An open incident, as the planner makes them.
pub(crate) fn incident(name: &str) -> Incident {
    let mut world = World::new();
    world.fails(name, "invalid-credentials");
    world.pass(minutes(1));
    world.incident(name).clone()
}

pub(crate) fn effect(key: &str, incident: &str) -> Effect {
    let at = now();
    let message = UserMessage {
        key: key.into(),
        user: "u-a".into(),
        template: "credentials".into(),
        connections: Vec::new(),
        message_id: "<a@b>".into(),
        in_reply_to: None,
        reference: incident.into(),
        at,
    };
    Effect {
        key: key.into(),
        incidents: vec![incident.into()],
        action: Action::NotifyUser,
        phase: Phase::Opening,
        channel: "mail".into(),
        state: EffectState::Planned,
        reason: "it is due".into(),
        rule: "Credentials".into(),
        due: at,
        next_attempt: at,
        expires: at + hours(72),
        attempts: 0,
        marks: 0,
        unknowns: 0,
        created: at,
        changed: at,
        remote: None,
        traceparent: None,
        payload: Payload::Message(message),
    }
}

pub(crate) fn batch(effects: Vec<Effect>) -> Batch {
    Batch { changes: Changes { effects, ..Changes::default() }, at: now(), ..Batch::default() }
}

/// Opens the store and takes the lead where there is one to take.
pub(super) async fn open(place: &Place) -> Arc<dyn Store> {
    let store = place.open(now()).await;
    if let Some(replicas) = store.replicas() {
        assert!(replicas.beat().await.unwrap().leads);
    }
    store
}

/// Marks effects as a line of this process would: where they are shared, claimed before.
async fn mark(store: &dyn Store, keys: &[&str]) -> Vec<String> {
    if let Some(replicas) = store.replicas() {
        replicas.claim(&[("mail".to_owned(), 100)], now() + hours(1)).await.unwrap();
    }
    let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    let mut marked = store.attempting(&keys).await.unwrap();
    marked.sort();
    marked
}

async fn what_is_committed_is_read_again(place: Place) {
    let store = open(&place).await;
    let incident = incident("a");
    let reference = incident.reference.clone();
    let entry = TimelineEntry {
        incident: reference.clone(),
        at: now(),
        effect: None,
        what: "opened".into(),
        text: "a text with \"quotes\", \u{0} and 銀行".into(),
    };
    let mut first = batch(vec![effect("k1", &reference), effect("k2", &reference)]);
    first.changes.incidents.push(Arc::new(incident.clone()));
    first.changes.timeline.push(entry);
    first.changes.rows.push(Row { kind: "pause", key: "p".into(), body: Some("{}".into()) });
    first.changes.rows.push(Row { kind: "mode", key: "m".into(), body: Some("1".into()) });
    let row = |key: &str, body: Option<&[u8]>| StateRow::new(key, body.map(<[u8]>::to_vec));
    first.state.push(("rules".into(), vec![row("a", Some(b"\x00\xff")), row("b", Some(b"2"))]));
    store.commit(&first).await.unwrap();
    let mut second = batch(Vec::new());
    second.changes.rows.push(Row { kind: "pause", key: "p".into(), body: None });
    second.changes.rows.push(Row { kind: "mode", key: "m".into(), body: Some("2".into()) });
    second.state.push(("rules".into(), vec![row("b", None)]));
    store.commit(&second).await.unwrap();

    let store = place.open(now() + hours(5)).await;
    let filter = IncidentFilter { user: Some("u-a".into()), open: Some(true), ..IncidentFilter::default() };
    assert_eq!(store.incidents(&filter).await.unwrap().len(), 1);
    assert_eq!(*store.incident(&reference).await.unwrap().unwrap(), incident);
    assert!(store.incident("INC-NONE").await.unwrap().is_none());
    let story = store.timeline(&reference).await.unwrap();
    assert!(story[0].text.starts_with("a text with \"quotes\"") && story[0].text.ends_with("銀行"));
    let filter =
        EffectFilter { incident: Some(reference), channel: Some("mail".into()), ..EffectFilter::default() };
    assert_eq!(store.effects(&filter).await.unwrap().len(), 2);
    let state = store.state("rules").await.unwrap();
    assert_eq!(state, [row("a", Some(b"\x00\xff"))]);
    let saved = store.load(now()).await.unwrap();
    assert_eq!(saved.born, now(), "not when it was opened again");
    assert_eq!(saved.rows, [("mode".to_owned(), "m".to_owned(), "2".to_owned())]);
    assert_eq!((saved.incidents.len(), saved.effects.len()), (1, 2));
    let counts = store.counts().await.unwrap();
    assert_eq!(counts.open, [("invalid-credentials".to_owned(), 1)]);
    assert_eq!(counts.effects, [("mail".to_owned(), EffectState::Planned, 2)]);
    assert_eq!(store.oldest_pending().await.unwrap(), [("mail".to_owned(), now())]);
}

/// "What is known of an earlier attempt never overwrites what is known of a later one."
async fn a_withdrawn_effect_is_not_attempted_and_an_old_word_overwrites_no_new_one(place: Place) {
    let store = open(&place).await;
    store.commit(&batch(vec![effect("k1", "i"), effect("k2", "i")])).await.unwrap();
    let cancelled = Effect { state: EffectState::Cancelled, ..effect("k2", "i") };
    store.commit(&batch(vec![cancelled])).await.unwrap();
    assert_eq!(mark(&*store, &["k1", "k2", "k3"]).await, ["k1"]);
    assert!(mark(&*store, &["k1"]).await.is_empty(), "one attempt at a time");
    // The planner withdraws it, not knowing yet that it is on its way.
    let late = Effect { state: EffectState::Cancelled, ..effect("k1", "i") };
    store.commit(&batch(vec![late])).await.unwrap();
    assert_eq!(store.effect("k1").await.unwrap().unwrap().state, EffectState::Attempting);
    let delivered = Effect { state: EffectState::Delivered, marks: 1, attempts: 1, ..effect("k1", "i") };
    store.commit(&batch(vec![delivered])).await.unwrap();
    let known = store.effect("k1").await.unwrap().unwrap();
    assert_eq!((known.state, known.attempts), (EffectState::Delivered, 1));
}

async fn commands_wait_until_they_are_obeyed(place: Place) {
    let store = open(&place).await;
    let (first, second) = (Command::Release { hold: 1 }, Command::Discard { hold: 2 });
    store.ask(&first, now()).await.unwrap();
    store.ask(&second, now()).await.unwrap();
    let asked = place.open(now()).await.asked().await.unwrap();
    assert_eq!(asked.iter().map(|(_, command)| command.clone()).collect::<Vec<_>>(), [first, second.clone()]);
    let obeyed = Batch { obeyed: vec![asked[0].0], ..batch(Vec::new()) };
    store.commit(&obeyed).await.unwrap();
    assert_eq!(store.asked().await.unwrap(), [(asked[1].0, second)]);
}

async fn tickets_and_suppressions_are_kept_and_carried_over(place: Place) {
    let store = open(&place).await;
    let mut filed = effect("t1", "i");
    filed.payload = Payload::Ticket {
        ticket: Ticket {
            key: "key-1".into(),
            subject: "s".into(),
            body: "b".into(),
            connections: vec!["c-a".into()],
            institution: "AU1".into(),
            scenario: "unknown".into(),
            severity: String::new(),
            at: now(),
        },
        cases: Vec::new(),
    };
    (filed.state, filed.remote) = (EffectState::Delivered, Some("77".into()));
    let mut batch = batch(vec![filed]);
    batch.changes.suppressed.push(("person-1".into(), "5.1.1".into()));
    store.commit(&batch).await.unwrap();
    let (tickets, suppressions) = (store.tickets().await.unwrap(), store.suppressions().await.unwrap());
    assert_eq!((tickets[0].key.as_str(), tickets[0].remote.as_str()), ("key-1", "77"));
    assert_eq!(store.suppressed("person-1").await.unwrap().as_deref(), Some("5.1.1"));
    // Those of the last hour count for whoever plans next.
    assert_eq!(store.load(batch.at).await.unwrap().suppressed, [batch.at]);
    let later = batch.at + hours(1);
    assert!(store.load(later).await.unwrap().suppressed.is_empty());

    let elsewhere = Place::file();
    let other = elsewhere.open(now()).await;
    let known = TicketRow { remote: "78".into(), ..tickets[0].clone() };
    other.import(&tickets, &suppressions).await.unwrap();
    other.import(&[known], &[Suppression { code: "5.2.1".into(), ..suppressions[0].clone() }]).await.unwrap();
    assert_eq!(other.tickets().await.unwrap(), tickets, "a ticket that is known stays");
    assert_eq!(other.suppressed("person-1").await.unwrap().as_deref(), Some("5.2.1"));
}

/// "variables live 30 days, outbox rows 400 … Keys of open incidents are never cleaned up."
async fn old_variables_and_rows_go_and_keys_of_open_incidents_stay(place: Place) {
    let store = open(&place).await;
    let open_one = incident("a");
    let mut ended = incident("b");
    ended.status = basiq_alerter::incidents::Status::Ended { reason: "recovered".into(), at: now() };
    ended.changed = now();
    let delivered =
        |key: &str, reference: &str| Effect { state: EffectState::Delivered, ..effect(key, reference) };
    let waiting = effect("waiting", &ended.reference);
    let mut first =
        batch(vec![delivered("open", &open_one.reference), delivered("over", &ended.reference), waiting]);
    first.changes.incidents = vec![Arc::new(open_one), Arc::new(ended)];
    store.commit(&first).await.unwrap();
    let user = async |key: &str| match store.effect(key).await.unwrap()?.payload {
        Payload::Message(message) => Some(message.user),
        other => panic!("{other:?}"),
    };
    store.tidy(now() + hours(29 * 24)).await.unwrap();
    assert_eq!(user("over").await.as_deref(), Some("u-a"));
    store.tidy(now() + hours(31 * 24)).await.unwrap();
    assert_eq!(user("over").await.as_deref(), Some(""), "the variables are erased");
    assert_eq!(user("waiting").await.as_deref(), Some("u-a"), "what waits keeps them");
    store.tidy(now() + hours(399 * 24)).await.unwrap();
    assert!(user("over").await.is_some());
    store.tidy(now() + hours(401 * 24)).await.unwrap();
    assert_eq!(user("over").await, None);
    assert!(user("open").await.is_some(), "its incident is open");
    assert!(user("waiting").await.is_some());
}

/// "migrations that the previous minor version can read": a version that does not know a later migration opens what
/// it has made.
async fn a_later_minor_version_leaves_a_store_that_this_one_opens(place: Place) {
    let store = open(&place).await;
    store.commit(&batch(vec![effect("k1", "i")])).await.unwrap();
    drop(store);
    let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (9999, 'later', true, $1, 0)";
    let column = "ALTER TABLE effects ADD COLUMN later TEXT NOT NULL DEFAULT ''";
    match &place {
        Place::File(folder) => {
            let file = format!("sqlite://{}", folder.path().join("alerter.db").display());
            let mut connection = sqlx::SqliteConnection::connect(&file).await.unwrap();
            sqlx::query(later).bind(&b"x"[..]).execute(&mut connection).await.unwrap();
            sqlx::query(column).execute(&mut connection).await.unwrap();
        }
        Place::Database(url) => {
            let mut connection = sqlx::PgConnection::connect(url.expose()).await.unwrap();
            sqlx::query(later).bind(&b"x"[..]).execute(&mut connection).await.unwrap();
            sqlx::query(column).execute(&mut connection).await.unwrap();
        }
    }
    let store = place.open(now()).await;
    if let Some(replicas) = store.replicas() {
        // Its predecessor ended without handing back the lead.
        for _ in 0..80 {
            if replicas.beat().await.unwrap().leads {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
    assert_eq!(store.load(now()).await.unwrap().effects.len(), 1);
    store.commit(&batch(vec![effect("k2", "i")])).await.unwrap();
}

/// "`forget` a user …: pending effects cancelled, bodies, ids and address hashes erased, counts kept" (behaviour,
/// section 8): what the store has of them, also of incidents that the planner has long let go of.
async fn what_names_a_forgotten_user_is_erased_and_counts_stay(place: Place) {
    let store = open(&place).await;
    let (gone, stays, mut older) = (incident("gone"), incident("stays"), incident("older"));
    older.user = "u-gone".into();
    older.status = basiq_alerter::incidents::Status::Ended { reason: "recovered".into(), at: now() };
    let mut first = batch(Vec::new());
    for of in [&gone, &stays, &older] {
        let mut sent = effect(&format!("sent/{}", of.reference), &of.reference);
        let Payload::Message(message) = &mut sent.payload else { panic!() };
        (message.user, message.message_id) = (of.user.clone(), format!("<{}@x>", of.connection));
        sent.state = EffectState::Delivered;
        first.changes.effects.push(sent);
        first.changes.timeline.push(TimelineEntry {
            incident: of.reference.clone(),
            at: now(),
            effect: None,
            what: "opened".into(),
            text: format!("{} of {}", of.connection, of.user),
        });
    }
    let references: Vec<String> =
        [&gone, &stays, &older].iter().map(|incident| incident.reference.clone()).collect();
    first.changes.incidents = [gone, stays, older].map(Arc::new).into();
    first.changes.suppressed = vec![("p-gone".into(), "5.1.1".into()), ("p-stays".into(), "5.1.1".into())];
    store.commit(&first).await.unwrap();
    let counts = store.counts().await.unwrap();

    let mut second = batch(Vec::new());
    second.changes.forgotten.push(Forgotten {
        user: "u-gone".into(),
        person: Some("p-gone".into()),
        incidents: vec![references[0].clone()],
    });
    store.commit(&second).await.unwrap();
    let store = place.open(now()).await;
    let everything = async |reference: &str| {
        let filter = EffectFilter { incident: Some(reference.to_owned()), ..EffectFilter::default() };
        format!(
            "{:?} {:?} {:?}",
            store.incident(reference).await.unwrap(),
            store.timeline(reference).await.unwrap(),
            store.effects(&filter).await.unwrap().into_iter().map(|it| it.payload).collect::<Vec<_>>()
        )
    };
    for (reference, names) in references.iter().zip(["c-gone", "c-stays", "c-older"]) {
        let all = everything(reference).await;
        let known = all.contains(names) || all.contains("u-gone");
        assert_eq!(known, names == "c-stays", "{all}");
        assert!(all.contains("Message"), "the effect itself is kept: {all}");
    }
    let of = IncidentFilter { user: Some("u-gone".into()), ..IncidentFilter::default() };
    assert!(store.incidents(&of).await.unwrap().is_empty());
    let of = IncidentFilter { connection: Some("c-older".into()), ..IncidentFilter::default() };
    assert!(store.incidents(&of).await.unwrap().is_empty());
    assert_eq!(store.counts().await.unwrap().effects, counts.effects, "counts stay");
    assert_eq!(store.suppressed("p-gone").await.unwrap(), None);
    assert!(store.suppressed("p-stays").await.unwrap().is_some());
}

/// Thousands of rows in one commit: no bound on the number of parameters is met.
async fn a_large_batch_is_one_commit(place: Place) {
    let store = open(&place).await;
    let effects: Vec<Effect> = (0..5000).map(|n| effect(&format!("k{n:05}"), &format!("i{n}"))).collect();
    store.commit(&batch(effects)).await.unwrap();
    assert_eq!(store.counts().await.unwrap().effects, [("mail".to_owned(), EffectState::Planned, 5000)]);
}

on_both_stores! {
    what_is_committed_is_read_again,
    a_withdrawn_effect_is_not_attempted_and_an_old_word_overwrites_no_new_one,
    commands_wait_until_they_are_obeyed,
    tickets_and_suppressions_are_kept_and_carried_over,
    old_variables_and_rows_go_and_keys_of_open_incidents_stay,
    what_names_a_forgotten_user_is_erased_and_counts_stay,
    a_later_minor_version_leaves_a_store_that_this_one_opens,
    a_large_batch_is_one_commit,
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_without_showing_it() {
    let url = daemon::Secret::new("postgres//user:hunter2@nowhere");
    let error = basiq_alerter::store::Postgres::open(&url, 2, now()).await.unwrap_err();
    assert!(matches!(error, StoreError::Address) && !error.to_string().contains("hunter2"), "{error}");
}
