//! Somebody removes the bot from a conversation, and lets it in again.

use axum::response::IntoResponse;
use chimein::emulator::control::SocketOrder;
use chimein::emulator::faults::{Action, Place};
use chimein::telemetry::journal::{LeaveReason, Stage};
use chimein::thread::SkipReason;
use chimein::twilio::sid::ConversationSid;
use serde_json::json;

use crate::agent::Agent;
use crate::rig::{BOT, PHONE, Rig};

const NO_SOCKET: (&str, &str) = ("CHIMEIN_REALTIME_ENABLED", "false");
const ALWAYS: (&str, &str) = ("CHIMEIN_JOIN_REJOIN", "always");
const ADMIN: (&str, &str) = ("CHIMEIN_ADMIN_LISTEN", "127.0.0.1:0");
const GONE: Stage = Stage::Left { reason: LeaveReason::Removed };
const SKIPPED: Stage = Stage::Skipped { reason: SkipReason::Removed };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_that_somebody_removed_stays_away_until_it_is_let_in() {
    // The socket tells of it, the webhook does, both do.
    for (extra, tells) in [(&[][..], false), (&[NO_SOCKET], true), (&[], true)] {
        let mut rig = Rig::start(extra).await;
        let conversation = answered(&rig).await;
        remove(&rig, conversation, tells).await;
        rig.eventually("it is noted", |rig| stages(rig, conversation, GONE) == 1).await;
        rig.sms(PHONE, "two").await;
        rig.eventually("it is skipped", |rig| stages(rig, conversation, SKIPPED) == 1).await;
        rig.settled().await;
        let sweeps = rig.listings();
        rig.stop_service().await;
        rig.start_service().await;
        rig.eventually("a sweep looks for it", |rig| rig.listings() >= sweeps + 2).await;
        rig.sms(PHONE, "three").await;
        rig.eventually("it is skipped too", |rig| stages(rig, conversation, SKIPPED) == 1).await;
        rig.settled().await;
        assert!(!sits(&rig, conversation), "nobody has let it in");
        assert_eq!(rig.rest_requests("POST", &format!("{conversation}/Participants")), 1);
        let participants = format!("Conversations/{conversation}/Participants");
        rig.rest_post_told(&participants, &[("Identity", BOT)]).await;
        rig.sms(PHONE, "four").await;
        let is_answered =
            |rig: &Rig| rig.replies(conversation).last().is_some_and(|last| last == "four");
        rig.eventually("the next one is answered", is_answered).await;
        rig.settled().await;
        assert_eq!(rig.replies(conversation), ["one", "four"]);
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_while_the_service_was_away_is_found_out_by_what_the_socket_had() {
    let mut rig = Rig::start(&[]).await;
    let conversation = answered(&rig).await;
    rig.on_socket(conversation).await;
    rig.stop_service().await;
    unseat(&rig, conversation, false).await;
    rig.start_service().await;
    rig.eventually("it is noted", |rig| stages(rig, conversation, GONE) == 1).await;
    rig.sms(PHONE, "two").await;
    rig.eventually("it is skipped", |rig| stages(rig, conversation, SKIPPED) == 1).await;
    rig.settled().await;
    assert!(!sits(&rig, conversation));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_wish_the_bot_comes_back_with_the_next_message() {
    for (extra, tells) in [(&[ALWAYS][..], false), (&[ALWAYS, NO_SOCKET], true)] {
        let rig = Rig::start(extra).await;
        let conversation = answered(&rig).await;
        remove(&rig, conversation, tells).await;
        rig.eventually("it is noted", |rig| stages(rig, conversation, GONE) == 1).await;
        rig.sms(PHONE, "two").await;
        rig.expect(conversation, &["one", "two"]).await;
        assert!(sits(&rig, conversation));
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_wish_a_sweep_brings_the_bot_back_at_once() {
    let mut rig = Rig::start(&[ALWAYS]).await;
    let conversation = answered(&rig).await;
    remove(&rig, conversation, false).await;
    rig.eventually("it is noted", |rig| stages(rig, conversation, GONE) == 1).await;
    rig.stop_service().await;
    rig.start_service().await;
    rig.eventually("it is back", |rig| sits(rig, conversation)).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_to_be_said_is_skipped_and_what_an_operator_says_is_a_dead_letter() {
    for (extra, tells) in [(&[ADMIN][..], false), (&[ADMIN, NO_SOCKET], true)] {
        let agent = Agent::start(|turn, _| {
            axum::Json(json!({"replies": [turn["messages"][0]["body"]]})).into_response()
        })
        .await;
        let rig = agent.rig_with(extra).await;
        let conversation = answered(&rig).await;
        let release = agent.hold();
        rig.sms(PHONE, "two").await;
        rig.eventually("the agent thinks", |_| agent.asked().len() == 2).await;
        remove(&rig, conversation, tells).await;
        rig.eventually("it is noted", |rig| stages(rig, conversation, GONE) == 1).await;
        drop(release);
        rig.eventually("the reply is skipped", |rig| stages(rig, conversation, SKIPPED) == 1).await;
        say_by_hand(&rig, conversation, "by hand").await;
        rig.eventually("the operator's is a dead letter", |rig| {
            let records = rig.app().journal().recent(conversation);
            records.iter().any(|record| matches!(record.stage, Stage::Dead { .. }))
        })
        .await;
        let letter = dead_letter(&rig).await;
        assert_eq!(letter["cause"]["class"], "removed", "{letter}");
        assert_eq!(rig.replies(conversation), ["one"]);
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_word_of_a_removal_that_comes_late_mutes_nobody() {
    let rig = Rig::start(&[NO_SOCKET]).await;
    let conversation = answered(&rig).await;
    let event_type = Some("onParticipantRemoved".to_owned());
    rig.fault(Place::Webhook { event_type }, Action::Delay { ms: 1_500 }, 1);
    remove(&rig, conversation, true).await;
    let participants = format!("Conversations/{conversation}/Participants");
    rig.rest_post(&participants, &[("Identity", BOT)]).await;
    rig.eventually("it is noted", |rig| stages(rig, conversation, GONE) == 1).await;
    rig.sms(PHONE, "two").await;
    rig.expect(conversation, &["one", "two"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_that_wishes_for_the_conversation_again_brings_the_bot_back() {
    let rig = Rig::start(&[("CHIMEIN_JOIN_ATTRIBUTE", "bot=on")]).await;
    let conversation = rig.sms(PHONE, "zero").await;
    wish(&rig, conversation, "on").await;
    rig.eventually("the bot is added", |rig| sits(rig, conversation)).await;
    rig.settled().await;
    remove(&rig, conversation, true).await;
    rig.eventually("it is noted", |rig| stages(rig, conversation, GONE) == 1).await;
    wish(&rig, conversation, "off").await;
    wish(&rig, conversation, "on").await;
    rig.eventually("the bot is back", |rig| sits(rig, conversation)).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_socket_telling_late_of_a_removal_that_is_over_keeps_nobody_out() {
    let rig = Rig::start(&[]).await;
    let conversation = answered(&rig).await;
    rig.on_socket(conversation).await;
    assert_eq!(rig.control.sockets(None, &SocketOrder::Freeze), 1);
    remove(&rig, conversation, true).await;
    rig.eventually("it is noted", |rig| stages(rig, conversation, GONE) == 1).await;
    let joined = |rig: &Rig| stages(rig, conversation, Stage::SocketJoined);
    let before = joined(&rig);
    let participants = format!("Conversations/{conversation}/Participants");
    rig.rest_post_told(&participants, &[("Identity", BOT)]).await;
    rig.settled().await;
    assert_eq!(rig.control.sockets(None, &SocketOrder::Thaw), 1);
    rig.eventually("the socket has it again", |rig| joined(rig) > before).await;
    rig.sms(PHONE, "two").await;
    rig.expect(conversation, &["one", "two"]).await;
    assert_eq!(stages(&rig, conversation, GONE), 1, "it was removed once");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_socket_telling_late_of_a_seat_that_is_gone_stops_no_join() {
    let rig = Rig::start(&[("CHIMEIN_JOIN_ATTRIBUTE", "bot=on")]).await;
    let conversation = rig.sms(PHONE, "zero").await;
    assert_eq!(rig.control.sockets(None, &SocketOrder::Freeze), 1);
    wish(&rig, conversation, "on").await;
    rig.eventually("the bot is added", |rig| sits(rig, conversation)).await;
    rig.settled().await;
    remove(&rig, conversation, true).await;
    rig.eventually("it is noted", |rig| stages(rig, conversation, GONE) == 1).await;
    wish(&rig, conversation, "off").await;
    // The socket tells of the seat and of its loss while the bot is on its way back.
    let place = Place::Rest {
        method: Some("POST".to_owned()),
        path: Some(format!("{conversation}/Participants")),
    };
    rig.fault(place, Action::Answer { status: 503, code: None, retry_after: None }, 4);
    wish(&rig, conversation, "on").await;
    rig.eventually("it was tried", |rig| {
        rig.rest_requests("POST", &format!("{conversation}/Participants")) >= 2
    })
    .await;
    assert_eq!(rig.control.sockets(None, &SocketOrder::Thaw), 1);
    rig.eventually("the bot is back", |rig| sits(rig, conversation)).await;
    rig.settled().await;
    assert_eq!(stages(&rig, conversation, GONE), 1, "it was removed once");
    rig.end().await;
}

/// A conversation in which the bot has answered.
async fn answered(rig: &Rig) -> ConversationSid {
    let conversation = rig.sms(PHONE, "one").await;
    rig.expect(conversation, &["one"]).await;
    conversation
}

/// Marks a conversation as one that the bot is to be in, or not.
async fn wish(rig: &Rig, conversation: ConversationSid, bot: &str) {
    let attributes = json!({"bot": bot}).to_string();
    let path = format!("Conversations/{conversation}");
    rig.rest_post_told(&path, &[("Attributes", &attributes)]).await;
}

/// Removes the bot as a person does, of which a webhook tells, or else the socket.
async fn remove(rig: &Rig, conversation: ConversationSid, tells: bool) {
    if !tells {
        rig.on_socket(conversation).await;
    }
    unseat(rig, conversation, tells).await;
}

/// Removes the bot, of which a webhook tells or not.
async fn unseat(rig: &Rig, conversation: ConversationSid, tells: bool) {
    let all = rig.control.conversations();
    let found = all.iter().find(|of| of.sid == conversation).unwrap();
    let participant = found.participant(BOT).unwrap().sid;
    rig.rest_delete(&format!("Conversations/{conversation}/Participants/{participant}"), tells)
        .await;
}

fn sits(rig: &Rig, conversation: ConversationSid) -> bool {
    let all = rig.control.conversations();
    let found = all.iter().find(|of| of.sid == conversation);
    found.is_some_and(|of| of.participant(BOT).is_some())
}

fn stages(rig: &Rig, conversation: ConversationSid, wanted: Stage) -> usize {
    let records = rig.app().journal().recent(conversation);
    records.iter().filter(|record| record.stage == wanted).count()
}

/// Says something as `chimein send` does.
async fn say_by_hand(rig: &Rig, conversation: ConversationSid, reply: &str) {
    let address = rig.app().admin_address().unwrap();
    let url = format!("http://{address}/v1/conversations/{conversation}/replies");
    let http = chimein::net::http::direct().unwrap().build().unwrap();
    let body = json!({"replies": [reply]}).to_string();
    let answer = http.post(url).header("webhook-id", reply).body(body).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
}

/// The one dead letter of the outbox.
async fn dead_letter(rig: &Rig) -> serde_json::Value {
    rig.ask_admin("/v1/dead-letters?queue=outbox").await["letters"][0].clone()
}
