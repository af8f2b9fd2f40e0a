//! Webhooks: order, fields, signatures, pre-action verdicts, faults.

use super::*;
use crate::emulator::control::Webhook;
use crate::emulator::faults::Fault;

const PHONE: &str = "+15555550123";
const OURS: &str = "+15555550100";

#[tokio::test]
async fn autocreation_tells_conversation_then_participant_then_message() {
    let twilio = Twilio::start().await;
    let mut receiver = Receiver::start(&twilio).await;
    twilio.control().set_webhook(Webhook {
        pre_url: Some(receiver.url.clone()),
        post_url: Some(receiver.url.clone()),
        ..Webhook::default()
    });
    twilio.control().receive_sms(PHONE, OURS, "héllo 👋").await.unwrap();
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push(receiver.next().await);
    }
    let events: Vec<_> = all.iter().map(|one| one.fields["EventType"].as_str()).collect();
    assert_eq!(
        events,
        ["onConversationAdd", "onConversationAdded", "onParticipantAdded", "onMessageAdded"]
    );
    for one in &all {
        assert!(one.is_signed, "{one:?}");
        assert_eq!(one.fields["Source"], "SMS");
        assert_eq!(one.fields["RetryCount"], "0");
        assert!(one.content_type.ends_with("; charset=utf-8"));
        assert_eq!(one.method, "POST");
    }
    let (asked, message) = (&all[0].fields, &all[3].fields);
    assert!(!asked.contains_key("ConversationSid"));
    assert_eq!(asked["MessageBody"], "héllo 👋");
    assert_eq!(asked["MessagingBinding.Address"], PHONE);
    assert_eq!((message["Body"].as_str(), message["Index"].as_str()), ("héllo 👋", "0"));
    assert_eq!(message["Author"], PHONE);
    // Known but for the second message into the same conversation, which is asked about.
    twilio.control().receive_sms(PHONE, OURS, "again").await.unwrap();
    assert_eq!(receiver.events(2).await, ["onMessageAdd", "onMessageAdded"]);
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn rest_writes_fire_only_when_they_ask_for_it_and_deliveries_always() {
    let twilio = Twilio::start().await;
    let mut receiver = Receiver::start(&twilio).await;
    let control = twilio.control();
    control.receive_sms(PHONE, OURS, "hi").await.unwrap();
    control.set_webhook(Webhook { post_url: Some(receiver.url.clone()), ..Webhook::default() });
    let sid = control.conversations()[0].sid;
    let path = format!("/v1/Conversations/{sid}/Messages");
    let fields = [("Author", "bot"), ("Body", "silent")];
    assert_eq!(twilio.call("POST", &path, &fields).await.0, 201);
    for status in ["sent", "delivered"] {
        let delivery = receiver.next().await.fields;
        assert_eq!(delivery["EventType"], "onDeliveryUpdated");
        assert_eq!(delivery["Status"], status);
    }
    let header = [("X-Twilio-Webhook-Enabled", "true")];
    let loud = [("Author", "bot"), ("Body", "loud")];
    assert_eq!(twilio.send("POST", &path, &loud, &header).await.unwrap().0, 201);
    let told = receiver.next().await.fields;
    assert_eq!((told["EventType"].as_str(), told["Source"].as_str()), ("onMessageAdded", "API"));
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn a_pre_action_webhook_modifies_refuses_and_times_out() {
    let options = Options { webhook_timeout: Duration::from_millis(300), ..Options::default() };
    let twilio = Twilio::with(options).await;
    let answer: Answer = Arc::new(|got: &Received| {
        let body = got.fields.get("MessageBody").or(got.fields.get("Body"));
        match body.map(String::as_str) {
            Some("shout") => (200, r#"{"body":"SHOUT"}"#.to_owned(), Duration::ZERO),
            Some("refuse") => (403, String::new(), Duration::ZERO),
            Some("slow") => (403, String::new(), Duration::from_secs(2)),
            _ => (200, String::new(), Duration::ZERO),
        }
    });
    let receiver = Receiver::answering(&twilio, answer).await;
    let control = twilio.control();
    let pre_url = Some(receiver.url.clone());
    control.set_webhook(Webhook { pre_url, ..Webhook::default() });
    assert_eq!(
        control.receive_sms("+15555550999", OURS, "refuse").await,
        Ok(crate::emulator::Received::Dropped)
    );
    for text in ["first", "shout", "refuse", "slow"] {
        control.receive_sms(PHONE, OURS, text).await.unwrap();
    }
    let conversations = control.conversations();
    assert_eq!(conversations.len(), 1);
    let bodies: Vec<_> = control
        .messages(conversations[0].sid)
        .into_iter()
        .map(|message| message.body.unwrap())
        .collect();
    assert_eq!(bodies, ["first", "SHOUT", "slow"]);
    let path = format!("/v1/Conversations/{}/Messages", conversations[0].sid);
    let header = [("X-Twilio-Webhook-Enabled", "true")];
    let refused = twilio.send("POST", &path, &[("Body", "refuse")], &header).await.unwrap();
    assert_eq!((refused.0, &refused.1["code"]), (403, &serde_json::json!(50056)));
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn filters_methods_and_scopes_decide_what_is_sent_where() {
    let twilio = Twilio::start().await;
    let mut receiver = Receiver::start(&twilio).await;
    let service = format!("/v1/Services/{}/Configuration/Webhooks", twilio.service());
    let (status, set) = twilio
        .call(
            "POST",
            &service,
            &[
                ("PostWebhookUrl", &receiver.url),
                ("Filters", "onMessageAdded"),
                ("Filters", "onParticipantAdded"),
                ("Method", "GET"),
            ],
        )
        .await;
    assert_eq!((status, &set["method"]), (200, &serde_json::json!("GET")));
    twilio.control().receive_sms(PHONE, OURS, "a:b c").await.unwrap();
    let (participant, message) = (receiver.next().await, receiver.next().await);
    assert_eq!(participant.fields["EventType"], "onParticipantAdded");
    assert!(message.is_signed && message.method == "GET", "{message:?}");
    assert_eq!(message.fields["Body"], "a:b c");
    assert_eq!(message.fields["tenant"], "a b");
    // A webhook of the conversation comes on top, with its own token.
    let sid = twilio.control().conversations()[0].sid;
    let fields = [
        ("Target", "webhook"),
        ("Configuration.Url", receiver.url.as_str()),
        ("Configuration.Method", "post"),
        ("Configuration.Filters", "onMessageAdded"),
    ];
    let path = format!("/v1/Conversations/{sid}/Webhooks");
    assert_eq!(twilio.call("POST", &path, &fields).await.0, 201);
    twilio.control().receive_sms(PHONE, OURS, "twice").await.unwrap();
    let (one, other) = (receiver.next().await, receiver.next().await);
    assert_ne!(one.delivery_id, other.delivery_id);
    let mut methods = [one.method, other.method];
    methods.sort();
    assert_eq!(methods, ["GET", "POST"]);
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn an_address_gives_its_webhook_to_the_conversations_it_makes() {
    let options = Options { autocreate_all: false, ..Options::default() };
    let twilio = Twilio::with(options).await;
    let mut receiver = Receiver::start(&twilio).await;
    let control = twilio.control();
    assert_eq!(
        control.receive_sms(PHONE, OURS, "nobody").await,
        Ok(crate::emulator::Received::Dropped)
    );
    let fields = [
        ("Type", "sms"),
        ("Address", OURS),
        ("AutoCreation.Enabled", "true"),
        ("AutoCreation.Type", "webhook"),
        ("AutoCreation.WebhookUrl", receiver.url.as_str()),
        ("AutoCreation.WebhookMethod", "post"),
        ("AutoCreation.WebhookFilters", "onMessageAdded"),
    ];
    let (status, address) = twilio.call("POST", "/v1/Configuration/Addresses", &fields).await;
    assert_eq!((status, &address["auto_creation"]["enabled"]), (201, &serde_json::json!(true)));
    control.receive_sms(PHONE, OURS, "hello").await.unwrap();
    let told = receiver.next().await;
    assert_eq!(told.fields["EventType"], "onMessageAdded");
    assert!(told.is_signed);
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn webhook_faults_duplicate_lose_mis_sign_and_swap() {
    let twilio = Twilio::start().await;
    let mut receiver = Receiver::start(&twilio).await;
    let control = twilio.control();
    let fault = |action: &str| {
        let text = format!(
            r#"{{"where":{{"place":"webhook","event_type":"onMessageAdded"}},
                "do":{{"action":"{action}"}}}}"#
        );
        let fault: Fault = serde_json::from_str(&text).unwrap();
        control.add_fault(fault).unwrap();
    };
    control.set_webhook(Webhook {
        post_url: Some(receiver.url.clone()),
        filters: Some(vec![crate::emulator::state::event::EventKind::MessageAdded]),
        ..Webhook::default()
    });
    fault("duplicate");
    control.receive_sms(PHONE, OURS, "one").await.unwrap();
    let (first, second) = (receiver.next().await, receiver.next().await);
    assert_eq!(first.delivery_id, second.delivery_id);
    fault("mis_sign");
    control.receive_sms(PHONE, OURS, "two").await.unwrap();
    assert!(!receiver.next().await.is_signed);
    fault("lose");
    control.receive_sms(PHONE, OURS, "three").await.unwrap();
    fault("swap");
    control.receive_sms(PHONE, OURS, "four").await.unwrap();
    control.receive_sms(PHONE, OURS, "five").await.unwrap();
    let (first, second) = (receiver.next().await, receiver.next().await);
    assert_eq!((first.fields["Body"].as_str(), second.fields["Body"].as_str()), ("five", "four"));
    fault("swap");
    control.receive_sms(PHONE, OURS, "six").await.unwrap();
    assert_eq!(receiver.next().await.fields["Body"], "six", "no next one comes");
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn a_webhook_is_sent_again_under_its_token_and_its_answer_is_kept() {
    let twilio = Twilio::start().await;
    let answer: Answer = Arc::new(|_| (418, "x".repeat(3_000), Duration::ZERO));
    let mut receiver = Receiver::answering(&twilio, answer).await;
    let control = twilio.control();
    control.set_webhook(Webhook {
        post_url: Some(receiver.url.clone()),
        filters: Some(vec![crate::emulator::state::event::EventKind::MessageAdded]),
        ..Webhook::default()
    });
    let mut records = control.watch();
    control.receive_sms(PHONE, OURS, "again").await.unwrap();
    let first = receiver.next().await;
    assert!(control.send_again(&first.delivery_id));
    let second = receiver.next().await;
    assert_eq!((first.delivery_id, first.fields), (second.delivery_id.clone(), second.fields));
    assert!(!control.send_again("another"));
    for _ in 0..2 {
        let kept = until(&mut records, |what| match what {
            Happening::WebhookAnswered { status, body, .. } => Some((*status, body.clone())),
            _ => None,
        });
        let (status, body) = kept.await;
        assert_eq!((status, body.unwrap().reveal().len()), (Some(418), 2_000));
    }
    control.reset();
    assert!(!control.send_again(&second.delivery_id));
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn one_sms_arrives_as_a_message_and_as_a_conversations_event() {
    let twilio = Twilio::start().await;
    let mut receiver = Receiver::start(&twilio).await;
    let control = twilio.control();
    control.set_messaging_webhook(Some(receiver.url.clone()));
    control.set_webhook(Webhook {
        post_url: Some(receiver.url.clone()),
        filters: Some(vec![crate::emulator::state::event::EventKind::MessageAdded]),
        ..Webhook::default()
    });
    control.receive_sms(PHONE, OURS, "twice").await.unwrap();
    let (one, other) = (receiver.next().await, receiver.next().await);
    let (text, event) =
        if one.fields.contains_key("EventType") { (other, one) } else { (one, other) };
    assert!(text.is_signed && event.is_signed);
    assert_eq!(text.content_type, "application/x-www-form-urlencoded");
    assert!(text.fields["MessageSid"].starts_with("SM"));
    assert_eq!((text.fields["Body"].as_str(), text.fields["FromCity"].as_str()), ("twice", ""));
    assert!(event.fields["MessageSid"].starts_with("IM"));
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn a_plain_messages_callbacks_follow_it_in_any_order() {
    let twilio = Twilio::start().await;
    let mut receiver = Receiver::start(&twilio).await;
    let account = twilio.emulator.credentials().account_sid;
    let path = format!("/2010-04-01/Accounts/{account}/Messages.json");
    let fields = [("To", PHONE), ("From", OURS), ("Body", "x"), ("StatusCallback", &receiver.url)];
    let fault = r#"{"where":{"place":"webhook","event_type":"messageStatus"},
                    "do":{"action":"swap"}}"#;
    twilio.control().add_fault(serde_json::from_str::<Fault>(fault).unwrap()).unwrap();
    let (_, sent) = twilio.call("POST", &path, &fields).await;
    let statuses = [receiver.next().await, receiver.next().await].map(|got| {
        assert!(got.is_signed);
        assert_eq!(got.fields["MessageSid"], sent["sid"].as_str().unwrap());
        got.fields["MessageStatus"].clone()
    });
    let mut sorted = statuses.clone();
    sorted.sort();
    assert_eq!(sorted, ["delivered", "sent"]);
    let shown = twilio.call("GET", sent["uri"].as_str().unwrap(), &[]).await.1;
    assert_eq!(shown["status"], "delivered");
    twilio.emulator.shutdown().await;
}
