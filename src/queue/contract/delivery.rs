//! Durability, identity, order, leases and settling.

use super::*;

pub(super) async fn an_append_is_delivered_and_acked_once(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    assert_eq!(append(&queue, job("a", "1")).await, Appended::Added);
    let delivery = next_is(&queue, "1").await;
    assert_eq!((delivery.attempt(), delivery.redelivered()), (1, false));
    assert_eq!((delivery.id(), delivery.key().as_str()), (id("1"), "a"));
    delivery.ack().await.unwrap();
    nothing_is_due(&queue).await;
    store.close().await;
    nothing_comes_after_reopen(&harness).await;
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
    let store = harness.open().await;
    let queue = inbox(&store);
    append(&queue, job("a", "1")).await;
    let late = next_is(&queue, "1").await;
    let again = next_is(&queue, "1").await;
    assert!(again.redelivered());
    assert!(matches!(late.extend().await, Err(Error::LeaseLost { .. })));
    assert!(matches!(late.ack().await, Err(Error::LeaseLost { .. })));
    again.ack().await.unwrap();
    nothing_is_due(&queue).await;
}

async fn nothing_comes_after_reopen(harness: &impl Harness) {
    let store = harness.open().await;
    nothing_is_due(&inbox(&store)).await;
    store.close().await;
}
