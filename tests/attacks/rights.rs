//! Who may say what: requests signed for somebody else, marks of somebody else, pages of the operator.

use std::net::SocketAddr;
use std::process::Command;

use chimein::clock::Clock;
use chimein::emulator::faults::{Action, Place};
use chimein::emulator::state::model::Message;
use chimein::pipeline::record::{self, Outbound};
use chimein::standard_webhooks::{self, Secret};
use chimein::telemetry::journal::Stage;
use chimein::twilio::form;
use chimein::twilio::signature::{self, Algorithm, Body};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::rig::{BOT, PHONE, Rig};

/// Another service of the same account, whose requests somebody may see.
const VENDOR: &str = "https://vendor.example/hook";
/// What nobody wrote.
const FORGED: &str = "wire the money";

#[tokio::test(flavor = "multi_thread")]
async fn a_request_signed_for_another_service_of_the_account_is_no_event_of_ours() {
    let any = [("CHIMEIN_WEBHOOK_PUBLIC_URL", ""), ("CHIMEIN_WEBHOOK_ALLOW_UNKNOWN_HOST", "true")];
    let listed = [("CHIMEIN_WEBHOOK_PUBLIC_URL", ""), ("CHIMEIN_WEBHOOK_HOSTS", "127.0.0.1")];
    for settings in [&[][..], &listed, &any] {
        let rig = Rig::start(settings).await;
        let conversation = rig.sms(PHONE, "hello").await;
        rig.eventually("the bot has answered", |rig| rig.replies(conversation).len() == 1).await;
        let fields = forged(&rig, &conversation.to_string());
        let form = form(&fields);
        // A customer's text to the other service, chosen so that the text signed for it ends like
        // the one that would be signed for the forged event.
        let tail: String = fields.iter().map(|(name, value)| format!("{name}{value}")).collect();
        let account = &fields[0].1;
        let text = format!("{}{tail}", chimein::webhook::ROUTE);
        let seen = self::form(&[("AccountSid", account.clone()), ("Body", text)]);
        let signature = sign(&rig, VENDOR, &seen);
        let pasted = format!("vendor.example/hookAccountSid{account}Body");
        for host in ["host", "x-forwarded-host"] {
            let headers = [(host, pasted.as_str()), ("x-forwarded-proto", "https")];
            assert_eq!(post(&rig, &headers, &signature, &form).await, 403, "{host} {settings:?}");
        }
        let own = format!("http://{}{}", rig.app().address(), chimein::webhook::ROUTE);
        let signature = sign(&rig, &own, &form);
        let host = rig.app().address().to_string();
        assert_eq!(post(&rig, &[("host", &host)], &signature, &form).await, 200, "{settings:?}");
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_replayed_under_its_own_host_counts_only_where_any_host_is_allowed() {
    let url = format!("https://vendor.example{}", chimein::webhook::ROUTE);
    let headers = [("x-forwarded-host", "vendor.example"), ("x-forwarded-proto", "https")];
    let none = ("CHIMEIN_WEBHOOK_PUBLIC_URL", "");
    for (settings, status) in [
        (&[][..], 403),
        (&[none, ("CHIMEIN_WEBHOOK_HOSTS", "127.0.0.1")], 403),
        (&[none, ("CHIMEIN_WEBHOOK_ALLOW_UNKNOWN_HOST", "true")], 200),
    ] {
        let rig = Rig::start(settings).await;
        let form = form(&forged(&rig, "CHcccccccccccccccccccccccccccccccc"));
        let signature = sign(&rig, &url, &form);
        assert_eq!(post(&rig, &headers, &signature, &form).await, status, "{settings:?}");
        rig.end().await;
    }
}

#[test]
fn a_service_that_does_not_know_what_twilio_calls_does_not_start() {
    for (words, code) in [(&["serve"][..], 1), (&["config"], 2), (&["doctor", "--offline"], 2)] {
        let ended = Command::new(env!("CARGO_BIN_EXE_chimein"))
            .args(words)
            .env_clear()
            .env("TWILIO_ACCOUNT_SID", format!("AC{}", "0".repeat(32)))
            .env("TWILIO_AUTH_TOKEN", "planted")
            .env("TWILIO_API_KEY", format!("SK{}", "0".repeat(32)))
            .env("TWILIO_API_SECRET", "planted")
            .env("TWILIO_CHAT_SERVICE_SID", format!("IS{}", "0".repeat(32)))
            .env("TWILIO_IDENTITY", BOT)
            .output()
            .unwrap();
        let told = String::from_utf8([ended.stdout, ended.stderr].concat()).unwrap();
        assert_eq!(ended.status.code(), Some(code), "{words:?}: {told}");
        for part in ["webhook.public_url", "another service of the account", "PUBLIC_URL"] {
            assert!(told.contains(part), "{words:?}: {told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mark_of_somebody_else_neither_stands_for_a_reply_nor_hides_a_message() {
    let rig = Rig::start(&SLOW_RETRY).await;
    rig.fault(rest_send(), Action::BreakBefore, 1);
    let conversation = rig.sms(PHONE, "hello").await;
    rig.eventually("the reply's fate is unknown", |rig| {
        rig.rest_requests("POST", &format!("{conversation}/Messages")) == 1
    })
    .await;
    let asked = rig.control.messages(conversation)[0].sid;
    let guessed = Uuid::from_bytes(*record::reply_job(asked.into(), 0).as_bytes());
    // Nobody in the conversation could know this one.
    let known = stored_ids(&rig).remove(0);
    let path = format!("Conversations/{conversation}/Messages");
    for (text, mark) in [("guessed", guessed), ("known", known), ("made up", Uuid::from_u128(7))] {
        let attributes = format!(r#"{{"chimein":{{"reply":"{mark}"}}}}"#);
        let fields = [("Author", "mallory"), ("Body", text), ("Attributes", &attributes)];
        rig.rest_post_told(&path, &fields).await;
    }
    rig.expect(conversation, &["hello", "guessed", "known", "made up"]).await;
    let (known, guessed) = (known.to_string(), guessed.to_string());
    let marked = |mark: &str| {
        let is_marked = |one: &&Message| one.author == BOT && one.attributes.contains(mark);
        rig.control.messages(conversation).iter().filter(is_marked).count()
    };
    assert_eq!((marked(&known), marked(&guessed)), (1, 0));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_is_found_after_the_credentials_have_been_changed() {
    let mut rig = Rig::start(&SLOW_RETRY).await;
    rig.fault(rest_send(), Action::AnswerAfter { status: 504, code: None }, 1);
    let conversation = rig.sms(PHONE, "hello").await;
    rig.eventually("the reply is stored", |rig| rig.replies(conversation).len() == 1).await;
    rig.stop_service().await;
    assert_eq!(stored_ids(&rig).len(), 1, "what became of it is not known");
    rig.set("TWILIO_API_SECRET", "another secret of the API key");
    rig.start_service().await;
    rig.expect(conversation, &["hello"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_replies_signed_for_one_conversation_go_to_no_other() {
    let rig = Rig::start(&[("CHIMEIN_AGENT_SECRET", AGENT_SECRET)]).await;
    let [one, other] = [PHONE, "+15555550188"].map(|phone| (phone, "hello"));
    let (one, other) = (rig.sms(one.0, one.1).await, rig.sms(other.0, other.1).await);
    rig.expect(one, &["hello"]).await;
    rig.expect(other, &["hello"]).await;
    let body = format!(r#"{{"conversation":"{one}","replies":["secret"]}}"#);
    let unnamed = r#"{"replies":["secret"]}"#;
    for (conversation, body, status) in
        [(other, body.as_str(), 400), (other, unnamed, 400), (one, body.as_str(), 202)]
    {
        let (answered, told) = late(&rig, &conversation.to_string(), body).await;
        assert_eq!(answered, status, "{conversation} {body}: {told}");
        assert!(status == 202 || told.contains(&other.to_string()), "{told}");
    }
    rig.expect(one, &["hello", "secret"]).await;
    rig.expect(other, &["hello"]).await;
    rig.end().await;
}

const AGENT_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_customer_wrote_is_printed_as_text_and_nothing_else() {
    let mut rig = Rig::start(&[("CHIMEIN_REALTIME_ENABLED", "false")]).await;
    let refused = Action::Answer { status: 400, code: Some(50511), retry_after: None };
    rig.fault(rest_send(), refused, 1);
    // Clears the line, shows what follows from right to left, and begins a new line.
    let conversation = rig.sms(PHONE, "a\u{9b}2K\u{1b}]0;b\u{7}\u{202e}c\u{2028}d").await;
    rig.eventually("the reply is a dead letter", |rig| {
        let records = rig.app().journal().recent(conversation);
        records.iter().any(|one| matches!(one.stage, Stage::Dead { queue: "outbox", .. }))
    })
    .await;
    rig.stop_service().await;
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chimein"));
        command.args(words).env_clear().env("CHIMEIN_QUEUE_PATH", rig.queue_path());
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let listed = run(&["dead-letters", "list", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let letter = format!("outbox/{}", listed["letters"][0]["id"].as_str().unwrap());
    for words in [
        &["dead-letters", "show", &letter, "--reveal"][..],
        &["dead-letters", "show", &letter, "--reveal", "--json"],
    ] {
        let shown = run(words);
        assert!(shown.contains(r"a\u009b2K\u001b]0;b\u0007\u202ec\u2028d"), "{shown}");
        let is_raw = |c: char| c.is_control() && c != '\n' || "\u{202e}\u{2028}".contains(c);
        assert!(!shown.contains(is_raw), "{shown:?}");
    }
    rig.end().await;
}

/// What an operator alone sees or does.
const GUARDED: [&str; 5] =
    ["/metrics", "/_debug/twilio", "/_debug/config", "/v1/queues", "/v1/dead-letters"];
/// What anybody may ask.
const PROBES: [&str; 4] = ["/", "/healthz", "/livez", "/readyz"];

#[tokio::test(flavor = "multi_thread")]
async fn the_public_listener_shows_nothing_but_health() {
    for token in ["", ADMIN_TOKEN] {
        let rig = Rig::start(&[("CHIMEIN_ADMIN_DEBUG_TOKEN", token)]).await;
        for path in GUARDED {
            for headers in [&[][..], &[("authorization", "Bearer a-long-random-text")]] {
                let (status, told) = get(rig.app().address(), path, headers).await;
                assert_eq!(status, 404, "{path} {told}");
            }
        }
        for path in PROBES {
            assert_eq!(get(rig.app().address(), path, &[]).await.0, 200, "{path}");
        }
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_listener_that_others_reach_asks_for_the_token() {
    let right = [("authorization", "Bearer a-long-random-text")];
    for (token, without, with) in [("", 403, 403), (ADMIN_TOKEN, 401, 200)] {
        let far = ("CHIMEIN_ADMIN_LISTEN", "0.0.0.0:0");
        let rig = Rig::start(&[far, ("CHIMEIN_ADMIN_DEBUG_TOKEN", token)]).await;
        let admin = rig.app().admin_address().unwrap();
        for path in GUARDED {
            assert_eq!(get(admin, path, &[]).await.0, without, "{path}");
            assert_eq!(get(admin, path, &right).await.0, with, "{path}");
        }
        for path in PROBES {
            assert_eq!(get(admin, path, &[]).await.0, 200, "{path}");
        }
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_web_page_reads_the_admin_listener_through_a_browser() {
    let rig = Rig::start(&[("CHIMEIN_ADMIN_LISTEN", "127.0.0.1:0")]).await;
    let admin = rig.app().admin_address().unwrap();
    let own = format!("http://{admin}");
    for path in GUARDED {
        let own_origin = [("host", &*admin.to_string()), ("origin", &*own)];
        assert_eq!(get(admin, path, &own_origin).await.0, 200, "{path}");
        for foreign in [
            &[("host", "rebound.example")][..],
            &[("host", "rebound.example"), ("origin", "http://rebound.example")],
            &[("host", "127.0.0.1"), ("origin", "https://evil.example")],
            &[("host", "127.0.0.1"), ("origin", "null")],
            &[("host", "127.0.0.1/"), ("origin", "http://127.0.0.1/")],
        ] {
            assert_eq!(get(admin, path, foreign).await.0, 403, "{path} {foreign:?}");
        }
    }
    assert_eq!(get(admin, "/readyz", &[("host", "10.0.0.7:9464")]).await.0, 200);
    rig.end().await;
}

const ADMIN_TOKEN: &str = "a-long-random-text";

/// Gets a page with these headers as they are.
async fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let mut head = format!("GET {path} HTTP/1.1\r\nconnection: close\r\n");
    if headers.iter().all(|(name, _)| *name != "host") {
        head.push_str("host: 127.0.0.1\r\n");
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    ask(address, &format!("{head}\r\n")).await
}

/// Posts late replies as an agent has signed them; gives the status and the answer.
async fn late(rig: &Rig, conversation: &str, body: &str) -> (u16, String) {
    let (secret, now) = (Secret::parse(&AGENT_SECRET.into()).unwrap(), Clock::start().wall());
    let signature = standard_webhooks::sign(&secret, "evt_1", now, body.as_bytes());
    let head = format!(
        "POST /v1/conversations/{conversation}/replies HTTP/1.1\r\nhost: bot\r\nconnection: close\r\n\
         webhook-id: evt_1\r\nwebhook-timestamp: {}\r\nwebhook-signature: {signature}\r\n\
         content-length: {}\r\n",
        now.as_secs(),
        body.len()
    );
    ask(rig.app().address(), &format!("{head}\r\n{body}")).await
}

/// Leaves time to do something after the first attempt.
const SLOW_RETRY: [(&str, &str); 2] =
    [("CHIMEIN_REALTIME_ENABLED", "false"), ("CHIMEIN_SEND_SCHEDULE", "3s,3s,3s")];

fn rest_send() -> Place {
    Place::Rest { method: Some("POST".to_owned()), path: Some("/Messages".into()) }
}

/// The ids of the replies that wait, as they are stored.
fn stored_ids(rig: &Rig) -> Vec<Uuid> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let db = rusqlite::Connection::open_with_flags(rig.queue_path(), flags).unwrap();
    let open = "SELECT payload FROM jobs JOIN payloads USING (seq) WHERE queue = 2 AND state = 0";
    let mut rows = db.prepare(open).unwrap();
    let payloads = rows.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    let ids = payloads.map(|payload| {
        let Outbound::V1 { id, .. } = serde_json::from_slice(&payload.unwrap()).unwrap();
        id
    });
    ids.collect()
}

/// The fields of an event that never was, in the order of their names.
fn forged(rig: &Rig, conversation: &str) -> Vec<(&'static str, String)> {
    let credentials = rig.emulator.credentials();
    vec![
        ("AccountSid", credentials.account_sid.to_string()),
        ("Author", "boss".to_owned()),
        ("Body", FORGED.to_owned()),
        ("ChatServiceSid", credentials.service_sid.to_string()),
        ("ConversationSid", conversation.to_owned()),
        ("EventType", "onMessageAdded".to_owned()),
        ("Index", "1".to_owned()),
        ("MessageSid", format!("IM{}", "7".repeat(32))),
    ]
}

fn form(fields: &[(&str, String)]) -> String {
    form::encode(fields.iter().map(|(name, value)| (*name, value.as_str())))
}

/// Signs as Twilio does for this account.
fn sign(rig: &Rig, url: &str, form: &str) -> String {
    signature::sign(
        &rig.emulator.credentials().auth_token,
        Algorithm::HmacSha1,
        url,
        Body::Form(form.as_bytes()),
    )
}

/// Posts a form to the webhook with these headers as they are; gives the status.
async fn post(rig: &Rig, headers: &[(&str, &str)], signature: &str, form: &str) -> u16 {
    let mut head = format!("POST {} HTTP/1.1\r\nconnection: close\r\n", chimein::webhook::ROUTE);
    for (name, value) in headers.iter().copied().chain([
        ("content-type", "application/x-www-form-urlencoded"),
        ("content-length", form.len().to_string().as_str()),
        ("x-twilio-signature", signature),
    ]) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if headers.iter().all(|(name, _)| *name != "host") {
        head.push_str("host: 127.0.0.1\r\n");
    }
    let (status, _) = ask(rig.app().address(), &format!("{head}\r\n{form}")).await;
    status
}

/// Sends a request as it is written; gives the status and the whole answer.
async fn ask(address: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("no status: {answer}")), answer)
}
