//! How conversations look in the Sync objects that clients read.
//!
//! Pure. Source: Conversations protocol notes, 2, and the recorded flows, read 2026-11-21.

use serde_json::{Value, json};

use super::model::{Conversation, DeliveryStatus, Media, Message, Participant, User};

/// The document `<CH>.channel`.
pub(super) fn document(conversation: &Conversation) -> Value {
    let sid = conversation.sid;
    let mut data = json!({
        "sid": sid,
        "attributes": attributes(&conversation.attributes),
        "createdBy": conversation.created_by,
        "dateCreated": conversation.created.to_string(),
        "dateUpdated": conversation.updated.to_string(),
        "friendlyName": conversation.friendly_name,
        "uniqueName": conversation.unique_name,
        "type": "private",
        "messages": format!("{sid}.messages"),
        "roster": format!("{sid}.roster"),
        "state": {
            "current": conversation.state.as_str(),
            "dateUpdated": conversation.state_changed.to_string(),
        },
        "bindings": {},
    });
    if let Some(last) = conversation.messages.values().next_back() {
        data["lastMessage"] = json!({"index": last.index, "timestamp": last.created.to_string()});
    }
    data
}

/// Attributes as JSON; what a `Value` cannot hold stays the text that it is, which clients read too.
fn attributes(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

/// An item of the map `<identity>.channels`.
pub(super) fn channel_item(conversation: &Conversation, participant: &Participant) -> Value {
    let sid = conversation.sid;
    json!({
        "channel_sid": sid,
        "channel": format!("{sid}.channel"),
        "messages": format!("{sid}.messages"),
        "roster": format!("{sid}.roster"),
        "status": "joined",
        "lastConsumedMessageIndex": participant.last_read_index,
        "notificationLevel": participant.notification_level.as_str(),
    })
}

/// An item of the map `<CH>.roster`.
pub(super) fn roster_item(participant: &Participant, user: Option<&User>) -> Value {
    // An identity that speaks through a projected address is in chat.
    let outside = participant.binding.as_ref().filter(|_| participant.identity.is_none());
    let kind = outside.map_or("chat", |binding| binding.channel.as_str());
    let mut item = json!({
        "identity": participant.identity,
        "type": kind,
        "attributes": participant.attributes,
        "dateCreated": participant.created.to_string(),
        "dateUpdated": participant.updated.to_string(),
        "roleSid": participant.role,
        "lastConsumedMessageIndex": participant.last_read_index,
        "lastConsumptionTimestamp": participant.last_read_at.map(|at| at.to_string()),
        "bindings": {},
    });
    if let Some(user) = user {
        item["userInfo"] = json!(format!("{}.info", user.sid));
    }
    item
}

/// An item of the list `<CH>.messages`.
pub(super) fn message(message: &Message) -> Value {
    let kind = if message.media.is_empty() { "text" } else { "media" };
    let mut item = json!({
        "sid": message.sid,
        "text": message.body,
        "type": kind,
        "author": message.author,
        "subject": message.subject,
        "contentSid": message.content_sid,
        "attributes": message.attributes,
        "timestamp": message.created.to_string(),
        "dateUpdated": message.updated.to_string(),
        "lastUpdatedBy": message.last_updated_by,
        "memberSid": message.participant,
        "channelMetadata": false,
    });
    if let Some(first) = message.media.first() {
        item["medias"] = message.media.iter().map(media).collect();
        item["media"] = media(first);
    }
    if let Some(delivery) = delivery(message) {
        item["delivery"] = delivery;
    }
    item
}

fn media(media: &Media) -> Value {
    json!({
        "sid": media.sid,
        "category": media.category,
        "filename": media.filename,
        "contentType": media.content_type,
        "size": media.size,
    })
}

/// The aggregated delivery receipt; none for a message that went to no phone.
///
/// Source: REST notes 2.2 and Conversations protocol notes 2, read 2026-11-21. That a delivered
/// message counts as sent too, and a read one as delivered, is assumed.
pub(crate) fn delivery(message: &Message) -> Option<Value> {
    let total = message.receipts.len();
    if total == 0 {
        return None;
    }
    let share = |counts: &[DeliveryStatus]| {
        let count =
            message.receipts.iter().filter(|receipt| counts.contains(&receipt.status)).count();
        match count {
            0 => "none",
            count if count == total => "all",
            _ => "some",
        }
    };
    Some(json!({
        "total": total,
        "sent": share(&[
            DeliveryStatus::Sent,
            DeliveryStatus::Delivered,
            DeliveryStatus::Read,
            DeliveryStatus::Undelivered,
        ]),
        "delivered": share(&[DeliveryStatus::Delivered, DeliveryStatus::Read]),
        "read": share(&[DeliveryStatus::Read]),
        "failed": share(&[DeliveryStatus::Failed]),
        "undelivered": share(&[DeliveryStatus::Undelivered]),
    }))
}

/// The items of the map `<US>.info`.
pub(super) fn user_items(user: &User) -> [(&'static str, Value); 3] {
    [
        (
            "friendlyName",
            json!({
                "type": "string",
                "value": user.friendly_name.as_ref().unwrap_or(&user.identity),
            }),
        ),
        ("attributes", json!({"type": "string", "value": user.attributes})),
        ("reachability", json!({"online": user.online, "notifiable": false})),
    ]
}
