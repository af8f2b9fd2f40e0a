//! The journal: what happened to each message, stage by stage, for people and tests to watch.
//!
//! The last records stay in a ring of fixed size; new ones go to whoever subscribed. It is a view
//! of the work, never its memory: nothing is decided by it, a slow subscriber loses records, and a
//! restart empties it. Time enters with each record. It holds sids and closed words only, no
//! address and no text. What is kept of it on disk is [`timeline`](crate::timeline)'s.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::broadcast;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::thread::{CauseClass, MessageId, SkipReason, ThreadId};

/// One step of one message's way, or of its conversation's where no message is known yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Record {
    /// When it happened.
    pub at: Timestamp,
    /// The thread it happened in.
    #[serde(rename = "conversation")]
    pub thread: ThreadId,
    /// The inbound message it happened to, where one is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageId>,
    /// The reply that it happened to, by the id that never changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_id: Option<Uuid>,
    /// What happened.
    #[serde(flatten)]
    pub stage: Stage,
}

/// The steps of a message's way.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Stage {
    /// A signed webhook arrived.
    WebhookReceived {
        /// Twilio's name of the event.
        event: &'static str,
    },
    /// The webhook was answered after its intent was stored.
    WebhookAcknowledged,
    /// The bot is a participant of the conversation.
    Joined {
        /// How it came to be one.
        how: How,
    },
    /// The socket reported the conversation as joined.
    SocketJoined,
    /// The bot left the conversation to free its seat, or somebody removed it.
    Left {
        /// Why.
        reason: LeaveReason,
    },
    /// The message was seen for the first time.
    MessageSeen {
        /// The door it came in by.
        door: Door,
    },
    /// The message, known already, was told of by this door too.
    MessageAgain {
        /// The door.
        door: Door,
    },
    /// The agent was given the turn.
    TurnStarted,
    /// A step failed and is done again.
    AttemptFailed {
        /// The queue whose job it is.
        queue: &'static str,
        /// Which attempt it was, from 1.
        attempt: u32,
        /// Why it failed.
        reason: CauseClass,
        /// Twilio's error code, where there was one.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<u32>,
        /// When the next one is due.
        retry_in_ms: u64,
    },
    /// A step waits for what it needs, which is away; told at its first time alone.
    Waits {
        /// The queue whose job it is.
        queue: &'static str,
    },
    /// The agent answered.
    AgentAnswered {
        /// How many replies it gave; zero means that it had nothing to say.
        replies: usize,
    },
    /// A reply is on disk, and will be sent.
    ReplyStored,
    /// A reply that may have been sent was looked for.
    ReplyLookedFor {
        /// Whether it was there.
        found: bool,
    },
    /// Twilio took a reply.
    ReplySent {
        /// The road it went by.
        via: Via,
        /// The reply's own sid, where Twilio told it.
        #[serde(skip_serializing_if = "Option::is_none")]
        reply: Option<MessageId>,
    },
    /// A reply was seen in the conversation.
    ReplyVisible {
        /// The reply's own sid.
        reply: MessageId,
    },
    /// Twilio told how a reply fares.
    ReplyFares {
        /// Twilio's word.
        status: &'static str,
        /// Why it failed, if it did.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<u32>,
    },
    /// A reply did not arrive, after Twilio had taken it.
    ReplyFell {
        /// Twilio's error code, where there was one.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<u32>,
        /// Whether it is sent once more.
        again: bool,
    },
    /// The message was answered in a turn with others.
    Bundled {
        /// The turn: its last message.
        turn: MessageId,
    },
    /// The message waits until a person gives the conversation back.
    Held,
    /// The agent gave the thread to a person.
    HandedOver,
    /// The agent ended the thread.
    Ended,
    /// The message gets no turn.
    Skipped {
        /// Why not.
        reason: SkipReason,
    },
    /// An operator did something about it.
    Operator {
        /// What.
        act: OperatorAct,
    },
    /// A step failed for good and lies with the dead letters.
    Dead {
        /// The queue whose job it was.
        queue: &'static str,
        /// Why.
        reason: CauseClass,
        /// Twilio's error code, where there was one.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<u32>,
    },
}

