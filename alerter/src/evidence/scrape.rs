//! Looks at the exporters: all pages at once, each bounded in size and time.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use daemon::{CancellationToken, Clock, Fatal, Timestamp};
use exposition::Format;
use futures_util::future::join_all;
use jiff::SignedDuration;
use reqwest::{Client, header};
use tokio::sync::watch;

use super::{
    ExporterConfig, Snapshot, Target,
    exporter::{client, targets},
    pages::{self, Page},
    traffic::Window,
};

/// How long one page may take, in real time.
const DEADLINE: Duration = Duration::from_secs(10);
/// A page of 100,000 connections has 75 MB; more than this is no page of an exporter.
const MAX_BYTES: usize = 512 << 20;

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
    Unreadable(exposition::ParseError),
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
        let mut snapshot = pages::snapshot(seen.iter().filter_map(|seen| seen.page.as_ref().ok()));
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
    targets: Vec<Arc<Target>>,
    interval: Duration,
    /// The newest page of each target that could be read, and when.
    last: Vec<Option<(Timestamp, Page)>>,
    window: Window,
    /// The alerter's own page: rules for operators are about it, too.
    own: Option<(Arc<Target>, exposition::Page)>,
}

impl Scraper {
    /// A scraper of these exporters; paths in their settings are relative to `file`.
    ///
    /// # Errors
    /// Settings that cannot work, in one line.
    pub fn new(exporters: &[ExporterConfig], file: Option<&Path>, interval: Duration) -> Result<Self, Fatal> {
        let targets: Vec<_> = targets(exporters, file)?.into_iter().map(Arc::new).collect();
        Ok(Self {
            client: client()?,
            last: vec![None; targets.len()],
            window: Window::default(),
            targets,
            interval,
            own: None,
        })
    }

    /// Shows the alerter's own metrics to the rules beside those of the exporters.
    #[must_use]
    pub fn with_own(mut self, page: exposition::Page) -> Self {
        self.own = self.targets.first().map(|any| (Arc::new(any.own()), page));
        self
    }

    /// Looks once: what was seen, and what is known now.
    pub async fn look(&mut self, at: Timestamp) -> (Look, Snapshot) {
        let mut seen = join_all(self.targets.iter().map(|target| see(&self.client, target))).await;
        for (last, seen) in self.last.iter_mut().zip(&seen) {
            if let Ok(page) = &seen.page {
                *last = Some((at, page.clone()));
            }
        }
        let complete = self.last.iter().all(Option::is_some);
        let mut snapshot = pages::snapshot(self.last.iter().flatten().map(|(_, page)| page));
        snapshot.as_of = self.last.iter().flatten().map(|(at, _)| *at).min().filter(|_| complete);
        snapshot.warm &= complete;
        if snapshot.as_of == Some(at) {
            snapshot.traffic = self.window.add(at, &snapshot);
        }
        let clear = snapshot.warm && seen.iter().all(|seen| seen.page.is_ok());
        if let Some((target, page)) = &self.own {
            let body = Bytes::from(page.to_text(Format::Text));
            let page = Page::read(body, Format::Text).map_err(ScrapeError::Unreadable);
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

async fn see(client: &Client, target: &Arc<Target>) -> Seen {
    let started = tokio::time::Instant::now();
    let page = tokio::time::timeout(DEADLINE, fetch(client, target)).await;
    let page = page.unwrap_or(Err(ScrapeError::NoAnswer("it took too long")));
    Seen { target: target.clone(), page, seconds: started.elapsed().as_secs_f64() }
}

async fn fetch(client: &Client, target: &Target) -> Result<Page, ScrapeError> {
    let request =
        client.get(target.url.clone()).header(header::ACCEPT, "text/plain;version=0.0.4;q=0.5,*/*;q=0.1");
    let request = target.login.sign(request);
    let mut response = request.send().await.map_err(|error| ScrapeError::NoAnswer(why(&error)))?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(ScrapeError::Status(response.status().as_u16()));
    }
    let content_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let format = Format::of_content_type(content_type.unwrap_or_default());
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| ScrapeError::NoAnswer(why(&error)))? {
        if body.len() + chunk.len() > MAX_BYTES {
            return Err(ScrapeError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Page::read(body.freeze(), format).map_err(ScrapeError::Unreadable)
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

impl Page {
    /// Takes a page in, if all of it can be read.
    pub(crate) fn read(body: Bytes, format: Format) -> Result<Self, exposition::ParseError> {
        let page = Self { body, format };
        for entry in page.samples() {
            entry?;
        }
        Ok(page)
    }
}
