//! What a sweep asks of Twilio, and how fast.

use std::time::Duration;

use chimein::channels::conversations::policy::reading::THAT_SECOND_MAX;
use chimein::channels::conversations::sweep_pace::REQUESTS_MAX;
use chimein::twilio::sid::ConversationSid;

use crate::rig::Rig;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_webhooks_are_made_good_at_fifty_requests_a_second() {
    const CONVERSATIONS: usize = 200;
    let mut rig = Rig::without_service(&[]).await;
    let conversations = written(&rig, CONVERSATIONS).await;
    rig.start_service().await;
    let is_answered = |rig: &Rig| conversations.iter().all(|sid| rig.replies(*sid) == ["hello"]);
    rig.within(Duration::from_secs(60), "everybody is answered", is_answered).await;
    let (busiest, adds) = (rig.busiest_second(0), rig.rest_requests("POST", "/Participants"));
    println!("{busiest} requests in the busiest second, {adds} joins");
    assert!(busiest <= usize::try_from(REQUESTS_MAX).unwrap(), "{busiest} in a second");
    assert_eq!(adds, CONVERSATIONS);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_in_which_nothing_is_new_reads_next_to_nothing() {
    const CONVERSATIONS: usize = 100;
    let mut rig = Rig::start(&[]).await;
    answered(&rig, CONVERSATIONS).await;
    rig.stop_service().await;
    let (pages, before) = (rig.listings(), reads(&rig));
    rig.start_service().await;
    swept(&rig, before + THAT_SECOND_MAX).await;
    let (pages, reads) = (rig.listings() - pages, reads(&rig) - before);
    println!("{pages} pages, {reads} reads for {CONVERSATIONS} conversations");
    assert_eq!(pages, 3, "a page of a hundred, and two of fifty");
    assert_eq!(reads, THAT_SECOND_MAX);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_without_a_socket_reads_everything_at_its_pace() {
    const CONVERSATIONS: usize = 100;
    let mut rig = Rig::start(&[]).await;
    answered(&rig, CONVERSATIONS).await;
    rig.stop_service().await;
    let (before, newest) = (reads(&rig), rig.newest_record());
    rig.set("CHIMEIN_REALTIME_ENABLED", "false");
    rig.start_service().await;
    swept(&rig, before + CONVERSATIONS).await;
    let busiest = rig.busiest_second(newest);
    println!("{busiest} requests in the busiest second");
    assert!(busiest <= usize::try_from(REQUESTS_MAX).unwrap(), "{busiest} in a second");
    rig.end().await;
}

/// As many conversations, each of which has been answered and is on the socket.
async fn answered(rig: &Rig, count: usize) {
    for conversation in written(rig, count).await {
        rig.expect(conversation, &["hello"]).await;
        rig.on_socket(conversation).await;
    }
}

/// So many phones write.
async fn written(rig: &Rig, count: usize) -> Vec<ConversationSid> {
    let mut conversations = Vec::new();
    for n in 0..count {
        conversations.push(rig.sms(&format!("+1555556{n:04}"), "hello").await);
    }
    conversations
}

/// Waits until conversations were read so many times, and no more follow.
async fn swept(rig: &Rig, count: usize) {
    rig.within(Duration::from_secs(60), "the reads", |rig| reads(rig) >= count).await;
    rig.settled().await;
}

fn reads(rig: &Rig) -> usize {
    rig.rest_requests("GET", "/Messages")
}
