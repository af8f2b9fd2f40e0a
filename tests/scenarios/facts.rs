//! What Twilio is asked about a conversation is asked once for all who want to know it.

use std::sync::Arc;
use std::time::Duration;

use chimein::channels::Marking as _;
use chimein::channels::conversations::channel::ConversationMarks;
use chimein::channels::conversations::facts::ConversationFacts;
use chimein::channels::conversations::join_rules::JoinRules;
use chimein::channels::conversations::policy::join_policy::JoinPolicy;
use chimein::channels::conversations::seats::{Listening, PoolMember, Seats};
use chimein::clock::Clock;
use chimein::emulator::faults::{Action, Place};
use chimein::jobs::recorder::Recorder;
use chimein::net::tls;
use chimein::telemetry::journal::Journal;
use chimein::telemetry::metrics::Metrics;
use chimein::twilio::rest::{self, Credentials};
use chimein::twilio::sid::ConversationSid;
use futures::future::join_all;

use crate::rig::{PHONE, Rig};

/// How many ask of each kind.
const ASKERS: usize = 25;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_ask_at_once_cost_one_request_each_for_conversation_and_participants() {
    let rig = Rig::without_service(&[]).await;
    let conversation = rig.sms(PHONE, "hello").await;
    let facts = Arc::new(facts_of(&rig));
    slow(&rig);
    let recorder = recorder();
    let seats = Arc::new(Seats::new(vec![PoolMember::new("bot".into(), Listening::Off)]));
    let marks = ConversationMarks {
        rest: client(&rig),
        facts: Arc::clone(&facts),
        seats: Arc::clone(&seats),
    };
    let wishes = JoinPolicy { attribute: Some(("a".into(), "b".into())), ..JoinPolicy::default() };
    let rules = JoinRules::new(wishes, Arc::clone(&facts), seats, recorder);
    let asked = join_all((0..ASKERS).map(|_| async {
        let handoff = async { marks.marks(conversation.into()).await.unwrap().is_some() };
        let choice = async { rules.wants_still(conversation).await.unwrap() };
        let phone = async { facts.has_phone(conversation).await.unwrap() };
        let pace =
            async { facts.numbers(conversation, Duration::from_secs(1)).await.unwrap().len() };
        tokio::join!(handoff, choice, phone, pace)
    }));
    for (is_there, is_wanted, has_phone, numbers) in asked.await {
        assert_eq!((is_there, is_wanted, has_phone, numbers), (true, false, true, 1));
    }
    let (conversations, participants) = reads(&rig, conversation);
    assert_eq!(conversations, 1);
    // The rules ask who is in it once they know that it is there: then the first read may be over.
    assert!(participants <= 2, "{participants}");
    // What lasts is remembered, what changes is asked again.
    assert_eq!(facts.numbers(conversation, Duration::from_secs(300)).await.unwrap().len(), 1);
    assert_eq!(reads(&rig, conversation), (1, participants));
    assert!(facts.has_phone(conversation).await.unwrap());
    assert_eq!(reads(&rig, conversation), (1, participants + 1));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_after_a_change_is_told_of_after_it() {
    let rig = Rig::without_service(&[]).await;
    let conversation = rig.sms(PHONE, "hello").await;
    let facts = facts_of(&rig);
    slow(&rig);
    let before = facts.conversation(conversation);
    let after = async {
        rig.eventually("the first is asked", |rig| reads(rig, conversation).0 == 1).await;
        facts.changed(conversation);
        join_all((0..ASKERS).map(|_| facts.conversation(conversation))).await
    };
    let (before, after) = tokio::join!(before, after);
    assert!(before.unwrap().is_some() && after.into_iter().all(|found| found.unwrap().is_some()));
    assert_eq!(reads(&rig, conversation).0, 2);
    rig.end().await;
}

/// How often Twilio was asked how a conversation is, and who is in it.
fn reads(rig: &Rig, conversation: ConversationSid) -> (usize, usize) {
    let all = rig.rest_requests("GET", &conversation.to_string());
    let participants = rig.rest_requests("GET", &format!("{conversation}/Participants"));
    (all - participants, participants)
}

/// Has Twilio take its time, so that all ask before anybody is answered.
fn slow(rig: &Rig) {
    let read = Place::Rest { method: Some("GET".to_owned()), path: None };
    rig.fault(read, Action::Delay { ms: 500 }, 100);
}

fn facts_of(rig: &Rig) -> ConversationFacts {
    ConversationFacts::new(client(rig), Clock::start())
}

fn client(rig: &Rig) -> rest::Client {
    let (urls, credentials) = (rig.emulator.urls(), rig.emulator.credentials());
    let token = Credentials::AuthToken(credentials.auth_token.clone());
    let options = rest::Options {
        conversations_base_url: urls.conversations.clone(),
        api_base_url: urls.api.clone(),
        chat_service_sid: Some(credentials.service_sid),
        ..rest::Options::new(credentials.account_sid, token)
    };
    rest::Client::new(options, tls::client_config().unwrap().0, Clock::start(), None).unwrap()
}

fn recorder() -> Recorder {
    Recorder {
        journal: Journal::new(64),
        metrics: Metrics::new(),
        clock: Clock::start(),
        tally: Arc::default(),
    }
}
