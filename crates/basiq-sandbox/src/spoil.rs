//! Bodies that are broken on purpose.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{draw::Draw, faults::FaultKind};

/// Changes a whole body as a fault demands; faults that do not concern the body leave it.
pub(crate) fn spoil(bytes: Bytes, kind: &FaultKind, seed: u64) -> Bytes {
    match kind {
        FaultKind::Truncate => bytes.slice(..bytes.len() / 2),
        FaultKind::Malform => malform(&bytes, seed),
        FaultKind::WrongTypes => map_json(bytes, |value| wrong_types(value, 0)),
        FaultKind::Skew(span) => map_json(bytes, |value| skew(value, span.0)),
        _ => bytes,
    }
}

fn map_json(bytes: Bytes, change: impl FnOnce(&mut Value)) -> Bytes {
    match serde_json::from_slice::<Value>(&bytes) {
        Ok(mut value) => {
            change(&mut value);
            Bytes::from(value.to_string())
        }
        Err(_) => bytes,
    }
}

/// Overwrites a byte of the structure, which no reader of JSON accepts.
fn malform(bytes: &Bytes, seed: u64) -> Bytes {
    let mut bytes = bytes.to_vec();
    let marks: Vec<usize> = (0..bytes.len()).filter(|at| matches!(bytes[*at], b'{' | b':' | b'[')).collect();
    if !marks.is_empty() {
        let pick = Draw::new(seed, "malform").with(bytes.len() as u64).bits() % marks.len() as u64;
        if let Some(at) = usize::try_from(pick).ok().and_then(|pick| marks.get(pick)) {
            bytes[*at] = b';';
        }
    }
    Bytes::from(bytes)
}

fn wrong_types(value: &mut Value, depth: u32) {
    match value {
        Value::String(text) => *value = json!(text.len()),
        Value::Number(_) => *value = Value::Null,
        Value::Array(items) if depth > 0 => *value = json!({"0": items.first()}),
        Value::Array(items) => items.iter_mut().for_each(|item| wrong_types(item, depth + 1)),
        Value::Object(fields) => fields.values_mut().for_each(|field| wrong_types(field, depth + 1)),
        Value::Bool(_) | Value::Null => *value = json!([[]]),
    }
}

fn skew(value: &mut Value, by: SignedDuration) {
    match value {
        Value::String(text) => {
            if let Some(shifted) = text.parse::<Timestamp>().ok().and_then(|time| time.checked_add(by).ok()) {
                *value = json!(shifted.to_string());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| skew(item, by)),
        Value::Object(fields) => fields.values_mut().for_each(|field| skew(field, by)),
        _ => {}
    }
}

/// A body that ends with an error after some bytes: the connection is closed in its middle.
#[derive(Debug)]
pub(crate) struct Broken {
    first: Option<Bytes>,
    /// Time for the first bytes to be sent: an error at once would take them along.
    wait: Pin<Box<tokio::time::Sleep>>,
}

impl Broken {
    pub(crate) fn new(first: Bytes) -> Self {
        Self { first: Some(first), wait: Box::pin(tokio::time::sleep(Duration::from_millis(20))) }
    }
}

impl Body for Broken {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
            None => {
                self.wait.as_mut().poll(context).map(|()| Some(Err(std::io::Error::other("cut on purpose"))))
            }
        }
    }
}

/// A body followed by blanks, which JSON allows, made as they are sent.
#[derive(Debug)]
pub(crate) struct Padded {
    first: Option<Bytes>,
    left: u64,
}

impl Padded {
    pub(crate) fn new(first: Bytes, extra: u64) -> Self {
        Self { first: Some(first), left: extra }
    }
}

static BLANKS: [u8; 64 * 1024] = [b' '; 64 * 1024];

impl Body for Padded {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let length = usize::try_from(self.left).unwrap_or(BLANKS.len()).min(BLANKS.len());
        if length == 0 {
            return Poll::Ready(None);
        }
        self.left -= length as u64;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&BLANKS[..length])))))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[test]
    fn spoiled_bodies_are_spoiled() {
        let good = Bytes::from_static(
            br#"{"type":"list","data":[{"id":"a","created":"2026-01-01T00:00:00Z","n":1}]}"#,
        );
        for kind in [FaultKind::Truncate, FaultKind::Malform] {
            assert!(serde_json::from_slice::<Value>(&spoil(good.clone(), &kind, 1)).is_err(), "{kind:?}");
        }
        let wrong: Value = serde_json::from_slice(&spoil(good.clone(), &FaultKind::WrongTypes, 1)).unwrap();
        assert_eq!(
            wrong,
            json!({"type": 4, "data": {"0": {"id": "a", "created": "2026-01-01T00:00:00Z", "n": 1}}})
        );
        let skewed: Value =
            serde_json::from_slice(&spoil(good, &FaultKind::Skew(crate::scenario::Span::hours(1)), 1))
                .unwrap();
        assert_eq!(skewed["data"][0]["created"], "2026-01-01T01:00:00Z");
    }

    #[tokio::test]
    async fn huge_bodies_are_made_as_they_are_read() {
        let body = Padded::new(Bytes::from_static(b"{}"), 1_000_000);
        assert_eq!(body.collect().await.unwrap().to_bytes().len(), 1_000_002);
    }
}
