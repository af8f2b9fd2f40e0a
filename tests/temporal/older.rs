//! The workflow of the older system: six arguments in, a text by its activity out, not a line of it changed.

use chimein::emulator::Incoming;
use serde_json::{Value, json};

use crate::rig::{NUMBER, PHONE, Rig};
use crate::temporal_server::{TemporalServer, worker};

/// Somebody whom a workflow writes to though he has not written.
const OTHER: &str = "+15555550124";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_workflow_of_the_older_system_runs_unchanged_and_texts_once() {
    let server = TemporalServer::start().await;
    let _worker = worker("tests/temporal/older.py", &[server.address()], &[]);
    let settings = [
        ("CHIMEIN_AGENT_KIND", "temporal"),
        ("TEMPORAL_HOST", &server.address()),
        ("CHIMEIN_TEMPORAL_TASK_QUEUE", "timesheet-reminders"),
        ("CHIMEIN_TEMPORAL_WORKFLOW", "MultiAgentConversationWorkflow"),
        ("CHIMEIN_TEMPORAL_INPUT", "positional"),
        ("CHIMEIN_TEMPORAL_REPLY", "activity"),
        ("TWILIO_PHONE_NUMBER", NUMBER),
        ("CHIMEIN_MESSAGING_SOURCES", "+15555550100=direct"),
        ("CHIMEIN_MESSAGING_SENDER_RATES", "+15555550100=1000"),
    ];
    let rig = Rig::start(&settings).await;
    let first = text(&rig, "hello").await;
    expect(&rig, PHONE, &["You said: hello"]).await;
    let result = result(&server, &first);
    assert_eq!(result["sms"], json!({"success": true, "message_sid": null, "status": "queued"}));
    let second = text(&rig, "and again").await;
    expect(&rig, PHONE, &["You said: hello", "You said: and again"]).await;
    assert_eq!(self::result(&server, &second)["sms"]["request_id"], format!("sms_{second}"));
    // Run anew by an operator, both say what they have said.
    for id in [&first, &second] {
        let reset =
            ["workflow", "reset", "--type", "FirstWorkflowTask", "--reason", "a test", "-w", id];
        assert!(server.cli(&reset).is_some());
        assert_eq!(self::result(&server, id)["sms"]["success"], true);
    }
    // Not to whoever asked, but to whom the workflow says.
    text(&rig, &format!("page {OTHER}")).await;
    expect(&rig, OTHER, &[&format!("You said: page {OTHER}")]).await;
    expect(&rig, PHONE, &["You said: hello", "You said: and again"]).await;
    rig.end().await;
}

/// Somebody writes; gives the id of the turn.
async fn text(rig: &Rig, body: &str) -> String {
    let texted = rig.control.text(Incoming::new(PHONE, NUMBER, body)).await.unwrap();
    rig.eventually("webhooks are told", |rig| rig.control.open_webhooks() == 0).await;
    texted.sid.to_string()
}

async fn expect(rig: &Rig, theirs: &str, texts: &[&str]) {
    let said = |rig: &Rig| -> Vec<String> {
        let texts = rig.control.texts_to(theirs).into_iter();
        texts.map(|text| text.body.into_revealed()).collect()
    };
    rig.eventually(&format!("it says {texts:?}"), |rig| said(rig) == texts).await;
    rig.settled().await;
    assert_eq!(said(rig), texts);
}

/// What a workflow has returned, once it has.
fn result(server: &TemporalServer, id: &str) -> Value {
    let asked = ["workflow", "result", "-w", id, "--output", "json"];
    let told: Value = serde_json::from_str(&server.cli(&asked).unwrap()).unwrap();
    told["result"].clone()
}
