//! How long people wait, on defaults: for strangers with a slow agent, and for what is back already.
//!
//! `cargo bench --bench waiting` takes some four minutes; `CHIMEIN_WAITING_SECONDS=600` makes the
//! outages as long. The service is a child process with nothing set but where Twilio and the agent
//! are; Twilio is the emulator in this one, the agent a server in it too. The last table runs the rule
//! for outages alone, in virtual time; `cargo bench --bench waiting -- rule` gives it alone, at once, as
//! `-- agents` gives the first table, or of it the kinds with a word in their name (`-- agents stdio`).
//! Agents behind queues and workflows are asked where they are built in (`--features full`).

#![expect(clippy::unwrap_used, reason = "a bench that cannot run stops where it cannot")]

#[path = "../child/mod.rs"]
mod child;
mod outage_rule;
mod slow_agents;
#[cfg(feature = "sqs")]
#[path = "../sqs_server/mod.rs"]
mod sqs_server;
#[cfg(feature = "temporal")]
#[path = "../temporal_server/mod.rs"]
mod temporal_server;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use chimein::clock::{Clock, Moment};
use chimein::emulator::control::SocketOrder;
use chimein::emulator::faults::{Action, Fault, Place};
use chimein::emulator::{self, Control, Emulator};
use comfy_table::Table;
use serde_json::{Value, json};

use crate::child::{NUMBER, Service};

/// People whose conversations the bot is to join at once.
const PEOPLE: u32 = 1000;
/// How long an outage lasts unless the environment says otherwise.
const OUTAGE_SECS: u64 = 45;
/// People who write during an outage, evenly.
const WRITERS: u32 = 30;
/// How long Twilio takes to add a participant where joins are counted.
const ADD_MS: u64 = 150;
/// How long anything may take before the run has failed.
const PATIENCE: Duration = Duration::from_secs(300);

#[tokio::main]
async fn main() {
    // Cargo says `--bench` first.
    let words: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    match words.first().map(String::as_str) {
        Some("rule") => outage_rule::table(),
        Some("agents") => slow_agents::table(words.get(1).map(String::as_str)).await,
        _ => {
            slow_agents::table(None).await;
            joins().await;
            outages().await;
            outage_rule::table();
        }
    }
}

/// As many conversations at once, each of which Twilio takes a while to put the bot into.
async fn joins() {
    let (emulator, agent) = (start_emulator().await, Agent::start(Duration::ZERO).await);
    let mut service = agent.service(&emulator);
    service.start(&[]);
    let control = emulator.control();
    assert!(service.is_listening().await && child::connected(&control).await);
    fault(&control, adds(), Action::Delay { ms: ADD_MS });
    let clock = Clock::start();
    write_all(&control, 0..PEOPLE).await;
    let seated = || {
        let conversations = control.conversations();
        conversations.iter().filter(|found| !child::tally::seats(found).is_empty()).count()
    };
    assert!(child::within(PATIENCE, || seated() >= usize::try_from(PEOPLE).unwrap()).await);
    let took = clock.now().since(Moment::ORIGIN).as_secs_f64();
    let mut table = Table::new();
    table.set_header(["joins", "an add takes ms", "all joined s", "joins/s"]);
    table.add_row([
        PEOPLE.to_string(),
        ADD_MS.to_string(),
        format!("{took:.1}"),
        format!("{:.0}", f64::from(PEOPLE) / took),
    ]);
    println!("{table}");
    service.stop().await;
    emulator.shutdown().await;
}

/// What is away, all at the same time but each from a service of its own.
async fn outages() {
    let given = std::env::var("CHIMEIN_WAITING_SECONDS").ok();
    let seconds = given.map_or(OUTAGE_SECS, |text| text.parse().expect("a number of seconds"));
    let time = Duration::from_secs(seconds);
    let kinds = [Kind::AddsRefused, Kind::AddsCutOff, Kind::TwilioAway, Kind::AgentAway];
    let waits = futures::future::join_all(kinds.map(|kind| outage(kind, time))).await;
    let mut table = Table::new();
    table.set_header([
        "away for s",
        "what",
        "people",
        "all answered s after",
        "aim",
        "requests meanwhile",
    ]);
    for (kind, (wait, requests)) in kinds.into_iter().zip(waits) {
        table.add_row([
            seconds.to_string(),
            kind.name().to_owned(),
            WRITERS.to_string(),
            format!("{:.1}", wait.as_secs_f64()),
            "10".to_owned(),
            requests.to_string(),
        ]);
    }
    println!("{table}");
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Kind {
    AddsRefused,
    AddsCutOff,
    TwilioAway,
    AgentAway,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::AddsRefused => "adds are answered 503",
            Self::AddsCutOff => "adds are cut off",
            Self::TwilioAway => "all of twilio is away",
            Self::AgentAway => "the agent answers 503",
        }
    }

    fn begin(self, control: &Control, agent: &Agent) {
        let refused = Action::Answer { status: 503, code: Some(20503), retry_after: None };
        match self {
            Self::AddsRefused => fault(control, adds(), refused),
            Self::AddsCutOff => fault(control, adds(), Action::BreakBefore),
            Self::TwilioAway => {
                fault(control, Place::Rest { method: None, path: None }, Action::BreakBefore);
                fault(control, Place::SocketOpen, refused);
                let _dropped = control.sockets(None, &SocketOrder::Drop);
            }
            Self::AgentAway => agent.is_away.store(true, Ordering::Relaxed),
        }
    }
}

