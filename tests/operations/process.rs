//! How the process starts and ends.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use chimein::clock::{Clock, Moment};
use chimein::http;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::child;
use crate::rig::Rig;

/// What the platform gives a container before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// How long anything else may take before a test has failed.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn without_its_required_variables_it_ends_with_one_and_names_them() {
    let service = Command::new(env!("CARGO_BIN_EXE_chimein"))
        .arg("serve")
        .env_clear()
        .env("TWILIO_IDENTITY", "bot")
        .output()
        .unwrap();
    assert_eq!(service.status.code(), Some(1));
    let told = String::from_utf8(service.stderr).unwrap();
    for name in [
        "TWILIO_ACCOUNT_SID",
        "TWILIO_AUTH_TOKEN",
        "TWILIO_API_KEY",
        "TWILIO_API_SECRET",
        "TWILIO_CHAT_SERVICE_SID",
    ] {
        assert!(told.contains(name), "{name} is not in {told}");
    }
    assert!(!told.contains("TWILIO_IDENTITY"), "{told}");
}

#[test]
fn switches_are_read_in_every_spelling_of_the_platform() {
    for (word, code) in [
        ("false", 0),
        ("0", 0),
        ("no", 0),
        ("OFF", 0),
        // On, so the credentials are missing.
        ("true", 2),
        ("1", 2),
        ("YES", 2),
        ("on", 2),
        ("perhaps", 2),
    ] {
        let config = Command::new(env!("CARGO_BIN_EXE_chimein"))
            .arg("config")
            .env_clear()
            .env("TWILIO_ENABLED", word)
            .output()
            .unwrap();
        let told = String::from_utf8(config.stderr).unwrap();
        assert_eq!(config.status.code(), Some(code), "{word}: {told}");
        assert_eq!(told.contains("twilio.enabled"), word == "perhaps", "{word}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_the_process_in_time_though_the_agent_is_thinking() {
    ends_in_time_while_the_agent_thinks("TERM").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_ends_the_process_as_a_stop_does() {
    ends_in_time_while_the_agent_thinks("HUP").await;
}

async fn ends_in_time_while_the_agent_thinks(signal: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/turns", listener.local_addr().unwrap());
    let (asked, mut was_asked) = mpsc::channel(1);
    let think = move || {
        let asked = asked.clone();
        async move {
            asked.send(()).await.unwrap();
            std::future::pending::<()>().await;
        }
    };
    let cancel = CancellationToken::new();
    let router = Router::new().route("/turns", post(think));
    let options = http::Options { grace: Duration::ZERO, ..http::Options::default() };
    let serving = tokio::spawn(http::serve(listener, router, options, cancel.clone()));
    let thinker = [("CHIMEIN_AGENT_KIND", "http"), ("CHIMEIN_AGENT_URL", &*url)];
    let mut rig = Rig::start(&[&thinker[..], &[("LOG_LEVEL", "info")]].concat()).await;
    let _ = rig.sms("one").await;
    was_asked.recv().await.unwrap();

    let clock = Clock::start();
    rig.service.tell(signal).await;
    let status = rig.service.ended(STOP_LIMIT).await;
    assert_eq!(status.and_then(|status| status.code()), Some(0), "{}", rig.service.log_tail());
    println!(
        "the process ended {} ms after SIG{signal}",
        clock.now().since(Moment::ORIGIN).as_millis()
    );
    let (open, dead) = rig.service.leftovers().await;
    assert_eq!((open, dead), (1, 0), "the turn stays on disk");
    let told = format!("\"signal\":\"SIG{signal}\"");
    assert!(rig.service.log().concat().contains(&told), "{}", rig.service.log_tail());
    cancel.cancel();
    serving.await.unwrap();
    rig.emulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agents_program_ends_with_a_service_that_is_killed() {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let pids = folder.path().join("pids");
    // The shell waits for a child of its own.
    let command = format!("sleep 1000 & echo $$ $! > '{}'; wait", pids.display());
    let program = [("CHIMEIN_AGENT_KIND", "stdio"), ("CHIMEIN_STDIO_COMMAND", &*command)];
    let mut rig = Rig::start(&program).await;
    let told = || std::fs::read_to_string(&pids).unwrap_or_default();
    assert!(child::eventually(|| told().ends_with('\n')).await, "{}", rig.service.log_tail());
    let runs = |pid: &str| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with("State:") && !line.contains("zombie"))
    };
    let all = told();
    let running = || all.split_whitespace().filter(|pid| runs(pid)).count();
    assert_eq!(running(), 2);
    rig.service.kill().await;
    assert!(child::eventually(|| running() == 0).await, "{} are left", running());
    rig.emulator.shutdown().await;
}

/// What makes a namespace of processes, with the rights that this machine gives; none if it gives none.
fn unshare() -> Option<Vec<&'static str>> {
    let plain = ["unshare", "--pid", "--fork", "--kill-child"];
    let mapped = [&plain[..], &["--user", "--map-root-user"]].concat();
    [plain.to_vec(), mapped].into_iter().find(|unshare| {
        let tried = std::process::Command::new(unshare[0]).args(&unshare[1..]).arg("true").output();
        tried.is_ok_and(|tried| tried.status.success())
    })
}

/// The number of a process's parent.
fn parent(pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

/// A process's children, their children and so on, also those that have ended and were not asked for.
fn below(first: u32) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").unwrap();
    let all = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_below =
        |pid: &u32| std::iter::successors(parent(*pid), |pid| parent(*pid)).any(|up| up == first);
    all.filter(is_below).collect()
}

/// In a container with a shell: each turn's program has a child that does not end with it.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_left_of_an_agents_program_is_taken_in_by_the_first_process() {
    const TURNS: usize = 3;
    let Some(unshare) = unshare() else {
        println!("not checked: this machine gives no namespace of processes");
        return;
    };
    let bot = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/stdio/bot.sh");
    let command = format!("sleep 1000 & sh '{bot}'");
    let program = [
        ("CHIMEIN_AGENT_KIND", "stdio"),
        ("CHIMEIN_STDIO_MODE", "spawn"),
        ("CHIMEIN_STDIO_COMMAND", &*command),
    ];
    let start = |service: &mut child::Service| service.start_as_first_process(&unshare);
    let mut rig = Rig::start_by(&program, start).await;
    let started = below(rig.service.pid());
    let first = started.into_iter().find(|pid| parent(*pid) == Some(rig.service.pid())).unwrap();
    for turn in 1..=TURNS {
        let conversation = rig.sms("hello").await;
        rig.answered(conversation, turn).await;
    }
    // The service alone; nobody who has ended and is kept.
    let is_tidy = child::eventually(|| below(first).len() == 1).await;
    assert!(is_tidy, "{:?}", below(first));

    // A stop of the first process is the service's, and its exit code too.
    child::tell(first, "TERM").await;
    let status = rig.service.ended(STOP_LIMIT).await;
    assert_eq!(status.and_then(|status| status.code()), Some(0), "{}", rig.service.log_tail());
    rig.emulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_emulator_and_the_demo_tidy_up_after_a_hangup_as_after_a_stop() {
    for signal in ["HUP", "TERM"] {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let snapshot = folder.path().join("twilio.json");
        let arguments = ["emulator", "--snapshot", snapshot.to_str().unwrap()];
        let mut emulator = Other::start(&arguments, folder.path());
        emulator.told("conversations_url").await;
        emulator.ends_well_after(signal).await;
        assert!(snapshot.is_file(), "the state is kept");

        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut demo = Other::start(&["demo"], folder.path());
        demo.told("Ctrl-C ends it").await;
        demo.ends_well_after(signal).await;
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_asked_as_it_stands_and_what_was_said_outlives_the_dev_command() {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let bot = folder.path().join("bot.sh");
    let command = format!("sh {}", bot.display());
    let state = folder.path().join("state");
    let listen = "127.0.0.1:0";
    let arguments =
        ["dev", "--agent", &command, "--listen", listen, "--state", state.to_str().unwrap()];

    // A newcomer's typo: the program is not there. The command says so, and asks again.
    let mut dev = Other::start(&arguments, folder.path());
    let page = dev.told("  phones ").await;
    write_from_phone(&page, "hello").await;
    dev.told("agent asked").await;
    dev.ends_well_after("TERM").await;

    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/stdio/bot.sh");
    std::fs::copy(example, &bot).unwrap();
    let mut dev = Other::start(&arguments, folder.path());
    dev.told("reply sent").await;
    // Mended while it runs.
    let mended = std::fs::read_to_string(&bot).unwrap().replace("You said", "They said");
    std::fs::write(&bot, mended).unwrap();
    dev.ends_well_after("TERM").await;

    let mut dev = Other::start(&arguments, folder.path());
    let page = dev.told("  phones ").await;
    write_from_phone(&page, "again").await;
    dev.told("reply sent").await;
    let dump = client().get(format!("{page}_emulator/dump")).send().await.unwrap();
    let dump = dump.text().await.unwrap();
    for said in ["You said: hello", "They said: again"] {
        assert!(dump.contains(said), "{said}: {dump}");
    }
    dev.ends_well_after("INT").await;
}

fn client() -> reqwest::Client {
    chimein::net::http::direct().unwrap().build().unwrap()
}

/// Lets a phone write, by the control API below the page's address.
async fn write_from_phone(page: &str, body: &str) {
    let text = serde_json::json!({"from": "+15550001111", "to": "+15555550100", "body": body});
    let sent = client().post(format!("{page}_emulator/inbound")).json(&text).send().await.unwrap();
    assert!(sent.status().is_success(), "{}", sent.status());
}

/// `nohup` starts a program with SIGHUP ignored, and so it is to stay.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_started_to_outlive_its_terminal_does_so() {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut emulator = Other::of("nohup", &[BINARY, "emulator"], folder.path());
    emulator.told("conversations_url").await;
    let status = std::fs::read_to_string(format!("/proc/{}/status", emulator.pid())).unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
    assert!(u64::from_str_radix(ignored, 16).unwrap() & 1 == 1, "{status}");
    child::tell(emulator.pid(), "HUP").await;
    emulator.ends_well_after("TERM").await;
}

const BINARY: &str = env!("CARGO_BIN_EXE_chimein");

/// Another command of the program, running.
struct Other {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
}

impl Other {
    fn start(arguments: &[&str], folder: &Path) -> Self {
        // Whoever runs the tests by `nohup` has SIGHUP ignored, and so would all that they start.
        Self::of("env", &[&["--default-signal=HUP", BINARY], arguments].concat(), folder)
    }

    fn of(program: &str, arguments: &[&str], folder: &Path) -> Self {
        let mut child = tokio::process::Command::new(program)
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("TMPDIR", folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, output }
    }

    fn pid(&self) -> u32 {
        self.child.id().expect("the process runs")
    }

    /// Waits until it says something on standard output; gives the last word of that line.
    async fn told(&mut self, words: &str) -> String {
        let told = tokio::time::timeout(PATIENCE, async {
            while let Some(line) = self.output.next_line().await.unwrap() {
                if line.contains(words) {
                    return line.split(' ').next_back().unwrap_or_default().to_owned();
                }
            }
            panic!("it ended without a word of {words}");
        });
        told.await.unwrap_or_else(|_| panic!("it never said {words}"))
    }

    async fn ends_well_after(mut self, signal: &str) {
        child::tell(self.pid(), signal).await;
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let code = status.ok().and_then(|status| status.unwrap().code());
        assert_eq!(code, Some(0), "after SIG{signal}");
    }
}
