//! A plain number with the service as a child process, on either engine: people who write, kills between
//! two steps, and what Twilio and the queues hold at the end.
//!
//! Twilio does not bring a webhook again that broke off, so what a kill has kept from being stored is found
//! by the sweep. In which order somebody wrote is told by the order of the webhooks alone: where one of two
//! is lost, swapped or late, both are answered once, as they come. So the people who are counted for their
//! order wait for each answer before they write again, and the others write as they like.

use std::time::Duration;

use chimein::clock::{Clock, Moment};
use chimein::emulator::record::Happening;
use chimein::emulator::state::limits::Limits;
use chimein::emulator::state::messaging::Number;
use chimein::emulator::{self, Control, Emulator, Incoming};
use chimein::fault_points::Point;

use crate::child::siege::ask;
use crate::child::tally::Tally;
use crate::child::{self, Dice, NUMBER, Service, free_port};

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(150);
/// How long nothing may follow the last answer for the count to be final.
const QUIET: Duration = Duration::from_secs(3);
/// People who write; every second one waits for an answer first.
const PEOPLE: u64 = 24;

/// Settings of a service on a plain number that sends and sweeps as fast as a test is.
pub const SETTINGS: [(&str, &str); 6] = [
    ("TWILIO_PHONE_NUMBER", NUMBER),
    ("CHIMEIN_MESSAGING_SOURCES", "+15555550100=direct"),
    ("CHIMEIN_MESSAGING_SENDER_RATES", "+15555550100=1000"),
    ("CHIMEIN_MESSAGING_SWEEP_INTERVAL", "1s"),
    ("CHIMEIN_AGENT_SCHEDULE", SHORT),
    ("CHIMEIN_SEND_SCHEDULE", SHORT),
];
const SHORT: &str = "50ms,100ms,200ms,500ms,1s,1s,1s,1s,1s,1s,1s,1s,2s,2s,2s,2s";

/// The steps of a text's way on either engine, each with the points to die at one after the other.
pub const STEPS: [&[Point]; 5] = [
    &[Point::WebhookStored],
    &[Point::AgentAnswered],
    &[Point::TurnSettled],
    &[Point::SentByRest, Point::ReplyFound],
    &[Point::SendSettled],
];

/// The limits of a Twilio that takes texts as fast as they come: a list that lags, and no pace.
pub fn limits() -> Limits {
    Limits { long_code_rate: 1000, list_lag_ms: 500, ..Limits::default() }
}

/// A number, a Twilio and one service.
pub struct Line {
    pub emulator: Emulator,
    pub control: Control,
    pub service: Service,
    admin: u16,
    phones: u32,
}

impl Line {
    /// Starts both, and stops the service once its sweep knows where it has come to.
    pub async fn start(engine: &[(&str, &str)]) -> Self {
        let limits = limits();
        let options = emulator::Options { seed: Some(7), limits, ..emulator::Options::default() };
        let emulator = Emulator::start(options).await.unwrap();
        let (control, admin) = (emulator.control(), free_port());
        let listen = format!("127.0.0.1:{admin}");
        let settings = [&SETTINGS, engine, &[("CHIMEIN_ADMIN_LISTEN", listen.as_str())]].concat();
        let mut service = Service::of(&emulator, &settings);
        let base = format!("http://127.0.0.1:{}", service.port());
        service.set("CHIMEIN_WEBHOOK_PUBLIC_URL", &base);
        let url = format!("{base}/webhooks/twilio/sms");
        control.set_number(Number::told_to(NUMBER, url)).unwrap();
        service.start(&[]);
        let swept = child::within(PATIENCE, || has_swept(&control)).await;
        assert!(swept, "{}", service.log_tail());
        service.stop().await;
        Self { emulator, control, service, admin, phones: 0 }
    }

