//! What became of a request: facts, kept apart by what they say about Twilio's side.
//!
//! Deciding what to do about them is the caller's. An error never holds a body, an identity, an
//! address or a URL, because URLs name identities.

use std::time::Duration;

use crate::twilio::catalogue;

/// The operations, for logs and counters.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Op {
    /// Adds a chat participant.
    AddParticipant,
    /// Fetches a participant.
    FetchParticipant,
    /// Lists a conversation's participants.
    ListParticipants,
    /// Removes a participant.
    RemoveParticipant,
    /// Fetches a conversation.
    FetchConversation,
    /// Lists the service's conversations.
    ListConversations,
    /// Replaces a conversation's attributes.
    UpdateConversation,
    /// Lists an identity's conversations.
    ListParticipantConversations,
    /// Adds a message.
    CreateMessage,
    /// Lists messages.
    ListMessages,
    /// Fetches the account, to see whether the credentials are right.
    FetchAccount,
    /// Fetches where the service's webhooks go.
    FetchWebhooks,
    /// Lists the account's address configurations.
    ListAddresses,
    /// Sends an SMS, WhatsApp or RCS message.
    CreateText,
    /// Lists such messages.
    ListTexts,
    /// Lists the files of a plain message.
    ListTextMedia,
    /// Fetches such a message.
    FetchText,
    /// Shows that an answer is being written.
    ShowTyping,
    /// Finds a file of a plain message.
    FindFile,
    /// Finds a file of a conversation.
    FindMedia,
    /// Reads settings of the account.
    ReadSettings,
    /// Writes settings of the account.
    WriteSettings,
}

impl Op {
    /// Every operation.
    pub const ALL: &[Self] = &[
        Self::AddParticipant,
        Self::FetchParticipant,
        Self::ListParticipants,
        Self::RemoveParticipant,
        Self::FetchConversation,
        Self::ListConversations,
        Self::UpdateConversation,
        Self::ListParticipantConversations,
        Self::CreateMessage,
        Self::ListMessages,
        Self::FetchAccount,
        Self::FetchWebhooks,
        Self::ListAddresses,
        Self::CreateText,
        Self::ListTexts,
        Self::ListTextMedia,
        Self::FetchText,
        Self::ShowTyping,
        Self::FindFile,
        Self::FindMedia,
        Self::ReadSettings,
        Self::WriteSettings,
    ];

    /// Names the operation for a log field or a label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AddParticipant => "add_participant",
            Self::FetchParticipant => "fetch_participant",
            Self::ListParticipants => "list_participants",
            Self::RemoveParticipant => "remove_participant",
            Self::FetchConversation => "fetch_conversation",
            Self::ListConversations => "list_conversations",
            Self::UpdateConversation => "update_conversation",
            Self::ListParticipantConversations => "list_participant_conversations",
            Self::CreateMessage => "create_message",
            Self::ListMessages => "list_messages",
            Self::FetchAccount => "fetch_account",
            Self::FetchWebhooks => "fetch_webhooks",
            Self::ListAddresses => "list_addresses",
            Self::CreateText => "create_text",
            Self::ListTexts => "list_texts",
            Self::ListTextMedia => "list_text_media",
            Self::FetchText => "fetch_text",
            Self::ShowTyping => "show_typing",
            Self::FindFile => "find_file",
            Self::FindMedia => "find_media",
            Self::ReadSettings => "read_settings",
            Self::WriteSettings => "write_settings",
        }
    }
}

impl std::fmt::Display for Op {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a request ended, for counting.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// An answer of the 2xx kind that could be read.
    Done,
    /// Any other answer.
    Refused {
        /// Its status.
        status: u16,
    },
    /// It never left this machine.
    NotSent,
    /// It was sent and its answer lost.
    Unknown,
    /// It was answered, but not as the operation is.
    Unreadable,
    /// Something answered in Twilio's place.
    Foreign,
    /// It was held back here: too many are under way, or Twilio is away.
    HeldBack,
}

