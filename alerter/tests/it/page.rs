//! The page over a store in memory: every page renders, nothing in it acts, and hostile text stays text.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::{Router, body::Body};
use base64::{Engine, engine::general_purpose::STANDARD};
use basiq_alerter::{
    channels::{Contact, Contacts, DeliveryError, message::Renderer},
    config::Actions,
    demand::{Action, StateRow},
    evidence::{Connector, Snapshot},
    incidents::{
        Attempt, Cause, Class, Incident, Message, MessageState, Outage, Status, TicketLink, TicketState,
    },
    page::{Access, Commands, PageConfig, PageState, router},
    plan::{Command, Hold, Pause},
    store::{
        Browse, Counts, Effect, EffectFilter, EffectState, Group, IncidentFilter, IncidentRow, Payload,
        Phase, Read, Search, StoreError, TimelineEntry, Waiting,
    },
};
use daemon::{Clock, Timestamp};
use http_body_util::BodyExt;
use tower::ServiceExt;

use crate::{
    channels_files::{notice, ticket},
    messages::{message, sender, time},
};

#[derive(Default)]
struct Memory {
    incidents: Vec<IncidentRow>,
    effects: Vec<Effect>,
    timeline: Vec<TimelineEntry>,
}

#[async_trait]
impl Read for Memory {
    async fn incidents(&self, filter: &IncidentFilter) -> Result<Vec<IncidentRow>, StoreError> {
        let fits = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|wanted| wanted == is);
        let rows = self.incidents.iter().filter(|incident| {
            filter.open.is_none_or(|open| open == incident.is_open())
                && fits(&filter.user, &incident.user)
                && fits(&filter.connection, &incident.connection)
                && fits(&filter.institution, &incident.institution)
                && fits(&filter.scenario, &incident.scenario)
        });
        Ok(rows.skip(filter.offset as usize).take(filter.limit.max(1) as usize).cloned().collect())
    }

    async fn incident(&self, reference: &str) -> Result<Option<IncidentRow>, StoreError> {
        Ok(self.incidents.iter().find(|incident| incident.reference == reference).cloned())
    }

    async fn timeline(&self, reference: &str) -> Result<Vec<TimelineEntry>, StoreError> {
        Ok(self.timeline.iter().filter(|entry| entry.incident == reference).cloned().collect())
    }

    async fn effects(&self, filter: &EffectFilter) -> Result<Vec<Effect>, StoreError> {
        let rows = self.effects.iter().filter(|effect| {
            filter.state.is_none_or(|state| state == effect.state)
                && filter.action.is_none_or(|action| action == effect.action)
                && filter.incident.as_ref().is_none_or(|incident| effect.incidents.contains(incident))
        });
        Ok(rows.take(filter.limit as usize).cloned().collect())
    }

    async fn effect(&self, key: &str) -> Result<Option<Effect>, StoreError> {
        Ok(self.effects.iter().find(|effect| effect.key == key).cloned())
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        Ok(Counts {
            open: vec![("service-unavailable".to_owned(), 2)],
            baseline: 1,
            effects: vec![("files".to_owned(), EffectState::Held, 3)],
        })
    }

    async fn state(&self, _source: &str) -> Result<Vec<StateRow>, StoreError> {
        Ok(Vec::new())
    }

    async fn born(&self) -> Result<Timestamp, StoreError> {
        Ok(time("2026-11-20T00:00:00Z"))
    }
}

#[async_trait]
impl Browse for Memory {
    async fn search(&self, search: &Search) -> Result<Vec<IncidentRow>, StoreError> {
        let everything = IncidentFilter { limit: 1000, offset: 0, ..search.filter.clone() };
        let mut rows = self.incidents(&everything).await?;
        rows.retain(|incident| {
            let ticket = incident.ticket.as_ref().and_then(|link| link.remote.clone());
            (search.ticket.is_none() || search.ticket == ticket)
                && search.failing_from.is_none_or(|from| incident.failing_since >= from)
                && search.failing_until.is_none_or(|until| incident.failing_since < until)
        });
        let page = rows.into_iter().skip(search.filter.offset as usize);
        Ok(page.take(search.filter.limit as usize).collect())
    }

