//! Which conversations the bot is to be in. Pure: facts and the time in, a verdict out.
//!
//! Every wish that is set must be met: one of our addresses, and none that is served without conversations,
//! an attribute, a time of creation. A fact
//! that a door does not know leaves the verdict open, and whoever must know asks Twilio for it; a
//! fact that refuses is enough, whatever else is not known.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::pii::Pii;

/// What the operator wishes; the default is every conversation.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct JoinPolicy {
    /// Addresses of ours that the conversation runs over, any of them; empty for all. One that ends
    /// in `:` or `*` stands for all that begin with it.
    pub addresses: Vec<String>,
    /// Addresses of ours that are served without conversations: a conversation over one of them would
    /// answer its messages a second time.
    pub direct: Vec<Pii>,
    /// A name of the conversation's attributes and the value that it must have.
    pub attribute: Option<(String, String)>,
    /// When it must have been made.
    pub created: Option<Since>,
}

/// From when on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Since {
    /// From this time on.
    Time(Timestamp),
    /// Not longer ago than this.
    Age(Duration),
}

impl Since {
    /// The time from when on.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Time(at) => at,
            Self::Age(age) => now.before(age),
        }
    }
}

/// What is known of a conversation; what is `None` is not known.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// All addresses of its participants, ours among them.
    pub addresses: Option<Vec<Pii>>,
    /// Its attributes.
    pub attributes: Option<Map<String, Value>>,
    /// When it was made.
    pub created: Option<Timestamp>,
}

/// Whether the bot is to be in a conversation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It is.
    Join,
    /// It is not.
    Refuse(Reason),
    /// That follows from facts that are not known.
    Open,
}

/// Why the bot is not to be in a conversation.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Reason {
    /// It runs over no address that is wished, or over one that is served without conversations.
    Address,
    /// It does not have the attribute.
    Attribute,
    /// It was made too early.
    Age,
}

impl Reason {
    /// The word for logs and journal.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Attribute => "attribute",
            Self::Age => "age",
        }
    }
}

impl JoinPolicy {
    /// Whether every conversation is wished.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// Judges a conversation by what is known of it.
    #[must_use]
    pub fn judge(&self, facts: &Facts, now: Timestamp) -> Verdict {
        let wishes = [
            (Reason::Age, self.is_young(facts, now)),
            (Reason::Attribute, self.has_attribute(facts)),
            (Reason::Address, self.has_address(facts)),
        ];
        let refused = wishes.iter().find(|(_, met)| *met == Some(false));
        match refused {
            Some((reason, _)) => Verdict::Refuse(*reason),
            None if wishes.iter().all(|(_, met)| *met == Some(true)) => Verdict::Join,
            None => Verdict::Open,
        }
    }

    fn is_young(&self, facts: &Facts, now: Timestamp) -> Option<bool> {
        let Some(since) = self.created else { return Some(true) };
        Some(facts.created? >= since.at(now))
    }

    fn has_attribute(&self, facts: &Facts) -> Option<bool> {
        let Some((name, wanted)) = &self.attribute else { return Some(true) };
        Some(facts.attributes.as_ref()?.get(name).is_some_and(|value| is_value(value, wanted)))
    }

    fn has_address(&self, facts: &Facts) -> Option<bool> {
        if self.addresses.is_empty() && self.direct.is_empty() {
            return Some(true);
        }
        let known = facts.addresses.as_ref()?;
        if known.iter().any(|known| self.direct.contains(known)) {
            return Some(false);
        }
        let is_wished = |known: &Pii| {
            self.addresses.iter().any(|wished| matches_address(wished, known.reveal()))
        };
        Some(self.addresses.is_empty() || known.iter().any(is_wished))
    }
}

