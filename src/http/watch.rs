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
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::phase::{Event, Limits, Phase};
use crate::clock::{Clock, Moment};

/// What is known of one connection, for its own task and for whoever needs its place.
#[derive(Debug)]
pub(super) struct Watch {
    seen: Mutex<Seen>,
    clock: Clock,
    /// Told when the connection comes to rest, or will not leave after all.
    rested: Arc<Notify>,
}

#[derive(Debug)]
struct Seen {
    phase: Phase,
    /// Whether another connection needs this one's place.
    is_asked: bool,
    /// Wakes the connection's task.
    waker: Option<Waker>,
}

impl Watch {
    /// Begins with a connection that was just opened.
    pub(super) fn new(clock: Clock, rested: Arc<Notify>) -> Self {
        let phase = Phase::Head { since: clock.now() };
        Self { seen: Mutex::new(Seen { phase, is_asked: false, waker: None }), clock, rested }
    }

    /// Notes what was seen.
    pub(super) fn note(&self, event: Event) {
        let mut seen = self.lock();
        let (before, after) = (seen.phase, seen.phase.after(event, self.clock.now()));
        seen.phase = after;
        let has_rested = before.idle_since().is_none() && after.idle_since().is_some();
        drop(seen);
        if has_rested {
            self.rested.notify_one();
        }
    }

    /// Whether the connection is to leave now; otherwise when it is to be looked at again.
    ///
    /// To be asked after hyper has read what there is, by the connection's task, which is woken when
    /// its place is needed.
    pub(super) fn verdict(&self, limits: Limits, waker: &Waker) -> Verdict {
        let mut seen = self.lock();
        let deadline = seen.phase.deadline(limits);
        let left = deadline.map(|deadline| deadline.since(self.clock.now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Verdict::Leave;
        }
        if seen.is_asked && seen.phase.idle_since().is_some() {
            return Verdict::Leave;
        }
        let stays_after_all = std::mem::take(&mut seen.is_asked);
        if !seen.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            seen.waker = Some(waker.clone());
        }
        drop(seen);
        if stays_after_all {
            self.rested.notify_one();
        }
        Verdict::Stay { until: deadline }
    }

    /// The clock that its moments are of.
    pub(super) const fn clock(&self) -> Clock {
        self.clock
    }

    /// Since when it is idle, if it is.
    pub(super) fn idle_since(&self) -> Option<Moment> {
        self.lock().phase.idle_since()
    }

    /// Whether it was asked to leave and has not yet answered.
    pub(super) fn is_asked(&self) -> bool {
        self.lock().is_asked
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

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
pub(super) struct Watched {
    pub(super) stream: TcpStream,
    pub(super) watch: Arc<Watch>,
}

impl Watched {
    fn written(&self, written: &Poll<io::Result<usize>>) {
        if matches!(written, Poll::Ready(Ok(count)) if *count > 0) {
            self.watch.note(Event::BytesWritten);
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.watch.note(Event::BytesRead);
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.written(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.watch.note(Event::Flushed);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// An answer's body, which tells when hyper has taken the last of it.
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
        Pin::new(&mut self.body).poll_frame(cx)
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
