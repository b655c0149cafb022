//! The table, and which promises it keeps.

use std::{fmt, time::Duration};

use crate::wave::{Kind, Seen, Told};

/// What the naive poller is called.
pub(crate) const NAIVE: &str = "naive poller";
/// A failure follows others of its bank from this many on: two are what moves the bank's users forward.
const FOLLOWS: u32 = 2;

/// What one way of watching saw, for how many requests.
pub(crate) struct Run {
    pub(crate) name: &'static str,
    pub(crate) told: Vec<Told>,
    pub(crate) seen: Seen,
    pub(crate) spent: u64,
    pub(crate) announced: bool,
}

/// What is promised of a line.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Promise {
    /// p99 within a minute.
    Minute,
    /// p99 within 1.1 passes.
    Pass,
    /// Likewise, and beside the same users in the same wave where nobody is moved forward (their p50 and p99): p50 within
    /// three quarters, p99 within nine tenths.
    Sooner(f64, f64),
}

struct Line {
    way: &'static str,
    what: &'static str,
    failures: usize,
    seen: usize,
    p50: f64,
    p99: f64,
    promise: Option<Promise>,
}

/// All runs.
pub(crate) struct Table {
    pass: Duration,
    runs: Vec<Run>,
}

impl Run {
    /// The delays of some failures, sorted; what was not seen at all was seen last.
    fn delays(&self, which: &dyn Fn(&Told) -> bool) -> Vec<f64> {
        let delay = |told: &Told| {
            let at = self.seen.get(&told.user);
            at.map_or(f64::INFINITY, |at| at.duration_since(told.at).as_secs_f64().max(0.0))
        };
        let mut delays: Vec<f64> = self.told.iter().filter(|told| which(told)).map(delay).collect();
        delays.sort_by(f64::total_cmp);
        delays
    }

    fn line(&self, what: &'static str, promise: Option<Promise>, which: &dyn Fn(&Told) -> bool) -> Line {
        let delays = self.delays(which);
        Line {
            way: self.name,
            what,
            failures: delays.len(),
            seen: delays.iter().filter(|delay| delay.is_finite()).count(),
            p50: at(&delays, 0.5),
            p99: at(&delays, 0.99),
            promise,
        }
    }
}

fn at(delays: &[f64], share: f64) -> f64 {
    let rank = (share * delays.len() as f64).ceil() as usize;
    delays.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

impl Table {
    pub(crate) fn new(pass: Duration) -> Self {
        Self { pass, runs: Vec::new() }
    }

    pub(crate) fn add(&mut self, run: Run) {
        self.runs.push(run);
    }

    fn lines(&self) -> Vec<Line> {
        // Of the exporters, the one that moves nobody forward is the last.
        let unmoved = self.runs.iter().rfind(|run| run.name != NAIVE);
        let mut lines = Vec::new();
        for run in &self.runs {
            let ours = |promise| (run.name != NAIVE).then_some(promise);
            if run.announced {
                let kind = |kind| move |told: &Told| told.kind == kind;
                lines.push(run.line("Basiq announces", ours(Promise::Minute), &kind(Kind::Announced)));
                lines.push(run.line("partner hints", ours(Promise::Minute), &kind(Kind::Hinted)));
            }
            let silent = |told: &Told| !run.announced || told.kind == Kind::Silent;
            let alone = |told: &Told| silent(told) && told.in_all == 1;
            let first = |told: &Told| silent(told) && told.before < FOLLOWS;
            let follows = |told: &Told| silent(told) && told.before >= FOLLOWS;
            lines.push(run.line("nobody says, alone at its bank", ours(Promise::Pass), &alone));
            lines.push(run.line("nobody says, first two there", ours(Promise::Pass), &first));
            let beside = unmoved.filter(|unmoved| !std::ptr::eq(*unmoved, run)).map(|unmoved| {
                let same = |told: &Told| run.told.iter().any(|own| own.user == told.user && follows(own));
                let delays = unmoved.delays(&same);
                Promise::Sooner(at(&delays, 0.5), at(&delays, 0.99))
            });
            lines.push(run.line("nobody says, after two others", beside.and_then(ours), &follows));
        }
        lines
    }

    /// The promises that are not kept.
    pub(crate) fn missed(&self) -> Vec<String> {
        let most = 1.1 * self.pass.as_secs_f64();
        let mut missed = Vec::new();
        for line in self.lines() {
            let kept = match line.promise {
                None => true,
                Some(Promise::Minute) => line.p99 <= 60.0,
                Some(Promise::Pass) => line.p99 <= most,
                Some(Promise::Sooner(p50, p99)) => {
                    line.p99 <= most && line.p50 <= 0.75 * p50 && line.p99 <= 0.9 * p99
                }
            };
            if !kept {
                missed.push(format!(
                    "{}, {}: p50 {:.0} s, p99 {:.0} s",
                    line.way, line.what, line.p50, line.p99
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
            "{:<22} {:<31} {:>8} {:>6} {:>9} {:>9}",
            "", "failures", "number", "seen", "p50 s", "p99 s"
        )?;
        for line in self.lines() {
            let Line { way, what, failures, seen, p50, p99, promise } = line;
            write!(f, "{way:<22} {what:<31} {failures:>8} {seen:>6} {p50:>9.1} {p99:>9.1}")?;
            if let Some(Promise::Sooner(other50, other99)) = promise {
                write!(f, "  {:.2} and {:.2} of the same without suspects", p50 / other50, p99 / other99)?;
            }
            writeln!(f)?;
        }
        for run in &self.runs {
            let each = run.spent as f64 / run.seen.len().max(1) as f64;
            writeln!(f, "{:<22} requests per failure seen: {each:.0}", run.name)?;
        }
        Ok(())
    }
}
