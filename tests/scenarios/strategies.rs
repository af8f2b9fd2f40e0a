//! How messages that come close together become turns.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chimein::telemetry::journal::Stage;
use chimein::thread::SkipReason;
use chimein::twilio::sid::ConversationSid;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::rig::{PHONE, Rig};

const BURST: [(&str, &str); 3] = [
    ("CHIMEIN_TURNS_STRATEGY", "burst"),
    ("CHIMEIN_TURNS_QUIET", "2s"),
    ("CHIMEIN_TURNS_LONGEST_WAIT", "20s"),
];
const SUPERSEDE: (&str, &str) = ("CHIMEIN_TURNS_STRATEGY", "supersede");
const DROP: (&str, &str) = ("CHIMEIN_TURNS_STRATEGY", "drop");
const NO_SOCKET: (&str, &str) = ("CHIMEIN_REALTIME_ENABLED", "false");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_is_one_turn_with_all_its_messages_in_order() {
    for extra in [&BURST[..], &[&BURST[..], &[NO_SOCKET]].concat()] {
        let agent = Agent::start(|turn, _| reply(&bodies(turn).join("+"))).await;
        let rig = agent.rig_with(extra).await;
        let conversation = rig.sms(PHONE, "a").await;
        rig.sms(PHONE, "STOP").await;
        for body in ["b", "c"] {
            rig.sms(PHONE, body).await;
        }
        rig.expect(conversation, &["a+b+c"]).await;
        rig.sms(PHONE, "d").await;
        rig.expect(conversation, &["a+b+c", "d"]).await;
        let asked = agent.asked();
        assert_eq!(asked.len(), 2);
        assert_eq!(asked[0]["id"], asked[0]["messages"][2]["sid"], "named by its last message");
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_that_fails_is_asked_again_as_it_was_while_others_come() {
    let agent = Agent::start(|turn, asked| match (asked, bodies(turn)[0].as_str()) {
        (0, "a") => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        _ => reply(&bodies(turn).join("+")),
    })
    .await;
    let slow = ("CHIMEIN_AGENT_SCHEDULE", "2s,2s");
    let rig = agent.rig_with(&[&BURST[..], &[slow]].concat()).await;
    let conversation = rig.sms(PHONE, "a").await;
    rig.sms(PHONE, "b").await;
    rig.eventually("the agent has failed", |_| agent.asked().len() == 1).await;
    // It comes after the burst, and before the burst is tried again.
    rig.sms(PHONE, "c").await;
    rig.expect(conversation, &["a+b", "c"]).await;
    let asked = agent.asked();
    assert_eq!(asked.len(), 3);
    assert_eq!(asked[0]["id"], asked[1]["id"]);
    assert_eq!((&asked[1]["attempt"], bodies(&asked[1])), (&json!(2), bodies(&asked[0])));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_burst_goes_at_once_and_the_rest_is_the_next() {
    let agent = Agent::start(|turn, _| reply(&bodies(turn).join("+"))).await;
    let two = ("CHIMEIN_TURNS_BURST_MAX", "2");
    let rig = agent.rig_with(&[&BURST[..], &[two]].concat()).await;
    let conversation = rig.sms(PHONE, "a").await;
    for body in ["b", "c"] {
        rig.sms(PHONE, body).await;
    }
    rig.expect(conversation, &["a+b", "c"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_message_supersedes_the_thinking_and_both_are_answered_once() {
    let agent = Agent::start(|turn, _| reply(&bodies(turn).join("+"))).await;
    let release = agent.hold();
    let rig = agent.rig_with(&[SUPERSEDE]).await;
    let conversation = rig.sms(PHONE, "a").await;
    rig.eventually("the agent thinks", |_| agent.asked().len() == 1).await;
    rig.sms(PHONE, "b").await;
    rig.eventually("it begins anew", |_| agent.asked().len() == 2).await;
    // What the carrier answers is no reason to begin anew.
    rig.sms(PHONE, "HELP").await;
    rig.sms(PHONE, "c").await;
    rig.eventually("and anew", |_| {
        agent.asked().last().is_some_and(|turn| bodies(turn) == ["a", "b", "c"])
    })
    .await;
    drop(release);
    rig.expect(conversation, &["a+b+c"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_while_the_agent_thinks_is_dropped_and_said_to_be() {
    let agent = Agent::start(|turn, _| reply(&bodies(turn).join("+"))).await;
    let release = agent.hold();
    let rig = agent.rig_with(&[DROP]).await;
    let conversation = rig.sms(PHONE, "a").await;
    rig.eventually("the agent thinks", |_| agent.asked().len() == 1).await;
    for body in ["b", "c"] {
        rig.sms(PHONE, body).await;
    }
    rig.eventually("all were seen", |rig| {
        stages(rig, conversation, |stage| matches!(stage, Stage::MessageSeen { .. })) == 3
    })
    .await;
    drop(release);
    rig.expect(conversation, &["a"]).await;
    assert_eq!(
        stages(&rig, conversation, |stage| stage == Stage::Skipped { reason: SkipReason::Busy }),
        2
    );
    rig.sms(PHONE, "d").await;
    rig.expect(conversation, &["a", "d"]).await;
    rig.end().await;
}

fn stages(rig: &Rig, conversation: ConversationSid, is_wanted: impl Fn(Stage) -> bool) -> usize {
    rig.app().journal().recent(conversation).iter().filter(|record| is_wanted(record.stage)).count()
}

fn reply(body: &str) -> Response {
    axum::Json(json!({"replies": [body]})).into_response()
}

fn bodies(turn: &Value) -> Vec<String> {
    let messages = turn["messages"].as_array().unwrap();
    messages.iter().map(|message| message["body"].as_str().unwrap().to_owned()).collect()
}
