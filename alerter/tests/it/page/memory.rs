//! A store in memory, as far as the page reads one.

use async_trait::async_trait;
use basiq_alerter::{
    demand::StateRow,
    plan::{Hold, Pause},
    store::{
        Browse, Counts, Effect, EffectFilter, EffectState, Group, IncidentFilter, IncidentRow, Read, Search,
        StoreError, TimelineEntry, Waiting,
    },
};
use daemon::Timestamp;

use super::stage::{HOSTILE, REFERENCE};
use crate::messages::time;

#[derive(Default)]
pub(super) struct Memory {
    pub(super) incidents: Vec<IncidentRow>,
    pub(super) effects: Vec<Effect>,
    pub(super) timeline: Vec<TimelineEntry>,
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
