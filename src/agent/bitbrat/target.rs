//! Where an egress event is to be sent, and whether it is ours at all. Pure.

use super::event::Event;
use crate::thread::ThreadId;

/// Why an event has no place to go.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Missing {
    /// Nothing names a thread.
    #[error("the event names no thread")]
    NoTarget,
    /// What is named is no thread.
    #[error("the event's target is no thread: CH or TH and 32 hexadecimal digits")]
    InvalidTarget,
    /// Nothing is known of the thread that is named.
    #[error("nobody has written in the event's thread, or it is of a channel that is off")]
    UnknownThread,
}

impl Missing {
    /// The word for it in snapshots and dead letters.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoTarget => "no_target",
            Self::InvalidTarget => "invalid_target",
            Self::UnknownThread => "unknown_thread",
        }
    }
}

/// Finds the thread: `egress.channel`, else `ingress.channel`, else the one that the identity's
/// metadata names. `unknown` is no name. A name that is no thread's is not passed over, since what
/// comes after it may be somebody else's.
///
/// # Errors
///
/// [`Missing`], if nothing or no thread is named.
pub fn find(event: &Event) -> Result<ThreadId, Missing> {
    let named = [
        &["egress", "channel"][..],
        &["ingress", "channel"],
        &["identity", "external", "metadata", "conversationSid"],
    ]
    .into_iter()
    .filter_map(|path| event.text(path).map(str::trim))
    .find(|name| *name != UNKNOWN)
    .ok_or(Missing::NoTarget)?;
    named.parse().map_err(|_| Missing::InvalidTarget)
}

/// What `tool-gateway` writes for a channel that it does not know.
/// Source: `BitBrat` 0.33.3, `src/apps/tool-gateway.ts`, read 2026-11-21.
const UNKNOWN: &str = "unknown";

/// Whether an event is for Twilio: its connector is `twilio` or starts with `twilio-`.
///
/// On our own topic an event without a connector is ours too; on the topic that all share it is not.
/// Source: `BitBrat` 0.33.3, `src/common/integration-bit.ts`, egress routing, read 2026-11-21.
#[must_use]
pub fn is_ours(event: &Event, is_own_topic: bool) -> bool {
    match event.text(&["egress", "connector"]).map(|name| name.trim().to_ascii_lowercase()) {
        Some(name) => name == "twilio" || name.starts_with("twilio-"),
        None => is_own_topic,
    }
}

/// Whether the text is for a phone's channel, which takes short texts only. What is not known to be a
/// chat is taken for a phone: a chat in two parts is read all the same, a long SMS is refused.
#[must_use]
pub fn is_phone(event: &Event) -> bool {
    event.text(&["identity", "external", "metadata", "channelType"]) != Some("chat")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ONE: &str = "CH11111111111111111111111111111111";
    const TWO: &str = "CH22222222222222222222222222222222";
    const THREE: &str = "CH33333333333333333333333333333333";
    const DIRECT: &str = "TH44444444444444444444444444444444";

    fn event(value: Value) -> Event {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_first_name_that_is_one_is_the_target() {
        let given = |egress: Value, ingress: Value, metadata: Value| {
            let identity = json!({"external": {"metadata": {"conversationSid": metadata}}});
            event(json!({
                "egress": {"channel": egress},
                "ingress": {"channel": ingress},
                "identity": identity,
            }))
        };
        let null = Value::Null;
        for (egress, ingress, metadata, expected) in [
            (json!(ONE), json!(TWO), json!(THREE), Ok(ONE)),
            (null.clone(), json!(TWO), json!(THREE), Ok(TWO)),
            (json!("unknown"), json!(TWO), json!(THREE), Ok(TWO)),
            (json!(DIRECT), json!(TWO), null.clone(), Ok(DIRECT)),
            (json!("unknown"), json!(""), json!(THREE), Ok(THREE)),
            (json!("unknown"), null.clone(), null.clone(), Err(Missing::NoTarget)),
            (json!("#general"), json!(TWO), null.clone(), Err(Missing::InvalidTarget)),
            (null.clone(), null.clone(), null, Err(Missing::NoTarget)),
        ] {
            let found = find(&given(egress.clone(), ingress, metadata));
            assert_eq!(found, expected.map(|sid: &str| sid.parse().unwrap()), "{egress}");
        }
        assert_eq!(find(&event(json!({}))), Err(Missing::NoTarget));
    }

    #[test]
    fn only_twilios_connectors_are_ours() {
        for (connector, on_own, on_shared) in [
            (json!("twilio"), true, true),
            (json!("Twilio-eu"), true, true),
            (json!("twiliox"), false, false),
            (json!("discord"), false, false),
            (json!(""), true, false),
            (Value::Null, true, false),
        ] {
            let event = event(json!({"egress": {"connector": connector}}));
            assert_eq!((is_ours(&event, true), is_ours(&event, false)), (on_own, on_shared));
        }
    }

    #[test]
    fn what_is_not_known_to_be_a_chat_is_a_phone() {
        let given = |kind: Value| {
            event(json!({"identity": {"external": {"metadata": {"channelType": kind}}}}))
        };
        assert!(!is_phone(&given(json!("chat"))));
        assert!(is_phone(&given(json!("sms"))));
        assert!(is_phone(&event(json!({}))));
    }
}
