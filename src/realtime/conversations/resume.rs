//! Where a client stopped, so that the next one need not open every conversation again.
//!
//! Decides what is worth keeping: the Sync sids, which are known only by opening, and the place in
//! each list of messages. Never holds a message or a name. Pure. It may be old, or of another
//! server: whatever fails is opened the long way, whatever is missing is found by its event ids.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::pii::Pii;
use crate::twilio::sid::ConversationSid;

/// The version of the stored form.
const VERSION: u32 = 1;

/// Where a client stopped.
///
/// Serialise it as you like (JSON, say), hand it in as [`crate::realtime::Config::resume`]. Values
/// of another version or identity are ignored.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Resume {
    version: u32,
    identity: Pii,
    seats: BTreeMap<ConversationSid, ResumePoint>,
}

/// Where a seat stopped.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct ResumePoint {
    /// The document and the last event seen of it.
    pub document: (String, i64),
    /// The list of messages and the event up to which nothing is missing.
    pub messages: (String, i64),
    /// Where the items are.
    pub items: String,
    /// The highest index delivered.
    pub delivered: Option<u64>,
    /// The date of the last document seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<Timestamp>,
}

impl Resume {
    /// Where a client of this identity stands, by the places of its seats.
    pub(super) fn new(identity: Pii, seats: BTreeMap<ConversationSid, ResumePoint>) -> Self {
        Self { version: VERSION, identity, seats }
    }

    /// Whether it may be used by this identity.
    pub(super) fn is_of(&self, identity: &Pii) -> bool {
        self.version == VERSION && self.identity == *identity
    }

    /// Takes the place of a seat out.
    pub(super) fn take(&mut self, conversation: ConversationSid) -> Option<ResumePoint> {
        self.seats.remove(&conversation)
    }

    /// The conversations that nobody took the place of.
    pub(super) fn into_seats(self) -> impl Iterator<Item = ConversationSid> {
        self.seats.into_keys()
    }

    /// How many seats it knows.
    #[must_use]
    pub fn seats(&self) -> usize {
        self.seats.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_form_is_fixed_and_bound_to_version_and_identity() {
        let place = ResumePoint {
            document: ("ET1".to_owned(), 3),
            messages: ("ES1".to_owned(), 7),
            items: "https://cds.us1.twilio.com/v3/Services/IS1/Lists/ES1/Items".to_owned(),
            delivered: Some(5),
            updated: None,
        };
        let conversation = ConversationSid::from_bytes([1; 16]);
        let resume = Resume {
            version: VERSION,
            identity: "bot".into(),
            seats: BTreeMap::from([(conversation, place)]),
        };
        let json = serde_json::to_string(&resume).unwrap();
        assert_eq!(
            json,
            r#"{"version":1,"identity":"bot","seats":{"CH01010101010101010101010101010101":{"document":["ET1",3],"messages":["ES1",7],"items":"https://cds.us1.twilio.com/v3/Services/IS1/Lists/ES1/Items","delivered":5}}}"#
        );
        let dated = json.replace("\"delivered\":5", "\"delivered\":5,\"updated\":1795208473958");
        let mut read: Resume = serde_json::from_str(&dated).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), dated);
        let updated = read.take(conversation).and_then(|place| place.updated);
        assert_eq!(updated, Some(Timestamp::from_millis(1_795_208_473_958)));
        let mut read: Resume = serde_json::from_str(&json).unwrap();
        assert!(read.is_of(&"bot".into()) && !read.is_of(&"other".into()));
        assert!(read.take(conversation).is_some() && read.seats() == 0);
        assert!(!Resume::default().is_of(&Pii::default()), "version 0 is nobody's");
    }
}
