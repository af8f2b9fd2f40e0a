//! Group MMS: a conversation that cannot be joined when it is first heard of.

use chimein::emulator::faults::{Action, Place};
use chimein::emulator::record::Happening;
use chimein::emulator::state::limits::Limits;
use chimein::emulator::state::model::State;
use chimein::twilio::sid::ConversationSid;

use crate::rig::{BOT, PHONE, Rig};

/// Long after every test.
const NEVER_MS: u64 = 3_600_000;

const OTHER: &str = "+15555550124";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_message_of_a_group_is_answered_once_although_joining_fails_at_first() {
    let rig = Rig::start(&[]).await;
    let conversation = refused_group(&rig, 1).await;
    rig.expect(conversation, &["hello all"]).await;
    assert_eq!(rig.control.conversations()[0].state, State::Active);
    // The other member's message finds the same conversation and is answered as well.
    assert_eq!(rig.group_sms(OTHER, &[PHONE], "me too").await, conversation);
    rig.expect(conversation, &["hello all", "me too"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_is_answered_once_without_a_socket_too() {
    let rig = Rig::start(&[("CHIMEIN_REALTIME_ENABLED", "false")]).await;
    let conversation = refused_group(&rig, 1).await;
    rig.expect(conversation, &["hello all"]).await;
    let by_bot = rig.control.messages(conversation).into_iter().find(|one| one.author == BOT);
    assert_eq!(by_bot.unwrap().receipts.len(), 2, "both phones get the answer");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_is_long_in_the_making_is_waited_for_beyond_the_schedule() {
    let rig = Rig::start(&[("CHIMEIN_JOIN_SCHEDULE", "50ms")]).await;
    // Two attempts are all that the schedule has.
    let conversation = refused_group(&rig, 3).await;
    rig.expect(conversation, &["hello all"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_is_set_up_just_after_a_refusal_is_joined() {
    let rig = Rig::start(&[("CHIMEIN_JOIN_SCHEDULE", "50ms")]).await;
    let conversation = refused_group(&rig, 3).await;
    // Refused once or twice more, and set up by the time anybody looks.
    let path = Some(format!("{conversation}/Participants"));
    let place = Place::Rest { method: Some("POST".to_owned()), path };
    rig.fault(place, Action::Answer { status: 409, code: Some(50_391), retry_after: None }, 2);
    rig.expect(conversation, &["hello all"]).await;
    rig.end().await;
}

/// A group that a phone has begun, set up only after the bot was refused so often.
async fn refused_group(rig: &Rig, times: usize) -> ConversationSid {
    let set_up_after = |group_setup_ms| {
        rig.control.set_limits(Limits { group_setup_ms, ..Limits::default() });
    };
    set_up_after(NEVER_MS);
    let conversation = rig.group_sms(PHONE, &[OTHER], "hello all").await;
    rig.eventually("the bot is refused", |rig| refused_joins(rig) >= times).await;
    set_up_after(0);
    conversation
}

/// How often Twilio refused to let the bot in.
fn refused_joins(rig: &Rig) -> usize {
    let is_refusal = |what: &Happening| match what {
        Happening::Rest { method, path, status, .. } => {
            method == "POST" && path.reveal().ends_with("/Participants") && *status == Some(409)
        }
        _ => false,
    };
    rig.control.records(0).iter().filter(|record| is_refusal(&record.what)).count()
}
