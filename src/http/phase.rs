//! Where a connection is between two requests, and how long it may stay there. Pure.
//!
//! A client that is slow with a request's head holds a place that others need; one that keeps a
//! connection for its next request is welcome for long. hyper bounds both by one time, so they are
//! told apart here, by what is seen of the connection from outside:
//!
//! | | bytes read | head read | answer made | bytes written | flushed |
//! | --- | --- | --- | --- | --- | --- |
//! | `Head` | | `Answering` | | | |
//! | `Answering` | | | `Sending` | | |
//! | `Sending` | | `Answering` | | `Sending`, anew | `Idle` |
//! | `Idle` | `Head` | `Answering` | | | |
//!
//! An empty cell changes nothing. Bytes that are read while a request is answered may be its body's
//! or the next head's, so a head whose beginning came so counts from its next byte.

use std::time::Duration;

use crate::clock::Moment;

/// How long each phase may last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Limits {
    /// How long a head may take.
    pub(super) header_read: Duration,
    /// How long a connection may wait for its next request, or for its client to take the answer.
    pub(super) idle: Duration,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// A request's head is awaited: from the opening, or from the first byte of a later one.
    Head {
        /// When that began.
        since: Moment,
    },
    /// A request is with its handler, whose own limits hold.
    Answering,
    /// An answer is ready and the client takes it.
    Sending {
        /// When the client last took some of it.
        since: Moment,
    },
    /// Everything is answered, and nothing of the next request has come.
    Idle {
        /// When the last answer was sent.
        since: Moment,
    },
}

/// What is seen of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Event {
    /// Bytes came from the client.
    BytesRead,
    /// A request's head is complete.
    HeadRead,
    /// The last of an answer is handed over for sending.
    AnswerMade,
    /// The system took bytes for the client.
    BytesWritten,
    /// Everything that was to be sent is sent.
    Flushed,
}

impl Phase {
    /// The phase after an event.
    pub(super) const fn after(self, event: Event, now: Moment) -> Self {
        match (self, event) {
            (Self::Idle { .. }, Event::BytesRead) => Self::Head { since: now },
            (Self::Head { .. } | Self::Sending { .. } | Self::Idle { .. }, Event::HeadRead) => {
                Self::Answering
            }
            (Self::Answering, Event::AnswerMade) | (Self::Sending { .. }, Event::BytesWritten) => {
                Self::Sending { since: now }
            }
            (Self::Sending { .. }, Event::Flushed) => Self::Idle { since: now },
            (
                Self::Head { .. },
                Event::BytesRead | Event::AnswerMade | Event::BytesWritten | Event::Flushed,
            )
            | (
                Self::Answering,
                Event::BytesRead | Event::HeadRead | Event::BytesWritten | Event::Flushed,
            )
            | (Self::Sending { .. }, Event::BytesRead | Event::AnswerMade)
            | (Self::Idle { .. }, Event::AnswerMade | Event::BytesWritten | Event::Flushed) => self,
        }
    }

    /// When the connection is to be ended if nothing is seen of it until then.
    ///
    /// `None` while a request is answered.
    pub(super) fn deadline(self, limits: Limits) -> Option<Moment> {
        match self {
            Self::Head { since } => Some(since + limits.header_read),
            Self::Sending { since } | Self::Idle { since } => Some(since + limits.idle),
            Self::Answering => None,
        }
    }

    /// Since when the connection is idle: the longest idle one makes room for another.
    pub(super) const fn idle_since(self) -> Option<Moment> {
        match self {
            Self::Idle { since } => Some(since),
            Self::Head { .. } | Self::Answering | Self::Sending { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits =
        Limits { header_read: Duration::from_secs(10), idle: Duration::from_secs(620) };

    #[test]
    fn every_event_in_every_phase_leads_where_the_table_says() {
        let then = Moment::ORIGIN;
        let now = then + Duration::from_secs(1);
        let [head, answering, sending, idle] = [
            Phase::Head { since: then },
            Phase::Answering,
            Phase::Sending { since: then },
            Phase::Idle { since: then },
        ];
        let (head_now, sending_now) = (Phase::Head { since: now }, Phase::Sending { since: now });
        let idle_now = Phase::Idle { since: now };
        let events = [
            Event::BytesRead,
            Event::HeadRead,
            Event::AnswerMade,
            Event::BytesWritten,
            Event::Flushed,
        ];
        for (phase, after) in [
            (head, [head, answering, head, head, head]),
            (answering, [answering, answering, sending_now, answering, answering]),
            (sending, [sending, answering, sending, sending_now, idle_now]),
            (idle, [head_now, answering, idle, idle, idle]),
        ] {
            for (event, after) in events.into_iter().zip(after) {
                assert_eq!(phase.after(event, now), after, "{phase:?} {event:?}");
            }
        }
    }

    #[test]
    fn a_head_has_its_own_time_and_only_what_rests_makes_room() {
        let since = Moment::ORIGIN;
        for (phase, seconds, rests) in [
            (Phase::Head { since }, Some(10), false),
            (Phase::Answering, None, false),
            (Phase::Sending { since }, Some(620), false),
            (Phase::Idle { since }, Some(620), true),
        ] {
            let deadline = seconds.map(|seconds| since + Duration::from_secs(seconds));
            assert_eq!(phase.deadline(LIMITS), deadline, "{phase:?}");
            assert_eq!(phase.idle_since(), rests.then_some(since), "{phase:?}");
        }
    }

    #[test]
    fn a_head_that_drips_is_not_given_more_time() {
        let opened = Moment::ORIGIN;
        let mut phase = Phase::Idle { since: opened };
        for second in 1..=9 {
            phase = phase.after(Event::BytesRead, opened + Duration::from_secs(second));
        }
        assert_eq!(phase.deadline(LIMITS), Some(opened + Duration::from_secs(11)));
    }
}
