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

super::contract! {
    Embedded:
    delivery::{
        an_append_is_delivered_and_acked_once,
        an_id_is_remembered_after_ack_and_reopen,
        an_append_answers_for_each_job,
        an_append_with_a_job_out_of_bounds_stores_nothing,
        one_job_of_a_lane_is_out_at_a_time_and_in_order,
        a_delivery_is_told_of_an_earlier_job_and_can_let_it_pass,
        order_survives_reopen,
        a_holder_is_told_when_its_lane_grows,
        queues_do_not_see_each_other,
        a_delayed_job_waits_and_holds_back_its_lane,
        a_duplicate_brings_a_waiting_job_forward,
        a_duplicate_does_not_shorten_a_retry,
        a_dropped_delivery_comes_again_at_once,
        late_ack_after_reclaim_is_fenced,
        a_lease_kept_alive_is_not_lost,
        keep_alive_ends_when_the_lease_is_lost,
        a_retry_comes_later_and_holds_back_its_lane,
        attempts_that_were_settled_survive_reopen,
        ack_and_append_does_both,
        ack_and_append_out_of_bounds_does_neither,
        a_consumer_that_stops_waiting_loses_nothing,
        many_consumers_share_the_work,
        closing_ends_everything,
        appends_under_way_are_finished_by_close,
    },
    absorb::{
        a_delivery_absorbs_what_is_due_and_acks_it_with_its_own,
        what_must_wait_is_not_absorbed,
        what_is_left_again_goes_out_after_its_delivery_and_unseen,
        a_retry_holds_what_was_absorbed,
        a_dead_letter_is_made_of_the_first_alone,
        a_dropped_delivery_gives_back_what_it_absorbed,
        absorbed_jobs_come_again_after_reopen,
        who_lost_the_lease_neither_absorbs_nor_settles_what_it_absorbed,
        what_is_put_off_waits_with_its_lane_and_counts_no_attempt,
        what_was_put_off_can_be_woken,
    },
    letters::{
        a_dead_letter_keeps_everything_and_frees_its_lane,
        a_redriven_letter_starts_again_in_its_old_place,
        a_dropped_letter_is_gone_but_its_id_is_known,
        a_long_history_keeps_its_start_and_its_end,
        letters_are_listed_by_page_and_filter,
        counts_tell_the_states_apart,
        marks_only_rise_and_survive_reopen,
        marks_have_bounds,
    },
    model::{random_walks_agree_with_a_list},
}
