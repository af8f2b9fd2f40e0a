//! Ten minutes of a busy service in bad weather: 200 messages a second over 2,000 conversations.
//!
//! `cargo bench --bench soak` takes a minute; `CHIMEIN_SOAK_SECONDS=600` the full time,
//! `CHIMEIN_SOAK_STORM=1` twice the faults and three times the drops. The service is
//! a child process with default limits (`CHIMEIN_SOAK_LOG=info` lets it say more,
//! `CHIMEIN_SOAK_ARENAS=2` gives it so many of glibc's arenas); Twilio is the emulator in this one,
//! with faults on and the sockets dropped now and then. Memory must be flat, the queues must drain,
//! nothing may be lost or said twice; what was is told with all that store and log know of it, and
//! the service's folder is kept.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run stops where it cannot")]

#[path = "../child/mod.rs"]
mod child;

use std::time::Duration;

use chimein::clock::{Clock, Moment};
use chimein::emulator::control::SocketOrder;
use chimein::emulator::{self, Control, Emulator};
use comfy_table::Table;

use crate::child::autopsy;
use crate::child::measure::{cpu_time, resident_mebibytes};
use crate::child::tally::{Tally, all_answered};
use crate::child::{NUMBER, Service, weather};

/// How long the load lasts unless the environment says otherwise.
const SECONDS: u32 = 60;
/// Messages a second, from as many phones, each into its own conversation.
const RATE: u32 = 200;
const PHONES: u32 = 2000;
/// How often all sockets are dropped, in seconds; the second in a storm.
const DROP_EVERY: [u32; 2] = [15, 5];
/// How often a connection breaks under a reply, in seconds.
const GUST_EVERY: u32 = 5;
/// How many seconds the bounded memories (journal, page cache) take to fill; not measured.
const WARM_UP: usize = 20;
/// How much more memory the last third may take than the second.
const GROWTH_MAX: f64 = 1.05;
/// How often it is looked whether all is answered, and how long: longer than the longest wait of a
/// turn, ten minutes by default, which one of 120,000 meets.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const ANSWER_MAX: Duration = Duration::from_secs(900);
/// How long nothing may follow the last answer for the count to be final: longer than most retries.
const QUIET: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() {
    let given = std::env::var("CHIMEIN_SOAK_SECONDS").ok();
    let seconds = given.map_or(SECONDS, |text| text.parse().expect("a number of seconds"));
    let emulator = start_emulator().await;
    let control = emulator.control();
    let level = std::env::var("CHIMEIN_SOAK_LOG").unwrap_or_else(|_| "warn".to_owned());
    let arenas = std::env::var("CHIMEIN_SOAK_ARENAS").ok();
    let mut extra = vec![("LOG_LEVEL", level.as_str())];
    extra.extend(arenas.as_deref().map(|count| ("MALLOC_ARENA_MAX", count)));
    let mut service = Service::of(&emulator, &extra);
    service.start(&[]);
    assert!(child::connected(&control).await, "{}", service.log_tail());
    let is_storm = std::env::var_os("CHIMEIN_SOAK_STORM").is_some();
    if is_storm {
        weather::storm(&control);
    } else {
        weather::rain(&control);
    }
    let drop_every = DROP_EVERY[usize::from(is_storm)];
    let pid = service.pid();
    let mut samples = Vec::new();
    let clock = Clock::start();
    for second in 0..seconds {
        load(&control, clock, second).await;
        samples.push((resident_mebibytes(pid), cpu_time(pid)));
        if !is_storm && second % GUST_EVERY == GUST_EVERY - 1 {
            weather::gust(&control, second / GUST_EVERY);
        }
        if second % drop_every == drop_every - 1 {
            let _dropped = control.sockets(None, &SocketOrder::Drop);
        }
    }
    control.clear_faults();
    let answered = all_answered(&control, LOOK_EVERY, ANSWER_MAX).await;
    let drained = clock.now().since(Moment::ORIGIN).as_secs_f64() - f64::from(seconds);
    // A reply that arrived while its answer was lost is looked for at its next attempt.
    let settled = child::eventually(|| service.open_jobs() == 0).await;
    tokio::time::sleep(QUIET).await;
    let tally = Tally::of(&control);
    let growth = report(&samples[WARM_UP.min(samples.len() / 3)..]);
    println!("{tally}\nseconds       {seconds:>8}\ndrained in    {drained:>8.1} s");
    service.stop().await;
    let (open, dead) = service.leftovers().await;
    println!("open jobs     {open:>8}\ndead letters  {dead:>8}");
    if !answered || !tally.is_kept() || (open, dead) != (0, 0) {
        println!("{:?}\n{}", tally.wrong, autopsy::report(&control, &service));
        panic!("the promise is broken (settled: {settled}); see {:?}", service.keep_folder());
    }
    assert!(growth <= GROWTH_MAX, "memory grew by {growth:.3} in the last third");
    emulator.shutdown().await;
}

/// One second's messages, evenly.
async fn load(control: &Control, clock: Clock, second: u32) {
    for number in second * RATE..(second + 1) * RATE {
        clock.sleep_until(Moment::ORIGIN + Duration::from_secs(1) / RATE * number).await;
        let from = format!("+1555{:07}", number % PHONES);
        control.receive_sms(&from, NUMBER, &format!("{from} says {number}")).await.unwrap();
    }
}

/// Prints memory and processor time by thirds of the time after the warm-up; gives the growth from the second to the last.
fn report(samples: &[(f64, Duration)]) -> f64 {
    let mut table = Table::new();
    table.set_header(["third", "memory MiB, mean", "memory MiB, most", "CPU % of one core"]);
    let length = samples.len() / 3;
    let mut means = Vec::new();
    for (number, third) in samples.chunks_exact(length).take(3).enumerate() {
        let count = f64::from(u32::try_from(length).unwrap());
        let mean = third.iter().map(|(memory, _)| memory).sum::<f64>() / count;
        let most = third.iter().map(|(memory, _)| *memory).fold(0.0, f64::max);
        let cpu = third[length - 1].1.saturating_sub(third[0].1).as_secs_f64() / (count - 1.0);
        table.add_row([
            (number + 1).to_string(),
            format!("{mean:.1}"),
            format!("{most:.1}"),
            format!("{:.0}", cpu * 100.0),
        ]);
        means.push(mean);
    }
    println!("{table}");
    means[2] / means[1]
}

/// An emulator that takes people's messages as fast as they come.
async fn start_emulator() -> Emulator {
    let mut options = emulator::Options { seed: Some(11), ..emulator::Options::default() };
    options.limits.service_writes = 100_000;
    Emulator::start(options).await.unwrap()
}