/// Text is compared as it stands, numbers and truth values as JSON.
#[must_use]
pub fn is_value(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => text == wanted,
        Value::Bool(_) | Value::Number(_) => {
            serde_json::from_str(wanted).is_ok_and(|wanted: Value| wanted == *value)
        }
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

/// Whether an address is the wished one, or begins as a wish that ends in `:` or `*` does.
#[must_use]
pub fn matches_address(wished: &str, address: &str) -> bool {
    match wished.strip_suffix('*') {
        Some(start) => address.starts_with(start),
        None if wished.ends_with(':') => address.starts_with(wished),
        None => address == wished,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);
    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn without_a_wish_every_conversation_is_joined() {
        assert!(JoinPolicy::default().is_all());
        assert_eq!(JoinPolicy::default().judge(&Facts::default(), NOW), Verdict::Join);
    }

    #[test]
    fn each_wish_is_met_refused_or_open() {
        let (address, attribute, age) = (Reason::Address, Reason::Attribute, Reason::Age);
        for (which, facts, verdict) in [
            (over(&["+1"]), of(&["+2", "+1"]), Verdict::Join),
            (over(&["+1"]), of(&["+2"]), Verdict::Refuse(address)),
            (over(&["+1"]), of(&["+12"]), Verdict::Refuse(address)),
            (over(&["+1"]), of(&["whatsapp:+1"]), Verdict::Refuse(address)),
            (over(&["+1"]), of(&[]), Verdict::Refuse(address)),
            (over(&["+1"]), Facts::default(), Verdict::Open),
            (over(&["+9", "whatsapp:"]), of(&["whatsapp:+1"]), Verdict::Join),
            (over(&["whatsapp:+1555*"]), of(&["whatsapp:+15550"]), Verdict::Join),
            (over(&["whatsapp:+1555*"]), of(&["whatsapp:+1444"]), Verdict::Refuse(address)),
            (with("bot", "on"), having(&json!({"bot": "on"})), Verdict::Join),
            (with("bot", "true"), having(&json!({"bot": true})), Verdict::Join),
            (with("level", "3"), having(&json!({"level": 3})), Verdict::Join),
            (with("bot", "on"), having(&json!({"bot": "off"})), Verdict::Refuse(attribute)),
            (with("bot", "on"), having(&json!({"bot": ["on"]})), Verdict::Refuse(attribute)),
            (with("bot", "null"), having(&json!({"bot": null})), Verdict::Refuse(attribute)),
            (with("bot", "on"), having(&json!({})), Verdict::Refuse(attribute)),
            (with("bot", "on"), Facts::default(), Verdict::Open),
            (since(Since::Time(NOW)), made(NOW), Verdict::Join),
            (since(Since::Time(NOW + DAY)), made(NOW), Verdict::Refuse(age)),
            (since(Since::Age(DAY)), made(NOW.before(DAY)), Verdict::Join),
            (since(Since::Age(DAY)), made(NOW.before(DAY * 2)), Verdict::Refuse(age)),
            (since(Since::Age(DAY)), Facts::default(), Verdict::Open),
        ] {
            assert_eq!(which.judge(&facts, NOW), verdict, "{which:?} {:?}", facts.attributes);
        }
    }

    #[test]
    fn an_address_that_is_served_without_conversations_refuses_whatever_else_is_wished() {
        let direct = |which: JoinPolicy| JoinPolicy { direct: vec!["+3".into()], ..which };
        let address = Verdict::Refuse(Reason::Address);
        for (which, facts, verdict) in [
            (JoinPolicy::default(), of(&["+2", "+3"]), address),
            (JoinPolicy::default(), of(&["+2", "+33"]), Verdict::Join),
            (JoinPolicy::default(), of(&[]), Verdict::Join),
            (JoinPolicy::default(), Facts::default(), Verdict::Open),
            (over(&["+1", "+3"]), of(&["+1", "+3"]), address),
            (over(&["+1"]), of(&["+1"]), Verdict::Join),
            (over(&["+1"]), of(&["+2"]), address),
        ] {
            let which = direct(which);
            assert!(!which.is_all());
            assert_eq!(which.judge(&facts, NOW), verdict, "{which:?} {facts:?}");
        }
    }

    #[test]
    fn every_wish_counts_and_one_refusal_is_enough() {
        let which = JoinPolicy { addresses: vec!["+1".into()], ..with("bot", "on") };
        let (right, wrong) = (json!({"bot": "on"}), json!({}));
        for (addresses, attributes, verdict) in [
            (Some("+1"), Some(&right), Verdict::Join),
            (Some("+1"), None, Verdict::Open),
            (None, Some(&right), Verdict::Open),
            (None, Some(&wrong), Verdict::Refuse(Reason::Attribute)),
            (Some("+2"), None, Verdict::Refuse(Reason::Address)),
            (Some("+2"), Some(&wrong), Verdict::Refuse(Reason::Attribute)),
        ] {
            let facts = Facts {
                addresses: addresses.map(|address| vec![address.into()]),
                attributes: attributes.and_then(Value::as_object).cloned(),
                created: None,
            };
            assert_eq!(which.judge(&facts, NOW), verdict, "{facts:?}");
        }
    }

    fn over(addresses: &[&str]) -> JoinPolicy {
        let addresses = addresses.iter().map(|&address| address.to_owned()).collect();
        JoinPolicy { addresses, ..JoinPolicy::default() }
    }

    fn with(name: &str, value: &str) -> JoinPolicy {
        JoinPolicy { attribute: Some((name.to_owned(), value.to_owned())), ..JoinPolicy::default() }
    }

    fn since(since: Since) -> JoinPolicy {
        JoinPolicy { created: Some(since), ..JoinPolicy::default() }
    }

    fn of(addresses: &[&str]) -> Facts {
        let addresses = addresses.iter().map(|&address| address.into()).collect();
        Facts { addresses: Some(addresses), ..Facts::default() }
    }

    fn having(attributes: &Value) -> Facts {
        Facts { attributes: attributes.as_object().cloned(), ..Facts::default() }
    }

    fn made(at: Timestamp) -> Facts {
        Facts { created: Some(at), ..Facts::default() }
    }
}
