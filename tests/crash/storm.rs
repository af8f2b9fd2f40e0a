//! Random kills under load, with everything going wrong that can.

use std::time::Duration;

use chimein::clock::{Clock, Moment};
use chimein::emulator::control::SocketOrder;
use chimein::emulator::{self, Control, Emulator};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::child::autopsy;
use crate::child::tally::Tally;
use crate::child::{self, Dice, NUMBER, Service, weather};

/// How often the service is killed unless the environment says otherwise.
const KILLS: u64 = 15;
/// Phones that write, each into its own conversation.
const PHONES: u64 = 60;
/// The mean time between two messages.
const MESSAGE_EVERY: Duration = Duration::from_millis(15);
/// How long nothing may follow the last answer for the count to be final: longer than any retry.
const QUIET: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_is_answered_once_and_in_order_whatever_breaks() {
    let kills = from_environment("CHIMEIN_CRASH_KILLS").unwrap_or(KILLS);
    let seed = from_environment("CHIMEIN_CRASH_SEED").unwrap_or(20_261_121);
    let clock = Clock::start();
    let emulator = start_emulator(seed).await;
    let control = emulator.control();
    let mut service = Service::of(&emulator, &schedules());
    let stop = CancellationToken::new();
    let load = load(control.clone(), Dice::new(seed), stop.clone());
    weather::storm(&control);
    let mut dice = Dice::new(seed + 1);
    for _ in 0..kills {
        service.start(&[]);
        live_and_die(&mut service, &control, &mut dice).await;
    }
    service.start(&[]);
    child::connected(&control).await;
    stop.cancel();
    load.await.unwrap();
    control.clear_faults();
    let answered = child::eventually(|| Tally::of(&control).is_complete()).await;
    // A reply whose answer was lost is looked for at its next attempt.
    let settled = child::eventually(|| service.open_jobs() == 0).await;
    tokio::time::sleep(QUIET).await;
    let tally = Tally::of(&control);
    let seconds = clock.now().since(Moment::ORIGIN).as_secs();
    println!(
        "kills         {kills:>8}\n{tally}\nseconds       {seconds:>8}\nseed          {seed:>8}"
    );
    service.stop().await;
    if !(answered && settled && tally.is_kept()) {
        let folder = service.keep_folder();
        let found = autopsy::report(&control, &service);
        panic!("{:?}, see {}\n{found}", tally.wrong, folder.display());
    }
    assert_eq!(service.leftovers().await, (0, 0), "open jobs and dead letters are left");
    emulator.shutdown().await;
}

/// Lets the service work for a while and kills it, in one of five cases while it is still starting.
async fn live_and_die(service: &mut Service, control: &Control, dice: &mut Dice) {
    if dice.below(5) > 0 {
        child::connected(control).await;
    }
    if dice.below(3) == 0 {
        tokio::time::sleep(dice.millis(500)).await;
        let _dropped = control.sockets(None, &SocketOrder::Drop);
    }
    tokio::time::sleep(dice.millis(1500)).await;
    assert!(service.is_running(), "the service ended by itself\n{}", service.log_tail());
    service.kill().await;
    tokio::time::sleep(dice.millis(300)).await;
}

/// Phones write until told to stop, each message numbered by its phone.
fn load(control: Control, mut dice: Dice, stop: CancellationToken) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut said = vec![0_u32; usize::try_from(PHONES).unwrap()];
        while !stop.is_cancelled() {
            let phone = dice.below(PHONES);
            let number = &mut said[usize::try_from(phone).unwrap()];
            let from = format!("+1555000{phone:04}");
            control.receive_sms(&from, NUMBER, &format!("{from} says {number}")).await.unwrap();
            *number += 1;
            tokio::time::sleep(dice.millis(2) + MESSAGE_EVERY).await;
        }
    })
}

/// Starts an emulator that takes people's messages as fast as they come.
pub async fn start_emulator(seed: u64) -> Emulator {
    let mut options = emulator::Options { seed: Some(seed), ..emulator::Options::default() };
    options.limits.service_writes = 100_000;
    Emulator::start(options).await.unwrap()
}

/// Schedules that are short, so that a run is.
pub fn schedules() -> [(&'static str, &'static str); 3] {
    let short = "50ms,100ms,200ms,500ms,1s,1s,1s,1s,1s,1s,1s,1s";
    [
        ("CHIMEIN_JOIN_SCHEDULE", short),
        ("CHIMEIN_SEND_SCHEDULE", short),
        ("CHIMEIN_AGENT_SCHEDULE", short),
    ]
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}
