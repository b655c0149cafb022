//! One storm: who has a part in its ticket, and what is to be said of it (behaviour, section 7).

use std::collections::BTreeSet;

use daemon::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    planner::since,
    tickets::{Group, ReadyTicket},
};
use crate::{channels::News, incidents::Class};

/// At most so many connections that joined are named in one comment: the desk with the shortest takes 32,767
/// characters.
const NAMED: usize = 500;

/// One ticket for many connections of one institution, method and class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Storm {
    pub(super) institution: String,
    pub(super) method: String,
    pub(super) class: Class,
    /// The ticket's key.
    pub(super) ticket: String,
    pub(super) effect: String,
    /// The desk that has it; empty means the desk of the routes.
    #[serde(default)]
    pub(super) desk: String,
    pub(super) remote: Option<String>,
    pub(super) incidents: BTreeSet<String>,
    pub(super) recovered: BTreeSet<String>,
    /// How many were attached when the last comment was planned.
    pub(super) attached: usize,
    /// 0, 50, 90 or 100: the last share of recoveries that was commented on.
    pub(super) commented: u32,
    pub(super) last_comment: Option<Timestamp>,
    pub(super) comments: u32,
    /// Nothing joins it: all have recovered, or a person closed its ticket.
    pub(super) closed: bool,
    /// A person closed its ticket.
    #[serde(default)]
    pub(super) by_person: bool,
    /// A person closed its ticket as won't fix.
    #[serde(default)]
    pub(super) declined: bool,
    /// It is a day's digest of whatever a desk took no ticket of its own for: nothing joins it.
    #[serde(default)]
    pub(super) digest: bool,
    /// Those that fail again since all had recovered.
    #[serde(default)]
    pub(super) relapsed: BTreeSet<String>,
    /// Those that joined since the last comment was planned: the ticket does not name them yet.
    #[serde(default)]
    pub(super) newcomers: BTreeSet<String>,
}

impl Storm {
    /// A ticket for these, which this effect files.
    pub(super) fn new(
        (institution, method, class): Group,
        desk: &str,
        ticket: String,
        effect: String,
        incidents: BTreeSet<String>,
    ) -> Self {
        Self {
            institution,
            method,
            class,
            ticket,
            effect,
            desk: desk.to_owned(),
            remote: None,
            attached: incidents.len(),
            incidents,
            recovered: BTreeSet::new(),
            commented: 0,
            last_comment: None,
            comments: 0,
            closed: false,
            by_person: false,
            declined: false,
            digest: false,
            relapsed: BTreeSet::new(),
            newcomers: BTreeSet::new(),
        }
    }

    /// The same for what waited for a day's digest.
    pub(super) fn digest(
        ready: &ReadyTicket,
        ticket: String,
        effect: String,
        incidents: BTreeSet<String>,
    ) -> Self {
        Self {
            digest: true,
            closed: true,
            ..Self::new(ready.group.clone(), &ready.desk, ticket, effect, incidents)
        }
    }

    /// What is to be said of it now: how many have recovered, at half, 90 % and all, and which others joined; or
    /// that it is not over after all. At most hourly, but for the last word. `connections` names at most so many of
    /// these incidents' connections.
    pub(super) fn word(
        &mut self,
        now: Timestamp,
        samples: usize,
        connections: impl Fn(&BTreeSet<String>, usize) -> String,
    ) -> Option<(String, News)> {
        let hourly = self.last_comment.is_some_and(|at| since(now, at).as_secs() < 3600);
        let (all, well) = (self.incidents.len(), self.recovered.len());
        let reached = match well * 100 / all.max(1) {
            100 => 100,
            90.. => 90,
            50.. => 50,
            _ => 0,
        };
        if !self.relapsed.is_empty() {
            if hourly || self.declined {
                return None;
            }
            let again = std::mem::take(&mut self.relapsed);
            let text = format!(
                "{} of {all} connections fail again, within a day of their recovery: {}",
                again.len(),
                connections(&again, samples)
            );
            (self.commented, self.attached) = (reached, all);
            self.closed = self.by_person || self.digest;
            return Some((text, News::Again));
        }
        let joined = all > self.attached;
        let over = self.commented == 100 || self.by_person;
        if over || (hourly && reached < 100) || (reached <= self.commented && !joined) {
            return None;
        }
        let mut text = format!("{well} of {all} connections have recovered.");
        if joined {
            let names = connections(&std::mem::take(&mut self.newcomers), NAMED);
            text.push_str(&format!(" {} more joined since the last word: {names}", all - self.attached));
        }
        self.commented = reached.max(self.commented);
        self.attached = all;
        self.closed |= reached == 100;
        Some((text, if reached == 100 { News::Over } else { News::Progress }))
    }

    pub(super) fn group(&self) -> Group {
        (self.institution.clone(), self.method.clone(), self.class)
    }
}
