//! One member's part in the sharing out: its own life, and the book of what it holds. Pure.
//!
//! A lease is held while its record names this life with the epoch it was taken with, and this life's
//! last beat that is known to have arrived was sent less than `patience - margin` ago. Nobody can end
//! this life earlier than `patience` after that beat arrived, and nobody takes a lease from a life
//! that has not ended; so when another holds the lease, this member no longer believes that it does.
//!
//! | own state of a name | meaning | leaves it by |
//! | --- | --- | --- |
//! | none | not wanted, or held by another life | assigned and free: `Taking` |
//! | `Taking` | the write is under way | written: `Held`; refused or unknown: none |
//! | `Held` | held | assigned to another: `Yielding`; lapsed or taken: none, `Lost` |
//! | `Yielding` | held, the owner winds down | owner is done: `Freeing`; lapsed or taken: none, `Lost` |
//! | `Freeing` | the write is under way | written, refused or unknown: none |
//!
//! The driver's contract: one input, drain the outputs, only then publish
//! [`held_until`](Core::held_until), wait for the next input or the [`deadline`](Core::deadline).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::InstanceId;
use super::assignment::assign;
use super::peers::Peers;
use super::records::{Key, LeaseKey, LeaseRecord, MemberId, MemberRecord, Record, digest};
use crate::clock::Moment;

/// Writes under way at the same time.
const WRITES_MAX: usize = 64;

/// How the members keep time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    /// Between two beats.
    pub heartbeat: Duration,
    /// How long a life must be silent before it is ended by others.
    pub patience: Duration,
}

impl Timing {
    /// How long after a beat was sent this member believes that it holds its leases: a sixth less than
    /// the patience, for clocks that run at different speeds and work that is just being finished.
    pub fn belief(&self) -> Duration {
        self.patience - self.patience / 6
    }

    /// A gap between two own beats from which on others' silence says nothing.
    fn cut_off(&self) -> Duration {
        self.patience / 2
    }

    /// How long to rest after a write of unknown outcome.
    fn rest(&self) -> Duration {
        self.heartbeat / 3
    }
}

/// What happens to a member.
#[derive(Debug)]
pub(super) enum Input {
    /// The owner wants a share of these names.
    Claim { kind: String, names: BTreeSet<String> },
    /// The owner wants no share of this kind any more.
    Unclaim { kind: String },
    /// The owner is done with a name.
    Released(LeaseKey),
    /// The owner stops.
    Leave,
    /// The bucket is read from its start; records follow.
    Reading,
    /// What was in the bucket has been read.
    Read,
    /// A record was seen or asked for; `None` if there is none.
    Found { key: Key, revision: u64, record: Option<Record> },
    /// A write ended.
    Written { key: Key, wrote: Wrote },
    /// Time has passed.
    Tick,
}

/// How a write ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Wrote {
    /// It is stored, as this revision.
    Done(u64),
    /// Another revision stands there; nothing was changed.
    Conflict,
    /// Nobody knows.
    Unknown,
}

/// What the driver is to do.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Output {
    /// Write if the key's revision is as expected; 0 stands for none.
    Write { key: Key, record: Record, expected: u64 },
    /// Ask for a record.
    Look(Key),
    /// Read the bucket from its start and follow it.
    Follow,
    /// A name is this member's now.
    Gained { lease: LeaseKey, epoch: u64 },
    /// Others should have a name.
    Yield(LeaseKey),
    /// A name is this member's no longer.
    Lost(LeaseKey),
    /// Others ended this life; it goes on under a new incarnation.
    Ended,
    /// Everything is given back.
    Left,
}

/// One member.
#[derive(Debug)]
pub(super) struct Core {
    timing: Timing,
    instance: InstanceId,
    seed: String,
    own: OwnLife,
    peers: Peers,
    leases: BTreeMap<LeaseKey, SeenMember>,
    kinds: BTreeMap<String, BTreeSet<String>>,
    book: BTreeMap<LeaseKey, Mine>,
    in_flight: BTreeMap<Key, Record>,
    is_read: bool,
    stage: MemberStage,
    is_stale: bool,
    rest_until: Moment,
    outputs: VecDeque<Output>,
}

