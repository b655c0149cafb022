//! Looks at the exporters: all pages at once, each bounded in size and time.

use std::{path::Path, sync::Arc, time::Duration};

use daemon::{CancellationToken, Clock, Fatal, Timestamp};
use exposition::{Format, ParseError, parse::Reason};
use futures_util::future::join_all;
use jiff::SignedDuration;
use reqwest::{Client, header};
use tokio::sync::watch;

use super::{
    Connections, ExporterConfig, Snapshot, Target,
    exporter::{client, targets},
    page::{Decoder, MAX_BYTES, Page, Shared},
    pages,
    traffic::Window,
};

/// How long one page may take, in real time.
const DEADLINE: Duration = Duration::from_secs(10);

/// Why a page could not be read. Says neither address nor secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScrapeError {
    /// No connection, or it broke.
    #[error("no answer: {0}")]
    NoAnswer(&'static str),
    /// Another status than 200.
    #[error("answered {0}")]
    Status(u16),
    /// The page is larger than a page may be.
    #[error("the page is larger than {MAX_BYTES} bytes")]
    TooLarge,
    /// The page is not in a text format of Prometheus.
    #[error("cannot be read: {0}")]
    Unreadable(ParseError),
}

impl From<ParseError> for ScrapeError {
    fn from(error: ParseError) -> Self {
        match error.reason {
            Reason::TooLarge(_) => Self::TooLarge,
            _ => Self::Unreadable(error),
        }
    }
}

/// One page as it was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Which page.
    pub target: Arc<Target>,
    /// What stood on it, or why it could not be read.
    pub page: Result<Page, ScrapeError>,
    /// How long it took, in seconds of real time.
    pub seconds: f64,
}

/// One look at all exporters.
#[derive(Clone, Debug)]
pub struct Look {
    /// When it began.
    pub at: Timestamp,
    /// All pages, in the order of the configuration.
    pub seen: Vec<Seen>,
    /// All pages were read, and every exporter says that it has observed all that was due.
    pub clear: bool,
}

impl Look {
    /// A look of which nothing is left from before, and what it says.
    pub(crate) fn of(at: Timestamp, seen: Vec<Seen>) -> (Self, Snapshot) {
        let pages: Vec<&Page> = seen.iter().filter_map(|seen| seen.page.as_ref().ok()).collect();
        let mut snapshot = pages::snapshot(pages.iter().copied());
        let complete = seen.iter().all(|seen| seen.page.is_ok());
        snapshot.as_of = complete.then_some(at);
        snapshot.warm &= complete;
        let clear = snapshot.warm;
        (Self { at, seen, clear }, snapshot)
    }
}

/// Looks at the exporters again and again.
pub struct Scraper {
    client: Client,
    targets: Vec<Scraped>,
    labels: Shared,
    interval: Duration,
    /// What is known of single connections, from the newest pages.
    connections: Connections,
    window: Window,
    /// The alerter's own page: rules for operators are about it, too.
    own: Option<(Arc<Target>, exposition::Page, Decoder)>,
}

/// A page that is looked at again and again.
struct Scraped {
    target: Arc<Target>,
    decoder: Decoder,
    /// The newest page that could be read, and when.
    last: Option<(Timestamp, Page)>,
}

impl Scraper {
    /// A scraper of these exporters; paths in their settings are relative to `file`.
    ///
    /// # Errors
    /// Settings that cannot work, in one line.
    pub fn new(exporters: &[ExporterConfig], file: Option<&Path>, interval: Duration) -> Result<Self, Fatal> {
        let labels = Shared::default();
        let scraped = |target: Target| {
            let decoder = Decoder::new(&target, labels.clone());
            Scraped { target: Arc::new(target), decoder, last: None }
        };
        Ok(Self {
            client: client()?,
            targets: targets(exporters, file)?.into_iter().map(scraped).collect(),
            labels,
            interval,
            connections: Connections::default(),
            window: Window::default(),
            own: None,
        })
    }

    /// Shows the alerter's own metrics to the rules beside those of the exporters.
    #[must_use]
    pub fn with_own(mut self, page: exposition::Page) -> Self {
        self.own = self.targets.first().map(|any| {
            let target = any.target.own();
            let decoder = Decoder::new(&target, self.labels.clone());
            (Arc::new(target), page, decoder)
        });
        self
    }

