//! Looks for a reply that may have been sent.
//!
//! Three places tell: what is kept of the reply, since a status callback names it; such a callback that is
//! on its way, for which a little is waited; and the list of our messages to that address.

use std::collections::VecDeque;
use std::time::Duration;

use super::channel::Direct;
use super::intake::service_of;
use super::policy::contact::ThreadRecord;
use super::policy::match_text::Sought;
use super::policy::prepare::Prepared;
use crate::channels::search::{self, Search, Step};
use crate::channels::{Failed, Outgoing, Sent};
use crate::jobs::outcome::Class;
use crate::pii::Pii;
use crate::queue::Cause;
use crate::telemetry::journal::Via;
use crate::telemetry::metrics::labels::ReplyOutcome;
use crate::thread::{CauseClass, Medium, Pair, ThreadId};
use crate::twilio::messaging::MessageStatus;
use crate::twilio::rest::{Op, TextFilter};
use crate::twilio::sid::TextSid;

/// How long after an attempt its message is listed at the latest, and told by a callback long before: the
/// list has been seen to lag (twilio-node issue 647, twilio-java issue 442); by how much is assumed.
pub(super) const LISTED_WITHIN: Duration = Duration::from_secs(10);

impl Direct {
    /// Looks for a reply, of which the last attempt was so long ago; gives it if it is at Twilio.
    pub(super) async fn search(
        &self,
        out: &Outgoing,
        (thread, pair): (ThreadId, &Pair),
        rested: Duration,
    ) -> Result<Option<Sent>, Failed> {
        let known = self.states.await_word(out.id, LISTED_WITHIN.saturating_sub(rested)).await;
        let known = known.map_err(|error| Failed::not_stored(&error))?;
        let record = self.record(thread).await?;
        if let Some(state) = known {
            return Ok(Some(self.found(out, (thread, pair), (state.sid, record)).await));
        }
        self.may_ask(Op::ListTexts)?;
        let reach = record.as_ref().and_then(|record| record.reach.clone());
        let none = VecDeque::new();
        let known = record.as_ref().map_or(&none, |record| &record.sent);
        // Whether the window was open when it was sent cannot be told any more.
        let may_be_template = pair.medium == Medium::Whatsapp && self.limits.template.is_some();
        let since = Search::new(out.accepted).since();
        let sought = Sought { reply: &out.reply, may_be_template, known, since };
        // Somebody may have begun to hide the number since it was sent.
        for theirs in reach.into_iter().chain([pair.theirs.clone()]) {
            if let Some(sid) =
                self.listed(Search::new(out.accepted), &sought, (&pair.ours, theirs)).await?
            {
                tracing::info!(conversation_sid = %thread, message_sid = %sid,
                    "reply is at twilio already; not sent again");
                return Ok(Some(self.found(out, (thread, pair), (sid, record)).await));
            }
        }
        Ok(None)
    }

    /// Notes what was found as what was sent is noted.
    async fn found(
        &self,
        out: &Outgoing,
        (thread, pair): (ThreadId, &Pair),
        (sid, record): (TextSid, Option<ThreadRecord>),
    ) -> Sent {
        let segments = match self.prepared(out, (thread, pair), record.as_ref()).await {
            Ok(Prepared::AsItIs(segments)) => segments,
            Ok(Prepared::Template(_)) => 1,
            // It could not be sent any more; how long it was is not known then.
            Err(_) => 0,
        };
        let state = self.as_sent(sid, MessageStatus::Queued, None);
        self.note(out, (thread, pair), (state, segments)).await;
        Sent { how: ReplyOutcome::Found, via: Via::Rest, message: sid.into() }
    }

    /// Looks among what Twilio lists from our address to one of theirs.
    async fn listed(
        &self,
        mut search: Search,
        sought: &Sought<'_>,
        (ours, theirs): (&Pii, Pii),
    ) -> Result<Option<TextSid>, Failed> {
        let from = service_of(ours).is_none().then(|| ours.clone());
        let to = Some(theirs);
        let mut pages = self.rest.list_texts(TextFilter { to, from });
        loop {
            let page = pages.next().await.map_err(|error| self.did_nothing(&error))?;
            search.unread(pages.skipped());
            let page = page.unwrap_or_default();
            match search.page(page.iter().map(|text| sought.candidate(text))) {
                Step::Found(sid) => return Ok(Some(sid)),
                Step::Absent => return Ok(None),
                Step::GoOn => {}
                Step::TooFar => return Err(nobody_knows("it is not among the newest ones")),
                Step::Unread => {
                    return Err(nobody_knows("a listed message cannot be read, see the log"));
                }
            }
        }
    }
}

/// Whether it was sent will never be known, and it must not be sent twice.
fn nobody_knows(why: &str) -> Failed {
    let cause = Cause::of(CauseClass::Unknown).with_detail(format!(
        "the reply may have been sent: {why} (at most {} are searched). If the person has not got it, \
         send it anew by `chimein send` and drop this",
        search::MESSAGES_MAX
    ));
    Failed::of(Class::Dead, Via::Rest, cause)
}
