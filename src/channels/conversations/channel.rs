//! Conversations as the pipeline uses them: who is welcome there, what is known, and what the bot shows.
//! How it speaks is in `send`.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use uuid::Uuid;

use crate::channels::conversations::arrivals::Arrivals;
use crate::channels::conversations::catch_up::CatchUp;
use crate::channels::conversations::contiguous::ContiguousWatermarks;
use crate::channels::conversations::deliveries::Deliveries;
use crate::channels::conversations::facts::ConversationFacts;
use crate::channels::conversations::join_rules::JoinRules;
use crate::channels::conversations::number_limits::NumberLimits;
use crate::channels::conversations::other_road::OtherRoad;
use crate::channels::conversations::removals::Removals;
use crate::channels::conversations::seats::Seats;
use crate::channels::conversations::send_limits::SendLimits;
use crate::channels::conversations::service_check::ServiceCheck;
use crate::channels::{
    AnsweredBefore, Channel, Error, Failed, Fares, Marking, Outgoing, PHONE_TEXT_UNITS_MAX,
    Sending, Sent, Speaking, TheirThreads, ThreadMarks,
};
use crate::clock::Timestamp;
use crate::jobs::recorder::Recorder;
use crate::jobs::status::{self, Status};
use crate::pii::Pii;
use crate::queue::Delivery;
use crate::thread::{Budget, Past, SkipReason, Speaker, Thread, ThreadId, TurnMessage};
use crate::twilio::events::ConversationState;
use crate::twilio::messaging::MessageStatus;
use crate::twilio::rest::{self, Op};
use crate::twilio::sid::ConversationSid;

/// How long it is believed that a phone reads along or does not: whoever waits for a receipt asks again and
/// again.
const PHONES_KNOWN_FOR: Duration = Duration::from_secs(10);

/// How long it is believed by which of our numbers a conversation's messages go: they hardly change.
const NUMBERS_KNOWN_FOR: Duration = Duration::from_secs(600);

/// How many conversations of one address are found at most: ten requests. Chosen; that there are more is said.
const THREADS_MAX: usize = 1000;

/// The channel.
pub struct Conversations {
    /// Twilio's REST API.
    pub rest: rest::Client,
    /// Knows how conversations are and who is in them.
    pub facts: Arc<ConversationFacts>,
    /// The identities and their clients.
    pub seats: Arc<Seats>,
    /// Knows the rules of what comes in, and who was removed.
    pub arrivals: Arrivals,
    /// How far each conversation is known.
    pub watermarks: Arc<ContiguousWatermarks>,
    /// How our replies fare on their way to phones.
    pub deliveries: Arc<Deliveries>,
    /// From which conversations somebody has removed it.
    pub removals: Arc<Removals>,
    /// Which conversations the bot is to be in.
    pub join_rules: Arc<JoinRules>,
    /// Reads what a turn must not be taken before.
    pub catch_up: CatchUp,
    /// Whom another road answers.
    pub other_road: OtherRoad,
    /// How fast replies may follow each other.
    pub send_limits: SendLimits,
    /// How fast each of our numbers may send, if that is limited here.
    pub number_limits: Option<NumberLimits>,
    /// What the operator should know.
    pub status: Arc<Status>,
    /// Tells a conversation that is gone from a wrong service.
    pub service: Arc<ServiceCheck>,
    /// Where the stages are noted.
    pub recorder: Recorder,
}

