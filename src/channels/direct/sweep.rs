//! Finds what no webhook brought: asks Twilio now and then for what came to our addresses.
//!
//! What is found is taken in as a webhook's message would be, and what was taken in before is a
//! duplicate. How far the sweep has come is a mark for each address; another one says when it began, and
//! nothing from before is read, so that a new installation answers nothing old.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::intake::{Arrived, TextIntake};
use super::senders::{MessageOwner, Source};
use crate::clock::Timestamp;
use crate::jobs::settle;
use crate::jobs::status::Status;
use crate::pii::Pii;
use crate::queue::{self, Marks};
use crate::recent::Recent;
use crate::telemetry::chain::Chain;
use crate::telemetry::journal::Door;
use crate::twilio::messaging::{Inbound, MediaPlace};
use crate::twilio::rest::{self, Op, Text, TextFilter, TextMedia};
use crate::twilio::sid::{AccountSid, TextSid};

/// How far back before the newest message that was seen the next sweep looks: what Twilio lists late.
/// Assumed, as no page says how late that may be.
const LISTED_WITHIN: Duration = Duration::from_secs(120);
/// How many pages of 100 messages of an address one sweep reads, which bounds its memory; what is further
/// back is told.
const PAGES_MAX: usize = 500;
/// How many messages are known to be taken in; one that is forgotten costs a look into the store.
pub const TAKEN_MAX: usize = 10_000;

/// What sweeps.
#[derive(Clone)]
pub struct TextSweep {
    /// Twilio's REST API.
    pub rest: rest::Client,
    /// The account.
    pub account_sid: AccountSid,
    /// Where what is found goes.
    pub intake: TextIntake,
    /// Where it is kept how far it has come.
    pub marks: Marks,
    /// What is known about Twilio.
    pub status: Arc<Status>,
    /// How long to wait between two sweeps.
    pub interval: Duration,
    /// What was taken in already: it is listed again while it is among the newest.
    pub taken: Arc<Recent<TextSid, ()>>,
}

/// Why a sweep ended early.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("twilio did not list messages")]
    Rest(#[from] rest::Error),
    #[error("a message could not be stored")]
    Store(#[from] queue::Error),
}

impl TextSweep {
    /// Sweeps after every interval, until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let clock = self.intake.recorder.clock;
        let begun = clock.wall();
        if let Err(error) = self.begin(begun).await {
            tracing::warn!(error = %Chain(&error), "where the sweep begins could not be noted");
        }
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = clock.sleep(settle::spread(self.interval)) => {}
            }
            let swept = async {
                self.status.wait_for_rest(Op::ListTexts, &clock).await;
                self.sweep(begun).await
            };
            let swept = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                swept = swept => swept,
            };
            match swept {
                Ok(0) => tracing::debug!("sweep found no message that no webhook brought"),
                Ok(count) => tracing::info!(count, "sweep found messages that no webhook brought"),
                Err(error) => tracing::warn!(error = %Chain(&error),
                    "sweep ended early; another one follows"),
            }
        }
    }

    /// Notes where the sweep begins that has not come anywhere yet.
    async fn begin(&self, begun: Timestamp) -> Result<(), queue::Error> {
        for ours in self.places() {
            if self.marks.read(&reached_mark(ours)).await?.is_none() {
                // In this order, so that an end in between costs nothing.
                self.marks.raise(&begun_mark(ours), millis(begun)).await?;
                self.marks.raise(&reached_mark(ours), millis(begun)).await?;
            }
        }
        Ok(())
    }

    /// What is looked at: each address of ours, and all of the account if a service stands for some; what
    /// is not the service's is left out.
    fn places(&self) -> Vec<Option<&Pii>> {
        let senders = &self.intake.senders;
        let direct = senders.addresses.iter().filter(|sender| sender.source == Source::Direct);
        let direct = direct.map(|sender| Some(&sender.address));
        direct.chain(senders.service.map(|_| None)).collect()
    }

    /// Looks at all places once; says how many messages were new.
    async fn sweep(&self, begun: Timestamp) -> Result<usize, Error> {
        let mut new = 0;
        for ours in self.places() {
            new += self.sweep_one(ours, begun).await?;
        }
        Ok(new)
    }

    async fn sweep_one(&self, ours: Option<&Pii>, begun: Timestamp) -> Result<usize, Error> {
        let mark = reached_mark(ours);
        let reached = self.marks.read(&mark).await?.map(timestamp);
        let first = self.marks.read(&begun_mark(ours)).await?.map(timestamp);
        let from = from(begun, first, reached);
        let mut pages =
            self.rest.list_texts(TextFilter { to: ours.cloned(), ..TextFilter::default() });
        let (mut found, mut newest) = (Vec::new(), None);
        for page in 0.. {
            if page == PAGES_MAX {
                tracing::warn!(
                    count = found.len(),
                    "sweep reads no further back; older messages that no webhook brought are left"
                );
                break;
            }
            let Some(texts) = pages.next().await? else { break };
            let is_old = |text: &Text| text.created.is_some_and(|created| created < from);
            let is_over = texts.is_empty() || texts.iter().any(is_old);
            newest = texts.iter().filter_map(|text| text.created).max().max(newest);
            found.extend(texts.into_iter().filter(|text| text.is_inbound && !is_old(text)));
            if is_over {
                break;
            }
        }
        let mut new = 0;
        // The oldest first, as they were written.
        for text in found.into_iter().rev() {
            new += self.take(text).await?;
        }
        if let Some(newest) = newest.max(reached.is_none().then_some(begun)) {
            self.marks.raise(&mark, millis(newest)).await?;
        }
        Ok(new)
    }

    /// Takes a listed message in; says how many were new.
    async fn take(&self, text: Text) -> Result<usize, Error> {
        let sid = text.sid;
        if self.taken.get(&sid).is_some() {
            return Ok(0);
        }
        // The list of a whole account has what came to others of its numbers.
        let senders = &self.intake.senders;
        let whose = text.to.as_ref().map(|to| senders.whose(to, text.messaging_service_sid));
        if !matches!(whose, Some(MessageOwner::Ours(_))) {
            return Ok(0);
        }
        let at = text.created.unwrap_or_else(|| self.intake.clock().wall());
        let media = if text.media > 0 { self.media(text.sid).await? } else { Vec::new() };
        let Some(inbound) = inbound(text, media, self.account_sid) else { return Ok(0) };
        let arrived = Arrived { inbound, at, door: Door::Reconcile };
        let new = self.intake.arrived(arrived).await?;
        self.taken.insert(sid, ());
        Ok(new)
    }
}

