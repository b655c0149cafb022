//! The table, and which promises it keeps.

use std::{fmt, time::Duration};

use crate::wave::{Kind, Seen, Told};

/// What is promised of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Promise {
    /// p99 within a minute.
    Minute,
    /// p99 within 1.2 passes.
    Pass,
    /// p99 likewise, and p50 within less than half a pass: the median wait for one's turn. (The first failures at a
    /// bank are no measure, since those that follow move their users forward, too.)
    Sooner,
}

struct Line {
    mode: &'static str,
    what: &'static str,
    failures: usize,
    seen: usize,
    p50: f64,
    p99: f64,
    promise: Option<Promise>,
}

/// All lines.
pub(crate) struct Table {
    pass: Duration,
    lines: Vec<Line>,
    cost: Vec<(&'static str, f64)>,
}

impl Table {
    pub(crate) fn new(pass: Duration) -> Self {
        Self { pass, lines: Vec::new(), cost: Vec::new() }
    }

    /// Adds what one way of watching saw, for `spent` requests.
    pub(crate) fn add(
        &mut self,
        mode: &'static str,
        told: &[Told],
        seen: &Seen,
        spent: u64,
        announced: bool,
    ) {
        let naive = mode == "naive poller";
        let promise = |promise| (!naive).then_some(promise);
        let mut line = |what, promise, fits: &dyn Fn(&Told) -> bool| {
            let fitting: Vec<&Told> = told.iter().filter(|told| fits(told)).collect();
            let delays = fitting.iter().filter_map(|told| {
                seen.get(&told.user).map(|at| at.duration_since(told.at).as_secs_f64().max(0.0))
            });
            let mut delays: Vec<f64> = delays.collect();
            delays.sort_by(f64::total_cmp);
            let found = delays.len();
            // What was not seen at all was seen last.
            delays.resize(fitting.len(), f64::INFINITY);
            let at = |share: f64| {
                let rank = (share * delays.len() as f64).ceil() as usize;
                delays.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
            };
            self.lines.push(Line {
                mode,
                what,
                failures: fitting.len(),
                seen: found,
                p50: at(0.5),
                p99: at(0.99),
                promise,
            });
        };
        if announced {
            line("Basiq announces", promise(Promise::Minute), &|told| told.kind == Kind::Announced);
            line("partner hints", promise(Promise::Minute), &|told| told.kind == Kind::Hinted);
        }
        let silent = |told: &Told| !announced || told.kind == Kind::Silent;
        line("nobody says, first at bank", promise(Promise::Pass), &|told| {
            silent(told) && !told.bank_in_trouble
        });
        line("nobody says, bank in trouble", promise(Promise::Sooner), &|told| {
            silent(told) && told.bank_in_trouble
        });
        self.cost.push((mode, spent as f64 / seen.len().max(1) as f64));
    }

    /// The promises that are not kept.
    pub(crate) fn missed(&self) -> Vec<String> {
        let pass = self.pass.as_secs_f64();
        let mut missed = Vec::new();
        for line in &self.lines {
            let kept = match line.promise {
                None => true,
                Some(Promise::Minute) => line.p99 <= 60.0,
                Some(Promise::Pass) => line.p99 <= 1.2 * pass,
                Some(Promise::Sooner) => line.p99 <= 1.2 * pass && line.p50 < pass / 2.0,
            };
            if !kept {
                missed.push(format!(
                    "{}, {}: p50 {:.0} s, p99 {:.0} s",
                    line.mode, line.what, line.p50, line.p99
                ));
            }
        }
        missed
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<20} {:<30} {:>8} {:>6} {:>9} {:>9}",
            "", "failures", "number", "seen", "p50 s", "p99 s"
        )?;
        for line in &self.lines {
            let Line { mode, what, failures, seen, p50, p99, .. } = line;
            writeln!(f, "{mode:<20} {what:<30} {failures:>8} {seen:>6} {p50:>9.1} {p99:>9.1}")?;
        }
        for (mode, cost) in &self.cost {
            writeln!(f, "{mode:<20} requests per failure seen: {cost:.0}")?;
        }
        Ok(())
    }
}
