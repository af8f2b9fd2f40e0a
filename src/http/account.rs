//! How many bytes are held of requests whose sender nobody knows yet. Pure.
//!
//! Where there is no room for more, whoever holds most is to give up all of his, if that is more than
//! the asker would hold, and the asker waits until he has: so many small requests never lose against
//! few large ones, and with `n` of them at once nobody loses who holds less than the `n`th part.

use std::collections::{BTreeSet, HashMap};

/// The bytes that all requests hold.
#[derive(Debug)]
pub(super) struct BytesAccount {
    bytes_max: usize,
    held: usize,
    /// How many of those belong to holders that are to give up.
    ending: usize,
    next: u64,
    holders: HashMap<u64, usize>,
    /// Those that are not to give up, by how much they hold.
    order: BTreeSet<(usize, u64)>,
}

/// What becomes of a holder that asks for more.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum HolderFate {
    /// It has it.
    Yes,
    /// It has it once those that are to give up have.
    Wait {
        /// Who is to give up now.
        give_up: Vec<u64>,
    },
    /// It does not get it.
    No,
}

impl BytesAccount {
    /// Begins with nobody who holds anything.
    pub(super) fn new(bytes_max: usize) -> Self {
        let (holders, order) = (HashMap::new(), BTreeSet::new());
        Self { bytes_max, held: 0, ending: 0, next: 0, holders, order }
    }

    /// Begins a holder of nothing; gives its number.
    pub(super) fn open(&mut self) -> u64 {
        let id = self.next;
        self.next += 1;
        self.holders.insert(id, 0);
        self.order.insert((0, id));
        id
    }

    /// Lets a holder hold more, if there is room or can be.
    pub(super) fn take(&mut self, id: u64, bytes: usize) -> HolderFate {
        let Some(own) = self.holders.get(&id).copied() else { return HolderFate::No };
        // Whoever is to give up gets no more.
        if !self.order.contains(&(own, id)) {
            return HolderFate::No;
        }
        let wanted = own.saturating_add(bytes);
        if self.held.saturating_add(bytes) <= self.bytes_max {
            self.held += bytes;
            self.order.remove(&(own, id));
            self.order.insert((wanted, id));
            self.holders.insert(id, wanted);
            return HolderFate::Yes;
        }
        let mut give_up = Vec::new();
        while (self.held - self.ending).saturating_add(bytes) > self.bytes_max {
            match self.order.last().copied() {
                Some((most, largest)) if largest != id && most > wanted => {
                    self.order.remove(&(most, largest));
                    self.ending += most;
                    give_up.push(largest);
                }
                Some(_) | None => break,
            }
        }
        let is_enough = (self.held - self.ending).saturating_add(bytes) <= self.bytes_max;
        if is_enough || !give_up.is_empty() { HolderFate::Wait { give_up } } else { HolderFate::No }
    }

    /// Ends a holder.
    pub(super) fn close(&mut self, id: u64) {
        if let Some(own) = self.holders.remove(&id) {
            self.held -= own;
            if !self.order.remove(&(own, id)) {
                self.ending -= own;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whoever_holds_most_gives_up_for_whoever_holds_less() {
        let mut account = BytesAccount::new(100);
        let [large, larger, small] = [(); 3].map(|()| account.open());
        for (id, bytes) in [(large, 40), (larger, 50), (small, 10)] {
            assert_eq!(account.take(id, bytes), HolderFate::Yes);
        }
        assert_eq!(account.take(small, 10), HolderFate::Wait { give_up: vec![larger] });
        assert_eq!(
            account.take(small, 10),
            HolderFate::Wait { give_up: vec![] },
            "it is on its way"
        );
        assert_eq!(account.take(larger, 1), HolderFate::No, "it gives up");
        account.close(larger);
        assert_eq!(account.take(small, 10), HolderFate::Yes);
        assert_eq!(account.take(large, 60), HolderFate::No, "it would hold most itself");
        account.close(large);
        assert_eq!(account.take(small, 80), HolderFate::Yes);
        assert_eq!(account.take(small, 1), HolderFate::No, "there is nobody else");
    }

    proptest! {
        #[test]
        fn the_bound_holds_and_nobody_loses_whose_part_is_small(
            steps in prop::collection::vec((0_usize..10, 1_usize..40, any::<bool>()), 1..100)
        ) {
            let mut account = BytesAccount::new(100);
            let mut ids = [(); 10].map(|()| account.open());
            let mut held = [0; 10];
            for (who, bytes, ends) in steps {
                if ends {
                    account.close(ids[who]);
                    (ids[who], held[who]) = (account.open(), 0);
                    continue;
                }
                match account.take(ids[who], bytes) {
                    HolderFate::Yes => held[who] += bytes,
                    HolderFate::No => {}
                    HolderFate::Wait { give_up } => for id in give_up {
                        let largest = ids.iter().position(|one| *one == id).unwrap();
                        prop_assert!(held[largest] > held[who] + bytes);
                    }
                }
                prop_assert_eq!(account.held, held.iter().sum::<usize>());
                prop_assert!(account.held <= 100);
                let staying: usize = account.order.iter().map(|(own, _)| own).sum();
                prop_assert_eq!(account.held - account.ending, staying);
            }
        }
    }
}
