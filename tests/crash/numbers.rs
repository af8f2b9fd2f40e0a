//! A kill between every two steps of a text's way on a plain number: each is answered once.
//!
//! Twilio does not bring a webhook again that broke off, so what a kill has kept from being stored is found
//! by the sweep; and nothing tells of a message that was sent but what Twilio lists.

use std::time::Duration;

use chimein::emulator::Incoming;
use chimein::emulator::record::Happening;
use chimein::emulator::state::limits::Limits;
use chimein::emulator::state::messaging::Number;
use chimein::fault_points::{Point, VARIABLE};

use crate::child::{self, NUMBER, Service};
use crate::storm::{schedules, start_emulator};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_plain_number_a_kill_at_each_step_loses_nothing_and_repeats_nothing() {
    let emulator = start_emulator(7).await;
    let control = emulator.control();
    control.set_limits(Limits { long_code_rate: 1000, ..Limits::default() });
    let numbers = [
        ("TWILIO_PHONE_NUMBER", NUMBER),
        ("CHIMEIN_MESSAGING_SOURCES", "+15555550100=direct"),
        ("CHIMEIN_MESSAGING_SENDER_RATES", "+15555550100=1000"),
        ("CHIMEIN_MESSAGING_SWEEP_INTERVAL", "1s"),
    ];
    let mut service = Service::of(&emulator, &[&schedules()[..], &numbers].concat());
    let url = format!("http://127.0.0.1:{}/webhooks/twilio/sms", service.port());
    control.set_number(Number::told_to(NUMBER, url)).unwrap();
    // From here on the sweep knows where it has come to.
    service.start(&[]);
    let is_sweep = |what: &Happening| {
        matches!(what, Happening::Rest { method, path, .. }
            if method == "GET" && path.reveal().contains("/Messages.json"))
    };
    let has_swept = || control.records(0).iter().any(|record| is_sweep(&record.what));
    assert!(child::within(PATIENCE, has_swept).await, "{}", service.log_tail());
    service.stop().await;
    for (n, points) in [
        &[Point::BeforeCommit][..],
        &[Point::Committed],
        &[Point::WebhookStored],
        &[Point::AgentAnswered],
        &[Point::TurnSettled],
        &[Point::SentByRest, Point::ReplyFound],
        &[Point::SendSettled],
    ]
    .into_iter()
    .enumerate()
    {
        let phone = format!("+1555000{n:04}");
        for (nth, point) in points.iter().enumerate() {
            service.start(&[(VARIABLE, &format!("{}:1", point.as_str()))]);
            if nth == 0 {
                assert!(service.is_listening().await);
                let _texted = control.text(Incoming::new(&phone, NUMBER, &phone)).await.unwrap();
            }
            let status = service.ended(PATIENCE).await;
            assert!(status.is_some_and(|status| !status.success()), "{point:?} was not reached");
        }
        service.start(&[]);
        assert!(service.is_listening().await);
        let said = || control.texts_to(&phone).len();
        assert!(child::within(PATIENCE, || said() > 0).await, "{points:?}\n{}", service.log_tail());
        let settled = child::within(PATIENCE, || service.open_jobs() == 0).await;
        service.stop().await;
        assert_eq!((settled, service.leftovers().await), (true, (0, 0)), "{points:?}");
        let said: Vec<_> = control.texts_to(&phone).into_iter().map(|text| text.body).collect();
        assert_eq!(said.len(), 1, "{points:?}");
        assert_eq!(said[0].reveal(), phone);
    }
    emulator.shutdown().await;
}
