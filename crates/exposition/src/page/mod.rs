//! What is shown at one path, and how a scrape gets it.

mod block;

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};

use bytes::Bytes;
use prometheus::Registry;

pub(crate) use block::Block;
use block::{Form, Renderer};

use crate::{
    Format, accepts_gzip, format_for,
    gzip::{self, Trailer},
    registry,
};

/// How long a form of the page is kept ready after it was last asked for.
const WANTED_FOR: Duration = Duration::from_secs(600);

/// What OpenMetrics ends with.
const EOF: &[u8] = b"# EOF\n";

/// Something that a page shows: the present state of a [`crate::Sheet`] or of [`crate::Families`].
#[derive(Clone, Debug, Default)]
pub struct Part(pub(crate) Vec<Item>);

#[derive(Clone, Debug)]
pub(crate) enum Item {
    /// The same lines in both formats.
    Both(Arc<Block>),
    /// Lines that differ.
    Each { text: Arc<Block>, openmetrics: Arc<Block> },
}

impl Item {
    fn block(&self, format: Format) -> &Arc<Block> {
        match (self, format) {
            (Self::Both(block), _)
            | (Self::Each { text: block, .. }, Format::Text)
            | (Self::Each { openmetrics: block, .. }, Format::OpenMetrics(_)) => block,
        }
    }
}

/// A page of metrics. What is shown changes all at once, by [`Page::publish`]; a scrape copies what is
/// finished and waits for nothing.
///
/// A form (plain or gzip) is rendered when something changes and kept as long as somebody has asked for
/// it in the last ten minutes; the first to ask pays for its rendering.
#[derive(Debug, Default)]
pub struct Page {
    shown: RwLock<Arc<[Item]>>,
    registries: Vec<Registry>,
    asked: Mutex<[Option<Instant>; 2]>,
}

/// The answer to a scrape.
#[derive(Clone, Debug)]
pub struct Scrape {
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The value of `Content-Encoding`, if the body is compressed.
    pub content_encoding: Option<&'static str>,
    /// The body, in pieces that other scrapes share.
    pub chunks: Vec<Bytes>,
}

impl Scrape {
    /// The length of the body in bytes.
    pub fn len(&self) -> usize {
        self.chunks.iter().map(Bytes::len).sum()
    }

    /// Whether the body is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Page {
    /// An empty page.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a registry of the `prometheus` crate, gathered at each scrape: for the few families of the
    /// daemon itself. No family may be named as one that is published.
    #[must_use]
    pub fn with_registry(mut self, registry: Registry) -> Self {
        self.registries.push(registry);
        self
    }

    /// Replaces what is shown, all at once. No two parts may have a family in common.
    ///
    /// Renders what has changed in the forms that are being asked for, on the calling thread: for large
    /// sheets call it where blocking is allowed. Scrapes go on meanwhile and see the state before.
    pub fn publish(&self, parts: impl IntoIterator<Item = Part>) {
        let items: Arc<[Item]> = parts.into_iter().flat_map(|part| part.0).collect();
        let asked = *self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let mut renderer = Renderer::default();
        for (form, at) in [Form::Plain, Form::Gzip].into_iter().zip(asked) {
            match at {
                Some(at) if at.elapsed() < WANTED_FOR => {
                    for item in items.iter() {
                        match item {
                            Item::Both(block) => block.prepare(form, &mut renderer),
                            // Small and of one format each: rendered for those who ask.
                            Item::Each { .. } => {}
                        }
                    }
                }
                Some(_) => {
                    for item in items.iter() {
                        item.block(Format::Text).forget(form);
                    }
                    self.asked.lock().unwrap_or_else(PoisonError::into_inner)[form as usize] = None;
                }
                None => {}
            }
        }
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = items;
    }

    /// The page in the format and encoding that the request's headers ask for.
    pub fn scrape(&self, accept: Option<&str>, accept_encoding: Option<&str>) -> Scrape {
        let form = if accepts_gzip(accept_encoding) { Form::Gzip } else { Form::Plain };
        self.render(format_for(accept), form)
    }

    /// The page as plain text in one format; for tests and references.
    pub fn to_text(&self, format: Format) -> String {
        let bytes = self.render(format, Form::Plain).chunks.concat();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn render(&self, format: Format, form: Form) -> Scrape {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)[form as usize] = Some(Instant::now());
        let shown = Arc::clone(&self.shown.read().unwrap_or_else(PoisonError::into_inner));
        let mut last = Vec::new();
        for registry in &self.registries {
            registry::write(&mut last, format, registry);
        }
        if matches!(format, Format::OpenMetrics(_)) {
            last.extend_from_slice(EOF);
        }
        let last = Block::of_text(last);
        let blocks = shown.iter().map(|item| item.block(format).as_ref()).chain([&last]);
        let chunks = match form {
            Form::Plain => blocks.map(Block::plain).collect(),
            Form::Gzip => deflated(blocks),
        };
        let content_encoding = (form == Form::Gzip).then_some("gzip");
        Scrape { content_type: format.content_type(), content_encoding, chunks }
    }
}

fn deflated<'a>(blocks: impl Iterator<Item = &'a Block>) -> Vec<Bytes> {
    let (mut renderer, mut trailer) = (Renderer::default(), Trailer::default());
    let mut chunks = vec![Bytes::from_static(&gzip::HEADER)];
    for block in blocks {
        let deflated = block.deflated(&mut renderer);
        trailer.push(&deflated);
        chunks.push(deflated.bytes);
    }
    chunks.push(Bytes::copy_from_slice(&trailer.bytes()));
    chunks
}
