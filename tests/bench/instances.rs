//! Messages a second through the whole service: each engine, and one, two and three instances.
//!
//! `cargo bench --bench instances`. Instances are child processes behind a balancer; Twilio is the
//! emulator in this process, the NATS server is one more, and all share this machine's cores. So more
//! instances show here what sharing costs, not what more machines give. Every message comes by webhook
//! and by socket and is answered by the echo agent. Needs a nats-server, see `tests/nats_server`.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run stops where it cannot")]

#[path = "../cluster/balancer.rs"]
mod balancer;
#[path = "../child/mod.rs"]
mod child;
#[path = "../nats_server/mod.rs"]
mod nats_server;

use std::time::Duration;

use chimein::clock::{Clock, Moment};
use chimein::emulator::control::Webhook;
use chimein::emulator::{self, Control, Emulator};
use comfy_table::Table;
use futures::{StreamExt as _, stream};

use crate::balancer::Balancer;
use crate::child::measure::{bare_fsync, cpu_time};
use crate::child::tally::{Tally, all_answered};
use crate::child::{NUMBER, Service};
use crate::nats_server::NatsServer;

/// Phones, each with a conversation of its own.
const PHONES: u32 = 1000;
/// Messages of a run unless the environment says otherwise, and how many are handed over at the same
/// time.
const MESSAGES: u32 = 10_000;
const AT_ONCE: usize = 64;
/// How often it is looked for the last answer, and how long.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const ANSWER_MAX: Duration = Duration::from_secs(300);
/// A NATS server's configuration that leaves out when to write through to the disk.
const UNSYNCED: &str = "jetstream { store_dir: \"STORE\" }";
/// About the size of a stored turn.
const RECORD_BYTES: usize = 500;

/// What a run is made of.
#[derive(Clone, Copy)]
struct Setting {
    name: &'static str,
    engine: Engine,
    instances: usize,
}

/// What keeps the queues.
#[derive(Clone, Copy)]
enum Engine {
    Embedded,
    /// NATS, writing through to the disk before it acknowledges.
    Nats,
    /// NATS as it comes: acknowledged before the disk has it, which a power cut can undo.
    NatsUnsynced,
}

/// What a run gave.
struct Figures {
    took: Duration,
    service: Duration,
    nats: Duration,
}

#[tokio::main]
async fn main() {
    let given = std::env::var("CHIMEIN_INSTANCES_MESSAGES").ok();
    let messages = given.map_or(MESSAGES, |text| text.parse().expect("a number of messages"));
    let settings = [
        Setting { name: "embedded, 1 instance", engine: Engine::Embedded, instances: 1 },
        Setting { name: "nats, 1 instance", engine: Engine::Nats, instances: 1 },
        Setting { name: "nats, 2 instances", engine: Engine::Nats, instances: 2 },
        Setting { name: "nats, 3 instances", engine: Engine::Nats, instances: 3 },
        Setting { name: "nats unsynced, 1 instance", engine: Engine::NatsUnsynced, instances: 1 },
        Setting { name: "nats unsynced, 3 instances", engine: Engine::NatsUnsynced, instances: 3 },
    ];
    let mut table = Table::new();
    table.set_header([
        "",
        "messages/s",
        "x embedded",
        "bare fsyncs a message",
        "CPU a message, service",
        "CPU a message, nats-server",
    ]);
    let mut embedded = None;
    for setting in settings {
        let fsync = bare_fsync(RECORD_BYTES, Duration::from_secs(1));
        let figures = run(setting, messages).await;
        let each = figures.took.as_secs_f64() / f64::from(messages);
        let first = *embedded.get_or_insert(each);
        table.add_row([
            setting.name.to_owned(),
            format!("{:.0}", 1.0 / each),
            format!("{:.2}", first / each),
            format!("{:.1}", each / fsync.as_secs_f64()),
            micros(figures.service / messages),
            micros(figures.nats / messages),
        ]);
    }
    println!("{table}");
}

/// Lets everything be said, and waits until all is answered, once and in order.
async fn run(setting: Setting, messages: u32) -> Figures {
    let emulator = start_emulator().await;
    let control = emulator.control();
    let nats = match setting.engine {
        Engine::Embedded => None,
        Engine::Nats => Some(NatsServer::start()),
        Engine::NatsUnsynced => {
            Some(NatsServer::start_plain(&nats_server::programs()[0], UNSYNCED))
        }
    };
    let mut instances: Vec<Service> =
        (0..setting.instances).map(|number| instance(&emulator, nats.as_ref(), number)).collect();
    let balancer = Balancer::over(instances.iter().map(Service::port).collect()).await;
    let url = format!("{}{}", balancer.url(), chimein::webhook::ROUTE);
    control.set_webhook(Webhook { post_url: Some(url), ..Webhook::default() });
    for instance in &mut instances {
        instance.start(&[]);
    }
    for instance in &instances {
        assert!(instance.is_listening().await, "{}", instance.log_tail());
    }
    let heard = child::eventually(|| control.connected().len() >= child::BOTS.len()).await;
    assert!(heard, "{}: {}", setting.name, instances[0].log_tail());
    say(&control, 0..PHONES).await;
    assert!(
        child::eventually(|| Tally::of(&control).is_complete()).await,
        "{}",
        Tally::of(&control)
    );
    let cpu = || instances.iter().map(|instance| cpu_time(instance.pid())).sum::<Duration>();
    let nats_cpu = || nats.as_ref().map_or(Duration::ZERO, |nats| cpu_time(nats.pid()));
    let (clock, before, nats_before) = (Clock::start(), cpu(), nats_cpu());
    say(&control, PHONES..PHONES + messages).await;
    let answered = all_answered(&control, LOOK_EVERY, ANSWER_MAX).await;
    let figures = Figures {
        took: clock.now().since(Moment::ORIGIN),
        service: cpu().saturating_sub(before),
        nats: nats_cpu().saturating_sub(nats_before),
    };
    let tally = Tally::of(&control);
    assert!(answered && tally.is_kept(), "{tally}\n{:?}", tally.wrong);
    for instance in &mut instances {
        instance.stop().await;
    }
    emulator.shutdown().await;
    figures
}

fn instance(emulator: &Emulator, nats: Option<&NatsServer>, number: usize) -> Service {
    let name = format!("instance-{number}");
    let url = nats.map(NatsServer::url);
    let mut own = vec![("CHIMEIN_SEND_CONVERSATION_RATE", "30"), ("INSTANCE_ID", name.as_str())];
    if let Some(url) = &url {
        own.extend([("CHIMEIN_QUEUE_ENGINE", "nats"), ("NATS_URL", url.as_str())]);
    }
    Service::of(emulator, &own)
}

/// Messages as fast as the emulator takes them, each from the next phone.
async fn say(control: &Control, numbers: std::ops::Range<u32>) {
    let saying = stream::iter(numbers).map(|number| async move {
        let from = format!("+1555{:07}", number % PHONES);
        control.receive_sms(&from, NUMBER, &format!("{from} says {number}")).await.unwrap();
    });
    saying.buffer_unordered(AT_ONCE).collect::<()>().await;
}

/// An emulator that takes as much as it can, from phones and from the bot.
async fn start_emulator() -> Emulator {
    let mut options = emulator::Options::default();
    options.limits.service_writes = 1_000_000;
    options.limits.conversation_writes = 1_000_000;
    Emulator::start(options).await.unwrap()
}

fn micros(time: Duration) -> String {
    format!("{} µs", time.as_micros())
}
