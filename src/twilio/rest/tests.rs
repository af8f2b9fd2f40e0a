//! The client against a small server that answers as scripted and keeps what it was asked.

use std::sync::Mutex;

use proptest::prelude::*;
use serde_json::{Value, json};
use static_assertions::assert_impl_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

mod configuration;
mod odd;
mod scripted;
mod texts;

use self::scripted::*;
use super::*;
use crate::twilio::catalogue::Retry;
use crate::twilio::events::ConversationState;
use crate::twilio::sid::ConversationSid;

assert_impl_all!(Client: Clone, Send, Sync);

#[tokio::test]
async fn adding_a_participant_says_who_asks_and_asks_for_no_webhook() {
    let server = Server::start(vec![json_answer(201, participant())]).await;
    let added = server.client().add_participant(conversation(), "bot & co/1").await.unwrap();
    assert_eq!(added.identity.as_ref().map(|identity| identity.reveal()), Some("bot"));
    let asked = server.asked();
    assert_eq!(asked[0].line, format!("POST /v1/Services/IS{H}/Conversations/CH{H}/Participants"));
    assert_eq!(asked[0].body, "Identity=bot+%26+co%2F1");
    let header = |name: &str| asked[0].headers.get(name).map(|value| value.to_str().unwrap());
    let basic = format!("Basic {}", STANDARD.encode(format!("AC{H}:the-token")));
    assert_eq!(header("authorization"), Some(basic.as_str()));
    assert_eq!(header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(header("accept"), Some("application/json"));
    assert_eq!(header("x-twilio-webhook-enabled"), None);
}

#[tokio::test]
async fn an_api_key_asks_under_its_own_name() {
    let server = Server::start(vec![json_answer(200, json!({}))]).await;
    let credentials = Credentials::ApiKey {
        sid: format!("SK{H}").parse().unwrap(),
        secret: SecretString::from("s3".to_owned()),
    };
    server.client_with(|options| options.credentials = credentials).fetch_account().await.unwrap();
    let asked = server.asked();
    assert_eq!(asked[0].line, format!("GET /2010-04-01/Accounts/AC{H}.json"));
    let basic = format!("Basic {}", STANDARD.encode(format!("SK{H}:s3")));
    assert_eq!(asked[0].headers["authorization"], basic.as_str());
}

#[tokio::test]
async fn an_identity_stands_in_the_sids_place_and_is_escaped() {
    let server = Server::start(vec![
        json_answer(200, participant()),
        json_answer(404, json!({"code": 20404, "status": 404})),
        json_answer(403, json!({"code": 20403, "status": 403})),
    ])
    .await;
    let client = server.client();
    assert!(client.fetch_participant(conversation(), "a/b ü?").await.unwrap().is_some());
    assert!(client.fetch_participant(conversation(), "bot").await.unwrap().is_none());
    assert_eq!(
        client.fetch_participant(conversation(), "bot").await.unwrap_err().code(),
        Some(20403)
    );
    assert!(server.asked()[0].line.ends_with("/Participants/a%2Fb%20%C3%BC%3F"));
}

#[tokio::test]
async fn the_webhooks_of_a_service_may_never_have_been_set() {
    let never = json!({"method": null, "filters": null, "post_webhook_url": null});
    let url = "https://u:pw@bot.example/webhooks/twilio";
    let set = json!({"method": "POST", "filters": ["onMessageAdded"], "post_webhook_url": url});
    let absent = json!({"code": 20404});
    let script = vec![json_answer(200, never), json_answer(200, set), json_answer(404, absent)];
    let server = Server::start(script).await;
    let client = server.client();
    assert_eq!(client.fetch_webhooks().await.unwrap(), Some(Webhooks::default()));
    let webhooks = client.fetch_webhooks().await.unwrap().unwrap();
    assert_eq!((webhooks.method.as_deref(), webhooks.filters.len()), (Some("POST"), 1));
    assert!(!format!("{webhooks:?}").contains("pw"));
    assert_eq!(client.fetch_webhooks().await.unwrap(), None);
    assert_eq!(server.asked()[0].line, format!("GET /v1/Services/IS{H}/Configuration/Webhooks"));
}

#[tokio::test]
async fn removing_what_is_not_there_counts_as_removed() {
    let server = Server::start(vec![
        answer(204, ""),
        json_answer(404, json!({"code": 20404})),
        answer(500, ""),
    ])
    .await;
    let participant = format!("MB{H}").parse().unwrap();
    let client = server.client();
    client.remove_participant(conversation(), participant).await.unwrap();
    client.remove_participant(conversation(), participant).await.unwrap();
    let error = client.remove_participant(conversation(), participant).await.unwrap_err();
    assert!(error.may_have_happened());
    assert!(server.asked()[0].line.starts_with("DELETE "));
}

#[tokio::test]
async fn a_refusal_keeps_code_wait_and_request_id() {
    let mut busy = json_answer(429, json!({"code": 20429, "message": "secret", "status": 429}));
    busy.headers = vec![("retry-after", "7"), ("twilio-request-id", "RQ1")];
    let server = Server::start(vec![busy]).await;
    let error = server.client().add_participant(conversation(), "bot").await.unwrap_err();
    let Error::Refused { op, status, code, retry_after, request_id } = &error else {
        panic!("{error:?}")
    };
    assert_eq!((*op, *status, *code), (Op::AddParticipant, 429, Some(20429)));
    assert_eq!(*retry_after, Some(Duration::from_secs(7)));
    assert_eq!(request_id.as_deref(), Some("RQ1"));
    assert_eq!(error.entry().unwrap().retry, Retry::Yes);
    assert!(!error.may_have_happened());
    assert_eq!(error.to_string(), "add_participant was answered 429 with code 20429");
    assert!(!format!("{error:?}").contains("secret"));
}

#[tokio::test]
async fn an_error_body_may_be_html_empty_long_or_broken_off() {
    let long = format!("<html>{}", "x".repeat(100_000));
    for (status, how) in [
        (502, How::Whole("<html>Bad Gateway</html>".to_owned())),
        (503, How::Whole(String::new())),
        (500, How::Whole(long)),
        (409, How::Whole(r#"{"code": null}"#.to_owned())),
        (401, How::Whole(r#"{"code": "20003"}"#.to_owned())),
    ] {
        let server = Server::start(vec![Scripted { status, headers: vec![], how }]).await;
        let error =
            server.client().update_conversation_attributes(conversation(), "{}").await.unwrap_err();
        assert_eq!((error.status(), error.code()), (Some(status), None));
        assert_eq!(error.may_have_happened(), status >= 500);
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_never_followed() {
    let mut redirect = answer(307, "");
    redirect.headers = vec![("location", "/elsewhere")];
    let server = Server::start(vec![redirect]).await;
    let error = server.client().create_message(conversation(), &message("hi")).await.unwrap_err();
    assert!(matches!(error, Error::Foreign { status: 307, .. }), "{error:?}");
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn what_is_no_json_of_twilios_was_not_answered_by_twilio() {
    let pages = ["<html>Access denied</html>", "", "[]", "{}", r#"{"error": "blocked"}"#];
    for status in [302, 400, 401, 403, 404, 407, 451] {
        for page in pages {
            let server = Server::start(vec![answer(status, page)]).await;
            let client = server.client();
            let error = client.add_participant(conversation(), "bot").await.unwrap_err();
            assert!(matches!(error, Error::Foreign { .. }), "{status} {page}: {error:?}");
            assert_eq!((error.status(), error.code()), (None, None));
            assert!(error.may_have_happened(), "whoever answered may have passed it on");
        }
    }
    let server = Server::start(vec![answer(200, "<html>Sign in to the network</html>")]).await;
    let error = server.client().create_message(conversation(), &message("hi")).await.unwrap_err();
    assert!(matches!(error, Error::Foreign { status: 200, .. }), "{error:?}");
    // Not even a conversation is taken to be gone by such a 404.
    let server = Server::start(vec![answer(404, "<html>")]).await;
    assert!(server.client().fetch_conversation(conversation()).await.is_err());
}

#[tokio::test]
async fn without_a_connection_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = client(&format!("http://{address}"), |_| {});
    let error = client.create_message(conversation(), &message("hi")).await.unwrap_err();
    assert!(matches!(error, Error::NotSent { source: FailureCause::Http(_), .. }), "{error:?}");
    assert!(!error.may_have_happened());
}

#[tokio::test]
async fn an_answer_that_is_lost_leaves_the_outcome_unknown_and_is_asked_for_once() {
    for how in [
        How::Never,
        How::BrokenOff,
        How::Whole("{".to_owned()),
        How::Whole("[]".to_owned()),
        How::Whole(String::new()),
        How::Whole(format!("[\"{}\"]", "x".repeat(70_000))),
    ] {
        let shown = format!("{how:?}");
        let server = Server::start(vec![Scripted { status: 201, headers: vec![], how }]).await;
        let client = server.client_with(|options| {
            options.request_timeout = Duration::from_millis(300);
            options.response_bytes_max = 64 * 1024;
        });
        let error = client.create_message(conversation(), &message("hi")).await.unwrap_err();
        assert!(matches!(error, Error::Unknown { .. }), "{shown}: {error:?}");
        assert!(error.may_have_happened());
        assert_eq!(server.asked().len(), 1, "{shown}");
    }
}

#[tokio::test]
async fn a_connection_that_dies_under_the_request_leaves_the_outcome_unknown() {
    // Reads the request, then closes without a word.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 4096];
        let read = socket.read(&mut buffer).await.unwrap();
        assert!(read > 0);
    });
    let client = client(&format!("http://{address}"), |_| {});
    let error = client.create_message(conversation(), &message("hi")).await.unwrap_err();
    assert!(matches!(error, Error::Unknown { source: FailureCause::Http(_), .. }), "{error:?}");
    server.await.unwrap();
}

#[tokio::test]
async fn an_answer_cut_off_in_its_body_keeps_its_status_only_if_it_is_a_refusal() {
    for (status, refused) in [("504 Gateway Timeout", true), ("201 Created", false)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: 100\r\n\r\n{{");
        let server = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 4096];
            let _ = socket.read(&mut buffer).await.unwrap();
            socket.write_all(head.as_bytes()).await.unwrap();
            socket.shutdown().await.unwrap();
        });
        let client = client(&format!("http://{address}"), |_| {});
        let error = client.create_message(conversation(), &message("hi")).await.unwrap_err();
        assert_eq!(error.status(), refused.then_some(504), "{error:?}");
        assert!(error.may_have_happened());
        server.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_finds_no_room_in_time_is_not_sent() {
    let client = client("http://127.0.0.1:1", |options| options.in_flight_max = 1);
    let _all = client.inner.limiter.acquire().await;
    let error = client.fetch_conversation(conversation()).await.unwrap_err();
    assert!(matches!(error, Error::NotSent { source: FailureCause::Busy(_), .. }), "{error:?}");
}

#[tokio::test]
async fn a_message_is_written_with_all_its_fields() {
    let server = Server::start(vec![json_answer(201, stored_message(7))]).await;
    let new = NewMessage {
        author: "bot".to_owned(),
        body: Some("hi there".into()),
        attributes: Some(r#"{"k":"1"}"#.to_owned()),
        media: vec![format!("ME{H}").parse().unwrap()],
        content_sid: Some(format!("HX{H}").parse().unwrap()),
        content_variables: Some("{}".into()),
    };
    let stored = server.client().create_message(conversation(), &new).await.unwrap();
    assert_eq!((stored.index, stored.media.len()), (7, 1));
    assert_eq!(stored.created.unwrap().to_string(), "2026-11-21T04:00:07.000Z");
    assert_eq!(
        server.asked()[0].body,
        format!(
            "Author=bot&Body=hi+there&Attributes=%7B%22k%22%3A%221%22%7D&MediaSid=ME{H}\
             &ContentSid=HX{H}&ContentVariables=%7B%7D"
        )
    );
    assert!(!format!("{new:?} {stored:?}").contains("hi there"));
}

#[tokio::test]
async fn the_newest_messages_come_newest_first() {
    let pages = [message_page(&[9, 8, 7], None), message_page(&[9], None), message_page(&[], None)];
    let server = Server::start(pages.map(|page| json_answer(200, page)).into()).await;
    let client = server.client();
    let mut newest = client.newest_messages(conversation());
    let page = newest.next().await.unwrap().unwrap();
    assert_eq!(page.iter().map(|message| message.index).collect::<Vec<_>>(), [9, 8, 7]);
    assert!(newest.next().await.unwrap().is_none());
    let index = |message: Option<Message>| message.map(|message| message.index);
    assert_eq!(index(client.newest_message(conversation()).await.unwrap()), Some(9));
    assert_eq!(index(client.newest_message(conversation()).await.unwrap()), None);
    let asked = server.asked();
    assert!(asked[0].line.ends_with("/Messages?Order=desc&PageSize=20"));
    assert!(asked[1].line.ends_with("/Messages?Order=desc&PageSize=1"));
}

#[tokio::test]
async fn catching_up_walks_back_to_the_index_and_gives_the_oldest_first() {
    let next = "https://conversations.twilio.com/v1/Conversations/CH/Messages?Page=1";
    for (after, max, indexes, complete, requests) in [
        (Some(3), 20, vec![4, 6, 7, 8, 9], true, 2),
        (Some(6), 20, vec![7, 8, 9], true, 1),
        (Some(9), 20, vec![], true, 1),
        (None, 20, vec![1, 3, 4, 6, 7, 8, 9], true, 2),
        (None, 4, vec![6, 7, 8, 9], false, 2),
        (Some(3), 2, vec![8, 9], false, 1),
    ] {
        let server = Server::start(vec![
            json_answer(200, message_page(&[9, 8, 7, 6], Some(next))),
            // A message that came in between has moved 6 to the second page too.
            json_answer(200, message_page(&[6, 4, 3, 1], None)),
        ])
        .await;
        let found = server.client().messages_after(conversation(), after, max).await.unwrap();
        let got: Vec<_> = found.messages.iter().map(|message| message.index).collect();
        assert_eq!((got, found.complete), (indexes, complete), "{after:?} {max}");
        assert_eq!(server.asked().len(), requests, "{after:?} {max}");
    }
}

#[tokio::test]
async fn whoever_needs_more_than_the_newest_messages_reads_whole_pages_from_the_newest_on() {
    let next = "https://conversations.twilio.com/v1/Conversations/CH/Messages?Page=1";
    let server = Server::start(vec![
        json_answer(200, message_page(&[9, 8], Some(next))),
        // One came in between.
        json_answer(200, message_page(&[10, 9, 8, 7, 6], Some(next))),
        json_answer(200, message_page(&[5, 4], None)),
    ])
    .await;
    let found = server.client().messages_after(conversation(), Some(4), 100).await.unwrap();
    let got: Vec<_> = found.messages.iter().map(|message| message.index).collect();
    assert_eq!((got, found.complete), (vec![5, 6, 7, 8, 9, 10], true));
    let sizes: Vec<_> = server
        .asked()
        .into_iter()
        .map(|asked| asked.line.split_once('?').unwrap().1.to_owned())
        .collect();
    assert_eq!(sizes, ["Order=desc&PageSize=20", "Order=desc&PageSize=100", "Page=1"]);
}

#[tokio::test]
async fn a_listing_is_followed_on_the_configured_base_and_never_in_a_circle() {
    let next = "https://evil.example/v1/Services/IS1/Conversations?PageSize=100&Page=1&PageToken=x";
    let page = |state: &str, next: Option<&str>| {
        json!({
            "conversations": [{"sid": format!("CH{H}"), "state": state, "attributes": "{}"}],
            "meta": {"key": "conversations", "next_page_url": next}
        })
    };
    let server = Server::start(vec![
        json_answer(200, page("active", Some(next))),
        json_answer(200, page("dreaming", Some(next))),
    ])
    .await;
    let filter = ConversationFilter {
        state: Some(ConversationState::Active),
        from: crate::clock::Timestamp::parse_rfc3339("2026-11-20T23:59:59Z"),
    };
    let mut pages = server.client().list_conversations(filter);
    let first = pages.next().await.unwrap().unwrap();
    assert_eq!(first[0].state, Some(ConversationState::Active));
    let second = pages.next().await.unwrap().unwrap();
    assert_eq!(second[0].state, Some(ConversationState::Other));
    assert!(matches!(pages.next().await, Err(Error::NotSent { source: FailureCause::Page, .. })));
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    assert!(
        asked[0].line.ends_with("/Conversations?PageSize=100&State=active&StartDate=2026-11-20")
    );
    assert_eq!(asked[1].line, "GET /v1/Services/IS1/Conversations?PageSize=100&Page=1&PageToken=x");
}

#[tokio::test]
async fn an_identitys_conversations_are_collected_up_to_a_bound() {
    let page = || {
        let one = json!({"conversation_sid": format!("CH{H}"), "participant_sid": format!("MB{H}"),
                         "conversation_state": "closed"});
        json!({"conversations": [one, one], "meta": {"key": "conversations", "next_page_url":
              "/v1/ParticipantConversations?Page=1"}})
    };
    let server = Server::start(vec![json_answer(200, page()), json_answer(200, page())]).await;
    let all = server.client().participant_conversations("bot").all(3).await.unwrap();
    assert_eq!(all.len(), 3);
    assert_eq!(all[0].conversation_state, Some(ConversationState::Closed));
    assert!(server.asked()[0].line.ends_with("/ParticipantConversations?Identity=bot&PageSize=50"));
}

#[tokio::test]
async fn an_update_replaces_the_attributes() {
    let server = Server::start(vec![json_answer(200, json!({"sid": format!("CH{H}")}))]).await;
    let updated =
        server.client().update_conversation_attributes(conversation(), "{}").await.unwrap();
    assert_eq!(updated.sid, conversation());
    assert_eq!(server.asked()[0].body, "Attributes=%7B%7D");
}

#[tokio::test]
async fn a_read_is_asked_for_again_after_hiccups_but_not_for_ever() {
    let server = Server::start([503, 502, 500, 504].map(|status| answer(status, "")).into()).await;
    let asked = server.client().fetch_conversation(conversation()).await;
    assert_eq!(asked.unwrap_err().status(), Some(504));
    assert_eq!(server.asked().len(), 4);
}

#[tokio::test]
async fn a_read_is_asked_for_once_where_twilio_asks_for_patience_or_means_no() {
    let mut busy = answer(503, "");
    busy.headers = vec![("retry-after", "7")];
    for refusal in [busy, answer(429, ""), json_answer(401, json!({"code": 20003}))] {
        let status = refusal.status;
        let server = Server::start(vec![refusal]).await;
        let asked = server.client().fetch_conversation(conversation()).await;
        assert_eq!(asked.unwrap_err().status(), Some(status));
        assert_eq!(server.asked().len(), 1);
    }
}

#[tokio::test]
async fn each_request_is_observed_once_with_its_end() {
    #[derive(Default)]
    struct Ends(Mutex<Vec<(Op, Outcome)>>);
    impl Observer for Ends {
        fn finished(
            &self,
            op: Op,
            subject: Option<RequestSubject>,
            outcome: Outcome,
            _took: Duration,
        ) {
            assert_eq!(subject, Some(*conversation().as_bytes()));
            self.0.lock().unwrap().push((op, outcome));
        }
    }
    let server = Server::start(vec![
        json_answer(200, json!({"sid": format!("CH{H}")})),
        answer(503, ""),
        answer(200, "["),
        json_answer(200, json!({"sid": format!("CH{H}")})),
    ])
    .await;
    let ends = Arc::new(Ends::default());
    let (tls, _) = crate::net::tls::client_config().unwrap();
    let observer: Arc<dyn Observer> = Arc::<Ends>::clone(&ends);
    let client = Client::new(options(&server.url), tls, Clock::start(), Some(observer)).unwrap();
    for _ in 0..2 {
        client.fetch_conversation(conversation()).await.unwrap();
    }
    assert_eq!(
        *ends.0.lock().unwrap(),
        [Outcome::Done, Outcome::Refused { status: 503 }, Outcome::Unreadable, Outcome::Done]
            .map(|outcome| (Op::FetchConversation, outcome))
    );
}

#[test]
fn a_base_that_is_no_http_url_is_refused() {
    for url in ["ftp://h/v1", "data:x"] {
        let mut options = options("http://127.0.0.1:1");
        options.conversations_base_url = Url::parse(url).unwrap();
        let (tls, _) = crate::net::tls::client_config().unwrap();
        assert!(matches!(
            Client::new(options, tls, Clock::start(), None),
            Err(BuildError::Base("conversations"))
        ));
    }
}

#[test]
fn debug_of_options_and_client_shows_no_secret() {
    let shown = format!("{:?} {:?}", options("http://h"), client("http://h", |_| {}));
    assert!(!shown.contains("the-token"), "{shown}");
}

proptest! {
    #[test]
    fn no_page_makes_the_model_panic(text in "[\\[\\]{}\":,a-z0-9]{0,60}") {
        let _ = serde_json::from_str::<Message>(&text);
        let _ = serde_json::from_str::<Conversation>(&text);
    }
}

const H: &str = "0123456789abcdef0123456789abcdef";

fn conversation() -> ConversationSid {
    format!("CH{H}").parse().unwrap()
}

fn participant() -> Value {
    json!({"sid": format!("MB{H}"), "conversation_sid": format!("CH{H}"), "identity": "bot",
           "messaging_binding": null, "attributes": "{}", "last_read_message_index": null})
}

fn stored_message(index: u64) -> Value {
    json!({"sid": format!("IM{index:032x}"), "conversation_sid": format!("CH{H}"), "index": index,
           "author": "bot", "body": "hi there", "attributes": "{}", "participant_sid": null,
           "media": [{"sid": format!("ME{H}"), "size": 3, "content_type": "image/png", "filename": null}],
           "date_created": format!("2026-11-21T04:00:{index:02}Z"), "date_updated": null,
           "delivery": null, "content_sid": null})
}

fn message_page(indexes: &[u64], next: Option<&str>) -> Value {
    let messages: Vec<_> = indexes
        .iter()
        .map(|index| {
            let mut message = stored_message(*index);
            message["media"] = Value::Null;
            message
        })
        .collect();
    json!({"messages": messages, "meta": {"key": "messages", "next_page_url": next}})
}

fn message(body: &str) -> NewMessage {
    NewMessage { author: "bot".to_owned(), body: Some(body.into()), ..NewMessage::default() }
}

fn options(url: &str) -> Options {
    let token = SecretString::from("the-token".to_owned());
    let mut options =
        Options::new(format!("AC{H}").parse().unwrap(), Credentials::AuthToken(token));
    options.conversations_base_url = Url::parse(url).unwrap();
    options.api_base_url = Url::parse(url).unwrap();
    options.messaging_base_url = Url::parse(url).unwrap();
    options.media_base_url = Url::parse(url).unwrap();
    options.products = ProductUrls::at(&Url::parse(url).unwrap());
    options.chat_service_sid = Some(format!("IS{H}").parse().unwrap());
    options
}

fn client(url: &str, change: impl FnOnce(&mut Options)) -> Client {
    let mut options = options(url);
    change(&mut options);
    let (tls, _) = crate::net::tls::client_config().unwrap();
    Client::new(options, tls, Clock::start(), None).unwrap()
}