/// How far along a member is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum MemberStage {
    Sharing,
    Leaving,
    Left,
}

/// The own life.
#[derive(Debug)]
struct OwnLife {
    id: MemberId,
    incarnation: u64,
    revision: u64,
    beat: u64,
    sent_at: Moment,
    renewed_at: Option<Moment>,
    echoed_at: Moment,
    next_at: Moment,
}

#[derive(Debug)]
struct SeenMember {
    revision: u64,
    holder: Option<MemberId>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mine {
    Taking,
    Held(u64),
    Yielding(u64),
    Freeing,
}

impl Core {
    /// Begins a life; `seed` must never have been used before.
    pub fn new(now: Moment, timing: Timing, instance: InstanceId, seed: String) -> Self {
        let own = OwnLife::new(now, &instance, &seed, 1);
        Self {
            timing,
            instance,
            seed,
            own,
            peers: Peers::default(),
            leases: BTreeMap::new(),
            kinds: BTreeMap::new(),
            book: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            is_read: false,
            stage: MemberStage::Sharing,
            is_stale: true,
            rest_until: now,
            outputs: VecDeque::from([Output::Follow]),
        }
    }

    /// Takes an input in.
    pub fn handle(&mut self, now: Moment, input: Input) {
        self.lapse(now);
        match input {
            Input::Claim { kind, names } => {
                self.kinds.insert(kind, names);
                self.is_stale = true;
                self.own.next_at = now;
            }
            Input::Unclaim { kind } => self.unclaim(now, &kind),
            Input::Released(lease) => self.release(&lease),
            Input::Leave if self.stage == MemberStage::Sharing => self.stage = MemberStage::Leaving,
            Input::Leave | Input::Tick => {}
            Input::Reading => self.reading(now),
            Input::Read => self.read(),
            Input::Found { key: Key::Member(id), revision, record } => {
                self.member_found(now, &id, revision, record.as_ref());
            }
            Input::Found { key: Key::Lease(lease), revision, record } => {
                let holder = match record {
                    Some(Record::Lease(record)) => record.holder(),
                    Some(Record::Member(_)) | None => None,
                };
                self.lease_found(now, lease, SeenMember { revision, holder });
            }
            Input::Written { key, wrote } => self.written(now, key, wrote),
        }
        self.act(now);
    }

    /// What is to be done next, until there is nothing.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Until when the leases in the book are believed in.
    pub fn held_until(&self) -> Option<Moment> {
        let renewed_at = self.own.renewed_at.filter(|_| self.stage == MemberStage::Sharing)?;
        Some(renewed_at + self.timing.belief())
    }

    /// When time alone changes something; never in the past.
    pub fn deadline(&self, now: Moment) -> Moment {
        let beat = (!self.in_flight.contains_key(&self.own.key())).then_some(self.own.next_at);
        let silence = self.peers.next_silence(now, self.timing.patience);
        let lapse = self.held_until().filter(|_| !self.book.is_empty());
        let rest = Some(self.rest_until).filter(|_| self.is_stale);
        let all = [beat, silence, lapse, rest].into_iter().flatten();
        let soon = all.filter(|at| *at > now).min();
        soon.unwrap_or(now + self.timing.heartbeat).min(now + self.timing.heartbeat)
    }

    /// How many members live, this one included.
    pub fn live(&self) -> usize {
        let others = self.peers.living().filter(|id| **id != self.own.id).count();
        others + 1
    }

    /// Which instance holds a lease, as far as is known here.
    pub fn holder(&self, lease: &LeaseKey) -> Option<InstanceId> {
        let holder = self.leases.get(lease)?.holder.as_ref()?;
        (!self.peers.is_over(holder)).then(|| holder.instance())
    }

    fn is_valid(&self, now: Moment) -> bool {
        self.held_until().is_some_and(|until| now < until)
    }

    fn act(&mut self, now: Moment) {
        match self.stage {
            MemberStage::Sharing => self.share(now),
            MemberStage::Leaving if now >= self.rest_until => self.resign(),
            MemberStage::Leaving | MemberStage::Left => {}
        }
    }

