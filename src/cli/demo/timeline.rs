//! One message's way as a timeline: which steps were seen and when, and which one is missing. Pure.

use std::fmt;

use crate::clock::Timestamp;
use crate::telemetry::journal::{Door, How, Stage, Via};

/// The steps of one round trip, in the order in which a message needs them.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Step {
    /// Twilio's request came in.
    WebhookReceived,
    /// It was stored and answered.
    Acknowledged,
    /// The bot was added to the conversation.
    Joined,
    /// The socket said so.
    SocketJoined,
    /// The message was seen.
    MessageSeen,
    /// The agent answered it.
    AgentAnswered,
    /// The reply was sent.
    ReplySent,
    /// The reply is in the conversation at Twilio.
    ReplyVisible,
    /// The phone has it.
    Delivered,
}

impl Step {
    /// The steps of a message in a conversation, in order.
    pub const OF_CONVERSATION: [Self; 8] = [
        Self::WebhookReceived,
        Self::Acknowledged,
        Self::Joined,
        Self::SocketJoined,
        Self::MessageSeen,
        Self::AgentAnswered,
        Self::ReplySent,
        Self::ReplyVisible,
    ];

    /// The steps of one without.
    pub const OF_TEXT: [Self; 7] = [
        Self::WebhookReceived,
        Self::Acknowledged,
        Self::MessageSeen,
        Self::AgentAnswered,
        Self::ReplySent,
        Self::ReplyVisible,
        Self::Delivered,
    ];

    /// Which step a stage of the service's journal is, and how it was done.
    pub const fn of(stage: &Stage) -> Option<(Self, &'static str)> {
        Some(match *stage {
            Stage::WebhookReceived { event } => (Self::WebhookReceived, event),
            Stage::WebhookAcknowledged => (Self::Acknowledged, "after the fsync"),
            Stage::Joined { how: How::Added } => (Self::Joined, "added over REST"),
            Stage::Joined { how: How::Already } => (Self::Joined, "was in already"),
            Stage::SocketJoined => (Self::SocketJoined, "conversationJoined"),
            Stage::MessageSeen { door } => (Self::MessageSeen, door_name(door)),
            Stage::AgentAnswered { .. } => (Self::AgentAnswered, ""),
            Stage::ReplySent { via: Via::Socket, .. } => (Self::ReplySent, "socket"),
            Stage::ReplySent { via: Via::Rest, .. } => (Self::ReplySent, "REST"),
            Stage::ReplyVisible { .. } => (Self::ReplyVisible, ""),
            Stage::TurnStarted
            | Stage::MessageAgain { .. }
            | Stage::AttemptFailed { .. }
            | Stage::Waits { .. }
            | Stage::ReplyStored
            | Stage::ReplyLookedFor { .. }
            | Stage::ReplyFares { .. }
            | Stage::ReplyFell { .. }
            | Stage::Bundled { .. }
            | Stage::Held
            | Stage::HandedOver
            | Stage::Ended
            | Stage::Operator { .. }
            | Stage::Left { .. }
            | Stage::Skipped { .. }
            | Stage::Dead { .. } => return None,
        })
    }

    /// The step in words, with how it was done.
    pub fn with(self, detail: &str) -> String {
        if detail.is_empty() { self.to_string() } else { format!("{self} ({detail})") }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::WebhookReceived => "webhook received",
            Self::Acknowledged => "acknowledged",
            Self::Joined => "joined",
            Self::SocketJoined => "socket joined",
            Self::MessageSeen => "message seen",
            Self::AgentAnswered => "agent answered",
            Self::ReplySent => "reply sent",
            Self::ReplyVisible => "reply visible at Twilio",
            Self::Delivered => "reply delivered",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known of one message's way so far.
#[derive(Debug)]
pub struct RoundTrip {
    start: Timestamp,
    wanted: &'static [Step],
    entries: Vec<TimelineEntry>,
    trouble: Option<String>,
    /// How many replies, or parts of them, the agent gave.
    replies: Option<usize>,
    said: Vec<String>,
    /// How the last reply fares, in Twilio's word.
    state: Option<&'static str>,
}

#[derive(Debug)]
struct TimelineEntry {
    step: Step,
    at: Timestamp,
    detail: &'static str,
}

impl RoundTrip {
    /// Starts when the user sends a message of which Twilio makes a conversation.
    #[must_use]
    pub const fn of_conversation(start: Timestamp) -> Self {
        Self::wanting(&Step::OF_CONVERSATION, start)
    }

    /// Starts when the user sends a message to a plain number.
    #[must_use]
    pub const fn of_text(start: Timestamp) -> Self {
        Self::wanting(&Step::OF_TEXT, start)
    }

    const fn wanting(wanted: &'static [Step], start: Timestamp) -> Self {
        Self {
            start,
            wanted,
            entries: Vec::new(),
            trouble: None,
            replies: None,
            said: Vec::new(),
            state: None,
        }
    }

    /// Takes a stage of the service's journal; the first of each step counts.
    pub fn take(&mut self, at: Timestamp, stage: Stage) {
        if let Stage::AgentAnswered { replies } = stage {
            self.replies = Some(replies);
        }
        if let Some(trouble) = trouble(&stage) {
            self.trouble = Some(trouble);
        }
        match Step::of(&stage) {
            // Twilio's own word for it counts, see `visible`.
            None | Some((Step::ReplyVisible, _)) => {}
            Some((step, detail)) => self.put(step, at, detail),
        }
    }

    /// Takes Twilio's word that a reply is in the conversation, and what it says.
    pub fn visible(&mut self, at: Timestamp, text: Option<&str>) {
        self.put(Step::ReplyVisible, at, "");
        self.said.push(shown(text.unwrap_or("(no text)")));
    }

    /// Takes Twilio's word of how a reply fares that went to a phone.
    pub fn fares(&mut self, at: Timestamp, status: &'static str) {
        if matches!(status, "delivered" | "read") {
            self.put(Step::Delivered, at, "");
        }
        if matches!(status, "failed" | "undelivered") {
            self.trouble = Some(format!("the reply is {status}"));
        }
        self.state = Some(status);
    }

    /// How the last reply fares.
    #[must_use]
    pub fn state(&self) -> &'static str {
        self.state.unwrap_or("queued")
    }

    /// Whether all that is to be seen has been: every step, and every reply that the agent gave.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.missing().is_none() && self.replies.is_some_and(|count| self.said.len() >= count)
    }

