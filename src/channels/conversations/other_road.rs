//! Tells the messages of a conversation that another road answers: those of people who write to a number
//! that is served without a conversation.
//!
//! A message tells who wrote it and not to which of our numbers. The participants do; they are asked for
//! once for each writer of a conversation, and only where there is such a number that the writer's phone can
//! reach. Whoever has no phone in the conversation is answered there as anywhere. The
//! [rules](super::join_rules) keep the bot out of new conversations over such a number; here it is about
//! those in which it sits already.

use std::sync::Arc;

use crate::channels::conversations::facts::ConversationFacts;
use crate::channels::conversations::join_rules::JoinRules;
use crate::pii::Pii;
use crate::recent::Recent;
use crate::twilio::rest;
use crate::twilio::sid::ConversationSid;

/// How many writers are remembered at most; one that is forgotten costs asking again.
const WRITERS_MAX: usize = 100_000;

/// Who is answered by another road.
pub struct OtherRoad {
    /// Know which of our addresses are served without a conversation.
    rules: Arc<JoinRules>,
    facts: Arc<ConversationFacts>,
    known: Recent<(ConversationSid, Pii), bool>,
}

impl OtherRoad {
    /// Starts with no memory.
    #[must_use]
    pub fn new(rules: Arc<JoinRules>, facts: Arc<ConversationFacts>) -> Self {
        Self { rules, facts, known: Recent::new(WRITERS_MAX) }
    }

    /// Whether a writer's messages in a conversation come by another road too, and are answered there.
    ///
    /// # Errors
    ///
    /// If Twilio did not say.
    pub async fn answers(
        &self,
        conversation: ConversationSid,
        writer: &Pii,
    ) -> Result<bool, rest::Error> {
        let direct = &self.rules.policy.direct;
        if !may_be_direct(writer, direct) {
            return Ok(false);
        }
        let name = (conversation, writer.clone());
        if let Some(known) = self.known.get(&name) {
            return Ok(known);
        }
        let participants = self.facts.participants(conversation).await?;
        let mut bindings = participants.iter().filter_map(|one| one.messaging_binding.as_ref());
        let answers = bindings.any(|binding| is_direct(binding, writer, direct));
        self.known.insert(name, answers);
        Ok(answers)
    }
}

/// Whether somebody writes from a phone by which one of these addresses of ours can be reached.
fn may_be_direct(writer: &Pii, direct: &[Pii]) -> bool {
    let theirs = word(writer);
    let is_phone = theirs.is_some() || writer.reveal().starts_with('+');
    is_phone && direct.iter().any(|ours| word(ours) == theirs)
}

/// The word of its channel before an address, if that is not SMS.
fn word(address: &Pii) -> Option<&str> {
    address.reveal().split_once(':').map(|(word, _)| word)
}

/// Whether somebody writes over one of these addresses of ours.
fn is_direct(binding: &rest::Binding, writer: &Pii, direct: &[Pii]) -> bool {
    let is_ours = |ours: &Pii| direct.contains(ours);
    binding.address.as_ref() == Some(writer) && binding.proxy_address.as_ref().is_some_and(is_ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_pair_of_a_direct_number_is_answered_elsewhere() {
        let direct = ["+15555550100".into(), "whatsapp:+15555550100".into()];
        for (theirs, ours, writer, expected) in [
            ("+15555550123", Some("+15555550100"), "+15555550123", true),
            ("+15555550123", Some("+15555550100"), "+15555550124", false),
            ("+15555550123", Some("+15555550101"), "+15555550123", false),
            ("whatsapp:+1", Some("whatsapp:+15555550100"), "whatsapp:+1", true),
            // In a group our number stands for the bot, and nobody writes to it alone.
            ("+15555550123", None, "+15555550123", false),
        ] {
            let binding = rest::Binding {
                channel: None,
                address: Some(theirs.into()),
                proxy_address: ours.map(Into::into),
                projected_address: None,
            };
            assert!(may_be_direct(&writer.into(), &direct), "{writer}");
            let is_elsewhere = is_direct(&binding, &writer.into(), &direct);
            assert_eq!(is_elsewhere, expected, "{theirs} {ours:?} {writer}");
        }
    }

    #[test]
    fn nobody_is_asked_for_who_cannot_write_to_a_direct_number() {
        for (writer, ours, expected) in [
            ("+15555550123", "+15555550100", true),
            ("+15555550123", "whatsapp:+15555550100", false),
            ("whatsapp:+15555550123", "+15555550100", false),
            ("whatsapp:US.1a", "whatsapp:+15555550100", true),
            ("alice", "+15555550100", false),
        ] {
            let may_be = may_be_direct(&writer.into(), &[ours.into()]);
            assert_eq!(may_be, expected, "{writer} {ours}");
        }
        assert!(!may_be_direct(&"+15555550123".into(), &[]));
    }
}
