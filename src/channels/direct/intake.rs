//! What webhooks of our numbers tell: messages that came in, and how ours fare.
//!
//! Everything that has to happen because of a request is on disk when these return, so that it may be
//! acknowledged.

use std::sync::Arc;

use uuid::Uuid;

use super::contacts::{ContactWord, Contacts};
use super::fallen;
use super::policy::reply_state::ReplyState;
use super::policy::wish::{self, Words};
use super::senders::{MessageOwner, Senders, pair};
use super::states::{Heard, States};
use crate::channels::{Inlet, Seen, arrival};
use crate::clock::{Clock, Timestamp};
use crate::fault_points::{self, Point};
use crate::jobs::recorder::Recorder;
use crate::pii::Pii;
use crate::queue::Error;
use crate::telemetry::journal::{Door, Record, Stage};
use crate::telemetry::metrics::labels::TurnOutcome;
use crate::thread::{Extras, Media, Medium, Pair, Speaker, Thread, TurnMessage, plain};
use crate::twilio::messaging::{Inbound, MediaPlace, StatusUpdate};
use crate::twilio::sid::MessagingServiceSid;

/// What hears them. Cheap to clone.
#[derive(Clone)]
pub struct TextIntake {
    /// Our addresses.
    pub senders: Arc<Senders>,
    /// What is known of people.
    pub contacts: Arc<Contacts>,
    /// How our replies fare.
    pub states: Arc<States>,
    /// The operator's own words that stop.
    pub words: Words,
    /// Where messages go.
    pub inlet: Arc<dyn Inlet>,
    /// Where the stages are noted.
    pub recorder: Recorder,
}

/// A message of somebody, whichever door it came by.
pub(super) struct Arrived {
    pub(super) inbound: Inbound,
    pub(super) at: Timestamp,
    pub(super) door: Door,
}

impl TextIntake {
    /// Reads the time.
    pub(super) const fn clock(&self) -> Clock {
        self.recorder.clock
    }

    /// Takes a message in; durable when it returns.
    ///
    /// # Errors
    ///
    /// If the store failed; then the request may not be acknowledged.
    pub async fn text_heard(&self, inbound: Inbound, received: Timestamp) -> Result<(), Error> {
        let arrived = Arrived { inbound, at: received, door: Door::MessagingWebhook };
        self.arrived(arrived).await.map(drop)
    }

    /// As [`TextIntake::text_heard`], for any door; says how many messages were new.
    pub(super) async fn arrived(&self, arrived: Arrived) -> Result<usize, Error> {
        let Arrived { inbound, at, door } = arrived;
        let ours = match self.senders.whose(&inbound.to, inbound.messaging_service_sid) {
            MessageOwner::Ours(ours) => ours,
            MessageOwner::OtherRoad => {
                self.recorder.metrics.turn(TurnOutcome::Skipped);
                tracing::debug!(message_sid = %inbound.sid,
                    "ignored a direct message; its conversation is answered");
                return Ok(0);
            }
            MessageOwner::Nobodys => {
                tracing::warn!(message_sid = %inbound.sid, address = inbound.to.masked(),
                    "ignored a message to an address that is not configured; add it to \
                     TWILIO_PHONE_NUMBER or TWILIO_WHATSAPP_NUMBER");
                return Ok(0);
            }
        };
        let (pair, reach) = self.pair(ours, &inbound).await?;
        let thread = Thread::Direct(Box::new(pair.clone()));
        let body = inbound.body.as_ref().map_or("", |body| body.reveal());
        let word = ContactWord {
            message: inbound.sid,
            reach: reach.as_ref(),
            at,
            wish: wish::wish(inbound.opt_out, body, &self.words),
        };
        if door == Door::MessagingWebhook {
            let stage = Stage::WebhookReceived { event: "text" };
            let (thread, message) = (thread.id(), Some(inbound.sid.into()));
            self.recorder.journal.record(Record { at, thread, message, reply_id: None, stage });
        }
        let name = thread.id();
        let speaker = Some(Speaker::Address(inbound.to.clone()));
        let seen = Seen { thread, speaker, message: message(&inbound, at), door };
        let new = self.store(&pair, word, seen).await?;
        if door == Door::MessagingWebhook {
            fault_points::hit(Point::WebhookStored);
            self.recorder.stage(name, Some(inbound.sid.into()), Stage::WebhookAcknowledged);
        }
        Ok(new)
    }

