//! Rules as they were read.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use promql::{Expr, Labels, Selector};

use super::{
    Ask,
    state::{data, to_map},
    template::Template,
};
use crate::demand::Describe;

/// All rules of a source.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    /// Groups in the order of the files.
    pub groups: Vec<Group>,
    /// What is allowed but hardly meant, one sentence each.
    pub warnings: Vec<String>,
}

/// Rules that are evaluated together, in order.
#[derive(Clone, Debug)]
pub struct Group {
    /// Unique within its file.
    pub name: String,
    /// The file, as it was named.
    pub file: Arc<str>,
    /// How often it is evaluated; the source's interval if it does not say.
    pub interval: Option<Duration>,
    /// More alerts or series of one rule than this fail its evaluation; 0 is no limit.
    pub limit: usize,
    /// How far before the present it is evaluated.
    pub query_offset: Duration,
    /// In order; a later one sees what an earlier one recorded.
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The line of its first key.
    pub line: usize,
    /// What it means: the same for rules that mean the same, whatever file they stand in and whatever their
    /// annotations say. State is kept by it.
    pub identity: Arc<str>,
    /// What it evaluates.
    pub expr: Expr,
    /// Labels that it adds, those of its group among them.
    pub labels: Vec<(String, Template)>,
    /// What it is for.
    pub kind: Kind,
}

/// What a rule is for.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Its result becomes a series of this name.
    Recording(String),
    /// Each element of its result is an alert.
    Alerting(Box<Alerting>),
}

/// An alerting rule.
#[derive(Clone, Debug)]
pub struct Alerting {
    /// The label `alertname`.
    pub name: Arc<str>,
    /// How long the expression must have had a result before the alert fires.
    pub hold: Duration,
    /// How long it goes on firing without a result.
    pub keep_firing: Duration,
    /// Texts of its alerts.
    pub annotations: Arc<Texts>,
    /// What it asks of the alerter; `None` if it has no label `action`.
    pub ask: Option<Ask>,
}

impl Rule {
    /// The name of the alert or of the series.
    pub fn name(&self) -> &str {
        match &self.kind {
            Kind::Recording(name) => name,
            Kind::Alerting(alerting) => &alerting.name,
        }
    }

    /// How far back it must have seen samples before the absence of a result says anything, in milliseconds.
    pub fn range_ms(&self) -> i64 {
        self.expr.selectors().iter().map(Selector::reach_ms).max().unwrap_or(0)
    }
}

impl RuleSet {
    /// All rules with their groups, in order.
    pub fn rules(&self) -> impl Iterator<Item = (&Group, &Rule)> {
        self.groups.iter().flat_map(|group| group.rules.iter().map(move |rule| (group, rule)))
    }

    /// Whether some expression reads what no expression of `other` reads, or farther back.
    pub fn looks_farther_than(&self, other: &Self) -> bool {
        let read = |wanted: &Selector| {
            let covers =
                |known: &Selector| known.matchers == wanted.matchers && known.reach_ms() >= wanted.reach_ms();
            other.selectors().any(covers)
        };
        !self.selectors().all(read)
    }

    /// The same set, whose templates can say that of the installation.
    pub(super) fn with_externals(mut self: Arc<Self>, externals: &Externals) -> Arc<Self> {
        let rules = Arc::make_mut(&mut self).groups.iter_mut().flat_map(|group| &mut group.rules);
        for rule in rules {
            if let Kind::Alerting(alerting) = &mut rule.kind {
                Arc::make_mut(&mut alerting.annotations).externals = externals.clone();
            }
        }
        self
    }

    /// What all expressions read.
    pub fn selectors(&self) -> impl Iterator<Item = &Selector> {
        self.rules().flat_map(|(_, rule)| rule.expr.selectors())
    }
}

/// The annotations of a rule, to be rendered for each of its alerts.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    /// Names and templates.
    pub templates: Vec<(String, Template)>,
    /// What they can say of the installation.
    pub externals: Externals,
}

impl Describe for Texts {
    fn describe(&self, sample: &Labels, value: f64) -> BTreeMap<String, String> {
        let labels = to_map(sample);
        let data = data(&labels, &self.externals, value);
        self.templates.iter().map(|(name, template)| (name.clone(), template.expand(&data))).collect()
    }
}

/// What templates can say of the installation that evaluates the rules.
#[derive(Clone, Debug, Default)]
pub struct Externals {
    /// Prometheus's `external_labels`.
    pub labels: BTreeMap<String, String>,
    /// Where people find it.
    pub url: String,
}

impl Externals {
    /// Whether there is nothing to say.
    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.url.is_empty()
    }
}
