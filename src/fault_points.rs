//! Places at which a test kills the process, to see what is left on disk and at Twilio.
//!
//! A place is a [`Point`] between two steps of which the first has had its effect. Nothing is decided
//! here: the process dies at the n-th time it passes the point that it was armed with, without
//! unwinding, flushing or saying goodbye. In release builds there are no points at all: [`hit`] is
//! empty and nothing can be armed. No time, I/O or secret enters.

/// A place between two steps.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Point {
    /// The queue's transaction is complete and not committed yet.
    BeforeCommit,
    /// The queue's transaction is committed, and nobody knows yet.
    Committed,
    /// What a webhook said is stored, the request not answered yet.
    WebhookStored,
    /// Twilio has added the bot, the join is not acknowledged yet.
    BotAdded,
    /// What the socket said is stored, the watermark not raised yet.
    EventsStored,
    /// What a catch-up read found is stored, the watermark not raised yet.
    CatchUpStored,
    /// Other messages were taken along with a turn, the agent was not asked yet.
    MessagesAbsorbed,
    /// The agent has answered, the answer is not stored yet.
    AgentAnswered,
    /// Answer and end of the turn are stored.
    TurnSettled,
    /// A reply went out over the socket, its job is not acknowledged yet.
    SentBySocket,
    /// A reply went out over REST, its job is not acknowledged yet.
    SentByRest,
    /// A reply was found in the conversation, its job is not acknowledged yet.
    ReplyFound,
    /// A reply's job is acknowledged.
    SendSettled,
    /// A store of an earlier format is copied, and the copy has not got its name yet.
    CopyWritten,
    /// The copy has its name, the store its earlier format still.
    CopyKept,
    /// The store has the newest format, which is not committed yet.
    FormatChanged,
    /// The store that a restored one replaces has its second name, its place not been taken yet.
    ReplacedKept,
    /// A restored store has its place, which is not sure to last yet.
    RestoredPlaced,
}

impl Point {
    /// All points.
    pub const ALL: [Self; 18] = [
        Self::BeforeCommit,
        Self::Committed,
        Self::WebhookStored,
        Self::BotAdded,
        Self::EventsStored,
        Self::CatchUpStored,
        Self::MessagesAbsorbed,
        Self::AgentAnswered,
        Self::TurnSettled,
        Self::SentBySocket,
        Self::SentByRest,
        Self::ReplyFound,
        Self::SendSettled,
        Self::CopyWritten,
        Self::CopyKept,
        Self::FormatChanged,
        Self::ReplacedKept,
        Self::RestoredPlaced,
    ];

    /// Its name in orders.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BeforeCommit => "before_commit",
            Self::Committed => "committed",
            Self::WebhookStored => "webhook_stored",
            Self::BotAdded => "bot_added",
            Self::EventsStored => "events_stored",
            Self::CatchUpStored => "catch_up_stored",
            Self::MessagesAbsorbed => "messages_absorbed",
            Self::AgentAnswered => "agent_answered",
            Self::TurnSettled => "turn_settled",
            Self::SentBySocket => "sent_by_socket",
            Self::SentByRest => "sent_by_rest",
            Self::ReplyFound => "reply_found",
            Self::SendSettled => "send_settled",
            Self::CopyWritten => "copy_written",
            Self::CopyKept => "copy_kept",
            Self::FormatChanged => "format_changed",
            Self::ReplacedKept => "replaced_kept",
            Self::RestoredPlaced => "restored_placed",
        }
    }
}

#[cfg(debug_assertions)]
pub use self::armed::{Error, VARIABLE, arm, hit};

/// Does nothing: release builds have no fault points.
#[cfg(not(debug_assertions))]
#[inline]
pub const fn hit(_point: Point) {}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::Point;

    /// The environment variable that holds the order.
    pub const VARIABLE: &str = "TEST_FAULT_POINT";

    static ARMED: OnceLock<Armed> = OnceLock::new();

    #[derive(Debug)]
    struct Armed {
        point: Point,
        left: AtomicU32,
    }

    /// Says why an order cannot be followed.
    #[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
    pub enum Error {
        /// There is no such point, or no number from 1 behind it.
        #[error("a fault point's order is <point>:<number from 1>")]
        Order,
        /// Another order was given before.
        #[error("a fault point is armed already")]
        Armed,
    }

    /// Arms the process: `name:n` kills it when it passes that point for the n-th time.
    ///
    /// # Errors
    ///
    /// If the order is not of this form, or a second one.
    pub fn arm(order: &str) -> Result<(), Error> {
        let (point, nth) = parse(order).ok_or(Error::Order)?;
        ARMED.set(Armed { point, left: AtomicU32::new(nth) }).map_err(|_| Error::Armed)
    }

    /// Passes a point; does not return if the process was armed to die here now.
    #[inline]
    pub fn hit(point: Point) {
        let armed = ARMED.get().filter(|armed| armed.point == point);
        if armed.is_some_and(|armed| armed.left.fetch_sub(1, Ordering::SeqCst) == 1) {
            std::process::abort();
        }
    }

    fn parse(order: &str) -> Option<(Point, u32)> {
        let (name, nth) = order.split_once(':')?;
        let point = Point::ALL.into_iter().find(|point| point.as_str() == name)?;
        Some((point, nth.parse().ok().filter(|nth| *nth > 0)?))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn an_order_names_a_point_and_counts_from_one() {
            for point in Point::ALL {
                assert_eq!(parse(&format!("{}:3", point.as_str())), Some((point, 3)));
            }
            for order in ["", "committed", "committed:0", "committed:x", "nowhere:1"] {
                assert_eq!(arm(order), Err(Error::Order), "{order}");
            }
        }
    }
}
