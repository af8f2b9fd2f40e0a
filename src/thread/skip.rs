//! Why a message gets no turn, or a reply is not sent.

use serde::{Serialize, Serializer};

/// Why nobody answers a message, or why a reply is not sent: a closed set, the same in the journal, the
/// log and the metrics.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SkipReason {
    /// It is too old.
    Stale,
    /// The carrier answers its word itself.
    Keyword,
    /// The agent was busy with an earlier one, and the strategy is to drop what comes then.
    Busy,
    /// The thread looks like a loop between two bots.
    Loop,
    /// A person has the thread.
    Paused,
    /// The bot is not to be in the thread, by the operator's wish.
    NotChosen,
    /// Somebody has removed the bot from the thread.
    Removed,
    /// The person wants to hear nothing more.
    OptedOut,
    /// Who spoke as the bot before this service was there has answered it.
    Answered,
    /// It was written before this service was there, by the operator's wish.
    BeforeBegin,
    /// It came by another road too, which answers it.
    OtherRoad,
}

impl SkipReason {
    /// Every reason.
    pub const ALL: &'static [Self] = &[
        Self::Stale,
        Self::Keyword,
        Self::Busy,
        Self::Loop,
        Self::Paused,
        Self::NotChosen,
        Self::Removed,
        Self::OptedOut,
        Self::Answered,
        Self::BeforeBegin,
        Self::OtherRoad,
    ];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::Keyword => "keyword",
            Self::Busy => "busy",
            Self::Loop => "loop",
            Self::Paused => "paused",
            Self::NotChosen => "not_chosen",
            Self::Removed => "removed",
            Self::OptedOut => "opted_out",
            Self::Answered => "answered",
            Self::BeforeBegin => "before_begin",
            Self::OtherRoad => "other_road",
        }
    }
}

impl Serialize for SkipReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
