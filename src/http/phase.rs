//! Where a connection is with its request, and how long it may stay there. Pure.
//!
//! A client that is slow with a request's head or body, or does not take its answer, holds a place that
//! others need; one that keeps a connection for its next request is welcome for long. hyper knows one
//! time for heads and idle connections, and none for the rest, so they are told apart here, by what is
//! seen of the connection from outside:
//!
//! | | bytes read | head read | body awaited | body read | part made | answer made | bytes written | flushed |
//! | --- | --- | --- | --- | --- | --- | --- | --- | --- |
//! | `Head` | | `Answering` | | | | | | |
//! | `Answering` | | | `Body` | | `Streaming` | `Sending` | | |
//! | `Body` | | | | `Answering` | `Streaming` | `Sending` | | |
//! | `Streaming` | | | | | | `Sending` | `Streaming`, anew | `Answering` |
//! | `Sending` | | `Answering` | | | | | `Sending`, anew | `Idle` |
//! | `Idle` | `Head` | `Answering` | | | | | | |
//!
//! An empty cell changes nothing. Bytes that are read while a request is answered may be its body's
//! or the next head's, so a head whose beginning came so counts from its next byte.

use std::time::Duration;

use super::crowd::Rest;
use crate::clock::Moment;

/// How long each phase may last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Limits {
    /// How long a head may take in all.
    pub(super) header_read: Duration,
    /// How long a body may take in all.
    pub(super) body_read: Duration,
    /// How long a client may take none of its answer.
    pub(super) write: Duration,
    /// How long a connection may wait for its next request.
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
    /// A request's handler waits for the rest of its body.
    Body {
        /// When that began.
        since: Moment,
    },
    /// A part of an answer is ready and the client takes it; the rest is still to come.
    Streaming {
        /// When the client last took some of it.
        since: Moment,
    },
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
    /// A request's handler asked for a body that is not all there.
    BodyAwaited,
    /// A request's body is complete, or nobody wants the rest.
    BodyRead,
    /// A part of an answer is handed over for sending, and not its last.
    PartMade,
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
            (Self::Head { .. } | Self::Sending { .. } | Self::Idle { .. }, Event::HeadRead)
            | (Self::Body { .. }, Event::BodyRead) => Self::Answering,
            (Self::Answering, Event::BodyAwaited) => Self::Body { since: now },
            (Self::Answering | Self::Body { .. }, Event::PartMade)
            | (Self::Streaming { .. }, Event::BytesWritten) => Self::Streaming { since: now },
            // What follows is the handler's to make.
            (Self::Streaming { .. }, Event::Flushed) => Self::Answering,
            (Self::Answering | Self::Body { .. } | Self::Streaming { .. }, Event::AnswerMade)
            | (Self::Sending { .. }, Event::BytesWritten) => Self::Sending { since: now },
            (Self::Sending { .. }, Event::Flushed) => Self::Idle { since: now },
            (
                Self::Head { .. },
                Event::BytesRead
                | Event::BodyAwaited
                | Event::BodyRead
                | Event::PartMade
                | Event::AnswerMade
                | Event::BytesWritten
                | Event::Flushed,
            )
            | (
                Self::Answering,
                Event::BytesRead
                | Event::HeadRead
                | Event::BodyRead
                | Event::BytesWritten
                | Event::Flushed,
            )
            | (
                Self::Body { .. },
                Event::BytesRead
                | Event::HeadRead
                | Event::BodyAwaited
                | Event::BytesWritten
                | Event::Flushed,
            )
            | (
                Self::Streaming { .. },
                Event::BytesRead
                | Event::HeadRead
                | Event::BodyAwaited
                | Event::BodyRead
                | Event::PartMade,
            )
            | (
                Self::Sending { .. },
                Event::BytesRead
                | Event::BodyAwaited
                | Event::BodyRead
                | Event::PartMade
                | Event::AnswerMade,
            )
            | (
                Self::Idle { .. },
                Event::BodyAwaited
                | Event::BodyRead
                | Event::PartMade
                | Event::AnswerMade
                | Event::BytesWritten
                | Event::Flushed,
            ) => self,
        }
    }

    /// Whether a head that is complete now has come together with the request before it: nothing was read
    /// since that one was answered.
    pub(super) const fn is_pipelined(self) -> bool {
        match self {
            Self::Sending { .. } | Self::Idle { .. } => true,
            Self::Head { .. } | Self::Answering | Self::Body { .. } | Self::Streaming { .. } => {
                false
            }
        }
    }

    /// Whether the client has not taken its answer yet.
    pub(super) const fn is_sending(self) -> bool {
        matches!(self, Self::Sending { .. })
    }

    /// When the connection is to be ended if nothing is seen of it until then.
    ///
    /// `None` while a request is answered.
    pub(super) fn deadline(self, limits: Limits) -> Option<Moment> {
        match self {
            Self::Head { since } => Some(since + limits.header_read),
            Self::Body { since } => Some(since + limits.body_read),
            Self::Streaming { since } | Self::Sending { since } => Some(since + limits.write),
            Self::Idle { since } => Some(since + limits.idle),
            Self::Answering => None,
        }
    }

    /// What the connection waits for, so that it can make room for another; `None` while a request is
    /// at work.
    pub(super) const fn rest(self) -> Option<Rest> {
        match self {
            Self::Idle { since } => Some(Rest::Idle(since)),
            Self::Head { since }
            | Self::Body { since }
            | Self::Streaming { since }
            | Self::Sending { since } => Some(Rest::Midway(since)),
            Self::Answering => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        header_read: Duration::from_secs(10),
        body_read: Duration::from_secs(5),
        write: Duration::from_secs(7),
        idle: Duration::from_secs(620),
    };

    #[test]
    fn every_event_in_every_phase_leads_where_the_table_says() {
        let then = Moment::ORIGIN;
        let now = then + Duration::from_secs(1);
        let [head, answering, body, streaming, sending, idle] = [
            Phase::Head { since: then },
            Phase::Answering,
            Phase::Body { since: then },
            Phase::Streaming { since: then },
            Phase::Sending { since: then },
            Phase::Idle { since: then },
        ];
        let (head_now, body_now) = (Phase::Head { since: now }, Phase::Body { since: now });
        let streaming_now = Phase::Streaming { since: now };
        let (sending_now, idle_now) = (Phase::Sending { since: now }, Phase::Idle { since: now });
        let events = [
            Event::BytesRead,
            Event::HeadRead,
            Event::BodyAwaited,
            Event::BodyRead,
            Event::PartMade,
            Event::AnswerMade,
            Event::BytesWritten,
            Event::Flushed,
        ];
        for (phase, after) in [
            (head, [head, answering, head, head, head, head, head, head]),
            (
                answering,
                [
                    answering,
                    answering,
                    body_now,
                    answering,
                    streaming_now,
                    sending_now,
                    answering,
                    answering,
                ],
            ),
            (body, [body, body, body, answering, streaming_now, sending_now, body, body]),
            (
                streaming,
                [
                    streaming,
                    streaming,
                    streaming,
                    streaming,
                    streaming,
                    sending_now,
                    streaming_now,
                    answering,
                ],
            ),
            (
                sending,
                [sending, answering, sending, sending, sending, sending, sending_now, idle_now],
            ),
            (idle, [head_now, answering, idle, idle, idle, idle, idle, idle]),
        ] {
            for (event, after) in events.into_iter().zip(after) {
                assert_eq!(phase.after(event, now), after, "{phase:?} {event:?}");
            }
        }
    }

    #[test]
    fn every_phase_but_the_work_itself_has_its_time_and_makes_room() {
        let since = Moment::ORIGIN;
        for (phase, seconds, rest) in [
            (Phase::Head { since }, Some(10), Some(Rest::Midway(since))),
            (Phase::Body { since }, Some(5), Some(Rest::Midway(since))),
            (Phase::Answering, None, None),
            (Phase::Streaming { since }, Some(7), Some(Rest::Midway(since))),
            (Phase::Sending { since }, Some(7), Some(Rest::Midway(since))),
            (Phase::Idle { since }, Some(620), Some(Rest::Idle(since))),
        ] {
            let deadline = seconds.map(|seconds| since + Duration::from_secs(seconds));
            assert_eq!(phase.deadline(LIMITS), deadline, "{phase:?}");
            assert_eq!(phase.rest(), rest, "{phase:?}");
        }
    }

    #[test]
    fn a_head_that_needed_no_more_bytes_came_with_the_one_before_it() {
        let now = Moment::ORIGIN;
        let answered = [Event::HeadRead, Event::AnswerMade, Event::BytesWritten, Event::Flushed];
        let mut phase = Phase::Head { since: now };
        for event in answered {
            assert_eq!(phase.is_pipelined(), matches!(phase, Phase::Sending { .. }), "{phase:?}");
            phase = phase.after(event, now);
        }
        assert!(phase.is_pipelined());
        assert!(!phase.after(Event::BytesRead, now).is_pipelined());
    }

    #[test]
    fn a_head_or_a_body_that_drips_is_not_given_more_time() {
        let opened = Moment::ORIGIN;
        let drip = |mut phase: Phase| {
            for second in 1..=4 {
                phase = phase.after(Event::BytesRead, opened + Duration::from_secs(second));
            }
            phase.deadline(LIMITS)
        };
        let head = drip(Phase::Idle { since: opened });
        assert_eq!(head, Some(opened + Duration::from_secs(11)));
        let body = drip(Phase::Body { since: opened });
        assert_eq!(body, Some(opened + Duration::from_secs(5)));
    }
}
