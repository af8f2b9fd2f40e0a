//! How resources look in the answers of Conversations v1.
//!
//! Pure. Times have whole seconds, every field of the schema is there, null where empty. The
//! service-scoped variants add `chat_service_sid`. Source: API definition and REST notes 2 and 7,
//! read 2026-11-21.

use serde_json::{Value, json};

use crate::clock::Timestamp;
use crate::emulator::state::World;
use crate::emulator::state::event::EventKind;
use crate::emulator::state::model::{
    Address, Conversation, HookSettings, Message, Participant, Receipt, ScopedHook, Service, State,
    User,
};
use crate::twilio::sid::{AccountSid, ChatServiceSid};

/// What answers need besides the resource.
#[derive(Clone, Debug)]
pub struct View {
    /// The account.
    pub account: AccountSid,
    /// The absolute URL that resource paths are put after, `…/v1` or `…/v1/Services/IS…`.
    pub base: String,
    /// The service, where the path names it.
    pub service: Option<ChatServiceSid>,
}

/// ISO 8601 in whole seconds. Source: REST notes 1, read 2026-11-21.
#[must_use]
pub fn time(at: Timestamp) -> String {
    at.in_whole_seconds()
}

impl View {
    fn scoped(&self, mut resource: Value) -> Value {
        if let Some(service) = self.service {
            resource["chat_service_sid"] = json!(service);
        }
        resource
    }

    /// A conversation.
    #[must_use]
    pub fn conversation(&self, one: &Conversation) -> Value {
        let url = format!("{}/Conversations/{}", self.base, one.sid);
        json!({
            "account_sid": self.account,
            "chat_service_sid": one.service,
            "messaging_service_sid": one.messaging_service,
            "sid": one.sid,
            "friendly_name": one.friendly_name,
            "unique_name": one.unique_name,
            "attributes": one.attributes,
            "state": one.state.as_str(),
            "date_created": time(one.created),
            "date_updated": time(one.updated),
            "timers": timers(one),
            "bindings": {},
            "links": {
                "participants": format!("{url}/Participants"),
                "messages": format!("{url}/Messages"),
                "webhooks": format!("{url}/Webhooks"),
            },
            "url": url,
        })
    }

    /// A participant.
    #[must_use]
    pub fn participant(&self, of: &Conversation, one: &Participant) -> Value {
        let url = format!("{}/Conversations/{}/Participants/{}", self.base, of.sid, one.sid);
        self.scoped(json!({
            "account_sid": self.account,
            "conversation_sid": of.sid,
            "sid": one.sid,
            "identity": one.identity,
            "attributes": one.attributes,
            "messaging_binding": binding(one),
            "role_sid": one.role,
            "date_created": time(one.created),
            "date_updated": time(one.updated),
            "url": url,
            "last_read_message_index": one.last_read_index,
            "last_read_timestamp": one.last_read_at.map(time),
        }))
    }

    /// A message.
    #[must_use]
    pub fn message(&self, of: &Conversation, one: &Message) -> Value {
        let url = format!("{}/Conversations/{}/Messages/{}", self.base, of.sid, one.sid);
        let media: Vec<Value> = one
            .media
            .iter()
            .map(|media| {
                json!({
                    "sid": media.sid,
                    "size": media.size,
                    "content_type": media.content_type,
                    "filename": media.filename,
                    "category": media.category,
                })
            })
            .collect();
        self.scoped(json!({
            "account_sid": self.account,
            "conversation_sid": of.sid,
            "sid": one.sid,
            "index": one.index,
            "author": one.author,
            "body": one.body,
            "media": if media.is_empty() { Value::Null } else { Value::from(media) },
            "attributes": one.attributes,
            "participant_sid": one.participant,
            "date_created": time(one.created),
            "date_updated": time(one.updated),
            "delivery": World::delivery(one),
            "content_sid": one.content_sid,
            "links": {
                "delivery_receipts": format!("{url}/Receipts"),
                "channel_metadata": format!("{url}/ChannelMetadata"),
            },
            "url": url,
        }))
    }

    /// A delivery receipt.
    #[must_use]
    pub fn receipt(&self, of: &Conversation, message: &Message, one: &Receipt) -> Value {
        let url = format!(
            "{}/Conversations/{}/Messages/{}/Receipts/{}",
            self.base, of.sid, message.sid, one.sid
        );
        self.scoped(json!({
            "account_sid": self.account,
            "conversation_sid": of.sid,
            "message_sid": message.sid,
            "sid": one.sid,
            "channel_message_sid": one.channel_message_sid,
            "participant_sid": one.participant,
            "status": one.status.as_str(),
            "error_code": one.error_code.unwrap_or(0),
            "date_created": time(one.created),
            "date_updated": time(one.updated),
            "url": url,
        }))
    }

