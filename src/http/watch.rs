//! What is seen of one connection from outside: its bytes, the heads of its requests, its answers.
//!
//! Wraps the stream below hyper and the answers above it. Decides nothing: [`Phase`] does. Time enters
//! here, as the moment at which something is seen.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use axum::body::{Body, Bytes};
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf, Take};
use tokio::net::TcpStream;

use super::crowd::Rest;
use super::phase::{Event, Limits, Phase};
use super::unverified::{Hold, Unverified};
use crate::clock::{Clock, Moment};

/// Bytes that are read at once; one less than hyper's first buffer, which grows when it is filled.
/// Source: hyper 1.12, `proto/h1/io.rs`, `ReadStrategy`.
const READ_BYTES_MAX: u64 = 8 * 1024 - 1;

/// Bytes of a head that every connection may hold; what is more counts as unverified.
const HEAD_BYTES_FREE: usize = 8 * 1024;

/// What is known of one connection, for its own task and for whoever needs its place.
#[derive(Debug)]
pub(super) struct Watch {
    seen: Mutex<ConnectionSeen>,
    clock: Clock,
}

#[derive(Debug)]
struct ConnectionSeen {
    phase: Phase,
    /// What was told of it last.
    told: Option<Rest>,
    /// Whether the last request's body took too long.
    is_slow: bool,
    /// Whether another connection needs this one's place.
    is_asked: bool,
    /// Wakes the connection's task.
    waker: Option<Waker>,
    /// Wakes the request that waits until the answers before it have left.
    next: Option<Waker>,
}

impl Watch {
    /// Begins with a connection that was just opened.
    pub(super) fn new(clock: Clock) -> Self {
        let phase = Phase::Head { since: clock.now() };
        let seen = ConnectionSeen {
            phase,
            told: None,
            is_slow: false,
            is_asked: false,
            waker: None,
            next: None,
        };
        Self { seen: Mutex::new(seen), clock }
    }

    /// Notes what was seen; gives the phase after it.
    pub(super) fn note(&self, event: Event) -> Phase {
        let now = self.clock.now();
        let mut seen = self.lock();
        seen.phase = seen.phase.after(event, now);
        let phase = seen.phase;
        let next = if phase.is_sending() { None } else { seen.next.take() };
        drop(seen);
        if let Some(next) = next {
            next.wake();
        }
        phase
    }

    /// Waits until a request whose head is complete has its turn.
    ///
    /// Whoever sends many requests at once has the next one answered once the answers before it have left,
    /// and others have had their turn: hyper would answer sixteen at once, and go on while nobody takes
    /// the answers until its buffer is full.
    /// Source: hyper 1.12, `proto/h1/dispatch.rs`, `poll_loop`, read 2026-11-29.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing.
    pub(super) async fn turn(&self) {
        if self.lock().phase.is_pipelined() {
            std::future::poll_fn(|cx| {
                let mut seen = self.lock();
                if !seen.phase.is_sending() {
                    return Poll::Ready(());
                }
                seen.next = Some(cx.waker().clone());
                Poll::Pending
            })
            .await;
            tokio::task::yield_now().await;
        }
    }

    /// Notes that the body of the request took too long.
    pub(super) fn note_slow(&self) {
        self.lock().is_slow = true;
    }

    /// Whether the request's body took too long; says so once.
    pub(super) fn was_slow(&self) -> bool {
        std::mem::take(&mut self.lock().is_slow)
    }

