//! A thousand people write at once, and the agent thinks for a quarter of a minute: an agent of each kind.
//!
//! Each by a peer of its own kind, on defaults but for how many turns a program may have. Those behind queues and
//! workflows are there where they are built in.

use std::any::Any;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::response::IntoResponse as _;
use axum::routing::post;
use axum::{Json, Router};
use chimein::clock::{Clock, Moment};
use comfy_table::Table;
use serde_json::{Value, json};

use crate::child::measure::resident_mebibytes;
use crate::child::{self, Service};
use crate::{Agent, PATIENCE, is_answered, start_emulator, write_all};

/// People who write at once.
const PEOPLE: u32 = 1000;
/// How long the slow agent thinks.
const THOUGHT: Duration = Duration::from_secs(15);
/// By when all of them are to be answered.
const AIM_SECS: u32 = 30;
/// The same for an agent over HTTP, which costs least.
const HTTP_AIM_SECS: u32 = 25;
/// What a bot of Chatwoot is given to call us by.
const TOKEN: &str = "token-of-the-bot-1234567";

/// An agent as a peer: what the service is told of it, and what of it is to live as long.
#[derive(Default)]
struct Peer {
    settings: Vec<(&'static str, String)>,
    /// A program that is given the service's port last.
    program: Option<Command>,
    kept: Vec<Box<dyn Any>>,
}

/// All kinds, or those whose name has a word in it.
pub async fn table(word: Option<&str>) {
    let mut table = Table::new();
    table.set_header([
        "agent",
        "people at once",
        "thought s",
        "all answered s",
        "aim",
        "memory MiB, most",
        "aim",
        "idle MiB",
    ]);
    let kinds = ["http", "openai", "chatwoot", "stdio", "stdio, acp", "sqs", "temporal"];
    for kind in kinds.into_iter().filter(|kind| word.is_none_or(|word| kind.contains(word))) {
        let Some(peer) = peer(kind).await else { continue };
        let [took, most, idle] = run(peer).await;
        let aim = if kind == "http" { HTTP_AIM_SECS } else { AIM_SECS };
        table.add_row([
            kind.to_owned(),
            PEOPLE.to_string(),
            THOUGHT.as_secs().to_string(),
            format!("{took:.1}"),
            aim.to_string(),
            format!("{most:.1}"),
            "80".to_owned(),
            format!("{idle:.1}"),
        ]);
    }
    println!("{table}");
}

/// The peer of a kind; none if that is not built in.
async fn peer(kind: &str) -> Option<Peer> {
    match kind {
        "http" => Some(http().await),
        "openai" => Some(openai().await),
        "chatwoot" => Some(chatwoot()),
        "stdio" => Some(stdio("stream")),
        "stdio, acp" => Some(stdio("acp")),
        #[cfg(feature = "sqs")]
        "sqs" => Some(queues::peer().await),
        #[cfg(feature = "temporal")]
        "temporal" => Some(workflows::peer().await),
        _ => None,
    }
}

/// How many seconds it takes until all are answered, the most memory meanwhile, and that before.
async fn run(peer: Peer) -> [f64; 3] {
    let emulator = start_emulator().await;
    let Peer { settings, program, kept: _kept } = peer;
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut service = Service::of(&emulator, &settings);
    let _program = program.map(|program| Running::start(program, service.port()));
    service.start(&[]);
    let control = emulator.control();
    assert!(service.is_listening().await && child::connected(&control).await);
    let pid = service.pid();
    let idle = resident_mebibytes(pid);
    let clock = Clock::start();
    write_all(&control, 0..PEOPLE).await;
    let mut most = idle;
    let answered = child::within(PATIENCE, || {
        most = most.max(resident_mebibytes(pid));
        is_answered(&control, PEOPLE)
    });
    assert!(answered.await, "{}", service.log_tail());
    let took = clock.now().since(Moment::ORIGIN).as_secs_f64();
    service.stop().await;
    emulator.shutdown().await;
    [took, most, idle]
}

async fn http() -> Peer {
    let agent = Agent::start(THOUGHT).await;
    let settings = agent.settings().map(|(name, value)| (name, value.to_owned())).into();
    Peer { settings, ..Peer::default() }
}

/// A server of a model that streams its answer once it has thought.
async fn openai() -> Peer {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let think = async |Json(asked): Json<Value>| {
        tokio::time::sleep(THOUGHT).await;
        let said = asked["messages"].as_array().unwrap().last().unwrap()["content"].clone();
        let event = json!({"choices": [{"index": 0, "delta": {"content": said}}]});
        let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
        let body = format!("data: {event}\n\ndata: {end}\n\ndata: [DONE]\n\n");
        ([("content-type", "text/event-stream")], body).into_response()
    };
    let router = Router::new().route("/v1/chat/completions", post(think));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let settings = vec![
        ("CHIMEIN_AGENT_KIND", "openai".to_owned()),
        ("OPENAI_BASE_URL", url),
        ("CHIMEIN_OPENAI_MODEL", "slow".to_owned()),
    ];
    Peer { settings, ..Peer::default() }
}

/// A bot that says at once that it has heard, and answers by a call.
fn chatwoot() -> Peer {
    let port = child::free_port();
    let mut program = script("python3", "tests/bench/bot.py");
    program.arg(THOUGHT.as_secs().to_string()).arg(TOKEN).arg(port.to_string());
    let settings = vec![
        ("CHIMEIN_AGENT_KIND", "chatwoot".to_owned()),
        ("CHIMEIN_CHATWOOT_URL", format!("http://127.0.0.1:{port}/")),
        ("CHIMEIN_CHATWOOT_TOKEN", TOKEN.to_owned()),
    ];
    Peer { settings, program: Some(program), ..Peer::default() }
}

fn stdio(mode: &str) -> Peer {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/thinker.py");
    let settings = vec![
        ("CHIMEIN_AGENT_KIND", "stdio".to_owned()),
        ("CHIMEIN_STDIO_CREDITS", PEOPLE.to_string()),
        ("CHIMEIN_STDIO_COMMAND", format!("exec python3 {script} {} {mode}", THOUGHT.as_secs())),
        ("CHIMEIN_STDIO_MODE", mode.to_owned()),
        ("CHIMEIN_STDIO_SESSIONS", PEOPLE.to_string()),
    ];
    Peer { settings, ..Peer::default() }
}

fn script(program: impl AsRef<std::ffi::OsStr>, path: &str) -> Command {
    let mut command = Command::new(program);
    command.arg(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
    command
}

/// A program; gone when dropped.
struct Running(Child);

impl Running {
    fn start(mut program: Command, port: u16) -> Self {
        Self(program.arg(port.to_string()).stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

#[cfg(feature = "sqs")]
mod queues {
    use std::sync::Arc;

    use tokio::task::JoinSet;

    use super::{Peer, THOUGHT, json};
    use crate::sqs_server::{Received, SqsServer, settings};

    /// How many receive turns at once, ten at most each time.
    const CONSUMERS: u32 = 4;
    /// How long a turn stays whose it is.
    const HIDDEN_SECS: u32 = 120;

    /// FIFO queues, and a consumer that has as many turns at once as there are.
    pub async fn peer() -> Peer {
        let server = Arc::new(SqsServer::start().await);
        let turns = server.queue_with_dead_letters("turns.fifo", 5).await;
        let replies = server.queue_with_dead_letters("replies.fifo", 5).await;
        let settings = settings(&server, &turns, &replies);
        let mut consumers = JoinSet::new();
        for _ in 0..CONSUMERS {
            consumers.spawn(consume(Arc::clone(&server), [turns.clone(), replies.clone()]));
        }
        // They have the server, and end with what keeps them.
        Peer { settings, kept: vec![Box::new(consumers)], ..Peer::default() }
    }

    async fn consume(server: Arc<SqsServer>, queues: [String; 2]) {
        let mut answers = JoinSet::new();
        loop {
            for turn in server.receive_hidden(&queues[0], 5, HIDDEN_SECS).await {
                answers.spawn(answer(Arc::clone(&server), queues.clone(), turn));
            }
        }
    }

    async fn answer(server: Arc<SqsServer>, [turns, replies]: [String; 2], received: Received) {
        tokio::time::sleep(THOUGHT).await;
        let turn = received.json();
        let said = &turn["messages"][0]["body"];
        let letter = json!({"turn": turn["id"], "thread": turn["thread"], "replies": [said]});
        let group = turn["thread"].as_str().unwrap();
        server.send(&replies, group, &letter.to_string()).await;
        server.delete(&turns, &received).await;
    }
}

#[cfg(feature = "temporal")]
mod workflows {
    use super::{Peer, THOUGHT, script};
    use crate::temporal_server::{TemporalServer, program, settings};

    /// The development server, and a worker in Python.
    pub async fn peer() -> Peer {
        let server = TemporalServer::start().await;
        let mut worker = script(program("python"), "tests/bench/workflow.py");
        worker.arg(server.address()).arg(THOUGHT.as_secs().to_string());
        let settings = settings(&server, "Slow");
        Peer { settings, program: Some(worker), kept: vec![Box::new(server)] }
    }
}
