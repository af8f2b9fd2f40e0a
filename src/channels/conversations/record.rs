//! What the queue of joins holds: versioned records, written as JSON; and the mark that replies bear.
//! Pure.
//!
//! A record read today may have been written by an older release, so it is an enum whose variants carry
//! their version, and a variant is never changed, only added to.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::queue::JobId;
use crate::twilio::sid::ConversationSid;

/// The key of our own object in a message's attributes.
pub const ATTRIBUTE: &str = "chimein";

/// A conversation that the bot should be in.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "v")]
pub enum Join {
    /// The first form.
    #[serde(rename = "1")]
    V1 {
        /// The conversation.
        conversation: ConversationSid,
        /// When we heard of it.
        at: Timestamp,
    },
}

/// The join's job id: one for each conversation, whoever asks.
#[must_use]
pub fn join_id(conversation: ConversationSid) -> JobId {
    JobId::digest("join", &[conversation.as_bytes()])
}

/// The job id of a join that is asked for again: one for each conversation, minute and state of the
/// conversation, as far as its last update is known.
#[must_use]
pub fn rejoin_id(
    conversation: ConversationSid,
    at: Timestamp,
    updated: Option<Timestamp>,
) -> JobId {
    let minute = at.as_secs().div_euclid(60).to_be_bytes();
    let updated = updated.map_or(0, Timestamp::as_millis).to_be_bytes();
    JobId::digest("rejoin", &[conversation.as_bytes(), &minute, &updated])
}

/// The attributes that a reply is sent with: the agent's own and our key.
#[must_use]
pub fn attributes_with_key(attributes: &Map<String, Value>, id: Uuid) -> Value {
    let mut attributes = attributes.clone();
    attributes.insert(ATTRIBUTE.to_owned(), json!({"reply": id.to_string()}));
    Value::Object(attributes)
}

/// Finds the reply id in a message's attributes. Anybody can write one there.
#[must_use]
pub fn reply_key(attributes: &Map<String, Value>) -> Option<Uuid> {
    attributes.get(ATTRIBUTE)?.get("reply")?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_older_releases_stored_is_still_read() {
        let conversation = ConversationSid::from_bytes([0xcc; 16]);
        let join = Join::V1 { conversation, at: Timestamp::from_millis(1_795_000_000_000) };
        let stored = concat!(
            r#"{"v":"1","conversation":"CHcccccccccccccccccccccccccccccccc","#,
            r#""at":1795000000000}"#
        );
        assert_eq!(serde_json::to_string(&join).unwrap(), stored);
        assert_eq!(serde_json::from_str::<Join>(stored).unwrap(), join);
    }

    #[test]
    fn a_reply_is_known_by_its_key() {
        let id = Uuid::from_u128(7);
        let mut given = Map::new();
        given.insert("lang".into(), json!("en"));
        let attributes = attributes_with_key(&given, id);
        assert_eq!(attributes["lang"], "en");
        assert_eq!(reply_key(attributes.as_object().unwrap()), Some(id));
        assert_eq!(reply_key(&given), None);
    }
}
