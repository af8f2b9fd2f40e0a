//! Turns that the platform takes over and says nothing to.

use std::time::Duration;

use crate::nats_server::NatsServer;
use crate::persistence;
use crate::platform::{OWN, Platform, delivered, service};
use crate::rig::{PATIENCE, PHONE, Rig};

const OWN_DURABLE: &str = "local-internal-egress-v1-twilio-ingress-twilio-ingress-durable";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_that_nobody_says_a_word_to_is_told_of_once() {
    let server = NatsServer::start();
    let platform = Platform::start(&server, |_| None).await;
    let rig = start(&server, &[]).await;
    rig.sms(PHONE, "hello").await;
    rig.settled().await;
    is_counted(&rig).await;
    assert_eq!((unanswered(&rig).await, platform.asked().len()), (1, 1));
    rig.end().await;
    platform.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_or_the_word_that_there_is_none_is_no_silence() {
    let server = NatsServer::start();
    let platform = Platform::start(&server, |text| (text == "hello").then(|| "hi".into())).await;
    let rig = start(&server, &[("CHIMEIN_BITBRAT_ASK_AGAIN", "true")]).await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.eventually("it is answered", |rig| rig.replies(conversation) == ["hi"]).await;
    rig.sms(PHONE, "nothing to say").await;
    rig.eventually("both are asked", |_| platform.asked().len() == 2).await;
    let nothing = delivered(&platform.asked()[1].body, "cand-1", "");
    platform.publish(OWN, &nothing).await;
    platform.await_acknowledged(OWN_DURABLE).await;
    rig.settled().await;
    assert_eq!((unanswered(&rig).await, platform.asked().len()), (0, 2));
    rig.end().await;
    platform.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_is_asked_anew_under_a_key_that_no_consumer_has_seen() {
    let server = NatsServer::start();
    let platform = Platform::start(&server, |_| None).await;
    let rig = start(&server, &[("CHIMEIN_BITBRAT_ASK_AGAIN", "true")]).await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.eventually("it is asked anew", |_| platform.asked().len() == 2).await;
    let both = platform.asked();
    assert_eq!(both[0].body["correlationId"], both[1].body["correlationId"], "one request");
    assert_eq!(persistence::kept(&both).len(), 2, "and no duplicate to a consumer");
    platform.publish(OWN, &delivered(&both[1].body, "cand-1", "at last")).await;
    rig.expect(conversation, &["at last"]).await;
    is_counted(&rig).await;
    assert_eq!((unanswered(&rig).await, platform.asked().len()), (1, 2), "once is enough");
    rig.end().await;
    platform.end();
}

/// Waits until a turn is told of as unanswered: that is counted once its end is on disk.
async fn is_counted(rig: &Rig) {
    let counted = tokio::time::timeout(PATIENCE, async {
        while unanswered(rig).await == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    counted.await.unwrap();
}

/// How many turns the metrics tell of as unanswered.
async fn unanswered(rig: &Rig) -> u64 {
    let url = format!("http://{}/metrics", rig.app().admin_address().unwrap());
    let client = chimein::net::http::direct().unwrap().build().unwrap();
    let page = client.get(url).send().await.unwrap().text().await.unwrap();
    let mut lines = page.lines().filter(|line| line.contains(r#"outcome="unanswered""#));
    lines.next().map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

async fn start(server: &NatsServer, more: &[(&'static str, &str)]) -> Rig {
    let mut extra =
        vec![("CHIMEIN_ADMIN_LISTEN", "127.0.0.1:0"), ("CHIMEIN_BITBRAT_ANSWER_WITHIN", "1s")];
    extra.extend_from_slice(more);
    service(server, &extra).await
}
