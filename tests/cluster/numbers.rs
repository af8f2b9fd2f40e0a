//! A plain number on NATS: kills between every two steps of a text's way on one instance, and several
//! instances of which each dies once, with everything going wrong that can.

use std::time::Duration;

use chimein::emulator::state::messaging::Number;

use crate::child::{NUMBER, weather, within};
use crate::line::{self, Line, PATIENCE, People, STEPS};
use crate::nats_server::NatsServer;
use crate::rig::Rig;

/// How many texts are tried to be written.
const TEXTS: u32 = 360;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_nats_a_kill_at_each_step_of_a_texts_way_loses_nothing_and_repeats_nothing() {
    let nats = NatsServer::start();
    let url = nats.url();
    let engine =
        [("CHIMEIN_QUEUE_ENGINE", "nats"), ("NATS_URL", &url), ("INSTANCE_ID", "instance-0")];
    let mut line = Line::start(&engine).await;
    for points in STEPS {
        line.survives(points).await;
    }
    line.emulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_plain_number_everybody_is_answered_once_whichever_instance_dies() {
    let mut rig = Rig::start_on_number(17, &line::SETTINGS).await;
    rig.control.set_limits(line::limits());
    let url = format!("{}/webhooks/twilio/sms", rig.url());
    rig.control.set_number(Number::told_to(NUMBER, url)).unwrap();
    let swept = within(PATIENCE, || line::has_swept(&rig.control)).await;
    assert!(swept, "{}", rig.logs());
    let mut people = People::new(20_261_129);
    weather::storm(&rig.control);
    for nth in 0..TEXTS {
        // Once at each percent.
        if nth * 100 % TEXTS < 100 {
            happens(&mut rig, nth * 100 / TEXTS).await;
        }
        people.write(&rig.control).await;
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    rig.control.clear_faults();
    People::expect_kept(&rig.control, || rig.logs()).await;
    rig.stop().await;
}

/// One instance after the other dies and comes again, one of them gracefully; NATS is restarted.
async fn happens(rig: &mut Rig, percent: u32) {
    match percent {
        15 => rig.instances[0].kill().await,
        30 => rig.instances[0].start(&[]),
        40 => rig.instances[1].stop().await,
        50 => rig.instances[1].start(&[]),
        60 => rig.restart_nats().await,
        75 => rig.instances[2].kill().await,
        85 => rig.instances[2].start(&[]),
        _ => {}
    }
}
