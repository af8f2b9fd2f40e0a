//! The closed sets that metric labels come from: no sid, no address, no text of a stranger.

use std::fmt;

use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// Every word of the set.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word as the label shows it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl EncodeLabelValue for $name {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
                self.as_str().encode(encoder)
            }
        }
    )*};
}

words! {
    /// How a webhook request was answered.
    WebhookOutcome {
        /// Stored, then answered 200.
        Accepted = "accepted",
        /// Of no interest to us, answered 200.
        Ignored = "ignored",
        /// A pre-event, let through.
        Passed = "passed",
        /// No signature, or a wrong one.
        BadSignature = "bad_signature",
        /// Signed, but for another account.
        WrongAccount = "wrong_account",
        /// Signed, but not readable.
        Malformed = "malformed",
        /// Larger than the limit.
        TooLarge = "too_large",
        /// Slower than the limit.
        TooSlow = "too_slow",
        /// Neither GET nor POST.
        WrongMethod = "wrong_method",
        /// Signed, but for what is not set up.
        NotConfigured = "not_configured",
        /// The store did not take it.
        Unavailable = "unavailable",
    }
    /// How an attempt to join ended.
    JoinOutcome {
        /// The bot was added.
        Added = "added",
        /// The bot was a participant before.
        Already = "already",
        /// The conversation is none of those that the bot is to be in.
        Refused = "refused",
        /// It will be tried again.
        Retried = "retried",
        /// It failed for good.
        Dead = "dead",
        /// The bot left the conversation to free its seat.
        Left = "left",
    }
    /// How a turn ended.
    TurnOutcome {
        /// The agent gave replies.
        Answered = "answered",
        /// The agent had nothing to say.
        Silent = "silent",
        /// The message gets no turn: our own, the system's, a stranger's loop.
        Skipped = "skipped",
        /// The message was too old to be answered.
        Stale = "stale",
        /// It waits until a person gives the conversation back.
        Held = "held",
        /// A new message ended the thinking; another turn has its messages.
        Superseded = "superseded",
        /// It will be tried again.
        Retried = "retried",
        /// It failed for good.
        Dead = "dead",
        /// The agent took it over and said nothing to it in its time.
        Unanswered = "unanswered",
    }
    /// How an attempt to send a reply ended.
    ReplyOutcome {
        /// Twilio took it.
        Sent = "sent",
        /// It was not sent, because a person has the conversation or has removed the bot from it.
        Skipped = "skipped",
        /// It was found in the conversation, sent by an earlier attempt.
        Found = "found",
        /// It will be tried again.
        Retried = "retried",
        /// It failed for good.
        Dead = "dead",
    }
    /// How a REST request ended.
    RestOutcome {
        /// An answer of the 2xx kind.
        Done = "done",
        /// 429.
        Limited = "limited",
        /// Something answered in Twilio's place.
        Foreign = "foreign",
        /// Another answer of the 4xx kind.
        Refused = "refused",
        /// An answer of the 5xx kind.
        Failed = "failed",
        /// It never left this machine.
        NotSent = "not_sent",
        /// It was sent and its answer lost.
        Unknown = "unknown",
    }
    /// The states of the Conversations socket.
    SocketState {
        /// Switched off by configuration, or shut down.
        Off = "off",
        /// The identity is another instance's to listen for.
        Elsewhere = "elsewhere",
        /// Being set up.
        Connecting = "connecting",
        /// Up and started.
        Connected = "connected",
        /// Down; it will be tried again.
        Disconnected = "disconnected",
        /// Refused by Twilio; tried again after long pauses, and somebody must act.
        Refused = "refused",
    }
    /// The queues.
    Queue {
        /// Conversations to join.
        Joins = "joins",
        /// Messages to answer.
        Inbox = "inbox",
        /// Replies to send.
        Outbox = "outbox",
        /// Outcomes to report to the agent.
        Reports = "reports",
    }
    /// The stages that a job is for, one a queue.
    Stage {
        /// Making the bot a participant.
        Join = "join",
        /// Asking the agent.
        Turn = "turn",
        /// Sending a reply.
        Send = "send",
        /// Telling the agent what became of a reply.
        Report = "report",
    }
    /// The states of a job.
    JobState {
        /// Waiting for a consumer.
        Ready = "ready",
        /// Waiting for its time.
        Delayed = "delayed",
        /// With a consumer.
        Leased = "leased",
        /// Kept, with those behind it, until somebody else says so: a person who has the thread, an agent.
        Held = "held",
        /// With the dead letters.
        Dead = "dead",
    }
}

/// A name from a list that the code knows: an event type or a REST operation.
///
/// Being `&'static str` it cannot come from outside; what is not known is written `unknown`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Known(pub &'static str);

impl EncodeLabelValue for Known {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        self.0.encode(encoder)
    }
}
