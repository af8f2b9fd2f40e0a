//! How the bot speaks by a plain number: one request of the Messages resource for each reply.
//!
//! Twilio has no idempotency key here. The reply's id rides in the address of its status callback, its
//! sid is noted as soon as it is known, and after an outcome that nobody knows it is
//! [looked for](super::find) before it is sent again.

use super::channel::{Direct, pair_of};
use super::fallen;
use super::intake::service_of;
use super::policy::contact::ThreadRecord;
use super::policy::prepare::{Facts, Prepared, prepare};
use super::policy::reply_state::ReplyState;
use super::policy::wish::Wish;
use crate::channels::verdict::{OPTED_OUT, WINDOW_CLOSED};
use crate::channels::{Failed, Outgoing, ReplyOf, Sending, Sent, SentReply, arrival};
use crate::fault_points::{self, Point};
use crate::jobs::outcome::{Class, Failure, Operation, classify};
use crate::jobs::status;
use crate::pii::Pii;
use crate::queue::{self, Cause, Delivery};
use crate::telemetry::chain::Chain;
use crate::telemetry::journal::Via;
use crate::telemetry::metrics::labels::ReplyOutcome;
use crate::thread::{CauseClass, Medium, Pair, Reply, SkipReason, ThreadId};
use crate::twilio::messaging::MessageStatus;
use crate::twilio::rest::{self, NewText, Op, TextSender};
use crate::twilio::sid::TextSid;

/// Whether it is too fast for its sender. Source: error dictionary 21611 and 30001, read 2026-11-29.
const TOO_FAST: [u32; 2] = [21611, 30001];

impl Direct {
    /// Brings a reply to its address; looks first if it may be there already.
    pub(super) async fn bring(
        &self,
        out: &Outgoing,
        delivery: &Delivery,
        look: bool,
    ) -> Result<Sending, Failed> {
        let pair = pair_of(out)?;
        let thread = out.thread.id();
        if look && let Some(found) = self.search(out, (thread, pair), delivery.rested()).await? {
            fault_points::hit(Point::ReplyFound);
            return Ok(Sending::Sent(found));
        }
        let (text, segments) = self.text(out, (thread, pair)).await?;
        if !delivery.is_held() {
            return Err(Failed::not_ours());
        }
        self.may_ask(Op::CreateText)?;
        match self.rest.create_text(&text).await {
            Ok(sent) => {
                fault_points::hit(Point::SentByRest);
                let status = sent.status.unwrap_or(MessageStatus::Queued);
                let state = self.as_sent(sent.sid, status, sent.error_code);
                self.note(out, (thread, pair), (state, segments)).await;
                let (how, via) = (ReplyOutcome::Sent, Via::Rest);
                Ok(Sending::Sent(Sent { how, via, message: sent.sid.into() }))
            }
            Err(error) => Err(self.refused(pair, &error).await),
        }
    }

    /// What is known of a thread.
    pub(super) async fn record(&self, thread: ThreadId) -> Result<Option<ThreadRecord>, Failed> {
        self.contacts.thread(thread).await.map_err(|error| Failed::not_stored(&error))
    }

    /// How many segments a reply takes, or why it cannot be sent; with what is sent of it.
    pub(super) async fn prepared(
        &self,
        out: &Outgoing,
        (thread, pair): (ThreadId, &Pair),
        record: Option<&ThreadRecord>,
    ) -> Result<Prepared, Failed> {
        let now = self.recorder.clock.wall();
        let is_window_open = match pair.medium {
            Medium::Whatsapp => {
                let contact = self.contacts.of(pair, thread).await;
                contact.map_err(|error| Failed::not_stored(&error))?.is_window_open(now)
            }
            Medium::Sms | Medium::Rcs => true,
        };
        let segments_today = record.map_or(0, |record| record.segments_today(now));
        let facts = Facts { medium: pair.medium, is_window_open, segments_today };
        prepare(&out.reply, facts, &self.limits).map_err(|why| {
            let cause = Cause::of(why.class()).with_detail(why.to_string());
            Failed::of(Class::Dead, Via::Rest, cause)
        })
    }

