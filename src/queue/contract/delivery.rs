//! Durability, identity, order, leases, fencing and settling.

use super::*;

pub(super) async fn an_append_is_delivered_and_acked_once(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    let numbered = Append { position: Some(41), ..job("a", "1") };
    assert_eq!(append(&queue, numbered).await, Appended::Added);
    let delivery = next_is(&queue, "1").await;
    assert_eq!((delivery.attempt(), delivery.redelivered()), (1, false));
    assert_eq!((delivery.id(), delivery.key().as_str()), (id("1"), "a"));
    assert_eq!(delivery.position(), Some(41));
    let age = Clock::start().wall().since(delivery.appended_at());
    assert!(age < PATIENCE, "appended {age:?} ago");
    delivery.ack().await.unwrap();
    nothing_is_due(&queue).await;
    store.close().await;
    nothing_is_due(&inbox(&harness.open().await)).await;
}

pub(super) async fn an_id_is_remembered_after_ack_and_reopen(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    append(&queue, job("a", "1")).await;
    assert_eq!(append(&queue, job("b", "1")).await, Appended::Duplicate);
    assert_eq!(
        append(&store.queue(QueueName::Outbox), job("a", "1")).await,
        Appended::Added,
        "ids are taken once a queue"
    );
    next_is(&queue, "1").await.ack().await.unwrap();
    assert_eq!(append(&queue, job("a", "1")).await, Appended::Duplicate);
    store.close().await;
    let store = harness.open().await;
    assert_eq!(append(&inbox(&store), job("a", "1")).await, Appended::Duplicate);
    nothing_is_due(&inbox(&store)).await;
}

pub(super) async fn an_append_answers_for_each_job(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    append(&queue, job("a", "1")).await;
    let answers = queue.append(vec![job("a", "2"), job("a", "1"), job("b", "2")]).await.unwrap();
    assert_eq!(answers, [Appended::Added, Appended::Duplicate, Appended::Duplicate]);
    assert_eq!(queue.append(Vec::new()).await.unwrap(), []);
}

pub(super) async fn an_append_with_a_job_out_of_bounds_stores_nothing(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    let large = Append { payload: vec![0; Append::PAYLOAD_BYTES_MAX + 1], ..job("a", "2") };
    let far = Append { position: Some(u64::MAX), ..job("a", "3") };
    let many: Vec<_> = (0..=Queue::APPEND_JOBS_MAX).map(|n| job("a", &n.to_string())).collect();
    for jobs in [vec![job("a", "1"), large], vec![job("a", "1"), far], many] {
        assert!(matches!(queue.append(jobs).await, Err(Error::Invalid { .. })));
    }
    nothing_is_due(&queue).await;
    let largest = Append { payload: vec![b'x'; Append::PAYLOAD_BYTES_MAX], ..job("a", "1") };
    append(&queue, largest).await;
    assert_eq!(next(&queue).await.payload().len(), Append::PAYLOAD_BYTES_MAX);
}

pub(super) async fn one_job_of_a_lane_is_out_at_a_time_and_in_order(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    queue.append(vec![job("a", "1"), job("a", "2"), job("b", "3")]).await.unwrap();
    let first = next_is(&queue, "1").await;
    let other = next_is(&queue, "3").await;
    nothing_is_due(&queue).await;
    first.ack().await.unwrap();
    next_is(&queue, "2").await.ack().await.unwrap();
    other.ack().await.unwrap();
}

pub(super) async fn a_delivery_is_told_of_an_earlier_job_and_can_let_it_pass(
    harness: impl Harness,
) {
    let store = harness.open().await;
    let queue = inbox(&store);
    let at = |position, name| Append { position: Some(position), ..job("a", name) };
    append(&queue, at(5, "5")).await;
    let five = next_is(&queue, "5").await;
    append(&queue, at(6, "6")).await;
    append(&queue, Append { position: Some(1), ..job("b", "other") }).await;
    assert!(!five.overtaken().await.unwrap(), "neither a later job nor another lane overtakes");
    append(&queue, at(4, "4")).await;
    assert!(five.overtaken().await.unwrap());
    next_is(&queue, "other").await.ack().await.unwrap();
    drop(five);
    for name in ["4", "5", "6"] {
        let delivery = next_is(&queue, name).await;
        assert!(!delivery.overtaken().await.unwrap());
        delivery.ack().await.unwrap();
    }
}

