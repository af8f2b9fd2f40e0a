//! Why the emulated Twilio refuses a request: one variant a reason, with Twilio's code and status.
//!
//! Pure. Codes, statuses and texts are Twilio's where they are known. Source: error dictionary and
//! recorded answers, collected in the REST notes, section 6, read 2026-11-21. A status that no text
//! confirms is marked "assumed" in [`Refusal::status`].

use super::messaging::refusal::TextRefusal;
use crate::twilio::sid::ConversationSid;

/// A refusal as the caller of an API sees it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// Nothing has this sid or name.
    #[error("The requested resource was not found")]
    NotFound,
    /// The identity is in the conversation already.
    #[error("Participant already exists")]
    ParticipantExists,
    /// The pair of address and proxy address is held by an open conversation.
    #[error("A binding for this participant and proxy address already exists in Conversation {0}")]
    BindingExists(ConversationSid),
    /// An open group conversation has the same addresses.
    #[error("Group MMS with given participant list already exists as Conversation {0}")]
    GroupExists(ConversationSid),
    /// The address is in the group already.
    #[error("Group MMS participant already exists")]
    GroupParticipantExists,
    /// The group would have more addresses than it may have.
    #[error("Group MMS has too many participants")]
    GroupTooLarge,
    /// In a group only participants write.
    #[error("Message author must be one of the participants of the group MMS")]
    GroupAuthorUnknown,
    /// The projected address is no address.
    #[error("Invalid messaging binding projected address")]
    ProjectedInvalid,
    /// The participant is not in the conversation.
    #[error("Participant not found")]
    ParticipantNotFound,
    /// The caller is no participant of the conversation.
    #[error("User not participant of conversation")]
    NotParticipant,
    /// The unique name is taken.
    #[error("Conversation with provided unique name already exists")]
    UniqueNameTaken,
    /// The unique name has the form of a sid.
    #[error("Unique name must not match the pattern of a Conversation SID")]
    UniqueNameIsSid,
    /// The conversation is closed for good.
    #[error("Conversation is closed and cannot be changed")]
    ConversationClosed,
    /// The conversation is still being set up.
    #[error("Conversation is initializing and cannot be changed")]
    ConversationInitializing,
    /// The identity is in as many conversations as it may be.
    #[error("User is in too many conversations")]
    TooManyConversations,
    /// The conversation is full.
    #[error("Maximum number of participants reached")]
    TooManyParticipants,
    /// The conversation has all the participants outside chat that it may have.
    #[error("Maximum number of non-chat participants reached")]
    TooManyNonChat,
    /// A participant needs an identity or an address.
    #[error("Either identity or messaging binding address must be given")]
    NoIdentityNoAddress,
    /// A participant of a channel has no identity of its own.
    #[error("SMS and WhatsApp participants cannot have an identity")]
    IdentityAndAddress,
    /// The address is no address.
    #[error("Invalid messaging binding address")]
    AddressInvalid,
    /// The proxy address is missing or no address.
    #[error("Invalid messaging binding proxy address")]
    ProxyInvalid,
    /// Address and proxy address are the same.
    #[error("Messaging binding address and proxy address cannot be equal")]
    AddressIsProxy,
    /// Address and proxy address belong to different channels.
    #[error("Messaging binding address and proxy address must be of the same type")]
    ChannelMismatch,
    /// A participant has one proxy address for good.
    #[error("Cannot add a proxy address to this participant")]
    ProxyImmutable,
    /// The identity is too long.
    #[error("Identity is too long")]
    IdentityTooLong,
    /// The identity has the form of a user sid.
    #[error("Identity must not match the pattern of a User SID")]
    IdentityIsUserSid,
    /// The user exists.
    #[error("User already exists")]
    UserExists,
    /// Attributes are not JSON.
    #[error("Attributes not valid JSON")]
    AttributesInvalid,
    /// Attributes are too long.
    #[error("Attributes are too long")]
    AttributesTooLong,
    /// The author is too long.
    #[error("Author is too long")]
    AuthorTooLong,
    /// The body is too long.
    #[error("Message body is too long")]
    BodyTooLong,
    /// The message has neither body nor media nor content.
    #[error("Message must have a body")]
    BodyMissing,
    /// The message does not exist.
    #[error("Message not found")]
    MessageNotFound,
    /// The media file does not exist.
    #[error("Media SID is invalid")]
    MediaInvalid,
    /// The conversation state is none of Twilio's.
    #[error("Conversation state is invalid")]
    StateInvalid,
    /// The timer to inactive is too short.
    #[error("Inactive timer is too short")]
    TimerInactiveTooShort,
    /// The timer to closed is too short.
    #[error("Closed timer is too short")]
    TimerClosedTooShort,
    /// The conversation has all the webhooks it may have.
    #[error("Maximum number of webhooks per conversation reached")]
    TooManyHooks,
    /// The filter names an event that this scope does not have.
    #[error("Webhook filter is invalid")]
    HookFilterInvalid,
    /// The webhook needs a URL.
    #[error("Webhook URL is missing")]
    HookUrlMissing,
    /// Either identity or address, not both.
    #[error("Only one of Identity and Address may be given")]
    BothIdentityAndAddress,
    /// More writes a second than the conversation may have.
    #[error("Too many requests for this conversation")]
    ConversationRate,
    /// More writes a second than the service may have.
    #[error("Too many requests for this service")]
    ServiceRate,
    /// A pre-action webhook refused with a status of 400 to 499.
    #[error("Pre-action webhook refused the change")]
    HookRefused,
    /// A pre-action webhook failed with a status of 500 or above.
    #[error("Pre-action webhook failed")]
    HookFailed,
    /// A parameter is needed.
    #[error("Missing required parameter {0} in the post body")]
    ParameterMissing(&'static str),
    /// A parameter cannot be read.
    #[error("Invalid value for parameter {0}")]
    ParameterInvalid(&'static str),
    /// A parameter is not known, in strict mode.
    #[error("Parameter {0} is not known to this resource")]
    ParameterUnknown(String),
    /// A text is refused.
    #[error(transparent)]
    Text(#[from] TextRefusal),
    /// The address configuration exists.
    #[error("Address configuration already exists")]
    AddressExists,
    /// Basic authentication failed.
    #[error("Authenticate")]
    Unauthenticated,
    /// The method does not exist on the resource.
    #[error("Method not allowed")]
    MethodNotAllowed,
    /// The request body is too large.
    #[error("Request body too large")]
    TooLarge,
}

impl Refusal {
    /// Twilio's error code.
    #[must_use]
    pub const fn code(&self) -> u32 {
        self.code_and_status().0
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.code_and_status().1
    }

    /// The table. Statuses of 400 beside codes in the 502xx to 504xx range are assumed, unless they
    /// belong to 50204, 50304, 50407 or 50441.
    const fn code_and_status(&self) -> (u32, u16) {
        match self {
            Self::NotFound => (20404, 404),
            Self::ParticipantExists => (50433, 409),
            Self::BindingExists(_) => (50416, 409),
            Self::GroupExists(_) => (50438, 409),
            Self::GroupParticipantExists => (50437, 409),
            Self::GroupTooLarge => (50436, 403),
            Self::GroupAuthorUnknown => (50513, 400),
            Self::ProjectedInvalid => (50439, 400),
            Self::ParticipantNotFound => (50432, 404),
            Self::NotParticipant => (50430, 403),
            Self::UniqueNameTaken => (50353, 409),
            Self::UniqueNameIsSid => (50390, 400),
            Self::ConversationClosed => (50377, 400),
            Self::ConversationInitializing => (50391, 409),
            Self::TooManyConversations => (50214, 403),
            Self::TooManyParticipants => (50417, 403),
            Self::TooManyNonChat => (50422, 403),
            Self::NoIdentityNoAddress => (50204, 400),
            Self::IdentityAndAddress => (50211, 400),
            Self::AddressInvalid => (50407, 400),
            Self::ProxyInvalid => (50408, 400),
            Self::AddressIsProxy => (50409, 400),
            Self::ChannelMismatch => (50414, 400),
            Self::ProxyImmutable => (50441, 400),
            Self::IdentityTooLong => (50207, 400),
            Self::IdentityIsUserSid => (50206, 400),
            Self::UserExists => (50201, 409),
            Self::AttributesInvalid => (50304, 400),
            Self::AttributesTooLong => (50303, 400),
            Self::AuthorTooLong => (50310, 400),
            Self::BodyTooLong => (50504, 400),
            Self::BodyMissing => (50503, 400),
            Self::MessageNotFound => (50500, 404),
            Self::MediaInvalid => (50510, 400),
            Self::StateInvalid => (50378, 400),
            Self::TimerInactiveTooShort => (50375, 400),
            Self::TimerClosedTooShort => (50376, 400),
            Self::TooManyHooks => (50361, 400),
            Self::HookFilterInvalid => (50365, 400),
            Self::HookUrlMissing => (50369, 400),
            Self::BothIdentityAndAddress => (50451, 400),
            Self::ConversationRate => (50063, 429),
            Self::ServiceRate => (50074, 429),
            Self::HookRefused => (50056, 403),
            Self::HookFailed => (50057, 502),
            Self::ParameterMissing(_) | Self::ParameterInvalid(_) | Self::ParameterUnknown(_) => {
                (20001, 400)
            }
            Self::Text(refusal) => (refusal.code(), 400),
            Self::AddressExists => (20409, 409),
            Self::Unauthenticated => (20003, 401),
            Self::MethodNotAllowed => (20004, 405),
            Self::TooLarge => (20413, 413),
        }
    }

    /// The body that Twilio answers.
    ///
    /// Source: REST notes, section 1, "Error body", read 2026-11-21.
    #[must_use]
    pub fn body(&self) -> serde_json::Value {
        serde_json::json!({
            "code": self.code(),
            "message": self.to_string(),
            "more_info": format!("https://www.twilio.com/docs/errors/{}", self.code()),
            "status": self.status(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusals_that_clients_act_on_have_twilios_form() {
        assert_eq!(
            Refusal::ParticipantExists.body(),
            serde_json::json!({
                "code": 50433,
                "message": "Participant already exists",
                "more_info": "https://www.twilio.com/docs/errors/50433",
                "status": 409,
            })
        );
        let sid = ConversationSid::from_bytes([1; 16]);
        let text = Refusal::BindingExists(sid).to_string();
        assert!(text.ends_with(&format!("already exists in Conversation {sid}")), "{text}");
        assert_eq!(Refusal::NotFound.status(), 404);
        assert_eq!(Refusal::ConversationRate.status(), 429);
    }
}
