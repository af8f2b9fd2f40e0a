//! The realtime client against the emulator, over real sockets on this machine.

mod example;
#[path = "../fuzz/frames.rs"]
mod frames;
mod golden;
mod junk;
mod link;
mod lives;
mod paired;
mod recorded;
mod rig;
mod server;
mod simulated;

use std::time::Duration;

use chimein::emulator::control::SocketOrder;
use chimein::emulator::faults::{Action, Fault, Place};
use chimein::realtime::{
    DisconnectReason, Event, MessageSource, Outcome, SendMessage, State, UnknownReason,
};
use uuid::Uuid;

use self::rig::{Rig, text};

#[tokio::test]
async fn the_first_message_is_delivered_although_it_was_there_before_the_bot() {
    let rig = Rig::start().await;
    let (client, mut watch) = rig.connect(rig.config());
    assert_eq!(watch.live().await, 0);
    let conversation = rig.seated("+15550001111", "first").await;
    let joined = watch.until(|event| match event {
        Event::Joined { conversation, details } => Some((conversation, details)),
        _ => None,
    });
    let (joined, details) = joined.await;
    assert_eq!(joined, conversation);
    assert!(details.unwrap().attributes.is_some());
    assert_eq!(watch.texts(1).await, ["first"]);
    rig.text("+15550001111", "second").await;
    let second = watch.message().await;
    assert_eq!(text(&second), "second");
    assert_ne!(second.door, MessageSource::CatchUp, "it is not read, it is pushed");
    client.shutdown().await;
    rig.emulator.shutdown().await;
}

#[tokio::test]
async fn a_reply_is_sent_and_comes_back_as_an_event() {
    let rig = Rig::start().await;
    let conversation = rig.seated("+15550001111", "hello").await;
    let (client, mut watch) = rig.connect(rig.config());
    assert_eq!(watch.texts(1).await, ["hello"]);
    let reply = SendMessage::text(conversation, Uuid::now_v7(), "hello back");
    let sent = match client.send(reply).await {
        Outcome::Done(sent) => sent,
        other => panic!("{other:?}"),
    };
    let echo = watch.message().await;
    assert_eq!((echo.sid, echo.index), (sent.sid, sent.index));
    assert_eq!(client.typing(conversation).await, Outcome::Done(()));
    assert_eq!(client.set_read_horizon(conversation, sent.index).await, Outcome::Done(()));
    client.shutdown().await;
    rig.emulator.shutdown().await;
}

#[tokio::test]
async fn what_happens_while_the_socket_is_gone_is_delivered_once_and_in_order() {
    let rig = Rig::start().await;
    rig.seated("+15550001111", "m0").await;
    let (client, mut watch) = rig.connect(rig.config());
    watch.live().await;
    for round in 0..3 {
        rig.order(&SocketOrder::Drop);
        watch.until(|event| matches!(event, Event::Disconnected { .. }).then_some(())).await;
        for message in 1..4 {
            rig.text("+15550001111", &format!("m{}", round * 3 + message)).await;
        }
        watch.live().await;
    }
    let wanted: Vec<String> = (0..10).map(|message| format!("m{message}")).collect();
    while watch.seen.len() < wanted.len() {
        watch.message().await;
    }
    assert_eq!(watch.seen, wanted);
    client.shutdown().await;
    rig.emulator.shutdown().await;
}

#[tokio::test]
async fn lost_doubled_and_swapped_events_change_nothing() {
    let rig = Rig::start().await;
    rig.seated("+15550001111", "m00").await;
    let (client, mut watch) = rig.connect(rig.config());
    assert_eq!(watch.texts(1).await, ["m00"]);
    for (percent, action) in [(30, Action::Lose), (30, Action::Duplicate), (30, Action::Swap)] {
        let place = Place::SocketEvent { event_type: Some("list_item".to_owned()) };
        let fault = Fault { id: 0, place, action, times: None, skip: 0, percent: Some(percent) };
        rig.emulator.control().add_fault(fault).unwrap();
    }
    let mut wanted = Vec::new();
    for message in 1..40 {
        let body = format!("m{message:02}");
        rig.text("+15550001111", &body).await;
        wanted.push(body);
    }
    rig.emulator.control().clear_faults();
    // One more, so that a loss at the very end is noticed too.
    rig.text("+15550001111", "m40").await;
    wanted.push("m40".to_owned());
    assert_eq!(watch.texts(40).await, wanted);
    client.shutdown().await;
    rig.emulator.shutdown().await;
}

