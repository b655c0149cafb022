//! Pages of exporters, taken apart while they arrive.
//!
//! Nothing of a page's text is kept. Of each sample there are two label sets, those of the page and those that the
//! scrape adds, and the value; the sets are shared by all that say the same, from one scrape to the next, by the
//! three series of a connection, and by the windows of rules.

use std::sync::{Arc, Mutex, PoisonError};

use exposition::{Format, Limits, ParseError, Sample, SeriesCache, Stream};
use promql::{Interner, Labels, METRIC_NAME};

use super::Target;

/// A page of 100,000 connections has 75 MB; more than this is no page of an exporter.
pub(super) const MAX_BYTES: usize = 512 << 20;

/// A page that was read in full and found well-formed. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Page(Arc<Contents>);

#[derive(Debug, Default)]
struct Contents {
    /// Neighbours of one metric: what their scrape adds, and where they end.
    runs: Vec<(Labels, usize)>,
    samples: Vec<(Labels, f64)>,
}

/// Samples of one metric that stand together on a page.
#[derive(Clone, Copy, Debug)]
pub struct Run<'p> {
    /// The metric's name as a label, and the labels `job` and `instance` of the scrape.
    pub own: &'p Labels,
    /// The other labels of each series, and its value.
    pub samples: &'p [(Labels, f64)],
}

impl Run<'_> {
    /// The name of the metric.
    pub fn metric(&self) -> &str {
        self.own.metric_name().unwrap_or_default()
    }
}

impl Page {
    /// What stands on it, in its order.
    pub fn runs(&self) -> impl Iterator<Item = Run<'_>> {
        let mut from = 0;
        self.0.runs.iter().map(move |(own, to)| {
            let samples = self.0.samples.get(from..*to).unwrap_or_default();
            from = *to;
            Run { own, samples }
        })
    }

    /// Whether it says the same as another, in the same order.
    pub(super) fn same(&self, other: &Self) -> bool {
        let (one, other) = (&*self.0, &*other.0);
        let equal = |(one, other): (&(Labels, f64), &(Labels, f64))| {
            one.1.to_bits() == other.1.to_bits() && one.0 == other.0
        };
        one.runs == other.runs
            && one.samples.len() == other.samples.len()
            && one.samples.iter().zip(&other.samples).all(equal)
    }

    /// A page that is at hand as a whole.
    ///
    /// # Errors
    /// The first line that cannot be read.
    pub fn read(target: &Target, body: &[u8], format: Format) -> Result<Self, ParseError> {
        Decoder::new(target, Arc::default()).read(body, format)
    }
}

/// The label sets that all pages share.
pub(super) type Shared = Arc<Mutex<Interner>>;

/// Takes the pages of one target apart, time after time.
pub(super) struct Decoder {
    job: &'static str,
    instance: Arc<str>,
    series: SeriesCache<Series>,
    labels: Shared,
    /// How many samples the page had the last time.
    samples: usize,
    /// Whether the page before had series that the one before it had not.
    lost: bool,
}

/// A series of the page.
struct Series {
    own: Labels,
    labels: Labels,
}

impl Decoder {
    pub(super) fn new(target: &Target, labels: Shared) -> Self {
        let (job, instance) = (target.job, target.instance.clone());
        Self { job, instance, series: SeriesCache::new(), labels, samples: 0, lost: false }
    }

    /// Takes a page apart that is at hand as a whole.
    pub(super) fn read(&mut self, body: &[u8], format: Format) -> Result<Page, ParseError> {
        let mut reading = self.begin(format);
        reading.piece(body)?;
        reading.finish()
    }

    /// Begins a page. One that is never finished leaves nothing behind.
    pub(super) fn begin(&mut self, format: Format) -> Reading<'_> {
        let limits = Limits { bytes: MAX_BYTES, ..Limits::default() };
        self.series.restart();
        let contents = Contents { runs: Vec::new(), samples: Vec::with_capacity(self.samples) };
        Reading { stream: Stream::new(format, &limits), contents, decoder: self }
    }
}

