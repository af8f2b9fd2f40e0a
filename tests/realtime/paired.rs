//! The client's core against the emulator's: hours of traffic over a bad link in virtual time, with
//! the emulator's own faults, close frames and tokens that run out. No socket, no waiting.
//!
//! A failure names its seed; the same seed fails again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use chimein::clock::{Moment, Timestamp};
use chimein::emulator::control::SocketOrder;
use chimein::emulator::faults::{Action, Fault, Place};
use chimein::emulator::state::limits::Limits;
use chimein::emulator::wire::ServerWire;
use chimein::emulator::{self, Emulator, Received};
use chimein::realtime::conversations::commands::{Command, CommandAnswered, CommandId};
use chimein::realtime::conversations::core::Input;
use chimein::realtime::twilsock::session::Token;
use chimein::realtime::{DisconnectReason, Event, Outcome, SendMessage};
use chimein::twilio::access_token;
use chimein::twilio::sid::ConversationSid;
use futures::FutureExt;
use secrecy::ExposeSecret;
use uuid::Uuid;

use super::link::{Link, Peer, Weather};

#[test]
fn every_message_that_the_emulator_stored_is_told_once_and_in_order() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let (mut stored, mut connections, mut passed) = (0, 0, Duration::ZERO);
    let mut reasons = HashSet::new();
    for seed in 0..SEEDS {
        let mut pair = Pair::new(seed);
        pair.storm();
        pair.clear_up();
        stored += pair.check(seed);
        connections += pair.link.connections;
        passed += pair.link.now.since(Moment::ORIGIN);
        reasons.extend(pair.link.events.iter().filter_map(|event| match event {
            Event::Disconnected { reason } => Some(format!("{reason:?}")),
            _ => None,
        }));
    }
    println!("{stored} messages, {connections} connections, {passed:?}, {reasons:?}");
    // Otherwise the weather was better than it says.
    assert!(stored > SEEDS * 50, "{stored} messages");
    assert!(connections > SEEDS * 10, "{connections} connections");
    assert!(passed > Duration::from_secs(3600 * SEEDS), "{passed:?}");
    let silent = format!("{:?}", DisconnectReason::Silent);
    assert!(reasons.contains(&silent) && reasons.len() > 2, "{reasons:?}");
}

#[test]
fn a_token_that_runs_out_again_and_again_costs_no_message() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let mut pair = Pair::new(1);
    pair.settle();
    for _ in 0..24 {
        pair.text(0);
        pair.run(Duration::from_secs(3600));
    }
    pair.check(1);
    assert_eq!(pair.link.connections, 1, "each new token went through the open connection");
}

const SEEDS: u64 = 50;
const PHONES: usize = 3;
/// What the wall clock says at the origin: 2026-11-21T00:00:00Z.
const DAWN: Timestamp = Timestamp::from_millis(1_795_219_200_000);

/// The emulator as the link sees it.
struct Twilio {
    emulator: Emulator,
    wire: Option<ServerWire>,
    request: access_token::Request,
}

impl Twilio {
    fn new(seed: u64) -> Self {
        let any = usize::MAX;
        // The writes of hours are made within one second of the emulator's own clock.
        let limits = Limits { conversation_writes: any, service_writes: any, ..Limits::default() };
        // With hardly any replay the client has to read instead.
        let sync_events = if seed.is_multiple_of(3) { 3 } else { limits.sync_events };
        let limits = Limits { sync_events, ..limits };
        let options =
            emulator::Options { seed: Some(seed), limits, ..emulator::Options::default() };
        let emulator = Emulator::unplugged(options).expect("the emulator starts");
        let keys = emulator.credentials();
        let request = access_token::Request {
            account_sid: keys.account_sid,
            key_sid: keys.api_key,
            service_sid: keys.service_sid,
            identity: "bot".to_owned(),
            lifetime: Duration::from_secs(900),
            region: None,
        };
        Self { emulator, wire: None, request }
    }

    fn frames(&mut self, now: Moment) -> Vec<Bytes> {
        let Some(wire) = &mut self.wire else { return Vec::new() };
        std::iter::from_fn(|| wire.poll(now)).collect()
    }
}

impl Peer for Twilio {
    fn connected(&mut self, now: Moment) {
        self.wire = None;
        self.wire = Some(self.emulator.wire(now));
    }

