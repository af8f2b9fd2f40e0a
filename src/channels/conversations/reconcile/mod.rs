//! The sweep: finds what nobody told us, at start and every few minutes.
//!
//! A webhook that never came, an outage longer than Twilio's patience, a seat that somebody took
//! away: all end in the same state, a conversation that is open and in which no identity of ours
//! sits. The sweep compares the service's open conversations with the seats of each identity, page by
//! page and gently, and hands over what is missing. It also tells the directory of seats what
//! Twilio knows, and reads the conversations in which something has changed that nobody told of: a
//! message whose webhook was lost, and that no socket told of, would otherwise be seen only with the
//! next one of its conversation. Which ones is decided in
//! [`policy::reading`](crate::channels::conversations::policy::reading). Last it leaves what needs no bot any more, and what it
//! left it does not find missing. All of it, and the joins that it brings, keeps one pace.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::channels;
use crate::channels::conversations::arrivals::Arrivals;
use crate::channels::conversations::attributes::attributes;
use crate::channels::conversations::catch_up::CatchUp;
use crate::channels::conversations::contiguous::ContiguousWatermarks;
use crate::channels::conversations::dead_joins::DeadJoins;
use crate::channels::conversations::departures::Departures;
use crate::channels::conversations::join_rules::JoinRules;
use crate::channels::conversations::leave::{Leaver, SeenSeat};
use crate::channels::conversations::policy::join_policy::{Facts, Verdict};
use crate::channels::conversations::policy::leaving::Absence;
use crate::channels::conversations::policy::removal::Rejoin;
use crate::channels::conversations::reconcile::readable::Readable;
use crate::channels::conversations::removals::Removals;
use crate::channels::conversations::seats::Seats;
use crate::channels::conversations::service_check;
use crate::channels::conversations::sweep_pace::SweepPace;
use crate::clock::Timestamp;
use crate::jobs::refusal::{PAUSE_MAX, Scope};
use crate::jobs::settle;
use crate::jobs::status::Status;
use crate::queue;
use crate::telemetry::chain::Chain;
use crate::twilio::SKEW_MAX;
use crate::twilio::events::ConversationState;
use crate::twilio::rest::{self, ConversationFilter, Entry, Op, Pages};
use crate::twilio::sid::ConversationSid;

mod readable;
mod reads;

/// How long to wait after a sweep that ended early: it may have been the one after a start, which
/// finds what nobody else will tell.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What the sweep needs.
#[derive(Clone)]
pub struct Reconciler {
    /// Twilio's REST API.
    pub rest: rest::Client,
    /// The identities and their seats.
    pub seats: Arc<Seats>,
    /// Where missing conversations go.
    pub arrivals: Arrivals,
    /// Which conversations the bot has left.
    pub departures: Arc<Departures>,
    /// Which conversations the bot is to be in.
    pub join_rules: Arc<JoinRules>,
    /// From which conversations somebody has removed it.
    pub removals: Arc<Removals>,
    /// How far each conversation is known.
    pub watermarks: Arc<ContiguousWatermarks>,
    /// Reads conversations that no socket watches.
    pub catch_up: CatchUp,
    /// Leaves conversations.
    pub leaver: Leaver,
    /// How fast requests may follow each other.
    pub pace: Arc<SweepPace>,
    /// What is known about Twilio.
    pub status: Arc<Status>,
    /// What it does of all this.
    pub duty: Duty,
    /// How long to wait between two sweeps.
    pub interval: Duration,
}

/// What a sweep is for. Of several instances one finds for all, and each leaves for itself: only the
/// holder of a conversation's partition knows that no work is open there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Duty {
    /// To find what is missing, and to leave.
    Both,
    /// To find what is missing.
    Find,
    /// To leave.
    Leave,
}

