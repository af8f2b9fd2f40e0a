//! What happens at the emulated Twilio, as one watches it: messages stored, participants added,
//! webhooks sent and answered, sockets opened, requests served.
//!
//! Pure values; personal data stays [`Pii`], so that printing a record shows none. As JSON, which is
//! how the control API gives them to tests and to the phone page, they are complete.

use serde::Serialize;

use crate::clock::Timestamp;
use crate::pii::Pii;
use crate::twilio::sid::{ConversationSid, MessageSid, ParticipantSid, TextSid};

/// One happening with its place in the order of all of them.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// Counts up from 1 without gaps.
    pub seq: u64,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub what: Happening,
}

/// Something that happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Happening {
    /// A conversation was made.
    ConversationAdded {
        /// The conversation.
        conversation_sid: ConversationSid,
    },
    /// A conversation was changed.
    ConversationUpdated {
        /// The conversation.
        conversation_sid: ConversationSid,
        /// Its state now.
        state: &'static str,
    },
    /// A conversation was removed.
    ConversationRemoved {
        /// The conversation.
        conversation_sid: ConversationSid,
    },
    /// A participant came in.
    ParticipantAdded {
        /// The conversation.
        conversation_sid: ConversationSid,
        /// The participant.
        participant_sid: ParticipantSid,
        /// Its identity, in chat.
        identity: Option<Pii>,
        /// Its address, on a channel.
        address: Option<Pii>,
    },
    /// A participant was changed.
    ParticipantUpdated {
        /// The conversation.
        conversation_sid: ConversationSid,
        /// The participant.
        participant_sid: ParticipantSid,
        /// How far it has read.
        last_read_message_index: Option<u64>,
    },
    /// A participant went.
    ParticipantRemoved {
        /// The conversation.
        conversation_sid: ConversationSid,
        /// The participant.
        participant_sid: ParticipantSid,
    },
    /// A message was stored.
    MessageAdded {
        /// The conversation.
        conversation_sid: ConversationSid,
        /// The message.
        message_sid: MessageSid,
        /// Its index.
        index: u64,
        /// Who wrote it.
        author: Pii,
        /// What it says.
        body: Option<Pii>,
        /// Its attributes.
        attributes: Pii,
        /// By which road it came: API, SDK, SMS, WHATSAPP.
        source: &'static str,
    },
    /// A message was changed.
    MessageUpdated {
        /// The conversation.
        conversation_sid: ConversationSid,
        /// The message.
        message_sid: MessageSid,
        /// What it says now.
        body: Option<Pii>,
    },
    /// A message was removed.
    MessageRemoved {
        /// The conversation.
        conversation_sid: ConversationSid,
        /// The message.
        message_sid: MessageSid,
    },
    /// A message made its way to, or failed to reach, a phone.
    DeliveryUpdated {
        /// The conversation.
        conversation_sid: ConversationSid,
        /// The message.
        message_sid: MessageSid,
        /// The recipient.
        participant_sid: ParticipantSid,
        /// Twilio's word for the state.
        status: &'static str,
        /// Why it failed.
        error_code: Option<u32>,
    },
    /// Somebody types.
    Typing {
        /// The conversation.
        conversation_sid: ConversationSid,
        /// Who types.
        identity: Pii,
    },
    /// A phone's message went nowhere.
    InboundDropped {
        /// Why.
        reason: &'static str,
    },
    /// A webhook was sent.
    WebhookSent {
        /// Its idempotency token.
        delivery_id: String,
        /// Which scope it belongs to.
        scope: &'static str,
        /// The event.
        event_type: &'static str,
        /// The conversation, if there is one yet.
        conversation_sid: Option<ConversationSid>,
        /// GET or POST.
        method: &'static str,
        /// Where it went.
        url: String,
        /// Its headers, the signature among them.
        headers: Vec<(&'static str, Pii)>,
        /// What it carried.
        fields: Vec<(String, Pii)>,
    },
    /// A webhook was answered, or not.
    WebhookAnswered {
        /// Its idempotency token.
        delivery_id: String,
        /// The event.
        event_type: &'static str,
        /// The status, absent if none came.
        status: Option<u16>,
        /// What went wrong: `timeout`, `connection` or nothing.
        error: Option<&'static str>,
        /// The type of the answer's body.
        content_type: Option<String>,
        /// How the answer's body begins; absent if there is none.
        body: Option<Pii>,
        /// How long it took.
        elapsed_ms: u64,
    },
    /// A webhook was not sent at all.
    WebhookLost {
        /// The event.
        event_type: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// A REST request was answered.
    Rest {
        /// The method.
        method: String,
        /// The path.
        path: Pii,
        /// The form.
        fields: Vec<(String, Pii)>,
        /// The answer's status; absent if a fault ate the answer.
        status: Option<u16>,
        /// Twilio's error code, if there is one.
        code: Option<u32>,
        /// How long it took.
        elapsed_ms: u64,
    },
    /// A text was accepted by the messaging API.
    TextSent {
        /// Its sid.
        sid: TextSid,
        /// From which number, if that is known yet.
        from: Option<Pii>,
        /// To which number.
        to: Pii,
        /// What it says.
        body: Pii,
    },
    /// A phone's text was kept by the messaging API.
    TextReceived {
        /// Its sid.
        sid: TextSid,
        /// From which number.
        from: Pii,
        /// To which number.
        to: Pii,
        /// What it says.
        body: Pii,
    },
    /// A text made its way to, or failed to reach, a phone.
    TextUpdated {
        /// Its sid.
        sid: TextSid,
        /// Twilio's word for the state.
        status: &'static str,
        /// Why it failed.
        error_code: Option<u32>,
    },
    /// The writer of a text is shown that an answer is being written.
    TextTyping {
        /// The text.
        sid: TextSid,
    },
    /// Twilio complains of something in its debugger.
    Complaint {
        /// The text that it is about.
        sid: TextSid,
        /// Twilio's error code.
        code: u32,
    },
    /// A WebSocket was opened.
    SocketOpened {
        /// Its number.
        conn_id: u64,
    },
    /// A client made itself known.
    SocketInitialised {
        /// The socket.
        conn_id: u64,
        /// The client's identity.
        identity: Pii,
    },
    /// A client was refused.
    SocketRefused {
        /// The socket.
        conn_id: u64,
        /// The status of the answer.
        status: u16,
        /// Twilio's error code.
        code: u32,
    },
    /// A proxied request was answered.
    SocketRequest {
        /// The socket.
        conn_id: u64,
        /// The method.
        method: String,
        /// The path.
        path: Pii,
        /// The body.
        body: Pii,
        /// The mutation id, if there was one.
        mutation_id: Option<String>,
        /// The answer's status; absent if a fault ate the answer.
        status: Option<u16>,
    },
    /// A client subscribed to objects.
    SocketSubscribed {
        /// The socket.
        conn_id: u64,
        /// How many.
        objects: usize,
        /// How many events were replayed.
        replayed: usize,
    },
    /// A WebSocket ended.
    SocketClosed {
        /// Its number.
        conn_id: u64,
        /// Why.
        reason: &'static str,
    },
    /// A fault did its work.
    FaultApplied {
        /// The fault's number.
        fault_id: u64,
        /// What it did.
        action: &'static str,
    },
}

/// The newest records, as many as there is room for.
#[derive(Debug)]
pub struct Records {
    kept: std::collections::VecDeque<Record>,
    room: usize,
    next: u64,
}

impl Records {
    /// Keeps the `room` newest.
    #[must_use]
    pub const fn new(room: usize) -> Self {
        Self { kept: std::collections::VecDeque::new(), room, next: 1 }
    }

    /// Numbers a happening and keeps it.
    pub fn add(&mut self, at: Timestamp, what: Happening) -> Record {
        let record = Record { seq: self.next, at, what };
        self.next = self.next.saturating_add(1);
        while self.kept.len() >= self.room.max(1) {
            self.kept.pop_front();
        }
        self.kept.push_back(record.clone());
        record
    }

    /// The kept records after `seq`, oldest first.
    pub fn after(&self, seq: u64) -> impl Iterator<Item = &Record> {
        self.kept.iter().filter(move |record| record.seq > seq)
    }

    /// Forgets all that is kept; the numbering goes on.
    pub fn clear(&mut self) {
        self.kept.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_bounded_and_numbered_without_gaps() {
        let mut records = Records::new(3);
        for second in 0..5 {
            records.add(
                Timestamp::from_millis(second),
                Happening::InboundDropped { reason: "nobody holds the address" },
            );
        }
        assert_eq!(records.after(0).map(|record| record.seq).collect::<Vec<_>>(), [3, 4, 5]);
        assert_eq!(records.after(4).map(|record| record.seq).collect::<Vec<_>>(), [5]);
        records.clear();
        assert_eq!(records.after(0).count(), 0);
    }

    #[test]
    fn printing_a_record_shows_no_text_and_its_json_shows_all() {
        let happening = Happening::MessageAdded {
            conversation_sid: ConversationSid::from_bytes([1; 16]),
            message_sid: MessageSid::from_bytes([2; 16]),
            index: 0,
            author: Pii::new("+15555550123"),
            body: Some(Pii::new("secret words")),
            attributes: Pii::new("{}"),
            source: "SMS",
        };
        let record = Records::new(1).add(Timestamp::from_millis(0), happening);
        let printed = format!("{record:?}");
        assert!(!printed.contains("secret") && !printed.contains("5555"), "{printed}");
        let json = serde_json::to_value(&record).unwrap();
        assert_eq!(json["kind"], "message_added");
        assert_eq!(json["body"], "secret words");
    }
}
