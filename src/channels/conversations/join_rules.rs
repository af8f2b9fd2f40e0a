//! Chooses the conversations that the bot is to be in: what arrivals, the joiner, the turns and the
//! sweep ask, and what they remember of the answer.
//!
//! The wishes and the verdict are pure and in [`policy::join_policy`](crate::channels::conversations::policy::join_policy). Here they meet
//! the facts: those that a webhook or a listing tells cost nothing; for the others Twilio is asked,
//! once for each conversation, since the answer is remembered. A refusal is remembered for a minute only
//! where a message or a turn depends on it, for another instance may have heard that it no longer
//! holds, and a join asks whatever is remembered. A conversation in which one of ours
//! sits already is ours, whatever the wishes: somebody put the bot there. Without wishes nothing is
//! asked and nothing remembered.

use std::sync::Arc;
use std::time::Duration;

use crate::channels::conversations::attributes::attributes;
use crate::channels::conversations::facts::ConversationFacts;
use crate::channels::conversations::memory::{Chosen, ConversationMemory};
use crate::channels::conversations::policy::join_policy::{Facts, JoinPolicy, Reason, Verdict};
use crate::channels::conversations::seats::Seats;
use crate::clock::Moment;
use crate::jobs::recorder::Recorder;
use crate::pii::Pii;
use crate::telemetry::journal::Stage;
use crate::telemetry::metrics::labels::JoinOutcome;
use crate::thread::SkipReason;
use crate::twilio::rest;
use crate::twilio::sid::ConversationSid;

/// How long a refusal is believed without asking: a refused conversation in which people chat costs a
/// look a minute.
const REFUSED_FOR: Duration = Duration::from_secs(60);

/// Whether what was decided is believed without asking.
fn holds(chosen: Chosen, now: Moment) -> bool {
    chosen.reason.is_none() || now.since(chosen.at) < REFUSED_FOR
}

/// The wishes, and who has been refused.
pub struct JoinRules {
    /// What the operator wishes.
    pub policy: JoinPolicy,
    /// Knows how conversations are, and remembers what was decided.
    pub facts: Arc<ConversationFacts>,
    /// The identities and their seats.
    pub seats: Arc<Seats>,
    /// Where refusals are noted.
    pub recorder: Recorder,
    memory: Arc<ConversationMemory>,
}

impl JoinRules {
    /// Starts with no memory.
    #[must_use]
    pub fn new(
        policy: JoinPolicy,
        facts: Arc<ConversationFacts>,
        seats: Arc<Seats>,
        recorder: Recorder,
    ) -> Self {
        let memory = facts.memory();
        Self { policy, facts, seats, recorder, memory }
    }

