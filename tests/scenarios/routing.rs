//! Several agents: who gets what, and that a slow or dead one holds up nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use chimein::clock::{Clock, Moment};
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::numbers::FRIEND;
use crate::rig::{NUMBER, PHONE, Rig, WHATSAPP};

/// People who wait for a slow agent.
const WAITING: usize = 1_000;
/// How many of them it thinks about at once.
const ROOM: usize = 20;
/// How soon the other agent answers meanwhile, in a debug build on a machine that does much else.
const PROMPTLY: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_number_has_its_agent_and_later_words_and_reports_are_its_own() {
    let (sales, support) = (named("sales").await, named("support").await);
    let (sales_office, support_office) = (named("office").await, named("office").await);
    let rig = Rig::on_numbers(&[
        ("CHIMEIN_AGENTS_SALES_KIND", "http"),
        ("CHIMEIN_AGENTS_SALES_URL", sales.url()),
        ("CHIMEIN_AGENTS_SALES_REPORT_URL", sales_office.url()),
        ("CHIMEIN_AGENTS_SUPPORT_KIND", "http"),
        ("CHIMEIN_AGENTS_SUPPORT_URL", support.url()),
        ("CHIMEIN_AGENTS_SUPPORT_REPORT_URL", support_office.url()),
        ("CHIMEIN_ROUTES_1_AGENT", "sales"),
        ("CHIMEIN_ROUTES_1_ADDRESS", NUMBER),
        ("CHIMEIN_ROUTES_2_AGENT", "support"),
    ])
    .await;
    rig.text(PHONE, NUMBER, "hello").await;
    rig.text(FRIEND, WHATSAPP, "hi").await;
    rig.expect_texts(PHONE, &["sales: hello"]).await;
    rig.expect_texts(FRIEND, &["support: hi"]).await;
    let arrived = |office: &Agent| office.asked().iter().any(|told| told["state"] == "delivered");
    rig.eventually("both are told", |_| arrived(&sales_office) && arrived(&support_office)).await;
    let turns = |agent: &Agent| ids(&agent.asked(), "id");
    for (agent, office) in [(&sales, &sales_office), (&support, &support_office)] {
        let told = ids(&office.asked(), "turn");
        assert!(told.iter().all(|turn| turns(agent).contains(turn)), "{told:?}");
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keyword_chooses_until_another_one_is_said_also_after_a_restart() {
    let (sales, support) = (named("sales").await, named("support").await);
    let mut rig = Rig::on_numbers(&[
        ("CHIMEIN_AGENT_KIND", "echo"),
        ("CHIMEIN_AGENTS_SALES_KIND", "http"),
        ("CHIMEIN_AGENTS_SALES_URL", sales.url()),
        ("CHIMEIN_AGENTS_SUPPORT_KIND", "http"),
        ("CHIMEIN_AGENTS_SUPPORT_URL", support.url()),
        ("CHIMEIN_ROUTES_1_AGENT", "sales"),
        ("CHIMEIN_ROUTES_1_KEYWORD", "buy,talk to sales"),
        ("CHIMEIN_ROUTES_2_AGENT", "support"),
        ("CHIMEIN_ROUTES_2_KEYWORD", "broken"),
    ])
    .await;
    let mut said = Vec::new();
    for (text, answer) in [
        ("hello", "hello"),
        ("I'd like to BUY a hat", "sales: I'd like to BUY a hat"),
        ("how much?", "sales: how much?"),
        ("it is broken!", "support: it is broken!"),
    ] {
        rig.text(PHONE, NUMBER, text).await;
        said.push(answer);
        rig.expect_texts(PHONE, &said).await;
    }
    rig.stop_service().await;
    rig.start_service().await;
    rig.text(PHONE, NUMBER, "still").await;
    said.push("support: still");
    rig.expect_texts(PHONE, &said).await;
    rig.text(FRIEND, WHATSAPP, "and I?").await;
    rig.expect_texts(FRIEND, &["and I?"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_conversation_its_attributes_and_addresses_choose() {
    let (gold, over) = (named("gold").await, named("number").await);
    let rig = Rig::start(&[
        ("CHIMEIN_AGENTS_GOLD_KIND", "http"),
        ("CHIMEIN_AGENTS_GOLD_URL", gold.url()),
        ("CHIMEIN_AGENTS_NUMBER_KIND", "http"),
        ("CHIMEIN_AGENTS_NUMBER_URL", over.url()),
        ("CHIMEIN_AGENT_KIND", "echo"),
        ("CHIMEIN_ROUTES_1_AGENT", "gold"),
        ("CHIMEIN_ROUTES_1_ATTRIBUTE", "tier=gold"),
        ("CHIMEIN_ROUTES_2_AGENT", "number"),
        ("CHIMEIN_ROUTES_2_CHANNEL", "conversation"),
        ("CHIMEIN_ROUTES_2_ADDRESS", NUMBER),
    ])
    .await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["number: hello"]).await;
    let path = format!("Conversations/{conversation}");
    rig.rest_post(&path, &[("Attributes", r#"{"tier":"gold"}"#)]).await;
    rig.sms(PHONE, "now?").await;
    rig.expect(conversation, &["number: hello", "gold: now?"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_turns_of_a_slow_agent_hold_up_nobody_of_another() {
    let (slow, quick) = (named("slow").await, named("quick").await);
    let room = ROOM.to_string();
    let rig = Rig::on_numbers(&[
        ("CHIMEIN_AGENTS_SLOW_KIND", "http"),
        ("CHIMEIN_AGENTS_SLOW_URL", slow.url()),
        ("CHIMEIN_AGENTS_SLOW_CONCURRENCY", &room),
        ("CHIMEIN_AGENTS_QUICK_KIND", "http"),
        ("CHIMEIN_AGENTS_QUICK_URL", quick.url()),
        ("CHIMEIN_ROUTES_1_AGENT", "quick"),
        ("CHIMEIN_ROUTES_1_CHANNEL", "whatsapp"),
        ("CHIMEIN_ROUTES_2_AGENT", "slow"),
    ])
    .await;
    let thinking = slow.hold();
    for n in 0..WAITING {
        rig.text(&format!("+1555556{n:04}"), NUMBER, "anybody there?").await;
    }
    rig.eventually("the slow one is full", |_| slow.asked().len() == ROOM).await;
    let clock = Clock::start();
    for n in 0..5 {
        rig.text(FRIEND, WHATSAPP, &format!("quick {n}")).await;
    }
    rig.eventually("the other is answered", |rig| rig.control.texts_to(FRIEND).len() == 5).await;
    let took = clock.now().since(Moment::ORIGIN);
    println!("the other agent's five turns were answered within {} ms", took.as_millis());
    assert!(took < PROMPTLY, "{took:?}");
    assert_eq!(slow.asked().len(), ROOM, "no more than it has room for");
    drop(thinking);
    let answered = |rig: &Rig| {
        let phones = (0..WAITING).map(|n| format!("+1555556{n:04}"));
        phones.filter(|phone| rig.control.texts_to(phone).len() == 1).count()
    };
    rig.eventually("all are answered", |rig| answered(rig) == WAITING).await;
    rig.settled().await;
    assert_eq!(slow.asked().len(), WAITING, "each was asked once");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_an_agent_is_dead_its_fallback_answers_and_then_it_is_back() {
    let is_dead = Arc::new(AtomicBool::new(true));
    let dead = Arc::clone(&is_dead);
    let main = Agent::start(move |turn, _| match dead.load(Ordering::Relaxed) {
        true => StatusCode::BAD_GATEWAY.into_response(),
        false => says("main", turn),
    })
    .await;
    let (spare, other) = (named("spare").await, named("other").await);
    let rig = Rig::on_numbers(&[
        ("CHIMEIN_AGENTS_MAIN_KIND", "http"),
        ("CHIMEIN_AGENTS_MAIN_URL", main.url()),
        ("CHIMEIN_AGENTS_SPARE_KIND", "http"),
        ("CHIMEIN_AGENTS_SPARE_URL", spare.url()),
        ("CHIMEIN_AGENTS_OTHER_KIND", "http"),
        ("CHIMEIN_AGENTS_OTHER_URL", other.url()),
        ("CHIMEIN_AGENT_SCHEDULE", "200ms,1s,1s,1s,1s,1s,1s,1s,1s"),
        ("CHIMEIN_ROUTES_1_AGENT", "other"),
        ("CHIMEIN_ROUTES_1_CHANNEL", "whatsapp"),
        ("CHIMEIN_ROUTES_2_AGENT", "main"),
        ("CHIMEIN_ROUTES_2_FALLBACK", "spare"),
    ])
    .await;
    let phones: Vec<String> = (0..8).map(|n| format!("+1555557{n:04}")).collect();
    for phone in &phones {
        rig.text(phone, NUMBER, "hello").await;
    }
    for phone in &phones {
        rig.expect_texts(phone, &["spare: hello"]).await;
    }
    let state = |page: &Value, name: &str| {
        let agents = page["agents"].as_array().unwrap().iter();
        agents.clone().find(|agent| agent["name"] == name).unwrap()["state"].clone()
    };
    let page = rig.admin_says("/readyz", |page| state(page, "main") == "agent_down").await;
    assert_eq!((&page["degraded"], state(&page, "other")), (&json!(true), json!("up")));
    rig.text(FRIEND, WHATSAPP, "hi").await;
    rig.expect_texts(FRIEND, &["other: hi"]).await;
    assert_eq!(rig.control.texts_to(PHONE).len(), 0);
    is_dead.store(false, Ordering::Relaxed);
    let mut asked = 0;
    rig.text(PHONE, NUMBER, "0").await;
    while main.asked().iter().all(|turn| turn["messages"][0]["body"] == "hello") {
        rig.eventually("an answer", |rig| rig.control.texts_to(PHONE).len() > asked).await;
        asked += 1;
        rig.text(PHONE, NUMBER, &asked.to_string()).await;
    }
    rig.admin_says("/readyz", |page| state(page, "main") == "up").await;
    rig.settled().await;
    let said: Vec<String> = rig.control.texts_to(PHONE).iter().map(body).collect();
    let numbers: Vec<&str> = said.iter().filter_map(|text| text.split(": ").nth(1)).collect();
    let wanted: Vec<String> = (0..=asked).map(|n| n.to_string()).collect();
    assert_eq!(numbers, wanted, "each once and in order, whoever said it: {said:?}");
    let both = ids(&main.asked(), "id").into_iter().filter(|id| {
        spare.asked().iter().any(|turn| turn["id"] == *id) && turn_body(&main, id) != "hello"
    });
    assert_eq!(both.count(), 0, "who was answered is asked nowhere else");
    rig.end().await;
}

fn turn_body(agent: &Agent, id: &Value) -> Value {
    let asked = agent.asked();
    let turn = asked.iter().find(|turn| turn["id"] == *id);
    turn.map(|turn| turn["messages"][0]["body"].clone()).unwrap_or_default()
}

fn body(text: &chimein::emulator::state::messaging::Text) -> String {
    text.body.reveal().to_owned()
}

fn ids(documents: &[Value], name: &str) -> Vec<Value> {
    documents.iter().map(|document| document[name].clone()).collect()
}

/// An agent that says who it is.
async fn named(name: &'static str) -> Agent {
    Agent::start(move |turn, _| says(name, turn)).await
}

fn says(name: &str, turn: &Value) -> axum::response::Response {
    let bodies = turn["messages"].as_array().into_iter().flatten();
    let said = bodies.filter_map(|message| message["body"].as_str());
    let replies: Vec<String> = said.map(|body| format!("{name}: {body}")).collect();
    Json(json!({ "replies": replies })).into_response()
}
