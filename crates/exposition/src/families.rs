//! Small families that are built afresh each time.

use std::sync::Arc;

use crate::{
    Desc, Format, Kind,
    negotiate::Version,
    page::{Block, Item, Part},
    text,
};

const OPENMETRICS: Format = Format::OpenMetrics(Version::V1_0_0);

/// Families of bounded size, written anew for each publication.
#[derive(Debug, Default)]
pub struct Families {
    text: Vec<u8>,
    openmetrics: Vec<u8>,
}

/// The family that is being written; made by [`Families::family`].
#[derive(Debug)]
pub struct Family<'a> {
    families: &'a mut Families,
    desc: Desc,
    begun: bool,
}

impl Families {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a family. It is left out if no sample is added.
    pub fn family(&mut self, desc: &Desc) -> Family<'_> {
        Family { families: self, desc: *desc, begun: false }
    }

    /// What was written, for [`crate::Page::publish`].
    pub fn part(self) -> Part {
        if self.text == self.openmetrics {
            return Part(vec![Item::Both(Arc::new(Block::of_text(self.text)))]);
        }
        let (text, openmetrics) = (Block::of_text(self.text), Block::of_text(self.openmetrics));
        Part(vec![Item::Each { text: Arc::new(text), openmetrics: Arc::new(openmetrics) }])
    }
}

impl Family<'_> {
    /// Adds a sample of a counter or gauge. No two may have the same labels.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: f64) -> &mut Self {
        self.begin();
        let mut rendered = Vec::new();
        text::labels(&mut rendered, labels.iter().copied());
        for out in [&mut self.families.text, &mut self.families.openmetrics] {
            text::sample(out, self.desc.name, &rendered, value);
        }
        self
    }

    /// Adds a histogram: `buckets` are upper bounds, ascending and without infinity, each with the number
    /// of observations up to it (cumulative).
    pub fn histogram(
        &mut self,
        labels: &[(&str, &str)],
        buckets: &[(f64, u64)],
        sum: f64,
        count: u64,
    ) -> &mut Self {
        self.begin();
        let mut rendered = Vec::new();
        text::labels(&mut rendered, labels.iter().copied());
        histogram(&mut self.families.text, Format::Text, self.desc.name, &rendered, buckets, sum, count);
        histogram(
            &mut self.families.openmetrics,
            OPENMETRICS,
            self.desc.name,
            &rendered,
            buckets,
            sum,
            count,
        );
        self
    }

    fn begin(&mut self) {
        if !std::mem::replace(&mut self.begun, true) {
            let Desc { name, help, kind, .. } = self.desc;
            debug_assert!(kind != Kind::Summary, "summaries are read, not written");
            text::header(&mut self.families.text, Format::Text, name, help, kind);
            text::header(&mut self.families.openmetrics, OPENMETRICS, name, help, kind);
        }
    }
}

/// Appends the lines of one histogram.
#[expect(clippy::cast_precision_loss, reason = "samples are floating point in both formats")]
pub(crate) fn histogram(
    out: &mut Vec<u8>,
    format: Format,
    name: &str,
    labels: &[u8],
    buckets: &[(f64, u64)],
    sum: f64,
    count: u64,
) {
    let bucket_name = format!("{name}_bucket");
    let finite = buckets.iter().copied().filter(|(bound, _)| bound.is_finite());
    for (bound, cumulative) in finite.chain([(f64::INFINITY, count)]) {
        let with_bound = with_bound(format, labels, "le", bound);
        text::sample(out, &bucket_name, &with_bound, cumulative as f64);
    }
    text::sample(out, &format!("{name}_sum"), labels, sum);
    text::sample(out, &format!("{name}_count"), labels, count as f64);
}

/// The labels with a bucket's bound or a quantile at their end.
pub(crate) fn with_bound(format: Format, labels: &[u8], name: &str, bound: f64) -> Vec<u8> {
    let mut out = labels.to_vec();
    if !out.is_empty() {
        out.push(b',');
    }
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
    text::bound(&mut out, format, bound);
    out.push(b'"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Page;

    const DURATION: Desc = Desc::histogram("job_duration_seconds", "How long jobs take.");
    const JOBS: Desc = Desc::counter("jobs_total", "Jobs.");

    #[test]
    fn both_formats_of_a_histogram_and_a_counter() {
        let mut families = Families::new();
        families.family(&DURATION).histogram(&[("method", "web")], &[(5.0, 1), (60.0, 3)], 99.5, 4);
        families.family(&JOBS).sample(&[], 7.0);
        families.family(&Desc::gauge("empty", "Left out."));
        let page = Page::new();
        page.publish([families.part()]);
        assert_eq!(
            page.to_text(Format::Text),
            "# HELP job_duration_seconds How long jobs take.\n\
             # TYPE job_duration_seconds histogram\n\
             job_duration_seconds_bucket{method=\"web\",le=\"5\"} 1\n\
             job_duration_seconds_bucket{method=\"web\",le=\"60\"} 3\n\
             job_duration_seconds_bucket{method=\"web\",le=\"+Inf\"} 4\n\
             job_duration_seconds_sum{method=\"web\"} 99.5\n\
             job_duration_seconds_count{method=\"web\"} 4\n\
             # HELP jobs_total Jobs.\n\
             # TYPE jobs_total counter\n\
             jobs_total 7\n"
        );
        let openmetrics = page.to_text(OPENMETRICS);
        assert!(openmetrics.contains("le=\"5.0\"} 1\n"), "{openmetrics}");
        assert!(openmetrics.ends_with("# HELP jobs Jobs.\n# TYPE jobs counter\njobs_total 7\n# EOF\n"));
    }
}
