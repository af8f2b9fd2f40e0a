//! A bounded memory of what was used of late.
//!
//! It has two halves: what is used goes into the young one, and once that is full the old one is
//! forgotten and the young one grows old. So whatever was used among the last `max / 2` different keys
//! is remembered, and forgetting is never everything at once and costs nothing for each entry.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The memory.
pub struct Recent<K, V> {
    max: usize,
    halves: Mutex<Halves<K, V>>,
}

struct Halves<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K, V> Recent<K, V> {
    /// Remembers `max` entries at most.
    #[must_use]
    pub fn new(max: usize) -> Self {
        let halves = Halves { young: HashMap::new(), old: HashMap::new() };
        Self { max: max.max(2), halves: Mutex::new(halves) }
    }

    fn lock(&self) -> MutexGuard<'_, Halves<K, V>> {
        self.halves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash, V> Recent<K, V> {
    /// What is remembered of a key.
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
        V: Clone,
    {
        let mut halves = self.lock();
        if let Some(value) = halves.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = halves.old.remove_entry(key)?;
        let copy = value.clone();
        halves.put(key, value, self.max);
        Some(copy)
    }

    /// Remembers a value; gives the one before.
    pub fn insert(&self, key: K, value: V) -> Option<V> {
        let mut halves = self.lock();
        let before = halves.take(&key);
        halves.put(key, value, self.max);
        before
    }

    /// Changes what is remembered of a key, from nothing if that is what there is; gives what the change
    /// gives.
    pub fn change<T>(&self, key: K, change: impl FnOnce(&mut V) -> T) -> T
    where
        V: Default,
    {
        let mut halves = self.lock();
        if let Some(value) = halves.young.get_mut(&key) {
            return change(value);
        }
        let mut value = halves.old.remove(&key).unwrap_or_default();
        let given = change(&mut value);
        halves.put(key, value, self.max);
        given
    }

    /// Forgets a key; gives what was remembered.
    pub fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.lock().take(key)
    }

    /// Forgets what is not to be kept.
    pub fn retain(&self, keep: impl Fn(&K, &V) -> bool) {
        let mut halves = self.lock();
        halves.young.retain(|key, value| keep(key, value));
        halves.old.retain(|key, value| keep(key, value));
    }

    /// How many keys are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        let halves = self.lock();
        halves.young.len() + halves.old.len()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K: Eq + Hash, V> Halves<K, V> {
    fn take<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.young.remove(key).or_else(|| self.old.remove(key))
    }

    /// Puts what is in neither half into the young one.
    fn put(&mut self, key: K, value: V, max: usize) {
        if self.young.len() >= max / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

/// Says how much is remembered, never what.
impl<K: Eq + Hash, V> fmt::Debug for Recent<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recent").field("max", &self.max).field("len", &self.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_used_is_remembered_and_the_rest_is_forgotten_in_halves() {
        let recent = Recent::new(8);
        for key in 0..4 {
            assert_eq!(recent.insert(key, key), None);
        }
        for key in 4..8 {
            assert_eq!(recent.get(&0), Some(0), "it is used all the time");
            assert_eq!(recent.insert(key, key), None);
        }
        assert_eq!(recent.get(&0), Some(0));
        assert_eq!(recent.get(&1), None, "nobody asked for it");
        assert_eq!(recent.get(&7), Some(7));
        assert_eq!(recent.insert(7, 8), Some(7));
        assert_eq!(recent.remove(&7), Some(8));
        assert!(recent.len() <= 8);
    }

    proptest! {
        #[test]
        fn it_is_bounded_and_knows_the_last_half(keys in prop::collection::vec(0_u8..40, 0..200)) {
            let recent = Recent::new(16);
            for (at, key) in keys.iter().enumerate() {
                recent.change(*key, |value| *value = at);
                prop_assert!(recent.len() <= 16);
            }
            let mut last: Vec<u8> = Vec::new();
            for key in keys.iter().rev() {
                if last.len() < 8 && !last.contains(key) {
                    last.push(*key);
                }
            }
            for key in last {
                prop_assert!(recent.get(&key).is_some(), "{key}");
            }
        }
    }
}
