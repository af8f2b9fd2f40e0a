//! Plain numbers as the pipeline uses them: whether somebody wants to hear from us, as whom we speak, how
//! fast. How the bot speaks is in `send`.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, ready};
use uuid::Uuid;

use super::contacts::Contacts;
use super::policy::prepare::{Limits, Prepared};
use super::sender_pace::SenderPace;
use super::senders::{self, Senders};
use super::states::States;
use crate::channels::{
    AnsweredBefore, Channel, Error, Failed, Fares, Inlet, KnownThreads, Outgoing,
    PHONE_TEXT_UNITS_MAX, Sending, Sent, Speaking, TheirThreads,
};
use crate::clock::{Moment, Timestamp};
use crate::jobs::outcome::Class;
use crate::jobs::recorder::Recorder;
use crate::jobs::status::Status;
use crate::media::Links;
use crate::pii::Pii;
use crate::queue::{Cause, Delivery, DocumentCursor, LostTimes};
use crate::recent::Recent;
use crate::telemetry::journal::Via;
use crate::thread::{
    Budget, CauseClass, Pair, Past, SkipReason, Speaker, Thread, ThreadId, TurnMessage,
};
use crate::twilio::rest::{self, Op};
use crate::twilio::sid::TextSid;

/// How long WhatsApp shows that somebody types: 25 s, less what asking takes. Source: Typing indicators
/// resource, read 2026-11-29.
const TYPING_LASTS: Duration = Duration::from_secs(20);
/// How many threads are remembered in which the bot is shown typing; to forget one costs a request.
pub const TYPING_MAX: usize = 10_000;

/// The channel.
pub struct Direct {
    /// Twilio's REST API.
    pub rest: rest::Client,
    /// Our addresses.
    pub senders: Arc<Senders>,
    /// What is known of people.
    pub contacts: Arc<Contacts>,
    /// How our replies fare.
    pub states: Arc<States>,
    /// How fast each address sends.
    pub pace: SenderPace,
    /// In which threads the bot is shown typing, for which message, and since when.
    pub typing: Recent<ThreadId, (TextSid, Moment)>,
    /// What may be sent.
    pub limits: Limits,
    /// Where Twilio tells how a message fares, if it is known how it reaches us.
    pub callback: Option<String>,
    /// Links to files, for replies that bring one of ours.
    pub links: Links,
    /// Where what failed goes.
    pub inlet: Arc<dyn Inlet>,
    /// The times that the store does not know.
    pub lost: LostTimes,
    /// What the operator should know.
    pub status: Arc<Status>,
    /// Where the stages are noted.
    pub recorder: Recorder,
}

