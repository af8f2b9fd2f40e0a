//! What an egress event asks for. Pure.
//!
//! An event for another connector is ignored, and so is one with nothing to say; one with something
//! to say and no place to say it is undeliverable, which is told. The rest is a reply. Its key is made
//! of what it says, so an event that comes twice is one reply, and two different replies to the same
//! request are two.

use super::event::Event;
use super::progress::{self, Progress, ProgressWish};
use super::selection::{self, ChosenText};
use super::target::{self, Missing};
use crate::queue::JobId;
use crate::thread::{MessageId, ThreadId};

/// What an egress event asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Wanted {
    /// To say something.
    Reply(WantedReply),
    /// Nothing of us.
    Nothing(Ignored),
    /// To say something nowhere.
    Undeliverable(Missing),
}

/// Why an event asks for nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ignored {
    /// It is for another connector.
    OtherConnector,
    /// It has no text.
    NoText,
    /// It is a word of progress that nobody wishes, or one that says nothing.
    Progress,
}

impl Ignored {
    /// The word for it in the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OtherConnector => "other_connector",
            Self::NoText => "no_text",
            Self::Progress => "progress",
        }
    }
}

/// What is to be said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WantedReply {
    /// Where.
    pub thread: ThreadId,
    /// What, and which candidate's it is.
    pub chosen: ChosenText,
    /// The same for the same reply.
    pub key: String,
    /// The message that it answers, where the event names it.
    pub turn: Option<MessageId>,
    /// Whether the text is for a phone's channel.
    pub is_phone: bool,
    /// The word of progress that it is, if it is no answer.
    pub progress: Option<Progress>,
}

/// Reads an event that came on our own topic, or on the one that all connectors share.
///
/// `fallback` names the event where its body has no correlation id, and `wish` says to whom words of
/// progress are sent.
#[must_use]
pub fn judge(event: &Event, is_own_topic: bool, fallback: &str, wish: ProgressWish) -> Wanted {
    if !target::is_ours(event, is_own_topic) {
        return Wanted::Nothing(Ignored::OtherConnector);
    }
    let (progress, is_phone) = (progress::of(event), target::is_phone(event));
    if progress.is_some() && !wish.sends(is_phone) {
        return Wanted::Nothing(Ignored::Progress);
    }
    let Some(chosen) = selection::choose(event) else {
        // Nothing is said by a word of progress either, the answer is still to come.
        let reason = if progress.is_some() { Ignored::Progress } else { Ignored::NoText };
        return Wanted::Nothing(reason);
    };
    match target::find(event) {
        Ok(thread) => Wanted::Reply(WantedReply {
            thread,
            key: key(event, &chosen, fallback),
            chosen,
            turn: turn(event),
            is_phone,
            progress,
        }),
        Err(missing) => Wanted::Undeliverable(missing),
    }
}

/// The message that an event is about, where it names it.
#[must_use]
pub fn turn(event: &Event) -> Option<MessageId> {
    event.text(&["message", "id"]).and_then(|sid| sid.parse().ok())
}

/// The digest of request, candidate and text. The text is part of it because nothing promises that a
/// producer names its candidates anew each time.
fn key(event: &Event, chosen: &ChosenText, fallback: &str) -> String {
    let correlation_id = match event.correlation_id() {
        "" => fallback,
        id => id,
    };
    let candidate = chosen.candidate.as_deref().unwrap_or_default();
    let parts = [correlation_id.as_bytes(), candidate.as_bytes(), chosen.text.as_bytes()];
    JobId::digest("bitbrat-egress", &parts).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const CONVERSATION: &str = "CH11111111111111111111111111111111";

    fn delivered(correlation: &str, candidate: &str, text: &str) -> Value {
        json!({
            "correlationId": correlation,
            "egress": {"connector": "twilio", "channel": CONVERSATION},
            "identity": {"external": {"metadata": {"channelType": "sms"}}},
            "message": {"id": "IM22222222222222222222222222222222", "role": "user", "text": "q"},
            "candidates": [{"id": candidate, "text": text}],
        })
    }

    fn judged(event: Value) -> Wanted {
        judge(&serde_json::from_value(event).unwrap(), false, "stream:7", ProgressWish::Chats)
    }

    fn key_of(event: Value) -> String {
        match judged(event) {
            Wanted::Reply(reply) => reply.key,
            Wanted::Nothing(_) | Wanted::Undeliverable(_) => panic!("no reply"),
        }
    }

    #[test]
    fn a_reply_knows_its_place_its_text_and_its_turn() {
        let Wanted::Reply(reply) = judged(delivered("c", "cand-1", "hi")) else { panic!() };
        assert_eq!(reply.thread, CONVERSATION.parse().unwrap());
        assert_eq!(reply.chosen.text, "hi");
        assert_eq!(reply.turn, "IM22222222222222222222222222222222".parse().ok());
        assert!(reply.is_phone);
    }

    #[test]
    fn the_same_reply_has_the_same_key_and_another_one_another() {
        let first = key_of(delivered("c", "cand-1", "hi"));
        let mut again = delivered("c", "cand-1", "hi");
        again["routing"] = json!({"stage": "response"});
        assert_eq!(key_of(again), first);
        for other in [
            delivered("d", "cand-1", "hi"),
            delivered("c", "cand-2", "hi"),
            delivered("c", "cand-1", "ho"),
            delivered("", "cand-1", "hi"),
        ] {
            assert_ne!(key_of(other), first);
        }
    }

    #[test]
    fn what_is_not_for_us_or_says_nothing_asks_for_nothing() {
        let mut other = delivered("c", "cand-1", "hi");
        other["egress"]["connector"] = json!("discord");
        assert_eq!(judged(other), Wanted::Nothing(Ignored::OtherConnector));
        assert_eq!(judged(delivered("c", "cand-1", " ")), Wanted::Nothing(Ignored::NoText));
        let mut word = delivered("c", "cand-1", "Thinking");
        word["annotations"] = json!([{"kind": "progress_feedback", "value": {}}]);
        assert_eq!(judged(word.clone()), Wanted::Nothing(Ignored::Progress));
        word["identity"]["external"]["metadata"]["channelType"] = json!("chat");
        let Wanted::Reply(reply) = judged(word.clone()) else { panic!("a chat hears it") };
        assert_eq!(reply.progress, Some(Progress { request: None }));
        word["candidates"] = json!([]);
        assert_eq!(judged(word), Wanted::Nothing(Ignored::Progress));
    }

    #[test]
    fn a_text_without_a_place_is_undeliverable() {
        let mut lost = delivered("c", "cand-1", "hi");
        lost["egress"]["channel"] = json!("unknown");
        assert_eq!(judged(lost), Wanted::Undeliverable(Missing::NoTarget));
    }
}
