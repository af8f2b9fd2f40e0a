//! Workflows that end while nobody waits for them, and one that asks for what is not there.

use chimein::telemetry::journal::Stage;
use chimein::twilio::sid::ConversationSid;
use serde_json::Value;

use crate::rig::{PHONE, Rig};
use crate::temporal_server::{PATIENCE, PAUSE, TemporalServer, settings, worker};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_asked_again_is_told_how_its_workflow_ended_and_starts_no_other_one() {
    let server = TemporalServer::start().await;
    let _worker = worker("tests/temporal/closed.py", &[server.address()], &[]);
    let settings = settings(&server, "Waits");
    let own = settings.iter().map(|(name, value)| (*name, value.as_str()));
    let more = [
        ("CHIMEIN_AGENT_TIMEOUT", "5s"),
        // In which all of them are ended.
        ("CHIMEIN_AGENT_SCHEDULE", "30s"),
        ("CHIMEIN_ADMIN_LISTEN", "127.0.0.1:0"),
    ];
    let rig = Rig::start(&own.chain(more).collect::<Vec<_>>()).await;
    let ends: [(&[&str], &str); 4] = [
        (&["signal", "--name", "end", "--input", r#""well""#], "COMPLETED"),
        (&["signal", "--name", "end", "--input", r#""fail""#], "FAILED"),
        (&["cancel"], "CANCELED"),
        (&["terminate"], "TERMINATED"),
    ];
    let mut running = Vec::new();
    for (nth, (end, state)) in ends.into_iter().enumerate() {
        let conversation = rig.sms(&format!("+1555555020{nth}"), "hello").await;
        let turn = rig.control.messages(conversation)[0].sid.to_string();
        until(&server, &turn, "RUNNING").await;
        let run = described(&server, &turn)["execution"]["runId"].clone();
        running.push((conversation, turn, run, end, state));
    }
    // Their time is over: nobody waits for them any more, and nobody has asked again.
    rig.admin_says("/v1/queues", |told| waits(told) == 4).await;
    for (conversation, turn, _, end, state) in &running {
        assert!(server.cli(&[&["workflow"], *end, &["-w", turn]].concat()).is_some(), "{state}");
        until(&server, turn, state).await;
        assert_eq!(asks(&rig, *conversation), 1, "{state}");
    }
    for (conversation, turn, run, _, state) in running {
        if state == "COMPLETED" {
            rig.expect(conversation, &["done"]).await;
        } else {
            let is_dead = |stage: &Stage| matches!(stage, Stage::Dead { .. });
            rig.eventually("it is a dead letter", |rig| count(rig, conversation, is_dead) == 1)
                .await;
        }
        assert_eq!(asks(&rig, conversation), 2, "{state}");
        assert_eq!(described(&server, &turn)["execution"]["runId"], run, "{state}");
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workflow_that_runs_out_of_its_time_is_a_dead_letter_and_no_other_one_starts() {
    let server = TemporalServer::start().await;
    let _worker = worker("tests/temporal/closed.py", &[server.address()], &[]);
    let settings = settings(&server, "Waits");
    let own: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut rig = Rig::start(&own).await;
    rig.stop_service().await;
    let conversation = rig.sms(PHONE, "hello").await;
    let turn = rig.control.messages(conversation)[0].sid.to_string();
    // Somebody has started it with a time of its own, which chimein gives to none.
    let start = ["workflow", "start", "--type", "Waits", "--task-queue", "chat", "--input", "{}"];
    let limits = ["--workflow-id", turn.as_str(), "--run-timeout", "20s"];
    assert!(server.cli(&[&start[..], &limits].concat()).is_some());
    until(&server, &turn, "RUNNING").await;
    let run = described(&server, &turn)["execution"]["runId"].clone();
    rig.start_service().await;
    rig.eventually("it is asked", |rig| asks(rig, conversation) == 1).await;
    until(&server, &turn, "TIMED_OUT").await;
    let is_dead = |stage: &Stage| matches!(stage, Stage::Dead { .. });
    rig.eventually("it is a dead letter", |rig| count(rig, conversation, is_dead) == 1).await;
    assert!(rig.replies(conversation).is_empty());
    assert_eq!(described(&server, &turn)["execution"]["runId"], run);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_activity_that_nobody_knows_fails_by_its_name_and_says_which_there_are() {
    let server = TemporalServer::start().await;
    let _worker = worker("tests/temporal/closed.py", &[server.address()], &[]);
    let settings = settings(&server, "Strays");
    let own = settings.iter().map(|(name, value)| (*name, value.as_str()));
    let more = [("CHIMEIN_TEMPORAL_ACTIVITY_TASK_QUEUE", "chimein")];
    let rig = Rig::start(&own.chain(more).collect::<Vec<_>>()).await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.eventually("it is answered", |rig| !rig.replies(conversation).is_empty()).await;
    let said = rig.replies(conversation).remove(0);
    assert!(said.contains("send_mesage") && said.contains("send_message"), "{said}");
    rig.end().await;
}

/// How many turns are to be asked again.
fn waits(told: &Value) -> u64 {
    let queues = told["queues"].as_array().unwrap();
    let inbox = queues.iter().find(|queue| queue["queue"] == "inbox").unwrap();
    inbox["delayed"].as_u64().unwrap()
}

fn asks(rig: &Rig, conversation: ConversationSid) -> usize {
    count(rig, conversation, |stage| *stage == Stage::TurnStarted)
}

fn count(rig: &Rig, conversation: ConversationSid, is: impl Fn(&Stage) -> bool) -> usize {
    let records = rig.app().journal().recent(conversation);
    records.iter().filter(|record| is(&record.stage)).count()
}

/// Waits until a workflow is in a state.
async fn until(server: &TemporalServer, id: &str, state: &str) {
    let status = format!("WORKFLOW_EXECUTION_STATUS_{state}");
    let waited = tokio::time::timeout(PATIENCE, async {
        while described(server, id)["status"] != status.as_str() {
            tokio::time::sleep(PAUSE).await;
        }
    });
    assert!(waited.await.is_ok(), "{}", described(server, id));
}

/// What the server says of a workflow's newest run.
fn described(server: &TemporalServer, id: &str) -> Value {
    let told = server.cli(&["workflow", "describe", "-w", id, "--output", "json"]);
    let told: Value = serde_json::from_str(&told.unwrap_or_default()).unwrap_or_default();
    told["workflowExecutionInfo"].clone()
}
