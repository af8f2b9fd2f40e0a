//! Turns on their way out.

use serde_json::{Value, json};

use crate::Setting;
use crate::rig::{PHONE, Rig};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_goes_out_by_either_kind_of_queue_and_its_reply_comes_back() {
    for names in [["turns.fifo", "replies.fifo"], ["turns", "replies"]] {
        let setting = Setting::start(names, &[]).await;
        let conversation = setting.rig.sms(PHONE, "hello").await;
        let turn = setting.turn().await;
        let document = turn.json();
        assert_eq!((&document["type"], &document["version"]), (&json!("turn"), &json!(1)));
        assert_eq!(document["thread"], conversation.to_string());
        assert_eq!(document["messages"][0]["body"], "hello");
        assert!(document.get("history").is_none(), "who does not ask is told none");
        assert_eq!(turn.whole["MessageAttributes"]["turn_id"]["StringValue"], document["id"]);
        let system = &turn.whole["Attributes"];
        assert_eq!(system["MessageGroupId"], document["thread"]);
        if names[0].ends_with(".fifo") {
            assert_eq!(system["MessageDeduplicationId"], document["id"]);
        }
        setting.answer(&turn, &json!(["hi", {"body": "there"}])).await;
        setting.rig.expect(conversation, &["hi", "there"]).await;
        setting.until_depth(&setting.replies, 0).await;
        setting.rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_said_before_is_cut_to_the_queues_limit_and_that_is_said() {
    let more = [("CHIMEIN_SQS_HISTORY_MESSAGES", "20")];
    let setting = Setting::fifo(&more).await;
    for at in 0..4 {
        let conversation = setting.rig.sms(PHONE, &format!("{at} {}", "x".repeat(700))).await;
        let turn = setting.turn().await;
        setting.answer(&turn, &json!([format!("answer {at}")])).await;
        let said = |rig: &Rig| rig.replies(conversation).len() > at;
        setting.rig.eventually("it is said", said).await;
    }
    let small = json!({"MaximumMessageSize": "4096"});
    let asked = json!({"QueueUrl": setting.turns, "Attributes": small});
    setting.server.call("SetQueueAttributes", &asked).await;
    let mut rig = setting.rig;
    // What a queue takes is read once.
    rig.stop_service().await;
    rig.start_service().await;
    rig.sms(PHONE, "now").await;
    let setting = Setting { rig, ..setting };
    let turn = setting.turn().await;
    assert!(turn.body.len() <= 4096, "{}", turn.body.len());
    let document = turn.json();
    let told = document["history"].as_array().unwrap();
    let left_out = document["history_left_out"].as_u64().unwrap();
    assert_eq!(u64::try_from(told.len()).unwrap() + left_out, 8, "{document:#}");
    assert_eq!(told.last().unwrap()["body"], "answer 3");
    assert_eq!(told.last().unwrap()["own"], true);
    assert_eq!(document["messages"][0]["body"], "now");
    setting.rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_that_has_no_room_at_all_is_a_dead_letter_that_says_so() {
    let more = [("CHIMEIN_ADMIN_LISTEN", "127.0.0.1:0")];
    let setting = Setting::fifo(&more).await;
    let small = json!({"QueueUrl": setting.turns, "Attributes": {"MaximumMessageSize": "1024"}});
    setting.server.call("SetQueueAttributes", &small).await;
    let mut rig = setting.rig;
    rig.stop_service().await;
    rig.start_service().await;
    rig.sms(PHONE, &"x".repeat(1500)).await;
    let letter = rig.dead_letter_of("inbox").await;
    let cause = letter["cause"].to_string();
    assert!(cause.contains("agent_turn_too_large") && cause.contains("1024"), "{letter:#}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_that_nobody_answers_is_asked_anew_under_another_key() {
    let more = [("CHIMEIN_SQS_ANSWER_WITHIN", "1s"), ("CHIMEIN_SQS_ASK_AGAIN", "true")];
    let setting = Setting::fifo(&more).await;
    let conversation = setting.rig.sms(PHONE, "hello").await;
    let (first, again) = (setting.turn().await, setting.turn().await);
    assert_eq!(first.json()["id"], again.json()["id"]);
    let key = |turn: &crate::Received| -> Value {
        turn.whole["Attributes"]["MessageDeduplicationId"].clone()
    };
    assert_ne!(key(&first), key(&again), "the queue would drop it");
    setting.answer(&first, &json!(["one"])).await;
    setting.answer(&again, &json!(["one"])).await;
    setting.until_depth(&setting.replies, 0).await;
    setting.rig.expect(conversation, &["one"]).await;
    setting.rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_answer_leaves_its_turn_to_be_asked_anew() {
    let more = [("CHIMEIN_SQS_ANSWER_WITHIN", "2s"), ("CHIMEIN_SQS_ASK_AGAIN", "true")];
    let setting = Setting::fifo(&more).await;
    let conversation = setting.rig.sms(PHONE, "hello").await;
    let first = setting.turn().await.json();
    let nowhere = format!("TH{}", "0".repeat(32));
    let elsewhere = json!({"turn": first["id"], "thread": nowhere, "replies": ["lost"]});
    setting.send("elsewhere", &elsewhere.to_string()).await;
    // It is read before the turn's time is over.
    let dead = setting.server.url_of("dead-replies.fifo").await;
    setting.until_depth(&dead, 1).await;
    let again = setting.turn().await;
    assert_eq!(again.json()["id"], first["id"]);
    setting.answer(&again, &json!(["found"])).await;
    setting.rig.expect(conversation, &["found"]).await;
    setting.rig.end().await;
}
