//! Who hears of a fault of Basiq or of a bank: one notice to operators, one ticket (behaviour, section 3).

use daemon::Timestamp;

use super::{
    Changes, Row,
    causes::{Fault, Trouble, trouble_row},
    notices::Own,
    planner::{Planner, after, digest},
};
use crate::{
    channels::{News, Ticket},
    config::Mode,
    demand::Action,
    store::{Effect, EffectState, Payload, Phase},
};

/// The rule that a ticket about a fault follows, for pauses.
const RULE: &str = "outage";

impl Planner {
    /// Tells operators, and files a ticket, of what has been at fault for long enough.
    pub(super) fn report_troubles(&mut self, now: Timestamp, changes: &mut Changes) {
        let due: Vec<Fault> = self
            .troubles
            .values()
            .filter(|trouble| !trouble.told && trouble.ended.is_none())
            .filter(|trouble| match trouble.fault {
                Fault::Platform => true,
                Fault::Ailing { .. } => false,
                Fault::Major { .. } => after(trouble.since, self.settings.limits.long_outage) <= now,
            })
            .map(|trouble| trouble.fault.clone())
            .collect();
        for fault in due {
            self.report(&fault, now, changes);
        }
    }

    fn report(&mut self, fault: &Fault, now: Timestamp, changes: &mut Changes) {
        let Some(mut trouble) = self.troubles.get(fault).cloned() else { return };
        let words = self.words(&trouble);
        let bank = [("institution", words.institution.as_str())];
        let own = Own {
            key: &fault.name(),
            name: words.alert,
            of: if words.institution.is_empty() { &[] } else { &bank },
            summary: &words.summary,
            description: &words.description,
        };
        self.own_notice(&own, now, changes);
        let desk = self.settings.routes.desk.clone().unwrap_or_default();
        if self.desk_full(&desk, now) {
            // Its ticket is one of the desk's next day.
            return;
        }
        trouble.told = true;
        let paused = self.paused(Action::FileTicket, RULE, &words.institution, "");
        if self.settings.actions.mode(Action::FileTicket) != Mode::Off && !paused {
            let ticket = self.plan_trouble_ticket(&trouble, words, now, changes);
            self.count_ticket(&desk, &ticket.1, now);
            trouble.ticket = Some(ticket);
        }
        changes.rows.push(trouble_row(&trouble));
        self.troubles.insert(fault.clone(), trouble);
    }

    fn plan_trouble_ticket(
        &mut self,
        trouble: &Trouble,
        words: Words,
        now: Timestamp,
        changes: &mut Changes,
    ) -> (String, String, Option<String>) {
        let name = format!("{}/{}", trouble.fault.name(), trouble.since.as_millisecond());
        let ticket = Ticket {
            key: digest(&format!("{}/{name}", self.settings.environment)),
            subject: words.summary,
            body: words.description,
            connections: Vec::new(),
            institution: words.institution,
            scenario: words.scenario.to_owned(),
            severity: "warning".to_owned(),
            at: now,
        };
        let key = self.trouble_key(&name, Phase::Ticket, 0);
        let desk_key = ticket.key.clone();
        let reason = format!("at fault since {}", trouble.since);
        self.plan_trouble_effect(
            key.clone(),
            Payload::Ticket { ticket, cases: Vec::new() },
            reason,
            now,
            changes,
        );
        (desk_key, key, None)
    }

    fn trouble_key(&self, name: &str, phase: Phase, n: u32) -> String {
        let action = Action::FileTicket.as_str();
        format!("{}/{name}/{action}/{}/{n}", self.settings.environment, phase.as_str())
    }

    fn plan_trouble_effect(
        &mut self,
        key: String,
        payload: Payload,
        reason: String,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        let phase = if matches!(payload, Payload::Comment { .. }) { Phase::Comment } else { Phase::Ticket };
        let effect = Effect {
            key,
            incidents: Vec::new(),
            action: Action::FileTicket,
            phase,
            channel: self.settings.routes.desk.clone().unwrap_or_default(),
            state: EffectState::Planned,
            reason,
            rule: RULE.to_owned(),
            due: now,
            next_attempt: now,
            expires: after(now, self.settings.limits.lifetime_ticket),
            attempts: 0,
            marks: 0,
            unknowns: 0,
            created: now,
            changed: now,
            remote: None,
            traceparent: None,
            payload,
        };
        self.add_effect(effect, now, changes);
    }

