//! Messages of Programmable Messaging: what is asked, and what is made of the answers.

use super::*;
use crate::clock::Timestamp;
use crate::twilio::messaging::MessageStatus;
use crate::twilio::sid::TextSid;

#[tokio::test]
async fn a_text_is_sent_with_all_its_fields_from_an_address_or_a_service() {
    let server = Server::start(vec![
        json_answer(201, stored("SM", "queued")),
        json_answer(201, stored("MM", "accepted")),
    ])
    .await;
    let client = server.client();
    let new = NewText {
        from: TextSender::Address("whatsapp:+15555550100".into()),
        to: "whatsapp:US.13491208655302741918".into(),
        body: Some("hi there".into()),
        media_urls: vec!["https://files.example/a?b".into(), "https://files.example/c".into()],
        content_sid: Some(format!("HX{H}").parse().unwrap()),
        content_variables: Some(r#"{"1":"Ann"}"#.into()),
        status_callback: Some("https://bot.example/status?reply=1".to_owned()),
    };
    let sent = client.create_text(&new).await.unwrap();
    assert_eq!(sent.status, Some(MessageStatus::Queued));
    let service = format!("MG{H}").parse().unwrap();
    let by_service = NewText {
        from: TextSender::Service(service),
        body: None,
        media_urls: vec![],
        content_sid: None,
        content_variables: None,
        status_callback: None,
        ..new.clone()
    };
    assert_eq!(client.create_text(&by_service).await.unwrap().sid, sid("MM"));
    let asked = server.asked();
    assert_eq!(asked[0].line, format!("POST /2010-04-01/Accounts/AC{H}/Messages.json"));
    assert_eq!(
        asked[0].body,
        format!(
            "To=whatsapp%3AUS.13491208655302741918&From=whatsapp%3A%2B15555550100&Body=hi+there\
             &MediaUrl=https%3A%2F%2Ffiles.example%2Fa%3Fb&MediaUrl=https%3A%2F%2Ffiles.example%2Fc\
             &ContentSid=HX{H}&ContentVariables=%7B%221%22%3A%22Ann%22%7D\
             &StatusCallback=https%3A%2F%2Fbot.example%2Fstatus%3Freply%3D1"
        )
    );
    let wanted = format!("To=whatsapp%3AUS.13491208655302741918&MessagingServiceSid=MG{H}");
    assert_eq!(asked[1].body, wanted);
    let shown = format!("{new:?} {sent:?}");
    assert!(["hi there", "5555", "1349"].iter().all(|part| !shown.contains(part)), "{shown}");
}

#[tokio::test]
async fn a_text_is_read_as_twilios_older_api_writes_it() {
    let mut odd = stored("MM", "levitating");
    odd["num_media"] = json!("2");
    odd["error_code"] = json!("30003");
    odd["direction"] = json!("inbound");
    odd["from"] = json!(null);
    odd["body"] = json!("");
    odd["messaging_service_sid"] = json!(format!("MG{H}"));
    odd["date_sent"] = json!(null);
    odd["date_created"] = json!("2023-08-24");
    let server = Server::start(vec![
        json_answer(200, stored("SM", "delivered")),
        json_answer(200, odd),
        json_answer(404, json!({"code": 20404, "status": 404})),
        json_answer(200, json!({"sid": "SM"})),
        json_answer(200, json!({"sid": "SM"})),
        json_answer(200, json!({"sid": "SM"})),
        json_answer(200, json!({"sid": "SM"})),
    ])
    .await;
    let client = server.client();
    let text = client.fetch_text(sid("SM")).await.unwrap().unwrap();
    let wanted = Text {
        sid: sid("SM"),
        from: Some("+15555550100".into()),
        to: Some("+15555550123".into()),
        body: Some("hi there".into()),
        status: Some(MessageStatus::Delivered),
        error_code: None,
        is_inbound: false,
        media: 0,
        messaging_service_sid: None,
        created: Timestamp::parse_rfc3339("2023-08-24T05:01:45Z"),
        sent: Timestamp::parse_rfc3339("2023-08-24T05:01:46Z"),
    };
    assert_eq!(text, wanted);
    let odd = client.fetch_text(sid("MM")).await.unwrap().unwrap();
    assert_eq!((odd.sid, odd.status, odd.error_code), (sid("MM"), None, Some(30003)));
    assert_eq!((odd.is_inbound, odd.media, odd.from, odd.body), (true, 2, None, None));
    assert_eq!((odd.created, odd.sent), (None, None));
    assert!(odd.messaging_service_sid.is_some());
    assert_eq!(client.fetch_text(sid("SM")).await.unwrap(), None);
    assert!(client.fetch_text(sid("SM")).await.is_err(), "one without a sid is none");
    let line = &server.asked()[1].line;
    assert_eq!(*line, format!("GET /2010-04-01/Accounts/AC{H}/Messages/MM{H}.json"));
}

#[tokio::test]
async fn texts_are_listed_page_by_page_on_the_configured_base_alone() {
    let next = format!("/2010-04-01/Accounts/AC{H}/Messages.json?Page=1&PageToken=PASM{H}");
    let server = Server::start(vec![
        page(&json!([stored("SM", "sent"), {"sid": null}, null]), json!(next)),
        page(&json!([stored("MM", "received")]), json!(format!("https://evil.example{next}2"))),
        page(&json!([]), json!(null)),
    ])
    .await;
    let filter =
        TextFilter { to: Some("+15555550100".into()), from: Some("whatsapp:+15555550123".into()) };
    let mut pages = server.client().list_texts(filter);
    let first = pages.next().await.unwrap().unwrap();
    assert_eq!(first.iter().map(|text| text.sid).collect::<Vec<_>>(), [sid("SM")]);
    assert_eq!(pages.skipped(), 2);
    assert_eq!(pages.next().await.unwrap().unwrap()[0].sid, sid("MM"));
    assert_eq!(pages.next().await.unwrap(), Some(vec![]));
    assert_eq!(pages.next().await.unwrap(), None);
    let lines: Vec<_> = server.asked().into_iter().map(|asked| asked.line).collect();
    let place = format!("GET /2010-04-01/Accounts/AC{H}/Messages.json");
    let query = "?To=%2B15555550100&From=whatsapp%3A%2B15555550123&PageSize=100";
    let followed = format!("GET {next}");
    assert_eq!(lines, [format!("{place}{query}"), followed.clone(), format!("{followed}2")]);
}

#[tokio::test]
async fn a_listing_of_texts_that_leads_nowhere_or_in_a_circle_ends() {
    let first = format!("/2010-04-01/Accounts/AC{H}/Messages.json?PageSize=100");
    let server = Server::start(vec![page(&json!([]), json!(first))]).await;
    let mut pages = server.client().list_texts(TextFilter::default());
    assert!(pages.next().await.unwrap().is_some());
    let error = pages.next().await.unwrap_err();
    assert!(matches!(error, Error::NotSent { source: FailureCause::Page, .. }), "{error:?}");
    for (next, repeats) in [(json!("/elsewhere"), 1), (json!(7), 4)] {
        let answers = (0..repeats).map(|_| page(&json!([]), next.clone())).collect();
        let server = Server::start(answers).await;
        let error = server.client().list_texts(TextFilter::default()).next().await.unwrap_err();
        assert!(matches!(error, Error::Unknown { .. }), "{next}: {error:?}");
    }
}

#[tokio::test]
async fn typing_is_shown_for_a_message_and_its_answer_is_not_read() {
    let refusal = json_answer(400, json!({"code": 20001, "status": 400}));
    let server = Server::start(vec![answer(200, "whatever"), refusal]).await;
    let client = server.client();
    client.show_text_typing(sid("SM")).await.unwrap();
    assert_eq!(client.show_text_typing(sid("SM")).await.unwrap_err().op(), Op::ShowTyping);
    let asked = &server.asked()[0];
    assert_eq!(asked.line, "POST /v2/Indicators/Typing.json");
    assert_eq!(asked.body, format!("channel=whatsapp&messageId=SM{H}"));
}

#[tokio::test]
async fn a_text_whose_answer_was_lost_may_have_been_sent_and_is_asked_for_once() {
    let lost = Scripted { status: 201, headers: vec![], how: How::BrokenOff };
    let server = Server::start(vec![lost]).await;
    let error = server.client().create_text(&plain()).await.unwrap_err();
    assert!(error.may_have_happened(), "{error:?}");
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn requests_about_one_person_are_told_apart_from_those_about_others() {
    #[derive(Default)]
    struct Subjects(Mutex<Vec<Option<RequestSubject>>>);
    impl Observer for Subjects {
        fn finished(&self, _: Op, subject: Option<RequestSubject>, _: Outcome, _: Duration) {
            self.0.lock().unwrap().push(subject);
        }
    }
    let server = Server::start((0..4).map(|_| answer(429, "")).collect()).await;
    let subjects = Arc::new(Subjects::default());
    let (tls, _) = crate::net::tls::client_config().unwrap();
    let observer: Arc<dyn Observer> = Arc::<Subjects>::clone(&subjects);
    let client = Client::new(options(&server.url), tls, Clock::start(), Some(observer)).unwrap();
    for to in ["+15555550123", "+15555550124"] {
        let new = NewText { to: to.into(), ..plain() };
        assert!(client.create_text(&new).await.is_err());
    }
    let filter = TextFilter { to: Some("+15555550123".into()), ..TextFilter::default() };
    assert!(client.list_texts(filter).next().await.is_err());
    assert!(client.list_texts(TextFilter::default()).next().await.is_err());
    let subjects = subjects.0.lock().unwrap().clone();
    let [first, other, listed, all] = subjects[..] else { panic!("{subjects:?}") };
    assert!(first.is_some() && first != other && first == listed && all.is_none());
}

fn plain() -> NewText {
    NewText {
        from: TextSender::Address("+15555550100".into()),
        to: "+15555550123".into(),
        body: Some("hi".into()),
        media_urls: vec![],
        content_sid: None,
        content_variables: None,
        status_callback: None,
    }
}

fn sid(prefix: &str) -> TextSid {
    format!("{prefix}{H}").parse().unwrap()
}

fn stored(prefix: &str, status: &str) -> Value {
    json!({"sid": format!("{prefix}{H}"), "account_sid": format!("AC{H}"), "body": "hi there",
           "from": "+15555550100", "to": "+15555550123", "status": status,
           "direction": "outbound-api", "num_media": "0", "num_segments": "1",
           "error_code": null, "error_message": null, "messaging_service_sid": null,
           "date_created": "Thu, 24 Aug 2023 05:01:45 +0000",
           "date_updated": "Thu, 24 Aug 2023 05:01:46 +0000",
           "date_sent": "Thu, 24 Aug 2023 05:01:46 +0000"})
}

fn page(entries: &Value, next: Value) -> Scripted {
    json_answer(200, json!({"messages": entries, "next_page_uri": next, "page": 0}))
}
