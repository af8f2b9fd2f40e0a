//! What an operator's webhook is told when something goes wrong, and when it is over.

use axum::response::IntoResponse;
use chimein::emulator::control::SocketOrder;
use chimein::emulator::faults::{Action, Place};
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::receiver::{Mood, Receiver, SECRET, Told};
use crate::rig::{PHONE, Rig};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_is_told_though_the_receiver_was_away_and_its_end_too() {
    let receiver = Receiver::start().await;
    let agent = Agent::start(|_, before| match before {
        0 => r#"{"reply":"nobody understands this"}"#.into_response(),
        _ => r#"{"replies":["mended"]}"#.into_response(),
    })
    .await;
    receiver.is(Mood::Away);
    let by_http = [("CHIMEIN_AGENT_KIND", "http"), ("CHIMEIN_AGENT_URL", agent.url())];
    let rig = rig(&receiver, &by_http).await;
    let conversation = rig.sms(PHONE, "hello").await;
    let letter = rig.dead_letter_of("inbox").await;
    rig.eventually("it was turned away", |_| receiver.turned_away() > 0).await;
    assert!(receiver.told().0.is_empty());
    receiver.is(Mood::Fine);
    let fires = until(&rig, &receiver, "dead_letters", "firing").await;
    assert_eq!((&fires["subject"], &fires["value"]), (&json!("inbox"), &json!(1)));
    assert_eq!((&fires["severity"], &fires["service"]), (&json!("ticket"), &json!("chimein")));

    let id = letter["id"].as_str().unwrap();
    rig.tell_admin(&format!("/v1/dead-letters/inbox/{id}/redrive")).await;
    rig.expect(conversation, &["mended"]).await;
    let over = until(&rig, &receiver, "dead_letters", "resolved").await;
    assert_eq!(over["since"], fires["since"]);
    let all = receiver.told().0;
    assert!(all.iter().all(|notice| !notice.to_string().contains(PHONE)), "{all:?}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_is_down_is_told_and_that_it_is_up_again() {
    let receiver = Receiver::start().await;
    let rig = rig(&receiver, &[]).await;
    let place = || Place::SocketOpen;
    let refused = Action::Answer { status: 503, code: None, retry_after: None };
    rig.fault(place(), refused, u64::MAX);
    let _dropped = rig.control.sockets(None, &SocketOrder::Drop);
    let fires = until(&rig, &receiver, "socket_down", "firing").await;
    assert_eq!((&fires["subject"], &fires["severity"]), (&json!("bot"), &json!("page")));
    rig.control.clear_faults();
    until(&rig, &receiver, "socket_down", "resolved").await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_takes_nothing_is_told_while_it_does() {
    let receiver = Receiver::start().await;
    let rig = rig(&receiver, &[]).await;
    let store = rusqlite::Connection::open(rig.queue_path()).unwrap();
    // Whoever else wants to write is told that the store is locked.
    store.execute_batch("BEGIN IMMEDIATE").unwrap();
    let _received = rig.control.receive_sms(PHONE, crate::rig::NUMBER, "hello").await.unwrap();
    until(&rig, &receiver, "store_failing", "firing").await;
    store.execute_batch("ROLLBACK").unwrap();
    until(&rig, &receiver, "store_failing", "resolved").await;
    rig.end().await;
}

async fn rig(receiver: &Receiver, extra: &[(&'static str, &str)]) -> Rig {
    let alarms = [
        ("CHIMEIN_ALARMS_URL", receiver.url.as_str()),
        ("CHIMEIN_ALARMS_SECRET", SECRET),
        ("CHIMEIN_ALARMS_INTERVAL", "1s"),
        ("CHIMEIN_ALARMS_HOLD", "0s"),
        ("CHIMEIN_ADMIN_LISTEN", "127.0.0.1:0"),
    ];
    Rig::start(&[&alarms, extra].concat()).await
}

/// Waits for a notice.
async fn until(rig: &Rig, receiver: &Receiver, alarm: &str, state: &str) -> Value {
    let find = |told: Told| told.states(state).into_iter().rfind(|notice| notice["alarm"] == alarm);
    rig.eventually(&format!("{alarm} {state}"), |_| find(receiver.told()).is_some()).await;
    find(receiver.told()).unwrap()
}
