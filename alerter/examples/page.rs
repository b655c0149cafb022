//! How fast the page answers with 100,000 incidents: `cargo run --release -p basiq-alerter --example page [INCIDENTS]`.
//! Prints each page's median and worst time over HTTP on loopback, and exits 1 where one took over 100 ms.
//!
//! The store is the real one in a file, with three effects and five lines of story for each incident; the worst time
//! of the first page includes counting, that of the others that it is counted anew meanwhile.

use std::{
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use basiq_alerter::{
    channels::{
        Contact, Contacts, DeliveryError, MessageConnection, UserMessage,
        message::{Renderer, Sender},
    },
    config::Actions,
    demand::Action,
    evidence::{Connector, Snapshot},
    incidents::{Attempt, Cause, Class, Incident, Message, MessageState, Outage, Status, key, reference},
    page::{Access, PageConfig, PageState, ToStore, router},
    plan::Changes,
    store::{Batch, Effect, EffectState, Payload, Phase, Sqlite, Store, TimelineEntry},
};
use daemon::{Clock, Fatal, Flags, Timestamp};
use jiff::SignedDuration;

/// What a page may take.
const LIMIT: Duration = Duration::from_millis(100);
/// How often each page is asked for.
const TIMES: usize = 15;
/// Incidents in one commit.
const AT_ONCE: usize = 1000;

fn main() -> ExitCode {
    daemon::main("page", &Flags::default(), |context| async move {
        let number = std::env::args().nth(1).map_or(Ok(100_000), |text| text.parse());
        measure(number.map_err(Fatal::settings)?, &context.clock).await.map_err(Fatal::running)
    })
}

struct Nobody;

#[async_trait]
impl Contacts for Nobody {
    async fn resolve(&self, _user: &str) -> Result<Option<Contact>, DeliveryError> {
        Ok(None)
    }
}

#[expect(clippy::print_stdout, reason = "the figures are what this program prints")]
async fn measure(number: usize, clock: &Clock) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let folder = std::env::temp_dir().join(format!("basiq-alerter-page-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let now = clock.now();
    let store = Arc::new(Sqlite::open(&folder.join("page.db"), now).await?);
    let began = Instant::now();
    for first in (0..number).step_by(AT_ONCE) {
        let mut changes = Changes::default();
        for n in first..number.min(first + AT_ONCE) {
            one(n, now, &mut changes);
        }
        store.commit(&Batch { changes, at: now, ..Batch::default() }).await?;
    }
    println!("{number} incidents stored in {:.1} s", began.elapsed().as_secs_f64());

    let connectors = (0..200).map(|n| {
        let connector = Connector { status: "operational".into(), name: format!("Bank {n}").into() };
        ((format!("AU{n:05}").into(), "web".into()), connector)
    });
    let snapshot = Snapshot { as_of: Some(now), connectors: connectors.collect(), ..Snapshot::default() };
    let app = router(PageState {
        commands: Arc::new(ToStore(store.clone())),
        store,
        contacts: Arc::new(Nobody),
        evidence: tokio::sync::watch::channel(Arc::new(snapshot)).1,
        access: Access::new(PageConfig::default())?,
        renderer: Arc::new(Renderer::new(Sender::default(), None).map_err(|error| error.to_string())?),
        clock: clock.clone(),
        environment: "bench".into(),
        actions: Actions::default(),
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr()?);
    let stop = daemon::CancellationToken::new();
    let serving = tokio::spawn(web::serve(listener, app, web::WebConfig::open(), stop.clone()));
    let client = reqwest::Client::builder().no_proxy().build()?;

    let some = incident(number / 2, now);
    let mut slow = Vec::new();
    println!("{:<60} {:>10} {:>10} {:>8}", "page", "median", "worst", "KiB");
    for path in [
        "/incidents".to_owned(),
        "/incidents?page=200".to_owned(),
        "/incidents?show=all".to_owned(),
        "/incidents?show=ended".to_owned(),
        "/incidents?scenario=mfa-required".to_owned(),
        "/incidents?scenario=nothing".to_owned(),
        "/incidents?bank=AU00007".to_owned(),
        "/incidents?bank=AU00007&scenario=mfa-required&age=longer".to_owned(),
        "/incidents?age=hour".to_owned(),
        format!("/incidents?q={}", some.connection),
        format!("/incidents?q={}", some.user),
        "/incidents?q=%23500".to_owned(),
        "/incidents?q=Bank%2042".to_owned(),
        "/incidents?q=nobody".to_owned(),
        format!("/incidents/{}", some.reference),
        "/effects".to_owned(),
        "/effects?page=200".to_owned(),
        "/effects?state=held".to_owned(),
        "/effects?action=file-ticket&state=delivered".to_owned(),
        format!("/message?key=bench/{}/notify-user/opening/1", some.reference),
        "/steering".to_owned(),
        "/banks".to_owned(),
        format!("/api/v1/users/{}/status", some.user),
    ] {
        let (mut took, mut bytes) = (Vec::new(), 0);
        for n in 0..TIMES {
            if n == TIMES / 2 {
                // The counts are too old by now, and made anew.
                tokio::time::sleep(Duration::from_millis(2100)).await;
            }
            let began = Instant::now();
            let answer = client.get(format!("{base}{path}")).send().await?.error_for_status()?;
            bytes = answer.bytes().await?.len();
            took.push(began.elapsed());
        }
        took.sort();
        let (median, worst) = (took[took.len() / 2], took[took.len() - 1]);
        println!("{path:<60} {:>7.1} ms {:>7.1} ms {:>8}", ms(median), ms(worst), bytes / 1024);
        if worst > LIMIT {
            slow.push(path);
        }
    }
    stop.cancel();
    serving.await??;
    std::fs::remove_dir_all(&folder)?;
    if slow.is_empty() { Ok(()) } else { Err(format!("over {} ms: {}", ms(LIMIT), slow.join(", ")).into()) }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The n-th incident, its effects and its story.
fn one(n: usize, now: Timestamp, changes: &mut Changes) {
    let incident = incident(n, now);
    let effects = [
        (
            Action::NotifyUser,
            Phase::Opening,
            if n.is_multiple_of(50) { EffectState::Held } else { EffectState::Delivered },
        ),
        (Action::RefreshConnection, Phase::Refresh, EffectState::Delivered),
        (
            Action::FileTicket,
            Phase::Ticket,
            if n.is_multiple_of(40) { EffectState::Dead } else { EffectState::Planned },
        ),
    ];
    for (action, phase, state) in effects {
        changes.effects.push(effect(&incident, action, phase, state));
    }
    for what in ["opened", "planned", "delivered", "retry-failed", "changed"] {
        changes.timeline.push(TimelineEntry {
            incident: incident.reference.clone(),
            at: incident.changed,
            effect: None,
            what: what.to_owned(),
            text: format!("{what}: the connection fails with {}", incident.scenario),
        });
    }
    changes.incidents.push(incident.into());
}

const SCENARIOS: [&str; 4] = ["service-unavailable", "invalid-credentials", "retry-queued", "account-locked"];

fn incident(n: usize, now: Timestamp) -> Incident {
    let ago = |seconds: usize| now - SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    let since = ago(n * 13 % (30 * 86_400));
    let connection = format!("connection-{n:08}-4a8b-9c11-0192e8d7f001");
    let key = key("bench", &connection, since);
    let scenario = if n % 1000 == 7 { "mfa-required" } else { SCENARIOS[n % 4] };
    Incident {
        reference: reference(&key),
        key,
        connection,
        user: format!("user-{:08}-4e3b-b1c2-001122330001", n / 2),
        institution: format!("AU{:05}", n * n % 200),
        institution_name: format!("Bank {}", n * n % 200),
        method: "web".to_owned(),
        scenario: scenario.to_owned(),
        class: Class::of(scenario),
        class_since: since,
        scenario_since: since,
        failing_since: since,
        last_failure: since,
        failed_jobs: 2,
        opened: since,
        changed: ago(n % 86_400),
        status: if n % 5 == 4 {
            Status::Ended { reason: "recovered".to_owned(), at: now }
        } else {
            Status::Open
        },
        cause: Cause::Connection,
        baseline: (n % 10 == 3).then(|| "it failed before it was first seen".to_owned()),
        muted: Vec::new(),
        reopened: 0,
        outage: Outage::default(),
        messages: vec![Message {
            phase: Phase::Opening,
            class: Class::of(scenario),
            template: "delayed".to_owned(),
            rule: "BasiqCredentialsRejected".into(),
            closing_template: "ready".to_owned(),
            effect: "bench".to_owned(),
            message_id: "<bench@localhost>".to_owned(),
            state: MessageState::Told { at: since },
            closing: None,
            earlier: false,
        }],
        attempts: vec![Attempt {
            at: since,
            job: format!("job-{n}"),
            before: since,
            failed: None,
            over: false,
        }],
        planned: 3,
        message_after: None,
        deferred: None,
        released: false,
        dry_refreshes: 0,
        refresh: None,
        refresh_after: None,
        withheld: None,
        refresh_refused: None,
        queued: false,
        ticket: None,
        ticket_after: None,
        hold: None,
        done: None,
    }
}

fn effect(incident: &Incident, action: Action, phase: Phase, state: EffectState) -> Effect {
    let key = format!("bench/{}/{}/{}/1", incident.reference, action.as_str(), phase.as_str());
    let payload = match phase {
        Phase::Opening => Payload::Message(UserMessage {
            key: key.clone(),
            user: incident.user.clone(),
            template: "delayed".to_owned(),
            connections: vec![MessageConnection {
                connection: incident.connection.clone(),
                user: String::new(),
                institution: incident.institution.clone(),
                institution_name: incident.institution_name.clone(),
                scenario: incident.scenario.clone(),
                since: incident.failing_since,
            }],
            message_id: "<bench@localhost>".to_owned(),
            in_reply_to: None,
            reference: incident.reference.clone(),
            at: incident.opened,
        }),
        _ => Payload::Refresh {
            user: incident.user.clone(),
            connection: incident.connection.clone(),
            class: incident.class,
        },
    };
    Effect {
        key,
        incidents: vec![incident.reference.clone()],
        action,
        phase,
        channel: if phase == Phase::Opening { "relay" } else { "basiq" }.to_owned(),
        state,
        reason: "as it happened".to_owned(),
        rule: "ConnectionDelayed".to_owned(),
        due: incident.opened,
        next_attempt: incident.opened,
        expires: incident.opened,
        attempts: 1,
        marks: 0,
        unknowns: 0,
        created: incident.opened,
        changed: incident.changed,
        remote: None,
        traceparent: None,
        payload,
    }
}
