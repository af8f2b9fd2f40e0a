//! Several instances: every message is answered once and in order, whichever of them dies.
//!
//! Three processes of the real binary share a NATS server and stand behind a balancer that gives the
//! emulator's webhooks to them in turn. `CHIMEIN_CLUSTER_CONVERSATIONS=2000` and
//! `CHIMEIN_CLUSTER_MESSAGES=10000` make the run long. Needs a nats-server, see `tests/nats_server`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod balancer;
#[path = "../child/mod.rs"]
mod child;
#[path = "../crash/line.rs"]
mod line;
#[path = "../nats_server/mod.rs"]
mod nats_server;
mod numbers;
mod rig;

use std::time::Duration;

use chimein::clock::{Clock, Moment};
use chimein::emulator::state::model::Participant;
use reqwest::Method;

use crate::child::tally::Tally;
use crate::child::{BOTS, NUMBER, within};
use crate::rig::Rig;

/// How much is said unless the environment says otherwise.
const CONVERSATIONS: u32 = 60;
const MESSAGES: u32 = 400;
/// Messages a second.
const RATE: u32 = 25;
/// How long the last answers may take.
const ANSWER_MAX: Duration = Duration::from_secs(150);
/// Conversations that are closed, so many that each instance holds some.
const CLOSED: usize = 24;
/// A phone.
const PHONE: &str = "+15555550123";
/// How long nothing may follow the last answer for the count to be final.
const QUIET: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_is_answered_once_and_in_order_whichever_instance_dies() {
    let conversations = number("CHIMEIN_CLUSTER_CONVERSATIONS").unwrap_or(CONVERSATIONS);
    let messages = number("CHIMEIN_CLUSTER_MESSAGES").unwrap_or(MESSAGES);
    let rate = number("CHIMEIN_CLUSTER_RATE").unwrap_or(RATE);
    let mut rig = Rig::start(20_261_121).await;
    let clock = Clock::start();
    for said in 0..messages {
        clock.sleep_until(Moment::ORIGIN + Duration::from_secs(1) / rate * said).await;
        happens(&mut rig, said, messages).await;
        let from = format!("+1555{:07}", said % conversations);
        rig.control.receive_sms(&from, NUMBER, &format!("{from} says {said}")).await.unwrap();
    }
    let said_in = clock.now().since(Moment::ORIGIN).as_secs_f64();
    let answered = within(ANSWER_MAX, || Tally::of(&rig.control).is_complete()).await;
    let answered_in = clock.now().since(Moment::ORIGIN).as_secs_f64() - said_in;
    tokio::time::sleep(QUIET).await;
    let tally = Tally::of(&rig.control);
    println!("{tally}\nsaid in       {said_in:>8.1} s\nanswered in   {answered_in:>8.1} s more");
    assert!(answered && tally.is_kept(), "{:?}\n{}", tally.wrong, rig.logs());
    assert_eq!(tally.messages, usize::try_from(messages).unwrap());
    rig.stop().await;
}

