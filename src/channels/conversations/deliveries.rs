//! How our replies fare on their way to phones, told by `onDeliveryUpdated`; kept for as long as ids of jobs
//! are.
//!
//! Twilio tells of a message by its sid and only where its webhook's filters have that event. So nothing is
//! written of a reply until the event has come once: up to then the newest replies are remembered, that the
//! first one is not missed. What is told before it is known whose message it is, is kept until it is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::policy::receipts::{Receipt, Receipts};
use crate::channels::documents::{forget_said, read, update, update_private};
use crate::channels::{Fared, Fares, Inlet, Outgoing, ReplyOf, SentReply, arrival, verdict};
use crate::clock::{Moment, Timestamp};
use crate::jobs::recorder::Recorder;
use crate::json;
use crate::queue::{Documents, Error, Marks};
use crate::recent::Recent;
use crate::telemetry::chain::Chain;
use crate::thread::{MessageId, ThreadId};
use crate::twilio::events::{DeliveryStatus, DeliveryUpdate};
use crate::twilio::messaging::MessageStatus;

/// How many of the newest replies are remembered until it is known that Twilio tells how they fare.
const REMEMBERED_MAX: usize = 256;
/// How often it is looked whether another instance has been told.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// The mark that Twilio tells.
const TOLD: &str = "deliveries-told";

/// How replies in conversations fare.
pub struct Deliveries {
    documents: Documents,
    marks: Marks,
    inlet: Arc<dyn Inlet>,
    recorder: Recorder,
    /// Whether Twilio tells.
    is_told: AtomicBool,
    /// When it was looked for that mark last.
    looked: Mutex<Option<Moment>>,
    /// The newest replies, while it does not.
    lately: Recent<MessageId, SaidReply>,
}

/// What is kept of a message.
#[derive(Clone, Default, Deserialize, Serialize)]
struct KeptMessage {
    #[serde(default, deserialize_with = "json::null_as_default")]
    receipts: Receipts,
    /// Which reply it is, where it is known to be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    said: Option<SaidReply>,
}

/// A reply that is a message.
#[derive(Clone, Deserialize, Serialize)]
struct SaidReply {
    reply: Uuid,
    /// Whose it is, also once it has arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    of: Option<ReplyOf>,
    /// The reply itself, until it has arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sent: Option<SentReply>,
}

impl Deliveries {
    /// Starts with what is stored.
    #[must_use]
    pub fn new(
        (documents, marks): (Documents, Marks),
        inlet: Arc<dyn Inlet>,
        recorder: Recorder,
    ) -> Self {
        let lately = Recent::new(REMEMBERED_MAX);
        let (is_told, looked) = (AtomicBool::new(false), Mutex::new(None));
        Self { documents, marks, inlet, recorder, is_told, looked, lately }
    }

    /// Notes a reply that is in its conversation. Where that fails it is there all the same.
    pub(super) async fn sent(&self, message: MessageId, out: &Outgoing) {
        let of = Some(ReplyOf::of(out));
        let said = SaidReply { reply: out.id, of, sent: Some(SentReply::of(out)) };
        let noted = async {
            let said = if self.is_told().await? {
                Some(said)
            } else {
                self.lately.insert(message, said);
                // It may have been told in between.
                let is_told = self.is_told.load(Ordering::Acquire);
                is_told.then(|| self.lately.remove(&message)).flatten()
            };
            match said {
                Some(said) => self.link(message, said).await,
                None => Ok(()),
            }
        };
        if let Err(error) = noted.await {
            tracing::warn!(conversation_sid = %out.thread, message_sid = %message,
                error = %Chain(&error), "a reply that was sent could not be noted");
        }
    }

    async fn is_told(&self) -> Result<bool, Error> {
        if self.is_told.load(Ordering::Acquire) {
            return Ok(true);
        }
        let now = self.recorder.clock.now();
        {
            let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
            if looked.is_some_and(|looked| now.since(looked) < LOOK_EVERY) {
                return Ok(false);
            }
            *looked = Some(now);
        }
        let is_told = self.marks.read(TOLD).await?.is_some();
        self.is_told.fetch_or(is_told, Ordering::AcqRel);
        Ok(is_told)
    }

    /// Notes which reply a message is, and does what is to follow of what was told of it before.
    async fn link(&self, message: MessageId, said: SaidReply) -> Result<(), Error> {
        let reply = said.reply;
        let is_news = AtomicBool::new(false);
        let note = |before: Option<KeptMessage>| {
            let before = before.unwrap_or_default();
            let is_new = before.said.is_none();
            is_news.store(is_new, Ordering::Relaxed);
            is_new.then(|| KeptMessage { said: Some(said.clone()), ..before }.tidy())
        };
        let name = |_: Option<MessageId>| Some(message);
        let (receipts, reply) = (receipts_name(message), reply_name(reply));
        let (kept, _) = futures::try_join!(
            update_private(&self.documents, &receipts, KeptMessage::holds_text, note),
            update(&self.documents, &reply, name),
        )?;
        let kept = kept.unwrap_or_default();
        let is_news = is_news.into_inner();
        for receipt in kept.receipts.iter() {
            self.follow(message, (receipt, is_news), kept.said.as_ref()).await?;
        }
        Ok(())
    }

