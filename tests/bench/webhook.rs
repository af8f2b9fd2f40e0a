//! What an acknowledged, durable webhook costs, beside a handler that only checks the signature.
//!
//! `cargo bench --bench webhook`. Takes about a minute and a half. The server is a child process with one worker
//! thread, pinned to one core where `taskset` is at hand, so its CPU time is its own (the queue's
//! writer thread included); the load comes from this process, over keep-alive connections on loopback,
//! each with one request at a time. One server hears of a new conversation in every request, another of a
//! text to a plain number, from a new person in every request. Each measurement is a fresh server and a
//! fresh file.

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use chimein::app::intake::{StoreFirst, TextsFirst};
use chimein::channels::conversations::arrivals::Arrivals;
use chimein::channels::conversations::beginnings::{Beginnings, Kept};
use chimein::channels::conversations::channel::ConversationMarks;
use chimein::channels::conversations::contiguous::ContiguousWatermarks;
use chimein::channels::conversations::deliveries::Deliveries;
use chimein::channels::conversations::departures::Departures;
use chimein::channels::conversations::facts::ConversationFacts;
use chimein::channels::conversations::join_rules::JoinRules;
use chimein::channels::conversations::policy::authors::Authors;
use chimein::channels::conversations::policy::beginning::{Begin, Start};
use chimein::channels::conversations::policy::join_policy::JoinPolicy;
use chimein::channels::conversations::policy::leaving::Leaving;
use chimein::channels::conversations::policy::removal::Rejoin;
use chimein::channels::conversations::removals::Removals;
use chimein::channels::conversations::seats::{Listening, PoolMember, Seats};
use chimein::channels::direct::contacts::Contacts;
use chimein::channels::direct::intake::TextIntake;
use chimein::channels::direct::policy::wish::Words;
use chimein::channels::direct::senders::{Sender, Senders, Source, default_rate};
use chimein::channels::direct::states::States;
use chimein::channels::{Inlet, Markings};
use chimein::clock::{Clock, Moment};
use chimein::http;
use chimein::jobs::recorder::Recorder;
use chimein::net::tls;
use chimein::pipeline::handoff::{Handoff, Memory};
use chimein::pipeline::ingest::Ingest;
use chimein::pipeline::ingest::admission::Admission;
use chimein::queue::{LostTimes, QueueName, Store, embedded};
use chimein::telemetry::journal::Journal;
use chimein::telemetry::metrics::Metrics;
use chimein::thread::ThreadKind;
use chimein::twilio::rest::{self, Credentials};
use chimein::twilio::signature::{self, Algorithm, Body, Keys};
use chimein::webhook::{Intakes, Options, PublicBase, ROUTE, TEXT_ROUTES, router};
use comfy_table::Table;
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const CONNECTIONS: [usize; 4] = [1, 8, 64, 256];
const WARM_UP: Duration = Duration::from_millis(500);
const TIME_PER_ROW: Duration = Duration::from_secs(4);
const CPU_RATIO_AIM: f64 = 2.5;
const P99_AIM: Duration = Duration::from_millis(5);

/// Tells the child process which server to be, and where its file is.
const SERVE: &str = "CHIMEIN_BENCH_SERVE";
const FILE: &str = "CHIMEIN_BENCH_FILE";
const BASE: &str = "http://bench.example";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const ACCOUNT: &str = "ACc3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3";

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    match std::env::var(SERVE).as_deref() {
        Ok("bare") => serve(None),
        Ok("texts") => serve(Some(Heard::Texts)),
        Ok(_) => serve(Some(Heard::Conversations)),
        Err(_) => measure(),
    }
}

/// What webhooks tell of.
#[derive(Clone, Copy)]
enum Heard {
    /// A new conversation.
    Conversations,
    /// A text to a plain number.
    Texts,
}

impl Heard {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Conversations => "conversations",
            Self::Texts => "texts",
        }
    }

    const fn route(self) -> &'static str {
        match self {
            Self::Conversations => ROUTE,
            Self::Texts => TEXT_ROUTES[0],
        }
    }
}