    /// A conversation's webhook.
    #[must_use]
    pub fn hook(&self, of: &Conversation, one: &ScopedHook) -> Value {
        let url = format!("{}/Conversations/{}/Webhooks/{}", self.base, of.sid, one.sid);
        self.scoped(json!({
            "sid": one.sid,
            "account_sid": self.account,
            "conversation_sid": of.sid,
            "target": one.target.as_str(),
            "url": url,
            "configuration": {
                "url": one.url,
                "method": one.method.as_str(),
                "filters": filters(&one.filters),
                "triggers": one.triggers,
                "flow_sid": one.flow_sid,
                "replay_after": one.replay_after,
            },
            "date_created": time(one.created),
            "date_updated": time(one.updated),
        }))
    }

    /// A user.
    #[must_use]
    pub fn user(&self, one: &User) -> Value {
        let url = format!("{}/Users/{}", self.base, one.sid);
        json!({
            "sid": one.sid,
            "account_sid": self.account,
            "chat_service_sid": one.service,
            "role_sid": one.role,
            "identity": one.identity,
            "friendly_name": one.friendly_name,
            "attributes": one.attributes,
            "is_online": one.online,
            "is_notifiable": false,
            "date_created": time(one.created),
            "date_updated": time(one.updated),
            "links": {"user_conversations": format!("{url}/Conversations")},
            "url": url,
        })
    }

    /// A conversation as one of its users sees it.
    #[must_use]
    pub fn user_conversation(&self, user: &User, of: &Conversation, one: &Participant) -> Value {
        let url = format!("{}/Users/{}/Conversations/{}", self.base, user.sid, of.sid);
        let conversation = format!("{}/Conversations/{}", self.base, of.sid);
        json!({
            "account_sid": self.account,
            "chat_service_sid": of.service,
            "conversation_sid": of.sid,
            "unread_messages_count": of.unread(one),
            "last_read_message_index": one.last_read_index,
            "participant_sid": one.sid,
            "user_sid": user.sid,
            "friendly_name": of.friendly_name,
            "conversation_state": state_of_three(of.state),
            "timers": timers(of),
            "attributes": of.attributes,
            "date_created": time(of.created),
            "date_updated": time(of.updated),
            "created_by": of.created_by,
            "notification_level": one.notification_level.as_str(),
            "unique_name": of.unique_name,
            "url": url,
            "links": {
                "participant": format!("{conversation}/Participants/{}", one.sid),
                "conversation": conversation,
            },
        })
    }

    /// A conversation as found by one of its participants.
    #[must_use]
    pub fn participant_conversation(
        &self,
        of: &Conversation,
        one: &Participant,
        user: Option<&User>,
    ) -> Value {
        let conversation = format!("{}/Conversations/{}", self.base, of.sid);
        json!({
            "account_sid": self.account,
            "chat_service_sid": of.service,
            "participant_sid": one.sid,
            "participant_user_sid": user.map(|user| user.sid),
            "participant_identity": one.identity,
            "participant_messaging_binding": binding(one),
            "conversation_sid": of.sid,
            "conversation_unique_name": of.unique_name,
            "conversation_friendly_name": of.friendly_name,
            "conversation_attributes": of.attributes,
            "conversation_date_created": time(of.created),
            "conversation_date_updated": time(of.updated),
            "conversation_created_by": of.created_by,
            "conversation_state": state_of_three(of.state),
            "conversation_timers": timers(of),
            "links": {
                "participant": format!("{conversation}/Participants/{}", one.sid),
                "conversation": conversation,
            },
        })
    }

    /// A service. Its URL never has the scope.
    #[must_use]
    pub fn service(&self, one: &Service) -> Value {
        let url = format!("{}/Services/{}", self.base, one.sid);
        let links: serde_json::Map<String, Value> =
            ["conversations", "users", "roles", "bindings", "configuration"]
                .into_iter()
                .zip(["Conversations", "Users", "Roles", "Bindings", "Configuration"])
                .map(|(name, place)| (name.to_owned(), json!(format!("{url}/{place}"))))
                .collect();
        json!({
            "account_sid": self.account,
            "sid": one.sid,
            "friendly_name": one.friendly_name,
            "date_created": time(one.created),
            "date_updated": time(one.updated),
            "url": url,
            "links": links,
        })
    }