impl Stage {
    /// The stage's word, the same as in its JSON.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::WebhookReceived { .. } => "webhook_received",
            Self::WebhookAcknowledged => "webhook_acknowledged",
            Self::Joined { .. } => "joined",
            Self::SocketJoined => "socket_joined",
            Self::Left { .. } => "left",
            Self::MessageSeen { .. } => "message_seen",
            Self::MessageAgain { .. } => "message_again",
            Self::TurnStarted => "turn_started",
            Self::AttemptFailed { .. } => "attempt_failed",
            Self::Waits { .. } => "waits",
            Self::AgentAnswered { .. } => "agent_answered",
            Self::ReplyStored => "reply_stored",
            Self::ReplyLookedFor { .. } => "reply_looked_for",
            Self::ReplySent { .. } => "reply_sent",
            Self::ReplyVisible { .. } => "reply_visible",
            Self::ReplyFares { .. } => "reply_fares",
            Self::ReplyFell { .. } => "reply_fell",
            Self::Bundled { .. } => "bundled",
            Self::Held => "held",
            Self::HandedOver => "handed_over",
            Self::Ended => "ended",
            Self::Operator { .. } => "operator",
            Self::Skipped { .. } => "skipped",
            Self::Dead { .. } => "dead",
        }
    }
}

/// How the bot came to be a participant.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// We added it.
    Added,
    /// It was one already.
    Already,
}

/// Why the bot is no participant any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaveReason {
    /// Somebody has removed it.
    Removed,
    /// The conversation is closed.
    Closed,
    /// Nobody has written for long.
    Idle,
}

impl LeaveReason {
    /// The reason's word, the same as in its JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Closed => "closed",
            Self::Idle => "idle",
        }
    }
}

/// What an operator did.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatorAct {
    /// Asked to see what was said.
    Revealed,
    /// Let a dead letter go out again.
    Redrove,
    /// Dropped a dead letter.
    Dropped,
    /// Gave the thread to a person.
    Paused,
    /// Gave the thread back to the bot.
    Resumed,
}

impl OperatorAct {
    /// The act's word, the same as in its JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revealed => "revealed",
            Self::Redrove => "redrove",
            Self::Dropped => "dropped",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
        }
    }
}

/// The door a message came in by.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Door {
    /// A signed webhook carried it.
    Webhook,
    /// A signed webhook of a number carried it, without a conversation.
    MessagingWebhook,
    /// The socket reported it as it happened.
    Socket,
    /// The socket replayed it after a reconnect.
    Replay,
    /// It was read from the watermark on.
    CatchUp,
    /// The sweep over all conversations found it.
    Reconcile,
}

impl Door {
    /// Whether it is within a webhook's request, which has a span of its own.
    #[must_use]
    pub const fn is_webhook(self) -> bool {
        matches!(self, Self::Webhook | Self::MessagingWebhook)
    }
}

/// The road a reply went by.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// The Conversations socket.
    Socket,
    /// The REST API.
    Rest,
}

impl Via {
    /// The road's word, the same as in its JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::Rest => "rest",
        }
    }
}

/// The journal's handle; clones share one ring.
#[derive(Clone)]
pub struct Journal {
    shared: Arc<Shared>,
}

struct Shared {
    capacity: usize,
    ring: Mutex<VecDeque<Record>>,
    live: broadcast::Sender<Record>,
}

