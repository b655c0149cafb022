//! Faults of the API on demand: which requests they meet, and what they do to them. `http.rs` carries them out.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    draw::Draw,
    scenario::{At, BadScenario, Span, check_share},
};

/// A fault that some requests meet.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The routes it meets: a name as in the truth (`token`, `user`, `jobs`, `job`, `connections`, `refresh`, `connectors`,
    /// `events`, `event`, `webhooks`, …); all if absent.
    #[serde(default)]
    pub route: Option<String>,
    /// What happens.
    pub kind: FaultKind,
    /// The share of those requests (0 to 1); all if absent.
    #[serde(default = "all")]
    pub share: f64,
    /// From here on; always if absent.
    #[serde(default)]
    pub from: Option<At>,
    /// Until here; for good if absent.
    #[serde(default)]
    pub until: Option<At>,
    /// At most so many requests; any number if absent.
    #[serde(default)]
    pub times: Option<u64>,
}

fn all() -> f64 {
    1.0
}

/// What a fault does. Delays are in real time: transport is not scaled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Answers with this status and Basiq's body for it, and does nothing else. 403 is throttling
    /// ([`crate::switches::ThrottleBody`]).
    Status {
        /// 400 to 599.
        code: u16,
        /// `Retry-After` in seconds.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// Answers after so long.
    Slow(Span),
    /// Does what was asked, and never answers.
    Hang,
    /// Does what was asked, and closes the connection in the middle of the body.
    Cut,
    /// Does what was asked, and ends the body in its middle, as if it were whole.
    Truncate,
    /// Does what was asked, and breaks the JSON.
    Malform,
    /// Does what was asked, and changes the types of values: numbers for texts, objects for lists, null for numbers.
    WrongTypes,
    /// Does what was asked, and adds so many bytes to the body.
    Huge(u64),
    /// All times in the answer are so far off.
    Skew(Span),
}

impl Fault {
    /// A fault that all requests of a route meet from now on.
    pub fn on(route: &str, kind: FaultKind) -> Self {
        Self { route: Some(route.to_owned()), kind, share: 1.0, from: None, until: None, times: None }
    }

    /// The same, but met by this share of the requests only.
    #[must_use]
    pub fn share(mut self, share: f64) -> Self {
        self.share = share;
        self
    }

    /// The same, but met by so many requests only.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    pub(crate) fn check(&self) -> Result<(), BadScenario> {
        check_share("faults: share", self.share)?;
        match self.kind {
            FaultKind::Status { code, .. } if !(400..600).contains(&code) => {
                Err(BadScenario(format!("faults: {code} is not a status between 400 and 599")))
            }
            FaultKind::Huge(bytes) if bytes > 1 << 34 => {
                Err(BadScenario("faults: huge: more than 16 GiB".to_owned()))
            }
            _ => Ok(()),
        }
    }
}

/// The faults in force, and how often each was met.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    all: Vec<(Fault, u64)>,
    drawn: u64,
}

impl Faults {
    pub(crate) fn new(all: Vec<Fault>) -> Self {
        Self { all: all.into_iter().map(|fault| (fault, 0)).collect(), drawn: 0 }
    }

    pub(crate) fn replace(&mut self, all: Vec<Fault>) {
        self.all = Self::new(all).all;
    }

    pub(crate) fn add(&mut self, fault: Fault) {
        self.all.push((fault, 0));
    }

    pub(crate) fn list(&self) -> Vec<(Fault, u64)> {
        self.all.clone()
    }

    /// The first fault that a request to `route` meets now.
    pub(crate) fn meet(
        &mut self,
        route: &str,
        now: Timestamp,
        epoch: Timestamp,
        seed: u64,
    ) -> Option<FaultKind> {
        for (index, (fault, met)) in self.all.iter_mut().enumerate() {
            let applies = fault.route.as_deref().is_none_or(|wanted| wanted == route)
                && fault.from.is_none_or(|from| from.resolve(epoch) <= now)
                && fault.until.is_none_or(|until| now < until.resolve(epoch))
                && fault.times.is_none_or(|times| *met < times);
            if applies {
                self.drawn += 1;
                if Draw::new(seed, "fault").with(index as u64).with(self.drawn).chance(fault.share) {
                    *met += 1;
                    return Some(fault.kind.clone());
                }
            }
        }
        None
    }
}