/// A page that is arriving.
pub(super) struct Reading<'d> {
    decoder: &'d mut Decoder,
    stream: Stream,
    contents: Contents,
}

impl Reading<'_> {
    /// The next piece of the page.
    pub(super) fn piece(&mut self, piece: &[u8]) -> Result<(), ParseError> {
        let Decoder { job, instance, series, labels, .. } = &mut *self.decoder;
        let Contents { runs, samples } = &mut self.contents;
        let make = |sample: &Sample<'_>| {
            let mut interner = labels.lock().unwrap_or_else(PoisonError::into_inner);
            // What the page says of job and instance stands beside ours, as with Prometheus's `honor_labels: false`.
            let pairs = sample.labels().map(|(name, value)| match &*name {
                "job" => ("exported_job".into(), value),
                "instance" => ("exported_instance".into(), value),
                _ => (name, value),
            });
            Series {
                labels: interner.labels(pairs),
                own: interner.labels([
                    (METRIC_NAME, &*sample.name),
                    ("job", *job),
                    ("instance", &**instance),
                ]),
            }
        };
        self.stream.read(piece, series, make, |series, value| {
            samples.push((series.labels.clone(), value));
            match runs.last_mut() {
                Some((own, end)) if *own == series.own => *end = samples.len(),
                _ => runs.push((series.own.clone(), samples.len())),
            }
        })
    }

    /// Ends the page.
    pub(super) fn finish(self) -> Result<Page, ParseError> {
        let Self { decoder, stream, mut contents } = self;
        stream.finish()?;
        contents.samples.shrink_to_fit();
        decoder.samples = contents.samples.len();
        let lost = decoder.series.sweep();
        // What only the page before still holds is free at the next page.
        if lost || std::mem::replace(&mut decoder.lost, lost) {
            decoder.labels.lock().unwrap_or_else(PoisonError::into_inner).sweep();
        }
        Ok(Page(Arc::new(contents)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# TYPE a gauge\na{x=\"1\",job=\"j\"} 1\na{x=\"2\"} 2\nb{x=\"2\"} 3\n";

    fn decoder() -> Decoder {
        Decoder::new(&Target::recorded("i", false).unwrap(), Arc::default())
    }

    fn lines(page: &Page) -> Vec<String> {
        let of_run = |run: Run<'_>| {
            let line = |(labels, value): &(Labels, f64)| format!("{}{labels} {value}", run.metric());
            run.samples.iter().map(line).collect::<Vec<_>>()
        };
        page.runs().flat_map(of_run).collect()
    }

    #[test]
    fn a_page_says_what_its_text_says_whatever_pieces_it_comes_in() {
        let mut decoder = decoder();
        let whole = decoder.read(TEXT.as_bytes(), Format::Text).unwrap();
        assert_eq!(lines(&whole), ["a{exported_job=\"j\", x=\"1\"} 1", "a{x=\"2\"} 2", "b{x=\"2\"} 3"]);
        assert_eq!(whole.runs().next().unwrap().own.get("instance"), Some("i"));
        for size in 1..20 {
            let mut reading = decoder.begin(Format::Text);
            TEXT.as_bytes().chunks(size).for_each(|piece| reading.piece(piece).unwrap());
            assert!(reading.finish().unwrap().same(&whole));
        }
        let other = decoder.read(TEXT.replace(" 3\n", " 4\n").as_bytes(), Format::Text).unwrap();
        assert!(!other.same(&whole));
    }

    #[test]
    fn nothing_is_kept_of_a_page_that_cannot_be_read_and_of_series_that_are_gone() {
        let mut decoder = decoder();
        assert!(decoder.read(b"a 1\nb\n", Format::Text).is_err());
        assert!(decoder.read(b"a 1\nb 1", Format::Text).is_err(), "cut off");
        decoder.read(TEXT.as_bytes(), Format::Text).unwrap();
        assert_eq!(decoder.series.len(), 3, "what the broken pages held is gone");
        let page = decoder.read(b"c 1\n", Format::Text).unwrap();
        assert_eq!((lines(&page).len(), decoder.series.len()), (1, 1));
    }
}