impl Channel for Conversations {
    fn excludes<'a>(
        &'a self,
        thread: &'a Thread,
        to: Speaking,
    ) -> BoxFuture<'a, Result<Option<SkipReason>, Error>> {
        Box::pin(async move {
            let Some(conversation) = thread.id().conversation() else { return Ok(None) };
            if to == Speaking::Answer && !self.join_rules.wants(conversation).await? {
                return Ok(Some(SkipReason::NotChosen));
            }
            let stays_away = self.removals.stays_away(conversation).await?;
            Ok(stays_away.then_some(SkipReason::Removed))
        })
    }

    /// Its own sid says all of it.
    fn thread(&self, id: ThreadId) -> BoxFuture<'_, Result<Option<Thread>, Error>> {
        Box::pin(std::future::ready(Ok(Thread::named(id))))
    }

    fn state(&self, thread: ThreadId) -> BoxFuture<'_, Result<Option<&'static str>, Error>> {
        Box::pin(async move {
            let Some(conversation) = thread.conversation() else { return Ok(None) };
            let found = self.facts.conversation(conversation).await?;
            Ok(found.map(|found| word(found.state)))
        })
    }

    fn threads_of<'a>(&'a self, theirs: &'a Pii) -> BoxFuture<'a, Result<TheirThreads, Error>> {
        Box::pin(async move {
            let mut addresses = vec![theirs.clone()];
            if theirs.reveal().starts_with('+') {
                addresses.push(Pii::from(format!("whatsapp:{}", theirs.reveal())));
            }
            let mut found = TheirThreads::default();
            for address in &addresses {
                let of = self.rest.conversations_of_address(address).all(THREADS_MAX + 1).await?;
                found.is_cut |= of.len() > THREADS_MAX;
                let of = of.into_iter().take(THREADS_MAX);
                found.threads.extend(of.map(|seat| ThreadId::from(seat.conversation_sid)));
            }
            Ok(found)
        })
    }

    /// Whoever is no seat of the bot's is somebody, a helper with an identity too.
    fn is_of_several(&self, thread: ThreadId) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(async move {
            let Some(conversation) = thread.conversation() else { return Ok(false) };
            let present = match self.facts.participants(conversation).await {
                Err(error) if error.status() == Some(404) => return Ok(false),
                present => present?,
            };
            let is_bot = |identity: &Pii| {
                let members = self.seats.members().iter();
                members.map(|member| &*member.identity).any(|bot| bot == identity.reveal())
            };
            let is_person = |one: &&rest::Participant| !one.identity.as_ref().is_some_and(is_bot);
            Ok(present.iter().filter(is_person).count() > 1)
        })
    }

    fn forget(&self, thread: ThreadId, act: bool) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(async move { Ok(self.deliveries.forget(thread, act).await?) })
    }

    fn fill(&self, thread: ThreadId, index: u64) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            match thread.conversation() {
                Some(conversation) => self.catch_up.fill(conversation, index).await,
                None => Ok(()),
            }
        })
    }

    fn answered_before<'a>(
        &'a self,
        thread: ThreadId,
        message: &'a TurnMessage,
        stored: Timestamp,
    ) -> BoxFuture<'a, Result<AnsweredBefore, Error>> {
        Box::pin(async move {
            let Some(conversation) = thread.conversation() else { return Ok(AnsweredBefore::No) };
            if self.other_road.answers(conversation, &message.author).await? {
                return Ok(AnsweredBefore::Yes(SkipReason::OtherRoad));
            }
            self.catch_up.answered_before(conversation, message, stored).await
        })
    }

    fn history<'a>(
        &'a self,
        thread: &'a Thread,
        turn: &'a [TurnMessage],
        budget: Budget,
    ) -> BoxFuture<'a, Result<Vec<Past>, Error>> {
        Box::pin(async move {
            match thread.id().conversation() {
                Some(conversation) => self.said(conversation, turn, budget).await,
                None => Ok(Vec::new()),
            }
        })
    }

    fn follow(&self, thread: ThreadId, index: u64) {
        if let Some(conversation) = thread.conversation() {
            self.watermarks.follow(conversation, index);
        }
    }

    fn speaker(&self, thread: &Thread, heard: Option<&Speaker>) -> Speaker {
        let identity = match heard {
            Some(Speaker::Identity(identity)) => Some(identity.as_str()),
            Some(Speaker::Address(_)) | None => None,
        };
        let member = match thread.id().conversation() {
            Some(conversation) => self.seats.speaks_in(conversation, identity),
            None => &self.seats.members()[0],
        };
        Speaker::Identity(member.identity.clone())
    }

    fn ours<'a>(&'a self, thread: &'a Thread) -> BoxFuture<'a, Result<Vec<Pii>, Error>> {
        Box::pin(async move {
            let Some(conversation) = thread.id().conversation() else { return Ok(Vec::new()) };
            let numbers = self.facts.numbers(conversation, NUMBERS_KNOWN_FOR).await?;
            Ok(numbers.iter().map(|(number, _)| number.clone()).collect())
        })
    }

    fn show_typing(&self, thread: ThreadId) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Some(conversation) = thread.conversation()
                && let Some(client) = self.seats.member_of(conversation).connected()
            {
                let _shown = client.typing(conversation).await;
            }
        })
    }

    /// By an author that is a number.
    fn shows_phone(&self, messages: &[TurnMessage]) -> bool {
        messages.iter().any(|message| is_phone(message.author.reveal()))
    }

    fn has_phone(&self, thread: ThreadId) -> BoxFuture<'_, Result<bool, rest::Error>> {
        Box::pin(async move {
            match thread.conversation() {
                Some(conversation) => self.facts.has_phone(conversation).await,
                None => Ok(true),
            }
        })
    }

    fn text_units_max(&self) -> usize {
        PHONE_TEXT_UNITS_MAX
    }

    fn sending(&self) -> Op {
        Op::CreateMessage
    }

    fn wait(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // A socket that is up brings replies whatever REST does, and says itself when it is away.
            if self.seats.members().iter().all(|line| line.connected().is_none()) {
                self.status.needed_for(Op::CreateMessage).wait(&self.recorder.clock).await;
            }
        })
    }

    fn departure<'a>(
        &'a self,
        reply: &'a Outgoing,
    ) -> BoxFuture<'a, Result<Option<Duration>, Failed>> {
        Box::pin(self.place_in_row(reply))
    }

    fn send<'a>(
        &'a self,
        reply: &'a Outgoing,
        delivery: &'a Delivery,
        look: bool,
    ) -> BoxFuture<'a, Result<Sending, Failed>> {
        Box::pin(self.bring(reply, delivery, look))
    }

    fn find<'a>(&'a self, reply: &'a Outgoing) -> BoxFuture<'a, Result<Option<Sent>, Failed>> {
        Box::pin(self.look(reply))
    }

    fn fares(&self, thread: ThreadId, reply: Uuid) -> BoxFuture<'_, Result<Vec<Fares>, Error>> {
        Box::pin(self.how_fares(thread, reply))
    }

    fn end<'a>(&'a self, thread: &'a Thread) -> BoxFuture<'a, Result<(), Failed>> {
        Box::pin(self.close(thread))
    }

    fn is_joining(&self, thread: ThreadId) -> bool {
        self.arrivals.is_joining(thread)
    }
}