    /// What the bot said, in order, fit for a terminal.
    #[must_use]
    pub fn said(&self) -> &[String] {
        &self.said
    }

    /// The first step that has not been seen.
    #[must_use]
    pub fn missing(&self) -> Option<Step> {
        let is_missing = |step: &Step| self.entries.iter().all(|entry| entry.step != *step);
        self.wanted.iter().copied().find(is_missing)
    }

    /// What went wrong for good, if anything did.
    #[must_use]
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    fn put(&mut self, step: Step, at: Timestamp, detail: &'static str) {
        if self.entries.iter().all(|entry| entry.step != step) {
            self.entries.push(TimelineEntry { step, at, detail });
        }
    }
}

impl fmt::Display for RoundTrip {
    /// One line a step, in the order in which they happened.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|entry| (entry.at, entry.step));
        writeln!(f, "{:>8}  SMS sent", "+0 ms")?;
        for entry in entries {
            let after = format!("+{} ms", entry.at.since(self.start).as_millis());
            writeln!(f, "{after:>8}  {}", entry.step.with(entry.detail))?;
        }
        Ok(())
    }
}

/// A text that does nothing to a terminal but be read.
fn shown(text: &str) -> String {
    let may_stay = |letter: char| letter == '\n' || !letter.is_control();
    text.chars().map(|letter| if may_stay(letter) { letter } else { ' ' }).collect()
}

/// What a stage says that ends a message's way without an answer.
pub fn trouble(stage: &Stage) -> Option<String> {
    match *stage {
        Stage::Skipped { reason } => Some(format!("skipped: {}", reason.as_str())),
        Stage::Dead { queue, reason, code } => {
            let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
            Some(format!("dead letter in {queue}: {}{code}", reason.as_str()))
        }
        _ => None,
    }
}

const fn door_name(door: Door) -> &'static str {
    match door {
        Door::Webhook => "through the webhook",
        Door::MessagingWebhook => "through the number's webhook",
        Door::Socket => "through the socket",
        Door::Replay => "through the socket's replay",
        Door::CatchUp => "through the catch-up read",
        Door::Reconcile => "through the sweep",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::thread::CauseClass;

    const fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + millis)
    }

    #[test]
    fn a_whole_round_trip_misses_nothing_and_reads_in_order() {
        let mut timeline = RoundTrip::of_conversation(at(0));
        for (millis, stage) in [
            (3, Stage::WebhookReceived { event: "onConversationAdded" }),
            (4, Stage::WebhookReceived { event: "onMessageAdded" }),
            (5, Stage::WebhookAcknowledged),
            (9, Stage::SocketJoined),
            (8, Stage::Joined { how: How::Added }),
            (11, Stage::MessageSeen { door: Door::CatchUp }),
            (12, Stage::AgentAnswered { replies: 2 }),
            (15, Stage::ReplySent { via: Via::Socket, reply: None }),
        ] {
            assert_eq!(timeline.trouble(), None);
            assert!(timeline.missing().is_some());
            timeline.take(at(millis), stage);
        }
        assert_eq!(timeline.missing(), Some(Step::ReplyVisible));
        timeline.visible(at(14), Some("one"));
        assert_eq!(timeline.missing(), None);
        assert!(!timeline.is_whole(), "the agent gave two");
        timeline.visible(at(16), Some("two\nlines\u{1b}[31m"));
        assert!(timeline.is_whole());
        assert_eq!(timeline.said(), ["one", "two\nlines [31m"]);
        insta::assert_snapshot!(timeline.to_string(), @r"
           +0 ms  SMS sent
           +3 ms  webhook received (onConversationAdded)
           +5 ms  acknowledged (after the fsync)
           +8 ms  joined (added over REST)
           +9 ms  socket joined (conversationJoined)
          +11 ms  message seen (through the catch-up read)
          +12 ms  agent answered
          +14 ms  reply visible at Twilio
          +15 ms  reply sent (socket)
        ");
    }

    #[test]
    fn the_first_missing_step_is_named() {
        let mut timeline = RoundTrip::of_conversation(at(0));
        assert_eq!(timeline.missing(), Some(Step::WebhookReceived));
        timeline.take(at(1), Stage::WebhookReceived { event: "onConversationAdded" });
        timeline.take(at(2), Stage::WebhookAcknowledged);
        timeline.take(
            at(3),
            Stage::Dead { queue: "joins", reason: CauseClass::Dead, code: Some(50377) },
        );
        assert_eq!(timeline.missing(), Some(Step::Joined));
        assert_eq!(timeline.trouble(), Some("dead letter in joins: dead (50377)"));
    }
}
