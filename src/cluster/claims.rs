//! Claims on names: what this instance holds, until when, and what happens to it.
//!
//! Decides nothing. What handles share with the driver's task is behind short locks; a change that the
//! owner has not fetched is replaced by a later one on the same name, so nothing grows. Time enters by
//! the one [`Clock`] that driver and claims share, so a claim ends although the driver hangs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use super::InstanceId;
use super::records::LeaseKey;
use crate::clock::{Clock, Moment};

/// What this instance gains and loses of one kind. Dropping it gives all of it back.
#[derive(Debug)]
pub struct Claims {
    kind: &'static str,
    inbox: Arc<Inbox>,
    shared: Arc<Shared>,
}

impl Claims {
    /// Asks to take part in sharing out names of a kind.
    pub(super) fn ask(kind: &'static str, names: Vec<String>, shared: &Arc<Shared>) -> Self {
        let inbox = Arc::new(Inbox::default());
        shared.asks().claims.push((kind, names, Arc::clone(&inbox)));
        shared.wake.notify_one();
        Self { kind, inbox, shared: Arc::clone(shared) }
    }

    /// Waits for the next change; `None` once the instance has left.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses no change.
    pub async fn next(&mut self) -> Option<Change> {
        loop {
            if let Some(change) = self.inbox.state().changes.pop_front() {
                return Some(change);
            }
            if self.inbox.state().is_closed {
                return None;
            }
            self.inbox.came.notified().await;
        }
    }

    /// Says that the winding down of a name is done; it is held no longer from here on.
    pub fn released(&self, name: &str) {
        let lease = LeaseKey { kind: self.kind.to_owned(), name: name.to_owned() };
        self.shared.revoke(&lease);
        self.shared.asks().released.push(lease);
        self.shared.wake.notify_one();
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        let mut claims = self.shared.claims();
        let theirs = claims.iter().filter(|(lease, _)| lease.kind == self.kind);
        theirs.for_each(|(_, claim)| claim.revoke());
        claims.retain(|lease, _| lease.kind != self.kind);
        drop(claims);
        self.shared.asks().unclaimed.push((self.kind, Arc::clone(&self.inbox)));
        self.shared.wake.notify_one();
    }
}

/// What happens to a name.
#[derive(Clone, Debug)]
pub enum Change {
    /// It is this instance's.
    Gained(Claim),
    /// Others should have it: wind down, then call [`Claims::released`].
    Yield(String),
    /// It is this instance's no longer: stop at once.
    Lost(String),
}

impl Change {
    /// The name that it happens to.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Gained(claim) => claim.name(),
            Self::Yield(name) | Self::Lost(name) => name,
        }
    }
}

/// A name that this instance holds, or has held.
#[derive(Clone, Debug)]
pub struct Claim {
    name: Arc<str>,
    epoch: u64,
    is_revoked: Arc<AtomicBool>,
    shared: Arc<Belief>,
}

impl Claim {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The fence: every later holder's is higher.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether the name is held now: false before anybody else can hold it, also when the task that
    /// renews it hangs.
    #[must_use]
    pub fn is_held(&self) -> bool {
        !self.is_revoked.load(Ordering::Acquire) && self.shared.is_valid()
    }

    fn revoke(&self) {
        self.is_revoked.store(true, Ordering::Release);
    }
}

/// Until when the last beat is good.
#[derive(Debug)]
pub(super) struct Belief {
    pub clock: Clock,
    until_ms: AtomicU64,
}

impl Belief {
    fn is_valid(&self) -> bool {
        millis(self.clock.now()) < self.until_ms.load(Ordering::Acquire)
    }

    /// Takes note of the last beat.
    pub fn set(&self, until: Option<Moment>) {
        self.until_ms.store(until.map_or(0, millis), Ordering::Release);
    }
}

fn millis(moment: Moment) -> u64 {
    u64::try_from(moment.since(Moment::ORIGIN).as_millis()).unwrap_or(u64::MAX)
}

/// What the handles and the driver share.
#[derive(Debug)]
pub(super) struct Shared {
    pub belief: Arc<Belief>,
    pub wake: Notify,
    pub instance: InstanceId,
    asks: Mutex<Asks>,
    claims: Mutex<BTreeMap<LeaseKey, Claim>>,
}