#[tokio::test]
async fn a_send_whose_answer_is_lost_is_unknown_and_stored_once() {
    let rig = Rig::start().await;
    let conversation = rig.seated("+15550001111", "hello").await;
    let (client, mut watch) = rig.connect(rig.config());
    watch.live().await;
    let place = Place::SocketRequest {
        method: Some("POST".to_owned()),
        path: Some("/Messages".to_owned()),
    };
    let fault =
        Fault { id: 0, place, action: Action::BreakAfter, times: Some(1), skip: 0, percent: None };
    rig.emulator.control().add_fault(fault).unwrap();
    let mutation_id = Uuid::now_v7();
    let outcome = client.send(SendMessage::text(conversation, mutation_id, "once")).await;
    assert_eq!(outcome, Outcome::Unknown { reason: UnknownReason::Lost });
    // The same mutation id again: the server answers with what it has.
    watch.live().await;
    let again = client.send(SendMessage::text(conversation, mutation_id, "once")).await;
    assert!(matches!(again, Outcome::Done(_)), "{again:?}");
    let stored = rig.emulator.control().messages(conversation);
    let once = stored.iter().filter(|message| message.body.as_deref() == Some("once")).count();
    assert_eq!(once, 1);
    client.shutdown().await;
    rig.emulator.shutdown().await;
}

#[tokio::test]
async fn an_expired_token_is_replaced_and_the_client_comes_back() {
    let rig = Rig::start().await;
    rig.seated("+15550001111", "m0").await;
    let (client, mut watch) = rig.connect(rig.config());
    watch.live().await;
    rig.order(&SocketOrder::WarnToken);
    rig.order(&SocketOrder::ExpireToken);
    watch.until(|event| matches!(event, Event::Disconnected { .. }).then_some(())).await;
    watch.live().await;
    for (code, hint) in [(308, Some(50)), (401, None)] {
        let order =
            SocketOrder::Close { code, status: None, error_code: None, reconnect_min_ms: hint };
        rig.order(&order);
        watch.until(|event| matches!(event, Event::Disconnected { .. }).then_some(())).await;
        watch.live().await;
    }
    client.shutdown().await;
    rig.emulator.shutdown().await;
}

#[tokio::test]
async fn a_resumed_client_opens_nothing_again_and_misses_nothing() {
    let rig = Rig::start().await;
    for phone in 0..20 {
        rig.seated(&format!("+1555000{phone:04}"), "first").await;
    }
    let (client, mut watch) = rig.connect(rig.config());
    let (mut live, mut caught_up) = (false, 0);
    watch
        .until(|event| {
            match event {
                Event::Live { seats } => live = seats == 20,
                Event::CaughtUp { .. } => caught_up += 1,
                _ => {}
            }
            (live && caught_up == 20).then_some(())
        })
        .await;
    let cold = client.requests_made().await.unwrap();
    let resume = client.shutdown().await.unwrap();
    rig.text("+15550000003", "while away").await;
    let mut config = rig.config();
    config.resume = Some(resume);
    let (client, events) = chimein::realtime::Client::connect(
        config,
        rig.minter("bot"),
        std::sync::Arc::new(AllHandled),
    );
    let mut watch = rig::Watch::new(events);
    assert_eq!(watch.texts(1).await, ["while away"]);
    let warm = client.requests_made().await.unwrap();
    assert!(warm <= 8 && warm < cold, "warm {warm}, cold {cold}");
    client.shutdown().await;
    rig.emulator.shutdown().await;
}

#[tokio::test]
async fn a_slow_owner_loses_nothing_and_holds_little() {
    let rig = Rig::start().await;
    rig.seated("+15550001111", "m000").await;
    let mut config = rig.config();
    config.events_max = 8;
    let (client, mut watch) = rig.connect(config);
    watch.live().await;
    let mut wanted = Vec::new();
    for message in 1..200 {
        let body = format!("m{message:03}");
        rig.text("+15550001111", &body).await;
        wanted.push(body);
    }
    wanted.insert(0, "m000".to_owned());
    while watch.seen.len() < wanted.len() {
        watch.message().await;
    }
    assert_eq!(watch.seen, wanted);
    client.shutdown().await;
    rig.emulator.shutdown().await;
}

#[tokio::test]
async fn a_peer_that_falls_silent_is_left_and_its_messages_are_caught_up() {
    let rig = Rig::start().await;
    rig.seated("+15550001111", "m0").await;
    let mut config = rig.config();
    // The times of the watchdog are held in virtual time elsewhere; here they are short.
    config.session.probe_after = Duration::from_millis(200);
    config.session.silence_max = Duration::from_millis(600);
    let (client, mut watch) = rig.connect(config);
    assert_eq!(watch.texts(1).await, ["m0"]);
    rig.order(&SocketOrder::Freeze);
    rig.text("+15550001111", "m1").await;
    let reason = watch.until(|event| match event {
        Event::Disconnected { reason } => Some(reason),
        _ => None,
    });
    assert_eq!(reason.await, DisconnectReason::Silent);
    assert_eq!(watch.texts(1).await, ["m1"]);
    rig.text("+15550001111", "m2").await;
    assert_eq!(watch.texts(1).await, ["m2"]);
    client.shutdown().await;
    rig.emulator.shutdown().await;
}