    fn share(&mut self, now: Moment) {
        self.beat(now);
        if now.since(self.own.echoed_at) > self.timing.patience && self.is_read {
            // Beats arrive, but following does not show them.
            self.own.echoed_at = now;
            self.is_read = false;
            self.outputs.push_back(Output::Follow);
        }
        if self.is_read && self.is_valid(now) && now >= self.rest_until {
            self.end_silent(now);
            if self.is_stale {
                self.is_stale = false;
                self.settle(now);
            }
        }
    }

    fn beat(&mut self, now: Moment) {
        if now < self.own.next_at || self.in_flight.contains_key(&self.own.key()) {
            return;
        }
        self.own.beat += 1;
        self.own.sent_at = now;
        self.own.next_at = now + self.timing.heartbeat;
        let digest_of = |(kind, names): (&String, &BTreeSet<String>)| {
            (kind.clone(), digest(names.iter().map(String::as_str)))
        };
        let kinds = self.kinds.iter().map(digest_of).collect();
        let record = MemberRecord { beat: self.own.beat, kinds, ended: false };
        self.write(self.own.key(), Record::Member(record), self.own.revision);
    }

    /// Ends lives that have been silent for too long.
    fn end_silent(&mut self, now: Moment) {
        let is_cut_off = self.own.renewed_at.is_none_or(|at| now.since(at) > self.timing.cut_off());
        if is_cut_off {
            return;
        }
        let silent = self.peers.silent(now, self.timing.patience);
        let others = silent.filter(|(id, _)| **id != self.own.id);
        for (id, revision) in others.map(|(id, at)| (id.clone(), at)).collect::<Vec<_>>() {
            let ended = MemberRecord { ended: true, ..MemberRecord::default() };
            self.write(Key::Member(id), Record::Member(ended), revision);
        }
    }

    fn resign(&mut self) {
        if self.in_flight.contains_key(&self.own.key()) {
            return;
        }
        self.book.clear();
        let ended = MemberRecord { ended: true, ..MemberRecord::default() };
        self.write(self.own.key(), Record::Member(ended), self.own.revision);
    }

    /// Takes what is this member's and free, and asks for what is others'.
    fn settle(&mut self, now: Moment) {
        let named: BTreeSet<MemberId> =
            self.leases.values().filter_map(|seen| seen.holder.clone()).collect();
        self.peers.forget_ended(&named);
        named.iter().for_each(|id| self.peers.rumoured(now, id));
        for (kind, names) in self.kinds.clone() {
            let digest = digest(names.iter().map(String::as_str));
            let mut members: BTreeSet<MemberId> =
                self.peers.sharing(&kind, &digest).cloned().collect();
            members.insert(self.own.id.clone());
            let lease = |name: &str| LeaseKey { kind: kind.clone(), name: name.to_owned() };
            let assigned: BTreeSet<String> = assign(&names, &members, |name| {
                self.leases.get(&lease(name)).and_then(|seen| seen.holder.as_ref())
            })
            .into_iter()
            .filter(|(_, member)| **member == self.own.id)
            .map(|(name, _)| name.to_owned())
            .collect();
            for name in &names {
                self.settle_one(lease(name), assigned.contains(name));
            }
        }
        let is_unknown = |key: &LeaseKey| {
            self.kinds.get(&key.kind).is_none_or(|names| !names.contains(&key.name))
        };
        let strays: Vec<_> = self.leases.keys().filter(|key| is_unknown(key)).cloned().collect();
        for lease in strays {
            self.settle_one(lease, false);
        }
    }

    fn settle_one(&mut self, lease: LeaseKey, is_assigned: bool) {
        let (revision, holder) = match self.leases.get(&lease) {
            Some(seen) => (seen.revision, seen.holder.clone()),
            None => (0, None),
        };
        let is_named = holder.as_ref() == Some(&self.own.id);
        let is_free = is_named || holder.is_none_or(|holder| self.peers.is_over(&holder));
        match (self.book.get(&lease), is_assigned) {
            (None, true) if is_free => self.take(lease, revision),
            (None, false) if is_named => self.free(lease, revision),
            (Some(Mine::Held(epoch)), false) => {
                self.book.insert(lease.clone(), Mine::Yielding(*epoch));
                self.outputs.push_back(Output::Yield(lease));
            }
            (Some(Mine::Held(_)), true)
            | (Some(Mine::Taking | Mine::Yielding(_) | Mine::Freeing) | None, _) => {}
        }
    }

