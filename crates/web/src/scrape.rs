//! A scrape as the body of an answer.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    vec::IntoIter,
};

use bytes::{Bytes, BytesMut};
use exposition::Scrape;
use http::{HeaderValue, Response, header};
use hyper::body::{Body, Frame, SizeHint};

/// Pieces smaller than this are put together: each frame costs a turn of the connection.
const FRAME: usize = 128 * 1024;

/// The answer, with the length that is known beforehand.
pub(crate) fn response(scrape: Scrape) -> Response<axum::body::Body> {
    let length = scrape.len();
    let body = Pieces { pieces: scrape.chunks.into_iter(), left: length as u64 };
    let mut response = Response::new(axum::body::Body::new(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(scrape.content_type));
    headers.insert(header::VARY, HeaderValue::from_static("accept, accept-encoding"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    if let Some(encoding) = scrape.content_encoding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

struct Pieces {
    pieces: IntoIter<Bytes>,
    left: u64,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(first) = self.pieces.next() else { return Poll::Ready(None) };
        let next = self.pieces.as_slice().first().map_or(0, Bytes::len);
        let frame = if next == 0 || first.len() + next > FRAME {
            first
        } else {
            let mut frame = BytesMut::with_capacity(FRAME);
            frame.extend_from_slice(&first);
            while let Some(piece) = self.pieces.as_slice().first() {
                if frame.len() + piece.len() > FRAME {
                    break;
                }
                frame.extend_from_slice(piece);
                self.pieces.next();
            }
            frame.freeze()
        };
        self.left -= frame.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn pieces_are_put_together_and_none_is_lost() {
        let sizes = [0, 10, 70_000, 70_000, 200_000, 1, 2, 0, 131_072, 5];
        let chunks: Vec<_> = (0_u8..).zip(sizes).map(|(at, size)| Bytes::from(vec![at; size])).collect();
        let whole = chunks.concat();
        let mut body = Pieces { left: whole.len() as u64, pieces: chunks.into_iter() };
        let mut frames = Vec::new();
        while let Some(frame) = body.frame().await {
            frames.push(frame.unwrap().into_data().unwrap());
        }
        assert_eq!(frames.concat(), whole);
        assert!(frames.len() <= 7, "{} frames", frames.len());
    }
}