/// One instance is killed, starts again, is stopped gracefully, starts again; NATS is restarted.
async fn happens(rig: &mut Rig, said: u32, messages: u32) {
    let is_at = |percent: u32| said == messages * percent / 100;
    if is_at(30) {
        rig.instances[0].kill().await;
    }
    if is_at(50) {
        rig.instances[0].start(&[]);
        rig.instances[1].stop().await;
    }
    if is_at(60) {
        rig.instances[1].start(&[]);
    }
    if is_at(80) {
        rig.restart_nats().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_is_taken_over_within_ten_seconds_of_a_kill_and_at_once_after_a_stop() {
    let mut rig = Rig::start(7).await;
    let clock = Clock::start();
    rig.instances[0].kill().await;
    let is_less = || rig.control.connected().len() < BOTS.len();
    assert!(within(Duration::from_secs(5), is_less).await, "the dead one's socket is gone");
    let is_all = || rig.control.connected().len() == BOTS.len();
    let taken = within(Duration::from_secs(30), is_all).await;
    let after_kill = clock.now().since(Moment::ORIGIN);
    assert!(taken, "{}", rig.logs());
    rig.instances[0].start(&[]);
    assert!(within(Duration::from_secs(60), || restarted_listens(&rig)).await, "{}", rig.logs());
    let clock = Clock::start();
    rig.instances[1].tell_to_stop().await;
    let (control, instance) = (rig.control.clone(), &mut rig.instances[1]);
    assert!(within(Duration::from_secs(15), || !instance.is_running()).await);
    let stopped = clock.now();
    let taken = within(Duration::from_secs(30), || control.connected().len() == BOTS.len()).await;
    let after_stop = clock.now().since(stopped);
    println!("taken over {after_kill:.1?} after a kill, {after_stop:.1?} after a stop");
    assert!(taken, "{}", rig.logs());
    assert!(after_kill < Duration::from_secs(10), "{after_kill:?} after the kill");
    assert!(after_stop < Duration::from_secs(2), "{after_stop:?} after the stop");
    rig.instances[1].start(&[]);
    assert!(rig.instances[1].is_listening().await);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_starts_while_nats_is_away_waits_for_it() {
    const TAKES_PART: &str = "this instance is one of several";
    let mut rig = Rig::start(13).await;
    rig.instances[0].stop().await;
    let before = rig.logged(TAKES_PART);
    rig.nats.kill();
    rig.instances[0].start(&[]);
    let waits = within(ANSWER_MAX, || rig.logged("the start waits for nats") > 0).await;
    assert!(waits, "{}", rig.logs());
    rig.nats.begin();
    assert!(within(ANSWER_MAX, || rig.logged(TAKES_PART) > before).await, "{}", rig.logs());
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_instance_leaves_the_closed_conversations_that_are_its_own() {
    let rig = Rig::start_with(11, &[("CHIMEIN_SEATS_LEAVE_CLOSED", "true")]).await;
    for phone in 0..CLOSED {
        rig.control.receive_sms(&format!("+1555{phone:07}"), NUMBER, "hello").await.unwrap();
    }
    let answered = within(ANSWER_MAX, || Tally::of(&rig.control).is_complete()).await;
    assert!(answered, "{}", rig.logs());
    // A reply may go out over REST before the join that is under way has ended.
    assert!(within(ANSWER_MAX, || rig.seats() == CLOSED).await, "{}", rig.logs());
    for conversation in rig.control.conversations() {
        rig.close(conversation.sid).await;
    }
    let left = within(ANSWER_MAX, || rig.seats() == 0).await;
    assert!(left, "{} seats are left\n{}", rig.seats(), rig.logs());
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_instance_brings_the_bot_back_where_somebody_has_removed_it() {
    const SKIPPED: &str = "\"msg\":\"message gets no turn\",\"reason\":\"removed\"";
    let mut rig = Rig::start(12).await;
    rig.control.receive_sms(PHONE, NUMBER, "hello").await.unwrap();
    let answered = within(ANSWER_MAX, || Tally::of(&rig.control).is_complete()).await;
    assert!(answered, "{}", rig.logs());
    assert!(within(ANSWER_MAX, || rig.seats() == 1).await, "{}", rig.logs());
    let conversation = rig.control.conversations().remove(0);
    let bot = |who: &&Participant| who.identity.as_deref().is_some_and(|id| BOTS.contains(&id));
    let participant = conversation.participants.values().find(bot).unwrap().sid;
    let path = format!("{}/Participants", conversation.sid);
    rig.write(Method::DELETE, &format!("{path}/{participant}"), "").await;
    let noted = within(ANSWER_MAX, || rig.logged("somebody has removed the bot") > 0).await;
    assert!(noted, "{}", rig.logs());
    // The others know it with the next tick of the instance that noted it.
    let mut asked = 0;
    while rig.logged(SKIPPED) == 0 {
        asked += 1;
        assert!(asked < 60, "{}", rig.logs());
        rig.control.receive_sms(PHONE, NUMBER, &format!("anybody {asked}")).await.unwrap();
        let _skipped = within(Duration::from_millis(500), || rig.logged(SKIPPED) > 0).await;
    }
    for instance in &mut rig.instances {
        instance.stop().await;
        instance.start(&[]);
    }
    let (replies, skipped) = (replies(&rig), rig.logged(SKIPPED));
    rig.control.receive_sms(PHONE, NUMBER, "still anybody").await.unwrap();
    let silent = within(ANSWER_MAX, || rig.logged(SKIPPED) > skipped).await;
    assert!(silent, "{}", rig.logs());
    assert_eq!((rig.seats(), self::replies(&rig)), (0, replies));
    rig.write(Method::POST, &path, "Identity=bot-2").await;
    let is_in = within(ANSWER_MAX, || rig.logged("bot is let into the conversation again") > 0);
    assert!(is_in.await, "{}", rig.logs());
    // The others know it with the next tick of the instance that was told, or ask after a minute.
    let mut asked = 0;
    while self::replies(&rig) == replies {
        asked += 1;
        assert!(asked < 150, "{}", rig.logs());
        rig.control.receive_sms(PHONE, NUMBER, &format!("welcome {asked}")).await.unwrap();
        let _answered = within(Duration::from_millis(500), || self::replies(&rig) > replies).await;
    }
    rig.stop().await;
}

/// How much the bot has said.
fn replies(rig: &Rig) -> usize {
    let conversations = rig.control.conversations();
    let messages = conversations.iter().flat_map(|conversation| conversation.messages.values());
    messages.filter(|message| BOTS.contains(&message.author.as_str())).count()
}

/// Whether the instance that was killed listens for an identity again. Its log has one line of the
/// life before, which ended without a word.
fn restarted_listens(rig: &Rig) -> bool {
    rig.listens_for(0) == 2 && rig.control.connected().len() == BOTS.len()
}

fn number(name: &str) -> Option<u32> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}
