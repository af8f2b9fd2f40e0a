//! Programs as agents: told and answering by lines, well and ill.

use std::process::Command;

use chimein::admin::{Insight as _, Readiness};
use chimein::telemetry::journal::Stage;
use chimein::twilio::sid::ConversationSid;
use tempfile::TempDir;

use crate::many::{self, PEOPLE};
use crate::rig::{PHONE, Rig};

/// Fails in the way that a message names, the first time that it is asked; then it answers.
const ILL: &str = r#"
import json, os, subprocess, sys, time

def say(**line):
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()

os.environ.get("TWILIO_AUTH_TOKEN") and sys.exit(9)
for line in sys.stdin:
    turn = json.loads(line)
    if turn["type"] != "turn":
        continue
    word, me, first = turn["messages"][0]["body"], turn["id"], turn["attempt"] == 1
    if first and word == "crash":
        os._exit(3)
    if first and word == "half":
        say(type="reply", turn=me, body="re: half")
        os._exit(3)
    if first and word == "hang":
        subprocess.Popen(["sleep", "1000"])
        time.sleep(1000)
    if word == "garbage":
        sys.stdout.buffer.write(b"hello\n\xff\xfe\n{}\n[]\n\n" + b"{\"type\":\"done\",\"turn\":\"IM1\"}\n")
    if word == "endless":
        for _ in range(64):
            sys.stdout.write("x" * (1 << 20))
        sys.stdout.write("\n")
    if word == "loud":
        for n in range(100000):
            sys.stderr.write("WARN +1555555%04d is loud\n" % (n % 10000))
        sys.stderr.write("y" * (8 << 20))
    if first and word == "sorry":
        say(type="error", turn=me, retry=True)
        continue
    say(type="typing", turn=me)
    say(type="reply", turn=me, body="re: " + word)
    say(type="done", turn=me)
    if word == "twice":
        say(type="reply", turn=me, body="re: twice")
        say(type="reply", turn=me, body="and more")
        say(type="done", turn=me)
    if word == "after":
        os._exit(3)
"#;