pub(super) async fn order_survives_reopen(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    let placed = |position, name| Append { position: Some(position), ..job("a", name) };
    queue.append(vec![placed(7, "seven"), placed(5, "five")]).await.unwrap();
    append(&queue, placed(6, "six")).await;
    queue.append(vec![job("b", "1"), job("b", "2"), job("b", "3")]).await.unwrap();
    store.close().await;
    let store = harness.open().await;
    let queue = inbox(&store);
    let mut seen: Vec<(String, String)> = Vec::new();
    for _ in 0..6 {
        let delivery = next(&queue).await;
        assert!(delivery.redelivered(), "it was open when the store was opened");
        assert_eq!(delivery.attempt(), 1);
        seen.push((delivery.key().as_str().to_owned(), name(&delivery).to_owned()));
        delivery.ack().await.unwrap();
    }
    let of = |key: &str| -> Vec<_> {
        seen.iter().filter(|(lane, _)| lane == key).map(|(_, name)| name.clone()).collect()
    };
    assert_eq!(of("a"), ["five", "six", "seven"]);
    assert_eq!(of("b"), ["1", "2", "3"]);
}

pub(super) async fn a_holder_is_told_when_its_lane_grows(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    append(&queue, job("a", "1")).await;
    let first = next_is(&queue, "1").await;
    append(&queue, job("b", "2")).await;
    let other = next_is(&queue, "2").await;
    let quiet = tokio::time::timeout(QUIET, first.lane_grew()).await;
    assert!(quiet.is_err(), "another lane's job was told");
    let (grew, _) = tokio::join!(soon(first.lane_grew()), append(&queue, job("a", "3")));
    grew.unwrap();
    soon(first.lane_grew()).await.unwrap();
    first.ack().await.unwrap();
    next_is(&queue, "3").await.ack().await.unwrap();
    store.close().await;
    assert!(matches!(soon(other.lane_grew()).await, Err(Error::Closed)));
}

pub(super) async fn queues_do_not_see_each_other(harness: impl Harness) {
    let store = harness.open().await;
    append(&store.queue(QueueName::Joins), job("a", "1")).await;
    nothing_is_due(&inbox(&store)).await;
    nothing_is_due(&store.queue(QueueName::Outbox)).await;
    next_is(&store.queue(QueueName::Joins), "1").await.ack().await.unwrap();
}

pub(super) async fn a_delayed_job_waits_and_holds_back_its_lane(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    let clock = Clock::start();
    let later = clock.wall() + Duration::from_millis(200);
    let delayed = Append { not_before: Some(later), ..job("a", "1") };
    queue.append(vec![delayed, job("a", "2"), job("b", "3")]).await.unwrap();
    next_is(&queue, "3").await.ack().await.unwrap();
    let first = next_is(&queue, "1").await;
    assert!(clock.wall() >= later);
    first.ack().await.unwrap();
    next_is(&queue, "2").await.ack().await.unwrap();
}

pub(super) async fn a_duplicate_brings_a_waiting_job_forward(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    let in_an_hour = Clock::start().wall() + Duration::from_secs(3600);
    let delayed = |name| Append { not_before: Some(in_an_hour), ..job("a", name) };
    append(&queue, delayed("1")).await;
    assert_eq!(append(&queue, delayed("1")).await, Appended::Duplicate);
    nothing_is_due(&queue).await;
    assert_eq!(append(&queue, job("a", "1")).await, Appended::Duplicate);
    next_is(&queue, "1").await.ack().await.unwrap();
    append(&queue, delayed("2")).await;
    append(&queue, job("a", "2")).await;
    store.close().await;
    next_is(&inbox(&harness.open().await), "2").await.ack().await.unwrap();
}

