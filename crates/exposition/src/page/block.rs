//! A piece of a page, rendered at most once in each form that somebody asks for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::{
    gzip::{Deflated, Deflater},
    text,
};

/// A row's sample in one family: rendered labels without braces, and the value.
pub(crate) type Row = Option<(Arc<[u8]>, f64)>;

/// Lines of a page that belong together. What it says never changes while it is shown.
#[derive(Debug)]
pub(crate) struct Block {
    content: Content,
    forms: Mutex<Forms>,
}

#[derive(Clone, Debug)]
enum Content {
    /// Samples of one family, one for each row that has one.
    Rows { name: &'static str, rows: Vec<Row> },
    /// Finished text.
    Text(Bytes),
}

#[derive(Debug, Default)]
struct Forms {
    plain: Option<Bytes>,
    deflated: Option<Deflated>,
}

/// The forms in which pages are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Plain,
    Gzip,
}

/// Scratch space for rendering many blocks.
#[derive(Default)]
pub(crate) struct Renderer {
    deflater: Deflater,
    text: Vec<u8>,
}

impl Block {
    /// A block of finished text.
    pub(crate) fn of_text(text: Vec<u8>) -> Self {
        Self { content: Content::Text(text.into()), forms: Mutex::default() }
    }

    /// A block of samples of the family `name`, of which none is there yet.
    pub(crate) fn of_rows(name: &'static str) -> Self {
        Self { content: Content::Rows { name, rows: Vec::new() }, forms: Mutex::default() }
    }

    /// The rows, to be read.
    pub(crate) fn rows(&self) -> &[Row] {
        match &self.content {
            Content::Rows { rows, .. } => rows,
            Content::Text(_) => &[],
        }
    }

    /// The rows, to be changed: a block that is shown somewhere is left as it is and replaced here.
    pub(crate) fn rows_mut(this: &mut Arc<Self>) -> Option<&mut Vec<Row>> {
        if Arc::get_mut(this).is_none() {
            *this = Arc::new(Self { content: this.content.clone(), forms: Mutex::default() });
        }
        let block = Arc::get_mut(this)?;
        block.forms = Mutex::default();
        match &mut block.content {
            Content::Rows { rows, .. } => Some(rows),
            Content::Text(_) => None,
        }
    }

    /// The plain text, kept for the next time.
    pub(crate) fn plain(&self) -> Bytes {
        let Content::Rows { name, rows } = &self.content else { return self.text() };
        let mut forms = self.forms();
        let plain = forms.plain.get_or_insert_with(|| {
            let length = |row: &Row| row.as_ref().map_or(0, |(labels, _)| name.len() + labels.len() + 24);
            let mut out = Vec::with_capacity(rows.iter().map(length).sum());
            write_rows(&mut out, name, rows);
            // Exactly as long as it is: a page has thousands of these.
            Bytes::from(out.into_boxed_slice())
        });
        plain.clone()
    }

    /// The deflated text, kept for the next time.
    pub(crate) fn deflated(&self, renderer: &mut Renderer) -> Deflated {
        let mut forms = self.forms();
        if let Some(deflated) = &forms.deflated {
            return deflated.clone();
        }
        let deflated = match (&self.content, &forms.plain) {
            (Content::Text(text), _) => renderer.deflater.deflate(text),
            (Content::Rows { .. }, Some(plain)) => renderer.deflater.deflate(plain),
            (Content::Rows { name, rows }, None) => {
                renderer.text.clear();
                write_rows(&mut renderer.text, name, rows);
                renderer.deflater.deflate(&renderer.text)
            }
        };
        forms.deflated.insert(deflated).clone()
    }

    /// Renders one form ahead of the next scrape.
    pub(crate) fn prepare(&self, form: Form, renderer: &mut Renderer) {
        match form {
            Form::Plain => drop(self.plain()),
            Form::Gzip => drop(self.deflated(renderer)),
        }
    }

    /// Forgets a form that nobody asks for any more.
    pub(crate) fn forget(&self, form: Form) {
        match form {
            Form::Plain => self.forms().plain = None,
            Form::Gzip => self.forms().deflated = None,
        }
    }

    /// Whether no line would be written.
    pub(crate) fn is_empty(&self) -> bool {
        match &self.content {
            Content::Rows { rows, .. } => rows.iter().all(Option::is_none),
            Content::Text(text) => text.is_empty(),
        }
    }

    fn text(&self) -> Bytes {
        match &self.content {
            Content::Text(text) => text.clone(),
            Content::Rows { .. } => Bytes::new(),
        }
    }

    fn forms(&self) -> MutexGuard<'_, Forms> {
        self.forms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write_rows(out: &mut Vec<u8>, name: &str, rows: &[Row]) {
    for (labels, value) in rows.iter().flatten() {
        text::sample(out, name, labels, *value);
    }
}
