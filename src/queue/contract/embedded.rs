//! The embedded engine under the contract.

use tempfile::TempDir;

use super::{Harness, LEASE};
use crate::queue::{Store, embedded};

struct Embedded(TempDir);

impl Harness for Embedded {
    fn empty() -> Self {
        Self(TempDir::new().unwrap())
    }

    async fn open(&self) -> Store {
        let path = self.0.path().join("queue.db");
        Store::open(embedded::Options { lease: LEASE, ..embedded::Options::new(path) }).unwrap()
    }
}

super::contract! {
    Embedded:
    delivery::{
        an_append_is_delivered_and_acked_once,
        an_id_is_remembered_after_ack_and_reopen,
        one_job_of_a_lane_is_out_at_a_time_and_in_order,
        a_dropped_delivery_comes_again_at_once,
        late_ack_after_reclaim_is_fenced,
    },
}
