//! Deliveries that take others of their lane along, and such as are put off.

use super::*;
use crate::queue::{Absorbed, LaneHead};

pub(super) async fn a_delivery_absorbs_what_is_due_and_acks_it_with_its_own(harness: impl Harness) {
    let store = harness.open().await;
    let (queue, outbox) = (inbox(&store), store.queue(QueueName::Outbox));
    let placed = |position, name| Append { position: Some(position), ..job("a", name) };
    queue.append(vec![placed(2, "2"), placed(3, "3"), placed(4, "4")]).await.unwrap();
    append(&queue, job("b", "other")).await;
    let first = next_is(&queue, "2").await;
    next_is(&queue, "other").await.ack().await.unwrap();
    let along = soon(first.absorb(1)).await.unwrap();
    assert_eq!(names(&along), ["3"]);
    assert_eq!((along[0].id, along[0].position), (id("3"), Some(3)));
    assert_eq!((along[0].attempt, along[0].redelivered), (1, false));
    assert!(Clock::start().wall().since(along[0].appended_at) < PATIENCE);
    append(&queue, placed(1, "1")).await;
    assert!(first.overtaken().await.unwrap());
    let along = soon(first.absorb(9)).await.unwrap();
    assert_eq!(names(&along), ["1", "4"], "one that overtook is taken along too");
    assert!(!first.overtaken().await.unwrap());
    assert_eq!(names(&soon(first.absorb(9)).await.unwrap()), [""; 0]);
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.leased, stats.ready), (4, 0));
    let reply = vec![(QueueName::Outbox, job("a", "reply"))];
    assert_eq!(first.ack_and_append(reply).await.unwrap(), [Appended::Added]);
    nothing_is_due(&queue).await;
    next_is(&outbox, "reply").await.ack().await.unwrap();
    store.close().await;
    let store = harness.open().await;
    nothing_is_due(&inbox(&store)).await;
    for name in ["1", "2", "3", "4"] {
        assert_eq!(append(&inbox(&store), job("a", name)).await, Appended::Duplicate);
    }
}

pub(super) async fn what_must_wait_is_not_absorbed(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    let in_an_hour = Some(Clock::start().wall() + Duration::from_secs(3600));
    let delayed = Append { not_before: in_an_hour, ..job("a", "3") };
    queue.append(vec![job("a", "1"), job("a", "2"), delayed, job("a", "4")]).await.unwrap();
    let first = next_is(&queue, "1").await;
    assert_eq!(names(&soon(first.absorb(9)).await.unwrap()), ["2"], "and so is what is behind it");
    assert!(matches!(first.absorb(Delivery::ABSORB_MAX + 1).await, Err(Error::Invalid { .. })));
    first.ack().await.unwrap();
    nothing_is_due(&queue).await;
}

pub(super) async fn what_is_left_again_goes_out_after_its_delivery_and_unseen(
    harness: impl Harness,
) {
    let store = harness.open().await;
    let queue = inbox(&store);
    queue.append(vec![job("a", "1"), job("a", "2"), job("a", "3")]).await.unwrap();
    let first = next_is(&queue, "1").await;
    let along = soon(first.absorb(9)).await.unwrap();
    first.leave(&along[1..]);
    first.leave(&along[1..]);
    nothing_is_due(&queue).await;
    first.ack().await.unwrap();
    let third = next_is(&queue, "3").await;
    assert_eq!((third.attempt(), third.redelivered()), (1, false));
    third.ack().await.unwrap();
    nothing_is_due(&queue).await;
}

pub(super) async fn a_lane_is_taken_by_its_key_before_its_time_and_told_to_be_out(
    harness: impl Harness,
) {
    let store = harness.open().await;
    let queue = inbox(&store);
    let in_an_hour = Some(Clock::start().wall() + Duration::from_secs(3600));
    let delayed = Append { not_before: in_an_hour, ..job("a", "1") };
    queue.append(vec![delayed, job("a", "2"), job("b", "other")]).await.unwrap();
    let key = |key: &str| Key::new(key).unwrap();
    assert_eq!(queue.open_jobs(&key("a")), Some(2));
    let LaneHead::Taken(first) = soon(queue.take(&key("a"))).await.unwrap() else {
        panic!("it waits for an hour, and is there");
    };
    assert_eq!((name(&first), first.attempt(), first.redelivered()), ("1", 1, false));
    assert!(matches!(soon(queue.take(&key("a"))).await.unwrap(), LaneHead::Out));
    assert!(matches!(soon(queue.take(&key("c"))).await.unwrap(), LaneHead::Nothing));
    assert_eq!(queue.open_jobs(&key("a")), Some(2), "what is out is open");
    first.ack().await.unwrap();
    let LaneHead::Taken(second) = soon(queue.take(&key("a"))).await.unwrap() else {
        panic!("the next one is there");
    };
    assert_eq!(name(&second), "2");
    drop(second);
    next_is(&queue, "other").await.ack().await.unwrap();
    next_is(&queue, "2").await.ack().await.unwrap();
    assert!(matches!(soon(queue.take(&key("a"))).await.unwrap(), LaneHead::Nothing));
    assert_eq!(queue.open_jobs(&key("a")), Some(0));
    store.write_over().await.unwrap();
    nothing_is_due(&queue).await;
}

