//! Looks for a reply that may have been sent.
//!
//! Three places tell: what is kept of the reply, since a status callback names it; such a callback that is
//! on its way, for which a little is waited; and the list of our messages to that address.

use std::time::Duration;

use super::channel::Direct;
use super::intake::service_of;
use super::policy::match_text::candidate;
use crate::channels::search::{self, Search, Step};
use crate::channels::{Failed, Outgoing, Sent};
use crate::jobs::outcome::Class;
use crate::queue::Cause;
use crate::telemetry::journal::Via;
use crate::telemetry::metrics::labels::ReplyOutcome;
use crate::thread::{Pair, ThreadId};
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
        let stored = |error| Failed::not_stored(&error);
        let known = self.states.await_word(out.id, LISTED_WITHIN.saturating_sub(rested)).await;
        if let Some(state) = known.map_err(stored)? {
            return Ok(Some(found(state.sid)));
        }
        self.may_ask(Op::ListTexts)?;
        let record = self.contacts.thread(thread).await.map_err(stored)?;
        let (ours, reach) = (&pair.ours, record.as_ref().and_then(|record| record.reach.clone()));
        let sent = record.map(|record| record.sent).unwrap_or_default();
        let from = service_of(ours).is_none().then(|| ours.clone());
        let to = Some(reach.unwrap_or_else(|| pair.theirs.clone()));
        let mut pages = self.rest.list_texts(TextFilter { to, from, ..TextFilter::default() });
        let mut search = Search::new(out.accepted);
        loop {
            let page = pages.next().await.map_err(|error| self.did_nothing(&error))?;
            search.unread(pages.skipped());
            let page = page.unwrap_or_default();
            match search.page(page.iter().map(|text| candidate(text, &out.reply, &sent))) {
                Step::Found(sid) => {
                    tracing::info!(conversation_sid = %thread, message_sid = %sid,
                        "reply is at twilio already; not sent again");
                    return Ok(Some(found(sid)));
                }
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

fn found(sid: TextSid) -> Sent {
    Sent { how: ReplyOutcome::Found, via: Via::Rest, message: sid.into() }
}

/// Whether it was sent will never be known, and it must not be sent twice.
fn nobody_knows(why: &str) -> Failed {
    let cause = Cause::new("unknown").with_detail(format!(
        "the reply may have been sent: {why} (at most {} are searched). If the person has not got it, \
         send it anew by `chimein send` and drop this",
        search::MESSAGES_MAX
    ));
    Failed::of(Class::Dead, Via::Rest, cause)
}
