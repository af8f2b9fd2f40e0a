//! Files of messages: the agent gets a link to each, or the bytes, by both roads; nobody else gets either.

use std::time::Duration;

use axum::response::IntoResponse as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chimein::clock::{Clock, Timestamp};
use chimein::emulator::Incoming;
use chimein::emulator::control::Attachment;
use chimein::emulator::faults::{Action, Place};
use chimein::media::Links;
use chimein::thread::ThreadId;
use chimein::twilio::rest::FileName;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::rig::{PHONE, Rig};

/// A number that is answered without a conversation.
const TEXTS: &str = "+15555550101";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_gives_the_very_bytes_by_both_roads() {
    let agent = silent().await;
    let rig = desk(&agent, &[]).await;
    let bytes = pattern(300_000);
    picture(&rig, &bytes).await;
    let texted = file(&rig, &agent, 0).await;
    said_with_file(&rig, &bytes).await;
    let said = file(&rig, &agent, 1).await;
    for file in [texted, said] {
        assert_eq!(file["content_type"], "image/png");
        assert_eq!((file.get("data"), file.get("reason")), (None, None), "{file}");
        let ends = Timestamp::parse_rfc3339(file["expires_at"].as_str().unwrap()).unwrap();
        let left = ends.since(Clock::start().wall()).as_secs();
        assert!((3500..=3600).contains(&left), "{left}");
        let link = file["link"].as_str().unwrap();
        let head = rig.http.head(link).send().await.unwrap();
        let got = rig.http.get(link).send().await.unwrap();
        for answer in [&head, &got] {
            assert_eq!(answer.status(), 200);
            for (name, expected) in [
                ("content-type", "image/png"),
                ("content-length", "300000"),
                ("content-disposition", "attachment"),
                ("x-content-type-options", "nosniff"),
                ("content-security-policy", "sandbox; default-src 'none'"),
            ] {
                assert_eq!(answer.headers()[name], expected);
            }
            let cached = answer.headers()["cache-control"].to_str().unwrap();
            let age: u64 = cached.strip_prefix("private, max-age=").unwrap().parse().unwrap();
            assert!(age <= 3600);
        }
        assert_eq!(head.bytes().await.unwrap().len(), 0);
        assert_eq!(got.bytes().await.unwrap(), bytes);
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_files_are_part_of_the_turn_and_larger_ones_say_why_not() {
    let agent = silent().await;
    let settings = [("CHIMEIN_MEDIA_INLINE_BYTES", "1KiB"), ("CHIMEIN_MEDIA_MAX_BYTES", "2KiB")];
    let rig = desk(&agent, &settings).await;
    let mut nth = 0;
    for (size, reason) in [(1024, None), (1025, Some("over_inline")), (2049, Some("too_large"))] {
        let bytes = pattern(size);
        for is_text in [true, false] {
            if is_text {
                picture(&rig, &bytes).await;
            } else {
                said_with_file(&rig, &bytes).await;
            }
            let file = file(&rig, &agent, nth).await;
            nth += 1;
            assert_eq!(file["reason"].as_str(), reason, "{size}: {file}");
            let data = reason.is_none().then(|| STANDARD.encode(&bytes));
            assert_eq!(file["data"].as_str(), data.as_deref());
            assert_eq!(file.get("link").is_some(), size <= 2048, "{size}: {file}");
        }
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_opens_nothing_once_it_is_over_changed_or_too_much() {
    let agent = silent().await;
    let rig = desk(&agent, &[("CHIMEIN_MEDIA_MAX_BYTES", "1KiB")]).await;
    picture(&rig, &pattern(2000)).await;
    let large = file(&rig, &agent, 0).await["link"].as_str().unwrap().to_owned();
    said_with_file(&rig, &pattern(10)).await;
    let small = file(&rig, &agent, 1).await;
    let turn = with_file(&agent).pop().unwrap();
    let thread: ThreadId = turn["thread"].as_str().unwrap().parse().unwrap();
    let sid = small["sid"].as_str().unwrap().parse().unwrap();
    let base = format!("http://{}", rig.app().address());
    let secret = rig.emulator.credentials().api_secret.clone();
    let links = Links::new(&secret, Some(base.clone()), Duration::from_secs(3600));
    let name = FileName::OfConversation(sid);
    let hours_ago = Clock::start().wall().before(Duration::from_secs(7200));
    let over = links.link(thread, name, hours_ago).unwrap().url.into_revealed();
    let others = Links::new(&"another".into(), Some(base.clone()), Duration::from_secs(3600));
    let others = others.link(thread, name, Clock::start().wall()).unwrap().url.into_revealed();
    let small = small["link"].as_str().unwrap();
    let middle = small.len() - 90;
    let changed = format!("{}{}", &small[..middle], small[middle..].replace(['A', 'B', 'C'], "D"));
    for (link, status, word) in [
        (over.as_str(), 410, "expired_link"),
        (&others, 403, "forged_link"),
        (&changed, 403, "forged_link"),
        (&format!("{base}/media/x"), 403, "forged_link"),
        (&large, 502, "too_large"),
    ] {
        let answer = rig.http.get(link).send().await.unwrap();
        assert_eq!(answer.status(), status, "{word}");
        assert_eq!(answer.json::<Value>().await.unwrap()["error"], word);
    }
    assert_eq!(rig.http.post(small).send().await.unwrap().status(), 405);
    rig.fault(at("/Media/"), Action::Answer { status: 404, code: None, retry_after: None }, 3);
    let answer = rig.http.get(small).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.json::<Value>().await.unwrap()["error"]),
        (404, &json!("gone"))
    );
    assert_eq!(rig.http.get(small).send().await.unwrap().status(), 200);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_waits_for_its_file_while_twilio_has_trouble() {
    let agent = silent().await;
    let rig = desk(&agent, &[("CHIMEIN_MEDIA_INLINE_BYTES", "1KiB")]).await;
    let bytes = pattern(100);
    for is_text in [true, false] {
        // Four are asked at once; then the turn is tried again, and the file's own place is in trouble.
        rig.fault(
            at("/Media/ME"),
            Action::Answer { status: 503, code: None, retry_after: None },
            4,
        );
        let place = if is_text { "/media-store/" } else { "/Content" };
        rig.fault(at(place), Action::Intercept { status: 502 }, 1);
        if is_text {
            picture(&rig, &bytes).await;
        } else {
            said_with_file(&rig, &bytes).await;
        }
        let file = file(&rig, &agent, usize::from(!is_text)).await;
        assert_eq!(file["data"], STANDARD.encode(&bytes), "{file}");
    }
    rig.settled().await;
    assert_eq!(with_file(&agent).len(), 2, "each was asked once");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_goes_without_a_file_that_is_gone_or_never_comes() {
    let agent = silent().await;
    let rig = desk(&agent, &[("CHIMEIN_MEDIA_INLINE_BYTES", "1KiB")]).await;
    for (nth, (status, reason)) in [(404, "gone"), (403, "unavailable")].into_iter().enumerate() {
        let action = Action::Answer { status, code: None, retry_after: None };
        rig.fault(at("/media-store/"), action, 3);
        picture(&rig, &pattern(100)).await;
        let file = file(&rig, &agent, nth).await;
        assert_eq!((&file["reason"], file.get("data")), (&json!(reason), None), "{file}");
        assert_eq!(file.get("link").is_some(), reason == "unavailable");
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_answers_with_the_link_sends_the_file() {
    let agent = Agent::start(|turn, _| {
        let link = &turn["messages"][0]["media"][0]["link"];
        axum::Json(json!({"replies": [{"body": "yours", "media_urls": [link]}]})).into_response()
    })
    .await;
    let rig = desk(&agent, &[]).await;
    let bytes = pattern(5_000);
    picture(&rig, &bytes).await;
    rig.eventually("the reply was sent", |rig| !rig.control.texts_to(PHONE).is_empty()).await;
    let sent = rig.control.texts_to(PHONE).remove(0);
    // Twilio asks for it as anybody would.
    let place = sent.media[0].url.clone().unwrap().into_revealed();
    assert_eq!(rig.http.head(&place).send().await.unwrap().status(), 200);
    assert_eq!(rig.http.get(&place).send().await.unwrap().bytes().await.unwrap(), bytes);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_it_is_not_known_how_the_service_is_reached_that_is_said() {
    let agent = silent().await;
    let settings = [("CHIMEIN_WEBHOOK_PUBLIC_URL", ""), ("CHIMEIN_WEBHOOK_HOSTS", "127.0.0.1")];
    let rig = desk(&agent, &settings).await;
    picture(&rig, &pattern(10)).await;
    let file = file(&rig, &agent, 0).await;
    assert_eq!((&file["reason"], file.get("link")), (&json!("no_public_url"), None));
    rig.end().await;
}

async fn silent() -> Agent {
    Agent::start(|_, _| axum::Json(json!({"replies": []})).into_response()).await
}

/// A service with conversations and with a number that has none.
async fn desk(agent: &Agent, extra: &[(&'static str, &str)]) -> Rig {
    let ours =
        [("TWILIO_PHONE_NUMBER", TEXTS), ("CHIMEIN_MESSAGING_SOURCES", "+15555550101=direct")];
    let rig = agent.rig_with(&[&ours, extra].concat()).await;
    rig.control.set_number(rig.number(TEXTS, "sms")).unwrap();
    rig
}

/// Somebody texts a file.
async fn picture(rig: &Rig, bytes: &[u8]) {
    let media = vec![Attachment::new("image/png", bytes.to_vec())];
    let incoming = Incoming { media, ..Incoming::new(PHONE, TEXTS, "look") };
    let _texted = rig.control.text(incoming).await.unwrap();
}

/// Somebody says something in a conversation with a file, and nothing else.
async fn said_with_file(rig: &Rig, bytes: &[u8]) {
    let (urls, credentials) = (rig.emulator.urls(), rig.emulator.credentials());
    let place = format!("v1/Services/{}/Media?Filename=a.png", credentials.service_sid);
    let token = credentials.auth_token.expose_secret();
    let uploading = rig
        .http
        .post(urls.api.join(&place).unwrap())
        .basic_auth(credentials.account_sid, Some(token))
        .header("content-type", "image/png")
        .body(bytes.to_vec());
    let uploaded: Value = uploading.send().await.unwrap().json().await.unwrap();
    let sid = uploaded["sid"].as_str().unwrap();
    let conversation = rig.sms(PHONE, "hello").await;
    let path = format!("Conversations/{conversation}/Messages");
    rig.rest_post_told(&path, &[("Author", PHONE), ("MediaSid", sid)]).await;
}

/// The file of the n-th turn that has one.
async fn file(rig: &Rig, agent: &Agent, nth: usize) -> Value {
    let what = format!("the agent was asked {} turns with a file", nth + 1);
    rig.eventually(&what, |_| with_file(agent).len() > nth).await;
    with_file(agent)[nth]["messages"][0]["media"][0].clone()
}

fn with_file(agent: &Agent) -> Vec<Value> {
    let has_file = |turn: &Value| turn["messages"][0]["media"].get(0).is_some();
    agent.asked().into_iter().filter(has_file).collect()
}

fn at(part: &str) -> Place {
    Place::Rest { method: Some("GET".to_owned()), path: Some(part.to_owned()) }
}

fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|n| u8::try_from(n * 31 % 251).unwrap()).collect()
}