    async fn groups(&self, _now: Timestamp) -> Result<Vec<Group>, StoreError> {
        Ok(vec![Group {
            institution: "AU00000".to_owned(),
            scenario: "service-unavailable".to_owned(),
            open: 3,
            baseline: 1,
            ages: [0, 3, 0, 0],
        }])
    }

    async fn waiting(&self) -> Result<Waiting, StoreError> {
        Ok(Waiting { held: 3, dead: 0 })
    }

    async fn kept(&self, kind: &str) -> Result<Vec<(String, String)>, StoreError> {
        let hold = Hold {
            number: 7,
            since: time("2026-11-22T03:00:00Z"),
            reason: HOSTILE.to_owned(),
            incidents: [REFERENCE.to_owned()].into(),
            effects: Default::default(),
        };
        let user = Some("u-paused".to_owned());
        let pause = Pause { rule: Some(HOSTILE.to_owned()), user, ..Pause::default() };
        let body = match kind {
            "hold" => serde_json::to_string(&hold).unwrap(),
            _ => serde_json::to_string(&pause).unwrap(),
        };
        Ok(vec![("1".to_owned(), body), ("2".to_owned(), "of a later version".to_owned())])
    }
}

/// Knows one user of the partner's.
struct Partner;

#[async_trait]
impl Contacts for Partner {
    async fn resolve(&self, _user: &str) -> Result<Option<Contact>, DeliveryError> {
        panic!("the page resolves nobody")
    }

    async fn user_of(&self, external_id: &str) -> Result<Option<String>, DeliveryError> {
        Ok((external_id == "customer-77").then(|| "u-1".to_owned()))
    }
}

/// What Basiq says of one bank.
fn snapshot() -> Snapshot {
    let connector = Connector { status: "major-outage".into(), name: "Hooli Bank".into() };
    Snapshot {
        as_of: Some(time("2026-11-22T03:59:30Z")),
        connectors: [(("AU00000".into(), "web".into()), connector)].into(),
        ..Snapshot::default()
    }
}

const REFERENCE: &str = "INC-7K3QM-2X94T";

fn incident(reference: &str, text: &str) -> Incident {
    let at = time("2026-11-22T02:00:00Z");
    Incident {
        reference: reference.to_owned(),
        key: format!("test/c-1/{reference}"),
        connection: format!("c-{text}"),
        user: format!("u-{text}"),
        institution: "AU00000".to_owned(),
        institution_name: format!("Hooli {text}"),
        method: "web".to_owned(),
        scenario: "service-unavailable".to_owned(),
        class: Class::Service,
        class_since: at,
        scenario_since: at,
        failing_since: at,
        last_failure: at,
        failed_jobs: 2,
        opened: at,
        changed: at,
        status: Status::Open,
        cause: Cause::Connection,
        baseline: None,
        muted: Vec::new(),
        reopened: 0,
        outage: Outage::default(),
        messages: vec![Message {
            phase: Phase::Opening,
            class: Class::Service,
            template: "delayed".to_owned(),
            closing_template: "ready".to_owned(),
            effect: "e/message".to_owned(),
            message_id: "<a@b>".to_owned(),
            state: MessageState::Told { at },
            closing: None,
        }],
        attempts: vec![Attempt { at, job: "j-2".to_owned(), before: at, failed: Some(at), over: false }],
        planned: 3,
        message_after: None,
        deferred: None,
        released: false,
        dry_refreshes: 0,
        refresh: None,
        refresh_after: None,
        withheld: Some(format!("a job is running {text}")),
        refresh_refused: None,
        queued: true,
        ticket: Some(TicketLink {
            key: "test/t-1".to_owned(),
            effect: "e/ticket".to_owned(),
            desk: "desk".to_owned(),
            remote: Some("RT-42".to_owned()),
            storm: false,
            state: TicketState::Filed,
            comments: 0,
            closed: false,
        }),
        ticket_after: None,
        hold: None,
        done: None,
    }
}

