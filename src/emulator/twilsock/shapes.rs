//! How resources look in the answers of the Conversations client API.
//!
//! Pure. Source: the recorded flows and Conversations protocol notes 1 and 4, read 2026-11-21.

use serde_json::{Value, json};
use url::Url;

use crate::emulator::state::World;
use crate::emulator::state::model::{Conversation, Message, Participant, User};
use crate::pii::Pii;
use crate::twilio::sid::{
    AccountSid, ChatServiceSid, ConversationSid, MessageSid, ParticipantSid, UserSid,
};

/// The host that the client API answers under; a label inside frames, never dialled.
const HOST: &str = "https://aim.us1.twilio.com";

/// Conversations on one page of the caller's own.
/// Source: Conversations protocol notes 1, `my_conversations_page_size`, read 2026-11-21.
const PAGE_SIZE: usize = 100;

/// For whom answers are made.
#[derive(Clone, Debug)]
pub(super) struct Shapes {
    pub(super) account: AccountSid,
    pub(super) service: ChatServiceSid,
    pub(super) identity: Pii,
    pub(super) user: UserSid,
}

impl Shapes {
    fn base(&self) -> String {
        format!("{HOST}/Client/v2/Services/{}", self.service)
    }

    fn conversation_url(&self, of: ConversationSid) -> String {
        format!("{}/Conversations/{of}", self.base())
    }

    pub(super) fn participant_url(&self, of: ConversationSid, one: ParticipantSid) -> String {
        format!("{}/Participants/{one}", self.conversation_url(of))
    }

    pub(super) fn message_url(&self, of: ConversationSid, one: MessageSid) -> String {
        format!("{}/Messages/{one}", self.conversation_url(of))
    }

    /// The configuration; media goes straight to `media`, the emulator itself.
    pub(super) fn configuration(&self, media: &Url) -> Value {
        let (base, service, user) = (self.base(), self.service, self.user);
        let media = media.as_str().trim_end_matches('/');
        json!({
            "account_sid": self.account,
            "chat_service_sid": service,
            "identity": self.identity.reveal(),
            "user_sid": user,
            "options": {
                "consumption_report_interval": "PT1S",
                "user_infos_to_subscribe": 100,
                "reachability_enabled": true,
                "http_cache_interval": "PT1S",
                "my_conversations_page_size": PAGE_SIZE,
                "media_attachments_count_limit": 10,
                "media_attachment_size_limit_in_mb": 150,
                "media_attachments_total_size_limit_in_mb": 150,
                "email_histories_allowed_mime_types": ["text/plain", "text/html"],
                "email_bodies_allowed_mime_types": ["text/plain", "text/html"],
            },
            "sync_objects": {
                "my_conversations": format!("{}.channels", self.identity.reveal()),
                "my_user_info": format!("{user}.info"),
            },
            "links": {
                "my_conversations": format!("{base}/Users/{user}/Conversations"),
                "conversations": format!("{base}/Conversations"),
                "users": format!("{base}/Users"),
                "current_user": format!("{base}/Users/{user}"),
                "typing": format!("{HOST}/v1/Instances/{service}/Typing"),
                "media_service": format!("{media}/v1/Services/{service}/Media"),
                "media_set_service": format!("{media}/v1/Services/{service}/MediaSet"),
                "messages_receipts": format!("{base}/Conversations/%s/Messages/%s/Receipts"),
            },
            "url": format!("{HOST}/Client/v2/Configuration"),
        })
    }

    /// The caller's conversations after a place in the order.
    pub(super) fn my_conversations(&self, world: &World, after: u64) -> Value {
        let mut seats: Vec<&Conversation> = world
            .seats(self.service, self.identity.reveal())
            .filter_map(|(sid, _)| world.conversation(sid))
            .filter(|of| of.seq > after)
            .collect();
        seats.sort_by_key(|of| of.seq);
        let more = seats.len() > PAGE_SIZE;
        seats.truncate(PAGE_SIZE);
        let next = seats.last().filter(|_| more).map(|of| of.seq.to_string());
        let conversations: Vec<Value> = seats.into_iter().map(|of| self.conversation(of)).collect();
        json!({
            "conversations": conversations,
            "meta": {"next_token": next, "previous_token": null, "page_size": PAGE_SIZE},
        })
    }

