//! The commands for people, through the binary, over a store with something in it.

use std::{path::Path, process::Command as Process, sync::Arc};

use basiq_alerter::{
    channels::Notice,
    demand::Action,
    plan::{Changes, Command, Hold, Pause, Row},
    store::{Batch, Effect, EffectState, Payload, Phase, Sqlite, Store, TimelineEntry},
};
use serde_json::Value;

use crate::store::{
    Place, on_both_stores,
    suite::{batch, effect, incident, now},
};

struct House {
    folder: tempfile::TempDir,
    settings: &'static str,
    store: Arc<dyn Store>,
    reference: String,
}

impl House {
    /// An open incident with a message that waits, one that is held and one that was delivered.
    async fn new(place: Place) -> Self {
        let store = place.open(now()).await;
        if let Some(replicas) = store.replicas() {
            assert!(replicas.beat().await.unwrap().leads);
        }
        let (folder, settings) = match place {
            Place::File(folder) => (folder, "environment: test\n"),
            Place::Database(url) => {
                let folder = tempfile::tempdir().unwrap();
                std::fs::write(folder.path().join("url"), url.expose()).unwrap();
                (folder, "environment: test\nstore: {postgres: {url_file: url}}\n")
            }
        };
        std::fs::write(folder.path().join("alerter.yml"), settings).unwrap();
        let incident = incident("a");
        let reference = incident.reference.clone();
        let state = |key: &str, state| Effect { state, ..effect(key, &reference) };
        let mut first = batch(vec![
            state("waits", EffectState::Planned),
            state("held", EffectState::Held),
            state("sent", EffectState::Delivered),
        ]);
        first.changes.incidents.push(incident.into());
        first.changes.timeline.push(TimelineEntry {
            incident: reference.clone(),
            at: now(),
            effect: Some("sent".into()),
            what: "delivered".into(),
            text: "opening delivered: the relay accepted it (250)".into(),
        });
        first.changes.suppressed.push(("person-1".into(), "5.1.1".into()));
        store.commit(&first).await.unwrap();
        Self { folder, settings, store, reference }
    }

    fn run(&self, arguments: &[&str]) -> Result<String, String> {
        run(self.folder.path(), arguments)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.run(arguments).unwrap()).unwrap()
    }

    async fn asked(&self) -> Vec<Command> {
        self.store.asked().await.unwrap().into_iter().map(|(_, command)| command).collect()
    }
}

impl House {
    /// Something is held under this number.
    async fn holds(&self, number: u64) {
        let hold = Hold {
            number,
            since: now(),
            reason: "too many at once".into(),
            incidents: [self.reference.clone()].into(),
            effects: Default::default(),
        };
        let body = serde_json::to_string(&hold).ok();
        let row = Row { kind: "hold", key: number.to_string(), body };
        self.store.commit(&changes(|changes| changes.rows.push(row))).await.unwrap();
    }
}

fn changes(make: impl FnOnce(&mut Changes)) -> Batch {
    let mut batch = batch(Vec::new());
    make(&mut batch.changes);
    batch
}

/// What the command prints, or what it complains of.
fn run(folder: &Path, arguments: &[&str]) -> Result<String, String> {
    let done = Process::new(env!("CARGO_BIN_EXE_basiq-alerter"))
        .arg("--config.file")
        .arg(folder.join("alerter.yml"))
        .args(arguments)
        .env_remove("BASIQ_API_KEY")
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if done.status.success() { Ok(text(done.stdout)) } else { Err(text(done.stderr)) }
}

