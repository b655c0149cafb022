//! What the page shows in these tests: one incident with everything, one of hostile text, one that is over.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::{Router, body::Body};
use basiq_alerter::{
    channels::{Contact, Contacts, DeliveryError, message::Renderer},
    config::Actions,
    demand::Action,
    evidence::{Connector, Snapshot},
    incidents::{
        Attempt, Cause, Class, Incident, Message, MessageState, Outage, Status, TicketLink, TicketState,
    },
    page::{Access, Commands, PageConfig, PageState, router},
    plan::Command,
    store::{Effect, EffectState, Payload, Phase, StoreError, TimelineEntry},
};
use daemon::{Clock, Timestamp};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::memory::Memory;
use crate::{
    channels_files::{notice, ticket},
    messages::{message, sender, time},
};

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

pub(super) const REFERENCE: &str = "INC-7K3QM-2X94T";

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
            rule: "BasiqCredentialsRejected".into(),
            closing_template: "ready".to_owned(),
            effect: "e/message".to_owned(),
            message_id: "<a@b>".to_owned(),
            state: MessageState::Told { at },
            closing: None,
            earlier: false,
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
pub(super) struct Desk(pub(super) Mutex<Vec<Command>>);

#[async_trait]
impl Commands for Desk {
    async fn ask(&self, command: &Command, _now: Timestamp) -> Result<(), StoreError> {
        self.0.lock().unwrap().push(command.clone());
        Ok(())
    }
}

pub(super) const HOSTILE: &str = "<script>alert(1)</script>\"'&";

pub(super) fn app() -> Router {
    with_commands(Arc::new(Desk::default()))
}

pub(super) fn with_commands(commands: Arc<dyn Commands>) -> Router {
    guarded(commands, "{}")
}

/// A page with this section `page` of the configuration.
pub(super) fn guarded(commands: Arc<dyn Commands>, section: &str) -> Router {
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
        institution: String::new(),
        user: String::new(),
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

pub(super) async fn get(path: &str) -> (http::StatusCode, http::HeaderMap, String) {
    let request = http::Request::get(path).body(Body::empty()).unwrap();
    let response = app().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}
