//! What happens while Twilio refuses us for what only a change of configuration cures: nothing is lost,
//! nothing is hammered, and the health page says so.

use std::time::Duration;

use chimein::admin::{Insight as _, Readiness};
use chimein::emulator::faults::{Action, Place};
use chimein::emulator::record::Happening;
use chimein::twilio::sid::ConversationSid;

use crate::rig::{PHONE, Rig};

/// Joins one after the other, so that all but the first are held back, and replies that wait for them.
const PATIENT: [(&str, &str); 2] =
    [("CHIMEIN_JOIN_CONCURRENCY", "1"), ("CHIMEIN_SEND_SCHEDULE", "1s,2s,5s,5s,5s,5s,5s,5s")];

/// The first pause is fifteen seconds, and a sweep may take the probe of another.
const CURED_WITHIN: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_credentials_hold_jobs_back_while_the_socket_goes_on() {
    let rig = Rig::start(&PATIENT).await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["hello"]).await;
    let any = Place::Rest { method: None, path: None };
    rig.fault(any, refusal(401, 20003), u64::MAX);
    let before = requests(&rig);
    let waiting = newcomers(&rig).await;
    rig.eventually("it is not ready", is_refused).await;
    rig.sms(PHONE, "again").await;
    rig.eventually("the socket answers", |rig| rig.replies(conversation).len() == 2).await;
    assert!(is_refused(&rig), "a reply over the socket says nothing about the credentials");
    assert!(requests(&rig) - before <= 3, "five joins wait for one probe");
    cured(&rig, waiting).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_service_holds_jobs_back_and_kills_none() {
    let rig = Rig::start(&PATIENT).await;
    for path in ["/Participants", "/Configuration/Webhooks", "/Conversations/CH"] {
        let place = Place::Rest { method: None, path: Some(path.into()) };
        rig.fault(place, refusal(404, 20404), u64::MAX);
    }
    let waiting = newcomers(&rig).await;
    rig.eventually("it is not ready", is_refused).await;
    cured(&rig, waiting).await;
    rig.end().await;
}

/// Five conversations that the bot cannot join now.
async fn newcomers(rig: &Rig) -> Vec<ConversationSid> {
    let mut waiting = Vec::new();
    for n in 0..5 {
        waiting.push(rig.sms(&format!("+1555555020{n}"), "anybody there?").await);
    }
    waiting
}

/// Twilio takes everything again, and whoever waited is answered once.
async fn cured(rig: &Rig, waiting: Vec<ConversationSid>) {
    rig.control.clear_faults();
    rig.within(CURED_WITHIN, "all are answered", |rig| {
        waiting.iter().all(|sid| rig.replies(*sid).len() == 1)
    })
    .await;
    rig.eventually("it is ready", |rig| rig.app().health().readiness() == Readiness::Ready).await;
}

fn is_refused(rig: &Rig) -> bool {
    rig.app().health().readiness() == Readiness::NotReady(vec!["twilio_refuses"])
}

const fn refusal(status: u16, code: u32) -> Action {
    Action::Answer { status, code: Some(code), retry_after: None }
}

fn requests(rig: &Rig) -> usize {
    let records = rig.control.records(0);
    records.iter().filter(|record| matches!(record.what, Happening::Rest { .. })).count()
}
