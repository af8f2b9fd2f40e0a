//! One way of going wrong for each check: what is set wrong so is found under that id, and nothing else is.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::*;
use crate::emulator::faults::Fault;
use crate::emulator::state::SetAlert;
use crate::emulator::state::event::EventKind;
use crate::emulator::state::messaging::{MessagingService, Number};
use crate::emulator::state::model::{AutocreationKind, HookMethod};

/// Our URL for the events of conversations, and for plain messages.
const EVENTS: &str = "https://bot.example.com/webhooks/twilio";
const TEXTS: &str = "https://bot.example.com/webhooks/twilio/sms";
const ELSEWHERE: &str = "https://other.example.com/hook";

const NUMBER: (&str, &str) = ("TWILIO_PHONE_NUMBER", "+15555550111");
const DIRECT: (&str, &str) = ("CHIMEIN_MESSAGING_SOURCES", "+15555550111=direct");
const WHATSAPP: (&str, &str) = ("TWILIO_WHATSAPP_NUMBER", "+15555550112");
const WHATSAPP_DIRECT: (&str, &str) = ("CHIMEIN_MESSAGING_SOURCES", "whatsapp:+15555550112=direct");
const TEMPLATE: (&str, &str) = ("CHIMEIN_WHATSAPP_TEMPLATE", "HX00000000000000000000000000000001");
const SERVICE: (&str, &str) =
    ("TWILIO_MESSAGING_SERVICE_SID", "MG00000000000000000000000000000001");

/// A check, what is set wrong at Twilio, and what is set wrong here.
type Case = (&'static str, fn(&Bench), &'static [(&'static str, &'static str)]);

#[tokio::test]
async fn an_account_that_is_not_fit_is_told_by_that_check_alone() {
    each(&[
        ("account-status", |of| of.account(|set| set.status = "suspended".into()), &[]),
        ("account-type", |of| of.account(|set| set.kind = "Trial".into()), &[]),
        ("balance", |of| of.account(|set| set.balance = "-3.20".into()), &[]),
        ("api-key-policy", |of| of.account(|set| set.key_policy = vec!["/twilio/x".into()]), &[]),
        ("alerts", |of| of.account(|set| set.alerts = vec![alert(EVENTS)]), &[]),
        ("clock", |of| of.emulator.control().jump(Duration::from_secs(7_200)), &[]),
        ("credentials", |_| {}, &[("TWILIO_AUTH_TOKEN", "planted-wrong")]),
        ("api-key", |_| {}, &[("TWILIO_API_SECRET", "planted-wrong")]),
        ("twilio", |_| {}, &[("TWILIO_ENABLED", "false")]),
        ("token-rotation", |_| {}, &[("TWILIO_AUTH_TOKEN_NEXT", "planted-next")]),
        ("region-edge", |_| {}, &[("TWILIO_REGION", "us1")]),
    ])
    .await;
}

