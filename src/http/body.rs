//! Bodies of requests: how large they may be, how long they may take, how much of all of them is held
//! before anybody knows who sent them.
//!
//! A handler reads its body by [`read`], which counts against the listener's `Unverified` bytes until
//! the sender is known. Handlers that leave reading to axum have the listener's time for bodies all the
//! same, and whatever they say then, the answer is 408. Time enters through tokio's timers.

use std::error::Error as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{header, request};
use futures::StreamExt as _;
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::Sleep;

use super::phase::Event;
use super::unverified::{Hold, NoRoom, Unverified};
use super::watch::Watch;

/// Bytes of a body that every connection may hold; what is more counts against all of them. Twilio's
/// events have about a kilobyte.
const FREE_BYTES: usize = PIECE_BYTES;

/// What is allowed of one body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// How large it may be.
    pub bytes_max: usize,
    /// How long it may take in all, where the listener does not allow less.
    pub within: Duration,
}

/// Why a body was not read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BodyError {
    /// It is larger than allowed.
    #[error("the body is too large")]
    TooLarge,
    /// It took longer than allowed.
    #[error("the body took too long to arrive")]
    TooSlow,
    /// All requests together hold too much.
    #[error("too many requests have large bodies at once")]
    NoRoom,
    /// The sender broke off.
    #[error("the body broke off")]
    Broken,
}

/// A body that was read, of a sender who may be anybody.
#[derive(Debug, Default)]
pub struct Unproven {
    /// The whole body.
    pub bytes: Bytes,
    hold: Option<Hold>,
}

impl Unproven {
    /// Takes the body once it is known who sent it, so that it counts no more.
    #[must_use]
    pub fn proven(self) -> Bytes {
        drop(self.hold);
        self.bytes
    }
}

/// Reads a body within its bounds, whatever the length header says.
///
/// # Errors
///
/// See [`BodyError`].
///
/// # Cancel safety
///
/// Dropping the future loses what was read.
pub async fn read(
    head: &request::Parts,
    body: Body,
    limits: Limits,
) -> Result<Unproven, BodyError> {
    let announced = head.headers.get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let announced = announced.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    if announced.is_some_and(|length| length > limits.bytes_max) {
        return Err(BodyError::TooLarge);
    }
    let mut hold = head.extensions.get::<Unverified>().map(|all| all.hold(FREE_BYTES));
    let given_up = hold.as_ref().map(|hold| hold.given_up.clone());
    let reading =
        tokio::time::timeout(limits.within, collect(body, announced, limits.bytes_max, &mut hold));
    let given_up = async {
        match given_up {
            Some(given_up) => given_up.cancelled().await,
            None => std::future::pending().await,
        }
    };
    let bytes = tokio::select! {
        biased;
        read = reading => read.unwrap_or(Err(BodyError::TooSlow))?,
        () = given_up => return Err(BodyError::NoRoom),
    };
    Ok(Unproven { bytes, hold })
}

async fn collect(
    body: Body,
    announced: Option<usize>,
    bytes_max: usize,
    hold: &mut Option<Hold>,
) -> Result<Bytes, BodyError> {
    let mut chunks = body.into_data_stream();
    let mut pieces = Pieces::default();
    while let Some(chunk) = chunks.next().await {
        let chunk =
            chunk.map_err(
                |error| {
                    if is_slow(&error) { BodyError::TooSlow } else { BodyError::Broken }
                },
            )?;
        if pieces.bytes + chunk.len() > bytes_max {
            return Err(BodyError::TooLarge);
        }
        if pieces.bytes == 0 && announced == Some(chunk.len()) {
            return Ok(chunk);
        }
        pieces.add(&chunk, hold.as_mut()).await?;
    }
    Ok(pieces.whole())
}

/// A body on its way in, in pieces of one size, so that what one body gives back fits the next one.
///
/// The chunks themselves are parts of their connection's buffer, which is not kept for their sake.
#[derive(Debug, Default)]
struct Pieces {
    pieces: Vec<Vec<u8>>,
    bytes: usize,
}

/// Bytes of one piece.
const PIECE_BYTES: usize = 4 * 1024;

impl Pieces {
    /// Adds what came, and holds the room that it takes.
    async fn add(
        &mut self,
        mut chunk: &[u8],
        mut hold: Option<&mut Hold>,
    ) -> Result<(), BodyError> {
        self.bytes += chunk.len();
        while !chunk.is_empty() {
            let room = self.pieces.last().map_or(0, |last| PIECE_BYTES - last.len());
            let Some(last) = self.pieces.last_mut().filter(|_| room > 0) else {
                if let Some(hold) = &mut hold {
                    hold.take(PIECE_BYTES).await.map_err(|NoRoom| BodyError::NoRoom)?;
                }
                self.pieces.push(Vec::with_capacity(PIECE_BYTES));
                continue;
            };
            let (now, later) = chunk.split_at(room.min(chunk.len()));
            last.extend_from_slice(now);
            chunk = later;
        }
        Ok(())
    }

    fn whole(self) -> Bytes {
        let mut pieces = self.pieces.into_iter();
        match (pieces.next(), pieces.as_slice()) {
            (None, _) => Bytes::new(),
            (Some(only), []) => only.into(),
            (Some(first), _) => {
                let mut whole = Vec::with_capacity(self.bytes);
                whole.extend_from_slice(&first);
                pieces.for_each(|piece| whole.extend_from_slice(&piece));
                whole.into()
            }
        }
    }
}

/// Whether a body was ended for the time that it took.
fn is_slow(error: &axum::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<BodyError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A body on its way in, which tells when somebody waits for it, and ends it when it takes too long.
pub(super) struct Arriving {
    pub(super) body: Incoming,
    pub(super) watch: Arc<Watch>,
    pub(super) within: Duration,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Arriving {
    /// Watches a body that may take so long from when it is asked for.
    pub(super) const fn new(body: Incoming, watch: Arc<Watch>, within: Duration) -> Self {
        Self { body, watch, within, alarm: None }
    }

    /// Waits for the rest, but not for ever.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let (watch, within) = (&self.watch, self.within);
        let alarm = self.alarm.get_or_insert_with(|| {
            watch.note(Event::BodyAwaited);
            Box::pin(tokio::time::sleep(within))
        });
        alarm.as_mut().poll(cx).map(|()| {
            watch.note_slow();
            Some(Err(axum::Error::new(BodyError::TooSlow)))
        })
    }
}

impl hyper::body::Body for Arriving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(frame.map(|frame| frame.map_err(axum::Error::new))),
            Poll::Pending => self.wait(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Arriving {
    /// Whoever read it has it all, or wants no more.
    fn drop(&mut self) {
        self.watch.note(Event::BodyRead);
    }
}
