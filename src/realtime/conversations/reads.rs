//! The reads that the client makes for itself: which wait, how many run, when one is tried again.
//!
//! Decides order, concurrency and delay; never what an answer means. Pure. All of them are safe to
//! repeat, so they are repeated until they are answered or nobody wants them any more.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::clock::Moment;
use crate::realtime::twilsock::backoff::{Backoff, Random};
use crate::realtime::twilsock::requests::{Answer, RequestError};
use crate::twilio::sid::ConversationSid;

/// First and longest delay before a read is tried again.
const DELAYS: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(60));

/// What is read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Read {
    /// The server's configuration.
    Configuration,
    /// The map of the user's conversations.
    Channels,
    /// A page of the user's conversations.
    Listed {
        /// The token of the page.
        token: Option<String>,
    },
    /// Something of a seat.
    Seat {
        /// The conversation.
        conversation: ConversationSid,
        /// Which opening of the seat wanted it; the answer to an earlier one is thrown away.
        epoch: u32,
        /// What.
        part: Part,
    },
}

/// What is read of a seat.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// Its document.
    Document,
    /// Its list of messages.
    Messages,
    /// Messages after the last one delivered.
    Items,
    /// Its map of participants.
    Roster,
    /// The participants.
    RosterItems,
}

/// A read under way, with the number of failures before.
#[derive(Clone, Debug)]
pub struct ReadAttempt {
    /// What is read.
    pub read: Read,
    failures: u32,
}

/// What a read came to.
#[derive(Debug)]
pub enum ReadFinding {
    /// Here is the body.
    Body(bytes::Bytes),
    /// It does not exist, or not for us.
    Missing,
    /// It will be tried again.
    Again,
}

/// The book of reads.
#[derive(Debug)]
pub struct Reads {
    in_flight_max: usize,
    in_flight: usize,
    waiting: VecDeque<ReadAttempt>,
    delayed: BTreeMap<(Moment, u64), ReadAttempt>,
    sequence: u64,
}

impl Reads {
    /// An empty book.
    #[must_use]
    pub const fn new(in_flight_max: usize) -> Self {
        Self {
            in_flight_max,
            in_flight: 0,
            waiting: VecDeque::new(),
            delayed: BTreeMap::new(),
            sequence: 0,
        }
    }

    /// Wants a read.
    pub fn push(&mut self, read: Read) {
        self.waiting.push_back(ReadAttempt { read, failures: 0 });
    }

    /// Gives the next read to send; its result must come back through [`Reads::finished`].
    pub fn next_attempt(&mut self, now: Moment) -> Option<ReadAttempt> {
        while let Some(entry) = self.delayed.first_entry() {
            if entry.key().0 > now {
                break;
            }
            self.waiting.push_back(entry.remove());
        }
        if self.in_flight >= self.in_flight_max {
            return None;
        }
        let attempt = self.waiting.pop_front()?;
        self.in_flight += 1;
        Some(attempt)
    }

    /// Takes back a read that was not sent, because nobody wants it any more.
    pub fn unwanted(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Judges a result; what is to be tried again is kept here.
    pub fn finished(
        &mut self,
        now: Moment,
        attempt: &ReadAttempt,
        result: Result<Answer, RequestError>,
        random: &mut Random,
    ) -> ReadFinding {
        self.in_flight = self.in_flight.saturating_sub(1);
        match result {
            Ok(answer) => match answer.status {
                200..=299 => ReadFinding::Body(answer.body),
                403 | 404 | 410 => ReadFinding::Missing,
                _ => {
                    self.retry_later(now, attempt, answer.retry_after, random);
                    ReadFinding::Again
                }
            },
            Err(RequestError::Lost | RequestError::NotSent(_)) => {
                self.waiting.push_back(attempt.clone());
                ReadFinding::Again
            }
            Err(RequestError::TimedOut | RequestError::Transport { .. }) => {
                self.retry_later(now, attempt, None, random);
                ReadFinding::Again
            }
        }
    }

    /// Tries a read again after its delay.
    pub fn retry_later(
        &mut self,
        now: Moment,
        attempt: &ReadAttempt,
        at_least: Option<Duration>,
        random: &mut Random,
    ) {
        let mut backoff = Backoff::new(DELAYS.0, DELAYS.1);
        backoff.skip(attempt.failures);
        let delay = backoff.next_delay(random).max(at_least.unwrap_or_default().min(DELAYS.1));
        self.sequence += 1;
        let again = ReadAttempt { read: attempt.read.clone(), failures: attempt.failures + 1 };
        self.delayed.insert((now + delay, self.sequence), again);
    }

    /// Whether another read would be sent at once.
    #[must_use]
    pub fn has_capacity(&self) -> bool {
        self.waiting.len() + self.in_flight < self.in_flight_max
    }

    /// When [`Reads::next_attempt`] has something new.
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        let free = self.in_flight < self.in_flight_max;
        self.delayed.keys().next().map(|(at, _)| *at).filter(|_| free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_come_back_later_and_later_and_the_lost_at_once() {
        let mut random = Random::new(1);
        let mut reads = Reads::new(1);
        reads.push(Read::Configuration);
        reads.push(Read::Channels);
        let mut now = Moment::ORIGIN;
        let mut last = Duration::ZERO;
        let first = reads.next_attempt(now).unwrap();
        assert!(reads.next_attempt(now).is_none(), "one at a time");
        reads.finished(now, &first, Err(RequestError::Lost), &mut random);
        let channels = reads.next_attempt(now).unwrap();
        assert_eq!(channels.read, Read::Channels);
        assert!(matches!(
            reads.finished(now, &channels, answer(404), &mut random),
            ReadFinding::Missing
        ));
        for _ in 0..5 {
            let attempt = reads.next_attempt(now).unwrap();
            reads.finished(now, &attempt, answer(503), &mut random);
            let delay = reads.deadline().unwrap().since(now);
            assert!(delay > last, "{delay:?}");
            last = delay;
            now = now + delay;
        }
    }

    fn answer(status: u16) -> Result<Answer, RequestError> {
        Ok(Answer { status, retry_after: None, body: bytes::Bytes::new() })
    }
}
