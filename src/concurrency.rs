//! How much may be under way at once with somebody who says when it is too much.
//!
//! [`Limit`] is the rule, pure: additive increase, multiplicative decrease, as in TCP's congestion
//! control (<https://www.rfc-editor.org/rfc/rfc5681>). Up slowly, and only while the limit is what holds
//! back; down by half as soon as the other side refuses for want of room (429). [`Limiter`] is where many
//! tasks meet it, first come, first served.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock::Moment;

/// How long refusals count as one: those that were on their way together say the same thing.
const CUT_EVERY: Duration = Duration::from_secs(1);
/// How soon a doubtful refusal has to be followed by another one to be taken for want of room; chosen so
/// that a restart of the other side is long over.
const DOUBT: Duration = Duration::from_secs(60);

/// How much is allowed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limit {
    allowed: usize,
    max: usize,
    /// Until the first refusal every success at the limit makes room for one more.
    is_exploring: bool,
    /// Successes at the limit since it last grew.
    credit: usize,
    cut_at: Option<Moment>,
    doubted_at: Option<Moment>,
}

impl Limit {
    /// Begins with `first` and never allows more than `max`; both are one at least.
    #[must_use]
    pub fn new(first: usize, max: usize) -> Self {
        let max = max.max(1);
        let allowed = first.clamp(1, max);
        Self { allowed, max, is_exploring: true, credit: 0, cut_at: None, doubted_at: None }
    }

    /// How many may be under way.
    #[must_use]
    pub const fn allowed(&self) -> usize {
        self.allowed
    }

    /// Notes a success while `under_way` were, this one included.
    pub const fn succeeded(&mut self, under_way: usize) {
        if under_way < self.allowed || self.allowed == self.max {
            return;
        }
        self.credit += 1;
        if self.is_exploring || self.credit >= self.allowed {
            self.credit = 0;
            self.allowed += 1;
        }
    }

    /// Notes a refusal for want of room while `under_way` were, this one included.
    pub fn refused(&mut self, under_way: usize, now: Moment) {
        if self.cut_at.is_some_and(|at| now.since(at) < CUT_EVERY) {
            return;
        }
        self.cut_at = Some(now);
        self.is_exploring = false;
        self.credit = 0;
        self.allowed = (under_way.min(self.allowed) / 2).max(1);
    }

    /// Notes a refusal, after a success, that may be for want of room, or because the other side was away
    /// for a moment. It counts if others were under way and it is not the first one for long: who is away
    /// says nothing about room, and would leave room for one alone to those who wait for his return.
    pub fn doubted(&mut self, under_way: usize, now: Moment) {
        let before = self.doubted_at.replace(now);
        if under_way > 1 && before.is_some_and(|at| now.since(at) < DOUBT) {
            self.refused(under_way, now);
        }
    }
}

/// Where tasks wait for their place. Clones share it.
#[derive(Clone, Debug)]
pub struct Limiter {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    places: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limit: Limit,
    /// Places that were taken away while they were in use; they go as they are given back.
    owed: usize,
    under_way: usize,
}

