//! Users generated from the seed: who they are and what happens to them follows from their number alone, so that a
//! million of them cost no memory until someone changes one.

use std::{collections::BTreeSet, ops::Range};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    connectors::Catalogue,
    draw::Draw,
    scenario::{
        Act, At, BadScenario, Connection, Deed, Failure, JobKind, Method, Queue, Span, Until, Updates, User,
        check_share,
    },
    world::job::RETRY,
};

/// How many users to generate, and how often what fails for them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Population {
    /// Up to 1,000,000.
    pub users: u32,
    /// Connections of each.
    pub connections: u8,
    /// The time between two updates by Basiq.
    pub every: Span,
    /// The share of connections of which the password goes wrong once (they correct it after an hour to three days, or never).
    pub wrong_credentials: f64,
    /// The share of connections at which the bank shows a pop-up once.
    pub user_action: f64,
    /// The share of connections with a time of one to thirty hours in which the bank cannot be reached.
    pub unavailable: f64,
    /// Times in which many fail at once.
    pub waves: Vec<Wave>,
}

impl Default for Population {
    fn default() -> Self {
        Self {
            users: 0,
            connections: 1,
            every: Span::hours(24),
            wrong_credentials: 0.01,
            user_action: 0.002,
            unavailable: 0.005,
            waves: Vec::new(),
        }
    }
}

/// A time in which a share of all connections fails, in the population and among the scenario's users.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wave {
    /// From here on…
    pub from: At,
    /// …to here.
    pub until: At,
    /// One bank; all if absent.
    #[serde(default)]
    pub institution: Option<String>,
    /// The share of connections that fails.
    pub share: f64,
    /// Basiq's code.
    pub code: String,
    /// The step that fails; `verify-credentials` if absent.
    #[serde(default)]
    pub step: Option<String>,
}

/// The largest population.
pub const MOST_USERS: u32 = 1_000_000;

impl Population {
    pub(crate) fn check(&self) -> Result<(), BadScenario> {
        if self.users > MOST_USERS {
            return Err(BadScenario(format!("population: users: {} is more than {MOST_USERS}", self.users)));
        }
        if self.every < Span::seconds(60) {
            return Err(BadScenario("population: every: less than a minute".to_owned()));
        }
        for (what, share) in [
            ("wrong_credentials", self.wrong_credentials),
            ("user_action", self.user_action),
            ("unavailable", self.unavailable),
        ] {
            check_share(&format!("population: {what}"), share)?;
        }
        self.waves.iter().try_for_each(Wave::check)
    }

    /// When user `index` is first updated in a period: spread evenly, in the order of their numbers.
    fn phase(&self, index: u32) -> SignedDuration {
        let period = self.every.0.as_millis();
        let part = period.saturating_mul(i128::from(index)) / i128::from(self.users.max(1));
        SignedDuration::from_millis(i64::try_from(part).unwrap_or(0))
    }

    /// The ranges of user numbers of which something may begin between two times: all of it begins at their phase in
    /// the period, or a multiple of two hours (the retry queue) after it.
    pub(crate) fn busy_between(&self, from: Timestamp, to: Timestamp, epoch: Timestamp) -> Vec<Range<u32>> {
        let period = self.every.0.as_millis();
        if self.users == 0 || period <= 0 || to <= from {
            return Vec::new();
        }
        if to.duration_since(from).as_millis() >= period {
            return std::iter::once(0..self.users).collect();
        }
        let number = |offset: i128| {
            u32::try_from((offset * i128::from(self.users) + period - 1) / period)
                .unwrap_or(self.users)
                .min(self.users)
        };
        let (start, length) = (from.duration_since(epoch).as_millis(), to.duration_since(from).as_millis());
        let shifts: BTreeSet<i128> =
            (0..=84).map(|tries| (start - RETRY.as_millis() * tries).rem_euclid(period)).collect();
        let mut ranges = Vec::new();
        for begin in shifts {
            ranges.push(number(begin)..number((begin + length + 1).min(period)));
            if begin + length + 1 > period {
                ranges.push(0..number(begin + length + 1 - period));
            }
        }
        ranges.retain(|range| !range.is_empty());
        ranges
    }

    /// Everything about one generated user, as a scenario would tell it.
    pub(crate) fn user(&self, seed: u64, index: u32, catalogue: &Catalogue) -> User {
        let draw = Draw::new(seed, "population").with(u64::from(index));
        let connections = (0..self.connections)
            .map(|number| self.connection(draw.with(u64::from(number)), index, catalogue))
            .collect();
        User {
            name: format!("user-{index:07}"),
            email: format!("user-{index:07}@people.example"),
            connections,
            ..User::default()
        }
    }

    fn connection(&self, draw: Draw, index: u32, catalogue: &Catalogue) -> Connection {
        let (institution, method) = catalogue.pick(draw.with(1));
        let mut connection = Connection {
            institution: Some(institution.to_owned()),
            method,
            updates: Some(Updates {
                every: self.every,
                first: At::Offset(self.phase(index) - self.every.0 * 8),
            }),
            ..Connection::default()
        };
        if draw.with(2).chance(self.wrong_credentials) && method == Method::Web {
            let from = At::hours(draw.with(3).between(-72, 24 * 30));
            connection.failures.push(Failure {
                from,
                until: Until::Credentials,
                code: Some("invalid-credentials".to_owned()),
                ..Failure::default()
            });
            if let (true, At::Offset(from)) = (draw.with(4).chance(0.7), from) {
                // At a full two hours after the phase, as everything else of a generated user: so who is busy follows from the number.
                let phase = self.phase(index);
                let periods = (from - phase).as_millis().div_euclid(RETRY.as_millis())
                    + i128::from(draw.with(5).between(2, 50));
                let at = phase + RETRY * i32::try_from(periods).unwrap_or(0);
                connection.timeline.push(Deed { at: At::Offset(at), act: Act::GiveCredentials });
            }
        }
        if draw.with(6).chance(self.user_action) {
            let from = At::hours(draw.with(7).between(-72, 24 * 30));
            connection.failures.push(Failure {
                from,
                until: Until::Action,
                persona: Some(crate::scenario::Persona::Erlich),
                ..Failure::default()
            });
        }
        if draw.with(8).chance(self.unavailable) {
            let from = draw.with(9).between(-72 * 60, 24 * 60 * 30);
            let until = from + draw.with(10).between(60, 30 * 60);
            connection.failures.push(Failure {
                from: At::minutes(from),
                until: Until::At(At::minutes(until)),
                on: vec![JobKind::Update, JobKind::Refresh],
                queue: Queue::Updates,
                ..Failure::default()
            });
        }
        connection
    }
}

impl Wave {
    pub(crate) fn check(&self) -> Result<(), BadScenario> {
        check_share("waves: share", self.share)
    }

    /// Whether a connection of this draw at this bank is met by the wave at `at`.
    pub(crate) fn meets(&self, institution: &str, draw: Draw, at: Timestamp, epoch: Timestamp) -> bool {
        self.from.resolve(epoch) <= at
            && at < self.until.resolve(epoch)
            && self.institution.as_deref().is_none_or(|wanted| wanted == institution)
            && draw.chance(self.share)
    }
}
