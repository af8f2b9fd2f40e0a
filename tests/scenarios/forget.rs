//! A person is forgotten: nothing of them is left in any file, others stay, and who writes later begins anew.

use std::path::Path;

use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::receiver::{Receiver, SECRET};
use crate::rig::{NUMBER, PHONE, Rig};

const OTHER_PHONE: &str = "+15555550124";

/// Answers by what a text says: at once, with a refusal for good, or so that it is asked again in an hour.
async fn agent() -> Agent {
    Agent::start(|turn, _| {
        let text = turn["messages"][0]["body"].as_str().unwrap_or_default();
        match text {
            _ if text.contains("dies") => StatusCode::BAD_REQUEST.into_response(),
            _ if text.contains("waits") => {
                (StatusCode::INTERNAL_SERVER_ERROR, [("retry-after", "3600")]).into_response()
            }
            _ => axum::Json(json!({ "replies": [format!("re {text}")] })).into_response(),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_forgotten_person_is_in_any_file_and_others_stay() {
    let agent = agent().await;
    let ours = [("CHIMEIN_AGENT_KIND", "http"), ("CHIMEIN_AGENT_URL", agent.url())];
    let mut rig = Rig::on_numbers(&ours).await;
    rig.text(PHONE, NUMBER, "planted one").await;
    rig.expect_texts(PHONE, &["re planted one"]).await;
    rig.text(PHONE, NUMBER, "planted two dies").await;
    let _letter = rig.dead_letter_of("inbox").await;
    rig.text(PHONE, NUMBER, "planted three waits").await;
    rig.text(OTHER_PHONE, NUMBER, "kept waits").await;
    rig.eventually("both were asked", |_| {
        let asked = agent.asked();
        let is_asked = |text: &str| asked.iter().any(|turn| turn["messages"][0]["body"] == text);
        is_asked("planted three waits") && is_asked("kept waits")
    })
    .await;
    let waits = |page: &Value| {
        page["queues"]
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one["queue"] == "inbox" && one["delayed"] == 2))
    };
    rig.admin_says("/v1/queues", waits).await;

    let shown = forget(&rig, PHONE, false).await;
    let thread = &shown["threads"][0];
    assert_eq!((&thread["jobs"], &thread["dead_letters"]), (&json!(1), &json!(1)), "{shown}");
    assert!(thread["notes"].as_u64() > Some(0), "{shown}");
    assert_eq!(shown["done"], false, "who looks changes nothing");
    let name = thread["thread"].as_str().unwrap();
    let is_kept = |page: &Value| page["records"].as_array().is_some_and(|all| !all.is_empty());
    rig.admin_says(&format!("/v1/timeline?thread={name}"), is_kept).await;
    let again = forget(&rig, PHONE, false).await;
    assert_eq!(again["threads"][0]["jobs"], 1, "{again}");
    assert!(again["threads"][0]["records"].as_u64() > Some(0), "{again}");

    let done = forget(&rig, PHONE, true).await;
    assert_eq!(done["done"], true, "{done}");
    let kept = &done["threads"][0];
    assert_eq!((&kept["jobs"], &kept["dead_letters"]), (&json!(1), &json!(1)), "{done}");
    let folder = rig.queue_path().parent().unwrap().to_owned();
    assert_nothing_of(&["planted", &PHONE[1..]], &folder);
    assert!(holds(&folder, "kept waits") && holds(&folder, &OTHER_PHONE[1..]), "others stay");
    let gone = rig.ask_admin(&format!("/v1/timeline?thread={name}")).await;
    assert_eq!(gone["records"], json!([]), "{gone}");
    let nobody = forget(&rig, PHONE, true).await;
    assert_eq!((&nobody["threads"], &nobody["done"]), (&json!([]), &json!(false)), "{nobody}");
    assert!(nobody["detail"].as_str().unwrap().contains("nothing is kept"), "{nobody}");

    rig.text(PHONE, NUMBER, "anew").await;
    rig.eventually("who writes later begins anew", |rig| rig.control.texts_to(PHONE).len() == 2)
        .await;
    assert_eq!(forget(&rig, PHONE, true).await["done"], true);
    rig.stop_service().await;
    assert_nothing_of(&["planted", "anew", &PHONE[1..]], &folder);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_that_is_under_way_is_named_and_forgotten_once_it_is_over() {
    let agent = agent().await;
    let ours = [("CHIMEIN_AGENT_KIND", "http"), ("CHIMEIN_AGENT_URL", agent.url())];
    let rig = Rig::on_numbers(&ours).await;
    let thinks = agent.hold();
    rig.text(PHONE, NUMBER, "planted").await;
    rig.eventually("the agent thinks", |_| !agent.asked().is_empty()).await;
    let refused = forget(&rig, PHONE, true).await;
    assert_eq!(refused["done"], false, "{refused}");
    assert_eq!(refused["threads"][0]["under_way"], json!(["inbox"]), "{refused}");
    drop(thinks);
    rig.expect_texts(PHONE, &["re planted"]).await;
    assert_eq!(forget(&rig, PHONE, true).await["done"], true);
    assert_nothing_of(&["planted", &PHONE[1..]], rig.queue_path().parent().unwrap());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_that_is_answered_later_or_never_is_forgotten_with_its_thread() {
    let agent = Agent::start(|_, _| StatusCode::ACCEPTED.into_response()).await;
    let ours = [
        ("CHIMEIN_AGENT_KIND", "http"),
        ("CHIMEIN_AGENT_URL", agent.url()),
        ("CHIMEIN_AGENT_SECRET", SECRET),
        ("CHIMEIN_AGENT_ANSWER_WITHIN", "1s"),
    ];
    let rig = Rig::on_numbers(&ours).await;
    let asked_for = |text: &str| {
        let asked = agent.asked();
        asked.iter().filter(|turn| turn["messages"][0]["body"] == text).count()
    };
    rig.text(OTHER_PHONE, NUMBER, "kept").await;
    let _letter = rig.dead_letter_of("reports").await;
    rig.text(PHONE, NUMBER, "planted one").await;
    rig.admin_says("/v1/dead-letters", |page| letters(page) == 2).await;
    rig.text(PHONE, NUMBER, "planted two").await;
    rig.eventually("it was asked", |_| asked_for("planted two") == 1).await;

    let shown = forget(&rig, PHONE, false).await;
    let name = shown["threads"][0]["thread"].as_str().unwrap().to_owned();
    let of_thread = format!("/v1/dead-letters?thread={name}");
    assert!(letters(&rig.ask_admin(&of_thread).await) >= 1, "its letter is found by the thread");
    let done = forget(&rig, PHONE, true).await;
    assert_eq!(done["done"], true, "{done}");
    let thread = &done["threads"][0];
    let ended = thread["jobs"].as_u64().unwrap() + thread["dead_letters"].as_u64().unwrap();
    assert_eq!(ended, 2, "one waits or has died too by now: {done}");
    let folder = rig.queue_path().parent().unwrap().to_owned();
    assert_nothing_of(&["planted", &PHONE[1..]], &folder);
    assert!(holds(&folder, "kept") && holds(&folder, &OTHER_PHONE[1..]), "others stay");
    assert_eq!(letters(&rig.ask_admin(&of_thread).await), 0);
    assert_eq!(letters(&rig.ask_admin("/v1/dead-letters").await), 1, "the other one's stays");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_is_found_by_the_address_in_it_and_forgotten() {
    let agent = agent().await;
    let rig = agent.rig_with(&[("CHIMEIN_ADMIN_LISTEN", "127.0.0.1:0")]).await;
    let conversation = rig.sms(PHONE, "planted waits").await;
    rig.eventually("it was asked", |_| !agent.asked().is_empty()).await;
    let found = post(&rig, "/v1/threads/search", &json!({ "address": PHONE })).await;
    assert_eq!(found, json!({ "threads": [conversation.to_string()] }));
    let delayed = |page: &Value| {
        page["queues"]
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one["queue"] == "inbox" && one["delayed"] == 1))
    };
    rig.admin_says("/v1/queues", delayed).await;
    let done = forget(&rig, &conversation.to_string(), true).await;
    assert_eq!((&done["done"], &done["threads"][0]["jobs"]), (&json!(true), &json!(1)), "{done}");
    assert_nothing_of(&["planted", &PHONE[1..]], rig.queue_path().parent().unwrap());
    let again = forget(&rig, PHONE, true).await;
    assert_eq!(again["done"], true, "Twilio still knows it, and nothing is left here: {again}");
    let unknown = forget(&rig, "nobody", false).await;
    assert_eq!(unknown["error"], "unknown_person");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_forgotten_stays_so_though_a_sweep_lists_what_was_written() {
    let agent = agent().await;
    let ours = [
        ("CHIMEIN_AGENT_KIND", "http"),
        ("CHIMEIN_AGENT_URL", agent.url()),
        ("CHIMEIN_MESSAGING_SWEEP_INTERVAL", "1s"),
    ];
    let mut rig = Rig::on_numbers(&ours).await;
    rig.text(PHONE, NUMBER, "planted").await;
    rig.expect_texts(PHONE, &["re planted"]).await;
    assert_eq!(forget(&rig, PHONE, true).await["done"], true);
    // What it has seen already it remembers until it stops.
    rig.stop_service().await;
    let sweeps = |rig: &Rig| rig.rest_requests("GET", "/Messages.json");
    let before = sweeps(&rig);
    rig.start_service().await;
    rig.eventually("two sweeps", |rig| sweeps(rig) >= before + 2).await;
    rig.settled().await;
    let found = post(&rig, "/v1/threads/search", &json!({ "address": PHONE })).await;
    assert_eq!(found, json!({ "threads": [] }));
    assert_nothing_of(&["planted", &PHONE[1..]], rig.queue_path().parent().unwrap());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_has_arrived_and_is_told_of_is_forgotten_too() {
    let agent = agent().await;
    let receiver = Receiver::start().await;
    let ours = [
        ("CHIMEIN_AGENT_KIND", "http"),
        ("CHIMEIN_AGENT_URL", agent.url()),
        ("CHIMEIN_AGENT_REPORT_URL", receiver.url.as_str()),
        ("CHIMEIN_AGENT_SECRET", SECRET),
    ];
    let rig = Rig::on_numbers(&ours).await;
    rig.text(PHONE, NUMBER, "planted").await;
    rig.expect_texts(PHONE, &["re planted"]).await;
    rig.eventually("it is told", |_| !receiver.told().states("delivered").is_empty()).await;
    rig.settled().await;
    assert_eq!(forget(&rig, PHONE, true).await["done"], true);
    assert_nothing_of(&["planted", &PHONE[1..]], rig.queue_path().parent().unwrap());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_of_several_people_is_forgotten_only_if_it_is_named_itself() {
    let agent = agent().await;
    let rig = agent.rig_with(&[("CHIMEIN_ADMIN_LISTEN", "127.0.0.1:0")]).await;
    let group = rig.group_sms(PHONE, &[OTHER_PHONE], "planted dies").await;
    let _letter = rig.dead_letter_of("inbox").await;
    let spared = forget(&rig, PHONE, true).await;
    assert_eq!(spared["done"], false, "{spared}");
    let thread = &spared["threads"][0];
    assert_eq!(
        (&thread["thread"], &thread["of_several"], &thread["dead_letters"]),
        (&json!(group.to_string()), &json!(true), &json!(1)),
        "{spared}"
    );
    assert!(spared["detail"].as_str().unwrap().contains("named itself"), "{spared}");
    assert_eq!(letters(&rig.ask_admin("/v1/dead-letters").await), 1, "it is still there");
    let done = forget(&rig, &group.to_string(), true).await;
    assert_eq!(done["done"], true, "{done}");
    assert_eq!(letters(&rig.ask_admin("/v1/dead-letters").await), 0);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_told_of_a_failure_asks_again_by_the_address() {
    let agent = agent().await;
    let ours = [("CHIMEIN_AGENT_KIND", "http"), ("CHIMEIN_AGENT_URL", agent.url())];
    let rig = Rig::on_numbers(&ours).await;
    rig.text(PHONE, NUMBER, "planted").await;
    rig.expect_texts(PHONE, &["re planted"]).await;
    rig.settled().await;
    let reader = rusqlite::Connection::open(rig.queue_path()).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM jobs").unwrap();
    let failed = forget(&rig, PHONE, true).await;
    assert_eq!(failed["error"], "unavailable", "{failed}");
    reader.execute_batch("ROLLBACK").unwrap();
    drop(reader);
    // The bytes are what was left, whatever is still known by then.
    let again = forget(&rig, PHONE, true).await;
    assert_eq!(again["error"], Value::Null, "{again}");
    assert_nothing_of(&["planted", &PHONE[1..]], rig.queue_path().parent().unwrap());
    rig.end().await;
}

fn letters(page: &Value) -> usize {
    page["letters"].as_array().map_or(0, Vec::len)
}

async fn forget(rig: &Rig, who: &str, act: bool) -> Value {
    post(rig, "/v1/forget", &json!({ "who": who, "act": act })).await
}

async fn post(rig: &Rig, path: &str, body: &Value) -> Value {
    let url = format!("http://{}{path}", rig.app().admin_address().unwrap());
    rig.http.post(url).json(body).send().await.unwrap().json().await.unwrap()
}

/// Reads every file below a folder.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    found
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

fn holds(folder: &Path, text: &str) -> bool {
    files(folder).iter().any(|(_, bytes)| has(bytes, text))
}

fn assert_nothing_of(texts: &[&str], folder: &Path) {
    for (file, bytes) in files(folder) {
        for text in texts {
            assert!(!has(&bytes, text), "{text} is left in {file}");
        }
    }
}