    fn take(&mut self, lease: LeaseKey, revision: u64) {
        let record = LeaseRecord { holder: Some(self.own.id.as_str().to_owned()) };
        if self.write(Key::Lease(lease.clone()), Record::Lease(record), revision) {
            self.book.insert(lease, Mine::Taking);
        }
    }

    fn free(&mut self, lease: LeaseKey, revision: u64) {
        let record = Record::Lease(LeaseRecord { holder: None });
        if self.write(Key::Lease(lease.clone()), record, revision) {
            self.book.insert(lease, Mine::Freeing);
        }
    }

    /// Writes, unless the key is being written or too much is; then it is tried again later.
    fn write(&mut self, key: Key, record: Record, expected: u64) -> bool {
        let is_own = key == self.own.key();
        let is_too_much = self.in_flight.len() >= WRITES_MAX && !is_own;
        if self.in_flight.contains_key(&key) || is_too_much {
            self.is_stale = true;
            return false;
        }
        self.in_flight.insert(key.clone(), record.clone());
        self.outputs.push_back(Output::Write { key, record, expected });
        true
    }

    fn lose(&mut self, lease: LeaseKey) {
        self.is_stale = true;
        if let Some(Mine::Held(_) | Mine::Yielding(_)) = self.book.remove(&lease) {
            self.outputs.push_back(Output::Lost(lease));
        }
    }

    /// Gives up what is no longer believed in.
    fn lapse(&mut self, now: Moment) {
        if !self.is_valid(now) {
            let all: Vec<_> = self.book.keys().cloned().collect();
            all.into_iter().for_each(|lease| self.lose(lease));
        }
    }

    fn release(&mut self, lease: &LeaseKey) {
        self.is_stale = true;
        if let Some(Mine::Held(epoch) | Mine::Yielding(epoch)) = self.book.remove(lease) {
            self.free(lease.clone(), epoch);
        }
    }

    fn unclaim(&mut self, now: Moment, kind: &str) {
        self.kinds.remove(kind);
        self.own.next_at = now;
        let theirs: Vec<_> = self.book.keys().filter(|key| key.kind == kind).cloned().collect();
        theirs.iter().for_each(|lease| self.release(lease));
    }

    fn reading(&mut self, now: Moment) {
        self.is_read = false;
        self.own.echoed_at = now;
        self.leases.clear();
        self.peers.reading();
    }

    fn read(&mut self) {
        if self.is_read {
            return;
        }
        self.is_read = true;
        self.is_stale = true;
        self.peers.read();
        let is_gone = |(lease, mine): (&LeaseKey, &Mine)| match mine {
            Mine::Held(epoch) | Mine::Yielding(epoch) => {
                let is_there = self.leases.get(lease).is_some_and(|seen| seen.revision == *epoch);
                (!is_there).then(|| lease.clone())
            }
            Mine::Taking | Mine::Freeing => None,
        };
        let gone: Vec<_> = self.book.iter().filter_map(is_gone).collect();
        gone.into_iter().for_each(|lease| self.lose(lease));
    }
}

/// What records and writes tell.
impl Core {
    fn member_found(&mut self, now: Moment, id: &MemberId, revision: u64, record: Option<&Record>) {
        let life = match record {
            Some(Record::Member(life)) => Some(life),
            Some(Record::Lease(_)) | None => None,
        };
        if *id != self.own.id {
            self.is_stale |= match life {
                Some(life) => self.peers.heard(now, id, revision, life),
                None => self.peers.forget(id),
            };
            return;
        }
        let Some(life) = life else {
            // It stood there and does not any more: the bucket is another one.
            if self.own.revision > 0 {
                self.ended(now);
            }
            return;
        };
        if revision < self.own.revision {
            return;
        }
        self.own.echoed_at = now;
        self.peers.heard(now, id, revision, life);
        let is_news = revision > self.own.revision;
        self.own.revision = revision;
        if life.ended {
            self.ended(now);
        } else if life.beat == self.own.beat {
            self.renewed(now);
        } else if is_news {
            // An earlier beat arrived after all, so the next one need not wait.
            self.own.next_at = now;
        }
    }