#[tokio::test]
async fn seats_are_left_and_taken_and_others_are_seen_to_type() {
    let rig = Rig::start().await;
    let conversation = rig.seated("+15550001111", "m0").await;
    let mut config = rig.config();
    config.roster = true;
    let (client, mut watch) = rig.connect(config);
    let mut kinds = Vec::new();
    while kinds.len() < 2 {
        let participant = watch.until(|event| match event {
            Event::ParticipantJoined(participant) => Some(participant),
            _ => None,
        });
        kinds.push(participant.await.kind.unwrap_or_default());
    }
    kinds.sort();
    assert_eq!(kinds, ["chat", "sms"]);
    let (other, mut others) = rig.connect_as("other", rig.config());
    rig.rest.add_participant(conversation, "other").await.unwrap();
    others.until(|event| matches!(event, Event::CaughtUp { .. }).then_some(())).await;
    assert_eq!(other.typing(conversation).await, Outcome::Done(()));
    let who = watch.until(|event| match event {
        Event::Typing { identity, .. } => Some(identity),
        _ => None,
    });
    assert_eq!(who.await.reveal(), "other");
    assert_eq!(other.leave(conversation).await, Outcome::Done(()));
    others.until(|event| matches!(event, Event::Left { .. }).then_some(())).await;
    watch.until(|event| matches!(event, Event::ParticipantLeft { .. }).then_some(())).await;
    let again = client.join(conversation).await;
    assert_eq!(again, Outcome::Done(()), "the bot is in it already");
    let unknown = chimein::twilio::sid::ConversationSid::from_bytes([9; 16]);
    let refused = client.send(SendMessage::text(unknown, Uuid::now_v7(), "x")).await;
    assert!(matches!(refused, Outcome::Refused { status: 403 | 404, .. }), "{refused:?}");
    other.shutdown().await;
    client.shutdown().await;
    rig.emulator.shutdown().await;
}

#[tokio::test]
async fn a_second_machine_goes_on_from_the_read_horizon() {
    let rig = Rig::start().await;
    let conversation = rig.seated("+15550001111", "m0").await;
    let mut config = rig.config();
    config.horizon_interval = Duration::from_millis(10);
    let (client, mut watch) = rig.connect(config);
    let first = watch.message().await;
    client.mark_handled(conversation, first.index).await;
    // The horizon is written when the server's interval is over; what tells of it is the next start.
    let (second, mut others) = loop {
        let (second, mut others) = rig.connect(rig.config());
        let through = others.until(|event| match event {
            Event::MessageAdded(_) => Some(false),
            Event::CaughtUp { .. } => Some(true),
            _ => None,
        });
        if through.await {
            break (second, others);
        }
        second.shutdown().await;
    };
    rig.text("+15550001111", "m1").await;
    assert_eq!(others.texts(1).await, ["m1"]);
    second.shutdown().await;
    client.shutdown().await;
    rig.emulator.shutdown().await;
}

#[tokio::test]
async fn a_refused_client_tells_why_and_comes_back_by_itself() {
    let rig = Rig::start().await;
    rig.seated("+15550001111", "hello").await;
    let mut config = rig.config();
    config.session.refused_backoff_base = Duration::from_millis(20);
    let (client, mut watch) = rig.connect(config);
    watch.live().await;
    for code in [406, 417] {
        for place in [Place::SocketInit, Place::SocketInit] {
            let (action, times) = (Action::Close { code }, Some(1));
            let fault = Fault { id: 0, place, action, times, skip: 0, percent: None };
            rig.emulator.control().add_fault(fault).unwrap();
        }
        rig.order(&SocketOrder::Close {
            code,
            status: None,
            error_code: None,
            reconnect_min_ms: None,
        });
        let reason = watch.until(|event| match event {
            Event::Fatal { reason } => Some(reason),
            _ => None,
        });
        assert_eq!(reason.await, DisconnectReason::Refused { code });
        watch.live().await;
        assert_eq!(*client.state().borrow(), State::Live);
        assert!(rig.emulator.control().faults().is_empty(), "it was refused three times");
    }
    client.shutdown().await;
    rig.emulator.shutdown().await;
}

#[tokio::test]
async fn shutdown_ends_the_task_and_refuses_what_comes_later() {
    let rig = Rig::start().await;
    let conversation = rig.seated("+15550001111", "hello").await;
    let (client, mut watch) = rig.connect(rig.config());
    watch.live().await;
    let state = client.state();
    tokio::time::timeout(Duration::from_secs(5), client.shutdown()).await.unwrap();
    assert_eq!(*state.borrow(), State::ShutDown);
    let late = client.send(SendMessage::text(conversation, Uuid::now_v7(), "late")).await;
    assert!(matches!(late, Outcome::NotSent { .. }), "{late:?}");
    rig.emulator.shutdown().await;
}

static_assertions::assert_impl_all!(chimein::realtime::Client: Send, Sync, Clone);
static_assertions::assert_impl_all!(chimein::realtime::Events: Send);

/// An owner that has handled the first message of every conversation.
struct AllHandled;

impl chimein::realtime::Watermarks for AllHandled {
    fn load(
        &self,
        _conversation: chimein::twilio::sid::ConversationSid,
    ) -> futures::future::BoxFuture<'_, Result<Option<u64>, chimein::realtime::WatermarkError>>
    {
        Box::pin(std::future::ready(Ok(Some(0))))
    }
}