fn measure() -> Result<(), Failure> {
    let mut table = Table::new();
    let _ = table.set_header([
        "connections",
        "door",
        "bare/s",
        "durable/s",
        "x bare",
        "bare CPU µs",
        "durable CPU µs",
        "x CPU",
        "bare p50/p99 ms",
        "durable p50/p99 ms",
        "aim",
    ]);
    for connections in CONNECTIONS {
        let bare = row("bare", Heard::Conversations, connections)?;
        for heard in [Heard::Conversations, Heard::Texts] {
            let durable = row(heard.as_str(), heard, connections)?;
            let ratio = durable.cpu_each_us / bare.cpu_each_us;
            let met = ratio <= CPU_RATIO_AIM && durable.p99 <= P99_AIM;
            let _ = table.add_row([
                connections.to_string(),
                heard.as_str().to_owned(),
                format!("{:.0}", bare.rate),
                format!("{:.0}", durable.rate),
                format!("{:.2}", durable.rate / bare.rate),
                format!("{:.1}", bare.cpu_each_us),
                format!("{:.1}", durable.cpu_each_us),
                format!("{ratio:.2}"),
                bare.latencies(),
                durable.latencies(),
                verdict(connections, met).to_owned(),
            ]);
        }
    }
    println!(
        "server on {}\n{table}\naim from 64 connections on: at most {CPU_RATIO_AIM} times the bare \
         handler's CPU, p99 at most {} ms",
        if pins() { "one core (taskset)" } else { "any core (no taskset)" },
        P99_AIM.as_millis()
    );
    Ok(())
}

fn verdict(connections: usize, met: bool) -> &'static str {
    match (connections >= 64, met) {
        (false, _) => "-",
        (true, true) => "met",
        (true, false) => "missed",
    }
}

struct Row {
    rate: f64,
    cpu_each_us: f64,
    p50: Duration,
    p99: Duration,
}

impl Row {
    fn latencies(&self) -> String {
        format!("{:.2}/{:.2}", self.p50.as_secs_f64() * 1e3, self.p99.as_secs_f64() * 1e3)
    }
}