/// Why a sweep ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Twilio did not give a page.
    #[error("a page could not be read")]
    Rest(#[from] rest::Error),
    /// The store did not take a join.
    #[error("a join could not be stored")]
    Store(#[from] queue::Error),
    /// A conversation could not be read.
    #[error("a conversation could not be read")]
    CatchUp(#[source] channels::Error),
    /// What is to be left could not be found out, or not be left.
    #[error("a conversation could not be left")]
    Leave(#[source] channels::Error),
}

/// What a sweep found.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Found {
    /// Open conversations of the service.
    pub open: usize,
    /// Of those, conversations in which we should have a seat and have none.
    pub missing: usize,
    /// Conversations that were left to free their seats.
    pub left: usize,
}

/// An open conversation of the service.
struct OpenConversation {
    sid: ConversationSid,
    created: Option<Timestamp>,
    updated: Option<Timestamp>,
    /// What the listing says of whether the bot is to be there.
    verdict: Verdict,
}

/// What the listings of our identities tell.
#[derive(Default)]
struct Seated {
    seated: HashSet<ConversationSid>,
    leavable: Vec<SeenSeat>,
    readable: Vec<Readable>,
}

/// How long to wait after sweeps that ended early, one after the other: each time twice as long.
struct SweepRest(Duration);

impl SweepRest {
    const fn reset(&mut self) {
        self.0 = RETRY_AFTER;
    }

    fn next(&mut self, max: Duration) -> Duration {
        let pause = self.0.min(max);
        self.0 = (pause * 2).min(max);
        pause
    }
}

impl Reconciler {
    /// Whether there is anything to leave by the operator's wish.
    #[must_use]
    pub fn leaves(&self) -> bool {
        !self.departures.is_off()
    }

    /// Sweeps at once and then again after every interval, until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let clock = self.arrivals.clock();
        let mut since = clock.wall().before(self.interval);
        let mut rest = SweepRest(RETRY_AFTER);
        loop {
            let begun = clock.wall();
            let swept = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                swept = self.sweep(since) => swept,
            };
            if swept.is_ok() {
                since = begun;
                rest.reset();
            }
            let pause = self.pause_after(swept, &mut rest);
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = clock.sleep(pause) => {}
            }
        }
    }

    fn pause_after(&self, swept: Result<Found, Error>, rest: &mut SweepRest) -> Duration {
        match swept {
            Ok(found) if found.missing > 0 => {
                tracing::info!(count = found.missing, "sweep found conversations without the bot");
                self.interval
            }
            Ok(found) => {
                tracing::debug!(count = found.open, "sweep found nothing missing");
                self.interval
            }
            Err(error) => {
                let pause = self.rest_after(&error, rest);
                tracing::warn!(error = %Chain(&error), retry_in_ms = settle::millis(pause),
                    "sweep ended early; another one starts soon");
                pause
            }
        }
    }

    /// How long to wait after a sweep that ended early: where Twilio refuses us as long as the workers
    /// would, else briefly, or as long as it asks.
    fn rest_after(&self, error: &Error, rest: &mut SweepRest) -> Duration {
        let pause = rest.next(self.interval);
        let (Error::Rest(error)
        | Error::CatchUp(channels::Error::Rest(error))
        | Error::Leave(channels::Error::Rest(error))) = error
        else {
            return pause;
        };
        // There is nothing in the path that could be gone but the service.
        if error.status() == Some(404) && error.op() == Op::ListConversations {
            self.status.refused(Scope::Rest, service_check::UNKNOWN, &self.arrivals.clock());
        }
        if self.status.refusal().is_some() {
            return PAUSE_MAX.min(self.interval);
        }
        error.retry_after().unwrap_or_default().max(pause).min(self.interval)
    }

    /// Compares Twilio's open conversations with our seats once, and reads those of ours that have
    /// changed `since`.
    ///
    /// # Errors
    ///
    /// If a page could not be read or a join not be stored; what was found before stays found. If a
    /// conversation could not be read, after all else is done.
    pub async fn sweep(&self, since: Timestamp) -> Result<Found, Error> {
        // The seats are read last: a join under way meanwhile makes a seat, never a missing one.
        let open = match self.duty {
            Duty::Both | Duty::Find => self.open().await?,
            Duty::Leave => Vec::new(),
        };
        let Seated { seated, leavable, readable } = self.seated().await?;
        let mut found = Found { open: open.len(), ..Found::default() };
        let missing = open.into_iter().filter(|open| !seated.contains(&open.sid)).collect();
        let missing = self.find(missing).await;
        let unread = self.read_all(readable, since.before(SKEW_MAX)).await?;
        found.missing = missing?;
        if self.duty != Duty::Find {
            found.left = self.leaver.leave(leavable).await.map_err(Error::Leave)?;
        }
        unread.error.map_or(Ok(found), |error| Err(Error::CatchUp(channels::Error::Rest(error))))
    }

    /// Has the bot join those of the conversations without it in which it should be. Says how many
    /// there are.
    async fn find(&self, missing: Vec<OpenConversation>) -> Result<usize, Error> {
        let mut count = 0;
        if missing.is_empty() {
            return Ok(count);
        }
        let arrivals = &self.arrivals;
        let room = self.seats.room(arrivals.recorder.clock.now());
        let mut dead_joins = DeadJoins::read(&arrivals.joins, room).await?;
        for OpenConversation { sid, created, updated, verdict } in missing {
            if self.join_rules.note(sid, verdict) {
                continue;
            }
            let is_removed = self.removals.is_noted(sid).await?;
            if is_removed && self.removals.rejoin == Rejoin::Never {
                continue;
            }
            let absence = self.leaver.absence(sid, updated).await.map_err(Error::Leave)?;
            if matches!(absence, Some(Absence::Stay | Absence::Look)) {
                continue;
            }
            count += 1;
            self.pace.wait(self.requests_of_a_join()).await;
            if dead_joins.raise(&arrivals.joins, sid).await? {
                continue;
            }
            match absence {
                None if is_removed => arrivals.conversation_back(sid, updated).await?,
                Some(_) => arrivals.conversation_back(sid, updated).await?,
                None => arrivals.conversation_missed(sid, created, updated).await?,
            };
        }
        Ok(count)
    }

    /// How many requests a join makes at most where Twilio takes it: to see whether the bot is to be
    /// there, who of the pool sits there, the add, and the messages where no socket reads them.
    fn requests_of_a_join(&self) -> usize {
        let members = self.seats.members();
        let choosing = if self.join_rules.is_all() { 0 } else { 2 };
        let looking = if members.len() > 1 { members.len() } else { 0 };
        let reading = members.iter().any(|member| member.connected().is_none());
        choosing + looking + 1 + usize::from(reading)
    }

    /// The service's open conversations, as far back as the bot is to be in any.
    async fn open(&self) -> Result<Vec<OpenConversation>, Error> {
        let join_rules = &self.join_rules;
        let from = join_rules.policy.created.map(|since| since.at(self.arrivals.clock().wall()));
        let mut open = Vec::new();
        let mut pages =
            self.rest.list_conversations(ConversationFilter { from, ..Default::default() });
        while let Some(page) = self.paced(&mut pages).await? {
            let found = page.into_iter().filter(|found| is_open(found.state));
            open.extend(found.map(|found| OpenConversation {
                sid: found.sid,
                created: found.created,
                updated: found.updated,
                verdict: join_rules.judge(&Facts {
                    addresses: None,
                    attributes: Some(attributes(found.attributes.as_ref())),
                    created: found.created,
                }),
            }));
        }
        Ok(open)
    }

    async fn paced<T: Entry>(&self, pages: &mut Pages<T>) -> Result<Option<Vec<T>>, rest::Error> {
        self.pace.wait(1).await;
        pages.next().await
    }

    /// All conversations in which an identity of ours sits, by Twilio's word, the seats that may be left,
    /// and the open conversations that may have to be read.
    async fn seated(&self) -> Result<Seated, Error> {
        let mut all = Seated::default();
        for (at, line) in self.seats.members().iter().enumerate() {
            let listing = self.seats.listing();
            let mut pages = self.rest.participant_conversations(&line.identity);
            while let Some(page) = self.paced(&mut pages).await? {
                for found in page {
                    let conversation = found.conversation_sid;
                    all.seated.insert(conversation);
                    let seat = SeenSeat::new(&line.identity, &found);
                    all.leavable.extend(seat.filter(|seat| !self.leaver.keeps(seat)));
                    if is_open(found.conversation_state) {
                        self.seats.take(conversation, &line.identity);
                        let updated = found.conversation_updated;
                        all.readable.push(Readable { conversation, updated, line: at });
                    }
                }
            }
            self.seats.listed(listing, line);
        }
        Ok(all)
    }
}

/// Whether the bot can be in a conversation; a state that nobody knows counts as open.
const fn is_open(state: Option<ConversationState>) -> bool {
    !matches!(state, Some(ConversationState::Closed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeps_that_end_early_come_ever_later_until_one_ends_well() {
        let mut rest = SweepRest(RETRY_AFTER);
        let max = Duration::from_secs(30);
        let pauses: Vec<_> = (0..5).map(|_| rest.next(max).as_secs()).collect();
        assert_eq!(pauses, [5, 10, 20, 30, 30]);
        rest.reset();
        assert_eq!(rest.next(max), RETRY_AFTER);
        rest.reset();
        assert_eq!(rest.next(Duration::from_secs(1)), Duration::from_secs(1));
    }
}
