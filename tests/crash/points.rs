//! A kill between every two steps of a message's way, one after the other.

use std::time::Duration;

use chimein::emulator::{Control, Emulator};
use chimein::fault_points::Point;

use crate::child::tally::Tally;
use crate::child::{self, NUMBER, Service};
use crate::storm::{schedules, start_emulator};

/// How long the service may take to reach a point that a message must pass.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How many commits a first message and its answer may cause at most.
const COMMITS_MAX: u32 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_each_fault_point_loses_nothing_and_repeats_nothing() {
    let mut rig = Rig::start(&[]).await;
    for point in Point::ALL {
        match point {
            Point::CatchUpStored | Point::SentByRest | Point::MessagesAbsorbed => {}
            // Those of a start with an older file and of a restore, see `tests/operations`.
            Point::CopyWritten
            | Point::CopyKept
            | Point::FormatChanged
            | Point::ReplacedKept
            | Point::RestoredPlaced => {}
            Point::ReplyFound => {
                rig.die_at(Point::SentBySocket, 1).await;
                rig.die_restarting_at(point).await;
                rig.expect_kept(point.as_str()).await;
            }
            Point::BeforeCommit
            | Point::Committed
            | Point::WebhookStored
            | Point::BotAdded
            | Point::EventsStored
            | Point::AgentAnswered
            | Point::TurnSettled
            | Point::SentBySocket
            | Point::SendSettled => {
                rig.die_at(point, 1).await;
                rig.expect_kept(point.as_str()).await;
            }
        }
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_socket_a_kill_loses_nothing_either() {
    let mut rig = Rig::start(&[("CHIMEIN_REALTIME_ENABLED", "false")]).await;
    for point in [Point::CatchUpStored, Point::SentByRest, Point::AgentAnswered] {
        rig.die_at(point, 1).await;
        rig.expect_kept(point.as_str()).await;
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_of_several_messages_survives_a_kill_as_one_of_one_does() {
    let burst = [("CHIMEIN_TURNS_STRATEGY", "burst"), ("CHIMEIN_TURNS_QUIET", "1500ms")];
    let mut rig = Rig::start(&burst).await;
    for point in [Point::MessagesAbsorbed, Point::AgentAnswered, Point::TurnSettled] {
        rig.die_at(point, 1).await;
        rig.expect_kept(point.as_str()).await;
    }
    rig.end().await;
    let mut rig = Rig::start(&[("CHIMEIN_TURNS_STRATEGY", "supersede")]).await;
    for point in [Point::MessagesAbsorbed, Point::AgentAnswered, Point::TurnSettled] {
        rig.die_if_reached(point, 1).await;
        rig.expect_kept(point.as_str()).await;
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_each_commit_of_a_messages_way_loses_nothing() {
    let mut rig = Rig::start(&[]).await;
    for nth in 1..=COMMITS_MAX {
        for point in [Point::BeforeCommit, Point::Committed] {
            rig.die_if_reached(point, nth).await;
            rig.expect_kept(&format!("{} {nth}", point.as_str())).await;
        }
    }
    rig.end().await;
}

/// An emulator and the service; every kill is tried on a conversation of its own, which exists
/// before, and one that is new.
pub struct Rig {
    emulator: Emulator,
    pub control: Control,
    pub service: Service,
    phones: u32,
}

impl Rig {
    /// Starts an emulator, for a service with these settings.
    pub async fn start(extra: &[(&str, &str)]) -> Self {
        let emulator = start_emulator(7).await;
        let control = emulator.control();
        let environment = [&schedules()[..], extra].concat();
        let service = Service::of(&emulator, &environment);
        Self { emulator, control, service, phones: 0 }
    }

    /// Lets a message come in and the service die at a point of its way, which it must reach.
    pub async fn die_at(&mut self, point: Point, nth: u32) {
        self.service.start_to_die_at(point, nth);
        self.say().await;
        self.service.dies_at(point, PATIENCE).await;
    }

    /// As [`Rig::die_at`], for a point that the message may pass less often.
    async fn die_if_reached(&mut self, point: Point, nth: u32) {
        self.service.start_to_die_at(point, nth);
        self.say().await;
        let (control, service) = (&self.control, &mut self.service);
        let done =
            child::within(PATIENCE, || !service.is_running() || Tally::of(control).is_complete());
        assert!(done.await, "neither dead nor done at {point:?} {nth}");
        self.service.kill().await;
    }

    /// Starts the service again, to die at a point of what the last one left.
    async fn die_restarting_at(&mut self, point: Point) {
        self.service.start_to_die_at(point, 1);
        self.service.dies_at(point, PATIENCE).await;
    }

    /// A new phone writes twice.
    pub async fn say(&mut self) {
        assert!(self.service.is_listening().await);
        self.phones += 1;
        let from = format!("+1555000{:04}", self.phones);
        for body in ["first", "second"] {
            self.control.receive_sms(&from, NUMBER, &format!("{from} {body}")).await.unwrap();
        }
    }

    /// Starts the service, waits until all is answered, and holds it against the promise.
    pub async fn expect_kept(&mut self, at: &str) {
        self.service.start(&[]);
        // All may be answered already; the stop must not come before the process listens to signals.
        assert!(self.service.is_listening().await);
        let control = &self.control;
        let answered = child::within(PATIENCE, || Tally::of(control).is_complete()).await;
        // The last reply may be at Twilio before the service is told so; a stop would leave its job.
        let service = &self.service;
        let settled = child::within(PATIENCE, || service.open_jobs() == 0).await;
        self.service.stop().await;
        let tally = Tally::of(&self.control);
        let log = self.service.log_tail();
        assert!(answered && tally.is_kept(), "killed at {at}: {:?}\n{tally}\n{log}", tally.wrong);
        let left = self.service.leftovers().await;
        assert_eq!((settled, left), (true, (0, 0)), "killed at {at}: jobs are left\n{log}");
    }

    /// Stops the emulator.
    pub async fn end(self) {
        println!("{} kills, all kept", self.phones);
        self.emulator.shutdown().await;
    }
}