    /// Looks once: what was seen, and what is known now.
    pub async fn look(&mut self, at: Timestamp) -> (Look, Snapshot) {
        let client = &self.client;
        let looking =
            self.targets.iter_mut().map(|scraped| see(client, &scraped.target, &mut scraped.decoder));
        let mut seen = join_all(looking).await;
        let mut news = false;
        for (scraped, seen) in self.targets.iter_mut().zip(&mut seen) {
            let Ok(page) = &mut seen.page else { continue };
            match &scraped.last {
                Some((_, last)) if page.same(last) => *page = last.clone(),
                last => {
                    let before = last.as_ref().is_some_and(|(_, last)| pages::of_connections(last));
                    news |= before || pages::of_connections(page);
                }
            }
            scraped.last = Some((at, page.clone()));
        }
        let last = || self.targets.iter().filter_map(|scraped| scraped.last.as_ref());
        let complete = self.targets.iter().all(|scraped| scraped.last.is_some());
        if news {
            let mut connections = pages::connections(last().map(|(_, page)| page));
            connections.share(&self.connections);
            self.connections = connections;
        }
        let mut snapshot = pages::aggregates(last().map(|(_, page)| page));
        snapshot.connections = self.connections.clone();
        snapshot.as_of = last().map(|(at, _)| *at).min().filter(|_| complete);
        snapshot.warm &= complete;
        if snapshot.as_of == Some(at) {
            snapshot.traffic = self.window.add(at, &snapshot);
        }
        let clear = snapshot.warm && seen.iter().all(|seen| seen.page.is_ok());
        if let Some((target, page, decoder)) = &mut self.own {
            let text = page.to_text(Format::Text);
            let page = decoder.read(text.as_bytes(), Format::Text).map_err(ScrapeError::from);
            seen.push(Seen { target: target.clone(), page, seconds: 0.0 });
        }
        (Look { at, seen, clear }, snapshot)
    }

    /// Looks every interval until stopped, and publishes both.
    pub async fn run(
        mut self,
        clock: Clock,
        stop: CancellationToken,
        looks: watch::Sender<Option<Arc<Look>>>,
        evidence: watch::Sender<Arc<Snapshot>>,
    ) {
        let every = SignedDuration::try_from(self.interval).unwrap_or(SignedDuration::from_secs(15));
        let mut failing = vec![false; self.targets.len()];
        let mut next = clock.now();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = clock.sleep_until(next) => {}
            }
            let at = clock.now();
            let looked = tokio::select! {
                () = stop.cancelled() => return,
                looked = self.look(at) => looked,
            };
            let (look, snapshot) = looked;
            // The alerter's own page comes last and cannot fail.
            for (failing, seen) in failing.iter_mut().zip(&look.seen) {
                report(failing, seen);
            }
            evidence.send_replace(Arc::new(snapshot));
            looks.send_replace(Some(Arc::new(look)));
            // What was missed is not made up for.
            next += every;
            let now = clock.now();
            if next <= now || next.duration_since(now) > every {
                next = now + every;
            }
        }
    }
}

/// Says once that a page cannot be read, and once that it can again.
fn report(failing: &mut bool, seen: &Seen) {
    let (job, instance) = (seen.target.job, &*seen.target.instance);
    match &seen.page {
        Err(error) if !*failing => {
            tracing::warn!(job, instance, %error, "an exporter cannot be read; nothing ends until it can");
            *failing = true;
        }
        Ok(_) if *failing => {
            tracing::info!(job, instance, "an exporter can be read again");
            *failing = false;
        }
        _ => {}
    }
}

async fn see(client: &Client, target: &Arc<Target>, decoder: &mut Decoder) -> Seen {
    let started = tokio::time::Instant::now();
    let page = tokio::time::timeout(DEADLINE, fetch(client, target, decoder)).await;
    let page = page.unwrap_or(Err(ScrapeError::NoAnswer("it took too long")));
    Seen { target: target.clone(), page, seconds: started.elapsed().as_secs_f64() }
}

async fn fetch(client: &Client, target: &Target, decoder: &mut Decoder) -> Result<Page, ScrapeError> {
    let request =
        client.get(target.url.clone()).header(header::ACCEPT, "text/plain;version=0.0.4;q=0.5,*/*;q=0.1");
    let request = target.login.sign(request);
    let mut response = request.send().await.map_err(|error| ScrapeError::NoAnswer(why(&error)))?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(ScrapeError::Status(response.status().as_u16()));
    }
    let content_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let mut reading = decoder.begin(Format::of_content_type(content_type.unwrap_or_default()));
    while let Some(piece) = response.chunk().await.map_err(|error| ScrapeError::NoAnswer(why(&error)))? {
        reading.piece(&piece)?;
    }
    Ok(reading.finish()?)
}

/// The kind of a transport error; its own text would name the address.
pub(crate) fn why(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "it took too long"
    } else if error.is_connect() {
        "no connection"
    } else if error.is_decode() {
        "its encoding is broken"
    } else {
        "the connection broke"
    }
}
