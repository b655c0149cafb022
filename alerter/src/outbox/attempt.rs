//! One attempt at one effect: everything between the evidence and the answer.

use std::collections::BTreeSet;

use daemon::{
    Timestamp,
    traces::{self, TARGET},
};
use tracing::{Instrument, field::Empty};

use super::{
    Signal, Work,
    policy::{self, Told},
};
use crate::{
    channels::{self, Comment, DeliveryError, Receipt, UserMessage},
    config::Mode,
    plan::Outcome,
    refresh::{Case, Refreshed},
    store::{Effect, EffectState, Payload},
};

/// What an attempt gives back: the outcome, and what else became known.
pub(super) struct Done {
    pub(super) outcome: Outcome,
    pub(super) suppress: Option<Signal>,
    pub(super) fault: Option<String>,
}

/// Attempts the effect, which the store has as being attempted. `spoke_of` are the incidents that the
/// evidence still bears out.
pub(super) async fn attempt(work: Work, effect: Effect, spoke_of: Vec<String>, jitter: f64) -> Done {
    let span = tracing::info_span!(
        target: TARGET,
        "deliver",
        effect = effect.key,
        action = effect.action.as_str(),
        channel = effect.channel,
        attempt = effect.marks,
        outcome = Empty
    );
    if let Some(demand) = &effect.traceparent {
        traces::continue_from(&span, demand);
    }
    let done = attempt_once(work, effect, spoke_of, jitter).instrument(span.clone()).await;
    span.record("outcome", done.outcome.effect.state.as_str());
    done
}

async fn attempt_once(work: Work, effect: Effect, spoke_of: Vec<String>, jitter: f64) -> Done {
    let live = work.actions.mode(effect.action) == Mode::Live;
    let failed_before = match &effect.payload {
        Payload::Refresh { connection, .. } => work.evidence.borrow().newest_failure(connection),
        _ => None,
    };
    let (told, refreshed, person) = match &effect.payload {
        Payload::Message(message) => {
            let message = only(message, &effect.incidents, &spoke_of);
            let (told, person) = match apart(&work, &message).await {
                Ok(false) => deliver(&work, &effect.channel, &message, live).await,
                Ok(true) => return parted(effect, work.clock.now()),
                Err(error) => (Told::Answer(Err(error)), None),
            };
            (told, None, person)
        }
        Payload::Refresh { user, connection, .. } if live => {
            // Counted from the plan: when exactly an earlier process asked is not known.
            let unknown = (effect.state == EffectState::Unknown).then_some(effect.created);
            match work.hands.refresher.refresh(user, connection, unknown).await {
                Ok(refreshed) => (Told::Answer(Ok(receipt(&refreshed))), Some(refreshed), None),
                Err(error) => (Told::Answer(Err(error)), None, None),
            }
        }
        Payload::Refresh { .. } => (Told::DryRun, None, None),
        Payload::Ticket { ticket, cases } => {
            let told = file(&work, &effect, ticket.clone(), cases, live).await;
            (told, None, None)
        }
        Payload::Comment { remote, text, news, .. } => match work.hands.desks.get(&effect.channel) {
            Some(desk) if live => {
                let comment = Comment { key: &effect.key, text, at: effect.created, news: *news };
                let again = effect.marks > 1;
                let told = channels::add_comment(desk.as_ref(), remote, &comment, again).await;
                (Told::Answer(told), None, None)
            }
            Some(_) => (Told::DryRun, None, None),
            None => (Told::Answer(Err(no_such(&effect.channel))), None, None),
        },
        Payload::Notice(notice) => match work.hands.operators.get(&effect.channel) {
            Some(operators) => (Told::Answer(operators.notify(notice).await), None, None),
            None => (Told::Answer(Err(no_such(&effect.channel))), None, None),
        },
    };
    let fault = match &told {
        Told::Answer(Err(DeliveryError::Channel { why })) => Some(why.clone()),
        _ => None,
    };
    let suppress = match (&told, person) {
        (Told::Answer(Err(DeliveryError::Recipient { code })), Some(person)) => {
            Some(Signal::Suppress { person, code: code.clone() })
        }
        _ => None,
    };
    let searchable = work.hands.desks.get(&effect.channel).is_none_or(|desk| desk.searchable());
    let effect = policy::settle(effect, told, work.clock.now(), jitter, searchable);
    Done { outcome: Outcome { effect, spoke_of, refreshed, failed_before }, suppress, fault }
}

/// The message about those connections that still hold.
fn only(message: &UserMessage, incidents: &[String], spoke_of: &[String]) -> UserMessage {
    let mut message = message.clone();
    let mut place = incidents.iter();
    message.connections.retain(|_| place.next().is_some_and(|incident| spoke_of.contains(incident)));
    message
}

