//! Group MMS: a conversation that cannot be joined when it is first heard of.

use chimein::emulator::record::Happening;
use chimein::emulator::state::limits::Limits;
use chimein::emulator::state::model::State;

use crate::rig::{BOT, PHONE, Rig};

const OTHER: &str = "+15555550124";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_message_of_a_group_is_answered_once_although_joining_fails_at_first() {
    let rig = Rig::start(&[]).await;
    let conversation = rig.group_sms(PHONE, &[OTHER], "hello all").await;
    rig.expect(conversation, &["hello all"]).await;
    assert!(refused_joins(&rig) > 0, "the bot was never refused");
    assert_eq!(rig.control.conversations()[0].state, State::Active);
    // The other member's message finds the same conversation and is answered as well.
    assert_eq!(rig.group_sms(OTHER, &[PHONE], "me too").await, conversation);
    rig.expect(conversation, &["hello all", "me too"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_is_answered_once_without_a_socket_too() {
    let rig = Rig::start(&[("CHIMEIN_REALTIME_ENABLED", "false")]).await;
    let conversation = rig.group_sms(PHONE, &[OTHER], "hello all").await;
    rig.expect(conversation, &["hello all"]).await;
    assert!(refused_joins(&rig) > 0, "the bot was never refused");
    let by_bot = rig.control.messages(conversation).into_iter().find(|one| one.author == BOT);
    assert_eq!(by_bot.unwrap().receipts.len(), 2, "both phones get the answer");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_is_long_in_the_making_is_waited_for_beyond_the_schedule() {
    let rig = Rig::start(&[("CHIMEIN_JOIN_SCHEDULE", "50ms")]).await;
    rig.control.set_limits(Limits { group_setup_ms: 3500, ..Limits::default() });
    let conversation = rig.group_sms(PHONE, &[OTHER], "hello all").await;
    rig.expect(conversation, &["hello all"]).await;
    assert!(refused_joins(&rig) > 2, "two attempts are all that the schedule has");
    rig.end().await;
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
