//! Carries a file from where it comes to whoever has asked for it, a piece at a time.
//!
//! A task of its own holds the file's connection and its place among those under way, and gives both back when
//! the file is through, its time is over, or nobody takes it: neither a slow sender nor a slow receiver keeps
//! them. A file that breaks off is an answer that breaks off, never one that looks whole.

use std::io;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::task::TaskTracker;

use super::fetch::{Error, Opened};
use crate::telemetry::chain::Chain;

/// Pieces that wait to be taken; a piece is what one read of the connection gives, 400 KiB at most.
/// Source: hyper 1.12, `proto/h1/io.rs`, `DEFAULT_MAX_BUFFER_SIZE`.
const PIECES_MAX: usize = 1;

/// How long whoever has asked may take none of it.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);

/// A part of an answer.
enum Piece {
    Bytes(Bytes),
    End,
}

/// Begins to carry a file, for so long at most; gives the body of the answer.
pub fn carry(
    opened: Opened,
    place: OwnedSemaphorePermit,
    within: Duration,
    tasks: &TaskTracker,
) -> Body {
    let (sender, receiver) = mpsc::channel(PIECES_MAX);
    tasks.spawn(async move {
        let _place = place;
        let ended = tokio::select! {
            () = sender.closed() => return,
            ended = tokio::time::timeout(within, pass_on(opened, &sender)) => ended,
        };
        let error = match ended {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(_) => Error::Late(within),
        };
        tracing::debug!(error = %Chain(&error), "a file broke off on its way");
    });
    Body::from_stream(futures::stream::unfold(Some(receiver), next))
}

async fn pass_on(mut opened: Opened, sender: &mpsc::Sender<Piece>) -> Result<(), Error> {
    loop {
        let piece = opened.next().await?;
        let is_last = piece.is_none();
        let sent = sender.send(piece.map_or(Piece::End, Piece::Bytes));
        match tokio::time::timeout(TAKEN_WITHIN, sent).await {
            Ok(Ok(())) if !is_last => {}
            // It is through, or nobody wants the rest.
            Ok(Ok(()) | Err(_)) => return Ok(()),
            Err(_) => return Err(Error::Late(TAKEN_WITHIN)),
        }
    }
}

type WaitingPieces = Option<mpsc::Receiver<Piece>>;

/// What follows in the body; it is whole only if its end was said.
async fn next(waiting: WaitingPieces) -> Option<(io::Result<Bytes>, WaitingPieces)> {
    let mut receiver = waiting?;
    match receiver.recv().await {
        Some(Piece::Bytes(bytes)) => Some((Ok(bytes), Some(receiver))),
        Some(Piece::End) => None,
        None => Some((Err(io::ErrorKind::UnexpectedEof.into()), None)),
    }
}