/// Whether users whom the message was planned for as one person have addresses of their own by now.
async fn apart(work: &Work, message: &UserMessage) -> Result<bool, DeliveryError> {
    let users = message.connections.iter().map(|of| of.user.as_str());
    let others: BTreeSet<&str> = users.filter(|user| !user.is_empty() && *user != message.user).collect();
    let who = async |user: &str| {
        let contact = work.hands.contacts.resolve(user).await?;
        Ok::<_, DeliveryError>(contact.and_then(|contact| super::person(&work.salt, &contact)))
    };
    if others.is_empty() {
        return Ok(false);
    }
    let addressee = who(&message.user).await?;
    for other in others {
        if who(other).await? != addressee {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Nobody is told whose bank another's is: each gets a message of their own, planned anew.
fn parted(effect: Effect, now: Timestamp) -> Done {
    let why = "it was for users of one address, who have several by now".to_owned();
    let mut effect = policy::end(effect, EffectState::Obsolete, why);
    effect.changed = now;
    let outcome = Outcome { effect, spoke_of: Vec::new(), refreshed: None, failed_before: None };
    Done { outcome, suppress: None, fault: None }
}

async fn deliver(work: &Work, channel: &str, message: &UserMessage, live: bool) -> (Told, Option<String>) {
    let Some(hands) = work.hands.channels.get(channel) else {
        return (Told::Answer(Err(no_such(channel))), None);
    };
    let unreachable = |why: &str| Told::Answer(Err(DeliveryError::Unreachable { why: why.to_owned() }));
    let contact = match work.hands.contacts.resolve(&message.user).await {
        Ok(Some(contact)) => contact,
        Ok(None) => return (unreachable("the contact source does not know the user"), None),
        Err(error) => return (Told::Answer(Err(error)), None),
    };
    if contact.address.is_none() && hands.needs_address() {
        return (unreachable("the user has no address"), None);
    }
    work.domains.learn(&message.user, &contact);
    let person = super::person(&work.salt, &contact);
    if let Some(person) = &person {
        match work.store.suppressed(person).await {
            Ok(None) => {}
            Ok(Some(code)) => {
                return (
                    unreachable(&format!("the address is suppressed: it was refused with {code}")),
                    None,
                );
            }
            Err(error) => {
                let why = error.to_string();
                return (Told::Answer(Err(DeliveryError::Retry { after: None, why })), None);
            }
        }
    }
    if live { (Told::Answer(hands.deliver(message, &contact).await), person) } else { (Told::DryRun, person) }
}

async fn file(
    work: &Work,
    effect: &Effect,
    mut ticket: crate::channels::Ticket,
    cases: &[(String, String, Timestamp)],
    live: bool,
) -> Told {
    let Some(desk) = work.hands.desks.get(&effect.channel) else {
        return Told::Answer(Err(no_such(&effect.channel)));
    };
    if effect.state == EffectState::Unknown && live && !desk.searchable() {
        let why = "nobody knows whether it was filed, and the desk cannot be searched; a person must look";
        return Told::Answer(Err(DeliveryError::Unknown { why: why.to_owned() }));
    }
    // Also for one that is new here: the incident may have had a ticket whose outcome nobody learnt.
    let found = match desk.searchable() && live {
        true => desk.find(&ticket.key).await,
        false => Ok(None),
    };
    let found = match found {
        Ok(Some(receipt)) if desk.longest().is_none() => return Told::Answer(Ok(receipt)),
        Ok(found) => found,
        Err(error) => return Told::Answer(Err(error)),
    };
    for (user, connection, since) in cases {
        match work.hands.cases.case(user, connection, *since).await {
            Ok(case) => ticket.body.push_str(&write_case(connection, &case)),
            // A ticket without these facts is of little use to anybody, but better than none at all.
            Err(error) if found.is_some() || matches!(error, DeliveryError::Permanent { .. }) => {
                ticket.body.push_str(&format!("\nJobs of connection {connection}: not readable: {error}\n"));
            }
            Err(error) => return Told::Answer(Err(error)),
        }
    }
    if live { Told::Answer(channels::file(desk.as_ref(), ticket, found).await) } else { Told::DryRun }
}

fn write_case(connection: &str, case: &Case) -> String {
    let mut text = format!("\nJobs of connection {connection}:\n");
    if let Some(status) = &case.connection_status {
        text.push_str(&format!("Connection status: {status}\n"));
    }
    for job in &case.jobs {
        let finished = job.finished.map_or("unknown".to_owned(), |at| at.to_string());
        text.push_str(&format!(
            "- job {}: step {}, code {}, title: {}, detail: {}, finished {finished}\n",
            job.job, job.step, job.code, job.title, job.detail
        ));
    }
    if case.jobs.is_empty() {
        text.push_str("- none is readable any more\n");
    }
    if let Some(id) = &case.correlation_id {
        text.push_str(&format!("Basiq correlationId: {id}\n"));
    }
    text
}

fn receipt(refreshed: &Refreshed) -> Receipt {
    let (remote, detail) = match refreshed {
        Refreshed::Started { job } => (job.clone(), format!("202: job {job} runs")),
        Refreshed::Existing { job } => {
            (job.clone(), format!("200: job {job} runs or is queued already; no attempt was spent"))
        }
        Refreshed::Withheld { why } => (String::new(), format!("withheld, no attempt was spent: {why}")),
        Refreshed::Refused { why } => (String::new(), format!("refused, there will be no more: {why}")),
    };
    Receipt { remote, detail }
}

fn no_such(channel: &str) -> DeliveryError {
    let why = format!("the configuration has no route to {channel:?}; name one under routes");
    DeliveryError::Channel { why }
}
