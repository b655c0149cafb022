//! Which trace an effect goes on: that of the demand which it follows, however much later it is planned.
//!
//! Kept in memory only, and only while traces are on: after a restart an effect goes on from the step that plans it.

use std::sync::Arc;

use super::{Changes, Input, Map, planner::Planner};
use crate::demand::Subject;

/// Connections whose demands are followed; more are planned without.
const BOUND: usize = 100_000;

/// Places in traces, as the W3C's `traceparent`.
#[derive(Debug, Default)]
pub(super) struct Traces {
    /// Of the present step.
    step: Option<String>,
    /// Of the first demand for a connection that still fires.
    demands: Map<Arc<str>, String>,
}

impl Planner {
    /// Notes where the demands of this step come from.
    pub(super) fn follow(&mut self, input: &Input) {
        let traces = &mut self.traces;
        traces.step.clone_from(&input.traceparent);
        for said in &input.said {
            for demand in &said.ended {
                if let Subject::Connection { connection, .. } = &demand.subject {
                    traces.demands.remove(connection);
                }
            }
            let Some(place) = &traces.step else { continue };
            for demand in &said.firing {
                if let Subject::Connection { connection, .. } = &demand.subject
                    && traces.demands.len() < BOUND
                {
                    traces.demands.entry(connection.clone()).or_insert_with(|| place.clone());
                }
            }
        }
    }

    /// Gives effects that are new in this step their place.
    pub(super) fn trace(&mut self, changes: &mut Changes) {
        if self.traces.step.is_none() && self.traces.demands.is_empty() {
            return;
        }
        for effect in changes.effects.iter_mut().filter(|effect| effect.traceparent.is_none()) {
            let incident = effect.incidents.first().and_then(|of| self.incidents.get(of.as_str()));
            let demand = incident.and_then(|of| self.traces.demands.get(of.connection.as_str()));
            effect.traceparent = demand.or(self.traces.step.as_ref()).cloned();
            if let Some(kept) = self.effects.get_mut(&effect.key) {
                kept.traceparent.clone_from(&effect.traceparent);
            }
        }
    }
}