async fn outbox_and_incidents_are_shown_to_people_and_to_programs(place: Place) {
    let house = House::new(place).await;
    let listed = house.run(&["outbox", "list"]).unwrap();
    assert_eq!(listed.lines().count(), 3, "{listed}");
    assert!(listed.contains("held") && listed.contains("mail: it is due"), "{listed}");
    let held =
        house.json(&["outbox", "list", "--state=held", "--action=notify-user", "--channel=mail", "--json"]);
    assert_eq!((held.as_array().unwrap().len(), &held[0]["key"]), (1, &"held".into()));
    let none = house.json(&["outbox", "list", "--action", Action::FileTicket.as_str(), "--json"]);
    assert_eq!(none, Value::Array(Vec::new()));

    let shown = house.run(&["outbox", "show", "waits"]).unwrap();
    for line in ["state            planned", "reason           it is due", "channel          mail"] {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
    assert_eq!(house.json(&["outbox", "show", "waits", "--json"])["state"], "planned");
    let error = house.run(&["outbox", "show", "nothing"]).unwrap_err();
    assert!(error.contains("there is no effect nothing"), "{error}");

    for about in [house.reference.as_str(), "c-a", "u-a", "sent"] {
        let why = house.run(&["outbox", "why", about]).unwrap();
        assert!(why.contains("the relay accepted it (250)"), "{about}: {why}");
    }
    assert_eq!(house.json(&["outbox", "why", "u-a", "--json"])[0]["what"], "delivered");
    assert!(house.run(&["outbox", "why", "u-nobody"]).unwrap_err().contains("nothing is known of u-nobody"));

    let open = house.run(&["incidents", "list", "--scenario=invalid-credentials", "--user=u-a"]).unwrap();
    assert!(open.starts_with(&house.reference) && open.contains("connection c-a"), "{open}");
    assert_eq!(house.json(&["incidents", "list", "--json"])[0]["connection"], "c-a");
    assert_eq!(house.run(&["incidents", "list", "--institution=AU77777"]).unwrap(), "");
    let story = house.run(&["incidents", "show", &house.reference]).unwrap();
    assert!(story.contains("invalid-credentials") && story.contains("delivered"), "{story}");
    let story = house.json(&["incidents", "show", &house.reference, "--json"]);
    assert_eq!(story["incident"]["reference"], house.reference.as_str());
    assert_eq!(story["timeline"][0]["effect"], "sent");
}

/// "'why was this (not) sent' is answered for any user, connection, incident or ticket" (behaviour, section 4).
async fn why_it_was_sent_is_answered_for_user_connection_incident_and_ticket(place: Place) {
    let house = House::new(place).await;
    let filed = Effect {
        action: Action::FileTicket,
        state: EffectState::Delivered,
        remote: Some("RT-42".into()),
        ..effect("ticket", &house.reference)
    };
    house.store.commit(&batch(vec![filed])).await.unwrap();
    for about in ["u-a", "c-a", house.reference.as_str(), "RT-42", "sent"] {
        let why = house.run(&["outbox", "why", about]).unwrap();
        assert!(
            why.contains(&house.reference) && why.contains("the relay accepted it (250)"),
            "{about}: {why}"
        );
    }
    assert!(house.run(&["outbox", "why", "RT-43"]).unwrap_err().contains("nothing is known of RT-43"));
}

async fn what_people_decide_is_taken_down_for_the_planner(place: Place) {
    let house = House::new(place).await;
    house.holds(3).await;
    let mut old = incident("old");
    (old.baseline, old.scenario) = (Some("it failed before".into()), "mfa-required".into());
    house.store.commit(&changes(|changes| changes.incidents.push(old.into()))).await.unwrap();
    for arguments in [
        &["outbox", "retry", "waits"][..],
        &["outbox", "release", "held"],
        &["outbox", "cancel", "waits"],
        &["pause", "--action=notify-user", "--institution=AU1"],
        &["resume", "--action=notify-user", "--institution=AU1"],
        &["pause"],
        &["baseline", "release", "--scenario=mfa-required", "--number=5"],
        &["hold", "release", "3"],
        &["done", "c-a"],
    ] {
        let said = house.run(arguments).unwrap();
        assert!(said.starts_with("taken down"), "{arguments:?}: {said}");
    }
    let pause =
        Pause { action: Some(Action::NotifyUser), institution: Some("AU1".into()), ..Pause::default() };
    assert_eq!(
        house.asked().await,
        [
            Command::Retry { effect: "waits".into() },
            Command::Retry { effect: "held".into() },
            Command::Cancel { effect: "waits".into() },
            Command::Pause(pause.clone()),
            Command::Resume(pause),
            Command::Pause(Pause::default()),
            Command::ReleaseBaseline {
                institution: None,
                scenario: Some("mfa-required".into()),
                number: Some(5)
            },
            Command::Release { hold: 3 },
            Command::Done { connection: "c-a".into() },
        ]
    );
}

async fn what_cannot_be_asked_for_is_refused_at_once(place: Place) {
    let house = House::new(place).await;
    for (arguments, why) in [
        (&["outbox", "retry", "sent"][..], "sent is delivered: it is not tried again"),
        (&["outbox", "release", "waits"], "only what is held can be released"),
        (&["outbox", "cancel", "sent"], "it has its end"),
        (&["outbox", "cancel", "nothing"], "there is no effect nothing"),
        (&["outbox", "list", "--state=happy"], "one of planned, deferred"),
    ] {
        let error = house.run(arguments).unwrap_err();
        assert!(error.contains(why), "{arguments:?}: {error}");
    }
    assert!(house.asked().await.is_empty());
    // Of several, those go on that can.
    let error = house.run(&["outbox", "retry", "sent", "waits", "nothing", "held"]).unwrap_err();
    for said in ["taken down for 2 of 4", "sent is delivered", "there is no effect nothing"] {
        assert!(error.contains(said), "{said}: {error}");
    }
    let both = ["waits", "held"].map(|effect| Command::Retry { effect: effect.into() });
    assert_eq!(house.asked().await, both);
    let said = house.run(&["outbox", "cancel", "waits", "held"]).unwrap();
    assert!(said.starts_with("taken down for 2 effects"), "{said}");
    let empty = tempfile::tempdir().unwrap();
    std::fs::write(empty.path().join("alerter.yml"), "").unwrap();
    let error = run(empty.path(), &["outbox", "list"]).unwrap_err();
    assert!(error.contains("no such file") && !empty.path().join("alerter.db").exists(), "{error}");
    std::fs::write(empty.path().join("alerter.yml"), "store: {sqlite: {}, postgres: {url_file: u}}\n")
        .unwrap();
    let error = run(empty.path(), &["outbox", "list"]).unwrap_err();
    assert!(error.contains("not several"), "{error}");
}

async fn tickets_and_suppressions_move_to_another_store(place: Place) {
    let house = House::new(place).await;
    let exported = house.run(&["export"]).unwrap();
    let other = tempfile::tempdir().unwrap();
    let file = other.path().join("export.json");
    std::fs::write(other.path().join("alerter.yml"), "").unwrap();
    std::fs::write(&file, &exported).unwrap();
    let store = Sqlite::open(&other.path().join("alerter.db"), now()).await.unwrap();
    let said = run(other.path(), &["import", file.to_str().unwrap()]).unwrap();
    assert!(said.contains("0 tickets and 1 suppressions"), "{said}");
    assert_eq!(store.suppressed("person-1").await.unwrap().as_deref(), Some("5.1.1"));
    assert_eq!(store.salt().await.unwrap(), house.store.salt().await.unwrap(), "the hashes mean the same");
    // Where addresses were hashed already, those of another store name nobody.
    let third = House::new(Place::file()).await;
    let error = third.run(&["import", file.to_str().unwrap()]).unwrap_err();
    assert!(error.contains("name nobody here"), "{error}");
    std::fs::write(&file, "{\"version\": 1}").unwrap();
    let error = third.run(&["import", file.to_str().unwrap()]).unwrap_err();
    assert!(error.contains("line 1") && error.contains("not what `export` prints"), "{error}");
    let error = third.run(&["import", "nowhere.json"]).unwrap_err();
    assert!(error.contains("nowhere.json: no such file; create it or correct the path"), "{error}");
}

async fn forgetting_reaches_store_and_exporters_and_says_who_did_not_hear(place: Place) {
    let house = House::new(place).await;
    let (seen, asked) =
        (Arc::new(std::sync::Mutex::new(Vec::new())), house.folder.path().join("alerter.yml"));
    let theirs = seen.clone();
    let router = axum::Router::new().route(
        "/base/api/v1/users/{user}",
        axum::routing::delete(move |axum::extract::Path(user): axum::extract::Path<String>| async move {
            theirs.lock().unwrap().push(user);
            axum::http::StatusCode::NO_CONTENT
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let there = format!("http://127.0.0.1:{}/base", listener.local_addr().unwrap().port());
    tokio::spawn(async move { axum::serve(listener, router).await });
    std::fs::write(&asked, format!("{}exporters: [{{url: '{there}'}}]\n", house.settings)).unwrap();
    assert!(house.run(&["forget", "u-a"]).unwrap().starts_with("forgotten at the exporters"));
    assert_eq!(*seen.lock().unwrap(), ["u-a"]);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    std::fs::write(&asked, format!("{}exporters: [{{url: 'http://127.0.0.1:{closed}'}}]\n", house.settings))
        .unwrap();
    let error = house.run(&["forget", "u-b"]).unwrap_err();
    assert!(error.contains("no connection") && error.contains("run it again"), "{error}");
    let users = ["u-a", "u-b"].map(|user| Command::Forget { user: user.into() });
    assert_eq!(house.asked().await, users);
}

/// What a person asks for is done, or they hear why not: "taken down" is never said of what would change nothing.
async fn what_would_change_nothing_is_refused(place: Place) {
    let house = House::new(place).await;
    house.holds(3).await;
    for (arguments, why) in [
        (&["resume"][..], "nothing is paused"),
        (&["hold", "release", "4"], "nothing is held under the number 4"),
        (&["hold", "discard", "4"], "nothing is held under the number 4"),
        (&["baseline", "release"], "no open incident of the baseline fits"),
        (&["done", "c-nobody's"], "no open incident is about the connection c-nobody's"),
        // A variable of a script that is not set must not become "everything" or "nobody".
        (&["pause", "--user="], "a value is required for '--user <USER>'"),
        (&["pause", "--institution="], "a value is required"),
        (&["pause", "--rule="], "a value is required"),
        (&["forget", ""], "a value is required"),
        (&["outbox", "list", "--limit=5000"], "1..=1000"),
    ] {
        let error = house.run(arguments).unwrap_err();
        assert!(error.contains(why), "{arguments:?}: {error}");
    }
    assert!(house.asked().await.is_empty());
    house.run(&["pause", "--user=u-a"]).unwrap();
    let error = house.run(&["resume"]).unwrap_err();
    assert!(
        error.contains("everything (no options) is not paused") && error.contains("--user=u-a"),
        "{error}"
    );
    house.run(&["resume", "--user=u-a"]).unwrap();
    assert!(house.run(&["resume", "--user=u-a"]).unwrap_err().contains("nothing is paused"));
}

/// "durable, visible" (behaviour, section 8): also without the page.
async fn what_is_paused_and_held_is_listed(place: Place) {
    let house = House::new(place).await;
    house.holds(3).await;
    let pause = Pause { institution: Some("AU1".into()), ..Pause::default() };
    let body = serde_json::to_string(&pause).ok();
    let row = Row { kind: "pause", key: "p".into(), body };
    house.store.commit(&changes(|changes| changes.rows.push(row))).await.unwrap();
    house.run(&["pause", "--action=notify-user"]).unwrap();
    assert_eq!(house.run(&["pause", "--list"]).unwrap(), "--institution=AU1\n--action=notify-user\n");
    let listed = house.json(&["pause", "--list", "--json"]);
    assert_eq!((&listed[0]["institution"], &listed[1]["action"]), (&"AU1".into(), &"notify-user".into()));
    let held = house.run(&["hold", "list"]).unwrap();
    assert!(
        held.starts_with("3  since") && held.contains("incidents 1") && held.contains("too many"),
        "{held}"
    );
    assert_eq!(house.json(&["hold", "list", "--json"])[0]["incidents"][0], house.reference.as_str());
    assert_eq!(house.asked().await.len(), 1, "listing asks for nothing");
}

/// The first of a list are not taken for all of it, and settings may be named where a person thinks of them.
async fn a_list_that_is_cut_says_so(place: Place) {
    let house = House::new(place).await;
    for (arguments, cut) in [
        (&["outbox", "list", "--limit=2"][..], true),
        (&["outbox", "list", "--limit=4"], false),
        (&["incidents", "list", "--limit=1"], true),
    ] {
        let listed = house.run(arguments).unwrap();
        assert_eq!(listed.contains("there may be more"), cut, "{listed}");
    }
    assert_eq!(house.json(&["outbox", "list", "--limit=2", "--json"]).as_array().unwrap().len(), 2);
    let settings = house.folder.path().join("alerter.yml");
    let done = Process::new(env!("CARGO_BIN_EXE_basiq-alerter"))
        .args(["outbox", "list", "--config.file"])
        .arg(settings)
        .output()
        .unwrap();
    assert!(done.status.success() && String::from_utf8_lossy(&done.stdout).contains("held"), "{done:?}");
}

/// "'why was this (not) sent' is answered": also of what no incident tells, such as a notice to operators.
async fn why_is_answered_of_a_notice_as_well(place: Place) {
    let house = House::new(place).await;
    let notice = Notice {
        key: "n".into(),
        summary: "Basiq is down".into(),
        description: String::new(),
        labels: Default::default(),
        since: now(),
        ended: None,
    };
    let refused = Effect {
        action: Action::NotifyOperator,
        phase: Phase::Notice,
        incidents: Vec::new(),
        state: EffectState::Dead,
        reason: "the webhook answered 404".into(),
        payload: Payload::Notice(notice),
        ..effect("notice", &house.reference)
    };
    house.store.commit(&batch(vec![refused])).await.unwrap();
    let why = house.run(&["outbox", "why", "notice"]).unwrap();
    assert!(why.contains("the webhook answered 404"), "{why}");
    assert_eq!(house.json(&["outbox", "why", "notice", "--json"])[0]["state"], "dead");
}

on_both_stores!(
    outbox_and_incidents_are_shown_to_people_and_to_programs,
    why_it_was_sent_is_answered_for_user_connection_incident_and_ticket,
    what_people_decide_is_taken_down_for_the_planner,
    what_cannot_be_asked_for_is_refused_at_once,
    tickets_and_suppressions_move_to_another_store,
    forgetting_reaches_store_and_exporters_and_says_who_did_not_hear,
    what_would_change_nothing_is_refused,
    what_is_paused_and_held_is_listed,
    a_list_that_is_cut_says_so,
    why_is_answered_of_a_notice_as_well,
);
