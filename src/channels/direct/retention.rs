//! Forgets people and threads that have been idle for long.
//!
//! | record | goes |
//! | --- | --- |
//! | somebody who wants to hear nothing more | never, before the person writes START |
//! | anybody else: when the person wrote last | once it was not written for the time that is set |
//! | a thread: its addresses, the day's segments, our newest messages | the same; somebody who writes, or is written to, keeps it |
//! | a WhatsApp id's number, a thread that a person has taken over | never |
//!
//! It looks at a bounded number at a time, with pauses between, on each instance: what one has removed is
//! gone for the others, and what was written in between stays. A person who is forgotten and writes again
//! is somebody new.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::policy::contact::{CONTACTS, Contact, THREADS};
use crate::clock::Clock;
use crate::json;
use crate::queue::{Documents, Error, Listed};
use crate::telemetry::chain::Chain;

/// How long it rests between two rounds.
const ROUND_EVERY: Duration = Duration::from_secs(60 * 60);
/// How long it rests between two pages of a round.
const PAGE_EVERY: Duration = Duration::from_secs(1);

/// Forgets.
#[derive(Clone, Debug)]
pub struct Retention {
    /// Where the records are.
    pub documents: Documents,
    /// How long an idle one is kept.
    pub kept: Duration,
    /// Reads the time.
    pub clock: Clock,
}

impl Retention {
    /// Goes round until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                round = self.round(PAGE_EVERY) => match round {
                    Ok(0) => {}
                    Ok(count) => tracing::info!(count, "idle contacts and threads were forgotten"),
                    Err(error) => tracing::warn!(error = %Chain(&error),
                        "idle contacts are forgotten later"),
                },
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.clock.sleep(ROUND_EVERY) => {}
            }
        }
    }

    /// Looks at all of them; says how many it forgot.
    async fn round(&self, pause: Duration) -> Result<u64, Error> {
        let mut forgotten = 0;
        for beginning in [CONTACTS, THREADS] {
            let mut after = None;
            loop {
                let page = self.documents.list(beginning, after).await?;
                for listed in page.documents.iter().filter(|listed| self.is_over(listed)) {
                    forgotten += u64::from(self.documents.remove(listed).await?);
                }
                let Some(next) = page.next else { break };
                after = Some(next);
                self.clock.sleep(pause).await;
            }
        }
        Ok(forgotten)
    }

    fn is_over(&self, listed: &Listed) -> bool {
        self.clock.wall().since(listed.changed) >= self.kept && may_go(listed)
    }
}

/// Whether nothing is lost with a record that somebody relies on. What this release cannot read may say
/// anything.
fn may_go(listed: &Listed) -> bool {
    if listed.name.starts_with(THREADS) {
        return true;
    }
    json::from_slice::<Contact>(&listed.value).is_ok_and(|contact| !contact.is_opted_out)
}

#[cfg(test)]
mod tests {
    use super::super::contacts::{ContactWord, Contacts};
    use super::super::policy::wish::Wish;
    use super::*;
    use crate::clock::Timestamp;
    use crate::queue::{Store, embedded};
    use crate::thread::{Medium, Pair, Thread};

    #[tokio::test]
    async fn whoever_is_idle_is_forgotten_and_nobody_who_has_opted_out() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(embedded::Options::new(folder.path().join("queue.db"))).unwrap();
        let contacts = Contacts::new(store.documents());
        let at = Clock::start().wall();
        for n in 0..300 {
            contacts.heard(&pair(n), word(at, None)).await.unwrap();
        }
        contacts.heard(&pair(0), word(at, Some(Wish::Stop))).await.unwrap();
        contacts.heard(&pair(1), word(at, Some(Wish::Stop))).await.unwrap();
        let later = at + Duration::from_secs(1);
        contacts.heard(&pair(1), word(later, Some(Wish::Start))).await.unwrap();
        let retention =
            |kept| Retention { documents: store.documents(), kept, clock: Clock::start() };
        let day = Duration::from_secs(24 * 60 * 60);
        assert_eq!(retention(day).round(Duration::ZERO).await.unwrap(), 0, "nobody is idle yet");
        assert_eq!(retention(Duration::ZERO).round(Duration::ZERO).await.unwrap(), 599);

        // As another process sees it, which remembers nothing.
        let contacts = Contacts::new(store.documents());
        for (n, is_opted_out) in [(0, true), (1, false), (2, false)] {
            let pair = pair(n);
            let thread = Thread::Direct(Box::new(pair.clone())).id();
            let contact = contacts.of(&pair, thread).await.unwrap();
            assert_eq!(contact.is_opted_out, is_opted_out, "{n}");
            assert!(contacts.thread(thread).await.unwrap().is_none());
            contacts.heard(&pair, word(later, None)).await.unwrap();
            assert!(contacts.thread(thread).await.unwrap().is_some(), "whoever writes is back");
            assert_eq!(contacts.of(&pair, thread).await.unwrap().is_opted_out, is_opted_out);
        }
    }

    #[tokio::test]
    async fn what_cannot_be_read_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(embedded::Options::new(folder.path().join("queue.db"))).unwrap();
        let documents = store.documents();
        for (name, value, goes) in [
            ("contact/1", &b"\x00"[..], false),
            ("contact/2", br#"{"is_opted_out":true}"#, false),
            ("contact/3", br#"{"wrote":7}"#, true),
            ("thread/4", b"\x00", true),
        ] {
            documents.update(name, |_| Some(value.to_vec())).await.unwrap();
            let beginning = &name[..name.len() - 1];
            let listed = documents.list(beginning, None).await.unwrap().documents.pop().unwrap();
            assert_eq!((listed.name.as_str(), may_go(&listed)), (name, goes));
        }
    }

    fn pair(n: u32) -> Pair {
        let theirs = format!("whatsapp:+1555555{n:04}").into();
        Pair { medium: Medium::Whatsapp, ours: "whatsapp:+15555550100".into(), theirs }
    }

    fn word(at: Timestamp, wish: Option<Wish>) -> ContactWord<'static> {
        let message = format!("SM{:032x}", 7).parse().unwrap();
        ContactWord { message, reach: None, at, wish }
    }
}
