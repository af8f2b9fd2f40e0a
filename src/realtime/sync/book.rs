//! The subscription book: which Sync objects are wanted, asked for, live.
//!
//! Decides when to ask the server for which subscriptions, and what its results mean; never reads or
//! applies data. Pure: time comes in, requests come out of [`Book::next_request`]. Bounded by the
//! number of objects wanted.
//!
//! | state of an object | asked         | established | interrupted | failed 404 | failed otherwise | cancelled | answer late | ttl over | connection up |
//! |--------------------|---------------|-------------|-------------|------------|------------------|-----------|-------------|----------|---------------|
//! | Wanted             | Asked         | =           | =           | =          | =                | =         | =           | =        | Wanted        |
//! | Asked              | =             | Live        | Wanted      | told       | Resting          | Wanted    | Wanted      | =        | Wanted        |
//! | Live               | =             | =           | =           | =          | =                | Wanted    | =           | Wanted   | Wanted        |
//! | Resting            | Wanted (time) | =           | =           | =          | =                | =         | =           | =        | Wanted        |
//!
//! Results count only with the correlation id of the request they answer, except a cancellation
//! without one, which a server may send by itself. Source: Sync protocol notes 3, read 2026-11-21.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::read::Kind;
use crate::clock::Moment;
use crate::json;
use crate::realtime::twilsock::backoff::{Backoff, Random};

/// Entries of the first request, before the server has named its own bound.
const FIRST_BATCH: usize = 100;
/// Entries of any request, whatever the server allows.
const BATCH_MAX: usize = 1000;
/// Requests whose results are open at the same time, once the server's bound is known.
const IN_FLIGHT_MAX: usize = 4;
/// How far requests are apart, so that wishes are gathered. Source: Sync protocol notes 3, observed: 100 to
/// 120 ms for each.
const GATHER: Duration = Duration::from_millis(100);
/// How long the first wishes after a quiet time are gathered: those of one conversation come within it, and
/// somebody waits for them.
const LEADING: Duration = Duration::from_millis(5);
/// How long an object rests whose subscription failed for another reason than 404. Assumed.
const REST: Duration = Duration::from_secs(30);
/// Bounds of what the server may announce as time of delivery and of life.
const DELIVERY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
const TTL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(7 * 86_400));

/// Names an object in the book.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ObjectId(u32);

/// What a result meant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Nothing: another request's result, or an object nobody wants.
    Stale,
    /// Events flow from here on.
    Live,
    /// It will be asked for again.
    Again,
    /// The object does not exist (any more).
    Gone,
}

/// A request to send: its number and its body.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// The correlation id. Cancellations have one too; nobody waits for their results.
    pub correlation_id: u64,
    /// Whether it establishes; a cancellation's answer may be thrown away.
    pub establishes: bool,
    /// The body.
    pub body: Bytes,
}

/// The book. `O` says whose object it is.
#[derive(Debug)]
pub struct Book<O> {
    entries: Vec<Option<BookEntry<O>>>,
    free: Vec<u32>,
    by_sid: HashMap<Box<str>, u32>,
    wanted: VecDeque<u32>,
    cancels: VecDeque<(Box<str>, Kind)>,
    batches: BTreeMap<u64, RequestBatch>,
    renewals: VecDeque<(Moment, Vec<u32>)>,
    resting: VecDeque<(Moment, u32)>,
    live: usize,
    at_rest: usize,
    retried: usize,
    next_correlation: u64,
    batch_max: Option<usize>,
    not_before: Moment,
    /// When the last request that establishes went out.
    last_ask: Option<Moment>,
    backoff: Backoff,
    up: bool,
}

#[derive(Debug)]
struct BookEntry<O> {
    sid: Box<str>,
    kind: Kind,
    owner: O,
    last_event_id: i64,
    state: State,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Wanted { ttl: bool },
    Asked { correlation_id: u64 },
    Live,
    Resting,
}

#[derive(Debug)]
struct RequestBatch {
    objects: Vec<u32>,
    open: usize,
    deadline: Option<Moment>,
}