/// Runs one server under load.
fn row(kind: &str, heard: Heard, connections: usize) -> Result<Row, Failure> {
    let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
    let (mut child, address) = start(kind, &dir.path().join("queue.db"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let pid = child.id();
    let row = runtime.block_on(async {
        let _ = load((address, heard), connections, 0, WARM_UP).await?;
        let (cpu, clock) = (cpu_time(pid)?, Clock::start());
        let mut latencies = load((address, heard), connections, 1, TIME_PER_ROW).await?;
        let elapsed = clock.now().since(Moment::ORIGIN);
        let cpu = cpu_time(pid)?.saturating_sub(cpu);
        latencies.sort_unstable();
        let count = f64::from(u32::try_from(latencies.len())?);
        Ok::<_, Failure>(Row {
            rate: count / elapsed.as_secs_f64(),
            cpu_each_us: cpu.as_secs_f64() * 1e6 / count,
            p50: latencies[latencies.len() / 2],
            p99: latencies[latencies.len() * 99 / 100],
        })
    })?;
    drop(child.stdin.take()); // the child's sign to stop
    let _ = child.wait()?;
    Ok(row)
}

async fn load(
    place: (SocketAddr, Heard),
    connections: usize,
    phase: usize,
    time: Duration,
) -> Result<Vec<Duration>, Failure> {
    let mut tasks = JoinSet::new();
    let clock = Clock::start();
    for connection in 0..connections {
        let _ = tasks.spawn(ask_until(place, phase * 1_000 + connection, clock, time));
    }
    let mut latencies = Vec::new();
    while let Some(done) = tasks.join_next().await {
        latencies.extend(done??);
    }
    Ok(latencies)
}

/// One connection: a request, its answer, the next request.
async fn ask_until(
    (address, heard): (SocketAddr, Heard),
    connection: usize,
    clock: Clock,
    time: Duration,
) -> Result<Vec<Duration>, Failure> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let secret = SecretString::from(TOKEN.to_owned());
    let mut latencies = Vec::new();
    let mut buffer = vec![0; 4096];
    let mut round = 0;
    while clock.now().since(Moment::ORIGIN) < time {
        let request = request(&secret, heard, connection, round);
        round += 1;
        let began = clock.now();
        stream.write_all(request.as_bytes()).await?;
        read_answer(&mut stream, &mut buffer).await?;
        latencies.push(clock.now().since(began));
    }
    Ok(latencies)
}

async fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<(), Failure> {
    let mut have = 0;
    loop {
        let read = stream.read(&mut buffer[have..]).await?;
        if read == 0 {
            return Err("the server closed the connection".into());
        }
        have += read;
        let text = std::str::from_utf8(&buffer[..have])?;
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        if !head.starts_with("HTTP/1.1 200") {
            return Err(format!("answered {}", head.lines().next().unwrap_or("")).into());
        }
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .ok_or("no content-length")?;
        if body.len() >= length.parse()? {
            return Ok(());
        }
    }
}

/// A request as Twilio sends it when a text makes a conversation, or comes to a plain number.
fn request(secret: &SecretString, heard: Heard, connection: usize, round: u64) -> String {
    let body = match heard {
        Heard::Conversations => conversation(connection, round),
        Heard::Texts => text(connection, round),
    };
    let route = heard.route();
    let url = format!("{BASE}{route}");
    let signature = signature::sign(secret, Algorithm::HmacSha1, &url, Body::Form(body.as_bytes()));
    format!(
        "POST {route} HTTP/1.1\r\nhost: bench.example\r\nuser-agent: TwilioProxy/1.1\r\naccept: */*\r\n\
         content-type: application/x-www-form-urlencoded; charset=utf-8\r\n\
         x-twilio-signature: {signature}\r\n\
         i-twilio-idempotency-token: 2c1c3c1e-7f5e-4d8e-9f55-5d6f3a1b2c3d\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Starts this program again as the server.
fn start(kind: &str, file: &Path) -> Result<(Child, SocketAddr), Failure> {
    let program = std::env::current_exe()?;
    let mut command = if pins() {
        let mut command = Command::new("taskset");
        let _ = command.args(["-c", "0"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    let mut child = command
        .env(SERVE, kind)
        .env(FILE, file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    let stdout = child.stdout.take().ok_or("no standard output")?;
    let _ = BufReader::new(stdout).read_line(&mut line)?;
    Ok((child, line.trim().parse()?))
}

fn pins() -> bool {
    let taskset = Command::new("taskset").args(["-c", "0", "true"]).status();
    taskset.is_ok_and(|status| status.success())
}

fn conversation(connection: usize, round: u64) -> String {
    format!(
        "MessagingServiceSid=MGb2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2&RetryCount=0\
         &EventType=onConversationAdded&Attributes=%7B%7D&DateCreated=2026-08-10T18%3A00%3A58.111Z\
         &ChatServiceSid=IS29292929292929292929292929292929&AccountSid={ACCOUNT}&Source=SMS\
         &MessagingBinding.ProxyAddress=%2B15005550006&MessagingBinding.Address=%2B15005550001\
         &DateUpdated=2026-08-10T18%3A00%3A58.111Z&State=active&ClientIdentity=&FriendlyName=\
         &ConversationSid=CH{connection:016x}{round:016x}"
    )
}

/// The names and their order are those of captured requests.
fn text(connection: usize, round: u64) -> String {
    let sid = format!("SM{connection:016x}{round:016x}");
    format!(
        "ToCountry=US&ToState=&SmsMessageSid={sid}&NumMedia=0&ToCity=&FromZip=&SmsSid={sid}&FromState=\
         &SmsStatus=received&FromCity=&Body=hello+there&FromCountry=US&To=%2B15005550006&ToZip=\
         &NumSegments=1&MessageSid={sid}&AccountSid={ACCOUNT}&From=%2B1{connection:04}{round:09}\
         &ApiVersion=2010-04-01"
    )
}

/// User and system time of a process; the kernel counts it in hundredths of a second.
fn cpu_time(pid: u32) -> Result<Duration, Failure> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(") ").ok_or("no stat")?;
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u64>);
    let ticks = ticks.sum::<Result<u64, _>>()?;
    Ok(Duration::from_millis(ticks * 10))
}

/// The child: serves until its standard input ends.
fn serve(heard: Option<Heard>) -> Result<(), Failure> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let store = Store::open(embedded::Options::new(std::env::var(FILE)?))?;
        let keys = Keys { auth_tokens: vec![SecretString::from(TOKEN.to_owned())], shared: vec![] };
        let router = if let Some(heard) = heard {
            let mut options = Options::new(ACCOUNT.parse()?, keys);
            options.public_base = Some(PublicBase::new(BASE));
            let clock = Clock::start();
            let arrivals = arrivals(&store, clock)?;
            let intakes = match heard {
                Heard::Conversations => {
                    Intakes { conversations: Some(Arc::new(StoreFirst(arrivals))), texts: None }
                }
                Heard::Texts => Intakes {
                    conversations: None,
                    texts: Some(Arc::new(TextsFirst(texts(&store, &arrivals)))),
                },
            };
            router(options, intakes, Metrics::new(), clock)
        } else {
            bare(Arc::new(keys))
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        let cancel = CancellationToken::new();
        let until = cancel.clone();
        let waiting = tokio::task::spawn_blocking(move || {
            let ended = std::io::stdin().read_to_end(&mut Vec::new());
            until.cancel();
            ended
        });
        // The server runs on the worker thread, as in the service.
        let serving = tokio::spawn(http::serve(listener, router, http::Options::default(), cancel));
        serving.await?;
        let _ = waiting.await??;
        store.close().await;
        std::io::stdout().flush()?;
        Ok::<_, Failure>(())
    })
}

/// The service's own way in, on defaults and without a socket.
fn arrivals(store: &Store, clock: Clock) -> Result<Arrivals, Failure> {
    let recorder = Recorder {
        journal: Journal::new(1024),
        metrics: Metrics::new(),
        clock,
        tally: Arc::default(),
    };
    let credentials = Credentials::AuthToken(SecretString::from(TOKEN.to_owned()));
    let asked = rest::Options::new(ACCOUNT.parse()?, credentials);
    let rest = rest::Client::new(asked, tls::client_config()?.0, clock, None)?;
    let member = PoolMember::new("bot".to_owned(), Listening::Off);
    let seats = Arc::new(Seats::new(vec![member]));
    let facts = Arc::new(ConversationFacts::new(rest.clone(), clock));
    let marks = ConversationMarks {
        rest: rest.clone(),
        facts: Arc::clone(&facts),
        seats: Arc::clone(&seats),
    };
    let handoff = Handoff {
        markings: Markings::default().with(ThreadKind::Conversation, Arc::new(marks)),
        inbox: store.queue(QueueName::Inbox),
        outbox: store.queue(QueueName::Outbox),
        marks: store.marks(),
        documents: store.documents(),
        admission: Arc::new(Admission::new(Duration::from_secs(3600), 20)),
        clock,
        memory: Memory::default(),
    };
    let ingest = Ingest {
        inbox: store.queue(QueueName::Inbox),
        outbox: store.queue(QueueName::Outbox),
        webhook_grace: Duration::ZERO,
        handoff: Arc::new(handoff),
        told: None,
        repeated: Arc::default(),
        recorder: recorder.clone(),
    };
    let departures = Arc::new(Departures::new(Leaving::default(), store.marks(), facts.memory()));
    let known = (Arc::clone(&seats), Arc::clone(&departures), recorder.clone());
    let removals = Removals::new(Rejoin::Never, (store.marks(), facts.memory()), rest, known);
    let rules = JoinRules::new(
        JoinPolicy::default(),
        Arc::clone(&facts),
        Arc::clone(&seats),
        recorder.clone(),
    );
    let authors = Authors::new(vec!["bot".to_owned()]);
    let start = Start { process: clock.wall(), store: clock.wall(), lost: LostTimes::default() };
    let memory = facts.memory();
    let kept = Kept { marks: store.marks(), documents: store.documents(), memory };
    let beginnings = Beginnings::new(Begin::Unanswered, start, authors.clone(), kept);
    let inlet: Arc<dyn Inlet> = Arc::new(ingest);
    let kept = (store.documents(), store.marks());
    let deliveries = Deliveries::new(kept, Arc::clone(&inlet), recorder.clone());
    Ok(Arrivals {
        joins: store.queue(QueueName::Joins),
        inlet,
        deliveries: Arc::new(deliveries),
        authors,
        join_rules: Arc::new(rules),
        departures,
        removals: Arc::new(removals),
        beginnings: Arc::new(beginnings),
        watermarks: Arc::new(ContiguousWatermarks(facts.memory())),
        facts,
        seats,
        recorder,
    })
}

/// The service's own way in of texts to a number, ending as that of conversations does.
fn texts(store: &Store, arrivals: &Arrivals) -> TextIntake {
    let address = "+15005550006".into();
    let rate = default_rate(&address);
    let sender = Sender { address, source: Source::Direct, rate };
    TextIntake {
        senders: Arc::new(Senders { addresses: vec![sender], ..Senders::default() }),
        contacts: Arc::new(Contacts::new(store.documents())),
        states: Arc::new(States::new(store.documents(), arrivals.recorder.clock)),
        words: Words::new(Vec::new()),
        inlet: Arc::clone(&arrivals.inlet),
        recorder: arrivals.recorder.clone(),
    }
}

/// A handler that checks the signature and stores nothing.
fn bare(keys: Arc<Keys>) -> Router {
    let check = move |headers: HeaderMap, body: Bytes| async move {
        let signatures: Vec<_> =
            headers.get_all(signature::HEADER).iter().map(|value| value.as_bytes()).collect();
        let request = signature::Request {
            url: &format!("{BASE}{ROUTE}"),
            body: Body::Form(&body),
            signatures: &signatures,
            settings: &[],
        };
        match signature::verify(&keys, &request) {
            Ok(()) => (StatusCode::OK, r#"{"ok":true}"#),
            Err(_) => (StatusCode::FORBIDDEN, r#"{"error":"invalid_signature"}"#),
        }
    };
    Router::new().route(ROUTE, post(check))
}