    /// A conversation as the caller sees it, member or not.
    pub(super) fn conversation(&self, of: &Conversation) -> Value {
        let own = of.participant_by_identity(self.identity.reveal());
        let url = self.conversation_url(of.sid);
        json!({
            "sid": of.sid,
            "conversation_sid": of.sid,
            "account_sid": self.account,
            "chat_service_sid": of.service,
            "messaging_service_sid": of.messaging_service,
            "friendly_name": of.friendly_name,
            "unique_name": of.unique_name,
            "attributes": of.attributes,
            "state": {
                "current": of.state.as_str(),
                "date_updated": of.state_changed.to_string(),
            },
            "created_by": of.created_by,
            "date_created": of.created.to_string(),
            "date_updated": of.updated.to_string(),
            "bindings": {},
            "participants_count": of.participants.len(),
            "messages_count": of.messages.len(),
            "sync_objects": {
                "conversation": format!("{}.channel", of.sid),
                "messages": format!("{}.messages", of.sid),
                "participants": format!("{}.roster", of.sid),
            },
            "status": if own.is_some() { "joined" } else { "notParticipating" },
            "participant_sid": own.map(|own| own.sid),
            "last_read_message_index": own.and_then(|own| own.last_read_index),
            "unread_messages_count": own.and_then(|own| of.unread(own)),
            "notification_level": own.map_or("default", |own| own.notification_level.as_str()),
            "links": {
                "messages": format!("{url}/Messages"),
                "participants": format!("{url}/Participants"),
            },
            "url": url,
        })
    }

    pub(super) fn participant(&self, of: &Conversation, one: &Participant) -> Value {
        json!({
            "account_sid": self.account,
            "chat_service_sid": of.service,
            "conversation_sid": of.sid,
            "role_sid": one.role,
            "sid": one.sid,
            "attributes": one.attributes,
            "date_created": one.created.to_string(),
            "date_updated": one.updated.to_string(),
            "identity": one.identity,
            "messaging_binding": one.binding.as_ref().map(|binding| json!({
                "type": binding.channel.as_str(),
                "address": binding.address.as_ref().map(|address| address.reveal()),
                "proxy_address": binding.proxy.as_ref().map(|proxy| proxy.reveal()),
            })),
            "url": self.participant_url(of.sid, one.sid),
            "links": {"conversation": self.conversation_url(of.sid)},
        })
    }

    pub(super) fn message(&self, of: &Conversation, one: &Message) -> Value {
        let url = self.message_url(of.sid, one.sid);
        let media: Vec<Value> = one
            .media
            .iter()
            .map(|media| {
                json!({
                    "sid": media.sid,
                    "size": media.size.to_string(),
                    "content_type": media.content_type,
                    "filename": media.filename,
                    "category": media.category,
                })
            })
            .collect();
        json!({
            "account_sid": self.account,
            "chat_service_sid": of.service,
            "conversation_sid": of.sid,
            "sid": one.sid,
            "index": one.index,
            "attributes": one.attributes,
            "author": one.author,
            "participant_sid": one.participant,
            "body": one.body,
            "subject": one.subject,
            "date_created": one.created.to_string(),
            "date_updated": one.updated.to_string(),
            "media": if media.is_empty() { Value::Null } else { Value::from(media) },
            "links": {
                "conversation": self.conversation_url(of.sid),
                "messages_receipts": format!("{url}/Receipts"),
            },
            "url": url,
        })
    }

    pub(super) fn receipts(&self, of: &Conversation, message: &Message) -> Value {
        let receipts: Vec<Value> = message
            .receipts
            .iter()
            .map(|one| {
                json!({
                    "sid": one.sid,
                    "conversation_sid": of.sid,
                    "message_sid": message.sid,
                    "participant_sid": one.participant,
                    "channel_message_sid": one.channel_message_sid,
                    "status": one.status.as_str(),
                    "error_code": one.error_code.unwrap_or(0),
                    "date_created": one.created.to_string(),
                    "date_updated": one.updated.to_string(),
                })
            })
            .collect();
        json!({
            "delivery_receipts": receipts,
            "meta": {"next_token": null, "previous_token": null},
        })
    }

    pub(super) fn user(&self, user: &User) -> Value {
        json!({
            "account_sid": self.account,
            "chat_service_sid": user.service,
            "sid": user.sid,
            "identity": user.identity,
            "friendly_name": user.friendly_name,
            "attributes": user.attributes,
            "role_sid": user.role,
            "is_online": user.online,
            "is_notifiable": false,
            "date_created": user.created.to_string(),
            "date_updated": user.updated.to_string(),
            "sync_objects": {"user_info_map": format!("{}.info", user.sid)},
            "url": format!("{}/Users/{}", self.base(), user.sid),
            "links": {
                "user_conversations": format!("{}/Users/{}/Conversations", self.base(), user.sid),
            },
        })
    }
}