const FAULTS: [&str; 10] =
    ["well", "crash", "half", "hang", "garbage", "endless", "loud", "sorry", "twice", "after"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_program_does_each_message_is_answered_once_and_in_order() {
    for mode in ["stream", "spawn"] {
        let program = Program::of(ILL);
        let rig = program
            .rig(&[
                ("CHIMEIN_STDIO_MODE", mode),
                ("CHIMEIN_AGENT_TIMEOUT", "5s"),
                ("CHIMEIN_AGENT_SCHEDULE", "20ms,50ms,100ms,1s"),
            ])
            .await;
        let mut conversation = None;
        for fault in FAULTS {
            conversation = Some(rig.sms(PHONE, fault).await);
        }
        rig.sms(PHONE, "last").await;
        let expected: Vec<String> =
            FAULTS.iter().chain(&["last"]).map(|fault| format!("re: {fault}")).collect();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        rig.expect(conversation.unwrap(), &expected).await;
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_too_late_is_not_mixed_with_what_is_said_when_asked_again() {
    // Says the half of each answer, the second half of the first one when its time is over and it is let.
    let program = Program::of(
        r#"
import json, os, sys, threading, time
here = os.path.dirname(os.path.abspath(__file__))

def answer(turn):
    me = turn["id"]
    print(json.dumps({"type": "reply", "turn": me, "body": "%d: half" % turn["attempt"]}), flush=True)
    if turn["attempt"] == 1:
        while not cancelled or not os.path.exists(os.path.join(here, "go")):
            time.sleep(0.02)
    print(json.dumps({"type": "reply", "turn": me, "body": "%d: whole" % turn["attempt"]}))
    print(json.dumps({"type": "done", "turn": me}), flush=True)

cancelled = []
for line in sys.stdin:
    told = json.loads(line)
    if told["type"] == "turn":
        threading.Thread(target=answer, args=[told]).start()
    else:
        cancelled.append(told)
"#,
    );
    let rig = program.rig(&[("CHIMEIN_AGENT_TIMEOUT", "2s")]).await;
    let conversation = rig.sms(PHONE, "hello").await;
    let asks = |rig: &Rig| {
        let records = rig.app().journal().recent(conversation);
        records.iter().filter(|record| record.stage == Stage::TurnStarted).count()
    };
    rig.eventually("it is asked again", |rig| asks(rig) == 2).await;
    std::fs::write(program.folder.path().join("go"), "").unwrap();
    rig.expect(conversation, &["2: half", "2: whole"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_program_thinks_about_many_turns_and_no_more_than_its_credits() {
    // Answers nobody before four have asked.
    let program = Program::of(
        r#"
import json, sys
open_turns = []
for line in sys.stdin:
    turn = json.loads(line)
    open_turns.append(turn["id"])
    if len(open_turns) == 4:
        for me in open_turns:
            print(json.dumps({"type": "reply", "turn": me, "body": "one of four"}))
            print(json.dumps({"type": "done", "turn": me}), flush=True)
        open_turns = []
"#,
    );
    let rig = program.rig(&[("CHIMEIN_STDIO_CREDITS", "4")]).await;
    let mut waiting = Vec::new();
    for n in 0..8 {
        waiting.push(rig.sms(&format!("+1555555030{n}"), "hello").await);
    }
    for conversation in waiting {
        rig.expect(conversation, &["one of four"]).await;
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_people_are_thought_about_at_once() {
    // Says of each one that it was asked, and answers nobody before it is let.
    let program = Program::of(
        r#"
import json, os, sys, threading, time
here = os.path.dirname(os.path.abspath(__file__))
told, go = os.path.join(here, "asked"), os.path.join(here, "go")
waiting, lock = [], threading.Lock()

def answer(me):
    print(json.dumps({"type": "reply", "turn": me, "body": "here"}))
    print(json.dumps({"type": "done", "turn": me}), flush=True)

def let():
    while not os.path.exists(go):
        time.sleep(0.02)
    with lock:
        for me in waiting:
            answer(me)

threading.Thread(target=let, daemon=True).start()
with open(told, "a") as asked:
    for line in sys.stdin:
        with lock:
            me = json.loads(line)["id"]
            waiting.append(me)
            if os.path.exists(go):
                answer(me)
            asked.write("x")
            asked.flush()
"#,
    );
    let rig = program.rig(&[("CHIMEIN_STDIO_CREDITS", "1000")]).await;
    let told = program.folder.path().join("asked");
    let asked = || std::fs::metadata(&told).map_or(0, |told| told.len().try_into().unwrap());
    let let_go_on = || std::fs::write(program.folder.path().join("go"), "").unwrap();
    assert_eq!(PEOPLE, 1000, "as many as the program has turns at once");
    many::are_thought_about_at_once(&rig, ("hello?", "here"), asked, let_go_on).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_cannot_be_started_costs_no_attempt_and_turns_wait_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bot");
    let command = path.display().to_string();
    let settings = [
        ("CHIMEIN_AGENT_KIND", "stdio"),
        ("CHIMEIN_STDIO_COMMAND", command.as_str()),
        ("CHIMEIN_AGENT_SCHEDULE", "20ms"),
    ];
    let rig = Rig::start(&settings).await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.eventually("it is noticed", |rig| {
        rig.app().health().readiness() == Readiness::Degraded(vec!["agent_down"])
    })
    .await;
    let bot =
        concat!("#!/bin/sh\nexec sh ", env!("CARGO_MANIFEST_DIR"), "/examples/stdio/bot.sh\n");
    let whole = folder.path().join("whole");
    std::fs::write(&whole, bot).unwrap();
    assert!(Command::new("chmod").arg("755").arg(&whole).status().unwrap().success());
    std::fs::rename(&whole, &path).unwrap();
    rig.expect(conversation, &["You said: hello"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_dies_with_the_service_and_so_does_all_that_it_started() {
    // Hears no end of its input, and starts one that hears nothing either.
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("pids");
    let script = format!(
        r#"
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(["sleep", "1000"])
with open("{0}.part", "w") as file:
    file.write("%d %d" % (os.getpid(), child.pid))
os.rename("{0}.part", "{0}")
time.sleep(1000)
"#,
        told.display()
    );
    let program = Program::of(&script);
    let rig = program.rig(&[]).await;
    rig.eventually("the program runs", |_| told.exists()).await;
    let pids = std::fs::read_to_string(&told).unwrap();
    let is_there = |pid: &str| {
        // One that nobody has waited for is dead.
        let state = Command::new("ps").args(["-o", "stat=", "-p", pid]).output().unwrap().stdout;
        !state.is_empty() && !state.starts_with(b"Z")
    };
    assert!(pids.split(' ').all(is_there), "{pids}");
    rig.end().await;
    let gone = async {
        while pids.split(' ').any(is_there) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let within = std::time::Duration::from_secs(20);
    assert!(tokio::time::timeout(within, gone).await.is_ok(), "somebody is left of {pids}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_cannot_be_sent_is_a_dead_letter_that_names_the_field() {
    let program = Program::of(
        r#"
import json, sys
for line in sys.stdin:
    me = json.loads(line)["id"]
    print(json.dumps({"type": "reply", "turn": me, "bdoy": "planted"}))
    print(json.dumps({"type": "done", "turn": me}), flush=True)
"#,
    );
    let rig = program.rig(&[("CHIMEIN_ADMIN_LISTEN", "127.0.0.1:0")]).await;
    rig.sms(PHONE, "hello").await;
    let letter = rig.dead_letter_of("inbox").await;
    let detail = letter["cause"]["detail"].as_str().unwrap();
    assert!(detail.contains("did you mean `body`?") && !detail.contains("planted"), "{detail}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_programs_of_the_examples_answer() {
    for (script, mode) in
        [("python3 {}.py", "stream"), ("sh {}.sh", "stream"), ("sh {}.sh", "spawn")]
    {
        let bot = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/stdio/bot");
        let command = script.replace("{}", bot);
        let settings = [
            ("CHIMEIN_AGENT_KIND", "stdio"),
            ("CHIMEIN_STDIO_COMMAND", command.as_str()),
            ("CHIMEIN_STDIO_MODE", mode),
        ];
        let rig = Rig::start(&settings).await;
        let conversation: ConversationSid = rig.sms(PHONE, "hello").await;
        rig.expect(conversation, &["You said: hello"]).await;
        rig.sms(PHONE, r#"a "quoted" \ word, 日本"#).await;
        let all = ["You said: hello", r#"You said: a "quoted" \ word, 日本"#];
        rig.expect(conversation, &all).await;
        rig.end().await;
    }
}

/// A program in Python, in a folder of its own.
struct Program {
    folder: TempDir,
}

impl Program {
    fn of(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("bot.py"), script).unwrap();
        Self { folder }
    }

    async fn rig(&self, extra: &[(&'static str, &str)]) -> Rig {
        let command = format!("python3 {}", self.folder.path().join("bot.py").display());
        let ours = [("CHIMEIN_AGENT_KIND", "stdio"), ("CHIMEIN_STDIO_COMMAND", command.as_str())];
        Rig::start(&[&ours, extra].concat()).await
    }
}