pub(super) async fn a_duplicate_does_not_shorten_a_retry(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    append(&queue, job("a", "1")).await;
    let hour = Duration::from_secs(3600);
    next_is(&queue, "1").await.retry_in(hour, Cause::new("busy")).await.unwrap();
    assert_eq!(append(&queue, job("a", "1")).await, Appended::Duplicate);
    nothing_is_due(&queue).await;
    store.close().await;
    let store = harness.open().await;
    append(&inbox(&store), job("a", "1")).await;
    nothing_is_due(&inbox(&store)).await;
}

pub(super) async fn a_dropped_delivery_comes_again_at_once(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    queue.append(vec![job("a", "1"), job("a", "2")]).await.unwrap();
    drop(next_is(&queue, "1").await);
    let again = next_is(&queue, "1").await;
    assert_eq!((again.attempt(), again.redelivered()), (2, true));
    again.ack().await.unwrap();
    next_is(&queue, "2").await.ack().await.unwrap();
}

pub(super) async fn late_ack_after_reclaim_is_fenced(harness: impl Harness) {
    let store = harness.open_leasing(SHORT_LEASE).await;
    let (queue, outbox) = (inbox(&store), store.queue(QueueName::Outbox));
    append(&queue, job("a", "1")).await;
    for how in 0..4 {
        let late = next_is(&queue, "1").await;
        let again = next_is(&queue, "1").await;
        assert!(again.redelivered());
        assert!(matches!(late.extend().await, Err(Error::LeaseLost { .. })));
        let cause = Cause::new("late");
        let answer = match how {
            0 => late.ack().await,
            1 => late.retry_in(PATIENCE, cause).await,
            2 => late.dead(cause).await,
            _ => late.ack_and_append(vec![(QueueName::Outbox, job("a", "r"))]).await.map(drop),
        };
        assert!(matches!(answer, Err(Error::LeaseLost { id: lost }) if lost == id("1")));
        drop(again);
    }
    nothing_is_due(&outbox).await;
    assert_eq!(queue.stats().await.unwrap().dead, 0);
    next_is(&queue, "1").await.ack().await.unwrap();
    nothing_is_due(&queue).await;
}

pub(super) async fn a_lease_kept_alive_is_not_lost(harness: impl Harness) {
    let store = harness.open_leasing(SHORT_LEASE).await;
    let queue = inbox(&store);
    append(&queue, job("a", "1")).await;
    let delivery = next_is(&queue, "1").await;
    tokio::select! {
        error = delivery.keep_alive() => panic!("{error}"),
        other = tokio::time::timeout(3 * SHORT_LEASE, queue.next()) => assert!(other.is_err()),
    }
    delivery.ack().await.unwrap();
}

pub(super) async fn keep_alive_ends_when_the_lease_is_lost(harness: impl Harness) {
    let store = harness.open_leasing(SHORT_LEASE).await;
    let queue = inbox(&store);
    append(&queue, job("a", "1")).await;
    let late = next_is(&queue, "1").await;
    let again = next_is(&queue, "1").await;
    assert!(matches!(soon(late.keep_alive()).await, Error::LeaseLost { .. }));
    again.ack().await.unwrap();
}

pub(super) async fn a_retry_comes_later_and_holds_back_its_lane(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    queue.append(vec![job("a", "1"), job("a", "2"), job("b", "3")]).await.unwrap();
    let clock = Clock::start();
    let due = clock.now() + Duration::from_millis(200);
    next_is(&queue, "1").await.retry_in(due.since(clock.now()), cause("x", 7)).await.unwrap();
    next_is(&queue, "3").await.ack().await.unwrap();
    let again = next_is(&queue, "1").await;
    assert!(clock.now() >= due);
    assert_eq!((again.attempt(), again.redelivered()), (2, true));
    again.ack().await.unwrap();
    next_is(&queue, "2").await.ack().await.unwrap();
}

pub(super) async fn attempts_that_were_settled_survive_reopen(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    append(&queue, job("a", "1")).await;
    for _ in 0..2 {
        next_is(&queue, "1").await.retry_in(Duration::ZERO, cause("x", 7)).await.unwrap();
    }
    store.close().await;
    let store = harness.open().await;
    let delivery = next_is(&inbox(&store), "1").await;
    assert_eq!((delivery.attempt(), delivery.redelivered()), (3, true));
}

