//! What can be asked of Basiq, and how lists are narrowed.

use std::fmt;

use url::Url;

use crate::{
    Error, ErrorKind,
    model::{ConnectorStatus, Method, is_id},
};

/// What a request is for; the label of its metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Endpoint {
    /// `POST /token`
    Token,
    /// `GET /users/{userId}`
    User,
    /// `GET /users/{userId}/jobs`
    Jobs,
    /// `GET /jobs/{jobId}`
    Job,
    /// `GET /users/{userId}/connections`
    Connections,
    /// `POST /users/{userId}/connections/{connectionId}/refresh`
    Refresh,
    /// `GET /connectors`
    Connectors,
    /// `GET /events`
    Events,
    /// `GET /events/{id}`
    Event,
    /// `/notifications/webhooks[/{webhookId}]`
    Webhooks,
    /// `GET /notifications/webhooks/{webhookId}/messages`
    Messages,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Token,
        Self::User,
        Self::Jobs,
        Self::Job,
        Self::Connections,
        Self::Refresh,
        Self::Connectors,
        Self::Events,
        Self::Event,
        Self::Webhooks,
        Self::Messages,
    ];

    /// The name in metrics and errors.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::User => "user",
            Self::Jobs => "jobs",
            Self::Job => "job",
            Self::Connections => "connections",
            Self::Refresh => "refresh",
            Self::Connectors => "connectors",
            Self::Events => "events",
            Self::Event => "event",
            Self::Webhooks => "webhooks",
            Self::Messages => "messages",
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which connectors; all that is given must hold. The default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectorFilter {
    /// The institution (`AU00000`).
    pub id: Option<String>,
    /// The method.
    pub method: Option<Method>,
    /// The status.
    pub status: Option<ConnectorStatus>,
}

impl ConnectorFilter {
    pub(super) fn terms(&self) -> Result<Vec<String>, Error> {
        let mut terms = Vec::new();
        if let Some(id) = &self.id {
            terms.push(format!("connector.id.eq({})", filter_value(Endpoint::Connectors, id)?));
        }
        if let Some(method) = self.method {
            // Here, and only here, the reference spells it with a hyphen.
            let name = if method == Method::OpenBanking { "open-banking" } else { method.as_str() };
            terms.push(format!("connector.method.eq('{name}')"));
        }
        if let Some(status) = self.status {
            terms.push(format!("connector.status.eq('{}')", status.as_str()));
        }
        Ok(terms)
    }
}

/// Which events; all that is given must hold. The default is all of the last 7 days.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Whose.
    pub user_id: Option<String>,
    /// `connection`, `consent`, `user`, …
    pub entity: Option<String>,
    /// `invalidated`, `created`, …, without the entity.
    pub event_type: Option<String>,
}

impl EventFilter {
    pub(super) fn terms(&self) -> Result<Vec<String>, Error> {
        [("user.id", &self.user_id), ("event.entity", &self.entity), ("event.type", &self.event_type)]
            .into_iter()
            .filter_map(|(property, value)| Some((property, value.as_ref()?)))
            .map(|(property, value)| Ok(format!("{property}.eq({})", filter_value(Endpoint::Events, value)?)))
            .collect()
    }
}

/// A value in quotes. What could end the quotes is refused, not escaped: Basiq documents no escape.
pub(super) fn filter_value(endpoint: Endpoint, value: &str) -> Result<String, Error> {
    if is_id(value) {
        return Ok(format!("'{value}'"));
    }
    let kind = ErrorKind::InvalidId("the value of the filter");
    Err(Error { endpoint, kind, correlation_id: None })
}

/// Adds `filter=` with all terms; a comma is "and" (Basiq's page on filtering).
pub(super) fn with_filter(url: &mut Url, terms: &[String]) {
    if !terms.is_empty() {
        url.query_pairs_mut().append_pair("filter", &terms.join(","));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_written_as_the_reference_spells_them() {
        let filter = ConnectorFilter {
            id: Some("AU00000".into()),
            method: Some(Method::OpenBanking),
            status: Some(ConnectorStatus::MajorOutage),
        };
        assert_eq!(
            filter.terms().unwrap().join(","),
            "connector.id.eq('AU00000'),connector.method.eq('open-banking'),connector.status.eq('major-outage')"
        );
        let filter = EventFilter { entity: Some("connection".into()), ..EventFilter::default() };
        assert_eq!(filter.terms().unwrap(), ["event.entity.eq('connection')"]);
        assert!(EventFilter::default().terms().unwrap().is_empty());
    }

    #[test]
    fn a_value_cannot_leave_its_quotes() {
        let filter = EventFilter { user_id: Some("x'),event.type.ne('".into()), ..EventFilter::default() };
        assert!(matches!(filter.terms().unwrap_err().kind, ErrorKind::InvalidId(_)));
    }

    #[test]
    fn filters_are_encoded() {
        let mut url = Url::parse("https://au-api.basiq.io/events").unwrap();
        with_filter(&mut url, &["event.entity.eq('connection')".into(), "event.type.eq('created')".into()]);
        assert_eq!(
            url.as_str(),
            "https://au-api.basiq.io/events?filter=event.entity.eq%28%27connection%27%29%2Cevent.type.eq%28%27created%27%29"
        );
    }
}