    /// It is over: the notice ends, a ticket that is not filed yet is withdrawn, and one that is hears of it.
    pub(super) fn trouble_ends(&mut self, fault: &Fault, now: Timestamp, changes: &mut Changes) {
        let Some(mut trouble) = self.troubles.remove(fault) else { return };
        self.own_notice_ended(&fault.name(), now, changes);
        self.due.set(&fault.name().into(), None);
        trouble.ended = Some(now);
        if let Some((_, effect, None)) = &trouble.ticket {
            let waits = self
                .effects
                .get(effect)
                .is_some_and(|planned| matches!(planned.state, EffectState::Planned | EffectState::Deferred));
            if waits {
                self.withdraw(&effect.clone(), "", "it is over", now, changes);
            } else if self.effects.contains_key(effect) {
                // Nobody knows yet whether the desk has it.
                changes.rows.push(trouble_row(&trouble));
                self.troubles.insert(fault.clone(), trouble);
                return;
            }
        }
        self.say_over(&trouble, now, changes);
        changes.rows.push(Row { kind: "trouble", key: fault.name(), body: None });
    }

    fn say_over(&mut self, trouble: &Trouble, now: Timestamp, changes: &mut Changes) {
        let (Some((ticket, _, Some(remote))), Some(ended)) = (&trouble.ticket, trouble.ended) else { return };
        let name = format!("{}/{}", trouble.fault.name(), trouble.since.as_millisecond());
        let text = format!("It is over since {ended}; it began at {}.", trouble.since);
        let comment = Payload::Comment {
            ticket: ticket.clone(),
            remote: remote.clone(),
            text: text.clone(),
            institution: trouble.fault.institution().to_owned(),
            user: String::new(),
            news: News::Over,
        };
        self.plan_trouble_effect(self.trouble_key(&name, Phase::Comment, 1), comment, text, now, changes);
    }

    /// The ticket of a trouble was filed, or will not be.
    pub(super) fn trouble_filed(&mut self, effect: &Effect, now: Timestamp, changes: &mut Changes) {
        let of = |trouble: &&Trouble| trouble.ticket.as_ref().is_some_and(|(_, key, _)| *key == effect.key);
        let Some(mut trouble) = self.troubles.values().find(of).cloned() else { return };
        let filed = effect.state == EffectState::Delivered;
        if let Some((_, _, remote)) = trouble.ticket.as_mut().filter(|_| filed) {
            remote.clone_from(&effect.remote);
        }
        if trouble.ended.is_some() {
            self.say_over(&trouble, now, changes);
            self.troubles.remove(&trouble.fault);
            changes.rows.push(Row { kind: "trouble", key: trouble.fault.name(), body: None });
        } else {
            changes.rows.push(trouble_row(&trouble));
            self.troubles.insert(trouble.fault.clone(), trouble);
        }
    }

    fn words(&self, trouble: &Trouble) -> Words {
        match &trouble.fault {
            Fault::Platform => {
                let ailing = self.troubles.keys().filter_map(|fault| match fault {
                    Fault::Ailing { institution, .. } => Some(institution.to_string()),
                    Fault::Platform | Fault::Major { .. } => None,
                });
                let banks: std::collections::BTreeSet<String> = ailing.collect();
                let list = banks.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                Words {
                    alert: "BasiqAlerterPlatformOutage",
                    summary: format!("Basiq itself seems to fail: {} banks at once", banks.len()),
                    description: format!(
                        "Since {} far more jobs than usual newly fail at {list}. Messages to users and refreshes stop until it is over; what is due then restarts spread out.",
                        trouble.since
                    ),
                    institution: String::new(),
                    scenario: "platform-outage",
                }
            }
            Fault::Ailing { institution, .. } | Fault::Major { institution } => {
                let of = |((known, _), connector): (&crate::evidence::Bank, &crate::evidence::Connector)| {
                    (known == institution).then(|| connector.name.to_string())
                };
                let name =
                    self.snapshot.connectors.iter().find_map(of).unwrap_or_else(|| institution.to_string());
                let open =
                    |it: &&crate::incidents::Incident| it.is_open() && *it.institution == **institution;
                Words {
                    alert: "BasiqAlerterLongOutage",
                    summary: format!("The connector of {name} ({institution}) stays in major outage"),
                    description: format!(
                        "It is in major outage since {}. {} connections of it fail here. No refresh and no ticket of theirs counts time until it lifts.",
                        trouble.since,
                        self.incidents().filter(open).count()
                    ),
                    institution: institution.to_string(),
                    scenario: "major-outage",
                }
            }
        }
    }
}

/// How a fault is told.
struct Words {
    alert: &'static str,
    summary: String,
    description: String,
    institution: String,
    scenario: &'static str,
}
