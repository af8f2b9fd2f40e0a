//! The operations: which path, which fields, which answers count.

use reqwest::Method;
use url::Url;

use super::model::{
    AddressConfiguration, Conversation, ConversationFilter, Message, MessagesAfter, NewMessage,
    Participant, ParticipantConversation, Webhooks,
};
use super::{Client, Error, Op, Pages, WalkBack, below};
use crate::pii::Pii;
use crate::twilio::events::ConversationState;
use crate::twilio::form::Form;
use crate::twilio::sid::{ConversationSid, ParticipantSid};

/// The largest page of conversations and messages. Source: vendor definition of April 2026.
const PAGE_MAX: usize = 100;

/// The largest page of an identity's conversations. Source: the same.
const PARTICIPANT_CONVERSATIONS_PAGE_MAX: usize = 50;

/// How many messages are asked for first, where mostly the newest few are wanted. A whole page of a
/// long conversation is some 150 KiB.
const GLANCE: usize = 20;

impl Client {
    /// Adds a chat participant.
    ///
    /// # Errors
    ///
    /// Refused with code 50433 where the identity is in the conversation already.
    pub async fn add_participant(
        &self,
        conversation: ConversationSid,
        identity: &str,
    ) -> Result<Participant, Error> {
        let url = self.url(&["Conversations", &conversation.to_string(), "Participants"]);
        let form: Form<'_> = [("Identity", identity)].into_iter().collect();
        self.call(Op::AddParticipant, Method::POST, url, Some(form.encode())).await
    }

    /// Fetches a chat participant by identity; `None` where there is none.
    ///
    /// # Errors
    ///
    /// As any request; a 404 is no error.
    pub async fn fetch_participant(
        &self,
        conversation: ConversationSid,
        identity: &str,
    ) -> Result<Option<Participant>, Error> {
        // The place of the sid takes the identity. Source: vendor definition, FetchConversationParticipant.
        let url = self.url(&["Conversations", &conversation.to_string(), "Participants", identity]);
        none_if_absent(self.get(Op::FetchParticipant, url).await)
    }

    /// Gives the participants of a conversation, at most a hundred: all of them, unless the service's
    /// limit was raised, and then the oldest.
    ///
    /// # Errors
    ///
    /// As any request.
    pub async fn participants(
        &self,
        conversation: ConversationSid,
    ) -> Result<Vec<Participant>, Error> {
        // Source: Conversations limits, participants: a new service starts with 100.
        self.list_participants(conversation).all(PAGE_MAX).await
    }

    /// Lists the participants of a conversation, page by page.
    #[must_use]
    pub fn list_participants(&self, conversation: ConversationSid) -> Pages<Participant> {
        let mut url = self.url(&["Conversations", &conversation.to_string(), "Participants"]);
        url.query_pairs_mut().append_pair("PageSize", &PAGE_MAX.to_string());
        Pages::new(self.clone(), Op::ListParticipants, url)
    }

    /// Removes a participant; one that is not there counts as removed.
    ///
    /// # Errors
    ///
    /// As any request; a 404 is no error.
    pub async fn remove_participant(
        &self,
        conversation: ConversationSid,
        participant: ParticipantSid,
    ) -> Result<(), Error> {
        let participant = participant.to_string();
        let url =
            self.url(&["Conversations", &conversation.to_string(), "Participants", &participant]);
        let result = self.call_empty(Op::RemoveParticipant, Method::DELETE, url, None).await;
        none_if_absent(result).map(|_| ())
    }

    /// Fetches a conversation; `None` where there is none in this service.
    ///
    /// # Errors
    ///
    /// As any request; a 404 is no error.
    pub async fn fetch_conversation(
        &self,
        conversation: ConversationSid,
    ) -> Result<Option<Conversation>, Error> {
        let url = self.url(&["Conversations", &conversation.to_string()]);
        none_if_absent(self.get(Op::FetchConversation, url).await)
    }

    /// Replaces a conversation's attributes, JSON as text.
    ///
    /// The last writer wins: Twilio offers no condition on this write.
    ///
    /// # Errors
    ///
    /// As any request.
    pub async fn update_conversation_attributes(
        &self,
        conversation: ConversationSid,
        attributes: &str,
    ) -> Result<Conversation, Error> {
        let url = self.url(&["Conversations", &conversation.to_string()]);
        let form: Form<'_> = [("Attributes", attributes)].into_iter().collect();
        self.call(Op::UpdateConversation, Method::POST, url, Some(form.encode())).await
    }

    /// Closes a conversation, for good.
    ///
    /// # Errors
    ///
    /// As any request; of one that is closed already Twilio may say so.
    pub async fn close_conversation(
        &self,
        conversation: ConversationSid,
    ) -> Result<Conversation, Error> {
        let url = self.url(&["Conversations", &conversation.to_string()]);
        let form: Form<'_> = [("State", "closed")].into_iter().collect();
        self.call(Op::UpdateConversation, Method::POST, url, Some(form.encode())).await
    }

    /// Lists the service's conversations, page by page.
    #[must_use]
    pub fn list_conversations(&self, filter: ConversationFilter) -> Pages<Conversation> {
        let mut url = self.url(&["Conversations"]);
        url.query_pairs_mut().append_pair("PageSize", &PAGE_MAX.to_string());
        let state = filter.state.and_then(|state| match state {
            ConversationState::Active => Some("active"),
            ConversationState::Inactive => Some("inactive"),
            ConversationState::Closed => Some("closed"),
            ConversationState::Initializing | ConversationState::Other => None,
        });
        if let Some(state) = state {
            url.query_pairs_mut().append_pair("State", state);
        }
        if let Some(from) = filter.from {
            // A plain day. Source: vendor definition of April 2026, StartDate.
            let day: String = from.to_string().chars().take("2026-11-21".len()).collect();
            url.query_pairs_mut().append_pair("StartDate", &day);
        }
        Pages::new(self.clone(), Op::ListConversations, url)
    }