    /// Hears of a message's way to one of its receivers; durable when it returns.
    ///
    /// # Errors
    ///
    /// If the store failed; then the request may not be acknowledged.
    pub(super) async fn heard(&self, told: &DeliveryUpdate, at: Timestamp) -> Result<(), Error> {
        let message = MessageId::from(told.message_sid);
        let Some(status) = told.status.and_then(status) else { return Ok(()) };
        if !self.is_told.load(Ordering::Acquire) {
            // In this order, so that it is marked later where that fails.
            self.marks.raise(TOLD, 1).await?;
            self.is_told.store(true, Ordering::Release);
        }
        let (participant, code) = (told.participant_sid, told.error_code);
        let receipt = Receipt { participant, status, code, at };
        let is_news = AtomicBool::new(false);
        let hear = |before: Option<KeptMessage>| {
            let mut kept = before.unwrap_or_default();
            is_news.store(kept.receipts.hear(receipt), Ordering::Relaxed);
            is_news.load(Ordering::Relaxed).then(|| kept.tidy())
        };
        let name = receipts_name(message);
        let kept = update_private(&self.documents, &name, KeptMessage::holds_text, hear).await?;
        let kept = kept.unwrap_or_default();
        if kept.said.is_none()
            && let Some(said) = self.lately.get(&message)
        {
            self.link(message, said).await?;
            self.lately.remove(&message);
            return Ok(());
        }
        let heard = (&receipt, is_news.into_inner());
        self.follow(message, heard, kept.said.as_ref()).await
    }

    /// What follows of a receipt, if the message is a reply of ours. What follows of a failure may not have
    /// been stored when that was news.
    async fn follow(
        &self,
        message: MessageId,
        (receipt, is_news): (&Receipt, bool),
        said: Option<&SaidReply>,
    ) -> Result<(), Error> {
        let Some(said) = said else { return Ok(()) };
        let Receipt { status, code, .. } = *receipt;
        if is_news {
            arrival::tell(&self.recorder, (message, said.of()), (status, code));
        }
        if let Some(sent) = said.sent.clone().filter(|sent| sent.note.is_some()) {
            let Receipt { participant: recipient, at, .. } = *receipt;
            let reply = said.reply;
            let fared = Fared { reply, message, sent, status, code, recipient, at };
            self.inlet.fared(fared).await?;
        }
        match &said.sent {
            Some(sent) if status.is_failure() => {
                self.inlet.fell(verdict::fallen(said.reply, sent.clone(), (status, code))).await
            }
            _ => Ok(()),
        }
    }

    /// How a reply fares, if Twilio tells; nothing in it if it has told nothing yet.
    pub(super) async fn of(&self, reply: Uuid) -> Result<Option<Vec<Fares>>, Error> {
        let message: Option<MessageId> = read(&self.documents, &reply_name(reply)).await?;
        let Some(message) = message else { return Ok(None) };
        let kept: Option<KeptMessage> = read(&self.documents, &receipts_name(message)).await?;
        let receipts = kept.unwrap_or_default().receipts;
        Ok(Some(receipts.iter().map(|one| Fares::told(one.status, one.code)).collect()))
    }
}

impl SaidReply {
    fn of(&self) -> Option<(Uuid, ReplyOf)> {
        self.of.map(|of| (self.reply, of))
    }
}

impl KeptMessage {
    fn holds_text(&self) -> bool {
        self.said
            .as_ref()
            .is_some_and(|said| said.sent.as_ref().is_some_and(SentReply::says_something))
    }

    /// Forgets what was said once it has arrived.
    fn tidy(mut self) -> Self {
        if let Some(said) = &mut self.said
            && self.receipts.have_arrived()
        {
            said.sent = said.sent.take().and_then(SentReply::arrived);
        }
        self
    }
}

/// The word for it that is used of all messages.
const fn status(told: DeliveryStatus) -> Option<MessageStatus> {
    match told {
        DeliveryStatus::Sent => Some(MessageStatus::Sent),
        DeliveryStatus::Delivered => Some(MessageStatus::Delivered),
        DeliveryStatus::Read => Some(MessageStatus::Read),
        DeliveryStatus::Failed => Some(MessageStatus::Failed),
        DeliveryStatus::Undelivered => Some(MessageStatus::Undelivered),
        DeliveryStatus::Other => None,
    }
}

impl Deliveries {
    /// Forgets what was said in a thread's replies that have not arrived; their ids stay. Says how many those
    /// are.
    pub(super) async fn forget(&self, thread: ThreadId, act: bool) -> Result<u64, Error> {
        let is_its = move |said: &SaidReply| {
            said.sent.as_ref().is_some_and(|sent| sent.thread.id() == thread)
        };
        if act {
            self.lately.retain(|_, said| !is_its(said));
        }
        let without = move |kept: KeptMessage| {
            let said = kept.said.filter(is_its)?;
            Some(KeptMessage { said: Some(SaidReply { sent: None, ..said }), ..kept })
        };
        let beginning = format!("{}{RECEIPTS}", Documents::SHORT_LIVED);
        forget_said(&self.documents, (&beginning, act), without).await
    }
}

/// What the names of documents of messages have behind their first letter.
const RECEIPTS: &str = "receipts/";

fn receipts_name(message: MessageId) -> String {
    format!("{}{RECEIPTS}{message}", Documents::SHORT_LIVED)
}

fn reply_name(reply: Uuid) -> String {
    format!("{}said/{}", Documents::SHORT_LIVED, reply.simple())
}