impl Journal {
    /// Opens an empty journal that keeps the last `capacity` records, at least one.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        let (live, _) = broadcast::channel(capacity);
        let ring = Mutex::new(VecDeque::new());
        Self { shared: Arc::new(Shared { capacity, ring, live }) }
    }

    /// Adds a record, forgets the oldest if the ring is full, and tells the subscribers.
    pub fn record(&self, record: Record) {
        // Told under the lock, so that ring and subscribers agree on the order.
        let mut ring = self.shared.ring.lock().unwrap_or_else(PoisonError::into_inner);
        if ring.len() == self.shared.capacity {
            ring.pop_front();
        }
        ring.push_back(record);
        // An error means that nobody listens.
        let _ = self.shared.live.send(record);
    }

    /// Hears every record from now on; one that falls behind by the capacity loses the oldest.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Record> {
        self.shared.live.subscribe()
    }

    /// Gives the last `count` records, newest first.
    #[must_use]
    pub fn newest(&self, count: usize) -> Vec<Record> {
        let ring = self.shared.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.iter().rev().take(count).copied().collect()
    }

    /// Gives the kept records of a thread, oldest first.
    #[must_use]
    pub fn recent(&self, thread: impl Into<ThreadId>) -> Vec<Record> {
        let thread = thread.into();
        let ring = self.shared.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.iter().filter(|record| record.thread == thread).copied().collect()
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("capacity", &self.shared.capacity).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::broadcast::error::TryRecvError;

    use super::*;
    use crate::twilio::sid::ConversationSid;

    static_assertions::assert_impl_all!(Journal: Send, Sync, Clone);

    #[test]
    fn the_ring_forgets_the_oldest_first_and_never_grows() {
        let journal = Journal::new(3);
        for millis in 0..10 {
            journal.record(record(1, millis, Stage::TurnStarted));
        }
        let kept: Vec<i64> = journal.recent(sid(1)).iter().map(|r| r.at.as_millis()).collect();
        assert_eq!(kept, [7, 8, 9]);
        let newest: Vec<i64> = journal.newest(2).iter().map(|r| r.at.as_millis()).collect();
        assert_eq!(newest, [9, 8]);
    }

    #[test]
    fn recent_gives_one_conversation_only() {
        let journal = Journal::new(8);
        journal.record(record(1, 1, Stage::SocketJoined));
        journal.record(record(2, 2, Stage::TurnStarted));
        journal.record(record(1, 3, Stage::AgentAnswered { replies: 1 }));
        let stages: Vec<Stage> = journal.recent(sid(1)).iter().map(|r| r.stage).collect();
        assert_eq!(stages, [Stage::SocketJoined, Stage::AgentAnswered { replies: 1 }]);
        assert!(journal.recent(sid(3)).is_empty());
    }

    #[test]
    fn subscribers_hear_what_comes_after_them_in_order() {
        let journal = Journal::new(8);
        journal.record(record(1, 1, Stage::TurnStarted));
        let mut heard = journal.subscribe();
        journal.record(record(1, 2, Stage::TurnStarted));
        journal.record(record(2, 3, Stage::TurnStarted));
        assert_eq!(heard.try_recv().unwrap().at, Timestamp::from_millis(2));
        assert_eq!(heard.try_recv().unwrap().at, Timestamp::from_millis(3));
        assert_eq!(heard.try_recv(), Err(TryRecvError::Empty));
    }

    #[test]
    fn a_slow_subscriber_loses_records_and_is_told() {
        let journal = Journal::new(2);
        let mut heard = journal.subscribe();
        for millis in 0..5 {
            journal.record(record(1, millis, Stage::TurnStarted));
        }
        assert_eq!(heard.try_recv(), Err(TryRecvError::Lagged(3)));
        assert_eq!(heard.try_recv().unwrap().at, Timestamp::from_millis(3));
    }

    #[test]
    fn records_are_written_flat_with_the_stage_as_their_tag() {
        let sent = Stage::ReplySent { via: Via::Socket, reply: None };
        insta::assert_snapshot!(
            serde_json::to_string(&record(1, 5, sent)).unwrap(),
            @r#"{"at":5,"conversation":"CH01010101010101010101010101010101","stage":"reply_sent","via":"socket"}"#
        );
        let dead =
            Stage::Dead { queue: "outbox", reason: CauseClass::Unsendable, code: Some(50433) };
        insta::assert_snapshot!(
            serde_json::to_string(&record(1, 5, dead)).unwrap(),
            @r#"{"at":5,"conversation":"CH01010101010101010101010101010101","stage":"dead","queue":"outbox","reason":"unsendable","code":50433}"#
        );
    }

    fn sid(byte: u8) -> ConversationSid {
        ConversationSid::from_bytes([byte; 16])
    }

    fn record(conversation: u8, millis: i64, stage: Stage) -> Record {
        Record {
            at: Timestamp::from_millis(millis),
            thread: sid(conversation).into(),
            message: None,
            reply_id: None,
            stage,
        }
    }
}