    /// Lists the conversations that an identity is in, page by page.
    #[must_use]
    pub fn participant_conversations(&self, identity: &str) -> Pages<ParticipantConversation> {
        let mut url = self.url(&["ParticipantConversations"]);
        url.query_pairs_mut()
            .append_pair("Identity", identity)
            .append_pair("PageSize", &PARTICIPANT_CONVERSATIONS_PAGE_MAX.to_string());
        Pages::new(self.clone(), Op::ListParticipantConversations, url)
    }

    /// Lists the conversations that somebody is in by an address, page by page.
    #[must_use]
    pub fn conversations_of_address(&self, address: &Pii) -> Pages<ParticipantConversation> {
        let mut url = self.url(&["ParticipantConversations"]);
        url.query_pairs_mut()
            .append_pair("Address", address.reveal())
            .append_pair("PageSize", &PARTICIPANT_CONVERSATIONS_PAGE_MAX.to_string());
        Pages::new(self.clone(), Op::ListParticipantConversations, url)
    }

    /// Adds a message.
    ///
    /// Twilio has no idempotency key for it: after an error that [`Error::may_have_happened`] look
    /// at [`Client::newest_messages`] before adding it again.
    ///
    /// # Errors
    ///
    /// As any request.
    pub async fn create_message(
        &self,
        conversation: ConversationSid,
        message: &NewMessage,
    ) -> Result<Message, Error> {
        let url = self.url(&["Conversations", &conversation.to_string(), "Messages"]);
        let mut form = Form::default();
        form.push("Author", message.author.as_str());
        if let Some(body) = &message.body {
            form.push("Body", body.reveal());
        }
        if let Some(attributes) = &message.attributes {
            form.push("Attributes", attributes.as_str());
        }
        for sid in &message.media {
            form.push("MediaSid", sid.to_string());
        }
        if let Some(sid) = message.content_sid {
            form.push("ContentSid", sid.to_string());
        }
        if let Some(variables) = &message.content_variables {
            form.push("ContentVariables", variables.reveal());
        }
        self.call(Op::CreateMessage, Method::POST, url, Some(form.encode())).await
    }

    /// Lists a conversation's messages, newest first, page by page.
    ///
    /// The first page is a short one, and the second begins anew.
    #[must_use]
    pub fn newest_messages(&self, conversation: ConversationSid) -> Pages<Message> {
        self.messages(conversation, PAGE_MAX)
    }

    /// Fetches the newest message of a conversation; `None` where there is none.
    ///
    /// # Errors
    ///
    /// As any request.
    pub async fn newest_message(
        &self,
        conversation: ConversationSid,
    ) -> Result<Option<Message>, Error> {
        let page = self.messages(conversation, 1).next().await?;
        Ok(page.unwrap_or_default().into_iter().next())
    }

    /// Gives the messages after an index, all if there is none, oldest first, at most `max`.
    ///
    /// There is no such filter, so the listing is walked back from the newest message. Where there
    /// are more than `max`, the oldest ones are left out and the answer says so.
    ///
    /// # Errors
    ///
    /// As any request.
    pub async fn messages_after(
        &self,
        conversation: ConversationSid,
        after: Option<u64>,
        max: usize,
    ) -> Result<MessagesAfter, Error> {
        let mut pages = self.messages(conversation, PAGE_MAX.min(max.max(1)));
        let mut walk = WalkBack::to(after, max);
        while walk.takes(pages.next().await?) {}
        Ok(walk.end())
    }

    /// Fetches where the service's webhooks go; `None` where there is no such service.
    ///
    /// # Errors
    ///
    /// As any request; a 404 is no error.
    pub async fn fetch_webhooks(&self) -> Result<Option<Webhooks>, Error> {
        let url = self.url(&["Configuration", "Webhooks"]);
        none_if_absent(self.get(Op::FetchWebhooks, url).await)
    }

    /// Lists how the account's addresses are set up for Conversations, page by page; they belong to the
    /// account, not to a service.
    #[must_use]
    pub fn list_addresses(&self) -> Pages<AddressConfiguration> {
        let mut url = below(&self.inner.base, &["Configuration", "Addresses"]);
        url.query_pairs_mut().append_pair("PageSize", &PAGE_MAX.to_string());
        Pages::new(self.clone(), Op::ListAddresses, url)
    }

    fn messages(&self, conversation: ConversationSid, page_size: usize) -> Pages<Message> {
        let page = |size: usize| {
            let mut url = self.url(&["Conversations", &conversation.to_string(), "Messages"]);
            url.query_pairs_mut()
                .append_pair("Order", "desc")
                .append_pair("PageSize", &size.to_string());
            url
        };
        let pages = Pages::new(self.clone(), Op::ListMessages, page(page_size));
        if page_size > GLANCE { pages.after_a_glance(page(GLANCE)) } else { pages }
    }

    /// Puts a path below the service, each part percent-encoded.
    pub(super) fn url(&self, parts: &[&str]) -> Url {
        let base = &self.inner.base;
        match self.inner.chat_service_sid {
            Some(service) => below(&below(base, &["Services", &service.to_string()]), parts),
            None => below(base, parts),
        }
    }
}

pub(super) fn none_if_absent<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.status() == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}
