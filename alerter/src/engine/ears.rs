//! Where the engine hears from, and what it hears until its next step.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::Engine;
use crate::{
    demand::{Report, StateRow},
    evidence::Snapshot,
    outbox::Signal,
    plan::{Command, Input, Person, Said},
};

/// At most so many reports and signals in one step, so that a step stays short.
const AT_ONCE: usize = 2000;

/// Where the engine hears from.
pub struct Ears {
    /// Sources.
    pub reports: mpsc::Receiver<Report>,
    /// The exporters.
    pub evidence: watch::Receiver<Arc<Snapshot>>,
    /// The lines of the outbox.
    pub signals: mpsc::Receiver<Signal>,
    /// Who is behind users.
    pub people: mpsc::Receiver<(String, Person)>,
}

/// What one step takes in.
#[derive(Default)]
pub(super) struct Heard {
    pub(super) input: Input,
    pub(super) state: Vec<(Arc<str>, Vec<StateRow>)>,
    pub(super) committed: Vec<oneshot::Sender<()>>,
    pub(super) obeyed: Vec<i64>,
    pub(super) heard: Vec<i64>,
    /// Whether a source of demands spoke.
    pub(super) reported: bool,
}

impl Heard {
    /// Whether more of the same kind is likely to follow at once, and nobody waits for this.
    pub(super) fn waves(&self) -> bool {
        self.committed.is_empty() && !(self.input.outcomes.is_empty() && self.input.people.is_empty())
    }

    pub(super) fn report(&mut self, report: Report) {
        self.input.traceparent = self.input.traceparent.take().or(report.traceparent);
        self.reported |= &*report.source != crate::digest::SOURCE;
        self.input.said.push(Said { firing: report.firing, ended: report.ended });
        if !report.state.is_empty() {
            self.state.push((report.source, report.state));
        }
        self.committed.extend(report.committed);
    }

    pub(super) fn signal(&mut self, signal: Signal) {
        match signal {
            Signal::Outcome(outcome) => self.input.outcomes.push(*outcome),
            Signal::Suppress { person, code } => self.input.refused.push((person, code)),
            Signal::Circuit { channel, open } => self.input.circuits.push((channel, open)),
        }
    }
}

impl Engine {
    /// Everything else that is there already, up to a bound.
    pub(super) fn gather(&mut self, heard: &mut Heard) {
        for _ in 0..AT_ONCE {
            let Ok(signal) = self.ears.signals.try_recv() else { break };
            heard.signal(signal);
        }
        for _ in 0..AT_ONCE {
            let Ok(person) = self.ears.people.try_recv() else { break };
            heard.input.people.push(person);
        }
        for _ in 0..AT_ONCE {
            let Ok(report) = self.ears.reports.try_recv() else { break };
            heard.report(report);
        }
        let newest = self.ears.evidence.borrow_and_update().clone();
        if newest.as_of.is_some() {
            heard.input.snapshot = Some(newest);
        }
    }

    /// What people asked for.
    pub(super) async fn commands(&self, heard: &mut Heard) {
        match self.store.asked().await {
            Ok(asked) => {
                for (id, command) in asked {
                    if let Command::Retry { effect } = &command {
                        match self.store.effect(effect).await {
                            Ok(found) => heard.input.retried.extend(found),
                            Err(error) => {
                                tracing::error!(reason = %error, "an effect could not be read");
                                continue;
                            }
                        }
                    }
                    heard.obeyed.push(id);
                    heard.input.commands.push(command);
                }
            }
            Err(error) => tracing::error!(reason = %error, "commands could not be read"),
        }
    }

    /// What replicas have written down.
    pub(super) async fn hear(&mut self, heard: &mut Heard) {
        let Some(replicas) = self.store.replicas() else { return };
        match replicas.reported().await {
            Ok(reported) => {
                for (id, signal) in reported {
                    heard.heard.push(id);
                    heard.signal(signal);
                }
            }
            Err(error) => tracing::error!(reason = %error, "reports of replicas could not be read"),
        }
    }
}