    /// Whether the connection is to leave now, otherwise when it is to be looked at again; and what it
    /// waits for, if that is news, or if it was asked to leave and stays.
    pub(super) fn verdict(&self, limits: Limits, waker: &Waker) -> (Verdict, News) {
        let mut seen = self.lock();
        let deadline = seen.phase.deadline(limits);
        let left = deadline.map(|deadline| deadline.since(self.clock.now()));
        let rest = seen.phase.rest();
        if left.is_some_and(|left| left.is_zero()) || seen.is_asked && rest.is_some() {
            return (Verdict::Leave, News::Old);
        }
        let stays_after_all = std::mem::take(&mut seen.is_asked);
        if !seen.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            seen.waker = Some(waker.clone());
        }
        let is_news = stays_after_all || seen.told != rest;
        let news = if is_news { News::WaitsFor(rest) } else { News::Old };
        seen.told = rest;
        (Verdict::Stay { until: deadline }, news)
    }

    /// The clock that its moments are of.
    pub(super) const fn clock(&self) -> Clock {
        self.clock
    }

    /// Asks it to leave, which it does unless a request has come meanwhile.
    pub(super) fn ask(&self) {
        let mut seen = self.lock();
        seen.is_asked = true;
        let waker = seen.waker.take();
        drop(seen);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, ConnectionSeen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is to be known of a connection that stays.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum News {
    /// What was known before.
    Old,
    /// For what it waits now, if for anything.
    WaitsFor(Option<Rest>),
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// It is ended: it took too long, or its place is needed.
    Leave,
    /// It goes on.
    Stay {
        /// When to look again, if nothing happens before.
        until: Option<Moment>,
    },
}

/// A connection's bytes, on their way from and to the client.
#[derive(Debug)]
pub(super) struct WatchedConnection {
    stream: Take<TcpStream>,
    watch: Arc<Watch>,
    unverified: Unverified,
    /// What is held of a head.
    head: Option<Hold>,
}

impl WatchedConnection {
    /// Watches a connection, and counts its heads.
    pub(super) fn new(stream: TcpStream, watch: Arc<Watch>, unverified: Unverified) -> Self {
        Self { stream: stream.take(READ_BYTES_MAX), watch, unverified, head: None }
    }

    fn written(&mut self, written: &Poll<io::Result<usize>>) {
        // The head that is answered now is whole, and counts no more.
        self.head = None;
        if matches!(written, Poll::Ready(Ok(count)) if *count > 0) {
            self.watch.note(Event::BytesWritten);
        }
    }

    /// Counts what was read, which is a head's as long as one is awaited; says whether there is room.
    fn has_room(&mut self, bytes: usize) -> bool {
        match self.watch.note(Event::BytesRead) {
            Phase::Head { .. } => {
                let unverified = &self.unverified;
                self.head.get_or_insert_with(|| unverified.hold(HEAD_BYTES_FREE)).take_now(bytes)
            }
            Phase::Answering
            | Phase::Body { .. }
            | Phase::Streaming { .. }
            | Phase::Sending { .. }
            | Phase::Idle { .. } => {
                self.head = None;
                true
            }
        }
    }
}

impl AsyncRead for WatchedConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        self.stream.set_limit(READ_BYTES_MAX);
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let count = buffer.filled().len() - before;
        if count > 0 && !self.has_room(count) {
            return Poll::Ready(Err(io::ErrorKind::QuotaExceeded.into()));
        }
        read
    }
}

impl AsyncWrite for WatchedConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(self.stream.get_mut()).poll_write(cx, bytes);
        self.written(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(self.stream.get_mut()).poll_write_vectored(cx, slices);
        self.written(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.get_ref().is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(self.stream.get_mut()).poll_flush(cx);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.watch.note(Event::Flushed);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream.get_mut()).poll_shutdown(cx)
    }
}

/// An answer's body, which tells when hyper has taken a part of it, and the last.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) body: Body,
    pub(super) watch: Arc<Watch>,
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(Some(Ok(_)))) && !self.body.is_end_stream() {
            self.watch.note(Event::PartMade);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    /// hyper drops a body once all of it is written into its buffer.
    fn drop(&mut self) {
        self.watch.note(Event::AnswerMade);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn the_next_request_has_its_turn_once_the_answer_before_it_has_left() {
        let watch = Watch::new(Clock::start());
        assert!(watch.turn().now_or_never().is_some(), "the first one");
        for event in [Event::HeadRead, Event::AnswerMade] {
            watch.note(event);
        }
        let mut turn = std::pin::pin!(watch.turn());
        assert!((&mut turn).now_or_never().is_none());
        watch.note(Event::BytesWritten);
        assert!((&mut turn).now_or_never().is_none(), "some of it");
        watch.note(Event::Flushed);
        assert!((&mut turn).now_or_never().is_none(), "others come first");
        assert!(turn.now_or_never().is_some());
    }
}
