//! Clients that stop in the middle: of reading an answer, or of asking.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// Which request of a connection is answered, told by whoever answers: odd while one is in hand.
#[derive(Clone, Default)]
pub(crate) struct Turn(Arc<AtomicU64>);

impl Turn {
    /// A request was read, or its answer begins.
    pub(crate) fn pass(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn at(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A stream of which a write fails when the other side has taken nothing for some time, so that nobody
/// holds a connection and its answer by not reading; and a read, when a request was not asked to the end of its headers
/// for some time. Between two requests it waits: whoever answers bounds that.
pub(crate) struct StallGuard<S> {
    stream: S,
    patience: Duration,
    /// Runs while a write waits.
    deadline: Option<Pin<Box<Sleep>>>,
    headers: Duration,
    turn: Turn,
    /// The turn at the last read.
    seen: u64,
    /// Runs from the beginning of the connection, or of a later request, to the end of the headers.
    asking: Option<Pin<Box<Sleep>>>,
}

impl<S> StallGuard<S> {
    pub(crate) fn new(stream: S, patience: Duration, headers: Duration, turn: Turn) -> Self {
        let asking = Some(Box::pin(sleep(headers)));
        Self { stream, patience, deadline: None, headers, seen: turn.at(), turn, asking }
    }

    fn watched<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.deadline = None;
            return polled;
        }
        let patience = self.patience;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(patience)));
        match deadline.as_mut().poll(cx) {
            Poll::Ready(()) => {
                deadline.as_mut().reset(Instant::now() + patience);
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StallGuard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let turn = self.turn.at();
        if turn != self.seen {
            (self.seen, self.asking) = (turn, None);
        }
        let had = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        // What comes while a request is in hand is its body.
        if buf.filled().len() > had && turn.is_multiple_of(2) && self.asking.is_none() {
            self.asking = Some(Box::pin(sleep(self.headers)));
        }
        match &mut self.asking {
            Some(asking) if polled.is_pending() => asking.as_mut().poll(cx).map(|()| {
                Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not end its request's headers"))
            }),
            _ => polled,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StallGuard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watched(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watched(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.watched(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watched(cx, polled)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_stops_is_cut_off_and_a_slow_one_is_not() {
        let (ours, theirs) = tokio::io::duplex(16);
        let mut guarded = StallGuard::new(ours, Duration::from_secs(10), Duration::MAX, Turn::default());
        let slow = tokio::spawn(async move {
            let mut theirs = theirs;
            let mut buffer = [0; 8];
            for _ in 0..8 {
                tokio::time::sleep(Duration::from_secs(6)).await;
                tokio::io::AsyncReadExt::read_exact(&mut theirs, &mut buffer).await.unwrap();
            }
            theirs
        });
        guarded.write_all(&[7; 80]).await.unwrap();
        let _unread = slow.await.unwrap();
        let error = guarded.write_all(&[7; 80]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn headers_must_end_in_time_and_bodies_and_pauses_may_take_longer() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let (turn, limit) = (Turn::default(), Duration::from_secs(10));
        let mut guarded = StallGuard::new(ours, limit, limit, turn.clone());
        let mut buffer = [0; 4];
        for _ in 0..2 {
            theirs.write_all(b"head").await.unwrap();
            guarded.read_exact(&mut buffer).await.unwrap();
            turn.pass();
            let late = async {
                tokio::time::sleep(limit * 3).await;
                theirs.write_all(b"body").await.unwrap();
            };
            tokio::join!(late, async { guarded.read_exact(&mut buffer).await.unwrap() });
            turn.pass();
            assert!(tokio::time::timeout(limit * 3, guarded.read_u8()).await.is_err(), "nobody asks");
        }
        theirs.write_all(b"hea").await.unwrap();
        let error = guarded.read_exact(&mut buffer).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let (ours, _theirs) = tokio::io::duplex(64);
        let mut silent = StallGuard::new(ours, limit, limit, Turn::default());
        assert_eq!(silent.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