pub(super) async fn a_retry_holds_what_was_absorbed(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    queue.append(vec![job("a", "1"), job("a", "2"), job("a", "3")]).await.unwrap();
    let first = next_is(&queue, "1").await;
    soon(first.absorb(1)).await.unwrap();
    let hour = Duration::from_secs(3600);
    first.retry_in(hour, cause("busy", 1)).await.unwrap();
    nothing_is_due(&queue).await;
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.delayed, stats.ready, stats.leased), (2, 1, 0));
    append(&queue, job("b", "1b")).await;
    append(&queue, job("b", "2b")).await;
    let first = next_is(&queue, "1b").await;
    soon(first.absorb(9)).await.unwrap();
    first.retry_in(Duration::ZERO, cause("busy", 2)).await.unwrap();
    store.close().await;
    let store = harness.open().await;
    let queue = inbox(&store);
    let first = next_is(&queue, "1b").await;
    let along = soon(first.absorb(9)).await.unwrap();
    assert_eq!((first.attempt(), along[0].attempt), (2, 2), "each has an attempt more, on disk");
    assert!(along[0].redelivered);
    first.ack().await.unwrap();
    nothing_is_due(&queue).await;
}

pub(super) async fn a_dead_letter_is_made_of_the_first_alone(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    queue.append(vec![job("a", "1"), job("a", "2"), job("a", "3")]).await.unwrap();
    let first = next_is(&queue, "1").await;
    soon(first.absorb(1)).await.unwrap();
    first.dead(cause("refused", 1)).await.unwrap();
    assert_eq!(queue.stats().await.unwrap().dead, 1);
    let second = next_is(&queue, "2").await;
    assert_eq!((second.attempt(), second.redelivered()), (2, true));
    second.ack().await.unwrap();
    next_is(&queue, "3").await.ack().await.unwrap();
    assert_eq!(queue.show(id("1")).await.unwrap().payload, b"1");
}

pub(super) async fn a_dropped_delivery_gives_back_what_it_absorbed(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    queue.append(vec![job("a", "1"), job("a", "2"), job("a", "3")]).await.unwrap();
    let first = next_is(&queue, "1").await;
    soon(first.absorb(1)).await.unwrap();
    drop(first);
    for (wanted, attempt) in [("1", 2), ("2", 2), ("3", 1)] {
        let delivery = next_is(&queue, wanted).await;
        assert_eq!((delivery.attempt(), delivery.redelivered()), (attempt, attempt == 2));
        delivery.ack().await.unwrap();
    }
}

pub(super) async fn absorbed_jobs_come_again_after_reopen(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    queue.append(vec![job("a", "1"), job("a", "2")]).await.unwrap();
    let first = next_is(&queue, "1").await;
    soon(first.absorb(9)).await.unwrap();
    store.close().await;
    let store = harness.open().await;
    let queue = inbox(&store);
    for wanted in ["1", "2"] {
        let delivery = next_is(&queue, wanted).await;
        assert!(delivery.redelivered());
        delivery.ack().await.unwrap();
    }
    drop(first);
}

pub(super) async fn who_lost_the_lease_neither_absorbs_nor_settles_what_it_absorbed(
    harness: impl Harness,
) {
    let store = harness.open_leasing(SHORT_LEASE).await;
    let queue = inbox(&store);
    queue.append(vec![job("a", "1"), job("a", "2"), job("a", "3")]).await.unwrap();
    let late = next_is(&queue, "1").await;
    soon(late.absorb(1)).await.unwrap();
    let again = next_is(&queue, "1").await;
    assert!(matches!(late.absorb(1).await, Err(Error::LeaseLost { .. })));
    assert!(matches!(late.ack().await, Err(Error::LeaseLost { .. })));
    let along = soon(again.absorb(9)).await.unwrap();
    assert_eq!(names(&along), ["2", "3"]);
    assert!(along[0].redelivered && !along[1].redelivered);
    again.ack().await.unwrap();
    nothing_is_due(&queue).await;
}