    /// A service's configuration.
    #[must_use]
    pub fn service_configuration(&self, one: &Service) -> Value {
        let url = format!("{}/Services/{}/Configuration", self.base, one.sid);
        json!({
            "chat_service_sid": one.sid,
            "default_conversation_creator_role_sid": one.creator_role,
            "default_conversation_role_sid": one.conversation_role,
            "default_chat_service_role_sid": one.service_role,
            "reachability_enabled": one.reachability,
            "links": {
                "notifications": format!("{url}/Notifications"),
                "webhooks": format!("{url}/Webhooks"),
            },
            "url": url,
        })
    }

    /// The webhook settings of the account, or of one service.
    #[must_use]
    pub fn hook_settings(&self, service: Option<ChatServiceSid>, one: &HookSettings) -> Value {
        let method = one.method.map(|method| method.as_str());
        let mut settings = json!({
            "account_sid": self.account,
            "method": method.unwrap_or("POST"),
            "filters": filters(&one.filters),
            "pre_webhook_url": one.pre_url,
            "post_webhook_url": one.post_url,
        });
        match service {
            None => {
                settings["target"] = json!("webhook");
                settings["url"] = json!(format!("{}/Configuration/Webhooks", self.base));
            }
            Some(service) => {
                settings["chat_service_sid"] = json!(service);
                let url = format!("{}/Services/{service}/Configuration/Webhooks", self.base);
                settings["url"] = json!(url);
            }
        }
        settings
    }

    /// The account's configuration.
    #[must_use]
    pub fn account_configuration(&self, world: &World) -> Value {
        let url = format!("{}/Configuration", self.base);
        json!({
            "account_sid": self.account,
            "default_chat_service_sid": world
                .setup()
                .default_chat_service
                .unwrap_or_else(|| world.default_service()),
            "default_messaging_service_sid": world.default_messaging_service(),
            "default_inactive_timer": null,
            "default_closed_timer": world.setup().closed_timer,
            "url": url,
            "links": {
                "service": format!("{}/Services/{}", self.base, world.default_service()),
                "webhooks": format!("{url}/Webhooks"),
            },
        })
    }

    /// An address configuration.
    #[must_use]
    pub fn address(&self, one: &Address) -> Value {
        let auto = &one.autocreation;
        json!({
            "sid": one.sid,
            "account_sid": self.account,
            "type": one.channel,
            "address": one.address,
            "friendly_name": one.friendly_name,
            "auto_creation": {
                "enabled": auto.enabled,
                "type": auto.kind.as_str(),
                "conversation_service_sid": auto.service,
                "webhook_url": auto.hook_url,
                "webhook_method": auto.hook_method.map(|method| method.as_str()),
                "webhook_filters": filters(&auto.hook_filters),
                "studio_flow_sid": auto.flow_sid,
                "studio_retry_count": auto.flow_retries,
            },
            "address_country": one.country,
            "date_created": time(one.created),
            "date_updated": time(one.updated),
            "url": format!("{}/Configuration/Addresses/{}", self.base, one.sid),
        })
    }
}

fn filters(kinds: &[EventKind]) -> Vec<&'static str> {
    kinds.iter().map(|kind| kind.as_str()).collect()
}

fn binding(one: &Participant) -> Value {
    one.binding.as_ref().map_or(Value::Null, |binding| {
        json!({
            "type": binding.channel.as_str(),
            "address": binding.address.as_ref().map(|address| address.reveal()),
            "proxy_address": binding.proxy.as_ref().map(|proxy| proxy.reveal()),
            "projected_address": binding.projected.as_ref().map(|projected| projected.reveal()),
        })
    })
}

fn timers(one: &Conversation) -> Value {
    let mut timers = json!({});
    for (name, due) in [("date_inactive", one.inactive_at()), ("date_closed", one.closed_at())] {
        if let Some(due) = due {
            timers[name] = json!(time(due));
        }
    }
    timers
}

/// Some answers know only three states. What `initializing` is there is assumed.
const fn state_of_three(state: State) -> &'static str {
    match state {
        State::Initializing | State::Active => "active",
        State::Inactive => "inactive",
        State::Closed => "closed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_whole_seconds() {
        let at = Timestamp::parse_rfc3339("2015-12-16T22:18:37.999Z").unwrap();
        assert_eq!(time(at), "2015-12-16T22:18:37Z");
    }
}