#[tokio::test]
async fn conversations_that_are_not_set_up_are_told_by_that_check_alone() {
    each(&[
        (
            "chat-service",
            |_| {},
            &[("TWILIO_CHAT_SERVICE_SID", "IS00000000000000000000000000000000")],
        ),
        ("default-service", |of| of.account(|set| set.default_chat_service = Some(other())), &[]),
        ("closed-timer", |of| of.account(|set| set.closed_timer = Some("PT10M".into())), &[]),
        ("webhook-url", |of| of.webhook(ELSEWHERE), &[]),
        ("webhook-method", |of| hook(of, |hook| hook.method = Some(HookMethod::Get)), &[]),
        (
            "webhook-filters",
            |of| hook(of, |hook| hook.filters = Some(vec![EventKind::MessageAdded])),
            &[],
        ),
        ("pre-webhook", |of| hook(of, |hook| hook.pre_url = Some(ELSEWHERE.into())), &[]),
        ("address-missing", |_| {}, &[("CHIMEIN_JOIN_ADDRESSES", "+15555550177")]),
        ("address-disabled", |of| of.address("+15555550101", |one| one.enabled = false), &[]),
        (
            "address-service",
            |of| of.address("+15555550101", |one| one.service = Some(other())),
            &[],
        ),
        (
            "address-type",
            |of| of.address("+15555550101", |one| one.kind = AutocreationKind::Studio),
            &[],
        ),
        (
            "source-twice",
            |of| number(of, "+15555550100", TEXTS),
            &[("TWILIO_PHONE_NUMBER", "+15555550100")],
        ),
        (
            "source-twice",
            |of| number(of, "+15555550100", TEXTS),
            &[
                ("TWILIO_PHONE_NUMBER", "+15555550100"),
                ("CHIMEIN_MESSAGING_SOURCES", "+15555550100=direct"),
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn numbers_that_lead_elsewhere_are_told_by_that_check_alone() {
    each(&[
        ("number-missing", |of| number(of, "+15555550199", TEXTS), &[NUMBER, DIRECT]),
        (
            "number-capabilities",
            |of| {
                number(of, NUMBER.1, TEXTS);
                of.account(|set| set.sms = false);
            },
            &[NUMBER, DIRECT],
        ),
        ("number-webhook", |of| number(of, NUMBER.1, ELSEWHERE), &[NUMBER, DIRECT]),
        (
            "number-application",
            |of| {
                let application = Some(format!("AP{}", "0".repeat(32)));
                let number = Number { application, ..Number::told_to(NUMBER.1, TEXTS) };
                of.emulator.control().set_number(number).unwrap();
            },
            &[NUMBER, DIRECT],
        ),
        ("messaging-service", |of| service(of, ELSEWHERE), &[NUMBER, DIRECT, SERVICE]),
        (
            "whatsapp-sender",
            |of| {
                number(of, "whatsapp:+15555550112", TEXTS);
                of.account(|set| set.sender_status = "OFFLINE".into());
            },
            &[WHATSAPP, WHATSAPP_DIRECT],
        ),
        (
            "whatsapp-quality",
            |of| {
                number(of, "whatsapp:+15555550112", TEXTS);
                of.account(|set| set.sender_quality = "LOW".into());
            },
            &[WHATSAPP, WHATSAPP_DIRECT],
        ),
        (
            "whatsapp-webhook",
            |of| number(of, "whatsapp:+15555550112", ELSEWHERE),
            &[WHATSAPP, WHATSAPP_DIRECT],
        ),
        (
            "template",
            |of| {
                number(of, "whatsapp:+15555550112", TEXTS);
                of.account(|set| set.template_status = "rejected".into());
            },
            &[WHATSAPP, WHATSAPP_DIRECT, TEMPLATE],
        ),
    ])
    .await;
}

#[tokio::test]
async fn what_is_wrong_on_this_machine_is_told_by_that_check_alone() {
    each(&[
        ("settings", |_| {}, &[("CHIMEIN_AGENT_TIMEOUT", "soon")]),
        ("store", |of| store_file(of, b"this is no queue", 0o600), &[]),
        ("store-rights", |of| store_file(of, b"", 0o644), &[]),
        ("store-disk", |_| {}, &[("CHIMEIN_QUEUE_PATH", "/dev/null/queue.db")]),
        ("admin-listen", |_| {}, &[("CHIMEIN_ADMIN_LISTEN", "off")]),
        (
            "public-url",
            |of| of.webhook("http://bot.example.com/webhooks/twilio"),
            &[("CHIMEIN_WEBHOOK_PUBLIC_URL", "http://bot.example.com")],
        ),
        ("agent-secret", |_| {}, &[("CHIMEIN_AGENT_SECRET", OTHER_SECRET)]),
    ])
    .await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().map(|address| (taken, address)).unwrap();
    let port = taken.1.port().to_string();
    let (nobody, far) = (free_address(), format!("0.0.0.0:{}", free_address().port()));
    let nobody_url = format!("http://{nobody}");
    for (id, pairs) in [
        ("server-listen", vec![("SERVICE_PORT", port.as_str())]),
        ("debug-pages", vec![("CHIMEIN_ADMIN_DEBUG_TOKEN", ""), ("CHIMEIN_ADMIN_LISTEN", &far)]),
        ("agent", vec![("CHIMEIN_AGENT_URL", &nobody_url)]),
        (
            "proxies",
            vec![
                ("http_proxy", &nobody_url),
                ("TWILIO_CONVERSATIONS_BASE_URL", "http://no.invalid"),
            ],
        ),
        ("twilio-reach", vec![("TWILIO_CONVERSATIONS_BASE_URL", &nobody_url)]),
        ("socket", vec![("TWILIO_TWILSOCK_URL", "ws://no.invalid/")]),
    ] {
        let right = Right::start().await;
        assert_eq!(right.wrong(&pairs).await, [id]);
        right.bench.stop().await;
    }
}

#[tokio::test]
async fn what_only_rest_can_set_wrong_is_told_by_that_check_alone() {
    let right = Right::start().await;
    right.bench.post("/v1/Configuration/Webhooks", &[("PostWebhookUrl", ELSEWHERE)]).await;
    assert_eq!(right.wrong(&[]).await, ["account-webhooks"]);
    right.bench.stop().await;

    let right = Right::start().await;
    let settings = right.bench.get("/v1/Services", "/Configuration").await;
    let role = settings["default_conversation_role_sid"].as_str().unwrap();
    right.bench.post(&format!("/v1/Roles/{role}"), &[("Permission", "leaveConversation")]).await;
    assert_eq!(right.wrong(&[]).await, ["role-permissions"]);
    right.bench.stop().await;

    let right = Right::start().await;
    let conversation = right.bench.post("/v1/Conversations", &[]).await;
    let place = format!("/v1/Conversations/{conversation}");
    right.bench.post(&format!("{place}/Participants"), &[("Identity", "bot")]).await;
    let flow = format!("FW{}", "0".repeat(32));
    let form = [("Target", "studio"), ("Configuration.FlowSid", flow.as_str())];
    right.bench.post(&format!("{place}/Webhooks"), &form).await;
    assert_eq!(right.wrong(&[]).await, ["conversation-webhooks"]);
    right.bench.stop().await;
}

#[tokio::test]
async fn a_public_url_that_leads_elsewhere_is_told_by_that_check_alone() {
    for (id, status) in [("url-signed", StatusCode::FORBIDDEN), ("url-forged", StatusCode::OK)] {
        let mut right = Right::start().await;
        right.bench.leads_to(Agent::start(status).await);
        assert_eq!(right.wrong(&[]).await, [id]);
        right.bench.stop().await;
    }
    let mut right = Right::start().await;
    let nobody = Agent::at(&format!("http://{}/", free_address()));
    right.bench.leads_to(nobody);
    let (outcome, findings) = right.bench.examine(&right.pairs(&[])).await;
    assert!(findings.contains(&("url-reach".into(), "not_checked".into())), "{findings:?}");
    assert_eq!(outcome.code, 3, "{}", outcome.output);
    right.bench.stop().await;
}

#[tokio::test]
async fn a_token_that_the_socket_refuses_is_told_by_that_check_alone() {
    let right = Right::start().await;
    let refusal =
        r#"{"where":{"place":"socket_init"},"do":{"action":"close","code":406},"times":null}"#;
    let refusal: Fault = serde_json::from_str(refusal).unwrap();
    let _ = right.bench.emulator.control().add_fault(refusal).unwrap();
    assert_eq!(right.wrong(&[]).await, ["socket-token"]);
    right.bench.stop().await;
}

#[tokio::test]
async fn a_twilio_that_is_silent_takes_no_more_than_ten_seconds() {
    let right = Right::start().await;
    let silence = r#"{"where":{"place":"rest"},"do":{"action":"silence"},"times":null,"skip":2}"#;
    let silence: Fault = serde_json::from_str(silence).unwrap();
    let _ = right.bench.emulator.control().add_fault(silence).unwrap();
    let clock = Clock::start();
    let started = clock.now();
    let (outcome, findings) = right.bench.examine(&right.pairs(&[])).await;
    let took = clock.now().since(started);
    assert!(took < Duration::from_secs(10), "{took:?}: {}", outcome.output);
    assert!(findings.iter().any(|(_, verdict)| verdict == "not_checked"), "{}", outcome.output);
    assert_eq!(outcome.code, 3, "{}", outcome.output);
    right.bench.stop().await;
}

#[tokio::test]
async fn what_may_not_be_read_is_not_checked_and_never_fine() {
    for (path, id) in [
        ("Balance", "balance"),
        ("Keys", "api-key-policy"),
        ("Alerts", "alerts"),
        ("Roles", "role-permissions"),
        ("ParticipantConversations", "seats"),
        ("Addresses", "address-missing"),
    ] {
        let right = Right::start().await;
        let fault = format!(
            r#"{{"where":{{"place":"rest","path":"{path}"}},"do":{{"action":"answer","status":403}},"times":null}}"#
        );
        let fault: Fault = serde_json::from_str(&fault).unwrap();
        let _ = right.bench.emulator.control().add_fault(fault).unwrap();
        let (outcome, findings) = right.bench.examine(&right.pairs(&[])).await;
        let wrong: Vec<_> = findings.iter().filter(|(_, verdict)| verdict != "ok").collect();
        assert_eq!(wrong, [&(id.to_owned(), "not_checked".to_owned())], "{}", outcome.output);
        assert!(outcome.output.contains("may not read it (403)"), "{}", outcome.output);
        assert_eq!(outcome.code, 3);
        right.bench.stop().await;
    }
}

/// Goes through the cases, each with an account of its own.
async fn each(cases: &[Case]) {
    for (id, spoil, pairs) in cases {
        let right = Right::start().await;
        spoil(&right.bench);
        assert_eq!(right.wrong(pairs).await, [*id]);
        right.bench.stop().await;
    }
}

/// A bench on which nothing is wrong.
struct Right {
    bench: Bench,
    agent: Agent,
}

impl Right {
    async fn start() -> Self {
        let bench = Bench::start().await;
        bench.webhook(EVENTS);
        bench.address("+15555550100", |_| {});
        Self { bench, agent: Agent::post_only().await }
    }

    /// The settings of a right service, but for what is given.
    fn pairs<'a>(&'a self, instead: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let mut pairs = vec![
            ("CHIMEIN_AGENT_KIND", "http"),
            ("CHIMEIN_AGENT_URL", self.agent.url.as_str()),
            ("CHIMEIN_AGENT_SECRET", SECRET),
        ];
        pairs.retain(|(name, _)| instead.iter().all(|(other, _)| other != name));
        pairs.extend(instead);
        pairs
    }

    /// The checks that found something.
    async fn wrong(&self, instead: &[(&str, &str)]) -> Vec<String> {
        let (outcome, findings) = self.bench.examine(&self.pairs(instead)).await;
        assert!(!outcome.output.contains("planted"), "{}", outcome.output);
        assert!(!outcome.output.contains("5555501"), "a number is shown: {}", outcome.output);
        let wrong = findings.into_iter().filter(|(_, verdict)| verdict != "ok");
        let wrong: BTreeSet<String> = wrong.map(|(id, _)| id).collect();
        wrong.into_iter().collect()
    }
}

fn other() -> crate::twilio::sid::ChatServiceSid {
    "IS00000000000000000000000000000000".parse().unwrap()
}

fn alert(url: &str) -> SetAlert {
    SetAlert { code: 11_200, url: url.into() }
}

fn hook(of: &Bench, change: impl FnOnce(&mut control::Webhook)) {
    let mut hook = control::Webhook { post_url: Some(EVENTS.to_owned()), ..Default::default() };
    change(&mut hook);
    of.emulator.control().set_webhook(hook);
}

fn number(of: &Bench, address: &str, url: &str) {
    of.emulator.control().set_number(Number::told_to(address, url)).unwrap();
}

fn service(of: &Bench, url: &str) {
    let sid = Some(SERVICE.1.parse().unwrap());
    let service = MessagingService { sid, url: Some(url.to_owned()), ..Default::default() };
    let _ = of.emulator.control().set_messaging_service(service).unwrap();
}

/// Puts a file in the store's place; without bytes a right store.
fn store_file(of: &Bench, bytes: &[u8], mode: u32) {
    let path = of.place.path().join("queue.db");
    if bytes.is_empty() {
        drop(Store::open(embedded::Options::new(&path)).unwrap());
    } else {
        std::fs::write(&path, bytes).unwrap();
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
}