    fn gone(&mut self) {
        self.wire = None;
    }

    fn take(&mut self, now: Moment, bytes: &Bytes) -> Vec<Bytes> {
        if let Some(wire) = &mut self.wire {
            wire.take(now, wall(now), bytes);
        }
        self.frames(now)
    }

    fn deadline(&self) -> Option<Moment> {
        self.wire.as_ref()?.deadline()
    }

    fn tick(&mut self, now: Moment) -> Vec<Bytes> {
        if let Some(wire) = &mut self.wire {
            wire.tick(now);
        }
        self.frames(now)
    }

    fn is_over(&self) -> bool {
        self.wire.as_ref().is_some_and(ServerWire::is_over)
    }

    fn token(&self, now: Moment) -> Token {
        let secret = &self.emulator.credentials().api_secret;
        let token = access_token::mint(&self.request, secret, wall(now)).expect("a token");
        let valid_for = token.expires.since(wall(now));
        Token { jwt: token.jwt.expose_secret().into(), valid_for }
    }
}

/// A bot, three phones and a link between them.
struct Pair {
    link: Link<Twilio>,
    conversations: Vec<ConversationSid>,
    texts: u64,
    /// Commands without a good end so far.
    open: HashMap<CommandId, Command>,
    commands: u64,
    /// Events that the bot has read.
    read: usize,
}

impl Pair {
    /// Both ends in calm weather, the bot in every conversation.
    fn new(seed: u64) -> Self {
        let link = Link::new(Twilio::new(seed), Weather::default(), seed);
        let mut pair = Self {
            link,
            conversations: Vec::new(),
            texts: 0,
            open: HashMap::new(),
            commands: 0,
            read: 0,
        };
        for phone in 0..PHONES {
            let conversation = pair.text(phone);
            pair.conversations.push(conversation);
            pair.command(Command::Join(conversation));
        }
        pair
    }

    /// A phone writes.
    fn text(&mut self, phone: usize) -> ConversationSid {
        self.texts += 1;
        let (from, body) = (format!("+1555000111{phone}"), format!("text {}", self.texts));
        let control = self.link.server.emulator.control();
        let received = control.receive_sms(&from, "+15559990000", &body).now_or_never();
        match received.expect("nothing is waited for").expect("it is taken") {
            Received::Stored { conversation, .. } => {
                self.push();
                conversation
            }
            Received::Dropped => panic!("the emulator dropped a message"),
        }
    }

    /// Puts on its way what the emulator has to say.
    fn push(&mut self) {
        let frames = self.link.server.frames(self.link.now);
        self.link.push(frames);
    }

    fn command(&mut self, command: Command) {
        self.commands += 1;
        let id = CommandId(self.commands);
        self.open.insert(id, command.clone());
        self.link.input(Input::Command(id, command));
    }

    /// Lets time pass; the bot answers some messages, and sends again what had no good end.
    fn run(&mut self, duration: Duration) {
        self.link.run(duration);
        let told: Vec<ConversationSid> = self.link.events[self.read..]
            .iter()
            .filter_map(|event| match event {
                Event::MessageAdded(message) if message.author.reveal() != "bot" => {
                    Some(message.conversation)
                }
                _ => None,
            })
            .collect();
        self.read = self.link.events.len();
        for conversation in told {
            if self.link.chance(300) {
                let body = format!("reply {}", self.commands);
                let id = Uuid::from_u128(u128::from(self.commands));
                let reply = SendMessage::text(conversation, id, body);
                self.command(Command::Send(Box::new(reply)));
            }
        }
        for (id, answered) in std::mem::take(&mut self.link.answered) {
            let command = self.open.remove(&id).expect("each command is answered once");
            let is_done = match answered {
                CommandAnswered::Sent(outcome) => matches!(outcome, Outcome::Done(_)),
                CommandAnswered::Done(outcome) => matches!(outcome, Outcome::Done(())),
            };
            if !is_done {
                self.command(command);
            }
        }
    }

    /// Waits until everything that was asked for is done.
    fn settle(&mut self) {
        for _ in 0..60 {
            self.run(Duration::from_secs(60));
            if self.open.is_empty() {
                return;
            }
        }
        panic!("commands without an end: {:?}", self.open.keys());
    }