/// Says what became of a request that has no answer to give.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Twilio, or something before it, answered with another status than 2xx.
    #[error("{op} was answered {status}{}", code_text(*.code))]
    Refused {
        /// What was asked.
        op: Op,
        /// The HTTP status.
        status: u16,
        /// Twilio's code, where the answer names one; the truth where it and the status differ.
        code: Option<u32>,
        /// How long Twilio asks to wait, where it does; at most an hour.
        retry_after: Option<Duration>,
        /// Twilio's id of the request.
        request_id: Option<String>,
    },
    /// Something that is not Twilio answered: a proxy, a firewall, a captive portal.
    ///
    /// Twilio's answers are JSON, its refusals with a code, and it never redirects; a 5xx, 408 or 429 may have any
    /// body. Assumed, from REST basics "Error responses", read 2026-11-21.
    #[error(
        "{op} was answered {status} by something that is not twilio; look for a proxy or firewall in the way"
    )]
    Foreign {
        /// What was asked.
        op: Op,
        /// The HTTP status.
        status: u16,
    },
    /// Nothing reached Twilio: there was no connection.
    #[error("{op} was not sent")]
    NotSent {
        /// What was asked.
        op: Op,
        /// Why.
        #[source]
        source: FailureCause,
    },
    /// It was sent, and there is no usable answer: it may have happened.
    #[error("{op} was sent and its answer was lost")]
    Unknown {
        /// What was asked.
        op: Op,
        /// Why.
        #[source]
        source: FailureCause,
    },
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FailureCause {
    /// Too many requests are under way, and none ended in time.
    #[error("no request ended within {0:?} to make room")]
    Busy(Duration),
    /// Twilio was found to be away, and the next request goes in this time.
    #[error("twilio is away; the next request goes in {0:?}")]
    Away(Duration),
    /// There was no answer in time.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// The connection failed.
    #[error("the http exchange failed")]
    Http(#[source] reqwest::Error),
    /// The answer is larger than allowed.
    #[error("the answer is larger than {max} bytes")]
    TooLarge {
        /// The bound.
        max: usize,
    },
    /// The answer is not what the operation answers.
    #[error("the answer cannot be read, at line {line}, column {column}")]
    Unreadable {
        /// Where reading stopped.
        line: usize,
        /// Where reading stopped.
        column: usize,
    },
    /// The listing's next page is no page of this API, or was there before.
    #[error("the listing's next page cannot be followed")]
    Page,
}

impl Error {
    /// Gives the HTTP status, where there was an answer.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::Foreign { .. } | Self::NotSent { .. } | Self::Unknown { .. } => None,
        }
    }

    /// Gives Twilio's code, where the answer named one.
    #[must_use]
    pub const fn code(&self) -> Option<u32> {
        match self {
            Self::Refused { code, .. } => *code,
            Self::Foreign { .. } | Self::NotSent { .. } | Self::Unknown { .. } => None,
        }
    }

    /// Gives what was asked for.
    #[must_use]
    pub const fn op(&self) -> Op {
        match self {
            Self::Refused { op, .. }
            | Self::Foreign { op, .. }
            | Self::NotSent { op, .. }
            | Self::Unknown { op, .. } => *op,
        }
    }

    /// Gives how long Twilio asks to wait, where it does.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::Foreign { .. } | Self::NotSent { .. } | Self::Unknown { .. } => None,
        }
    }

    /// Gives what the catalogue knows of the code.
    #[must_use]
    pub fn entry(&self) -> Option<&'static catalogue::Entry> {
        self.code().and_then(catalogue::lookup)
    }

    /// Says whether a read that ended so may well succeed if it is asked for again at once: not where
    /// Twilio means no, asks for patience, or takes too long as it is.
    #[must_use]
    pub fn is_hiccup(&self) -> bool {
        match self {
            Self::Refused { status, retry_after, .. } => *status >= 500 && retry_after.is_none(),
            Self::Foreign { .. } => false,
            Self::NotSent { source, .. } | Self::Unknown { source, .. } => match source {
                FailureCause::Http(error) => !error.is_timeout(),
                FailureCause::Unreadable { .. } => true,
                FailureCause::Busy(_)
                | FailureCause::Away(_)
                | FailureCause::Late(_)
                | FailureCause::TooLarge { .. }
                | FailureCause::Page => false,
            },
        }
    }

    /// Says whether what was asked may have happened all the same, so that a write must be looked
    /// for before it is sent again.
    ///
    /// A 429 was never processed; a 5xx may have come after the work was done.
    /// Source: Error 20429 and REST best practices, read 2026-11-21.
    #[must_use]
    pub const fn may_have_happened(&self) -> bool {
        match self {
            Self::Refused { status, .. } => *status >= 500 || *status == 408,
            Self::NotSent { .. } => false,
            Self::Foreign { .. } | Self::Unknown { .. } => true,
        }
    }

    pub(super) const fn outcome(&self) -> Outcome {
        match self {
            Self::Refused { status, .. } => Outcome::Refused { status: *status },
            Self::Foreign { .. } => Outcome::Foreign,
            Self::NotSent { source: FailureCause::Busy(_) | FailureCause::Away(_), .. } => {
                Outcome::HeldBack
            }
            Self::NotSent { .. } => Outcome::NotSent,
            Self::Unknown {
                source:
                    FailureCause::Unreadable { .. } | FailureCause::TooLarge { .. } | FailureCause::Page,
                ..
            } => Outcome::Unreadable,
            Self::Unknown { .. } => Outcome::Unknown,
        }
    }
}

fn code_text(code: Option<u32>) -> String {
    code.map_or_else(String::new, |code| format!(" with code {code}"))
}
