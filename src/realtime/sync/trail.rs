//! The trail of event ids of one Sync object: which have been seen, which are missing.
//!
//! Decides whether an event is new and up to where nothing is missing; never what an event means.
//! Pure. Every change of a collection takes the next id, so a hole is an event that has not come.
//! Events may overtake each other, and a live event may overtake a replay that then leaves it out.
//! Source: Sync protocol notes 2.1 and 4, public logs, read 2026-11-21.

use std::collections::BTreeSet;

/// How many ids beyond a hole are remembered one by one. Over it the hole counts as lost.
const AHEAD_MAX: usize = 256;

/// The ids seen of one collection.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    /// Nothing up to here is missing.
    whole: i64,
    /// Ids seen beyond the first hole.
    ahead: Option<BTreeSet<i64>>,
    /// The highest id that is known to exist.
    known: i64,
}

impl Trail {
    /// A trail that has everything up to `last`, −1 for nothing.
    #[must_use]
    pub const fn from(last: i64) -> Self {
        Self { whole: last, ahead: None, known: last }
    }

    /// Notes an id; says whether it is new.
    pub fn note(&mut self, id: i64) -> bool {
        self.known = self.known.max(id);
        if id <= self.whole {
            return false;
        }
        if id == self.whole + 1 {
            self.whole = id;
            self.close_up();
            return true;
        }
        let ahead = self.ahead.get_or_insert_default();
        let new = ahead.insert(id);
        if ahead.len() > AHEAD_MAX {
            ahead.pop_last();
        }
        new
    }

    /// Notes that ids up to `last` exist.
    pub fn exists(&mut self, last: i64) {
        self.known = self.known.max(last);
    }

    /// Takes everything up to `last` as seen, because the object was read again.
    pub fn repaired(&mut self, last: i64) {
        if last > self.whole {
            self.whole = last;
            self.close_up();
        }
        self.known = self.known.max(self.whole);
    }

    /// Up to where nothing is missing: what to subscribe from.
    #[must_use]
    pub const fn whole(&self) -> i64 {
        self.whole
    }

    /// The highest id known to exist.
    #[must_use]
    pub const fn known(&self) -> i64 {
        self.known
    }

    /// Whether an id that exists has not been seen.
    #[must_use]
    pub const fn has_hole(&self) -> bool {
        self.whole < self.known
    }

    fn close_up(&mut self) {
        let Some(ahead) = &mut self.ahead else { return };
        while let Some(first) = ahead.first().copied().filter(|first| *first <= self.whole + 1) {
            self.whole = self.whole.max(first);
            ahead.pop_first();
        }
        if ahead.is_empty() {
            self.ahead = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_live_event_that_overtakes_its_replay_hides_nothing() {
        let mut trail = Trail::from(399);
        assert!(trail.note(431));
        assert_eq!(trail.whole(), 399);
        for id in 400..=430 {
            assert!(trail.has_hole());
            assert!(trail.note(id), "{id}");
        }
        assert_eq!((trail.whole(), trail.has_hole()), (431, false));
        assert!(!trail.note(431));
    }

    #[test]
    fn an_id_known_by_hearsay_is_a_hole_until_repaired() {
        let mut trail = Trail::from(-1);
        trail.exists(4);
        assert!(trail.has_hole());
        trail.repaired(4);
        assert!(!trail.has_hole());
        assert!(trail.note(5));
    }

    proptest! {
        #[test]
        fn the_trail_agrees_with_a_set(ids in proptest::collection::vec(0i64..60, 0..120)) {
            let mut trail = Trail::from(-1);
            let mut seen = std::collections::BTreeSet::new();
            for id in ids {
                prop_assert_eq!(trail.note(id), seen.insert(id));
                let whole = (0..).take_while(|id| seen.contains(id)).last().unwrap_or(-1);
                prop_assert_eq!(trail.whole(), whole);
                prop_assert_eq!(trail.has_hole(), seen.last().is_some_and(|last| *last > whole));
            }
        }
    }
}
