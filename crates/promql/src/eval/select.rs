//! Reading samples: instant selectors, ranges and subqueries.

use std::borrow::Cow;

use super::{Element, Evaluation, Run};
use crate::expr::EvalError;
use crate::node::{Anchor, Node, Select, Subquery, When};
use crate::value::{Point, is_histogram, is_stale};
use crate::window::ByHash;

/// A range vector and the bounds of its range.
pub(super) struct Matrix<'w> {
    pub(super) runs: Vec<Run<'w>>,
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
}

impl<'w> Evaluation<'w> {
    /// The time that a selector looks at.
    fn looks_at(&self, when: &When, at_ms: i64) -> i64 {
        let anchored = match when.anchor {
            None => at_ms,
            Some(Anchor::Start) => self.query.start_ms,
            Some(Anchor::End) => self.query.end_ms,
            Some(Anchor::At(at_ms)) => at_ms,
        };
        anchored.saturating_sub(when.offset_ms)
    }

    /// The newest sample of each selected series that is not older than the look-back.
    pub(super) fn instant(&self, select: &Select, at_ms: i64) -> Result<Vec<Element>, EvalError> {
        let mut elements = Vec::new();
        self.newest(select, at_ms, |labels, point| {
            elements.push(Element { labels: labels.clone(), value: point.value, nameless: false });
        })?;
        Ok(elements)
    }

    pub(super) fn newest(
        &self,
        select: &Select,
        at_ms: i64,
        mut found: impl FnMut(&'w crate::Labels, Point),
    ) -> Result<(), EvalError> {
        let at_ms = self.looks_at(&select.when, at_ms);
        let oldest = at_ms.saturating_sub(self.query.look_back_ms);
        let mut count = 0;
        for stored in self.window.select(&select.matchers) {
            count += 1;
            let points = stored.points();
            let newest = match points.last() {
                // Mostly the newest sample of all is the one looked for.
                Some(last) if last.at_ms <= at_ms => Some(last),
                _ => points
                    .partition_point(|point| point.at_ms <= at_ms)
                    .checked_sub(1)
                    .and_then(|i| points.get(i)),
            };
            let Some(point) = newest.filter(|point| point.at_ms > oldest && !is_stale(point.value)) else {
                continue;
            };
            if is_histogram(point.value) {
                return Err(EvalError::NativeHistogram);
            }
            found(&stored.labels, *point);
        }
        self.spend(count)
    }

    /// The samples of each selected series within a range, its start left out; series without any are
    /// left out too.
    pub(super) fn matrix(&self, node: &Node, at_ms: i64) -> Result<Matrix<'w>, EvalError> {
        match node {
            Node::Range(select, range_ms) => self.range(select, *range_ms, at_ms),
            Node::Subquery(subquery) => self.subquery(subquery, at_ms),
            _ => Ok(Matrix { runs: Vec::new(), start_ms: at_ms, end_ms: at_ms }),
        }
    }

    fn range(&self, select: &Select, range_ms: i64, at_ms: i64) -> Result<Matrix<'w>, EvalError> {
        let end_ms = self.looks_at(&select.when, at_ms);
        let start_ms = end_ms.saturating_sub(range_ms);
        let mut runs = Vec::new();
        for stored in self.window.select(&select.matchers) {
            let points = within(stored.points(), start_ms, end_ms);
            self.spend(points.len() + 1)?;
            if points.iter().any(|point| is_histogram(point.value)) {
                return Err(EvalError::NativeHistogram);
            }
            let points = if points.iter().any(|point| is_stale(point.value)) {
                Cow::Owned(points.iter().filter(|point| !is_stale(point.value)).copied().collect())
            } else {
                Cow::Borrowed(points)
            };
            if !points.is_empty() {
                runs.push(Run { labels: stored.labels.clone(), nameless: false, points });
            }
        }
        Ok(Matrix { runs, start_ms, end_ms })
    }

    /// The values of an expression at all multiples of a step within a range.
    fn subquery(&self, subquery: &Subquery, at_ms: i64) -> Result<Matrix<'w>, EvalError> {
        let end_ms = self.looks_at(&subquery.when, at_ms);
        let start_ms = end_ms.saturating_sub(subquery.range_ms);
        let step_ms = subquery.step_ms.unwrap_or(self.query.step_ms).max(1);
        let mut step = step_ms.saturating_mul(start_ms / step_ms);
        if step <= start_ms {
            step = step.saturating_add(step_ms);
        }
        let mut runs: Vec<Run<'w>> = Vec::new();
        let mut known: ByHash<u64, Vec<usize>> = ByHash::default();
        while step <= end_ms {
            for Element { labels, value, nameless } in self.vector(&subquery.inner, step)? {
                let candidates = known.entry(labels.fingerprint()).or_default();
                let same = |index: &&usize| runs.get(**index).is_some_and(|run| run.labels == labels);
                let index = candidates.iter().find(same).copied().unwrap_or_else(|| {
                    candidates.push(runs.len());
                    runs.len()
                });
                if index == runs.len() {
                    runs.push(Run { labels, nameless, points: Cow::Owned(Vec::new()) });
                }
                if let Some(run) = runs.get_mut(index) {
                    run.nameless |= nameless;
                    run.points.to_mut().push(Point { at_ms: step, value });
                }
            }
            let Some(next) = step.checked_add(step_ms) else { break };
            step = next;
        }
        Ok(Matrix { runs, start_ms, end_ms })
    }
}

/// The points after the start and up to the end.
fn within(points: &[Point], start_ms: i64, end_ms: i64) -> &[Point] {
    let from = points.partition_point(|point| point.at_ms <= start_ms);
    let to = points.partition_point(|point| point.at_ms <= end_ms);
    points.get(from..to).unwrap_or_default()
}
