//! What an agent that wants to know is told of its replies: each step, in order, and nobody waits for it.

use axum::response::IntoResponse;
use chimein::emulator::faults::{Action, Place};
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::numbers::statuses;
use crate::receiver::{Mood, Receiver, SECRET, Told};
use crate::rig::{NUMBER, PHONE, Rig};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_step_of_a_reply_is_told_in_order_until_it_has_arrived() {
    let office = Office::start(&[]).await;
    for action in [Action::Swap, Action::Duplicate, Action::Delay { ms: 50 }] {
        office.desk.fault(statuses(), action, 2);
    }
    let texts = ["one", "two", "three"];
    for text in texts {
        office.desk.text(PHONE, NUMBER, text).await;
    }
    office.desk.expect_texts(PHONE, &texts).await;
    office.until("all have arrived", |told| told.states("delivered").len() == 3).await;
    let told = office.receiver.told();
    let turns: Vec<_> = office.agent.asked().iter().map(|turn| turn["id"].clone()).collect();
    for turn in turns {
        let mine: Vec<_> = told.0.iter().filter(|report| report["turn"] == turn).collect();
        let states: Vec<_> = mine.iter().map(|report| place(&report["state"])).collect();
        assert!(states.is_sorted_by(|a, b| a < b), "{states:?}");
        let last = mine.last().unwrap();
        assert_eq!(
            (&last["index"], &last["parts"], &last["channel"]),
            (&json!(0), &json!(1), &json!("sms"))
        );
        assert!(
            mine.iter().all(|report| report["reply"] == last["reply"] && report["key"].is_null())
        );
    }
    office.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_did_not_arrive_is_told_with_code_and_meaning() {
    let office = Office::start(&[]).await;
    let to = Place::Text { to: Some(PHONE.to_owned()) };
    office.desk.fault(to.clone(), Action::Stray { code: 30003 }, 1);
    office.desk.text(PHONE, NUMBER, "nobody there").await;
    office.until("it is told", |told| !told.states("undelivered").is_empty()).await;
    let report = office.receiver.told().states("undelivered").remove(0);
    assert_eq!(report["code"], 30003);
    assert!(report["meaning"].as_str().is_some_and(|meaning| !meaning.is_empty()), "{report}");
    office.desk.fault(to, Action::Fail { code: 30008 }, 1);
    office.desk.text(PHONE, NUMBER, "once more").await;
    office.until("the second one has arrived", |told| !told.states("delivered").is_empty()).await;
    let told = office.receiver.told();
    let (failed, arrived) = (told.states("failed").remove(0), told.states("delivered").remove(0));
    assert_eq!((&failed["turn"], &failed["index"]), (&arrived["turn"], &arrived["index"]));
    assert_ne!(failed["reply"], arrived["reply"]);
    office.desk.settled().await;
    assert_eq!(
        office.receiver.told().states("dead"),
        Vec::<Value>::new(),
        "it was told how it failed"
    );
    office.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_is_away_or_silent_holds_nobody_up_and_hears_all_later() {
    for mood in [Mood::Away, Mood::Silent] {
        let office = Office::start(&[]).await;
        office.receiver.is(mood);
        let texts = ["one", "two", "three", "four"];
        for text in texts {
            office.desk.text(PHONE, NUMBER, text).await;
        }
        office
            .desk
            .eventually("all are answered", |desk| {
                desk.control.texts_to(PHONE).len() == texts.len()
            })
            .await;
        assert_eq!(office.receiver.told().0.len(), 0);
        office.receiver.is(Mood::Fine);
        office.until("all is told", |told| told.states("delivered").len() == texts.len()).await;
        office.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_is_refused_is_a_dead_letter_and_turns_go_on() {
    let office = Office::start(&[]).await;
    office.receiver.is(Mood::Refusing);
    office.desk.text(PHONE, NUMBER, "one").await;
    office.desk.expect_texts(PHONE, &["one"]).await;
    let letter = office.desk.dead_letter_of("reports").await;
    assert_eq!(letter["cause"]["class"], "agent_status", "{letter}");
    office.desk.text(PHONE, NUMBER, "two").await;
    office.desk.expect_texts(PHONE, &["one", "two"]).await;
    office.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversations_replies_are_told_of_too_by_their_receivers() {
    let receiver = Receiver::start().await;
    let agent = Agent::start(|turn, _| echo(turn)).await;
    let settings =
        [("CHIMEIN_AGENT_REPORT_URL", receiver.url.as_str()), ("CHIMEIN_AGENT_SECRET", SECRET)];
    let rig = agent.rig_with(&settings).await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["hello"]).await;
    rig.eventually("it is told", |_| !receiver.told().states("delivered").is_empty()).await;
    let report = receiver.told().states("delivered").remove(0);
    assert_eq!(
        (&report["thread"], &report["channel"]),
        (&json!(conversation), &json!("conversation"))
    );
    assert!(report["recipient"].as_str().is_some_and(|sid| sid.starts_with("MB")), "{report}");
    assert!(!receiver.told().states("accepted").is_empty());
    rig.end().await;
}

/// How far a state is on a reply's way.
fn place(state: &Value) -> usize {
    let way = ["accepted", "queued", "sending", "sent", "delivered", "read"];
    way.iter().position(|known| state == *known).expect("a known state")
}

fn echo(turn: &Value) -> axum::response::Response {
    axum::Json(json!({"replies": [turn["messages"][0]["body"]]})).into_response()
}

/// The service with an agent that echoes, and who takes its reports.
struct Office {
    desk: Rig,
    agent: Agent,
    receiver: Receiver,
}

impl Office {
    async fn start(extra: &[(&'static str, &str)]) -> Self {
        let (receiver, agent) = (Receiver::start().await, Agent::start(|turn, _| echo(turn)).await);
        let ours = [
            ("CHIMEIN_AGENT_KIND", "http"),
            ("CHIMEIN_AGENT_URL", agent.url()),
            ("CHIMEIN_AGENT_REPORT_URL", receiver.url.as_str()),
            ("CHIMEIN_AGENT_SECRET", SECRET),
            ("CHIMEIN_AGENT_SCHEDULE", "50ms,100ms,200ms"),
        ];
        let desk = Rig::on_numbers(&[&ours, extra].concat()).await;
        Self { desk, agent, receiver }
    }

    async fn until(&self, what: &str, holds: impl Fn(&Told) -> bool) {
        self.desk.eventually(what, |_| holds(&self.receiver.told())).await;
    }

    async fn end(self) {
        self.desk.end().await;
    }
}