    /// Whether there is anything to choose by.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.policy.is_all()
    }

    /// Whether a conversation was refused, as far as is remembered.
    #[must_use]
    pub fn is_refused(&self, conversation: ConversationSid) -> bool {
        self.known(conversation).is_some_and(|known| known.reason.is_some())
    }

    /// Whether a conversation was refused so lately that nobody need ask again.
    #[must_use]
    pub fn is_just_refused(&self, conversation: ConversationSid) -> bool {
        let now = self.recorder.clock.now();
        self.known(conversation).is_some_and(|known| known.reason.is_some() && holds(known, now))
    }

    /// Whether a conversation was refused because no participant came over a wished address.
    #[must_use]
    pub fn lacks_address(&self, conversation: ConversationSid) -> bool {
        self.known(conversation).is_some_and(|known| known.reason == Some(Reason::Address))
    }

    /// Forgets what was decided: something has changed there.
    pub fn forget(&self, conversation: ConversationSid) {
        self.memory.change(conversation, |known| known.choice = None);
    }

    /// Judges by facts that are at hand. Changes no memory; see [`JoinRules::note`].
    #[must_use]
    pub fn judge(&self, facts: &Facts) -> Verdict {
        self.policy.judge(facts, self.recorder.clock.wall())
    }

    /// Takes a verdict by a listing's or a webhook's facts to memory; what it leaves open stays as
    /// it is remembered. Says whether the conversation is refused.
    #[must_use]
    pub fn note(&self, conversation: ConversationSid, verdict: Verdict) -> bool {
        if self.is_all() {
            return false;
        }
        match verdict {
            Verdict::Join => self.remember(conversation, None),
            Verdict::Refuse(reason) => self.remember(conversation, Some(reason)),
            // Attributes and age are at hand there, and refuse no longer; an address may not be.
            Verdict::Open => {
                let is_over = |known: Chosen| known.reason != Some(Reason::Address);
                if self.known(conversation).is_some_and(is_over) {
                    self.forget(conversation);
                }
            }
        }
        self.is_refused(conversation)
    }

    /// Decides whether the bot is to be in a conversation; asks Twilio where that is not known.
    ///
    /// # Errors
    ///
    /// If Twilio did not say.
    pub async fn wants(&self, conversation: ConversationSid) -> Result<bool, rest::Error> {
        let now = self.recorder.clock.now();
        match self.known(conversation).filter(|known| holds(*known, now)) {
            Some(known) => Ok(known.reason.is_none() || self.seats.is_held(conversation)),
            None => self.wants_still(conversation).await,
        }
    }

    /// Decides whether the bot is to be in a conversation, whatever was decided before: asks Twilio
    /// unless one of ours is known to sit there.
    ///
    /// # Errors
    ///
    /// If Twilio did not say.
    pub async fn wants_still(&self, conversation: ConversationSid) -> Result<bool, rest::Error> {
        if self.is_all() || self.seats.is_held(conversation) {
            return Ok(true);
        }
        let Some(found) = self.facts.conversation(conversation).await? else {
            // The join says so too, and better.
            return Ok(true);
        };
        let participants = self.facts.participants(conversation).await?;
        let facts = Facts {
            addresses: Some(participants.iter().flat_map(addresses).collect()),
            attributes: Some(attributes(found.attributes.as_ref())),
            created: found.created,
        };
        let reason = match self.judge(&facts) {
            Verdict::Join | Verdict::Open => None,
            Verdict::Refuse(reason) => Some(reason),
        };
        let reason = reason.filter(|_| !participants.iter().any(|one| self.is_ours(one)));
        self.remember(conversation, reason);
        Ok(reason.is_none())
    }

    fn is_ours(&self, participant: &rest::Participant) -> bool {
        participant.identity.as_ref().is_some_and(|identity| {
            self.seats.members().iter().any(|line| line.identity == identity.reveal())
        })
    }

    fn known(&self, conversation: ConversationSid) -> Option<Chosen> {
        self.memory.of(conversation).choice
    }

    /// Remembers a decision; a refusal is noted when it is new.
    fn remember(&self, conversation: ConversationSid, reason: Option<Reason>) {
        let chosen = Chosen { reason, at: self.recorder.clock.now() };
        let before = self.memory.change(conversation, |known| known.choice.replace(chosen));
        let before = before.and_then(|before| before.reason);
        let Some(reason) = reason.filter(|_| before.is_none()) else { return };
        tracing::debug!(conversation_sid = %conversation, reason = reason.as_str(),
            "conversation is none of those that the bot is to be in");
        self.recorder.metrics.join(JoinOutcome::Refused);
        let stage = Stage::Skipped { reason: SkipReason::NotChosen };
        self.recorder.stage(conversation, None, stage);
    }
}

/// Every address of a participant; which of them is ours depends on the kind of conversation.
fn addresses(participant: &rest::Participant) -> Vec<Pii> {
    let Some(binding) = &participant.messaging_binding else { return Vec::new() };
    let all = [&binding.proxy_address, &binding.projected_address, &binding.address];
    all.into_iter().flatten().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn a_refusal_is_asked_about_again_and_a_welcome_is_not() {
        let at = Clock::start().now();
        let (refused, welcome) =
            (Chosen { reason: Some(Reason::Address), at }, Chosen { reason: None, at });
        let soon = at + REFUSED_FOR.saturating_sub(Duration::from_millis(1));
        assert!(holds(refused, at) && holds(refused, soon));
        assert!(!holds(refused, at + REFUSED_FOR));
        assert!(holds(welcome, at + REFUSED_FOR * 1000));
    }
}