/// A place; given back when dropped.
#[derive(Debug)]
pub struct Slot {
    shared: Arc<Shared>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Limiter {
    /// Begins with the limit's first number of places.
    #[must_use]
    pub fn new(limit: Limit) -> Self {
        let places = Arc::new(Semaphore::new(limit.allowed));
        let state = Mutex::new(State { limit, owed: 0, under_way: 0 });
        Self { shared: Arc::new(Shared { places, state }) }
    }

    /// Always the same number of places.
    #[must_use]
    pub fn fixed(places: usize) -> Self {
        Self::new(Limit::new(places, places))
    }

    /// Waits for a place.
    ///
    /// # Cancel safety
    ///
    /// Dropping it gives up the place in the row.
    pub async fn acquire(&self) -> Slot {
        let places = Arc::clone(&self.shared.places);
        let permit = places.acquire_owned().await.expect("the semaphore is never closed");
        self.shared.state().under_way += 1;
        Slot { shared: Arc::clone(&self.shared), permit: Some(permit) }
    }

    /// Takes a place if there is one now.
    #[must_use]
    pub fn try_acquire(&self) -> Option<Slot> {
        let permit = Arc::clone(&self.shared.places).try_acquire_owned().ok()?;
        self.shared.state().under_way += 1;
        Some(Slot { shared: Arc::clone(&self.shared), permit: Some(permit) })
    }

    /// Whether there is a place now.
    #[must_use]
    pub fn has_place(&self) -> bool {
        self.shared.places.available_permits() > 0
    }

    /// Notes a success of one that has its place still.
    pub fn succeeded(&self) {
        let mut state = self.shared.state();
        let (under_way, before) = (state.under_way, state.limit.allowed);
        state.limit.succeeded(under_way);
        let more = state.limit.allowed - before;
        let settled = more.min(state.owed);
        state.owed -= settled;
        self.shared.places.add_permits(more - settled);
    }

    /// Notes that one that has its place still was refused for want of room.
    pub fn refused(&self, now: Moment) {
        self.shrink(|limit, under_way| limit.refused(under_way, now));
    }

    /// As [`Limit::doubted`], for one that has its place still.
    pub fn doubted(&self, now: Moment) {
        self.shrink(|limit, under_way| limit.doubted(under_way, now));
    }

    fn shrink(&self, note: impl FnOnce(&mut Limit, usize)) {
        let mut state = self.shared.state();
        let (under_way, before) = (state.under_way, state.limit.allowed);
        note(&mut state.limit, under_way);
        let fewer = before.saturating_sub(state.limit.allowed);
        state.owed += fewer - self.shared.places.forget_permits(fewer);
        if fewer > 0 {
            let allowed = state.limit.allowed;
            drop(state);
            tracing::debug!(count = allowed, "fewer requests may be under way at once from now on");
        }
    }

    /// How many may be under way now.
    #[must_use]
    pub fn allowed(&self) -> usize {
        self.shared.state().limit.allowed
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.under_way -= 1;
        if state.owed > 0
            && let Some(permit) = self.permit.take()
        {
            state.owed -= 1;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn it_doubles_in_each_round_until_the_first_refusal_and_then_grows_by_one() {
        let mut limit = Limit::new(4, 1000);
        let round = |limit: &mut Limit| {
            let allowed = limit.allowed();
            (0..allowed).for_each(|_| limit.succeeded(limit.allowed()));
            limit.allowed()
        };
        assert_eq!([round(&mut limit), round(&mut limit)], [8, 16]);
        limit.refused(16, at(1));
        assert_eq!(limit.allowed(), 8);
        assert_eq!([round(&mut limit), round(&mut limit)], [9, 10]);
    }

    #[test]
    fn it_grows_only_while_it_holds_back_and_never_above_its_bound() {
        let mut limit = Limit::new(4, 6);
        (0..100).for_each(|_| limit.succeeded(3));
        assert_eq!(limit.allowed(), 4);
        (0..100).for_each(|_| limit.succeeded(6));
        assert_eq!(limit.allowed(), 6);
    }

    #[test]
    fn refusals_within_a_second_count_once_and_the_last_place_stays() {
        let mut limit = Limit::new(64, 64);
        for _ in 0..10 {
            limit.refused(40, at(1));
        }
        assert_eq!(limit.allowed(), 20, "half of what was under way");
        for second in 2..20 {
            limit.refused(64, at(second));
        }
        assert_eq!(limit.allowed(), 1);
    }

    #[test]
    fn a_single_refusal_that_may_have_another_reason_takes_nothing_and_more_of_them_do() {
        let mut limit = Limit::new(64, 64);
        limit.doubted(40, at(1));
        limit.doubted(40, at(100));
        assert_eq!(limit.allowed(), 64, "long after each other");
        limit.doubted(1, at(101));
        assert_eq!(limit.allowed(), 64, "there is room for one");
        limit.doubted(40, at(102));
        assert_eq!(limit.allowed(), 20);
    }

    #[test]
    fn places_taken_away_while_in_use_go_as_they_are_given_back() {
        let limiter = Limiter::fixed(4);
        let mut held: Vec<_> = (0..4).map(|_| free(&limiter).unwrap()).collect();
        limiter.refused(at(1));
        assert_eq!(limiter.allowed(), 2);
        held.truncate(2);
        assert!(free(&limiter).is_none(), "two are owed");
        held.truncate(1);
        let second = free(&limiter);
        assert!(second.is_some() && free(&limiter).is_none());
        drop((held, second));
        limiter.refused(at(3));
        assert_eq!(limiter.allowed(), 1);
    }

    #[test]
    fn a_place_that_is_owed_is_settled_by_growth_first() {
        let limiter = Limiter::new(Limit::new(2, 4));
        let held: Vec<_> = (0..2).map(|_| free(&limiter).unwrap()).collect();
        limiter.refused(at(1));
        limiter.succeeded();
        assert_eq!(limiter.allowed(), 2);
        assert!(free(&limiter).is_none());
        drop(held);
        let both = (free(&limiter), free(&limiter), free(&limiter));
        assert!(both.0.is_some() && both.1.is_some() && both.2.is_none());
    }

    fn free(limiter: &Limiter) -> Option<Slot> {
        limiter.acquire().now_or_never()
    }

    fn at(secs: u64) -> Moment {
        Moment::ORIGIN + Duration::from_secs(secs)
    }
}