impl TextSweep {
    /// Where the files of a message are, as a webhook would say.
    async fn media(&self, message: TextSid) -> Result<Vec<MediaPlace>, Error> {
        let files = self.rest.text_media(message).await?.into_iter();
        let link = |file: TextMedia| MediaPlace {
            url: Pii::new(self.rest.text_media_url(message, file.sid)),
            content_type: file.content_type,
        };
        Ok(files.map(link).collect())
    }
}

fn inbound(text: Text, media: Vec<MediaPlace>, account_sid: AccountSid) -> Option<Inbound> {
    Some(Inbound {
        sid: text.sid,
        account_sid,
        messaging_service_sid: text.messaging_service_sid,
        from: text.from?,
        to: text.to?,
        body: text.body,
        media,
        wa_id: None,
        external_user_id: None,
        profile_name: None,
        location: None,
        choice: None,
        quoted: None,
        referral: None,
        opt_out: None,
        other: std::collections::BTreeMap::new(),
    })
}

/// From when on messages are new: what was listed late is read again, but nothing from before the second in
/// which the first sweep of all began. Twilio tells no parts of seconds.
fn from(begun: Timestamp, first: Option<Timestamp>, reached: Option<Timestamp>) -> Timestamp {
    let Some(reached) = reached else { return second_of(begun) };
    let again = reached.before(LISTED_WITHIN);
    first.map_or(again, |first| again.max(second_of(first)))
}

const fn second_of(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millis().div_euclid(1000) * 1000)
}

fn timestamp(millis: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

fn millis(at: Timestamp) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(0)
}

/// The name of how far the sweep of an address has come.
fn reached_mark(ours: Option<&Pii>) -> String {
    mark("texts", ours)
}

/// The name of when it began.
fn begun_mark(ours: Option<&Pii>) -> String {
    mark("texts-begun", ours)
}

fn mark(of: &str, ours: Option<&Pii>) -> String {
    let text = ours.map_or("", |ours| ours.reveal());
    let digest = crate::bytes16::digest([text.as_bytes()]);
    format!("{of}/{}", uuid::Uuid::from_bytes(digest).simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_listed_late_is_read_again_and_nothing_from_before_the_first_sweep() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let late = |seconds: i64| Timestamp::from_millis(seconds * 1000 + 700);
        for (begun, first, reached, wanted) in [
            (1000, None, None, 1000),
            (1000, Some(1000), Some(1000), 1000),
            (1000, Some(1000), Some(1060), 1000),
            (1000, Some(1000), Some(1500), 1380),
            (2000, Some(1000), Some(1500), 1380),
            (2000, None, Some(1500), 1380),
        ] {
            let found = from(late(begun), first.map(late), reached.map(at));
            assert_eq!(found, at(wanted), "{begun} {first:?} {reached:?}");
        }
    }
}