    /// Lets somebody write and the service die at each of these points, one after the other; then it is
    /// started again, and the person is answered once and nothing is left.
    pub async fn survives(&mut self, points: &[Point]) {
        self.phones += 1;
        let phone = format!("+1555000{:04}", self.phones);
        for (nth, point) in points.iter().enumerate() {
            self.service.start_to_die_at(*point, 1);
            if nth == 0 {
                assert!(self.service.is_listening().await);
                let _texted = self.control.text(Incoming::new(&phone, NUMBER, &phone)).await;
            }
            self.service.dies_at(*point, PATIENCE).await;
        }
        self.service.start(&[]);
        let said = || self.control.texts_to(&phone);
        let answered = child::within(PATIENCE, || !said().is_empty()).await;
        assert!(answered, "{points:?}\n{}", self.service.log_tail());
        assert_eq!(self.settled().await, Some(0), "{points:?}\n{}", self.service.log_tail());
        self.service.stop().await;
        let said: Vec<_> = said().into_iter().map(|text| text.body.into_revealed()).collect();
        assert_eq!(said, [phone], "{points:?}");
    }

    /// Waits until no job is left; gives the number of dead letters.
    pub async fn settled(&self) -> Option<u64> {
        let clock = Clock::start();
        while clock.now().since(Moment::ORIGIN) < PATIENCE {
            if let Some((0, dead)) = self.jobs().await {
                return Some(dead);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        None
    }

    /// How many jobs wait, and how many are dead letters, as an operator is told.
    async fn jobs(&self) -> Option<(u64, u64)> {
        let request = format!(
            "GET /v1/queues HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nconnection: close\r\n\r\n",
            self.admin
        );
        let answer = ask(self.admin, request.as_bytes()).await;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        let told: serde_json::Value = serde_json::from_str(body).ok()?;
        let queues = told["queues"].as_array()?;
        let sum = |name: &str| -> u64 { queues.iter().filter_map(|one| one[name].as_u64()).sum() };
        Some((sum("ready") + sum("delayed") + sum("leased") + sum("held"), sum("dead")))
    }
}

/// Whether the list of texts was asked for.
pub fn has_swept(control: &Control) -> bool {
    let is_sweep = |what: &Happening| {
        matches!(what, Happening::Rest { method, path, .. }
            if method == "GET" && path.reveal().contains("/Messages.json"))
    };
    control.records(0).iter().any(|record| is_sweep(&record.what))
}

/// People who write.
pub struct People {
    dice: Dice,
    said: Vec<u32>,
}

impl People {
    pub fn new(seed: u64) -> Self {
        Self { dice: Dice::new(seed), said: vec![0; usize::try_from(PEOPLE).unwrap()] }
    }

    /// One of them writes, unless it is one who waits for an answer.
    pub async fn write(&mut self, control: &Control) {
        let one = self.dice.below(PEOPLE);
        let (from, said) = (phone(one), &mut self.said[usize::try_from(one).unwrap()]);
        let last = format!("{from} says {said}");
        let is_answered = || control.texts_to(&from).iter().any(|text| text.body.reveal() == last);
        if *said > 0 && is_patient(&from) && !is_answered() {
            return;
        }
        *said += 1;
        let text = Incoming::new(&from, NUMBER, &format!("{from} says {said}"));
        let _texted = control.text(text).await.unwrap();
    }

    /// Waits until all are answered and nothing more comes; panics unless each was answered once, and those
    /// who waited in order.
    pub async fn expect_kept(control: &Control, logs: impl Fn() -> String) {
        let count = || [true, false].map(|patient| tally(control, patient));
        let all = child::within(PATIENCE, || count().iter().all(Tally::is_complete)).await;
        tokio::time::sleep(QUIET).await;
        let [patient, others] = count();
        println!("those who wait for answers\n{patient}\nthe others\n{others}");
        let is_once = others.lost + others.twice + others.invented == 0;
        assert!(
            all && patient.is_kept() && is_once && others.messages == others.replies,
            "{:?} {:?}\n{}",
            patient.wrong,
            others.wrong,
            logs()
        );
    }
}

fn phone(one: u64) -> String {
    format!("+1555000{one:04}")
}

fn is_patient(phone: &str) -> bool {
    phone.ends_with(['0', '2', '4', '6', '8'])
}

fn tally(control: &Control, patient: bool) -> Tally {
    Tally::of_texts(control, |phone| is_patient(phone) == patient)
}