    async fn store(&self, pair: &Pair, word: ContactWord<'_>, seen: Seen) -> Result<usize, Error> {
        let is_found = seen.door != Door::MessagingWebhook;
        if is_found && self.inlet.is_known(seen.thread.id(), word.message.into()).await? {
            // What is known of its writer was heard with it, and may have been forgotten since.
            return self.inlet.messages(vec![seen]).await;
        }
        let heard = self.contacts.heard(pair, word);
        // A wish is known before its message can be answered, and so is whose thread it is: what no webhook
        // brought may have been answered before the store was restored, which is looked for by the addresses.
        let comes_first = word.wish.is_some() || is_found;
        let stored = self.inlet.messages(vec![seen]);
        if comes_first {
            heard.await?;
            return stored.await;
        }
        let ((), new) = futures::try_join!(heard, stored)?;
        Ok(new)
    }

    /// Whose thread a message is of, and by which address its writer is reached if that is another one.
    ///
    /// A person whose number is hidden writes under an id. Where one message has told of both, the thread
    /// that was begun with the number goes on.
    async fn pair(&self, ours: Pii, inbound: &Inbound) -> Result<(Pair, Option<Pii>), Error> {
        let from = &inbound.from;
        let pair = pair(ours, from.clone());
        if pair.medium != Medium::Whatsapp {
            return Ok((pair, None));
        }
        match &inbound.external_user_id {
            Some(id) if !is_id(from) => {
                self.contacts.same(&pair.ours, id, from).await?;
                Ok((pair, None))
            }
            _ if is_id(from) => {
                let theirs = self.contacts.address_of(&pair.ours, from).await?;
                let reach = (theirs != *from).then(|| from.clone());
                Ok((Pair { theirs, ..pair }, reach))
            }
            _ => Ok((pair, None)),
        }
    }

    /// Hears how a message of ours fares; durable when it returns.
    ///
    /// # Errors
    ///
    /// If the store failed; then the request may not be acknowledged.
    pub async fn status_heard(
        &self,
        update: StatusUpdate,
        reply: Option<Uuid>,
        received: Timestamp,
    ) -> Result<(), Error> {
        let (Some(reply), Some(status)) = (reply, update.status) else {
            tracing::debug!(message_sid = %update.sid, "ignored the status of another's message");
            return Ok(());
        };
        let StatusUpdate { sid, error_code: code, .. } = update;
        let state = ReplyState { sid, status, code, at: received };
        let Heard { is_news, is_so, of, sent } = self.states.hear(reply, state).await?;
        if is_news {
            let of = of.map(|of| (reply, of));
            arrival::tell(&self.recorder, (sid.into(), of), (status, code));
        }
        if let Some(sent) = sent.clone().filter(|_| is_so) {
            fallen::fared(&*self.inlet, reply, (state, sent)).await?;
        }
        match sent {
            // What follows may not have been stored when it was news.
            Some(sent) if status.is_failure() => {
                fallen::fell((&self.contacts, &*self.inlet), reply, (state, sent)).await
            }
            _ => Ok(()),
        }
    }
}

/// Whether a WhatsApp address is an id and no number. Source: business-scoped user ids: two letters of a
/// country, a dot, letters and digits, read 2026-11-29.
fn is_id(address: &Pii) -> bool {
    let bare = plain(address);
    bare.starts_with(|first: char| first.is_ascii_alphabetic()) && bare.contains('.')
}

/// The message as agents see it.
fn message(inbound: &Inbound, at: Timestamp) -> TurnMessage {
    let Inbound { sid, from, body, media, .. } = inbound;
    TurnMessage {
        sid: (*sid).into(),
        index: None,
        author: from.clone(),
        body: body.clone(),
        attributes: serde_json::Map::new(),
        media: media.iter().map(file).collect(),
        participant: None,
        created: Some(at),
        extras: extras(inbound),
    }
}

/// A file; its sid ends its place. Source: Messages, media, read 2026-11-21.
fn file(link: &MediaPlace) -> Media {
    let sid = link.url.reveal().rsplit('/').next().and_then(|last| last.parse().ok());
    let (url, content_type) = (Some(link.url.clone()), link.content_type.clone());
    Media { sid, url, content_type, filename: None, size: None }
}

fn extras(inbound: &Inbound) -> Option<Box<Extras>> {
    let extras = Extras {
        profile_name: inbound.profile_name.clone(),
        wa_id: inbound.wa_id.clone(),
        external_user_id: inbound.external_user_id.clone(),
        location: inbound.location.clone(),
        choice: inbound.choice.clone(),
        quoted: inbound.quoted.clone(),
        referral: inbound.referral.clone(),
        opt_out: inbound.opt_out,
        other: inbound.other.clone(),
    };
    (extras != Extras::default()).then(|| Box::new(extras))
}

/// The service that a text names as ours.
pub(super) fn service_of(ours: &Pii) -> Option<MessagingServiceSid> {
    ours.reveal().parse().ok()
}