    fn lease_found(&mut self, now: Moment, lease: LeaseKey, found: SeenMember) {
        if self.leases.get(&lease).is_some_and(|seen| seen.revision >= found.revision) {
            return;
        }
        self.is_stale = true;
        let is_own = found.holder.as_ref() == Some(&self.own.id);
        match self.book.get(&lease) {
            Some(Mine::Taking) if is_own && self.is_valid(now) => {
                let epoch = found.revision;
                self.book.insert(lease.clone(), Mine::Held(epoch));
                self.outputs.push_back(Output::Gained { lease: lease.clone(), epoch });
            }
            Some(Mine::Held(epoch) | Mine::Yielding(epoch)) if found.revision > *epoch => {
                self.lose(lease.clone());
            }
            Some(Mine::Taking | Mine::Held(_) | Mine::Yielding(_) | Mine::Freeing) | None => {}
        }
        self.leases.insert(lease, found);
    }

    fn written(&mut self, now: Moment, key: Key, wrote: Wrote) {
        let Some(record) = self.in_flight.remove(&key) else { return };
        match (key, wrote) {
            (Key::Member(id), Wrote::Done(revision)) => {
                self.member_found(now, &id, revision, Some(&record));
            }
            (Key::Lease(lease), Wrote::Done(revision)) => {
                let Record::Lease(record) = record else { return };
                let holder = record.holder();
                self.lease_found(now, lease.clone(), SeenMember { revision, holder });
                self.book_ended(lease);
            }
            (Key::Member(id), Wrote::Conflict) => {
                self.peers.wait_anew_for(now, &id);
                self.outputs.push_back(Output::Look(Key::Member(id)));
            }
            (Key::Lease(lease), Wrote::Conflict) => {
                self.book_ended(lease.clone());
                self.outputs.push_back(Output::Look(Key::Lease(lease)));
            }
            (Key::Member(_), Wrote::Unknown) => {
                self.own.next_at = self.own.next_at.min(now + self.timing.rest());
                self.rest_until = now + self.timing.rest();
            }
            (Key::Lease(lease), Wrote::Unknown) => {
                self.book_ended(lease);
                self.rest_until = now + self.timing.rest();
            }
        }
    }

    /// A write of a lease has ended, so nothing is under way any more.
    fn book_ended(&mut self, lease: LeaseKey) {
        self.is_stale = true;
        if let Some(Mine::Taking | Mine::Freeing) = self.book.get(&lease) {
            self.book.remove(&lease);
        }
    }

    fn renewed(&mut self, now: Moment) {
        let at = self.own.sent_at;
        let before = self.own.renewed_at.replace(at);
        if before.is_none_or(|before| at.since(before) > self.timing.cut_off()) {
            self.peers.wait_anew(now);
            self.is_stale = true;
        }
    }

    /// Others have ended this life, or the bucket has forgotten it: all is lost, a new life begins.
    fn ended(&mut self, now: Moment) {
        if self.stage != MemberStage::Sharing {
            self.stage = MemberStage::Left;
            self.outputs.push_back(Output::Left);
            return;
        }
        let all: Vec<_> = self.book.keys().cloned().collect();
        all.into_iter().for_each(|lease| self.lose(lease));
        self.own = OwnLife::new(now, &self.instance, &self.seed, self.own.incarnation + 1);
        self.outputs.push_back(Output::Ended);
    }
}

impl OwnLife {
    fn new(now: Moment, instance: &InstanceId, seed: &str, incarnation: u64) -> Self {
        let id = MemberId::new(instance, &format!("{seed}-{incarnation}"));
        Self {
            id,
            incarnation,
            revision: 0,
            beat: 0,
            sent_at: now,
            renewed_at: None,
            echoed_at: now,
            next_at: now,
        }
    }

    fn key(&self) -> Key {
        Key::Member(self.id.clone())
    }
}
