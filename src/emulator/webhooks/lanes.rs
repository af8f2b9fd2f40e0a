//! Decides which waiting webhook may be sent next.
//!
//! Pure. Webhooks of one lane (a URL and a conversation) go out one after the other, so that a
//! receiver that answers at once sees autocreation in its order; lanes go side by side, up to a
//! number a URL. Waiting webhooks are bounded: one too many is refused to the caller, who counts it
//! as lost, as Twilio would.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Waiting and running webhooks. `U` is the URL, `K` what orders inside it, `T` the webhook.
#[derive(Debug)]
pub struct WebhookLanes<U, K, T> {
    urls: HashMap<U, Url<K, T>>,
    waiting: usize,
    waiting_max: usize,
    running_max: usize,
}

#[derive(Debug)]
struct Url<K, T> {
    /// Lanes with waiting webhooks, none of which is under way; in the order they became free.
    ready: VecDeque<K>,
    /// Lanes with waiting or running webhooks.
    lanes: HashMap<K, VecDeque<T>>,
    running: usize,
}

impl<U: Clone + Eq + Hash, K: Clone + Eq + Hash, T> WebhookLanes<U, K, T> {
    /// Starts empty.
    #[must_use]
    pub fn new(waiting_max: usize, running_max: usize) -> Self {
        Self { urls: HashMap::new(), waiting: 0, waiting_max, running_max }
    }

    /// Takes a webhook in; gives it back if too many wait.
    ///
    /// # Errors
    ///
    /// The webhook itself.
    pub fn push(&mut self, url: U, key: K, item: T) -> Result<(), T> {
        if self.waiting >= self.waiting_max {
            return Err(item);
        }
        self.waiting += 1;
        let url = self.urls.entry(url).or_insert_with(|| Url {
            ready: VecDeque::new(),
            lanes: HashMap::new(),
            running: 0,
        });
        if let Some(lane) = url.lanes.get_mut(&key) {
            lane.push_back(item);
        } else {
            url.ready.push_back(key.clone());
            url.lanes.insert(key, VecDeque::from([item]));
        }
        Ok(())
    }

    /// Gives a webhook that may be sent now, and counts it as under way.
    pub fn start(&mut self) -> Option<(U, K, T)> {
        for (name, url) in &mut self.urls {
            if url.running >= self.running_max {
                continue;
            }
            while let Some(key) = url.ready.pop_front() {
                if let Some(item) = url.lanes.get_mut(&key).and_then(VecDeque::pop_front) {
                    url.running += 1;
                    self.waiting -= 1;
                    return Some((name.clone(), key, item));
                }
            }
        }
        None
    }

    /// Counts a webhook as done.
    pub fn finish(&mut self, url: &U, key: &K) {
        let Some(state) = self.urls.get_mut(url) else { return };
        state.running = state.running.saturating_sub(1);
        match state.lanes.get(key) {
            Some(lane) if !lane.is_empty() => state.ready.push_back(key.clone()),
            Some(_) | None => {
                state.lanes.remove(key);
            }
        }
        if state.lanes.is_empty() {
            self.urls.remove(url);
        }
    }

    /// Whether nothing waits and nothing is under way.
    #[cfg(test)]
    fn is_idle(&self) -> bool {
        self.urls.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_lane_waits_for_its_own_and_not_for_others() {
        let mut lanes = WebhookLanes::new(10, 10);
        for (key, item) in [("a", 1), ("a", 2), ("b", 3)] {
            lanes.push("url", key, item).unwrap();
        }
        assert_eq!(lanes.start(), Some(("url", "a", 1)));
        assert_eq!(lanes.start(), Some(("url", "b", 3)));
        assert_eq!(lanes.start(), None);
        lanes.finish(&"url", &"a");
        assert_eq!(lanes.start(), Some(("url", "a", 2)));
    }

    #[test]
    fn one_too_many_is_given_back() {
        let mut lanes = WebhookLanes::new(1, 1);
        assert_eq!(lanes.push("u", "k", 1), Ok(()));
        assert_eq!(lanes.push("u", "k", 2), Err(2));
    }

    proptest! {
        #[test]
        fn every_webhook_goes_once_in_its_lanes_order(
            pushes in prop::collection::vec((0_u8..2, 0_u8..3), 1..60),
            running_max in 1_usize..4,
            choices in prop::collection::vec(any::<prop::sample::Index>(), 200),
        ) {
            let mut lanes = WebhookLanes::new(usize::MAX, running_max);
            for (number, (url, key)) in pushes.iter().enumerate() {
                lanes.push(*url, *key, number).unwrap();
            }
            let (mut running, mut sent) = (Vec::new(), Vec::new());
            for choice in choices {
                while let Some((url, key, number)) = lanes.start() {
                    sent.push((url, key, number));
                    running.push((url, key));
                }
                for url in 0..2 {
                    let here = running.iter().filter(|(at, _)| *at == url).count();
                    prop_assert!(here <= running_max);
                }
                if running.is_empty() {
                    break;
                }
                let (url, key) = running.swap_remove(choice.index(running.len()));
                lanes.finish(&url, &key);
            }
            prop_assert!(lanes.is_idle());
            prop_assert_eq!(sent.len(), pushes.len());
            for lane in 0..6_u8 {
                let numbers: Vec<_> = sent
                    .iter()
                    .filter(|(url, key, _)| url * 3 + key == lane)
                    .map(|(_, _, number)| *number)
                    .collect();
                prop_assert!(numbers.is_sorted());
            }
        }
    }
}
