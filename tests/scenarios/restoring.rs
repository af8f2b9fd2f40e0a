//! The store is put back from yesterday's backup. Since then people wrote and were answered, a reply that was
//! under way left, and an agent that was thinking answered: nobody is answered a second time, and who has no
//! answer gets one.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use axum::response::{IntoResponse, Response};
use chimein::clock::Clock;
use chimein::emulator::control::Webhook;
use chimein::emulator::faults::{Action, Place};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::numbers::create;
use crate::rig::{NUMBER, PHONE, Rig};

const NO_SOCKET: (&str, &str) = ("CHIMEIN_REALTIME_ENABLED", "false");
/// Somebody whose message is with the agent when the backup is taken.
const THINKING: &str = "+15555550124";
/// Somebody who writes only after the backup.
const LATER: &str = "+15555550125";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_conversations_nobody_is_answered_twice_after_a_restore() {
    for extra in [&[][..], &[NO_SOCKET]] {
        let agent = Agent::start(answer).await;
        let mut rig = agent.rig_with(extra).await;
        let phone = rig.sms(PHONE, "one").await;
        let thinking = rig.sms(THINKING, "hello").await;
        rig.expect(phone, &["re one"]).await;
        rig.expect(thinking, &["re hello"]).await;

        hold_sends(&rig);
        rig.sms(PHONE, "two").await;
        rig.eventually("a reply waits", |rig| open_jobs(rig, OUTBOX) == 1).await;
        let held = agent.hold_from_now().await;
        rig.sms(THINKING, "think").await;
        rig.eventually("the agent thinks", |_| agent.asked().len() == 4).await;
        let copy = back_up(&rig);
        rig.control.clear_faults();
        drop(held);
        rig.expect(phone, &["re one", "re two"]).await;
        rig.expect(thinking, &["re hello", "re think"]).await;
        rig.sms(PHONE, "three").await;
        rig.expect(phone, &["re one", "re two", "re three"]).await;
        let later = rig.sms(LATER, "four").await;
        rig.expect(later, &["re four"]).await;

        lose(&mut rig).await;
        rig.sms(PHONE, "five").await;
        restore(&rig, &copy).await;
        rig.start_service().await;
        rig.expect(phone, &["re one", "re two", "re three", "re five"]).await;
        rig.sms(LATER, "six").await;
        rig.expect(later, &["re four", "re six"]).await;
        rig.expect(thinking, &["re hello", "re think"]).await;
        expect_asked_once(&agent, 8);
        rig.stop_service().await;
        rig.start_service().await;
        rig.sms(THINKING, "again").await;
        rig.expect(thinking, &["re hello", "re think", "re again"]).await;
        rig.expect(phone, &["re one", "re two", "re three", "re five"]).await;
        expect_asked_once(&agent, 9);
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_plain_numbers_nobody_is_answered_twice_after_a_restore() {
    let agent = Agent::start(answer).await;
    let settings = [
        ("CHIMEIN_AGENT_KIND", "http"),
        ("CHIMEIN_AGENT_URL", agent.url()),
        ("CHIMEIN_MESSAGING_SWEEP_INTERVAL", "1s"),
    ];
    let mut rig = Rig::on_numbers(&settings).await;
    rig.text(PHONE, NUMBER, "one").await;
    rig.text(THINKING, NUMBER, "hello").await;
    rig.expect_texts(PHONE, &["re one"]).await;
    rig.expect_texts(THINKING, &["re hello"]).await;

    // It is on disk about a second after the start; a sweep that has no place begins anew.
    rig.eventually("the sweep has its place", |rig| has_place(&rig.queue_path())).await;
    hold_sends(&rig);
    rig.text(PHONE, NUMBER, "two").await;
    rig.eventually("a reply waits", |rig| open_jobs(rig, OUTBOX) == 1).await;
    let held = agent.hold_from_now().await;
    rig.text(THINKING, NUMBER, "think").await;
    rig.eventually("the agent thinks", |_| agent.asked().len() == 4).await;
    let copy = back_up(&rig);
    rig.control.clear_faults();
    drop(held);
    rig.expect_texts(PHONE, &["re one", "re two"]).await;
    rig.expect_texts(THINKING, &["re hello", "re think"]).await;
    rig.text(PHONE, NUMBER, "three").await;
    rig.expect_texts(PHONE, &["re one", "re two", "re three"]).await;
    rig.text(LATER, NUMBER, "four").await;
    rig.expect_texts(LATER, &["re four"]).await;

    lose(&mut rig).await;
    rig.text(PHONE, NUMBER, "five").await;
    restore(&rig, &copy).await;
    rig.start_service().await;
    rig.expect_texts(PHONE, &["re one", "re two", "re three", "re five"]).await;
    rig.text(LATER, NUMBER, "six").await;
    rig.expect_texts(LATER, &["re four", "re six"]).await;
    rig.expect_texts(THINKING, &["re hello", "re think"]).await;
    expect_asked_once(&agent, 8);
    rig.end().await;
}

/// The numbers of queues in the file.
const INBOX: u8 = 1;
const OUTBOX: u8 = 2;

/// Answers with what was written.
fn answer(turn: &Value, _: usize) -> Response {
    let said = turn["messages"][0]["body"].as_str().unwrap();
    axum::Json(json!({ "replies": [format!("re {said}")] })).into_response()
}

/// Lets no reply leave, by whichever road.
fn hold_sends(rig: &Rig) {
    let action = || Action::Answer { status: 503, code: None, retry_after: None };
    let (method, path) = (|| Some("POST".to_owned()), || Some("/Messages".to_owned()));
    for place in [
        Place::Rest { method: method(), path: path() },
        Place::SocketRequest { method: method(), path: path() },
        create(),
    ] {
        rig.fault(place, action(), 10_000);
    }
}

/// The operator takes a backup, of a moment at which a reply waits and an agent thinks.
fn back_up(rig: &Rig) -> PathBuf {
    let copy = rig.queue_path().with_file_name("backup.db");
    let output = run(rig, "backup", &copy);
    assert!(output.status.success(), "{}", told(&output));
    for queue in [INBOX, OUTBOX] {
        assert_eq!(open_jobs_of(&copy, queue), 1, "queue {queue}");
    }
    copy
}

/// The service goes, and webhooks lead nowhere. The operator cannot restore before that.
async fn lose(rig: &mut Rig) {
    rig.settled().await;
    let output = run(rig, "restore", &rig.queue_path().with_file_name("backup.db"));
    assert!(told(&output).contains("in use by process"), "{}", told(&output));
    rig.stop_service().await;
    rig.control.set_webhook(Webhook::default());
    next_second(rig).await;
}

/// Waits for the second after this one: nothing tells which of two texts came first within one.
async fn next_second(rig: &Rig) {
    let clock = Clock::start();
    let second = || clock.wall().as_millis() / 1000;
    let this = second();
    rig.eventually("the next second begins", |_| second() > this).await;
}

/// The operator puts the backup in the store's place, a second after all that was said.
async fn restore(rig: &Rig, copy: &Path) {
    next_second(rig).await;
    let output = run(rig, "restore", copy);
    assert!(output.status.success(), "{}", told(&output));
    assert!(rig.places().is_empty(), "where the sockets stopped is of a later time");
}

fn run(rig: &Rig, command: &str, file: &Path) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_chimein"));
    program.args([command.as_ref(), file]);
    program.env_clear().env("CHIMEIN_QUEUE_PATH", rig.queue_path()).output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn open_jobs(rig: &Rig, queue: u8) -> u32 {
    open_jobs_of(&rig.queue_path(), queue)
}

/// Whether it is on disk how far the sweep of the number has come.
fn has_place(path: &Path) -> bool {
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let place = "SELECT count(*) FROM marks WHERE name LIKE 'texts/%'";
    db.query_row(place, [], |row| row.get::<_, u32>(0)).is_ok_and(|count| count > 0)
}

/// How many jobs are open in a queue. SQLite lets others look.
fn open_jobs_of(path: &Path, queue: u8) -> u32 {
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let count = "SELECT count(*) FROM jobs WHERE queue = ?1 AND state = 0";
    // It may be written to; the next look will tell.
    db.query_row(count, [queue], |row| row.get(0)).unwrap_or(u32::MAX)
}

/// The agent had each message once.
fn expect_asked_once(agent: &Agent, count: usize) {
    let asked = agent.asked();
    let mut bodies: Vec<_> = asked.iter().map(|turn| turn["messages"][0]["body"].clone()).collect();
    bodies.sort_by_key(ToString::to_string);
    assert_eq!(bodies.len(), count, "{bodies:?}");
    bodies.dedup();
    assert_eq!(bodies.len(), count, "{bodies:?}");
}
