//! Which conversations the bot leaves to free its seats, and how it returns.

use chimein::channels::conversations::seats::{Listening, PoolMember, Seats};
use chimein::clock::Clock;
use chimein::emulator::state::limits::Limits;
use chimein::net::tls;
use chimein::queue::embedded::Options;
use chimein::queue::{QueueName, Store};
use chimein::telemetry::journal::Stage;
use chimein::twilio::rest;
use chimein::twilio::sid::ConversationSid;

use crate::rig::{BOT, PHONE, Rig};

const CLOSED: (&str, &str) = ("CHIMEIN_SEATS_LEAVE_CLOSED", "true");
const IDLE: (&str, &str) = ("CHIMEIN_SEATS_LEAVE_IDLE_AFTER", "30d");
const HOLD: (&str, &str) = ("CHIMEIN_TURNS_PAUSED", "hold");
const OLD: &str = "2020-01-01T00:00:00Z";
const OTHERS: [&str; 2] = ["+15555550124", "+15555550125"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_conversation_is_left_and_the_next_one_is_joined() {
    let mut rig = Rig::start(&[CLOSED]).await;
    let closed = answered(&rig, PHONE).await;
    let open = answered(&rig, OTHERS[0]).await;
    change(&rig, closed, ("State", "closed")).await;
    restart(&mut rig).await;
    rig.eventually("the closed one is left", |rig| {
        !sits(rig, closed) && rig.rest_requests("DELETE", "/Participants") == 1
    })
    .await;
    rig.settled().await;
    assert!(sits(&rig, open));
    let next = rig.sms(PHONE, "again").await;
    assert_ne!(next, closed);
    rig.expect(next, &["again"]).await;
    assert!(!sits(&rig, closed));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_conversation_is_left_until_the_next_message() {
    let mut rig = Rig::start(&[IDLE]).await;
    let idle = answered(&rig, PHONE).await;
    let later = answered(&rig, OTHERS[0]).await;
    let young = answered(&rig, OTHERS[1]).await;
    // Only its date is old, not its newest message.
    change(&rig, young, ("DateUpdated", OLD)).await;
    grow_old(&rig, idle).await;
    restart(&mut rig).await;
    rig.eventually("the idle one is left", |rig| !sits(rig, idle)).await;
    // As if leaving had changed it: the newest message decides then.
    let today = [("FriendlyName", "changed")];
    rig.rest_post(&format!("Conversations/{idle}"), &today).await;
    grow_old(&rig, later).await;
    restart(&mut rig).await;
    // The sweep leaves last, so by then it has let the first one be.
    rig.eventually("the next one is left", |rig| !sits(rig, later)).await;
    rig.settled().await;
    assert!(!sits(&rig, idle) && sits(&rig, young));
    assert_eq!(rig.rest_requests("POST", &format!("{idle}/Participants")), 1);
    for phone in [PHONE, OTHERS[0]] {
        assert_eq!(rig.sms(phone, "again").await, if phone == PHONE { idle } else { later });
    }
    rig.expect(idle, &["hello", "again"]).await;
    rig.expect(later, &["hello", "again"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_only_a_sweep_finds_brings_the_bot_back() {
    let mut rig = Rig::start(&[IDLE]).await;
    let idle = answered(&rig, PHONE).await;
    grow_old(&rig, idle).await;
    restart(&mut rig).await;
    rig.eventually("the idle one is left", |rig| !sits(rig, idle)).await;
    rig.settled().await;
    rig.stop_service().await;
    rig.control.set_webhook(chimein::emulator::control::Webhook::default());
    rig.sms(PHONE, "again").await;
    rig.start_service().await;
    rig.expect(idle, &["hello", "again"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_with_open_work_is_not_left() {
    let mut rig = Rig::start(&[CLOSED, HOLD]).await;
    let before = answered(&rig, OTHERS[0]).await;
    let busy = answered(&rig, PHONE).await;
    let after = answered(&rig, OTHERS[1]).await;
    let paused = r#"{"chimein":{"paused":true}}"#;
    rig.rest_post_told(&format!("Conversations/{busy}"), &[("Attributes", paused)]).await;
    rig.sms(PHONE, "held").await;
    wait_for_open_job(&rig).await;
    for conversation in [before, busy, after] {
        change(&rig, conversation, ("State", "closed")).await;
    }
    rig.stop_service().await;
    rig.start_service().await;
    rig.eventually("those around it are left", |rig| !sits(rig, before) && !sits(rig, after)).await;
    assert!(sits(&rig, busy));
    assert_eq!(rig.rest_requests("DELETE", &format!("{busy}/Participants")), 0);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_by_default() {
    let mut rig = Rig::start(&[]).await;
    let closed = answered(&rig, PHONE).await;
    let idle = answered(&rig, OTHERS[0]).await;
    grow_old(&rig, idle).await;
    change(&rig, closed, ("State", "closed")).await;
    rig.stop_service().await;
    let missing = rig.sms(OTHERS[1], "hello").await;
    rig.start_service().await;
    rig.expect(missing, &["hello"]).await;
    assert!(sits(&rig, closed) && sits(&rig, idle));
    assert_eq!(rig.rest_requests("DELETE", "/Participants"), 0);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_without_room_has_one_dead_join_until_a_seat_is_free() {
    let mut rig = Rig::start(&[]).await;
    rig.control.set_limits(Limits { conversations_per_identity: 1, ..Limits::default() });
    let seated = answered(&rig, PHONE).await;
    let waiting = rig.sms(OTHERS[0], "hello").await;
    for _ in 0..2 {
        restart(&mut rig).await;
        rig.eventually("the join is a dead letter again", |rig| is_dead(rig, waiting)).await;
    }
    rig.stop_service().await;
    assert_eq!(dead_joins(&rig).await, 1);
    change(&rig, seated, ("State", "closed")).await;
    rig.start_service().await;
    rig.eventually("the bot is added", |rig| sits(rig, waiting)).await;
    rig.settled().await;
    assert!(sits(&rig, seated), "a closed conversation takes no room");
    rig.stop_service().await;
    assert_eq!(dead_joins(&rig).await, 0);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seat_that_is_remembered_and_lost_is_found_out_by_looking() {
    let rig = Rig::without_service(&[]).await;
    let (urls, credentials) = (rig.emulator.urls(), rig.emulator.credentials());
    let token = rest::Credentials::AuthToken(credentials.auth_token.clone());
    let options = rest::Options {
        conversations_base_url: urls.conversations.clone(),
        chat_service_sid: Some(credentials.service_sid),
        ..rest::Options::new(credentials.account_sid, token)
    };
    let tls = tls::client_config().unwrap().0;
    let rest = rest::Client::new(options, tls, Clock::start(), None).unwrap();
    let seats =
        Seats::new([BOT, "bot-2"].map(|name| PoolMember::new(name.into(), Listening::Off)).into());
    let conversation = rig.sms(PHONE, "hello").await;
    seats.take(conversation, BOT);
    let identity = |line: Option<&PoolMember>| line.map(|line| line.identity.clone());
    let remembered = seats.find(&rest, conversation).await.unwrap();
    assert_eq!(identity(remembered).as_deref(), Some(BOT));
    assert_eq!(identity(seats.look(&rest, conversation).await.unwrap()), None);
    assert!(!seats.is_held(conversation));
    let participants = format!("Conversations/{conversation}/Participants");
    rig.rest_post(&participants, &[("Identity", "bot-2")]).await;
    seats.take(conversation, BOT);
    let found = seats.look(&rest, conversation).await.unwrap();
    assert_eq!(identity(found).as_deref(), Some("bot-2"));
    assert_eq!(seats.counts().collect::<Vec<_>>(), [(BOT, 0), ("bot-2", 1)]);
    rig.end().await;
}

fn is_dead(rig: &Rig, conversation: ConversationSid) -> bool {
    let mut records = rig.app().journal().recent(conversation).into_iter();
    records.any(|record| matches!(record.stage, Stage::Dead { queue: "joins", .. }))
}

/// How many joins the stopped service has left as dead letters.
async fn dead_joins(rig: &Rig) -> u64 {
    let store = Store::open(Options::new(rig.queue_path())).unwrap();
    let stats = store.queue(QueueName::Joins).stats().await.unwrap();
    store.close().await;
    stats.dead
}

/// A conversation in which the bot has answered.
async fn answered(rig: &Rig, phone: &str) -> ConversationSid {
    let conversation = rig.sms(phone, "hello").await;
    rig.expect(conversation, &["hello"]).await;
    conversation
}

/// Changes a conversation, of which no webhook tells.
async fn change(rig: &Rig, conversation: ConversationSid, field: (&str, &str)) {
    rig.rest_post(&format!("Conversations/{conversation}"), &[field]).await;
}

/// Makes the newest message and the conversation old.
async fn grow_old(rig: &Rig, conversation: ConversationSid) {
    let message = [("Body", "long ago"), ("DateCreated", OLD)];
    rig.rest_post(&format!("Conversations/{conversation}/Messages"), &message).await;
    change(rig, conversation, ("DateUpdated", OLD)).await;
}

/// Sweeps again, with a new process's memory.
async fn restart(rig: &mut Rig) {
    rig.settled().await;
    rig.stop_service().await;
    rig.start_service().await;
}

async fn wait_for_open_job(rig: &Rig) {
    let waited = tokio::time::timeout(std::time::Duration::from_secs(60), async {
        while rig.app().open_jobs().await.unwrap() == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap();
}

fn sits(rig: &Rig, conversation: ConversationSid) -> bool {
    let all = rig.control.conversations();
    let found = all.iter().find(|of| of.sid == conversation);
    found.is_some_and(|of| of.participant(BOT).is_some())
}