pub(super) async fn what_is_put_off_waits_with_its_lane_and_counts_no_attempt(
    harness: impl Harness,
) {
    let store = harness.open().await;
    let queue = inbox(&store);
    queue.append(vec![job("a", "1"), job("a", "2"), job("a", "3"), job("b", "b")]).await.unwrap();
    let first = next_is(&queue, "1").await;
    soon(first.absorb(1)).await.unwrap();
    first.put_off(Duration::from_millis(300)).await.unwrap();
    next_is(&queue, "b").await.ack().await.unwrap();
    nothing_is_due(&queue).await;
    for wanted in ["1", "2", "3"] {
        let delivery = next_is(&queue, wanted).await;
        assert_eq!((delivery.attempt(), delivery.redelivered()), (1, false));
        delivery.ack().await.unwrap();
    }
    append(&queue, job("a", "4")).await;
    let hour = Duration::from_secs(3600);
    next_is(&queue, "4").await.put_off(hour).await.unwrap();
    store.close().await;
    let store = harness.open().await;
    next_is(&inbox(&store), "4").await.ack().await.unwrap();
}

pub(super) async fn what_was_put_off_can_be_woken(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    let hour = Duration::from_secs(3600);
    let lane = Key::new("a").unwrap();
    queue.append(vec![job("a", "1"), job("b", "2")]).await.unwrap();
    next_is(&queue, "1").await.put_off(hour).await.unwrap();
    next_is(&queue, "2").await.put_off(hour).await.unwrap();
    nothing_is_due(&queue).await;
    queue.wake(&lane);
    next_is(&queue, "1").await.retry_in(hour, cause("busy", 1)).await.unwrap();
    queue.wake(&lane);
    nothing_is_due(&queue).await;
}

pub(super) async fn what_is_to_be_done_later_waits_only_from_then_on(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    let in_an_hour = Clock::start().wall() + Duration::from_secs(3600);
    queue.append(vec![Append { not_before: Some(in_an_hour), ..job("a", "1") }]).await.unwrap();
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.delayed, stats.oldest_age), (1, None), "nobody waits for it");
    append(&queue, job("b", "2")).await;
    assert!(queue.stats().await.unwrap().oldest_age.is_some());
}

pub(super) async fn what_is_shelved_is_held_with_its_lane_and_ages_nobody(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    let hour = Duration::from_secs(3600);
    let lane = Key::new("a").unwrap();
    queue.append(vec![job("a", "1"), job("a", "2")]).await.unwrap();
    next_is(&queue, "1").await.shelve(hour).await.unwrap();
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.held, stats.open(), stats.oldest_age), (2, 2, None));
    append(&queue, job("b", "b")).await;
    assert!(queue.stats().await.unwrap().oldest_age.is_some(), "of the one that is not held");
    next_is(&queue, "b").await.ack().await.unwrap();
    queue.wake(&lane);
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.held, stats.ready), (0, 2));
    assert!(stats.oldest_age.is_some(), "what is woken waits for its consumer");
    let first = next_is(&queue, "1").await;
    assert_eq!((first.attempt(), first.redelivered()), (1, false));
    first.shelve(Duration::ZERO).await.unwrap();
    let looked_at = next_is(&queue, "1").await;
    assert_eq!(queue.stats().await.unwrap().held, 2, "also while somebody has another look");
    looked_at.put_off(hour).await.unwrap();
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.held, stats.delayed), (0, 1));
}

pub(super) async fn what_is_parked_counts_no_attempt_and_is_told_of_the_one_before(
    harness: impl Harness,
) {
    let store = harness.open().await;
    let queue = inbox(&store);
    queue.append(vec![job("a", "1"), job("a", "2")]).await.unwrap();
    next_is(&queue, "1").await.park(Duration::from_millis(300)).await.unwrap();
    nothing_is_due(&queue).await;
    let again = next_is(&queue, "1").await;
    assert_eq!((again.attempt(), again.redelivered()), (1, true));
    again.park(Duration::from_secs(3600)).await.unwrap();
    store.close().await;
    let store = harness.open().await;
    let queue = inbox(&store);
    let again = next_is(&queue, "1").await;
    assert!(again.redelivered(), "nobody knows what was done before the restart");
    again.ack().await.unwrap();
    next_is(&queue, "2").await.ack().await.unwrap();
}

fn names(along: &[Absorbed]) -> Vec<&str> {
    along.iter().map(|absorbed| std::str::from_utf8(&absorbed.payload).unwrap()).collect()
}
