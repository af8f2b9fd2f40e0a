//! Reads the conversations of which nobody can have told everything.
//!
//! Which ones is decided in [`policy::reading`](crate::channels::conversations::policy::reading); here a socket that
//! is just being opened is waited for a moment, since what it tells need not be read, and a conversation
//! that cannot be read does not hold up the others.

use std::time::Duration;

use super::readable::Readable;
use super::{Duty, Error, Reconciler};
use crate::channels;
use crate::channels::conversations::policy::reading::{
    Facts, ReadDecision, THAT_SECOND_MAX, judge,
};
use crate::channels::conversations::seats::PoolMember;
use crate::clock::Timestamp;
use crate::telemetry::chain::Chain;
use crate::twilio::SKEW_MAX;
use crate::twilio::rest;

/// How many reads may fail before a sweep reads no more: Twilio is down or has enough of us.
const READS_FAILED_MAX: u32 = 5;
/// How long a sweep waits at most before its next read where Twilio asks it to.
const READ_WAIT_MAX: Duration = Duration::from_secs(60);
/// How long sockets that are just being opened are waited for, and how often they are looked at.
const OPENING_MAX: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What came of the reads that failed.
#[derive(Debug, Default)]
pub(crate) struct FailedReads {
    /// The first error that another sweep may not meet.
    pub(crate) error: Option<rest::Error>,
    failed: u32,
}

impl FailedReads {
    /// Whether so many reads have failed that the rest is left to another sweep.
    const fn is_enough(&self) -> bool {
        self.failed >= READS_FAILED_MAX
    }

    /// Takes note of a read that failed; says how long to wait before the next one.
    fn note(&mut self, error: rest::Error) -> Duration {
        let pause = error.retry_after().unwrap_or_default().min(READ_WAIT_MAX);
        // What fails for the conversation's own sake fails another time too.
        let is_its_own = match &error {
            rest::Error::Refused { status, .. } => matches!(status, 400 | 404 | 409 | 410 | 422),
            rest::Error::Unknown { source, .. } => {
                matches!(source, rest::FailureCause::TooLarge { .. })
            }
            rest::Error::Foreign { .. } | rest::Error::NotSent { .. } => false,
        };
        if !is_its_own {
            self.failed += 1;
            self.error.get_or_insert(error);
        }
        pause
    }
}

impl Reconciler {
    /// Reads those of the conversations of which neither a socket nor an earlier read can have told
    /// everything; `since` is when the sweep before began.
    ///
    /// # Errors
    ///
    /// If the store failed. A read that failed is in what is returned.
    pub(crate) async fn read_all(
        &self,
        readable: Vec<Readable>,
        since: Timestamp,
    ) -> Result<FailedReads, Error> {
        let mut unread = FailedReads::default();
        if self.duty == Duty::Leave || readable.is_empty() {
            return Ok(unread);
        }
        self.sockets_opened().await;
        let mut perhaps = Vec::new();
        for of in readable {
            match self.judge(&of, since) {
                ReadDecision::Skip => {}
                ReadDecision::Perhaps => perhaps.push(of),
                ReadDecision::Read => self.read(&of, &mut unread).await?,
            }
        }
        perhaps.sort_by_key(|of| std::cmp::Reverse(of.updated));
        for of in perhaps.into_iter().take(THAT_SECOND_MAX) {
            // The socket may have told more by now.
            if self.judge(&of, since) != ReadDecision::Skip {
                self.read(&of, &mut unread).await?;
            }
        }
        Ok(unread)
    }

    async fn sockets_opened(&self) {
        let clock = self.arrivals.clock();
        let until = clock.now() + OPENING_MAX;
        while clock.now() < until && self.seats.members().iter().any(PoolMember::is_opening) {
            clock.sleep(LOOK_EVERY).await;
        }
    }

    fn judge(&self, of: &Readable, since: Timestamp) -> ReadDecision {
        let &Readable { conversation, updated, line } = of;
        let line = self.seats.members().get(line);
        let is_heard = self.seats.hears(conversation);
        let told = updated.filter(|_| is_heard);
        judge(&Facts {
            is_deaf: line.is_some_and(PoolMember::is_deaf),
            told: told.map(|updated| self.watermarks.told(conversation, updated)),
            has_changed: updated.is_none_or(|at| at >= since),
        })
    }

    /// Reads a conversation; if Twilio does not give it, the others are read all the same.
    async fn read(&self, of: &Readable, unread: &mut FailedReads) -> Result<(), Error> {
        if unread.is_enough() {
            return Ok(());
        }
        let conversation = of.conversation;
        match self.catch_up.read(conversation, Some(&self.pace)).await {
            Ok(_) => {
                // Younger changes may have others of their second after them.
                let long_ago = self.arrivals.clock().wall().before(SKEW_MAX);
                if let Some(updated) = of.updated.filter(|updated| *updated < long_ago) {
                    self.watermarks.read(conversation, updated);
                }
            }
            Err(channels::Error::Rest(error)) => {
                tracing::warn!(conversation_sid = %conversation, error = %Chain(&error),
                    "conversation could not be read; the sweep goes on with the others");
                self.arrivals.clock().sleep(unread.note(error)).await;
            }
            Err(error @ channels::Error::Store(_)) => return Err(Error::CatchUp(error)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twilio::rest::Op;

    #[test]
    fn a_read_that_fails_for_its_conversations_own_sake_asks_for_no_other_sweep() {
        let mut unread = FailedReads::default();
        for error in [refused(404, None), too_large()] {
            assert_eq!(unread.note(error), Duration::ZERO);
        }
        assert!(unread.error.is_none() && unread.failed == 0);
    }

    #[test]
    fn the_first_error_is_kept_and_the_wait_is_honoured_within_a_bound() {
        let mut unread = FailedReads::default();
        let (asked, hour) = (Duration::from_secs(7), Duration::from_secs(3600));
        assert_eq!(unread.note(refused(429, Some(asked))), asked);
        assert_eq!(unread.note(refused(503, Some(hour))), READ_WAIT_MAX);
        assert_eq!(unread.error.as_ref().and_then(rest::Error::status), Some(429));
        assert!(!unread.is_enough());
        for _ in 2..READS_FAILED_MAX {
            assert_eq!(unread.note(refused(500, None)), Duration::ZERO);
        }
        assert!(unread.is_enough());
    }

    const fn refused(status: u16, retry_after: Option<Duration>) -> rest::Error {
        let (op, code, request_id) = (Op::ListMessages, None, None);
        rest::Error::Refused { op, status, code, retry_after, request_id }
    }

    const fn too_large() -> rest::Error {
        rest::Error::Unknown {
            op: Op::ListMessages,
            source: rest::FailureCause::TooLarge { max: 1 },
        }
    }
}
