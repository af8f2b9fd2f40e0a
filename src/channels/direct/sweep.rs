//! Finds what no webhook brought: asks Twilio now and then for what came to our addresses.
//!
//! What is found is taken in as a webhook's message would be, and what was taken in before is a
//! duplicate. How far the sweep has come is a mark for each address; without one it begins at the start of
//! the process, so that a new installation answers nothing old.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::intake::{Arrived, TextIntake};
use super::senders::Source;
use crate::clock::Timestamp;
use crate::jobs::settle;
use crate::jobs::status::Status;
use crate::pii::Pii;
use crate::queue::{self, Marks};
use crate::telemetry::chain::Chain;
use crate::telemetry::journal::Door;
use crate::twilio::messaging::Inbound;
use crate::twilio::rest::{self, Op, Text, TextFilter};
use crate::twilio::sid::AccountSid;

/// How far back before the newest message that was seen the next sweep looks: what Twilio lists late.
/// Assumed, as no page says how late that may be.
const LISTED_WITHIN: Duration = Duration::from_secs(120);
/// How many pages of an address one sweep reads; what is further back is told.
const PAGES_MAX: usize = 20;

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
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = clock.sleep_until(clock.now() + settle::spread(self.interval)) => {}
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

    /// Looks at all addresses once; says how many messages were new.
    async fn sweep(&self, begun: Timestamp) -> Result<usize, Error> {
        let senders = &self.intake.senders;
        let direct = senders.addresses.iter().filter(|sender| sender.source == Source::Direct);
        let mut places: Vec<Option<&Pii>> = direct.map(|sender| Some(&sender.address)).collect();
        if senders.service.is_some() {
            // All that came to the account; what is not the service's is left out.
            places.push(None);
        }
        let mut new = 0;
        for ours in places {
            new += self.sweep_one(ours, begun).await?;
        }
        Ok(new)
    }

    async fn sweep_one(&self, ours: Option<&Pii>, begun: Timestamp) -> Result<usize, Error> {
        let mark = mark(ours);
        let reached = self.marks.read(&mark).await?.and_then(|millis| i64::try_from(millis).ok());
        let from = match reached {
            Some(millis) => Timestamp::from_millis(millis).before(LISTED_WITHIN),
            None => begun,
        };
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
            let millis = u64::try_from(newest.as_millis()).unwrap_or(0);
            self.marks.raise(&mark, millis).await?;
        }
        Ok(new)
    }

    /// Takes a listed message in; says how many were new.
    async fn take(&self, text: Text) -> Result<usize, Error> {
        let at = text.created.unwrap_or_else(|| self.intake.recorder.clock.wall());
        let Some(inbound) = inbound(text, self.account_sid) else { return Ok(0) };
        let arrived = Arrived { inbound, at, door: Door::Reconcile };
        Ok(self.intake.arrived(arrived).await?)
    }
}

fn inbound(text: Text, account_sid: AccountSid) -> Option<Inbound> {
    Some(Inbound {
        sid: text.sid,
        account_sid,
        messaging_service_sid: text.messaging_service_sid,
        from: text.from?,
        to: text.to?,
        body: text.body,
        media: Vec::new(),
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

/// The name of what is kept of an address.
fn mark(ours: Option<&Pii>) -> String {
    let text = ours.map_or("", |ours| ours.reveal());
    let digest = crate::bytes16::digest([text.as_bytes()]);
    format!("texts/{}", uuid::Uuid::from_bytes(digest).simple())
}