    /// An hour and more of everything that may go wrong.
    fn storm(&mut self) {
        self.settle();
        self.link.weather =
            Weather { breaks: 10, losses: 50, doubles: 50, swaps: 50, silences: 3, slowness: 0 };
        for fault in faults() {
            self.link.server.emulator.control().add_fault(fault).expect("a fault");
        }
        for _ in 0..120 {
            match self.link.below(8) {
                0 => self.order(),
                _ => {
                    let phone = self.link.below(PHONES);
                    let text = self.text(phone);
                    assert_eq!(text, self.conversations[phone]);
                }
            }
            let most = if self.link.chance(100) { 1_500_000 } else { 2_000 };
            let pause = u64::try_from(self.link.below(most)).expect("it is small");
            self.run(Duration::from_millis(pause));
        }
    }

    /// The server closes, warns, or falls silent.
    fn order(&mut self) {
        let close = |code, reconnect_min_ms| SocketOrder::Close {
            code,
            status: None,
            error_code: None,
            reconnect_min_ms,
        };
        let order = match self.link.below(6) {
            0 => SocketOrder::Drop,
            1 => SocketOrder::Freeze,
            2 => SocketOrder::WarnToken,
            3 => SocketOrder::ExpireToken,
            4 => close(308, Some(1500)),
            _ => close(500, None),
        };
        // There may be no connection just now.
        let _ = self.link.server.emulator.control().sockets(None, &order);
        self.push();
    }

    /// The weather clears, and a last message shows that there was a loss before it.
    fn clear_up(&mut self) {
        self.link.weather = Weather::default();
        self.link.server.emulator.control().clear_faults();
        self.run(Duration::from_secs(600));
        for phone in 0..PHONES {
            self.text(phone);
        }
        self.settle();
        self.run(Duration::from_secs(300));
    }

    /// Each conversation was told whole, once and in order, and no reply was stored twice. Gives
    /// how many messages there are.
    fn check(&self, seed: u64) -> u64 {
        let mut told: BTreeMap<ConversationSid, Vec<(u64, String)>> = BTreeMap::new();
        for event in &self.link.events {
            if let Event::MessageAdded(message) = event {
                let text = super::text(message);
                told.entry(message.conversation).or_default().push((message.index, text));
            }
        }
        let mut count = 0;
        let mut replies = HashSet::new();
        for conversation in &self.conversations {
            let stored: Vec<(u64, String)> = self
                .link
                .server
                .emulator
                .control()
                .messages(*conversation)
                .into_iter()
                .map(|message| (message.index, message.body.unwrap_or_default()))
                .collect();
            assert_eq!(told.remove(conversation), Some(stored.clone()), "seed {seed}");
            for (_, text) in stored {
                count += 1;
                assert!(replies.insert(text.clone()), "seed {seed}: {text} is there twice");
            }
        }
        assert!(told.is_empty(), "seed {seed}: {told:?}");
        count
    }
}

fn wall(now: Moment) -> Timestamp {
    DAWN + now.since(Moment::ORIGIN)
}

/// What the emulator does wrong in a storm, in percent.
fn faults() -> Vec<Fault> {
    let request = || Place::SocketRequest { method: None, path: None };
    let event = || Place::SocketEvent { event_type: Some("list_item".to_owned()) };
    let answer = |status, code| Action::Answer { status, code: Some(code), retry_after: None };
    [
        (request(), answer(429, 20429), 5),
        (request(), answer(500, 20500), 5),
        (request(), Action::AnswerAfter { status: 503, code: Some(20500) }, 3),
        (request(), Action::BreakAfter, 3),
        (request(), Action::Silence, 2),
        (event(), Action::Lose, 5),
        (event(), Action::Duplicate, 5),
        (event(), Action::Swap, 5),
        (event(), Action::Delay { ms: 3000 }, 5),
        (Place::Replay, Action::Interrupt, 10),
        (Place::Replay, Action::Overtake, 10),
        (Place::SocketInit, answer(429, 51202), 10),
    ]
    .into_iter()
    .map(|(place, action, percent)| Fault {
        id: 0,
        place,
        action,
        times: None,
        skip: 0,
        percent: Some(percent),
    })
    .collect()
}