impl<O: Copy> Book<O> {
    /// An empty book. `first_correlation` keeps the numbers of successive clients apart.
    #[must_use]
    pub fn new(first_correlation: u64) -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            by_sid: HashMap::new(),
            wanted: VecDeque::new(),
            cancels: VecDeque::new(),
            batches: BTreeMap::new(),
            renewals: VecDeque::new(),
            resting: VecDeque::new(),
            live: 0,
            at_rest: 0,
            retried: 0,
            next_correlation: first_correlation,
            batch_max: None,
            not_before: Moment::ORIGIN,
            last_ask: None,
            // Source: Sync protocol notes 3: 100 ms, doubling, up to 120 s.
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(120)),
            up: false,
        }
    }

    /// Wants an object from `last_event_id` on. An object already known is taken over.
    pub fn want(&mut self, now: Moment, sid: &str, kind: Kind, last: i64, owner: O) -> ObjectId {
        if let Some(slot) = self.by_sid.get(sid).copied() {
            self.drop_entry(slot);
        }
        let entry = BookEntry {
            sid: sid.into(),
            kind,
            owner,
            last_event_id: last,
            state: State::Wanted { ttl: false },
        };
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.entries.push(None);
                u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
            }
        };
        self.by_sid.insert(sid.into(), slot);
        if let Some(place) = self.entry_slot(slot) {
            *place = Some(entry);
        }
        self.gather(now, slot);
        ObjectId(slot)
    }

    /// Wants an object no more.
    pub fn forget(&mut self, id: ObjectId) {
        let up = self.up;
        let Some(entry) = self.entry(id.0) else { return };
        if !matches!(entry.state, State::Wanted { ttl: false } | State::Resting) && up {
            let cancel = (entry.sid.clone(), entry.kind);
            self.cancels.push_back(cancel);
        }
        self.drop_entry(id.0);
    }

    /// Finds an object by its sid.
    #[must_use]
    pub fn find(&self, sid: &str) -> Option<(ObjectId, O)> {
        let slot = *self.by_sid.get(sid)?;
        let entry = self.entries.get(usize::try_from(slot).ok()?)?.as_ref()?;
        Some((ObjectId(slot), entry.owner))
    }

    /// The object's sid.
    #[must_use]
    pub fn sid(&self, id: ObjectId) -> Option<&str> {
        let entry = self.entries.get(usize::try_from(id.0).ok()?)?.as_ref()?;
        Some(&entry.sid)
    }

    /// The event from which the object would be asked for now.
    #[must_use]
    pub fn last_event_id(&self, id: ObjectId) -> Option<i64> {
        let entry = self.entries.get(usize::try_from(id.0).ok()?)?.as_ref()?;
        Some(entry.last_event_id)
    }

    /// Notes up to where the owner has everything.
    pub fn reached(&mut self, id: ObjectId, last_event_id: i64) {
        if let Some(entry) = self.entry(id.0) {
            entry.last_event_id = last_event_id;
        }
    }

    /// How many objects are to be live and are not yet. Those that rest after a failure do not
    /// count: nothing but time helps them.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.by_sid.len() - self.live - self.at_rest
    }

    /// The connection is up: everything is asked for again.
    /// Source: Sync protocol notes 5.
    pub fn connection_up(&mut self, now: Moment) {
        self.connection_down();
        self.up = true;
        self.not_before = now;
        self.backoff.reset();
        self.wanted.clear();
        for (slot, entry) in self.entries.iter_mut().enumerate() {
            if let Some(entry) = entry {
                entry.state = State::Wanted { ttl: false };
                self.wanted.push_back(u32::try_from(slot).unwrap_or(u32::MAX));
            }
        }
        (self.live, self.at_rest) = (0, 0);
    }

    /// The connection is down: nothing is asked for.
    pub fn connection_down(&mut self) {
        self.up = false;
        self.batches.clear();
        self.renewals.clear();
        self.resting.clear();
        self.cancels.clear();
        self.retried = 0;
    }

    /// Gives the next request that may go out.
    pub fn next_request(&mut self, now: Moment) -> Option<Ask> {
        if !self.up {
            return None;
        }
        self.on_time(now);
        self.establish(now).or_else(|| self.cancel())
    }

    /// Takes in the HTTP answer to a request that establishes: status and body, or none.
    pub fn answered(
        &mut self,
        now: Moment,
        correlation_id: u64,
        answer: Option<(u16, &[u8])>,
        random: &mut Random,
    ) {
        #[derive(Deserialize)]
        struct BookReply {
            #[serde(default)]
            estimated_delivery_in_ms: Option<u64>,
            #[serde(default)]
            max_batch_size: Option<usize>,
            #[serde(default)]
            ttl_in_s: Option<i64>,
        }
        let reply = answer
            .filter(|(status, _)| (200..300).contains(status))
            .and_then(|(_, body)| json::from_slice::<BookReply>(body).ok());
        let Some(reply) = reply else {
            self.not_before = now + self.backoff.next_delay(random);
            self.give_back(correlation_id);
            return;
        };
        self.backoff.reset();
        let max = reply.max_batch_size.unwrap_or(FIRST_BATCH);
        self.batch_max = Some(max.clamp(1, BATCH_MAX));
        let Some(batch) = self.batches.get_mut(&correlation_id) else { return };
        let delivery = Duration::from_millis(reply.estimated_delivery_in_ms.unwrap_or(10_000));
        batch.deadline = Some(now + delivery.clamp(DELIVERY.0, DELIVERY.1));
        if let Some(ttl) = reply.ttl_in_s.and_then(|ttl| u64::try_from(ttl).ok()) {
            let ttl = Duration::from_secs(ttl).clamp(TTL.0, TTL.1);
            let objects = batch.objects.clone();
            self.renewals.push_back((now + ttl, objects));
        }
        self.close_batch(correlation_id);
    }

    /// Takes in `subscription_established`.
    pub fn established(
        &mut self,
        now: Moment,
        id: ObjectId,
        correlation_id: Option<u64>,
        interrupted: bool,
    ) -> Verdict {
        let Some(asked) = self.asked(id, correlation_id) else { return Verdict::Stale };
        self.result(asked);
        if interrupted {
            self.requeue(now, id.0);
            return Verdict::Again;
        }
        if let Some(entry) = self.entry(id.0) {
            entry.state = State::Live;
            self.live += 1;
        }
        Verdict::Live
    }

    /// Takes in `subscription_failed`. An object that is gone is to be forgotten by its owner.
    pub fn failed(
        &mut self,
        now: Moment,
        id: ObjectId,
        correlation_id: Option<u64>,
        status: u16,
    ) -> Verdict {
        let Some(asked) = self.asked(id, correlation_id) else { return Verdict::Stale };
        self.result(asked);
        if let Some(entry) = self.entry(id.0) {
            entry.state = State::Resting;
            self.at_rest += 1;
        }
        if status == 404 {
            return Verdict::Gone;
        }
        self.resting.push_back((now + REST, id.0));
        Verdict::Again
    }

    /// Takes in `subscription_canceled`, of a request or of the server's own accord.
    pub fn canceled(&mut self, now: Moment, id: ObjectId, correlation: Option<u64>) -> Verdict {
        if let Some(asked) = self.asked(id, correlation) {
            self.result(asked);
            self.requeue(now, id.0);
            return Verdict::Again;
        }
        match self.entry(id.0).map(|entry| entry.state) {
            Some(State::Live) if correlation.is_none() => {
                self.live -= 1;
                self.requeue(now, id.0);
                Verdict::Again
            }
            Some(State::Live | State::Wanted { .. } | State::Asked { .. } | State::Resting)
            | None => Verdict::Stale,
        }
    }

    /// When [`Book::next_request`] may have something new.
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        if !self.up {
            return None;
        }
        let may_ask = !self.wanted.is_empty() && self.has_capacity();
        let ask = may_ask.then_some(self.not_before);
        let late = self.batches.values().filter_map(|batch| batch.deadline).min();
        let renewal = self.renewals.iter().map(|(at, _)| *at).min();
        let rest = self.resting.front().map(|(at, _)| *at);
        [ask, late, renewal, rest].into_iter().flatten().min()
    }

    fn establish(&mut self, now: Moment) -> Option<Ask> {
        if now < self.not_before || !self.has_capacity() {
            return None;
        }
        let most = self.batch_max.unwrap_or(FIRST_BATCH);
        let mut objects = Vec::new();
        let mut only_ttl = true;
        while objects.len() < most {
            let Some(slot) = self.wanted.pop_front() else { break };
            let correlation_id = self.next_correlation;
            let Some(entry) = self.entry(slot) else { continue };
            let State::Wanted { ttl } = entry.state else { continue };
            only_ttl &= ttl;
            entry.state = State::Asked { correlation_id };
            objects.push(slot);
        }
        if objects.is_empty() {
            return None;
        }
        self.last_ask = Some(now);
        let correlation_id = self.next_correlation;
        self.next_correlation += 1;
        let retried = std::mem::take(&mut self.retried).min(objects.len());
        let body = self.establish_body(correlation_id, retried, only_ttl, &objects);
        let open = objects.len();
        self.batches.insert(correlation_id, RequestBatch { objects, open, deadline: None });
        Some(Ask { correlation_id, establishes: true, body })
    }

    fn establish_body(&self, correlation_id: u64, retried: usize, ttl: bool, of: &[u32]) -> Bytes {
        let requests = of.iter().filter_map(|slot| {
            let entry = self.entries.get(usize::try_from(*slot).ok()?)?.as_ref()?;
            Some(ObjectWish {
                object_sid: &entry.sid,
                object_type: entry.kind.as_str(),
                last_event_id: Some(entry.last_event_id),
            })
        });
        body("establish", correlation_id, retried, ttl.then_some("ttl"), requests.collect())
    }

    fn cancel(&mut self) -> Option<Ask> {
        let most = self.batch_max.unwrap_or(FIRST_BATCH).min(self.cancels.len());
        if most == 0 {
            return None;
        }
        let gone: Vec<_> = self.cancels.drain(..most).collect();
        let wishes = gone.iter().map(|(sid, kind)| ObjectWish {
            object_sid: sid,
            object_type: kind.as_str(),
            last_event_id: None,
        });
        let correlation_id = self.next_correlation;
        self.next_correlation += 1;
        let body = body("cancel", correlation_id, 0, None, wishes.collect());
        Some(Ask { correlation_id, establishes: false, body })
    }

    fn has_capacity(&self) -> bool {
        // The first answer brings the server's bound; until then one request at a time.
        self.batches.len() < if self.batch_max.is_some() { IN_FLIGHT_MAX } else { 1 }
    }

    fn on_time(&mut self, now: Moment) {
        while let Some((at, slot)) = self.resting.front().copied() {
            if at > now {
                break;
            }
            self.resting.pop_front();
            if let Some(entry) = self.entry(slot).filter(|entry| entry.state == State::Resting) {
                entry.state = State::Wanted { ttl: false };
                self.at_rest -= 1;
                self.queue(now, slot, now);
            }
        }
        while let Some(late) = self
            .batches
            .iter()
            .find(|(_, batch)| batch.deadline.is_some_and(|at| at <= now))
            .map(|(correlation_id, _)| *correlation_id)
        {
            self.retried += self.give_back(late);
            self.not_before = now;
        }
        while let Some(at) = self.renewals.iter().position(|(at, _)| *at <= now) {
            let Some((_, objects)) = self.renewals.remove(at) else { break };
            for slot in objects {
                if let Some(entry) = self.entry(slot).filter(|entry| entry.state == State::Live) {
                    entry.state = State::Wanted { ttl: true };
                    self.live -= 1;
                    self.queue(now, slot, now);
                }
            }
        }
    }

    /// Takes an unanswered request back; gives how many objects it still held.
    fn give_back(&mut self, correlation_id: u64) -> usize {
        let Some(batch) = self.batches.remove(&correlation_id) else { return 0 };
        let mut count = 0;
        for slot in batch.objects {
            let Some(entry) = self.entry(slot) else { continue };
            if entry.state == (State::Asked { correlation_id }) {
                entry.state = State::Wanted { ttl: false };
                self.wanted.push_back(slot);
                count += 1;
            }
        }
        count
    }

    /// The request in which the object is, if this is its correlation id.
    fn asked(&mut self, id: ObjectId, correlation: Option<u64>) -> Option<u64> {
        match self.entry(id.0)?.state {
            State::Asked { correlation_id } if correlation == Some(correlation_id) => correlation,
            State::Asked { .. } | State::Wanted { .. } | State::Live | State::Resting => None,
        }
    }

    /// Counts a result of a request.
    fn result(&mut self, correlation_id: u64) {
        if let Some(batch) = self.batches.get_mut(&correlation_id) {
            batch.open = batch.open.saturating_sub(1);
        }
        self.close_batch(correlation_id);
    }

    fn close_batch(&mut self, correlation_id: u64) {
        // Kept until the HTTP answer is there, because that brings the time to live.
        let done = self
            .batches
            .get(&correlation_id)
            .is_some_and(|batch| batch.open == 0 && batch.deadline.is_some());
        if done {
            self.batches.remove(&correlation_id);
        }
    }

    fn requeue(&mut self, now: Moment, slot: u32) {
        if let Some(entry) = self.entry(slot) {
            entry.state = State::Wanted { ttl: false };
            self.gather(now, slot);
        }
    }

    /// Queues a wish for the next request: soon after a quiet time, else with those that follow.
    fn gather(&mut self, now: Moment, slot: u32) {
        let soon = now + LEADING;
        let due = self.last_ask.map_or(soon, |last| soon.max(last + GATHER));
        self.queue(now, slot, due);
    }

    fn queue(&mut self, now: Moment, slot: u32, due: Moment) {
        if self.wanted.is_empty() && self.not_before <= now {
            self.not_before = due;
        }
        self.wanted.push_back(slot);
        if self.wanted.len() >= self.batch_max.unwrap_or(FIRST_BATCH)
            && self.backoff.attempts() == 0
        {
            self.not_before = self.not_before.min(now);
        }
    }

    fn drop_entry(&mut self, slot: u32) {
        let Some(entry) = self.entry_slot(slot).and_then(Option::take) else { return };
        self.by_sid.remove(&entry.sid);
        self.free.push(slot);
        match entry.state {
            State::Live => self.live -= 1,
            State::Asked { correlation_id } => self.result(correlation_id),
            State::Resting => self.at_rest -= 1,
            State::Wanted { .. } => {}
        }
    }

    fn entry(&mut self, slot: u32) -> Option<&mut BookEntry<O>> {
        self.entry_slot(slot)?.as_mut()
    }

    fn entry_slot(&mut self, slot: u32) -> Option<&mut Option<BookEntry<O>>> {
        self.entries.get_mut(usize::try_from(slot).ok()?)
    }
}

#[derive(Serialize)]
struct ObjectWish<'a> {
    object_sid: &'a str,
    object_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_event_id: Option<i64>,
}

fn body(
    action: &'static str,
    correlation_id: u64,
    retried_requests: usize,
    reason: Option<&'static str>,
    requests: Vec<ObjectWish<'_>>,
) -> Bytes {
    #[derive(Serialize)]
    struct RequestBody<'a> {
        event_protocol_version: u32,
        action: &'static str,
        correlation_id: u64,
        retried_requests: usize,
        ttl_in_s: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'static str>,
        requests: Vec<ObjectWish<'a>>,
    }
    let body = RequestBody {
        event_protocol_version: 4,
        action,
        correlation_id,
        retried_requests,
        ttl_in_s: -1,
        reason,
        requests,
    };
    Bytes::from(serde_json::to_vec(&body).expect("a request body is plain data"))
}

#[cfg(test)]
mod tests;
