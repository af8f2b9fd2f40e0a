//! Nobody waits for a stranger, nor for what is back: outages cost no attempts and end for all at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use chimein::admin::{Insight as _, Readiness};
use chimein::emulator::faults::{Action, Place};
use chimein::twilio::sid::ConversationSid;
use serde_json::json;

use crate::agent::Agent;
use crate::rig::{PHONE, Rig};

/// A schedule that a single counted failure more would use up.
const IMPATIENT: [(&str, &str); 3] = [
    ("CHIMEIN_JOIN_SCHEDULE", "1s"),
    ("CHIMEIN_SEND_SCHEDULE", "1s"),
    ("CHIMEIN_AGENT_SCHEDULE", "1s"),
];

/// Every one of many is answered at once by an agent that thinks until all have asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_agent_holds_up_no_stranger() {
    const PEOPLE: usize = 100;
    let agent = Agent::start(|turn, _| {
        Json(json!({"replies": [turn["messages"][0]["body"]]})).into_response()
    })
    .await;
    let rig = agent.rig().await;
    let thinking = agent.hold();
    let mut waiting = Vec::new();
    for n in 0..PEOPLE {
        waiting.push(rig.sms(&format!("+155555503{n:02}"), "anybody there?").await);
    }
    rig.eventually("all have asked", |_| agent.asked().len() == PEOPLE).await;
    drop(thinking);
    rig.eventually("all are answered", |rig| answered(rig, &waiting) == PEOPLE).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_adding_costs_no_attempt_and_ends_for_all() {
    let rig = Rig::start(&IMPATIENT).await;
    rig.fault(adds(), refused(), u64::MAX);
    let mut waiting = newcomers(&rig).await;
    rig.eventually("it is noticed", |rig| says(rig, "twilio_down")).await;
    let before = rig.rest_requests("POST", "/Participants");
    rig.eventually("it is looked for", |rig| {
        rig.rest_requests("POST", "/Participants") > before + 2
    })
    .await;
    waiting.push(rig.sms(PHONE, "and me?").await);
    ends(&rig, &waiting).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_person_whose_add_is_cut_off_many_times_is_joined_all_the_same() {
    let rig = Rig::start(&IMPATIENT).await;
    rig.fault(adds(), Action::BreakBefore, 6);
    let conversation = rig.sms(PHONE, "hello").await;
    rig.within(Duration::from_secs(40), "an answer", |rig| answered(rig, &[conversation]) == 1)
        .await;
    assert_eq!(rig.rest_requests("POST", "/Participants"), 7);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_all_of_twilio_costs_no_attempt_and_ends_for_all() {
    let rig =
        Rig::start(&[&IMPATIENT[..], &[("CHIMEIN_REALTIME_ENABLED", "false")]].concat()).await;
    rig.fault(Place::Rest { method: None, path: None }, Action::BreakBefore, u64::MAX);
    let waiting = newcomers(&rig).await;
    rig.eventually("it is noticed", |rig| says(rig, "twilio_down")).await;
    ends(&rig, &waiting).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn something_that_answers_in_twilios_place_is_an_outage_and_kills_nothing() {
    for status in [302, 403, 404] {
        let extra = [&IMPATIENT[..], &[("CHIMEIN_REALTIME_ENABLED", "false")]].concat();
        let rig = Rig::start(&extra).await;
        let known = rig.sms("+15555550199", "hello").await;
        rig.expect(known, &["hello"]).await;
        rig.fault(Place::Rest { method: None, path: None }, Action::Intercept { status }, u64::MAX);
        rig.sms("+15555550199", "still there?").await;
        let mut waiting = newcomers(&rig).await;
        rig.eventually("it is noticed", |rig| says(rig, "twilio_down")).await;
        rig.control.clear_faults();
        waiting.push(known);
        let count = waiting.len() + 1;
        rig.eventually("all are answered", |rig| answered(rig, &waiting) == count).await;
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_is_away_costs_no_attempt_and_ends_for_all() {
    let (agent, is_away) = away().await;
    let rig = agent.rig_with(&IMPATIENT).await;
    let waiting = newcomers(&rig).await;
    rig.eventually("it is noticed", |rig| says(rig, "agent_down")).await;
    let before = agent.asked().len();
    rig.eventually("it is looked for", |_| agent.asked().len() > before + 2).await;
    is_away.store(false, Ordering::Relaxed);
    rig.eventually("all are answered", |rig| answered(rig, &waiting) == waiting.len()).await;
    let ready = |rig: &Rig| rig.app().health().readiness() == Readiness::Ready;
    rig.eventually("it is ready", ready).await;
    rig.end().await;
}

/// Who is back has as much room as before, and may think for long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_was_away_has_all_at_once_who_waited_for_it() {
    let (agent, is_away) = away().await;
    let rig = agent.rig().await;
    let waiting = newcomers(&rig).await;
    rig.eventually("it is noticed", |rig| says(rig, "agent_down")).await;
    let before = agent.asked().len();
    rig.eventually("it is looked for", |_| agent.asked().len() > before + 1).await;
    let thinking = agent.hold_from_now().await;
    is_away.store(false, Ordering::Relaxed);
    // It may have been asked about one of them already.
    let before = agent.asked().len();
    rig.eventually("it has all", |_| agent.asked().len() >= before + waiting.len() - 1).await;
    drop(thinking);
    rig.eventually("all are answered", |rig| answered(rig, &waiting) == waiting.len()).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_without_room_is_asked_again_and_no_attempt_is_counted() {
    let agent = Agent::start(|turn, before| match before {
        0..3 => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")]).into_response(),
        _ => Json(json!({"replies": [turn["messages"][0]["body"]]})).into_response(),
    })
    .await;
    let rig = agent.rig_with(&IMPATIENT).await;
    let waiting = newcomers(&rig).await;
    rig.eventually("all are answered", |rig| answered(rig, &waiting) == waiting.len()).await;
    rig.end().await;
}

/// An agent that is away for as long as that is so, and echoes afterwards.
async fn away() -> (Agent, Arc<AtomicBool>) {
    let is_away = Arc::new(AtomicBool::new(true));
    let away = Arc::clone(&is_away);
    let agent = Agent::start(move |turn, _| match away.load(Ordering::Relaxed) {
        true => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        false => Json(json!({"replies": [turn["messages"][0]["body"]]})).into_response(),
    });
    (agent.await, is_away)
}

/// Several conversations that begin now.
async fn newcomers(rig: &Rig) -> Vec<ConversationSid> {
    let mut waiting = Vec::new();
    for n in 0..6 {
        waiting.push(rig.sms(&format!("+1555555020{n}"), "anybody there?").await);
    }
    waiting
}

/// The outage ends, and all who wrote meanwhile are answered.
async fn ends(rig: &Rig, waiting: &[ConversationSid]) {
    rig.control.clear_faults();
    rig.eventually("all are answered", |rig| answered(rig, waiting) == waiting.len()).await;
    let is_well = |rig: &Rig| !says(rig, "twilio_down");
    rig.eventually("it says so", is_well).await;
}

fn answered(rig: &Rig, conversations: &[ConversationSid]) -> usize {
    conversations.iter().map(|sid| rig.replies(*sid).len()).sum()
}

fn says(rig: &Rig, word: &str) -> bool {
    match rig.app().health().readiness() {
        Readiness::Ready => false,
        Readiness::Degraded(words) | Readiness::NotReady(words) => words.contains(&word),
    }
}

fn adds() -> Place {
    Place::Rest { method: Some("POST".into()), path: Some("/Participants".into()) }
}

const fn refused() -> Action {
    Action::Answer { status: 503, code: Some(20503), retry_after: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_nothing_can_be_stored_nobody_thinks_in_vain_and_it_ends_by_itself() {
    let agent = Agent::start(|turn, _| {
        Json(json!({"replies": [turn["messages"][0]["body"]]})).into_response()
    })
    .await;
    let rig = agent.rig().await;
    let thinking = agent.hold();
    let conversation = rig.sms(PHONE, "hello").await;
    rig.eventually("the agent thinks", |_| agent.asked().len() == 1).await;
    let other = rusqlite::Connection::open(rig.queue_path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    drop(thinking);
    rig.eventually("it says so", |rig| says(rig, "store_failing")).await;
    let refused = rig.webhook_answers().len();
    rig.sms("+15555550177", "and me?").await;
    rig.eventually("a webhook is refused", |rig| rig.webhook_answers()[refused..].contains(&503))
        .await;
    assert_eq!(agent.asked().len(), 1, "its answer could not be stored");
    other.execute_batch("ROLLBACK").unwrap();
    rig.eventually("it is answered", |rig| answered(rig, &[conversation]) == 1).await;
    rig.eventually("it is well", |rig| !says(rig, "store_failing")).await;
    assert!(agent.asked().len() <= 3, "{} turns", agent.asked().len());
    rig.end().await;
}
