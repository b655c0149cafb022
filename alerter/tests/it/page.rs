//! The page over a store in memory: every page renders, nothing in it acts, and hostile text stays text.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::{Router, body::Body};
use basiq_alerter::{
    channels::message::Renderer,
    config::Actions,
    demand::{Action, StateRow},
    incidents::{
        Attempt, Cause, Class, Incident, Message, MessageState, Outage, Status, TicketLink, TicketState,
    },
    page::{Commands, PageState, router},
    plan::{Command, Pause},
    store::{
        Counts, Effect, EffectFilter, EffectState, IncidentFilter, IncidentRow, Payload, Phase, Read,
        StoreError, TimelineEntry,
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
            remote: Some("RT-42".to_owned()),
            storm: false,
            state: TicketState::Filed,
            comments: 0,
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
    let entry = |what: &str, text: &str| TimelineEntry {
        incident: REFERENCE.to_owned(),
        at: time("2026-11-22T02:20:00Z"),
        effect: None,
        what: what.to_owned(),
        text: text.to_owned(),
    };
    let refresh =
        Payload::Refresh { user: "u-1".to_owned(), connection: "c-1".to_owned(), class: Class::Service };
    let comment =
        Payload::Comment { ticket: "t".to_owned(), remote: "r".to_owned(), text: HOSTILE.to_owned() };
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
        assert_eq!(headers["referrer-policy"], "no-referrer");
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
    let (status, _, body) = get("/api/v1/users/nobody/status").await;
    assert_eq!((status.as_u16(), body.as_str()), (200, r#"{"user_id":"nobody","connections":[]}"#));
}

#[tokio::test]
async fn buttons_are_taken_down_and_other_sites_press_none() {
    let desk = Arc::new(Desk::default());
    let press = async |path: &str, form: &str, site: &str| {
        let request = http::Request::post(path)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("sec-fetch-site", site)
            .body(Body::from(form.to_owned()))
            .unwrap();
        with_commands(desk.clone()).oneshot(request).await.unwrap()
    };
    let response = press("/actions", "what=done&connection=c-1&back=/incidents/INC-1", "same-origin").await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["location"]),
        (303, &"/incidents/INC-1".parse().unwrap())
    );
    for form in
        ["what=release&hold=7", "what=discard&hold=8", "what=release-baseline&institution=AU00000&number=5"]
    {
        assert_eq!(press("/actions", form, "same-origin").await.status(), 303, "{form}");
    }
    press("/actions", "what=pause&action=notify-user&user=u-1", "same-origin").await;
    press("/actions", "what=wont-fix&incident=INC-1", "same-origin").await;
    assert_eq!(press("/api/v1/connections/c-2/done", "", "same-origin").await.status(), 202);
    assert_eq!(press("/actions", "what=done&connection=c-1", "cross-site").await.status(), 403);
    assert_eq!(press("/api/v1/connections/c-2/done", "", "cross-site").await.status(), 403);
    for form in ["what=nothing", "what=done", "what=release", "what=wont-fix"] {
        assert_eq!(press("/actions", form, "same-origin").await.status(), 400, "{form}");
    }
    assert_eq!(press("/api/v1/connections/c%202/done", "", "same-origin").await.status(), 400);
    let pause = Pause { action: Some(Action::NotifyUser), user: Some("u-1".to_owned()), ..Pause::default() };
    let taken = desk.0.lock().unwrap().clone();
    assert_eq!(
        taken,
        [
            Command::Done { connection: "c-1".to_owned() },
            Command::Release { hold: 7 },
            Command::Discard { hold: 8 },
            Command::ReleaseBaseline {
                institution: Some("AU00000".to_owned()),
                scenario: None,
                number: Some(5)
            },
            Command::Pause(pause),
            Command::TicketClosed { incident: "INC-1".to_owned(), wont_fix: true },
            Command::Done { connection: "c-2".to_owned() },
        ]
    );
}
