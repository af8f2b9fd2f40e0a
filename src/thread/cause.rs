//! Why an attempt failed, in one word: a closed set, the same in dead letters, reports and the log.

use serde::{Serialize, Serializer};

use super::SkipReason;

/// The class of a cause that is kept with a job.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum CauseClass {
    /// Twilio's answer: it is so already.
    Done,
    /// Twilio's answer: it may be tried again.
    Retry,
    /// Twilio's answer, or none: it may have been done.
    Look,
    /// Twilio's answer: it fails until the configuration changes.
    Reconfigure,
    /// Twilio's answer: it fails for ever.
    Dead,
    /// The record is another release's, or of what is not served here.
    Unreadable,
    /// Whether it was done will never be known.
    Unknown,
    /// The reply cannot be brought as it is.
    Unsendable,
    /// The reply has more segments than a reply may have.
    TooManySegments,
    /// The thread has had its segments of the day.
    DailySegments,
    /// Nobody may write freely to who has said nothing for a day.
    WindowClosed,
    /// Twilio took the reply, and it did not arrive.
    Undelivered,
    /// Nobody is to hear the reply.
    Skipped(SkipReason),
    /// The thread looks like a loop between two bots.
    Loop,
    /// Whether the bot is to be in the thread could not be found out.
    Choice,
    /// What was said before could not be read.
    CatchUp,
    /// Whether a person has the thread could not be found out.
    Handoff,
    /// Who reads along could not be found out.
    Participants,
    /// A file of the turn could not be fetched.
    MediaUnavailable,
    /// The agent was too slow.
    AgentTimeout,
    /// The agent was not there.
    AgentUnreachable,
    /// The agent's bus did not take it.
    AgentBus,
    /// What has to be known to ask the agent could not be read or written.
    AgentStore,
    /// The agent said that it has no answer.
    AgentGaveUp,
    /// The agent refused it.
    AgentStatus,
    /// The turn is larger than what the agent's road takes at once.
    AgentTurnTooLarge,
    /// The agent's answer is larger than what is read, or than what the outbox takes.
    AgentAnswerTooLarge,
    /// The agent's answer is of another form.
    AgentAnswerMalformed,
    /// The agent's answer broke off.
    AgentAnswerIncomplete,
    /// The agent cannot answer before somebody changes its configuration.
    AgentMisconfigured,
    /// The agent answered without a word for the person.
    AgentWordless,
}

impl Serialize for CauseClass {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl CauseClass {
    /// Every class but those of skipped ones, whose words are [`SkipReason`]'s.
    const OWN: &'static [Self] = &[
        Self::Done,
        Self::Retry,
        Self::Look,
        Self::Reconfigure,
        Self::Dead,
        Self::Unreadable,
        Self::Unknown,
        Self::Unsendable,
        Self::TooManySegments,
        Self::DailySegments,
        Self::WindowClosed,
        Self::Undelivered,
        Self::Loop,
        Self::Choice,
        Self::CatchUp,
        Self::Handoff,
        Self::Participants,
        Self::MediaUnavailable,
        Self::AgentTimeout,
        Self::AgentUnreachable,
        Self::AgentBus,
        Self::AgentStore,
        Self::AgentGaveUp,
        Self::AgentStatus,
        Self::AgentTurnTooLarge,
        Self::AgentAnswerTooLarge,
        Self::AgentAnswerMalformed,
        Self::AgentAnswerIncomplete,
        Self::AgentMisconfigured,
        Self::AgentWordless,
    ];

    /// Every word that a cause may have.
    pub fn words() -> impl Iterator<Item = &'static str> {
        let skipped = SkipReason::ALL.iter().map(|reason| reason.as_str());
        Self::OWN.iter().map(|class| class.as_str()).chain(skipped)
    }

    /// The class of a word, if it is one.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        let own = Self::OWN.iter().copied().find(|class| class.as_str() == word);
        let skipped = || SkipReason::ALL.iter().find(|reason| reason.as_str() == word);
        own.or_else(|| skipped().map(|&reason| Self::Skipped(reason)))
    }

    /// Its word, which is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Retry => "retry",
            Self::Look => "look",
            Self::Reconfigure => "reconfigure",
            Self::Dead => "dead",
            Self::Unreadable => "unreadable",
            Self::Unknown => "unknown",
            Self::Unsendable => "unsendable",
            Self::TooManySegments => "too_many_segments",
            Self::DailySegments => "daily_segments",
            Self::WindowClosed => "window_closed",
            Self::Undelivered => "undelivered",
            Self::Skipped(reason) => reason.as_str(),
            Self::Loop => "loop",
            Self::Choice => "choice",
            Self::CatchUp => "catch_up",
            Self::Handoff => "handoff",
            Self::Participants => "participants",
            Self::MediaUnavailable => "media_unavailable",
            Self::AgentTimeout => "agent_timeout",
            Self::AgentUnreachable => "agent_unreachable",
            Self::AgentBus => "agent_bus",
            Self::AgentStore => "agent_store",
            Self::AgentGaveUp => "agent_gave_up",
            Self::AgentStatus => "agent_status",
            Self::AgentTurnTooLarge => "agent_turn_too_large",
            Self::AgentAnswerTooLarge => "agent_answer_too_large",
            Self::AgentAnswerMalformed => "agent_answer_malformed",
            Self::AgentAnswerIncomplete => "agent_answer_incomplete",
            Self::AgentMisconfigured => "agent_misconfigured",
            Self::AgentWordless => "agent_wordless",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_among_all() {
        let sources = [include_str!("cause.rs"), include_str!("skip.rs")];
        let arms = sources.iter().flat_map(|source| source.split(" => \"").skip(1));
        let mut count = 0;
        for word in
            arms.map(|rest| rest.split('"').next().unwrap()).filter(|word| !word.contains('\\'))
        {
            assert!(CauseClass::words().any(|known| known == word), "{word}");
            count += 1;
        }
        assert_eq!(count, CauseClass::words().count());
    }
}
