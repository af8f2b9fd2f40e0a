//! Why the messaging API refuses a text at once, with Twilio's codes; all are answered with 400.
//!
//! Pure. Source: REST notes 6.3, read 2026-11-21; 21266, 21659, 21703, 21705, 21910, 30409 and that
//! 63007 is an answer are assumed. The texts name no number.

/// A refusal.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TextRefusal {
    /// The recipient has opted out.
    #[error("Attempt to send to unsubscribed recipient")]
    OptedOut,
    /// It has nobody to go to.
    #[error("A 'To' phone number is required")]
    RecipientMissing,
    /// It has nobody to come from.
    #[error("A 'From' or 'MessagingServiceSid' parameter is required to send a message")]
    SenderMissing,
    /// It says nothing.
    #[error("Message body is required")]
    BodyMissing,
    /// It says too much.
    #[error("The concatenated message body exceeds the 1600 character limit")]
    BodyTooLong,
    /// The recipient's address is none.
    #[error("The 'To' number is not a valid phone number")]
    RecipientInvalid,
    /// The sender's address is none.
    #[error("The 'From' number is not a valid phone number, shortcode, or alphanumeric sender ID")]
    SenderInvalid,
    /// The sender's number is not the account's.
    #[error("'From' is not a Twilio phone number or short code of this account")]
    SenderUnknown,
    /// The sender's channel is not the account's.
    #[error("Could not find a Channel with the specified From address")]
    ChannelUnknown,
    /// Both are the same.
    #[error("'To' and 'From' number cannot be the same")]
    SenderIsRecipient,
    /// They belong to different channels.
    #[error("'From' and 'To' must be of the same channel")]
    ChannelMismatch,
    /// More waits for the sender than it can send.
    #[error("This 'From' number has exceeded the maximum number of queued messages")]
    QueueFull,
    /// The messaging service does not exist.
    #[error("The Messaging Service SID is invalid")]
    ServiceInvalid,
    /// The messaging service has no sender for the recipient.
    #[error("The Messaging Service has no sender available for this recipient")]
    ServiceEmpty,
    /// The status callback is no URL.
    #[error("The StatusCallback URL is not valid")]
    CallbackInvalid,
    /// A file's URL is none.
    #[error("Invalid media URL")]
    MediaUrlInvalid,
    /// Too many files.
    #[error("Number of media files exceeds allowed limit")]
    TooManyMedia,
    /// Variables and no template.
    #[error("ContentVariables require a ContentSid")]
    ContentSidMissing,
    /// The template's sid is none.
    #[error("The ContentSid is invalid")]
    ContentSidInvalid,
    /// The variables are no JSON object.
    #[error("The ContentVariables parameter is invalid")]
    ContentVariablesInvalid,
    /// Only a scheduled text can be taken back.
    #[error("Message is not in a cancelable state")]
    NotCancelable,
}

impl TextRefusal {
    /// Twilio's code.
    #[must_use]
    pub const fn code(self) -> u32 {
        match self {
            Self::OptedOut => 21610,
            Self::RecipientMissing => 21604,
            Self::SenderMissing => 21603,
            Self::BodyMissing => 21602,
            Self::BodyTooLong => 21617,
            Self::RecipientInvalid => 21211,
            Self::SenderInvalid => 21212,
            Self::SenderUnknown => 21659,
            Self::ChannelUnknown => 63007,
            Self::SenderIsRecipient => 21266,
            Self::ChannelMismatch => 21910,
            Self::QueueFull => 21611,
            Self::ServiceInvalid => 21705,
            Self::ServiceEmpty => 21703,
            Self::CallbackInvalid => 21609,
            Self::MediaUrlInvalid => 21620,
            Self::TooManyMedia => 21623,
            Self::ContentSidMissing => 21654,
            Self::ContentSidInvalid => 21655,
            Self::ContentVariablesInvalid => 21656,
            Self::NotCancelable => 30409,
        }
    }
}