fn effect(key: &str, action: Action, phase: Phase, state: EffectState, payload: Payload) -> Effect {
    let at = time("2026-11-22T02:15:00Z");
    Effect {
        key: key.to_owned(),
        incidents: vec![REFERENCE.to_owned()],
        action,
        phase,
        channel: "files".to_owned(),
        state,
        reason: "because of <b>this</b>".to_owned(),
        rule: "ConnectionDelayed".to_owned(),
        due: at,
        next_attempt: at,
        expires: at,
        attempts: 2,
        marks: 1,
        unknowns: 0,
        created: at,
        changed: at,
        remote: Some("file-1".to_owned()),
        traceparent: None,
        payload,
    }
}

/// Takes down commands.
#[derive(Default)]
struct Desk(Mutex<Vec<Command>>);

#[async_trait]
impl Commands for Desk {
    async fn ask(&self, command: &Command, _now: Timestamp) -> Result<(), StoreError> {
        self.0.lock().unwrap().push(command.clone());
        Ok(())
    }
}

const HOSTILE: &str = "<script>alert(1)</script>\"'&";

fn app() -> Router {
    with_commands(Arc::new(Desk::default()))
}

fn with_commands(commands: Arc<dyn Commands>) -> Router {
    guarded(commands, "{}")
}

/// A page with this section `page` of the configuration.
fn guarded(commands: Arc<dyn Commands>, section: &str) -> Router {
    let config: PageConfig = daemon::config::decode("alerter.yml", section).unwrap();
    let entry = |what: &str, text: &str| TimelineEntry {
        incident: REFERENCE.to_owned(),
        at: time("2026-11-22T02:20:00Z"),
        effect: None,
        what: what.to_owned(),
        text: text.to_owned(),
    };
    let refresh =
        Payload::Refresh { user: "u-1".to_owned(), connection: "c-1".to_owned(), class: Class::Service };
    let comment = Payload::Comment {
        ticket: "t".to_owned(),
        remote: "r".to_owned(),
        text: HOSTILE.to_owned(),
        news: Default::default(),
    };
    let case = ("u-1".to_owned(), "c-1".to_owned(), time("2026-11-22T02:00:00Z"));
    let store = Memory {
        incidents: vec![
            Arc::new(incident(REFERENCE, "1")),
            Arc::new(incident("INC-HOSTILE", HOSTILE)),
            Arc::new(Incident {
                status: Status::Ended { reason: "recovered".to_owned(), at: time("2026-11-22T03:00:00Z") },
                ..incident("INC-OVER", "3")
            }),
        ],
        effects: vec![
            effect(
                "e/message 1",
                Action::NotifyUser,
                Phase::Opening,
                EffectState::Delivered,
                Payload::Message(message("delayed")),
            ),
            effect("e/refresh", Action::RefreshConnection, Phase::Refresh, EffectState::Planned, refresh),
            effect(
                "e/ticket",
                Action::FileTicket,
                Phase::Ticket,
                EffectState::Held,
                Payload::Ticket { ticket: ticket(), cases: vec![case] },
            ),
            effect("e/comment", Action::FileTicket, Phase::Comment, EffectState::Dead, comment),
            effect(
                "e/notice",
                Action::NotifyOperator,
                Phase::Notice,
                EffectState::DryRun,
                Payload::Notice(notice()),
            ),
        ],
        timeline: vec![entry("opened", "It fails with service-unavailable."), entry("withheld", HOSTILE)],
    };
    router(PageState {
        store: Arc::new(store),
        contacts: Arc::new(Partner),
        evidence: tokio::sync::watch::channel(Arc::new(snapshot())).1,
        access: Access::new(config).unwrap(),
        commands,
        renderer: Arc::new(Renderer::new(sender(), None).unwrap()),
        clock: Clock::manual(time("2026-11-22T04:00:00Z")).0,
        environment: "test".into(),
        actions: Actions::default(),
    })
}

