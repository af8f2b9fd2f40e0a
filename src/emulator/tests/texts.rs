//! Texts without a conversation as a bot's service sees them: REST, webhooks, their answers, files.

use super::*;
use crate::emulator::faults::{Action, Fault, Place};
use crate::emulator::state::limits::Limits;
use crate::emulator::state::messaging::{Number, Text};
use crate::emulator::{Attachment, Incoming};
use crate::twilio::messaging::MessageStatus;

const PHONE: &str = "+15555550123";
const OURS: &str = "+15555550100";

#[tokio::test]
async fn a_text_reaches_the_numbers_webhook_signed_and_makes_no_conversation() {
    let twilio = Twilio::start().await;
    let mut receiver = Receiver::start(&twilio).await;
    let control = twilio.control();
    control.set_number(Number::told_to(OURS, receiver.url.as_str())).unwrap();
    let texted = control.text(Incoming::new(PHONE, OURS, "héllo")).await.unwrap();
    let got = receiver.next().await;
    assert!(got.is_signed, "{got:?}");
    assert_eq!(got.content_type, "application/x-www-form-urlencoded");
    assert_eq!(got.fields["MessageSid"], texted.sid.to_string());
    assert_eq!((got.fields["Body"].as_str(), got.fields["FromCity"].as_str()), ("héllo", ""));
    assert!(control.conversations().is_empty());
    let path = messages(&twilio);
    let (_, list) = twilio.call("GET", &format!("{path}?To=%2B15555550100"), &[]).await;
    let shown = &list["messages"][0];
    assert_eq!((&shown["direction"], &shown["status"]), (&"inbound".into(), &"received".into()));
    assert_eq!(shown["sid"], texted.sid.to_string());
    let number = Number { conversations: true, ..Number::told_to(OURS, receiver.url.as_str()) };
    control.set_number(number).unwrap();
    control.text(Incoming::new(PHONE, OURS, "both")).await.unwrap();
    assert_eq!(receiver.next().await.fields["Body"], "both");
    assert_eq!(control.conversations().len(), 1);
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn an_answer_in_twiml_or_plain_text_goes_to_the_phone() {
    let twilio = Twilio::start().await;
    let said = "<Response><Message>one &amp; two</Message><Message><Body>three</Body></Message></Response>";
    for (kind, body, wanted) in [
        ("text/xml", said, vec!["one & two", "three"]),
        ("text/plain", "four", vec!["four"]),
        ("text/xml", "<Response></Response>", vec![]),
        ("application/json", "{}", vec![]),
    ] {
        let url = answering(kind, body).await;
        twilio.control().set_number(Number::told_to(OURS, url)).unwrap();
        let mut records = twilio.control().watch();
        let before = twilio.control().texts_to(PHONE).len();
        let texted = twilio.control().text(Incoming::new(PHONE, OURS, "hi")).await.unwrap();
        let is_end = |what: &Happening| match what {
            Happening::TextSent { body, .. } if Some(&body.reveal()) == wanted.last() => Some(()),
            Happening::Complaint { sid, code: 12300 } if *sid == texted.sid => Some(()),
            Happening::WebhookAnswered { .. } if body.starts_with("<Response></") => Some(()),
            _ => None,
        };
        until(&mut records, is_end).await;
        let replies = twilio.control().texts_to(PHONE).split_off(before);
        let bodies: Vec<_> = replies.iter().map(|text| text.body.reveal()).collect();
        assert_eq!(bodies, wanted, "{kind} {body}");
    }
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn a_failed_webhook_is_tried_again_as_its_url_says_and_then_elsewhere() {
    let twilio = Twilio::start().await;
    let mut fallback = Receiver::start(&twilio).await;
    let broken = Arc::new(|_: &Received| (503, String::new(), Duration::ZERO));
    let mut receiver = Receiver::answering(&twilio, broken).await;
    let control = twilio.control();
    let number = |fragment: &str| Number {
        fallback_url: Some(fallback.url.clone()),
        ..Number::told_to(OURS, format!("{}{fragment}", receiver.url))
    };
    for (number, tries) in [(number(""), 1), (number("#rc=3&rp=5xx,ct,rt"), 4)] {
        control.set_number(number).unwrap();
        control.text(Incoming::new(PHONE, OURS, "again")).await.unwrap();
        let mut tokens = Vec::new();
        for _ in 0..tries {
            let got = receiver.next().await;
            assert!(got.is_signed, "the fragment is not signed");
            tokens.push(got.delivery_id);
        }
        tokens.dedup();
        assert_eq!(tokens.len(), 1, "one token for all tries");
        let last = fallback.next().await;
        assert!(last.is_signed);
        assert_eq!(last.fields["ErrorCode"], "11200");
        assert!(receiver.got.try_recv().is_err());
    }
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn a_connection_that_fails_is_tried_again_once() {
    let twilio = Twilio::start().await;
    // Bound and not listening: nobody else gets the port, and nobody connects.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}/", socket.local_addr().unwrap());
    let control = twilio.control();
    control.set_number(Number::told_to(OURS, url)).unwrap();
    let mut records = control.watch();
    let texted = control.text(Incoming::new(PHONE, OURS, "nobody")).await.unwrap();
    let complaint = until(&mut records, |what| match what {
        Happening::Complaint { sid, code } if *sid == texted.sid => Some(*code),
        _ => None,
    });
    assert_eq!(complaint.await, 11205);
    let sent = |record: &Record| matches!(record.what, Happening::WebhookSent { .. });
    assert_eq!(control.records(0).iter().filter(|record| sent(record)).count(), 2);
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn files_are_fetched_with_the_accounts_credentials_from_where_twilio_points() {
    let twilio = Twilio::start().await;
    let mut receiver = Receiver::start(&twilio).await;
    let control = twilio.control();
    control.set_number(Number::told_to(OURS, receiver.url.as_str())).unwrap();
    let media = vec![Attachment::new("image/png", &b"\x89PNG"[..])];
    let incoming = Incoming { media, ..Incoming::new(PHONE, OURS, "look") };
    control.text(incoming).await.unwrap();
    let got = receiver.next().await.fields;
    assert!(got["MessageSid"].starts_with("MM"));
    assert_eq!((got["NumMedia"].as_str(), got["MediaContentType0"].as_str()), ("1", "image/png"));
    let url = got["MediaUrl0"].clone();
    let bare = twilio.client.get(&url).send().await.unwrap();
    assert_eq!(bare.status().as_u16(), 401);
    let credentials = twilio.emulator.credentials();
    let token = credentials.auth_token.expose_secret();
    let asked = twilio.client.get(&url).basic_auth(credentials.account_sid, Some(token));
    let pointed = asked.send().await.unwrap();
    assert_eq!(pointed.status().as_u16(), 307);
    let place = pointed.headers()["location"].to_str().unwrap().to_owned();
    let file = twilio.client.get(&place).send().await.unwrap();
    assert_eq!(file.headers()["content-type"], "image/png");
    assert_eq!(file.bytes().await.unwrap(), &b"\x89PNG"[..]);
    let fault = Fault {
        id: 0,
        place: Place::Rest { method: None, path: Some("/media-store/".into()) },
        action: Action::Answer { status: 503, code: None, retry_after: None },
        times: Some(1),
        skip: 0,
        percent: None,
    };
    control.add_fault(fault).unwrap();
    assert_eq!(twilio.client.get(&place).send().await.unwrap().status().as_u16(), 503);
    let at_the_store = || Place::Rest { method: None, path: Some("/media-store/".into()) };
    for action in [Action::Intercept { status: 502 }, Action::CutOff] {
        let place = at_the_store();
        let fault = Fault { id: 0, place, action, times: Some(1), skip: 0, percent: None };
        control.add_fault(fault).unwrap();
    }
    let page = twilio.client.get(&place).send().await.unwrap();
    assert_eq!((page.status().as_u16(), page.text().await.unwrap().contains("<h1>")), (502, true));
    let is_whole = match twilio.client.get(&place).send().await {
        Ok(cut) => cut.bytes().await.is_ok(),
        Err(_) => false,
    };
    assert!(!is_whole, "it breaks in its middle");
    let head = twilio.client.head(&place).send().await.unwrap();
    assert_eq!(head.headers()["content-length"], "4");
    let list = url.rsplit_once('/').unwrap().0.to_owned() + ".json";
    let (_, listed) = twilio.call("GET", &list, &[]).await;
    assert_eq!(listed["media_list"][0]["content_type"], "image/png");
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn the_writer_on_whatsapp_is_shown_that_an_answer_is_being_written() {
    let twilio = Twilio::start().await;
    let control = twilio.control();
    let ours = "whatsapp:+15555550100";
    let by_sms = control.text(Incoming::new(PHONE, OURS, "hi")).await.unwrap();
    let by_whatsapp = control.text(Incoming::new("whatsapp:US.1349", ours, "hi")).await.unwrap();
    let path = "/v2/Indicators/Typing.json";
    for (sid, channel, status) in [
        (by_whatsapp.sid, "whatsapp", 200),
        (by_whatsapp.sid, "sms", 400),
        (by_sms.sid, "whatsapp", 400),
    ] {
        let fields = [("channel", channel), ("messageId", &sid.to_string())];
        assert_eq!(twilio.call("POST", path, &fields).await.0, status, "{channel}");
    }
    let shown = control.records(0).into_iter().filter_map(|record| match record.what {
        Happening::TextTyping { sid } => Some(sid),
        _ => None,
    });
    assert_eq!(shown.collect::<Vec<_>>(), [by_whatsapp.sid]);
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn the_list_may_lag_behind() {
    let limits = Limits { list_lag_ms: 60_000, ..Limits::default() };
    let twilio = Twilio::with(Options { limits, ..Options::default() }).await;
    let path = messages(&twilio);
    let fields = [("To", PHONE), ("From", OURS), ("Body", "x")];
    let (_, sent) = twilio.call("POST", &path, &fields).await;
    let listed =
        async || twilio.call("GET", &path, &[]).await.1["messages"].as_array().unwrap().len();
    assert_eq!(listed().await, 0);
    assert_eq!(twilio.call("GET", sent["uri"].as_str().unwrap(), &[]).await.0, 200);
    twilio.control().jump(Duration::from_secs(60));
    assert_eq!(listed().await, 1);
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn faults_reach_texts_their_answers_and_their_callbacks() {
    let limits = Limits { long_code_rate: 1000, ..Limits::default() };
    let twilio = Twilio::with(Options { limits, ..Options::default() }).await;
    let mut receiver = Receiver::start(&twilio).await;
    let url = receiver.url.clone();
    let control = twilio.control();
    let fault = |place, action| {
        let fault = Fault { id: 0, place, action, times: Some(1), skip: 0, percent: None };
        control.add_fault(fault).unwrap();
    };
    let rest = || Place::Rest { method: Some("POST".into()), path: Some("/Messages.json".into()) };
    let path = messages(&twilio);
    let fields = [("To", PHONE), ("From", OURS), ("Body", "x"), ("StatusCallback", url.as_str())];
    for action in [Action::BreakAfter, Action::CutOff] {
        let before = control.texts().len();
        fault(rest(), action.clone());
        assert!(twilio.send("POST", &path, &fields, &[]).await.is_err(), "{action:?}");
        assert_eq!(control.texts().len(), before + 1, "the work was done");
    }
    for _ in 0..4 {
        receiver.next().await;
    }
    fault(Place::Text { to: Some("0123".into()) }, Action::Stray { code: 30003 });
    let twice = Place::Webhook { event_type: Some("messageStatus".into()) };
    fault(twice, Action::Duplicate);
    let (_, sent) = twilio.call("POST", &path, &fields).await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let got = receiver.next().await.fields;
        assert_eq!(got["MessageSid"], sent["sid"].as_str().unwrap());
        statuses.push(got["MessageStatus"].clone());
    }
    statuses.sort();
    assert_eq!(statuses, ["sent", "sent", "undelivered"]);
    let (_, shown) = twilio.call("GET", sent["uri"].as_str().unwrap(), &[]).await;
    assert_eq!((&shown["status"], &shown["error_code"]), (&"undelivered".into(), &30003.into()));
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn the_control_api_texts_lists_moves_and_jumps() {
    let twilio = Twilio::start().await;
    let mut receiver = Receiver::start(&twilio).await;
    let control = twilio.emulator.urls().control.clone();
    let post = |path: &'static str, body: Value| {
        let request = twilio.client.post(control.join(path).unwrap());
        let request = request.header("content-type", "application/json").body(body.to_string());
        async move {
            let answer = request.send().await.unwrap();
            let status = answer.status().as_u16();
            let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
            assert_eq!(status, 200, "{path}: {body}");
            body
        }
    };
    let ours = "whatsapp:+15555550100";
    post("numbers", serde_json::json!({"address": ours, "url": receiver.url})).await;
    let said = serde_json::json!({
        "from": "whatsapp:US.1349", "to": ours, "body": "hi", "media": null,
        "extras": {"profile_name": "Ada", "list": {"text": "Two", "payload": "2"}},
    });
    let texted = post("texts", said).await;
    let got = receiver.next().await.fields;
    assert_eq!(texted["sid"], got["MessageSid"].as_str());
    assert_eq!((got["ListId"].as_str(), got["MessageType"].as_str()), ("2", "interactive"));
    post("jump", serde_json::json!({"seconds": 25 * 3600})).await;
    let fields = [("To", "whatsapp:US.1349"), ("From", ours), ("Body", "too late")];
    let (_, sent) = twilio.call("POST", &messages(&twilio), &fields).await;
    let mut last: Option<Text> = None;
    while last.as_ref().is_none_or(|text| text.status != MessageStatus::Failed) {
        tokio::time::sleep(Duration::from_millis(5)).await;
        last = twilio.control().texts_to("whatsapp:US.1349").pop();
    }
    assert_eq!(last.unwrap().error_code, Some(63016));
    let url = control.join("texts?to=whatsapp:US.1349").unwrap();
    let listed = twilio.client.get(url).send().await.unwrap().text().await.unwrap();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["texts"][0]["sid"], sent["sid"]);
    let order = serde_json::json!({"sid": sent["sid"], "status": "read", "error_code": null});
    assert_eq!(post("text-status", order).await["changed"], false, "what failed is over");
    twilio.emulator.shutdown().await;
}

fn messages(twilio: &Twilio) -> String {
    let account = twilio.emulator.credentials().account_sid;
    format!("/2010-04-01/Accounts/{account}/Messages.json")
}

/// A webhook that answers every request so; gives its URL.
async fn answering(kind: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let router = axum::Router::new()
        .fallback(move || async move { ([(axum::http::header::CONTENT_TYPE, kind)], body) });
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}
