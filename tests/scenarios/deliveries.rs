//! How replies in conversations fare on their way to phones: told by `onDeliveryUpdated`, in any order.

use chimein::emulator::faults::{Action, Place};
use chimein::twilio::sid::ConversationSid;
use serde_json::{Value, json};

use crate::rig::{PHONE, Rig};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_is_followed_until_it_has_arrived_in_whatever_order_that_is_told() {
    for action in [None, Some(Action::Duplicate), Some(Action::Swap)] {
        let office = Office::start().await;
        if let Some(action) = action.clone() {
            office.rig.fault(told(), action, 3);
        }
        let conversation = office.answered("hello").await;
        office.say(conversation, "k1", "It is time.").await;
        office.rig.expect(conversation, &["hello", "It is time."]).await;
        let fate = office.fate(conversation, "k1", |fate| fate["delivery"][0]["is_over"] == true);
        assert_eq!(fate.await["delivery"], json!([arrived()]), "{action:?}");
        assert!(office.metrics().await.contains(r#"text_statuses_total{status="delivered"} 2"#));
        office.rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_phone_gets_is_a_dead_letter_with_its_code() {
    for (action, code, class) in [
        (Action::Stray { code: 30003 }, 30003, "undelivered"),
        (Action::Fail { code: 30006 }, 30006, "undelivered"),
        (Action::Fail { code: 21610 }, 21610, "opted_out"),
        (Action::Fail { code: 63016 }, 63016, "window_closed"),
    ] {
        let office = Office::start().await;
        office.rig.fault(to(PHONE), action, 1);
        let conversation = office.answered("hello").await;
        let cause = office.rig.dead_letter_of("outbox").await["cause"].clone();
        assert_eq!((&cause["code"], &cause["class"]), (&json!(code), &json!(class)), "{cause}");
        office.rig.expect(conversation, &["hello"]).await;
        office.rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_passes_is_sent_once_more_where_nobody_else_has_it() {
    let office = Office::start().await;
    office.rig.fault(to(PHONE), Action::Fail { code: 30008 }, 1);
    let conversation = office.answered("once more").await;
    office.rig.expect(conversation, &["once more", "once more"]).await;
    office.rig.fault(to(PHONE), Action::Fail { code: 30008 }, 2);
    office.rig.sms(PHONE, "twice").await;
    assert_eq!(office.rig.dead_letter_of("outbox").await["cause"]["code"], 30008);
    office.rig.expect(conversation, &["once more", "once more", "twice", "twice"]).await;
    office.rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_have_got_is_not_sent_to_them_again() {
    let office = Office::start().await;
    let conversation = office.answered("hello").await;
    let participants = format!("Conversations/{conversation}/Participants");
    office.rig.rest_post(&participants, &[("Identity", "alice")]).await;
    office.rig.fault(to(PHONE), Action::Fail { code: 30001 }, 1);
    office.rig.sms(PHONE, "and now").await;
    let cause = office.rig.dead_letter_of("outbox").await["cause"].clone();
    assert_eq!((&cause["code"], &cause["class"]), (&json!(30001), &json!("undelivered")));
    office.rig.expect(conversation, &["hello", "and now"]).await;
    office.rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_known_of_a_reply_outlives_the_service() {
    let mut office = Office::start().await;
    let conversation = office.answered("hello").await;
    office.rig.fault(told(), Action::Lose, 1);
    office.rig.fault(told(), Action::Delay { ms: 1 }, 1);
    office.say(conversation, "k1", "It is time.").await;
    office.fate(conversation, "k1", |fate| fate["delivery"][0]["state"] == "delivered").await;
    office.rig.stop_service().await;
    office.rig.start_service().await;
    let fate = office.fate(conversation, "k1", |_| true).await;
    assert_eq!(fate["delivery"], json!([arrived()]));
    office.rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_what_is_not_told() {
    let office = Office::start().await;
    office.rig.fault(told(), Action::Lose, 100);
    let conversation = office.answered("hello").await;
    office.say(conversation, "k1", "It is time.").await;
    office.rig.expect(conversation, &["hello", "It is time."]).await;
    let fate = office.fate(conversation, "k1", |fate| fate["state"] == "sent").await;
    assert_eq!(fate["delivery"], json!([]));
    office.rig.end().await;
}

/// What is told of one that has arrived.
fn arrived() -> Value {
    json!({"state": "delivered", "code": null, "is_over": true})
}

/// The webhook that tells of deliveries.
fn told() -> Place {
    Place::Webhook { event_type: Some("onDeliveryUpdated".to_owned()) }
}

/// A message's way to a phone.
fn to(phone: &str) -> Place {
    Place::Text { to: Some(phone.to_owned()) }
}

/// The service with its admin listener.
struct Office {
    rig: Rig,
}

impl Office {
    async fn start() -> Self {
        let rig = Rig::start(&[("CHIMEIN_ADMIN_LISTEN", "127.0.0.1:0")]).await;
        Self { rig }
    }

    /// A phone writes and is answered.
    async fn answered(&self, body: &str) -> ConversationSid {
        let conversation = self.rig.sms(PHONE, body).await;
        self.rig
            .eventually("it is answered", |rig| {
                rig.replies(conversation).contains(&body.to_owned())
            })
            .await;
        conversation
    }

    async fn say(&self, conversation: ConversationSid, key: &str, body: &str) {
        let url = self.url(&format!("v1/threads/{conversation}/replies"));
        let body = json!({"replies": [body]}).to_string();
        let answer = self.rig.http.post(url).header("webhook-id", key).body(body).send().await;
        assert_eq!(answer.unwrap().status(), 202);
    }

    /// Waits until something holds of what became of what was said under a key.
    async fn fate(
        &self,
        conversation: ConversationSid,
        key: &str,
        holds: impl Fn(&Value) -> bool,
    ) -> Value {
        self.rig.admin_says(&format!("/v1/threads/{conversation}/replies/{key}"), holds).await
    }

    async fn metrics(&self) -> String {
        self.rig.http.get(self.url("metrics")).send().await.unwrap().text().await.unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.rig.app().admin_address().unwrap())
    }
}
