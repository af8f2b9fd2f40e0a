//! Plain numbers when webhooks, answers, callbacks, the list and the store break: every text is answered
//! once, and in the order in which it was told.
//!
//! In which order somebody wrote is told by the order of the webhooks alone; of two that were swapped, late
//! or lost each is answered once, as it comes.

use chimein::emulator::Incoming;
use chimein::emulator::faults::{Action, Fault, Place};
use chimein::emulator::state::limits::Limits;
use chimein::emulator::state::messaging::Number;

use crate::numbers::{create, inbound, limits, statuses};
use crate::rig::{NUMBER, PHONE, Rig};

/// How many people write, and how much each.
const PEOPLE: usize = 3;
const TEXTS: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_told_in_order_is_answered_in_order_whatever_becomes_of_answers() {
    let rig = Rig::on_numbers(&[]).await;
    rig.control.set_limits(Limits { list_lag_ms: 1_000, ..limits() });
    let answers = || Place::Rest { method: None, path: Some("/Messages".to_owned()) };
    for (place, action, percent) in [
        (inbound(), Action::Duplicate, 30),
        (statuses(), Action::Lose, 30),
        (statuses(), Action::Duplicate, 30),
        (statuses(), Action::Swap, 30),
        (statuses(), Action::Delay { ms: 200 }, 20),
        (create(), Action::BreakAfter, 15),
        (create(), Action::CutOff, 10),
        (create(), Action::AnswerAfter { status: 500, code: Some(20500) }, 10),
        (create(), Action::Answer { status: 503, code: None, retry_after: None }, 10),
        (answers(), Action::BreakBefore, 5),
    ] {
        sometimes(&rig, place, action, percent);
    }
    for n in 0..TEXTS {
        for one in 0..PEOPLE {
            rig.text(&phone(one), NUMBER, &text(n)).await;
        }
    }
    let all: Vec<String> = (0..TEXTS).map(text).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    for one in 0..PEOPLE {
        rig.expect_texts(&phone(one), &all).await;
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_told_late_swapped_or_never_is_answered_once() {
    let rig = Rig::on_numbers(&[("CHIMEIN_MESSAGING_SWEEP_INTERVAL", "1s")]).await;
    rig.control.set_limits(Limits { list_lag_ms: 1_000, ..limits() });
    for (action, percent) in [
        (Action::Lose, 25),
        (Action::Duplicate, 25),
        (Action::Swap, 25),
        (Action::Delay { ms: 500 }, 25),
    ] {
        sometimes(&rig, inbound(), action, percent);
    }
    for n in 0..TEXTS {
        for one in 0..PEOPLE {
            let _texted = rig.control.text(Incoming::new(&phone(one), NUMBER, &text(n))).await;
        }
    }
    for one in 0..PEOPLE {
        let theirs = phone(one);
        rig.eventually("all are answered", |rig| rig.said(&theirs).len() >= TEXTS).await;
    }
    rig.settled().await;
    for one in 0..PEOPLE {
        let mut said = rig.said(&phone(one));
        said.sort();
        assert_eq!(said, (0..TEXTS).map(text).collect::<Vec<_>>(), "{one}");
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_store_takes_nothing_twilio_is_told_so_and_nothing_is_lost() {
    let rig = Rig::on_numbers(&[("CHIMEIN_MESSAGING_SWEEP_INTERVAL", "2s")]).await;
    let once = rig.number(NUMBER, "sms").url.unwrap();
    let again = format!("{once}#rc=3&rp=5xx,ct,rt");
    let mut expected = Vec::new();
    for (url, text) in [(again, "brought again"), (once, "found by the sweep")] {
        rig.control.set_number(Number::told_to(NUMBER, url)).unwrap();
        let refused = || rig.webhook_answers().iter().filter(|status| **status == 503).count();
        let before = refused();
        let store = rusqlite::Connection::open(rig.queue_path()).unwrap();
        // Whoever else wants to write is told that the store is locked.
        store.execute_batch("BEGIN IMMEDIATE").unwrap();
        let _texted = rig.control.text(Incoming::new(PHONE, NUMBER, text)).await.unwrap();
        rig.eventually("Twilio is told", |_| refused() > before).await;
        store.execute_batch("ROLLBACK").unwrap();
        expected.push(text);
        rig.expect_texts(PHONE, &expected).await;
    }
    rig.end().await;
}

/// Lets a fault act on so many of a hundred occasions.
fn sometimes(rig: &Rig, place: Place, action: Action, percent: u64) {
    let fault = Fault { id: 0, place, action, times: None, skip: 0, percent: Some(percent) };
    rig.control.add_fault(fault).unwrap();
}

fn phone(one: usize) -> String {
    format!("+1555555{one:04}")
}

fn text(n: usize) -> String {
    format!("text {n}")
}