/// What the handles want, until the driver takes it.
#[derive(Debug, Default)]
pub(super) struct Asks {
    pub claims: Vec<(&'static str, Vec<String>, Arc<Inbox>)>,
    pub unclaimed: Vec<(&'static str, Arc<Inbox>)>,
    pub released: Vec<LeaseKey>,
    pub holders: Vec<(LeaseKey, oneshot::Sender<Option<InstanceId>>)>,
    pub is_leaving: bool,
}

impl Shared {
    /// Nothing held and nothing asked for yet.
    pub fn new(instance: InstanceId, clock: Clock) -> Self {
        let belief = Arc::new(Belief { clock, until_ms: AtomicU64::new(0) });
        Self {
            belief,
            wake: Notify::new(),
            instance,
            asks: Mutex::default(),
            claims: Mutex::default(),
        }
    }

    /// What the handles want, to add to it or to take it.
    pub fn asks(&self) -> MutexGuard<'_, Asks> {
        self.asks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn claims(&self) -> MutexGuard<'_, BTreeMap<LeaseKey, Claim>> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is held now, by kind and name.
    pub fn held(&self) -> Vec<(String, Claim)> {
        let claims = self.claims();
        let held = claims.iter().filter(|(_, claim)| claim.is_held());
        held.map(|(lease, claim)| (lease.kind.clone(), claim.clone())).collect()
    }

    /// Makes the claim on a name that was gained.
    pub fn grant(&self, lease: LeaseKey, epoch: u64) -> Claim {
        let claim = Claim {
            name: lease.name.as_str().into(),
            epoch,
            is_revoked: Arc::default(),
            shared: Arc::clone(&self.belief),
        };
        self.claims().insert(lease, claim.clone());
        claim
    }

    /// Ends the claim on a name.
    pub fn revoke(&self, lease: &LeaseKey) {
        if let Some(claim) = self.claims().remove(lease) {
            claim.revoke();
        }
    }

    /// Ends every claim.
    pub fn revoke_all(&self) {
        let claims = std::mem::take(&mut *self.claims());
        claims.values().for_each(Claim::revoke);
    }
}

/// Changes of one kind that the owner has not fetched: two a name at most.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    state: Mutex<InboxState>,
    came: Notify,
}

#[derive(Debug, Default)]
struct InboxState {
    changes: VecDeque<Change>,
    is_closed: bool,
}

impl Inbox {
    fn state(&self) -> MutexGuard<'_, InboxState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a change. A loss makes what was not fetched before it void.
    pub fn push(&self, change: Change) {
        let mut state = self.state();
        if let Change::Lost(name) = &change {
            let is_new = |known: &Change| matches!(known, Change::Gained(claim) if claim.name() == name.as_str());
            let is_unknown = state.changes.iter().any(is_new);
            state.changes.retain(|known| known.name() != name.as_str());
            if is_unknown {
                return;
            }
        }
        state.changes.push_back(change);
        drop(state);
        self.came.notify_one();
    }

    /// Ends the waiting for changes once the fetched ones are through.
    pub fn close(&self) {
        self.state().is_closed = true;
        self.came.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_claim_ends_by_itself_when_nothing_renews_it() {
        let shared = Shared::new(InstanceId::parse("a").unwrap(), Clock::start());
        shared.belief.set(Some(Moment::ORIGIN + Duration::from_secs(5)));
        let claim = shared.grant(lease("x"), 7);
        assert!(claim.is_held());
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(!claim.is_held());
        shared.belief.set(Some(Moment::ORIGIN + Duration::from_secs(9)));
        assert!(claim.is_held(), "a beat in time would have kept it");
        shared.revoke(&lease("x"));
        assert!(!claim.is_held(), "a revoked one never comes back");
    }

    #[tokio::test(start_paused = true)]
    async fn changes_that_were_not_fetched_are_replaced() {
        let shared = Shared::new(InstanceId::parse("a").unwrap(), Clock::start());
        let inbox = Inbox::default();
        for epoch in 0..100 {
            inbox.push(Change::Gained(shared.grant(lease("x"), epoch)));
            inbox.push(Change::Yield("x".into()));
            inbox.push(Change::Lost("x".into()));
        }
        assert!(inbox.state().changes.is_empty(), "never seen, never lost");
        inbox.push(Change::Yield("y".into()));
        inbox.push(Change::Lost("y".into()));
        assert_eq!(inbox.state().changes.len(), 1);
        assert!(matches!(inbox.state().changes[0], Change::Lost(_)));
    }

    fn lease(name: &str) -> LeaseKey {
        LeaseKey { kind: "k".into(), name: name.into() }
    }
}