    async fn text(
        &self,
        out: &Outgoing,
        (thread, pair): (ThreadId, &Pair),
    ) -> Result<(NewText, u32), Failed> {
        let record = self.record(thread).await?;
        let prepared = self.prepared(out, (thread, pair), record.as_ref()).await?;
        let to = record.and_then(|record| record.reach).unwrap_or_else(|| pair.theirs.clone());
        let from = match service_of(&pair.ours) {
            Some(service) => TextSender::Service(service),
            None => TextSender::Address(pair.ours.clone()),
        };
        let callback = self.callback.as_ref();
        let text = NewText {
            from,
            to,
            body: None,
            media_urls: Vec::new(),
            content_sid: None,
            content_variables: None,
            status_callback: callback.map(|base| format!("{base}?reply={}", out.id)),
        };
        let reply = &out.reply;
        Ok(match prepared {
            Prepared::Template(template) => {
                let (content_sid, content_variables) = (Some(template.sid), template.variables);
                (NewText { content_sid, content_variables, ..text }, 1)
            }
            Prepared::AsItIs(segments) => {
                let text = NewText {
                    body: reply.body.clone(),
                    media_urls: self.media_urls(reply, thread),
                    content_sid: reply.content_sid,
                    content_variables: reply.variables_text(),
                    ..text
                };
                (text, segments)
            }
        })
    }

    pub(super) fn as_sent(
        &self,
        sid: TextSid,
        status: MessageStatus,
        code: Option<u32>,
    ) -> ReplyState {
        ReplyState { sid, status, code, at: self.recorder.clock.wall() }
    }

    /// Where a reply's files are. Twilio fetches them from now on, so that a link of ours counts from now on.
    fn media_urls(&self, reply: &Reply, thread: ThreadId) -> Vec<Pii> {
        let now = self.recorder.clock.wall();
        let anew = |url: &Pii| self.links.renewed(url, thread, now).unwrap_or_else(|| url.clone());
        reply.media_urls.iter().map(anew).collect()
    }

    /// Notes a message that Twilio took, so that it is never taken for another one, and that what becomes of
    /// it has its consequences. Where that fails it is still sent, and is found by what it says.
    pub(super) async fn note(
        &self,
        out: &Outgoing,
        (thread, pair): (ThreadId, &Pair),
        (state, segments): (ReplyState, u32),
    ) {
        let ReplyState { sid, status, at, .. } = state;
        let (of, kept) = (ReplyOf::of(out), SentReply::of(out));
        let note = async {
            let ((), state) = futures::try_join!(
                self.contacts.sent((thread, pair), sid, (segments, at)),
                self.states.sent(out.id, state, (of, kept.clone())),
            )?;
            if state.status.rank() > status.rank() {
                // A callback was faster, and nobody was told, since nobody knew whose it was.
                arrival::note(&self.recorder, (out.id, of), (state.status, state.code));
                fallen::fared(&*self.inlet, out.id, (state, kept.clone())).await?;
            }
            if state.status.is_failure() {
                fallen::fell((&self.contacts, &*self.inlet), out.id, (state, kept)).await?;
            }
            Ok::<(), queue::Error>(())
        };
        let noted = note.await;
        if let Err(error) = noted {
            tracing::warn!(conversation_sid = %thread, message_sid = %sid,
                error = %Chain(&error), "a message that was sent could not be noted");
        }
    }

    /// What a failed request means, and what it tells of the sender and the person.
    async fn refused(&self, pair: &Pair, error: &rest::Error) -> Failed {
        let failure = status::failure(error);
        let code = status::code(error);
        let is_busy = matches!(failure, Failure::Refused { status: 429, .. });
        if is_busy || code.is_some_and(|code| TOO_FAST.contains(&code)) {
            self.pace.refused(&pair.ours);
        }
        if code == Some(OPTED_OUT) {
            let at = self.recorder.clock.wall();
            if let Err(error) = self.contacts.wishes(pair, Wish::Stop, at).await {
                tracing::warn!(error = %Chain(&error), "an opt-out could not be noted");
            }
        }
        let class = classify(Operation::Send, failure);
        let parked = self.status.parks(error, &self.recorder.clock);
        let mut cause = status::cause(class, error);
        match code {
            Some(OPTED_OUT) => {
                cause.class = CauseClass::Skipped(SkipReason::OptedOut).as_str().into()
            }
            Some(WINDOW_CLOSED) => cause.class = CauseClass::WindowClosed.as_str().into(),
            _ => {}
        }
        let (failure, op) = (Some(failure), Op::CreateText);
        Failed { failure, parked, op, ..Failed::of(class, Via::Rest, cause) }
    }

    pub(super) fn may_ask(&self, op: Op) -> Result<(), Failed> {
        Failed::unless_asked(op, &self.status, &self.recorder.clock)
    }

    pub(super) fn did_nothing(&self, error: &rest::Error) -> Failed {
        Failed::did_nothing(error, &self.status, &self.recorder.clock)
    }
}