/// How long after its end all are answered who wrote during an outage, and how often what is away was
/// asked meanwhile.
async fn outage(kind: Kind, time: Duration) -> (Duration, u64) {
    let (emulator, agent) = (start_emulator().await, Agent::start(Duration::ZERO).await);
    let mut service = agent.service(&emulator);
    service.start(&[]);
    let control = emulator.control();
    assert!(service.is_listening().await && child::connected(&control).await);
    let mut records = control.watch();
    kind.begin(&control, &agent);
    let clock = Clock::start();
    for person in 0..WRITERS {
        clock.sleep_until(Moment::ORIGIN + time / WRITERS * person).await;
        write(&control, person).await;
    }
    clock.sleep_until(Moment::ORIGIN + time).await;
    let mut requests = agent.refusals.load(Ordering::Relaxed);
    while let Ok(record) = records.try_recv() {
        requests += u64::from(serde_json::to_string(&record).unwrap().contains("\"fault"));
    }
    control.clear_faults();
    agent.is_away.store(false, Ordering::Relaxed);
    let answered = child::within(PATIENCE, || is_answered(&control, WRITERS)).await;
    assert!(answered, "{}: {}", kind.name(), service.log_tail());
    let wait = clock.now().since(Moment::ORIGIN + time);
    // A reply whose send had no answer is looked for before its job is done.
    assert!(child::eventually(|| service.open_jobs() == 0).await, "{}", kind.name());
    service.stop().await;
    assert_eq!(service.leftovers().await, (0, 0), "{}", kind.name());
    emulator.shutdown().await;
    (wait, requests)
}

/// An agent that repeats what it hears, after a while.
struct Agent {
    url: String,
    is_away: Arc<AtomicBool>,
    refusals: Arc<AtomicU64>,
}

impl Agent {
    async fn start(thought: Duration) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/turns", listener.local_addr().unwrap());
        let (is_away, refusals) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (away, refused) = (Arc::clone(&is_away), Arc::clone(&refusals));
        let take = move |Json(turn): Json<Value>| async move {
            if away.load(Ordering::Relaxed) {
                refused.fetch_add(1, Ordering::Relaxed);
                return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({})));
            }
            tokio::time::sleep(thought).await;
            let texts: Vec<_> = turn["messages"]
                .as_array()
                .unwrap()
                .iter()
                .map(|said| said["body"].clone())
                .collect();
            (StatusCode::OK, Json(json!({ "replies": texts })))
        };
        let router = Router::new().route("/turns", post(take));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, is_away, refusals }
    }

    fn settings(&self) -> [(&'static str, &str); 2] {
        [("CHIMEIN_AGENT_KIND", "http"), ("CHIMEIN_AGENT_URL", &self.url)]
    }

    fn service(&self, emulator: &Emulator) -> Service {
        Service::of(emulator, &self.settings())
    }
}

async fn write_all(control: &Control, people: std::ops::Range<u32>) {
    for person in people {
        write(control, person).await;
    }
}

async fn write(control: &Control, person: u32) {
    let from = format!("+1555{person:07}");
    control.receive_sms(&from, NUMBER, &format!("{from} is here")).await.unwrap();
}

fn is_answered(control: &Control, people: u32) -> bool {
    let tally = child::tally::Tally::of(control);
    tally.messages >= usize::try_from(people).unwrap() && tally.is_complete()
}

fn adds() -> Place {
    Place::Rest { method: Some("POST".into()), path: Some("/Participants".into()) }
}

fn fault(control: &Control, place: Place, action: Action) {
    let fault = Fault { id: 0, place, action, times: None, skip: 0, percent: None };
    control.add_fault(fault).unwrap();
}

/// An emulator that takes people's messages as fast as they come.
async fn start_emulator() -> Emulator {
    let mut options = emulator::Options { seed: Some(7), ..emulator::Options::default() };
    options.limits.service_writes = 100_000;
    Emulator::start(options).await.unwrap()
}