pub(super) async fn ack_and_append_does_both(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    append(&queue, job("a", "1")).await;
    let replies = vec![(QueueName::Outbox, job("a", "r1")), (QueueName::Inbox, job("a", "1"))];
    let answers = next_is(&queue, "1").await.ack_and_append(replies).await.unwrap();
    assert_eq!(answers, [Appended::Added, Appended::Duplicate]);
    nothing_is_due(&queue).await;
    store.close().await;
    let store = harness.open().await;
    nothing_is_due(&inbox(&store)).await;
    next_is(&store.queue(QueueName::Outbox), "r1").await.ack().await.unwrap();
}

pub(super) async fn ack_and_append_out_of_bounds_does_neither(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    append(&queue, job("a", "1")).await;
    let far = Append { position: Some(u64::MAX), ..job("a", "r1") };
    let answer = next_is(&queue, "1").await.ack_and_append(vec![(QueueName::Outbox, far)]).await;
    assert!(matches!(answer, Err(Error::Invalid { .. })));
    nothing_is_due(&store.queue(QueueName::Outbox)).await;
    next_is(&queue, "1").await.ack().await.unwrap();
}

pub(super) async fn a_consumer_that_stops_waiting_loses_nothing(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    for round in 0..50_u64 {
        let name = round.to_string();
        let impatient = tokio::spawn({
            let queue = queue.clone();
            async move {
                let wait = Duration::from_micros(round * 20);
                drop(tokio::time::timeout(wait, queue.next()).await);
            }
        });
        let patient = tokio::spawn({
            let queue = queue.clone();
            async move { next(&queue).await.ack().await }
        });
        append(&queue, job("a", &name)).await;
        impatient.await.unwrap();
        soon(patient).await.unwrap().unwrap();
    }
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.ready, stats.leased), (0, 0));
}

pub(super) async fn many_consumers_share_the_work(harness: impl Harness) {
    const JOBS: usize = 300;
    let store = harness.open().await;
    let queue = inbox(&store);
    let mut consumers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let queue = queue.clone();
        consumers.spawn(async move {
            let mut seen = Vec::new();
            while let Ok(delivery) = queue.next().await {
                assert!(!delivery.redelivered());
                seen.push(name(&delivery).to_owned());
                delivery.ack().await.unwrap();
            }
            seen
        });
    }
    for first in (0..JOBS).step_by(20) {
        let name = |n: usize| job(&(n % 17).to_string(), &n.to_string());
        queue.append((first..first + 20).map(name).collect()).await.unwrap();
    }
    soon(async {
        while queue.stats().await.unwrap().oldest_age.is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    store.close().await;
    let mut seen = consumers.join_all().await.concat();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), JOBS, "each job went to one consumer");
}

pub(super) async fn closing_ends_everything(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    append(&queue, job("a", "1")).await;
    let out = next_is(&queue, "1").await;
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { queue.next().await.map(drop) }
    });
    store.close().await;
    assert!(matches!(soon(waiting).await.unwrap(), Err(Error::Closed)));
    assert!(matches!(queue.next().await, Err(Error::Closed)));
    assert!(matches!(queue.append(vec![job("a", "2")]).await, Err(Error::Closed)));
    assert!(matches!(queue.stats().await, Err(Error::Closed)));
    assert!(matches!(out.ack().await, Err(Error::Closed)));
    store.close().await;
    let store = harness.open().await;
    assert!(next_is(&inbox(&store), "1").await.redelivered());
}

pub(super) async fn appends_under_way_are_finished_by_close(harness: impl Harness) {
    let store = harness.open().await;
    let mut producers = tokio::task::JoinSet::new();
    for n in 0..64 {
        let queue = inbox(&store);
        producers.spawn(async move {
            let name = n.to_string();
            queue.append(vec![job(&name, &name)]).await.map(|_| name)
        });
    }
    tokio::task::yield_now().await;
    store.close().await;
    let stored: Vec<_> = producers.join_all().await.into_iter().flatten().collect();
    let store = harness.open().await;
    for name in stored {
        assert_eq!(append(&inbox(&store), job("x", &name)).await, Appended::Duplicate);
    }
}
