//! The bot takes the place of another program that spoke under its identity, gives it back, and takes it
//! again: nobody gets a second answer, and whoever got none gets one.

use chimein::clock::Clock;
use chimein::emulator::control::Webhook;
use chimein::emulator::faults::{Action, Place};
use chimein::emulator::state::model::Message;
use chimein::telemetry::journal::Stage;
use chimein::thread::SkipReason;
use chimein::twilio::sid::ConversationSid;

use crate::hooks::FirstMessage;
use crate::rig::{BOT, PHONE, Rig};

const NO_SOCKET: (&str, &str) = ("CHIMEIN_REALTIME_ENABLED", "false");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_nobody_has_answered_is_answered_however_often_the_bot_is_taken_over() {
    for extra in [&[][..], &[NO_SOCKET]] {
        let mut rig = Rig::without_service(extra).await;
        let conversation = rig.sms(PHONE, "one").await;
        seat(&rig, conversation).await;
        other_bot_says(&rig, conversation, "other: one").await;
        rig.sms(PHONE, "two").await;
        other_bot_says(&rig, conversation, "other: two").await;
        rig.sms(PHONE, "three").await;
        rig.start_service().await;
        rig.expect(conversation, &["other: one", "other: two", "three"]).await;
        assert_eq!(answered_before(&rig, conversation), 2);

        // Back to the other one, which answers some.
        leave(&mut rig).await;
        rig.sms(PHONE, "four").await;
        other_bot_says(&rig, conversation, "other: four").await;
        rig.sms(PHONE, "five").await;
        rig.start_service().await;
        let second = ["other: one", "other: two", "three", "other: four", "five"];
        rig.expect(conversation, &second).await;
        assert_eq!(answered_before(&rig, conversation), 1);

        // A restart changes nothing, and what comes from here on is answered as ever.
        leave(&mut rig).await;
        rig.start_service().await;
        rig.sms(PHONE, "six").await;
        rig.expect(conversation, &[&second[..], &["six"]].concat()).await;
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_lost_makes_nobody_hear_the_bot_twice() {
    for extra in [&[][..], &[NO_SOCKET]] {
        let mut rig = Rig::without_service(extra).await;
        rig.start_service().await;
        let conversation = rig.sms(PHONE, "one").await;
        rig.expect(conversation, &["one"]).await;
        leave(&mut rig).await;
        rig.sms(PHONE, "two").await;
        rig.lose_store();
        next_second(&rig).await;
        rig.start_service().await;
        rig.expect(conversation, &["one", "two"]).await;
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_word_beside_the_bots_answers_nothing_while_the_service_is_there() {
    for extra in [&[][..], &[NO_SOCKET]] {
        let rig = Rig::start(extra).await;
        next_second(&rig).await;
        let conversation = rig.sms(PHONE, "one").await;
        other_bot_says(&rig, conversation, "a note of another program").await;
        rig.sms(PHONE, "two").await;
        rig.eventually("all is said", |rig| rig.replies(conversation).len() == 3).await;
        rig.settled().await;
        assert_eq!(answered_before(&rig, conversation), 0);
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_comes_late_tells_of_nothing_that_was_answered() {
    let mut rig = Rig::without_service(&[NO_SOCKET]).await;
    let conversation = rig.sms(PHONE, "one").await;
    other_bot_says(&rig, conversation, "other: one").await;
    let late = rig.control.messages(conversation).remove(0);
    // Nothing else tells of the conversation.
    let listing = Place::Rest { method: Some("GET".into()), path: Some("/Conversations?".into()) };
    rig.fault(listing, Action::Answer { status: 400, code: None, retry_after: None }, 1000);
    rig.launch_service().await;
    hook(&rig, conversation, &late).await;
    rig.eventually("it is skipped", |rig| answered_before(rig, conversation) == 1).await;
    rig.settled().await;
    rig.sms(PHONE, "two").await;
    rig.expect(conversation, &["other: one", "two"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_bot_begins_is_the_operators_to_say() {
    for (begin, replies) in [("now", &["other: one"][..]), ("all", &["other: one", "one", "two"])] {
        let mut rig = Rig::without_service(&[("CHIMEIN_TURNS_BEGIN", begin)]).await;
        let conversation = rig.sms(PHONE, "one").await;
        other_bot_says(&rig, conversation, "other: one").await;
        rig.sms(PHONE, "two").await;
        next_second(&rig).await;
        rig.start_service().await;
        rig.eventually("the messages are seen", |rig| seen(rig, conversation) == 2).await;
        rig.expect(conversation, replies).await;
        rig.sms(PHONE, "three").await;
        rig.expect(conversation, &[replies, &["three"]].concat()).await;
        rig.end().await;
    }
}

/// The other program takes its seat.
async fn seat(rig: &Rig, conversation: ConversationSid) {
    let participants = format!("Conversations/{conversation}/Participants");
    rig.rest_post(&participants, &[("Identity", BOT)]).await;
}

/// The other program answers under the bot's identity.
async fn other_bot_says(rig: &Rig, conversation: ConversationSid, body: &str) {
    let messages = format!("Conversations/{conversation}/Messages");
    rig.rest_post(&messages, &[("Author", BOT), ("Body", body)]).await;
}

/// Waits for the second after this one: Twilio's REST API dates messages to the second, so that nothing
/// tells which of two came first that happen within one.
async fn next_second(rig: &Rig) {
    let clock = Clock::start();
    let second = || clock.wall().as_millis() / 1000;
    let this = second();
    rig.eventually("the next second begins", |_| second() > this).await;
}

/// The service goes, and webhooks lead elsewhere.
async fn leave(rig: &mut Rig) {
    rig.settled().await;
    rig.stop_service().await;
    rig.control.set_webhook(Webhook::default());
}

fn answered_before(rig: &Rig, conversation: ConversationSid) -> usize {
    let skipped = Stage::Skipped { reason: SkipReason::Answered };
    count(rig, conversation, |stage| stage == skipped)
}

fn seen(rig: &Rig, conversation: ConversationSid) -> usize {
    count(rig, conversation, |stage| matches!(stage, Stage::MessageSeen { .. }))
}

fn count(rig: &Rig, conversation: ConversationSid, is_wanted: impl Fn(Stage) -> bool) -> usize {
    rig.app().journal().recent(conversation).iter().filter(|record| is_wanted(record.stage)).count()
}

/// Sends a message's webhook.
async fn hook(rig: &Rig, conversation: ConversationSid, message: &Message) {
    let url = format!("http://{}{}", rig.app().address(), chimein::webhook::ROUTE);
    let told = FirstMessage { conversation, message, author: PHONE, body: "one" };
    told.post(&rig.emulator, &url).await;
}
