//! Reading a page while it arrives.

use super::{Entry, Limits, ParseError, Reason, Sample, SeriesCache, line};
use crate::Format;

/// Reads a page piece by piece. Nothing of the page is kept but a line of which the end is still to come, and a
/// line whose series the [`SeriesCache`] knows is not taken apart again.
///
/// Accepts and refuses the same pages as [`super::Parser`]. What was found before an error belongs to a page that
/// cannot be read: it is for the caller to drop.
#[derive(Debug)]
pub struct Stream {
    format: Format,
    limits: Limits,
    bytes: usize,
    line: usize,
    samples: usize,
    /// The beginning of a line.
    begun: Vec<u8>,
    at_eof: bool,
}

impl Stream {
    /// A page in the format that its `Content-Type` names ([`Format::of_content_type`]).
    pub fn new(format: Format, limits: &Limits) -> Self {
        Self { format, limits: *limits, bytes: 0, line: 0, samples: 0, begun: Vec::new(), at_eof: false }
    }

    /// Reads the next piece. Of each sample `found` gets its value and what the cache knows of its series, which
    /// `make` made when it was new.
    ///
    /// # Errors
    /// The first line that cannot be read, or the bound that was exceeded.
    pub fn read<T>(
        &mut self,
        piece: &[u8],
        cache: &mut SeriesCache<T>,
        mut make: impl FnMut(&Sample<'_>) -> T,
        mut found: impl FnMut(&T, f64),
    ) -> Result<(), ParseError> {
        self.bytes += piece.len();
        if self.bytes > self.limits.bytes {
            return Err(ParseError { line: self.line + 1, reason: Reason::TooLarge(self.limits.bytes) });
        }
        let mut rest = piece;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            if self.begun.is_empty() {
                self.line(line, cache, &mut make, &mut found)?;
            } else {
                let mut whole = std::mem::take(&mut self.begun);
                whole.extend_from_slice(line);
                self.line(&whole, cache, &mut make, &mut found)?;
                whole.clear();
                self.begun = whole;
            }
            rest = after;
        }
        if self.begun.len() + rest.len() > self.limits.line {
            return Err(ParseError { line: self.line + 1, reason: Reason::LineTooLong(self.limits.line) });
        }
        self.begun.extend_from_slice(rest);
        Ok(())
    }

    /// Ends the page.
    ///
    /// # Errors
    /// It was cut off.
    pub fn finish(mut self) -> Result<(), ParseError> {
        let openmetrics = matches!(self.format, Format::OpenMetrics(_));
        // OpenMetrics wants no line feed after its last line.
        if openmetrics && !self.at_eof && self.begun == b"# EOF" {
            self.begun.clear();
            self.at_eof = true;
        }
        let reason = match (self.begun.is_empty(), self.at_eof) {
            (true, at_eof) if at_eof || !openmetrics => return Ok(()),
            (false, true) => Reason::AfterEof,
            _ => Reason::CutOff,
        };
        Err(ParseError { line: self.line + 1, reason })
    }

    fn line<T>(
        &mut self,
        line: &[u8],
        cache: &mut SeriesCache<T>,
        make: &mut impl FnMut(&Sample<'_>) -> T,
        found: &mut impl FnMut(&T, f64),
    ) -> Result<(), ParseError> {
        self.line += 1;
        self.known(line, cache, found)
            .unwrap_or_else(|| self.unknown(line, cache, make, found))
            .map_err(|reason| ParseError { line: self.line, reason })
    }

    /// A line that is a known series, a space and a number; `None` if it is anything else.
    fn known<T>(
        &mut self,
        line: &[u8],
        cache: &mut SeriesCache<T>,
        found: &mut impl FnMut(&T, f64),
    ) -> Option<Result<(), Reason>> {
        if self.at_eof || line.len() > self.limits.line {
            return None;
        }
        let (series, value) = line.split_at(memchr::memrchr(b' ', line)?);
        let value = std::str::from_utf8(&value[1..]).ok()?.parse().ok()?;
        let known = cache.known(series)?;
        if let Err(reason) = self.count() {
            return Some(Err(reason));
        }
        found(known, value);
        Some(Ok(()))
    }

    fn unknown<T>(
        &mut self,
        line: &[u8],
        cache: &mut SeriesCache<T>,
        make: &mut impl FnMut(&Sample<'_>) -> T,
        found: &mut impl FnMut(&T, f64),
    ) -> Result<(), Reason> {
        if self.at_eof {
            return Err(Reason::AfterEof);
        }
        if line.len() > self.limits.line {
            return Err(Reason::LineTooLong(self.limits.line));
        }
        let line = std::str::from_utf8(line).map_err(|_| Reason::NotUtf8)?;
        let openmetrics = matches!(self.format, Format::OpenMetrics(_));
        if openmetrics && line == "# EOF" {
            self.at_eof = true;
            return Ok(());
        }
        if let Some(Entry::Sample(sample)) = line::read(line, openmetrics, self.limits.labels)? {
            self.count()?;
            found(cache.get(sample.series, || make(&sample)), sample.value);
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), Reason> {
        self.samples += 1;
        let most = self.limits.samples;
        if self.samples > most { Err(Reason::TooManySamples(most)) } else { Ok(()) }
    }
}
