//! What breaks between Twilio and the service, and what comes of it: nothing.

use std::time::Duration;

use chimein::admin::{Insight as _, Readiness};
use chimein::emulator::control::SocketOrder;
use chimein::emulator::faults::{Action, Place};
use chimein::twilio::sid::ConversationSid;

use crate::rig::{PHONE, Rig};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_during_a_socket_outage_is_answered_once() {
    let rig = Rig::start(&[]).await;
    let conversation = rig.sms(PHONE, "before").await;
    rig.expect(conversation, &["before"]).await;
    rig.fault(Place::SocketOpen, Action::Answer { status: 503, code: None, retry_after: None }, 2);
    assert_eq!(rig.control.sockets(None, &SocketOrder::Drop), 1);
    rig.sms(PHONE, "during").await;
    rig.expect(conversation, &["before", "during"]).await;
    rig.sms(PHONE, "after").await;
    rig.expect(conversation, &["before", "during", "after"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_whose_webhook_is_lost_comes_by_the_socket() {
    let rig = Rig::start(&[]).await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["hello"]).await;
    let event_type = Some("onMessageAdded".to_owned());
    rig.fault(Place::Webhook { event_type }, Action::Lose, 1);
    rig.sms(PHONE, "again").await;
    rig.expect(conversation, &["hello", "again"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn duplicated_and_swapped_webhooks_make_one_answer_each() {
    let rig = Rig::start(&[("CHIMEIN_REALTIME_ENABLED", "false")]).await;
    rig.fault(Place::Webhook { event_type: None }, Action::Duplicate, 20);
    let conversation = rig.sms(PHONE, "one").await;
    rig.sms(PHONE, "two").await;
    rig.sms(PHONE, "three").await;
    rig.expect(conversation, &["one", "two", "three"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_webhooks_for_one_conversation_cause_one_add() {
    let rig = Rig::start(&[]).await;
    let event_type = Some("onConversationAdded".to_owned());
    rig.fault(Place::Webhook { event_type }, Action::Duplicate, 1);
    let conversation = rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["hello"]).await;
    assert_eq!(rig.rest_requests("POST", "/Participants"), 1);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_add_that_is_refused_for_a_while_is_tried_again() {
    let rig = Rig::start(&[]).await;
    let place = || Place::Rest { method: Some("POST".into()), path: Some("Participants".into()) };
    rig.fault(place(), Action::Answer { status: 429, code: Some(20429), retry_after: None }, 1);
    rig.fault(place(), Action::Answer { status: 503, code: Some(20503), retry_after: None }, 1);
    rig.fault(place(), Action::BreakAfter, 1);
    let conversation = rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["hello"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_answers_what_came_meanwhile_and_nothing_twice() {
    let mut rig = Rig::start(&[]).await;
    let conversation = rig.sms(PHONE, "before").await;
    rig.expect(conversation, &["before"]).await;
    rig.stop_service().await;
    rig.sms(PHONE, "meanwhile").await;
    rig.start_service().await;
    rig.expect(conversation, &["before", "meanwhile"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_token_is_replaced_without_a_gap() {
    let rig = Rig::start(&[]).await;
    let conversation = rig.sms(PHONE, "before").await;
    rig.expect(conversation, &["before"]).await;
    assert_eq!(rig.control.sockets(None, &SocketOrder::ExpireToken), 1);
    rig.sms(PHONE, "after").await;
    rig.expect(conversation, &["before", "after"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_is_closed_with_406_is_opened_again_without_a_restart() {
    let rig = Rig::start(&[]).await;
    let conversation = rig.sms(PHONE, "before").await;
    rig.expect(conversation, &["before"]).await;
    let (status, error_code, reconnect_min_ms) = (None, None, None);
    let close = SocketOrder::Close { code: 406, status, error_code, reconnect_min_ms };
    assert_eq!(rig.control.sockets(None, &close), 1);
    let refused = Readiness::NotReady(vec!["socket_refused"]);
    rig.eventually("the word for it", |rig| rig.app().health().readiness() == refused).await;
    rig.sms(PHONE, "during").await;
    rig.expect(conversation, &["before", "during"]).await;
    // Half a minute, and a fifth more by chance.
    let is_back = |rig: &Rig| rig.app().health().readiness() == Readiness::Ready;
    rig.within(Duration::from_secs(60), "the socket is up", is_back).await;
    rig.sms(PHONE, "after").await;
    rig.expect(conversation, &["before", "during", "after"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_api_secret_is_a_refused_socket_and_webhooks_are_answered_all_the_same() {
    let mut rig = Rig::without_service(&[("TWILIO_API_SECRET", "wrong")]).await;
    rig.launch_service().await;
    let refused = Readiness::NotReady(vec!["socket_refused"]);
    rig.eventually("the word for it", |rig| rig.app().health().readiness() == refused).await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["hello"]).await;
    assert_eq!(rig.app().health().readiness(), refused);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_webhook_does_nothing() {
    let rig = Rig::start(&[]).await;
    rig.fault(Place::Webhook { event_type: None }, Action::MisSign, 10);
    rig.sms(PHONE, "hello").await;
    rig.eventually("the forged webhook was refused", |rig| rig.webhook_answers().contains(&403))
        .await;
    assert_eq!(rig.rest_requests("POST", "/Participants"), 0);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_socket_the_sweep_reads_what_no_webhook_told() {
    let mut rig = Rig::start(&[("CHIMEIN_REALTIME_ENABLED", "false")]).await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["hello"]).await;
    let event_type = Some("onMessageAdded".to_owned());
    rig.fault(Place::Webhook { event_type }, Action::Lose, 1);
    rig.sms(PHONE, "lost").await;
    rig.stop_service().await;
    rig.start_service().await;
    rig.expect(conversation, &["hello", "lost"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_that_cannot_be_read_does_not_stop_the_sweep() {
    let mut rig = Rig::start(&[("CHIMEIN_REALTIME_ENABLED", "false")]).await;
    let unreadable = rig.sms(PHONE, "hello").await;
    rig.expect(unreadable, &["hello"]).await;
    rig.stop_service().await;
    let missing = rig.sms("+15555550124", "hello").await;
    let (method, path) = (Some("GET".to_owned()), Some(format!("{unreadable}/Messages")));
    let refused = Action::Answer { status: 503, code: None, retry_after: None };
    rig.fault(Place::Rest { method, path }, refused, 1000);
    rig.start_service().await;
    rig.expect(missing, &["hello"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_neither_webhook_nor_socket_told_of_is_found_by_the_next_sweep() {
    // The shortest interval that may be set.
    let rig = Rig::start(&[("CHIMEIN_RECONCILE_INTERVAL", "1m")]).await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["hello"]).await;
    let event_type = Some("onMessageAdded".to_owned());
    rig.fault(Place::Webhook { event_type }, Action::Lose, 1);
    // The document and the list: also the document would tell of it.
    rig.eventually("the socket follows it", |rig| rig.subscribed() >= 2).await;
    rig.fault(Place::SocketEvent { event_type: None }, Action::Lose, 1000);
    rig.sms(PHONE, "lost").await;
    rig.within(Duration::from_secs(90), "an answer", |rig| rig.replies(conversation).len() == 2)
        .await;
    rig.expect(conversation, &["hello", "lost"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_with_the_kept_places_opens_no_conversation_anew() {
    const CONVERSATIONS: usize = 12;
    let mut rig = Rig::start(&[]).await;
    let mut conversations = Vec::new();
    for n in 0..CONVERSATIONS {
        let phone = format!("+1555555{n:04}");
        let conversation = rig.sms(&phone, "hello").await;
        rig.expect(conversation, &["hello"]).await;
        rig.on_socket(conversation).await;
        conversations.push((phone, conversation));
    }
    let with = requests_of_a_restart(&mut rig, &conversations, "with").await;
    rig.stop_service().await;
    for place in rig.places() {
        std::fs::write(place, "{\"version\":1").unwrap();
    }
    let without = requests_of_a_restart(&mut rig, &conversations, "without").await;
    println!("socket reads at start with kept places {with}, with broken ones {without}");
    assert!(with + 2 * CONVERSATIONS <= without, "{with} with, {without} without");
    rig.end().await;
}

/// Restarts the service while everybody writes; counts what it asks over the socket until all are
/// answered once more.
async fn requests_of_a_restart(
    rig: &mut Rig,
    conversations: &[(String, ConversationSid)],
    body: &str,
) -> usize {
    rig.stop_service().await;
    let before = rig.socket_reads();
    for (phone, _) in conversations {
        rig.sms(phone, body).await;
    }
    rig.start_service().await;
    for (_, conversation) in conversations {
        rig.eventually("an answer", |rig| {
            rig.replies(*conversation).last().is_some_and(|last| last == body)
        })
        .await;
    }
    rig.settled().await;
    rig.socket_reads() - before
}
