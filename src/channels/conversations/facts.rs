//! What Twilio says of a conversation, read once for all who ask at the same time.
//!
//! The joiner, the rules, the handoff, the pace of numbers and the cutting of long replies all want to know
//! how a conversation is and who is in it. They ask here; what lasts is kept in the one memory. I/O is
//! Twilio's REST API; nothing is decided.

use std::sync::Arc;
use std::time::Duration;

use super::flights::Flights;
use super::memory::{ConversationMemory, CountedBy, Readers};
use crate::clock::Clock;
use crate::pii::Pii;
use crate::twilio::rest::{self, Conversation, Participant};
use crate::twilio::sid::ConversationSid;

/// How many participants are read of one conversation at most. Source: Conversations limits: a new service
/// starts with 100, and may be given 1,000.
const PARTICIPANTS_MAX: usize = 1_000;

/// Who knows how conversations are.
pub struct ConversationFacts {
    rest: rest::Client,
    clock: Clock,
    memory: Arc<ConversationMemory>,
    conversations: Flights<Option<Arc<Conversation>>>,
    participants: Flights<(Arc<[Participant]>, Readers)>,
}

impl std::fmt::Debug for ConversationFacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConversationFacts").finish_non_exhaustive()
    }
}

impl ConversationFacts {
    /// Starts with no memory.
    #[must_use]
    pub fn new(rest: rest::Client, clock: Clock) -> Self {
        let memory = Arc::default();
        let (conversations, participants) = (Flights::default(), Flights::default());
        Self { rest, clock, memory, conversations, participants }
    }

    /// What is remembered.
    #[must_use]
    pub fn memory(&self) -> Arc<ConversationMemory> {
        Arc::clone(&self.memory)
    }

    /// How a conversation is now; nothing where there is none in this service.
    ///
    /// # Errors
    ///
    /// If Twilio did not say.
    pub async fn conversation(
        &self,
        sid: ConversationSid,
    ) -> Result<Option<Arc<Conversation>>, rest::Error> {
        let read = async { Ok(self.rest.fetch_conversation(sid).await?.map(Arc::new)) };
        self.conversations.read(sid, read).await
    }

    /// Who is in a conversation now.
    ///
    /// # Errors
    ///
    /// If Twilio did not say.
    pub async fn participants(
        &self,
        sid: ConversationSid,
    ) -> Result<Arc<[Participant]>, rest::Error> {
        Ok(self.present(sid).await?.0)
    }

    async fn present(
        &self,
        sid: ConversationSid,
    ) -> Result<(Arc<[Participant]>, Readers), rest::Error> {
        let read = async {
            let found = self.rest.list_participants(sid).all(PARTICIPANTS_MAX).await?;
            let readers = readers(&found, &self.clock);
            self.memory.change(sid, |known| known.readers = Some(readers.clone()));
            Ok((found.into(), readers))
        };
        self.participants.read(sid, read).await
    }

    /// Who reads along on a phone, if that is remembered from no longer ago than `age`.
    fn remembered(&self, sid: ConversationSid, age: Duration) -> Option<Readers> {
        let known = self.memory.of(sid).readers;
        known.filter(|known| self.clock.now().since(known.at) < age)
    }

    /// By which of our numbers a conversation's messages leave, as it was no longer ago than `age`.
    ///
    /// # Errors
    ///
    /// If Twilio did not say.
    pub async fn numbers(
        &self,
        sid: ConversationSid,
        age: Duration,
    ) -> Result<Arc<[(Pii, CountedBy)]>, rest::Error> {
        match self.remembered(sid, age) {
            Some(known) => Ok(known.numbers),
            None => Ok(self.present(sid).await?.1.numbers),
        }
    }

    /// Whether anybody reads a conversation on a phone now. In one that Twilio does not know nobody does;
    /// the send says so, and better.
    ///
    /// # Errors
    ///
    /// If Twilio did not say.
    pub async fn has_phone(&self, sid: ConversationSid) -> Result<bool, rest::Error> {
        match self.present(sid).await {
            Ok((_, readers)) => Ok(readers.has_phone),
            Err(error) if error.status() == Some(404) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether anybody read a conversation on a phone, as it was no longer ago than `age`.
    ///
    /// # Errors
    ///
    /// If Twilio did not say.
    pub async fn had_phone(
        &self,
        sid: ConversationSid,
        age: Duration,
    ) -> Result<bool, rest::Error> {
        match self.remembered(sid, age) {
            Some(known) => Ok(known.has_phone),
            None => self.has_phone(sid).await,
        }
    }

    /// Hears that a conversation has changed: who asks from here on is told of after it.
    pub fn changed(&self, sid: ConversationSid) {
        self.conversations.close(sid);
    }

    /// Hears that somebody has come or gone: who asks from here on is told of those who are there after it.
    pub fn moved(&self, sid: ConversationSid) {
        self.participants.close(sid);
    }
}

/// Who of the participants reads on a phone. A chat participant of a group has a binding too, where it
/// stands for a number.
fn readers(participants: &[Participant], clock: &Clock) -> Readers {
    let bindings = participants.iter().filter_map(|one| one.messaging_binding.as_ref());
    let has_phone = bindings.clone().next().is_some();
    let numbers = bindings.filter_map(|binding| {
        let is_sms = binding.channel.as_deref().is_none_or(|channel| channel == "sms");
        let counted = if is_sms { CountedBy::Segments } else { CountedBy::Messages };
        Some((binding.proxy_address.clone()?, counted))
    });
    Readers { at: clock.now(), numbers: numbers.collect(), has_phone }
}
