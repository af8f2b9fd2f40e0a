//! The examples of agents over HTTP, each in its language: it repeats what is said and answers nobody who has not
//! signed. A language that is not on this machine is left out, but not where CI runs.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::ports::free_port;
use crate::rig::{PHONE, Rig};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// The most lines of an example.
const LINES_MAX: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_in_python_repeats_what_is_said_to_whoever_has_signed() {
    if is_there("python3") {
        shows(|port| Example::run(Command::new("python3").arg(example("agent.py")), port)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_in_javascript_repeats_what_is_said_to_whoever_has_signed() {
    if is_there("node") {
        shows(|port| Example::run(Command::new("node").arg(example("agent.mjs")), port)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_in_go_repeats_what_is_said_to_whoever_has_signed() {
    if is_there("go") {
        let built = Path::new(env!("CARGO_TARGET_TMPDIR")).join("agent-in-go");
        let mut build = Command::new("go");
        build.args(["build", "-o"]).arg(&built).arg(example("agent.go"));
        build.env("GOCACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("go"));
        assert!(build.env("GO111MODULE", "off").status().unwrap().success());
        shows(|port| Example::run(&mut Command::new(&built), port)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_in_the_shell_repeats_what_is_said_to_whoever_has_signed() {
    shows(listen_as_inetd).await;
}

/// The one that the README begins with has no port to choose.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_agent_of_a_newcomer_repeats_what_is_said() {
    if !is_there("python3") {
        return;
    }
    let port = free_port();
    let program = std::fs::read_to_string(example("hello.py")).unwrap();
    assert!(program.contains("9000") && program.lines().count() <= 14);
    let rig = rig(port, &[]).await;
    let mut command = Command::new("python3");
    let program = program.replace("9000", &port.to_string());
    let _running = Example(command.args(["-c", &program]).spawn().unwrap());
    let conversation = rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["You said: hello"]).await;
    rig.end().await;
}

#[test]
fn an_example_of_an_agent_is_read_at_one_look() {
    let mut looked_at = 0;
    let folders = std::fs::read_dir(home().join("examples")).unwrap();
    for folder in folders.map(|folder| folder.unwrap().path()).filter(|path| path.is_dir()) {
        for file in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
            if file.is_file() {
                let lines = std::fs::read_to_string(&file).unwrap().lines().count();
                assert!(lines <= LINES_MAX, "{} has {lines} lines", file.display());
                looked_at += 1;
            }
        }
    }
    assert!(looked_at >= 9, "{looked_at}");
}

async fn shows<Running>(start: impl FnOnce(u16) -> Running) {
    let port = free_port();
    let rig = rig(port, &[("CHIMEIN_AGENT_SECRET", SECRET)]).await;
    let _running = start(port);
    let conversation = rig.sms(PHONE, "say \"hello\"").await;
    rig.expect(conversation, &["You said: say \"hello\""]).await;
    rig.sms(PHONE, "and again \\o/").await;
    rig.expect(conversation, &["You said: say \"hello\"", "You said: and again \\o/"]).await;
    let unsigned = rig.http.post(url(port)).body(r#"{"messages":[{"body":"hello"}]}"#);
    assert_eq!(unsigned.send().await.unwrap().status(), 401);
    rig.end().await;
}

async fn rig(port: u16, more: &[(&'static str, &str)]) -> Rig {
    let url = url(port);
    let own = [("CHIMEIN_AGENT_KIND", "http"), ("CHIMEIN_AGENT_URL", url.as_str())];
    Rig::start(&[&own, more].concat()).await
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}/")
}

fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn example(name: &str) -> PathBuf {
    home().join("examples/http").join(name)
}

fn is_there(program: &str) -> bool {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    });
    assert!(found || std::env::var_os("CI").is_none(), "{program} is missing");
    if !found {
        println!("SKIPPED for want of {program}");
    }
    found
}

/// An example's process; killed when dropped.
struct Example(Child);

impl Example {
    fn run(command: &mut Command, port: u16) -> Self {
        let command = command.arg(port.to_string()).env("CHIMEIN_AGENT_SECRET", SECRET);
        Self(command.stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

/// Starts the shell for each connection, as inetd, systemd and socat do.
fn listen_as_inetd(port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    // Nobody waits for it: it ends with this process.
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let out = OwnedFd::from(connection.unwrap());
            let input = out.try_clone().unwrap();
            let mut shell = Command::new("sh");
            shell.arg(example("agent.sh")).env("CHIMEIN_AGENT_SECRET", SECRET);
            let mut child = shell.stdin(input).stdout(out).spawn().unwrap();
            std::thread::spawn(move || child.wait().unwrap());
        }
    });
}
