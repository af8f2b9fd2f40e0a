//! How each reply fares, kept for as long as ids of jobs are.
//!
//! What is heard means what [`policy::reply_state`](super::policy::reply_state) says; here it meets the
//! store.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use uuid::Uuid;

use super::policy::reply_state::ReplyState;
use crate::channels::documents::{forget_said, read, update_private};
use crate::channels::{ReplyOf, SentReply};
use crate::clock::Clock;
use crate::queue::{Documents, Error};
use crate::thread::ThreadId;

/// How often it is looked whether another instance has heard of a reply.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What became of a word about a reply.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Whether it says something new.
    pub is_news: bool,
    /// Whether the reply stands there now, news or not.
    pub is_so: bool,
    /// Whose the reply is, if that is known.
    pub of: Option<ReplyOf>,
    /// The reply itself, if it is kept.
    pub sent: Option<SentReply>,
}

/// The states of replies.
#[derive(Debug)]
pub struct States {
    documents: Documents,
    clock: Clock,
    heard: Notify,
}

/// What is kept of a reply.
#[derive(Clone, Deserialize, Serialize)]
struct KeptReply {
    #[serde(flatten)]
    state: ReplyState,
    /// Whose it is, also once it has arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    of: Option<ReplyOf>,
    /// The reply itself, until it has arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sent: Option<SentReply>,
}

impl KeptReply {
    fn holds_text(&self) -> bool {
        self.sent.as_ref().is_some_and(SentReply::says_something)
    }

    /// Forgets what was said once it has arrived. One that failed is kept until what follows of that is
    /// stored elsewhere, which is told again if it was not.
    fn tidy(self) -> Self {
        let sent = if self.state.status.has_arrived() {
            self.sent.and_then(SentReply::arrived)
        } else {
            self.sent
        };
        Self { sent, ..self }
    }
}

impl States {
    /// Starts with what is stored.
    #[must_use]
    pub fn new(documents: Documents, clock: Clock) -> Self {
        Self { documents, clock, heard: Notify::new() }
    }

    /// What is known of a reply.
    ///
    /// # Errors
    ///
    /// If the store could not be read.
    pub async fn of(&self, reply: Uuid) -> Result<Option<ReplyState>, Error> {
        Ok(self.kept(reply).await?.map(|kept| kept.state))
    }

    async fn kept(&self, reply: Uuid) -> Result<Option<KeptReply>, Error> {
        read(&self.documents, &name(reply)).await
    }

    /// Notes a reply that Twilio took; gives what is known of it then, since a callback may have been
    /// faster. On disk when it returns.
    ///
    /// # Errors
    ///
    /// If the store could not be read or written.
    pub async fn sent(
        &self,
        reply: Uuid,
        state: ReplyState,
        (of, sent): (ReplyOf, SentReply),
    ) -> Result<ReplyState, Error> {
        let note = |before: Option<KeptReply>| {
            let known = before.map(|kept| kept.state);
            let state = ReplyState::after(known, state).or(known).unwrap_or(state);
            Some(KeptReply { state, of: Some(of), sent: Some(sent.clone()) }.tidy())
        };
        let after =
            update_private(&self.documents, &name(reply), KeptReply::holds_text, note).await?;
        Ok(after.map_or(state, |kept| kept.state))
    }

    /// Hears of a reply. On disk when it returns.
    ///
    /// # Errors
    ///
    /// If the store could not be read or written.
    pub async fn hear(&self, reply: Uuid, heard: ReplyState) -> Result<Heard, Error> {
        let change = |before: Option<KeptReply>| {
            let known = before.as_ref().map(|kept| kept.state);
            let state = ReplyState::after(known, heard)?;
            let (of, sent) = before.map_or((None, None), |kept| (kept.of, kept.sent));
            Some(KeptReply { state, of, sent }.tidy())
        };
        let after =
            update_private(&self.documents, &name(reply), KeptReply::holds_text, change).await?;
        self.heard.notify_waiters();
        // Of a second message under the same reply nothing follows.
        let known = after.as_ref().map(|kept| kept.state);
        let (of, sent) = after.map_or((None, None), |kept| (kept.of, kept.sent));
        let is_same = known.is_some_and(|known| known.sid == heard.sid);
        let is_so = is_same && known.is_some_and(|known| known.status == heard.status);
        let is_news = known == Some(heard);
        Ok(Heard { is_news, is_so, of: of.filter(|_| is_same), sent: sent.filter(|_| is_same) })
    }

    /// Waits a while until something is heard of a reply.
    ///
    /// # Errors
    ///
    /// If the store could not be read.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing.
    pub async fn await_word(
        &self,
        reply: Uuid,
        within: Duration,
    ) -> Result<Option<ReplyState>, Error> {
        let end = self.clock.now() + within;
        loop {
            let heard = self.heard.notified();
            if let Some(state) = self.of(reply).await? {
                return Ok(Some(state));
            }
            let now = self.clock.now();
            if now >= end {
                return Ok(None);
            }
            tokio::select! {
                () = heard => {}
                () = self.clock.sleep_until(end.min(now + LOOK_EVERY)) => {}
            }
        }
    }
}

impl States {
    /// Forgets what was said in a thread's replies that have not arrived, and the addresses of those that have
    /// where its agent is told how they fare; how they fare, by their ids, stays. Says how many those are.
    ///
    /// # Errors
    ///
    /// If the store could not be read or written.
    pub async fn forget(&self, thread: ThreadId, act: bool) -> Result<u64, Error> {
        let is_its = move |sent: &SentReply| sent.thread.id() == thread;
        let without = move |kept: KeptReply| {
            kept.sent.as_ref().is_some_and(is_its).then_some(KeptReply { sent: None, ..kept })
        };
        let beginning = format!("{}{REPLIES}", Documents::SHORT_LIVED);
        forget_said(&self.documents, (&beginning, act), without).await
    }
}

/// What the names of these documents have behind their first letter.
const REPLIES: &str = "reply/";

fn name(reply: Uuid) -> String {
    format!("{}{REPLIES}{}", Documents::SHORT_LIVED, reply.simple())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::json;
    use crate::telemetry::trace::TraceContext;
    use crate::thread::{Medium, Pair, Reply, Thread};
    use crate::twilio::messaging::MessageStatus;

    #[test]
    fn what_is_kept_is_read_again() {
        let pair = Pair { medium: Medium::Sms, ours: "+1".into(), theirs: "+2".into() };
        let sid = format!("SM{:032x}", 1).parse().unwrap();
        let status = MessageStatus::Queued;
        let state = ReplyState { sid, status, code: None, at: Timestamp::from_millis(7) };
        let turn = format!("SM{:032x}", 2).parse().ok();
        let thread = Thread::Direct(Box::new(pair));
        let sent = SentReply { thread, reply: Reply::text("hi"), turn, again: false, note: None };
        let trace = TraceContext::of_thread(sent.thread.id()).trace();
        let of = Some(ReplyOf { thread: sent.thread.id(), turn, trace: Some(trace) });
        let kept = KeptReply { state, of, sent: Some(sent.clone()) };
        let bytes = crate::jobs::encode(&kept);
        let read: KeptReply = json::from_slice(&bytes).unwrap();
        assert_eq!((read.state, read.of, read.sent.as_ref()), (state, of, Some(&sent)));
        let arrived = ReplyState { status: MessageStatus::Delivered, ..state };
        let arrived = KeptReply { state: arrived, ..read }.tidy();
        assert_eq!((arrived.of, arrived.sent), (of, None), "whose it was stays, what it said goes");
    }
}
