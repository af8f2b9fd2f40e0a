//! The room's contract as tests, written against the public handles only.
//!
//! Every engine brings a [`Harness`] and runs all of it. Waits are bounded and on observables.

use std::future::Future;
use std::time::Duration;

use super::{Append, Appended, Cause, Delivery, Error, JobId, Key, Queue, QueueName, Store};
use crate::clock::{Clock, Timestamp};

mod absorb;
mod dead_letters;
mod delivery;
mod embedded;
#[cfg(feature = "nats")]
mod jetstream;
mod model;

/// A lease for claims about its end; long enough that a busy machine does not end it by itself.
const SHORT_LEASE: Duration = Duration::from_millis(600);

/// A lease that no test outlives.
const LONG_LEASE: Duration = Duration::from_secs(60);

/// The longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long nothing must happen for a test to believe that nothing does.
const QUIET: Duration = Duration::from_millis(50);

/// Opens stores of one engine. One harness is one place: opening again finds what was stored.
pub(super) trait Harness {
    /// Makes an empty place.
    fn empty() -> Self;

    /// Opens the store there, with such leases.
    fn open_leasing(&self, lease: Duration) -> impl Future<Output = Store>;

    /// Opens the store there.
    fn open(&self) -> impl Future<Output = Store> {
        self.open_leasing(LONG_LEASE)
    }
}

/// Runs every claim of the contract on an engine.
macro_rules! contract {
    ($harness:ty) => {
        $crate::queue::contract::claims! {
            $harness:
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
                a_retry_holds_what_was_absorbed,
                a_dead_letter_is_made_of_the_first_alone,
                a_dropped_delivery_gives_back_what_it_absorbed,
                absorbed_jobs_come_again_after_reopen,
                who_lost_the_lease_neither_absorbs_nor_settles_what_it_absorbed,
                what_is_put_off_waits_with_its_lane_and_counts_no_attempt,
                what_was_put_off_can_be_woken,
                what_is_shelved_is_held_with_its_lane_and_ages_nobody,
                what_is_to_be_done_later_waits_only_from_then_on,
                what_is_parked_counts_no_attempt_and_is_told_of_the_one_before,
                what_is_left_again_goes_out_after_its_delivery_and_unseen,
                a_lane_is_taken_by_its_key_before_its_time_and_told_to_be_out,
            },
            dead_letters::{
                a_dead_letter_keeps_everything_and_frees_its_lane,
                a_redriven_letter_starts_again_in_its_old_place,
                a_dropped_letter_is_gone_but_its_id_is_known,
                a_long_history_keeps_its_start_and_its_end,
                letters_are_listed_by_page_and_filter,
                keys_are_found_by_what_their_open_and_dead_jobs_hold,
                letters_are_counted_by_cause_up_to_a_bound,
                the_lanes_that_have_waited_longest_are_told_first,
                counts_tell_the_states_apart,
                a_job_is_found_with_its_state_and_the_time_of_its_append,
                what_a_job_holds_is_seen_until_it_is_settled,
                a_key_is_open_from_its_append_until_its_last_job_is_settled,
                marks_only_rise_and_survive_reopen,
                marks_have_bounds,
                documents_are_replaced_whole_and_survive_reopen,
                a_private_document_is_one_whatever_it_holds,
                what_holds_what_somebody_wrote_is_listed_and_forgotten,
                a_document_that_many_change_loses_no_change,
                documents_are_listed_by_page_and_removed_unless_they_were_written,
            },
            model::{random_walks_agree_with_a_list},
        }
    };
}
use contract;

/// Makes tests of claims.
macro_rules! claims {
    ($harness:ty: $($room:ident::{$($claim:ident),* $(,)?}),* $(,)?) => {$($(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $claim() {
            let harness = <$harness as $crate::queue::contract::Harness>::empty();
            $crate::queue::contract::$room::$claim(harness).await;
        }
    )*)*};
}
use claims;

fn id(name: &str) -> JobId {
    JobId::digest("test", &[name.as_bytes()])
}

/// A job named by its payload.
fn job(key: &str, name: &str) -> Append {
    Append {
        id: id(name),
        key: Key::new(key).unwrap(),
        position: None,
        not_before: None,
        payload: name.as_bytes().to_vec(),
    }
}

fn cause(class: &'static str, code: u32) -> Cause {
    Cause::new(class).with_code(code).with_detail("told by the test")
}

fn name(delivery: &Delivery) -> &str {
    std::str::from_utf8(delivery.payload()).unwrap()
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it never happened")
}

async fn next(queue: &Queue) -> Delivery {
    soon(queue.next()).await.unwrap()
}

/// Takes the next delivery, which must be this one.
async fn next_is(queue: &Queue, wanted: &str) -> Delivery {
    let delivery = next(queue).await;
    assert_eq!(name(&delivery), wanted);
    delivery
}

async fn nothing_is_due(queue: &Queue) {
    if let Ok(delivery) = tokio::time::timeout(QUIET, queue.next()).await {
        panic!("{} came", name(&delivery.unwrap()));
    }
}

async fn append(queue: &Queue, job: Append) -> Appended {
    queue.append(vec![job]).await.unwrap()[0]
}

fn inbox(store: &Store) -> Queue {
    store.queue(QueueName::Inbox)
}
