//! Which partitions this process works on, as somebody else decides.
//!
//! The engine asks; who answers keeps every partition with at most one process at a time. Owns no time
//! and no I/O of its own.

use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::cluster::{self, Claim, Claims};

/// Shares the partitions out among the processes.
pub trait Holdings: Send + 'static {
    /// Waits for the next change; `None` once there will be none. Cancel safe.
    fn next(&mut self) -> BoxFuture<'_, Option<Change>>;

    /// Hears that the work on a partition has ended after a [`Change::Yield`].
    fn released(&mut self, partition: u16);
}

/// One change of what this process works on.
pub enum Change {
    /// This process works on the partition from here on.
    Gained(u16, Box<dyn HeldPartition>),
    /// Another process should: finish what is out, then say [`Holdings::released`].
    Yield(u16),
    /// Another process may already: stop at once.
    Lost(u16),
}

/// Tells whether a partition is still this process's.
pub trait HeldPartition: Send + Sync + 'static {
    /// False as soon as it cannot be told for sure.
    fn is_held(&self) -> bool;
}

/// The names of partitions where instances share them out, for [`Membership::claim`].
///
/// [`Membership::claim`]: crate::cluster::Membership::claim
#[must_use]
pub fn partition_names(partitions: u16) -> Vec<String> {
    (0..partitions).map(|partition| partition.to_string()).collect()
}

impl Holdings for Claims {
    fn next(&mut self) -> BoxFuture<'_, Option<Change>> {
        async {
            loop {
                let (name, change): (String, fn(u16) -> Change) = match Claims::next(self).await? {
                    cluster::Change::Gained(claim) => match claim.name().parse() {
                        Ok(partition) => return Some(Change::Gained(partition, Box::new(claim))),
                        Err(_) => continue,
                    },
                    cluster::Change::Yield(name) => (name, Change::Yield),
                    cluster::Change::Lost(name) => (name, Change::Lost),
                };
                if let Ok(partition) = name.parse() {
                    return Some(change(partition));
                }
            }
        }
        .boxed()
    }

    fn released(&mut self, partition: u16) {
        Claims::released(self, &partition.to_string());
    }
}

impl HeldPartition for Claim {
    fn is_held(&self) -> bool {
        Self::is_held(self)
    }
}

/// Gives a single process all partitions for ever.
#[derive(Debug)]
pub struct Everything {
    given: u16,
    partitions: u16,
}

impl Everything {
    /// Gives partitions 0 up to this number.
    #[must_use]
    pub const fn of(partitions: u16) -> Self {
        Self { given: 0, partitions }
    }
}

impl Holdings for Everything {
    fn next(&mut self) -> BoxFuture<'_, Option<Change>> {
        let next = (self.given < self.partitions).then_some(self.given);
        self.given += u16::from(next.is_some());
        Box::pin(std::future::ready(next.map(|it| Change::Gained(it, Box::new(Always)))))
    }

    fn released(&mut self, _: u16) {}
}

/// A partition that nobody else asks for.
struct Always;

impl HeldPartition for Always {
    fn is_held(&self) -> bool {
        true
    }
}
