//! What arrived, held against what the store says.

use std::collections::HashMap;

use basiq_alerter::store::{Effect, EffectFilter, EffectState, Payload, Phase, Store};

use super::{Plan, Servers};

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Mails and tickets that arrived, each counted once.
    pub(crate) arrived: usize,
    /// Mails that arrived again.
    pub(crate) doubled: usize,
    /// Attempts whose outcome nobody learnt.
    pub(crate) unknowns: usize,
    /// What must not be, as sentences.
    pub(crate) faults: Vec<String>,
    /// What the alerters had to say last, where something is at fault.
    pub(crate) log: Vec<String>,
}

async fn effects(store: &dyn Store) -> Vec<Effect> {
    let mut all = Vec::new();
    loop {
        let offset = u32::try_from(all.len()).unwrap();
        let filter = EffectFilter { limit: 1000, offset, ..EffectFilter::default() };
        // Postgres itself may be away for a moment.
        let Ok(page) = store.effects(&filter).await else { return Vec::new() };
        let last = page.len() < 1000;
        all.extend(page);
        if last {
            return all;
        }
    }
}

fn wanted(effect: &Effect) -> bool {
    matches!(effect.phase, Phase::Opening | Phase::Ticket)
}

/// Whether everything has its end.
pub(super) async fn settled(store: &dyn Store, plan: &Plan) -> bool {
    let Ok(counts) = store.counts().await else { return false };
    let planned: u64 = counts
        .effects
        .iter()
        .filter(|(channel, ..)| channel == "relay" || channel == "desk")
        .map(|(_, state, number)| if state.is_final() { *number } else { 0 })
        .sum();
    planned >= (plan.messages + plan.tickets) as u64
        && counts.effects.iter().all(|(channel, state, _)| channel == "ops" || state.is_final())
}

/// State, times and reason of an effect, for a person.
fn standing(effect: &Effect) -> String {
    let Effect { state, marks, unknowns, changed, next_attempt, reason, .. } = effect;
    format!("{state} ({marks} marks, {unknowns} unknown, since {changed}, next at {next_attempt}): {reason}")
}

pub(super) async fn judge(store: &dyn Store, servers: &Servers, plan: &Plan) -> Verdict {
    let mut verdict = Verdict::default();
    let mut mails = servers.arrived.mails.lock().unwrap().clone();
    let mut tickets: HashMap<String, usize> = HashMap::new();
    for id in servers.arrived.tickets.lock().unwrap().iter() {
        *tickets.entry(id.clone()).or_default() += 1;
    }
    let (mut messages, mut filed) = (0, 0);
    for effect in effects(store).await.into_iter().filter(wanted) {
        verdict.unknowns += effect.unknowns as usize;
        match &effect.payload {
            Payload::Message(message) => {
                messages += 1;
                let times = mails.remove(&message.message_id).unwrap_or_default();
                verdict.arrived += usize::from(times > 0);
                verdict.doubled += times.saturating_sub(1);
                let told = match effect.state {
                    EffectState::Delivered => times > 0,
                    // Two attempts of which nobody learnt how they ended: final, visible, and counted.
                    EffectState::Dead => effect.unknowns >= 2,
                    _ => false,
                };
                if !told {
                    verdict.faults.push(format!("{times} mails, but {}", standing(&effect)));
                }
                if times > 1 + effect.unknowns as usize {
                    verdict.faults.push(format!("{times} mails, but {} unknown outcomes", effect.unknowns));
                }
            }
            Payload::Ticket { .. } => {
                filed += 1;
                verdict.arrived += 1;
                if effect.state != EffectState::Delivered {
                    verdict.faults.push(format!("a ticket is {}", standing(&effect)));
                }
            }
            _ => {}
        }
    }
    let mut expect = |what: &str, is: usize, should: usize| {
        if is != should {
            verdict.faults.push(format!("{is} {what}, not {should}"));
        }
    };
    expect("messages were planned", messages, plan.messages);
    expect("tickets were planned", filed, plan.tickets);
    expect("tickets are at the desk", tickets.len(), plan.tickets);
    expect("tickets were doubled", tickets.values().filter(|times| **times > 1).count(), 0);
    expect("mails are nobody's", mails.len(), 0);
    verdict
}
