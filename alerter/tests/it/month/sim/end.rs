//! The days after the month: first what still fails goes on failing under a clear sky, then everything heals.

use basiq_alerter::incidents::{Class, MessageState, Status, TicketState};

use super::{STEPS_A_DAY, Sim, Violation};

impl Sim {
    pub(super) fn end(&mut self) -> Result<(), Violation> {
        self.clears_up();
        for _ in 0..2 * STEPS_A_DAY {
            self.advance()?;
        }
        self.persistent_failures_have_a_ticket()?;
        for place in 0..self.connections.len() {
            self.stops(place, "recovered");
        }
        for _ in 0..3 * STEPS_A_DAY + 12 {
            self.advance()?;
        }
        self.everything_ended()
    }

    /// Each persistent failure has exactly one ticket.
    fn persistent_failures_have_a_ticket(&self) -> Result<(), Violation> {
        let clock = self.clock();
        for incident in self.incidents.values() {
            let long = clock.duration_since(incident.class_since).as_hours() >= 40;
            let rule =
                matches!(incident.scenario.as_str(), "service-unavailable" | "retry-expired" | "unknown");
            // One that was forgotten has no connection.
            let Some(of) = self.connections.get(Self::place(&incident.connection)) else { continue };
            let same =
                of.failing.as_ref().is_some_and(|failing| Class::of(failing.scenario) == incident.class);
            if !incident.is_open() || !long || !rule || !same || incident.baseline.is_some() {
                continue;
            }
            match &incident.ticket {
                Some(link) if link.state == TicketState::Filed => {}
                // It is seen that it was refused.
                Some(link) if link.state == TicketState::Failed => {}
                other => {
                    let what = format!("{} fails on and has no ticket: {other:?}", incident.reference);
                    return Err(self.violation(&incident.connection, what));
                }
            }
        }
        Ok(())
    }

    /// Every incident has closed, everyone told was told the end, nothing waits for ever.
    fn everything_ended(&self) -> Result<(), Violation> {
        for incident in self.incidents.values() {
            let Status::Ended { reason, .. } = &incident.status else {
                return Err(
                    self.violation(&incident.connection, format!("{} did not close", incident.reference))
                );
            };
            if !matches!(reason.as_str(), "recovered" | "superseded") {
                continue;
            }
            for message in &incident.messages {
                let owed = matches!(message.state, MessageState::Told { .. });
                let seen = message.closing.as_ref().is_some_and(|key| !self.effects.contains_key(key));
                if owed && !seen {
                    let what = format!("{} was told of and its end was not", incident.reference);
                    return Err(self.violation(&incident.connection, what));
                }
            }
        }
        if let Some(effect) =
            self.effects.values().find(|effect| effect.phase != basiq_alerter::store::Phase::Comment)
        {
            let what = format!("nothing will become of {}: {} {}", effect.key, effect.state, effect.reason);
            return Err(self.violation("", what));
        }
        if self.planner.holds().count() > 0 {
            return Err(self.violation("", "a hold of nothing stays"));
        }
        Ok(())
    }
}