impl Channel for Direct {
    fn excludes<'a>(
        &'a self,
        thread: &'a Thread,
        _: Speaking,
    ) -> BoxFuture<'a, Result<Option<SkipReason>, Error>> {
        Box::pin(async move {
            let Some(pair) = thread.pair() else { return Ok(None) };
            let contact = self.contacts.of(pair, thread.id()).await?;
            Ok(contact.is_opted_out.then_some(SkipReason::OptedOut))
        })
    }

    fn thread(&self, id: ThreadId) -> BoxFuture<'_, Result<Option<Thread>, Error>> {
        Box::pin(async move {
            let record = self.contacts.thread(id).await?;
            Ok(record.map(|record| Thread::Direct(Box::new(record.pair))))
        })
    }

    fn state(&self, thread: ThreadId) -> BoxFuture<'_, Result<Option<&'static str>, Error>> {
        Box::pin(async move {
            let Some(record) = self.contacts.thread(thread).await? else { return Ok(None) };
            let contact = self.contacts.of(&record.pair, thread).await?;
            Ok(Some(if contact.is_opted_out { "opted_out" } else { "active" }))
        })
    }

    fn ending<'a>(
        &'a self,
        digits: &'a str,
        after: Option<DocumentCursor>,
    ) -> BoxFuture<'a, Result<KnownThreads, Error>> {
        Box::pin(async move { Ok(self.contacts.ending(digits, after).await?) })
    }

    fn between(&self, ours: Option<&Pii>, theirs: &Pii) -> Result<Thread, String> {
        let ours = self.senders.choose(ours, theirs)?;
        Ok(Thread::Direct(Box::new(senders::pair(ours, theirs.clone()))))
    }

    fn threads_of<'a>(&'a self, theirs: &'a Pii) -> BoxFuture<'a, Result<TheirThreads, Error>> {
        Box::pin(async move {
            let found = self.contacts.threads_of(theirs).await?;
            let threads = found.into_iter().map(|(thread, _)| thread).collect();
            Ok(TheirThreads { threads, is_cut: false })
        })
    }

    fn forget_way(&self, thread: ThreadId) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(async move { Ok(self.contacts.forget_way(thread).await?) })
    }

    fn forget(&self, thread: ThreadId, act: bool) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(async move {
            let said = self.states.forget(thread, act).await?;
            if act {
                // Whether a person has it is one of the marks that go.
                self.inlet.forget(thread);
            }
            Ok(said + self.contacts.forget(thread, act).await?)
        })
    }

    /// From now on it has no history; what is known of the person stays.
    fn end<'a>(&'a self, thread: &'a Thread) -> BoxFuture<'a, Result<(), Failed>> {
        Box::pin(async move {
            let Some(pair) = thread.pair() else { return Ok(()) };
            let at = self.recorder.clock.wall();
            let ended = self.contacts.ended((thread.id(), pair), at).await;
            ended.map_err(|error| Failed::not_stored(&error))
        })
    }

    /// A number's messages have no places: each is known as it comes.
    fn fill(&self, _: ThreadId, _: u64) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(ready(Ok(())))
    }

    /// A store that was restored does not know what was answered since its backup.
    fn answered_before<'a>(
        &'a self,
        thread: ThreadId,
        message: &'a TurnMessage,
        _: Timestamp,
    ) -> BoxFuture<'a, Result<AnsweredBefore, Error>> {
        Box::pin(async move {
            Ok(match self.is_answered_since(thread, message).await? {
                true => AnsweredBefore::Yes(SkipReason::Answered),
                false => AnsweredBefore::No,
            })
        })
    }

    fn history<'a>(
        &'a self,
        thread: &'a Thread,
        turn: &'a [TurnMessage],
        budget: Budget,
    ) -> BoxFuture<'a, Result<Vec<Past>, Error>> {
        Box::pin(async move {
            match thread {
                Thread::Direct(pair) => self.said((thread.id(), pair), turn, budget).await,
                Thread::Conversation(_) => Ok(Vec::new()),
            }
        })
    }

    fn follow(&self, _: ThreadId, _: u64) {}

    /// A thread's own address; the one that was written to is one of those that it stands for.
    fn speaker(&self, thread: &Thread, _heard: Option<&Speaker>) -> Speaker {
        Speaker::Address(thread.pair().map(|pair| pair.ours.clone()).unwrap_or_default())
    }

    /// Only WhatsApp shows it, by the message that is being answered.
    fn show_typing(&self, thread: ThreadId) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let Some(message) = self.contacts.last_on_whatsapp(thread) else { return };
            let now = self.recorder.clock.now();
            let is_shown =
                |shown: &(TextSid, Moment)| shown.0 == message && now.since(shown.1) < TYPING_LASTS;
            if self.typing.get(&thread).as_ref().is_some_and(is_shown) {
                return;
            }
            self.typing.insert(thread, (message, now));
            if let Err(error) = self.rest.show_text_typing(message).await {
                tracing::debug!(conversation_sid = %thread, rest_op = error.op().as_str(),
                    "twilio does not show that the bot is at work");
            }
        })
    }

    fn shows_phone(&self, _: &[TurnMessage]) -> bool {
        true
    }

    fn has_phone(&self, _: ThreadId) -> BoxFuture<'_, Result<bool, rest::Error>> {
        Box::pin(ready(Ok(true)))
    }

    fn text_units_max(&self) -> usize {
        PHONE_TEXT_UNITS_MAX
    }

    fn sending(&self) -> Op {
        Op::CreateText
    }

    fn wait(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.status.wait_for_rest(Op::CreateText, &self.recorder.clock))
    }

    fn departure<'a>(
        &'a self,
        out: &'a Outgoing,
    ) -> BoxFuture<'a, Result<Option<Duration>, Failed>> {
        Box::pin(async move {
            if let Some(due) = self.pace.kept(out.id) {
                return Ok(self.pace.wait_for(out.id, due).await);
            }
            let pair = pair_of(out)?;
            let thread = out.thread.id();
            let record = self.record(thread).await?;
            let segments = match self.prepared(out, (thread, pair), record.as_ref()).await {
                Ok(Prepared::AsItIs(segments)) => segments,
                Ok(Prepared::Template(_)) => 1,
                // It may have been sent before it could not be any more: whoever sends looks first.
                Err(_) => return Ok(None),
            };
            let rate = self.senders.rate(&pair.ours);
            let due = self.pace.take((&pair.ours, rate), segments);
            Ok(self.pace.wait_for(out.id, due).await)
        })
    }

    fn send<'a>(
        &'a self,
        out: &'a Outgoing,
        delivery: &'a Delivery,
        look: bool,
    ) -> BoxFuture<'a, Result<Sending, Failed>> {
        Box::pin(self.bring(out, delivery, look))
    }

    fn find<'a>(&'a self, out: &'a Outgoing) -> BoxFuture<'a, Result<Option<Sent>, Failed>> {
        Box::pin(async move {
            let pair = pair_of(out)?;
            self.search(out, (out.thread.id(), pair), Duration::ZERO).await
        })
    }

    fn fares(&self, _: ThreadId, reply: Uuid) -> BoxFuture<'_, Result<Vec<Fares>, Error>> {
        Box::pin(async move {
            let state = self.states.of(reply).await?;
            Ok(state.map(|state| Fares::told(state.status, state.code)).into_iter().collect())
        })
    }

    fn is_joining(&self, _: ThreadId) -> bool {
        false
    }
}

/// The pair of a direct thread.
pub(super) fn pair_of(out: &Outgoing) -> Result<&Pair, Failed> {
    out.thread.pair().ok_or_else(|| {
        let cause =
            Cause::of(CauseClass::Unreadable).with_detail("the reply is for no direct thread");
        Failed::of(Class::Dead, Via::Rest, cause)
    })
}