/// Twilio's code where a conversation is closed already. Source: error dictionary 50377, read 2026-11-30.
const CLOSED: u32 = 50377;

impl Conversations {
    /// Closes a conversation at Twilio. Nobody can write in it any more; whoever writes to the number next
    /// gets a new one, by Twilio's autocreation.
    async fn close(&self, thread: &Thread) -> Result<(), Failed> {
        let Some(conversation) = thread.id().conversation() else { return Ok(()) };
        let clock = &self.recorder.clock;
        Failed::unless_asked(Op::UpdateConversation, &self.status, clock)?;
        let closed = self.rest.close_conversation(conversation).await;
        self.facts.changed(conversation);
        match closed {
            Ok(_) => Ok(()),
            Err(error) if error.status() == Some(404) || status::code(&error) == Some(CLOSED) => {
                Ok(())
            }
            // To close it is as harmless to try again as a question.
            Err(error) => Err(Failed::did_nothing(&error, &self.status, clock)),
        }
    }

    /// As Twilio tells it; where it tells and has said nothing yet, a phone that reads along is on its way.
    async fn how_fares(&self, thread: ThreadId, reply: Uuid) -> Result<Vec<Fares>, Error> {
        let told = self.deliveries.of(reply).await?;
        match (told, thread.conversation()) {
            (Some(told), Some(conversation)) if told.is_empty() => {
                let has_phone = self.facts.had_phone(conversation, PHONES_KNOWN_FOR).await?;
                let queued = Fares::told(MessageStatus::Queued, None);
                Ok(has_phone.then_some(queued).into_iter().collect())
            }
            (told, _) => Ok(told.unwrap_or_default()),
        }
    }
}

/// How a conversation is marked as a person's: by its attributes at Twilio.
#[derive(Debug)]
pub struct ConversationMarks {
    /// Twilio's REST API.
    pub rest: rest::Client,
    /// Knows how conversations are.
    pub facts: Arc<ConversationFacts>,
    /// Whether a socket would tell of a change.
    pub seats: Arc<Seats>,
}

impl ConversationMarks {
    async fn read(
        &self,
        conversation: ConversationSid,
    ) -> Result<Option<ThreadMarks>, rest::Error> {
        let found = self.facts.conversation(conversation).await?;
        let marks = |found: Arc<rest::Conversation>| ThreadMarks {
            attributes: found.attributes.clone(),
            updated: found.updated,
        };
        Ok(found.map(marks))
    }
}

impl Marking for ConversationMarks {
    fn marks(&self, thread: ThreadId) -> BoxFuture<'_, Result<Option<ThreadMarks>, Error>> {
        Box::pin(async move {
            match thread.conversation() {
                Some(conversation) => Ok(self.read(conversation).await?),
                None => Ok(None),
            }
        })
    }

    fn set_marks<'a>(
        &'a self,
        thread: ThreadId,
        attributes: &'a str,
    ) -> BoxFuture<'a, Result<Option<Timestamp>, Error>> {
        Box::pin(async move {
            let Some(conversation) = thread.conversation() else { return Ok(None) };
            let after = self.rest.update_conversation_attributes(conversation, attributes).await;
            self.facts.changed(conversation);
            Ok(after?.updated)
        })
    }

    fn tells(&self, thread: ThreadId) -> bool {
        thread.conversation().is_some_and(|conversation| self.seats.hears(conversation))
    }
}

/// Twilio's word for a state.
const fn word(state: Option<ConversationState>) -> &'static str {
    match state {
        Some(ConversationState::Initializing) => "initializing",
        Some(ConversationState::Active) => "active",
        Some(ConversationState::Inactive) => "inactive",
        Some(ConversationState::Closed) => "closed",
        Some(ConversationState::Other) | None => "unknown",
    }
}

/// Whether an author is a phone: its identity is an address then.
fn is_phone(author: &str) -> bool {
    author.starts_with('+') || author.starts_with("whatsapp:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_among_the_authors_show_a_phone() {
        for (author, expected) in
            [("+15555550123", true), ("whatsapp:+15555550123", true), ("alice", false)]
        {
            assert_eq!(is_phone(author), expected, "{author}");
        }
    }
}
