//! A bounded map of what goes on with each of many: a turn under way, a pace, who has a thread.
//!
//! When it is full it makes room for a quarter more. What nobody would miss goes first, all of it; then
//! what can be found out again, then what is in use; of each of these what was changed longest ago. So a
//! running turn is forgotten only where more than three quarters of the map are in use, and never all at
//! once. What only saves a question, and where the least used is to go, is [`Recent`](crate::recent)'s.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What it would cost to forget a value. The order is the one in which they go.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Worth {
    /// Forgetting it changes nothing.
    Nothing,
    /// It can be found out again, or matters little.
    Little,
    /// It is in use.
    InUse,
}

/// The map.
pub struct BoundedMap<K, V> {
    max: usize,
    entries: Mutex<Entries<K, V>>,
}

struct Entries<K, V> {
    /// Values, each with the number of its last change.
    values: HashMap<K, (u64, V)>,
    changes: u64,
}

impl<K, V> BoundedMap<K, V> {
    /// Holds `max` entries at most, and four at least.
    #[must_use]
    pub fn new(max: usize) -> Self {
        let entries = Entries { values: HashMap::new(), changes: 0 };
        Self { max: max.max(4), entries: Mutex::new(entries) }
    }

    fn lock(&self) -> MutexGuard<'_, Entries<K, V>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().values.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K: Clone + Eq + Hash, V> BoundedMap<K, V> {
    /// A key's value.
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
        V: Clone,
    {
        self.lock().values.get(key).map(|(_, value)| value.clone())
    }

    /// Changes a key's value, from nothing if that is what there is; gives what the change gives. Where
    /// room has to be made for it, `worth` says what forgetting each other one would cost.
    pub fn change<T>(
        &self,
        key: K,
        worth: impl Fn(&V) -> Worth,
        change: impl FnOnce(&mut V) -> T,
    ) -> T
    where
        V: Default,
    {
        let mut entries = self.lock();
        if entries.values.len() >= self.max && !entries.values.contains_key(&key) {
            entries.make_room(self.max, worth);
        }
        entries.changes += 1;
        let number = entries.changes;
        let (changed, value) = entries.values.entry(key).or_default();
        *changed = number;
        change(value)
    }

    /// Changes a key's value if it has one; gives what the change gives.
    pub fn change_known<Q, T>(&self, key: &Q, change: impl FnOnce(&mut V) -> T) -> Option<T>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.lock().values.get_mut(key).map(|(_, value)| change(value))
    }

    /// Forgets a key; gives its value.
    pub fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.lock().values.remove(key).map(|(_, value)| value)
    }

    /// The keys whose values are such, at most `count`.
    pub fn keys(&self, count: usize, is_one: impl Fn(&V) -> bool) -> Vec<K> {
        let entries = self.lock();
        let found = entries.values.iter().filter(|(_, (_, value))| is_one(value));
        found.take(count).map(|(key, _)| key.clone()).collect()
    }
}

impl<K: Eq + Hash, V> Entries<K, V> {
    /// Makes room for a quarter of `max`, or for more where nobody misses it.
    fn make_room(&mut self, max: usize, worth: impl Fn(&V) -> Worth) {
        self.values.retain(|_, (_, value)| worth(value) > Worth::Nothing);
        let Some(too_many) = self.values.len().checked_sub(max - max / 4).filter(|n| *n > 0) else {
            return;
        };
        let rank = |(changed, value): &(u64, V)| (worth(value), *changed);
        let mut ranks: Vec<_> = self.values.values().map(rank).collect();
        let (_, last_to_go, _) = ranks.select_nth_unstable(too_many - 1);
        let last_to_go = *last_to_go;
        self.values.retain(|_, entry| rank(entry) > last_to_go);
    }
}

/// Says how much there is, never what.
impl<K, V> fmt::Debug for BoundedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundedMap").field("max", &self.max).field("len", &self.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn own(worth: &Option<Worth>) -> Worth {
        match worth {
            Some(worth) => *worth,
            None => Worth::Little,
        }
    }

    fn filled(worths: impl IntoIterator<Item = Worth>) -> BoundedMap<usize, Option<Worth>> {
        let map = BoundedMap::new(8);
        for (key, worth) in worths.into_iter().enumerate() {
            map.change(key, own, |value| *value = Some(worth));
        }
        map
    }

    fn keys(map: &BoundedMap<usize, Option<Worth>>) -> Vec<usize> {
        let mut keys = map.keys(usize::MAX, |_| true);
        keys.sort_unstable();
        keys
    }

    #[test]
    fn what_nobody_would_miss_goes_first_and_all_of_it() {
        use Worth::{InUse, Little, Nothing};
        let map = filled([InUse, Nothing, Little, Nothing, Nothing, Little, InUse, Nothing]);
        map.change(8, own, |value| *value = Some(Little));
        assert_eq!(keys(&map), [0, 2, 5, 6, 8]);
    }

    #[test]
    fn what_was_changed_longest_ago_goes_before_what_is_in_use() {
        use Worth::{InUse, Little};
        let map = filled([InUse, Little, Little, InUse, Little, InUse, InUse, Little]);
        assert_eq!(map.change(1, own, |value| *value), Some(Little), "it is changed again");
        map.change(8, own, |value| *value = Some(InUse));
        assert_eq!(keys(&map), [0, 1, 3, 5, 6, 7, 8]);
    }

    #[test]
    fn where_all_is_in_use_a_quarter_goes_and_never_more() {
        let map = filled([Worth::InUse; 8]);
        map.change(8, own, |value| *value = Some(Worth::InUse));
        assert_eq!(keys(&map), [2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn a_key_that_is_known_makes_no_room() {
        let map = filled([Worth::Nothing; 8]);
        map.change(3, own, |value| *value = Some(Worth::InUse));
        assert_eq!(map.len(), 8);
        assert_eq!(map.change_known(&3, |value| value.take()), Some(Some(Worth::InUse)));
        assert_eq!(map.change_known(&9, |_| ()), None);
        assert_eq!((map.get(&3), map.remove(&3), map.get(&3)), (Some(None), Some(None), None));
    }

    proptest! {
        #[test]
        fn it_is_bounded_and_what_is_in_use_outlives_the_rest(
            changes in prop::collection::vec((0_u8..60, 0_u8..3), 0..300),
        ) {
            let map = BoundedMap::<u8, Option<Worth>>::new(16);
            for (key, worth) in changes {
                let worth = [Worth::Nothing, Worth::Little, Worth::InUse][usize::from(worth)];
                let in_use = map.keys(usize::MAX, |value| own(value) == Worth::InUse);
                map.change(key, own, |value| *value = Some(worth));
                prop_assert!(map.len() <= 16);
                prop_assert_eq!(map.get(&key), Some(Some(worth)));
                let kept = in_use.iter().filter(|other| map.get(*other).is_some()).count();
                prop_assert!(kept >= in_use.len().min(12), "{} of {}", kept, in_use.len());
            }
        }
    }
}