async fn get(path: &str) -> (http::StatusCode, http::HeaderMap, String) {
    let request = http::Request::get(path).body(Body::empty()).unwrap();
    let response = app().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn every_page_renders_without_anything_that_acts() {
    for (path, owed) in [
        ("/incidents", "Hooli 1"),
        ("/incidents", "user told"),
        ("/incidents?show=ended", "recovered"),
        ("/incidents?show=all", "INC-OVER"),
        ("/incidents?scenario=service-unavailable", "2 h ago"),
        ("/incidents?scenario=nothing", "Nothing here"),
        ("/incidents?q=c-3", "INC-OVER"),
        ("/incidents?q=u-1", REFERENCE),
        ("/incidents?q=au00000", REFERENCE),
        ("/incidents?q=nobody", "Nothing is known"),
        ("/incidents?q=%3Cscript%3E", "Nothing is known"),
        ("/incidents?page=4294967295", "Nothing here"),
        ("/incidents?q=RT-42", "Found by ticket."),
        ("/incidents?q=%23RT-42", "Found by ticket."),
        ("/incidents?q=customer-77", "Found by external id."),
        ("/incidents?q=hooli%20bank", "Found by bank."),
        ("/incidents?q=hooli", "Found by bank."),
        ("/incidents?age=day", "Hooli 1"),
        ("/incidents?age=hour", "Nothing here"),
        ("/incidents?bank=AU00000", "At Hooli Bank only"),
        ("/incidents?bank=%22%3E%3Cscript%3E", "Nothing here"),
        ("/incidents?did=release", "Released: what still holds goes out now."),
        ("/banks", "web: major outage"),
        ("/banks", "30 s ago"),
        ("/steering", "Hold 7: 1 message to users"),
        ("/steering", "Everything of rule &lt;script&gt;"),
        ("/steering?did=%3Cscript%3E", "Baseline"),
        ("/incidents/INC-7K3QM-2X94T", "It fails with service-unavailable."),
        ("/incidents/INC-7K3QM-2X94T", "a job is running 1"),
        ("/incidents/INC-7K3QM-2X94T", "RT-42"),
        ("/incidents/INC-HOSTILE", "&lt;script&gt;"),
        ("/effects", "Message to the user"),
        ("/effects?action=file-ticket", "Connection c-1 fails since 2026-11-22"),
        ("/effects?state=held&channel=x%22y", "Ticket"),
        ("/effects?state=nonsense", "Refresh"),
        ("/message?key=e%2Fmessage%201", "Your data from Hooli is delayed"),
    ] {
        let (status, headers, body) = get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        assert!(body.contains(owed), "{path} lacks {owed}:\n{body}");
        assert!(!body.contains("<script") && !body.contains("style=") && !body.contains("onclick"), "{path}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(headers["referrer-policy"], "same-origin");
    }
}

/// What is logged while a page is asked for by somebody whom nobody identified.
async fn logged(path: &str) -> Vec<String> {
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(text);
            Ok(text.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _subscriber = tracing::subscriber::set_default(subscriber);
    get(path).await;
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn who_looks_at_what_is_a_persons_is_logged_also_in_lists() {
    for (path, owed) in [
        ("/incidents/INC-7K3QM-2X94T", "viewed"),
        ("/incidents", "listed"),
        ("/incidents?q=customer-77", "listed"),
        ("/steering", "listed"),
        ("/api/v1/users/u-1/status", "viewed"),
    ] {
        let lines = logged(path).await;
        let told = |line: &&String| line.contains(REFERENCE) && line.contains("actor=");
        let line = lines.iter().find(told).unwrap_or_else(|| panic!("{path}: {lines:#?}"));
        assert!(line.contains(owed), "{path}: {line}");
        assert!(!lines.concat().contains("customer-77"), "what was typed may be anything: {lines:#?}");
        assert_eq!(lines.concat().contains("u-paused"), path == "/steering", "{path}: {lines:#?}");
    }
    for path in ["/effects", "/message?key=e%2Fmessage%201", "/message.html?key=e%2Fmessage%201"] {
        let lines = logged(path).await.concat();
        assert!(lines.contains("e/message 1") && lines.contains("actor="), "{path}: {lines}");
    }
    for path in ["/banks", "/incidents?q=nobody", "/effects?state=expired"] {
        let lines = logged(path).await.concat();
        assert!(!lines.contains("viewed") && !lines.contains("listed"), "nobody is shown: {path}: {lines}");
    }
}

#[tokio::test]
async fn a_reference_leads_to_its_incident_and_what_is_not_there_is_said_so() {
    let (status, headers, _) = get("/incidents?q=inc-7k3qm-2x94t").await;
    assert_eq!(status, 303);
    assert_eq!(headers["location"], "/incidents/INC-7K3QM-2X94T");
    for path in
        ["/incidents/INC-NONE", "/message?key=none", "/message?key=e/refresh", "/message.html?key=none"]
    {
        let (status, _, body) = get(path).await;
        assert_eq!(status, 404, "{path}");
        assert!(body.contains("There is no"), "{path}");
    }
}

#[tokio::test]
async fn a_message_is_shown_in_a_frame_that_cannot_act() {
    let (status, headers, body) = get("/message.html?key=e%2Fmessage%201").await;
    assert_eq!(status, 200);
    assert!(body.contains("Piper Money Pty Ltd"));
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("sandbox")
            && policy.contains("default-src 'none'")
            && policy.contains("frame-ancestors 'self'")
    );
    let (_, _, page) = get("/message?key=e%2Fmessage%201").await;
    assert!(page.contains("sandbox") && page.contains("key=e%2Fmessage%201"), "{page}");
}

#[tokio::test]
async fn the_partners_application_gets_the_same_answer_as_json() {
    let (status, _, body) = get("/api/v1/users/u-1/status").await;
    assert_eq!(status, 200);
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["connections"][0]["connection_id"], "c-1");
    assert_eq!(answer["connections"][0]["next_step"], "Basiq, which tries every two hours");
    assert_eq!(answer["connections"][0]["told"], true);
    assert_eq!(answer["connections"][0]["told_at"], "2026-11-22T02:00:00Z");
    assert_eq!(answer["connections"][0]["waits_for"], "basiq");
    assert_eq!(answer["connections"][0]["can_be_done"], false);
    assert_eq!(answer["connections"][0]["refreshes"], 1);
    let (status, _, body) = get("/api/v1/users/nobody/status").await;
    assert_eq!((status.as_u16(), body.as_str()), (200, r#"{"user_id":"nobody","connections":[]}"#));
}

/// Presses a button of the page with these settings, as this login, from this site; gives the status, where it
/// leads, and what was taken down.
async fn press(
    section: &str,
    login: Option<&str>,
    site: &str,
    path: &str,
    form: &str,
) -> (u16, String, Vec<Command>) {
    let desk = Arc::new(Desk::default());
    let mut request = http::Request::post(path)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("sec-fetch-site", site);
    if let Some(login) = login {
        request = request.header("authorization", format!("Basic {}", STANDARD.encode(login)));
    }
    let request = request.body(Body::from(form.to_owned())).unwrap();
    let response = guarded(desk.clone(), section).oneshot(request).await.unwrap();
    let leads = response.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
    let taken = desk.0.lock().unwrap().clone();
    (response.status().as_u16(), leads.unwrap_or_default(), taken)
}

#[tokio::test]
async fn every_button_is_taken_down_and_leads_back() {
    let pause = Pause { action: Some(Action::NotifyUser), user: Some("u-1".to_owned()), ..Pause::default() };
    for (form, command) in [
        ("what=done&connection=c-1", Command::Done { connection: "c-1".to_owned() }),
        ("what=release&hold=7", Command::Release { hold: 7 }),
        ("what=discard&hold=8", Command::Discard { hold: 8 }),
        ("what=retry&effect=e%2Fmessage%201", Command::Retry { effect: "e/message 1".to_owned() }),
        ("what=cancel&effect=e%2Frefresh", Command::Cancel { effect: "e/refresh".to_owned() }),
        (
            "what=release-baseline&institution=AU00000&scenario=&number=5",
            Command::ReleaseBaseline {
                institution: Some("AU00000".to_owned()),
                scenario: None,
                number: Some(5),
            },
        ),
        (
            "what=release-baseline",
            Command::ReleaseBaseline { institution: None, scenario: None, number: Some(1) },
        ),
        ("what=pause&action=notify-user&user=u-1&rule=&institution=", Command::Pause(pause.clone())),
        ("what=resume&action=notify-user&user=u-1", Command::Resume(pause)),
        (
            "what=ticket-closed&incident=INC-1",
            Command::TicketClosed { incident: "INC-1".to_owned(), wont_fix: false },
        ),
        (
            "what=wont-fix&incident=INC-1",
            Command::TicketClosed { incident: "INC-1".to_owned(), wont_fix: true },
        ),
    ] {
        let what = form.split(['=', '&']).nth(1).unwrap();
        let form = format!("{form}&back=/incidents/INC-1");
        let (status, leads, taken) = press("{}", None, "same-origin", "/actions", &form).await;
        assert_eq!((status, leads), (303, format!("/incidents/INC-1?did={what}")), "{form}");
        assert_eq!(taken, [command], "{form}");
    }
    for form in [
        "what=nothing",
        "what=done",
        "what=release",
        "what=release&hold=x",
        "what=wont-fix",
        "what=retry",
        "what=pause&action=everything",
        "what=release-baseline&number=100000",
    ] {
        let (status, _, taken) = press("{}", None, "same-origin", "/actions", form).await;
        assert_eq!((status, taken), (400, Vec::new()), "{form}");
    }
}

#[tokio::test]
async fn other_sites_viewers_and_applications_press_no_button() {
    let roles = "operators: [ann]\napplications: [app]\n";
    let done = Command::Done { connection: "c-1".to_owned() };
    let (form, api) = ("what=done&connection=c-1", "/api/v1/connections/c-1/done");
    for (section, login, site, path, expected) in [
        ("{}", None, "cross-site", "/actions", 403),
        ("{}", None, "same-site", "/actions", 403),
        ("{}", None, "cross-site", api, 403),
        (roles, None, "same-origin", "/actions", 403),
        (roles, Some("bob:x"), "same-origin", "/actions", 403),
        (roles, Some("bob:x"), "same-origin", api, 403),
        (roles, Some("app:x"), "same-origin", "/actions", 403),
        (roles, Some("app:x"), "same-origin", api, 202),
        (roles, Some("ann:x"), "same-origin", "/actions", 303),
        ("{}", None, "same-origin", api, 202),
        ("{}", None, "same-origin", "/api/v1/connections/c%202/done", 400),
    ] {
        let (status, _, taken) = press(section, login, site, path, form).await;
        assert_eq!(status, expected, "{section} {login:?} {site} {path}");
        assert_eq!(taken, if expected < 400 { vec![done.clone()] } else { Vec::new() }, "{path}");
    }
}

#[tokio::test]
async fn a_viewer_looks_and_an_application_sees_only_its_interface() {
    let roles = "operators: [ann]\napplications: [app]\n";
    for (login, path, expected) in [
        ("bob:x", "/incidents", 200),
        ("bob:x", "/steering", 200),
        ("app:x", "/incidents", 403),
        ("app:x", "/message?key=e%2Fmessage%201", 403),
        ("app:x", "/api/v1/users/u-1/status", 200),
    ] {
        let request =
            http::Request::get(path).header("authorization", format!("Basic {}", STANDARD.encode(login)));
        let app = guarded(Arc::new(Desk::default()), roles);
        let response = app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status().as_u16(), expected, "{login} {path}");
    }
}
