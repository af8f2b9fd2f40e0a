//! The embedded engine under the contract.

use std::time::Duration;

use tempfile::TempDir;

use super::Harness;
use crate::queue::{Store, embedded};

struct Embedded(TempDir);

impl Harness for Embedded {
    fn empty() -> Self {
        Self(TempDir::new().unwrap())
    }

    async fn open_leasing(&self, lease: Duration) -> Store {
        let path = self.0.path().join("queue.db");
        Store::open(embedded::Options { lease, ..embedded::Options::new(path) }).unwrap()
    }
}

super::contract!(Embedded);
