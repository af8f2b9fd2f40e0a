//! Tests of the whole command against the emulator, and of each thing that can be wrong.

use std::net::TcpListener;

use axum::http::StatusCode;

mod bench;
mod fixtures;

use self::bench::*;
use super::*;
use crate::emulator::control;
use crate::queue::{Store, embedded};
#[cfg(feature = "nats")]
use crate::test_nats::{self, NatsServer};
use crate::test_ports::free_address;
use crate::test_proxy::TestProxy;

#[tokio::test]
async fn a_service_that_is_set_up_passes_every_check() {
    let bench = Bench::start().await;
    bench.webhook("https://bot.example.com/webhooks/twilio");
    bench.address("+15555550100", |_| {});
    let agent = Agent::post_only().await;
    let pairs = [
        ("CHIMEIN_AGENT_KIND", "http"),
        ("CHIMEIN_AGENT_URL", agent.url.as_str()),
        ("CHIMEIN_AGENT_SECRET", SECRET),
    ];
    let (outcome, findings) = bench.examine(&pairs).await;
    assert!(findings.iter().all(|(_, verdict)| verdict == "ok"), "{}", outcome.output);
    assert_eq!(outcome.code, 0);
    let checks: Vec<_> = findings.iter().map(|(check, _)| check.as_str()).collect();
    assert_eq!(
        checks,
        [
            "settings",
            "store",
            "store-disk",
            "server-listen",
            "admin-listen",
            "debug-pages",
            "public-url",
            "token-rotation",
            "region-edge",
            "proxies",
            "agent",
            "agent-secret",
            "twilio-reach",
            "clock",
            "credentials",
            "api-key",
            "account-status",
            "account-type",
            "balance",
            "api-key-policy",
            "alerts",
            "chat-service",
            "webhook-url",
            "webhook-method",
            "webhook-filters",
            "pre-webhook",
            "account-webhooks",
            "default-service",
            "closed-timer",
            "role-permissions",
            "reachability",
            "seats",
            "conversation-webhooks",
            "address-missing",
            "address-disabled",
            "address-service",
            "address-type",
            "source-twice",
            "socket-token",
            "url-reach",
            "url-signed",
            "url-forged",
            "socket",
        ]
    );
    assert!(std::fs::read_dir(bench.place.path()).unwrap().next().is_none(), "it left a file");
    bench.stop().await;
}

#[tokio::test]
async fn each_wrong_setting_is_found_with_its_remedy() {
    let bench = Bench::start().await;
    bench.webhook("https://other.example.com/hook");
    let nobody = free_address();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().map(|address| (taken, address)).unwrap();
    let nobody_url = format!("http://{nobody}");
    let taken_address = taken.1.to_string();
    let file = bench.place.path().join("a-file");
    std::fs::write(&file, "this is no queue").unwrap();
    let below_a_file = file.join("queue.db");
    for (pair, check, verdict) in [
        (("TWILIO_AUTH_TOKEN", "planted-wrong"), "credentials", "fail"),
        (("TWILIO_API_SECRET", "planted-wrong"), "api-key", "fail"),
        (("TWILIO_API_KEY", "SK00000000000000000000000000000000"), "api-key", "fail"),
        (("TWILIO_CHAT_SERVICE_SID", "IS00000000000000000000000000000000"), "chat-service", "fail"),
        (("TWILIO_CONVERSATIONS_BASE_URL", nobody_url.as_str()), "twilio-reach", "fail"),
        (("CHIMEIN_ADMIN_LISTEN", taken_address.as_str()), "admin-listen", "fail"),
        (("CHIMEIN_ADMIN_LISTEN", "off"), "admin-listen", "warn"),
        (("CHIMEIN_WEBHOOK_PUBLIC_URL", "http://bot.example.com"), "public-url", "warn"),
        (("CHIMEIN_WEBHOOK_PUBLIC_URL", "https://10.0.0.7"), "public-url", "warn"),
        (("CHIMEIN_WEBHOOK_PUBLIC_URL", ""), "settings", "fail"),
        (("CHIMEIN_QUEUE_PATH", file.to_str().unwrap()), "store", "fail"),
        (("CHIMEIN_QUEUE_PATH", below_a_file.to_str().unwrap()), "store-disk", "fail"),
        (("CHIMEIN_AGENT_TIMEOUT", "soon"), "settings", "fail"),
        (("TWILIO_ENABLED", "false"), "twilio", "warn"),
        (("LOG_LEVEL", "info"), "webhook-url", "fail"),
    ] {
        let (outcome, findings) = bench.examine(&[pair]).await;
        let found = findings.iter().find(|(name, found)| name == check && found != "ok");
        assert_eq!(found.map(|(_, found)| found.as_str()), Some(verdict), "{}", outcome.output);
        assert!(!outcome.output.contains("planted"), "{}", outcome.output);
    }
    bench.stop().await;
}

#[tokio::test]
async fn a_token_is_missed_where_somebody_would_be_refused() {
    let bench = Bench::start().await;
    let token = ("CHIMEIN_ADMIN_DEBUG_TOKEN", "planted-token");
    let none = ("CHIMEIN_ADMIN_DEBUG_TOKEN", "");
    let (far, near) =
        (("CHIMEIN_ADMIN_LISTEN", "0.0.0.0:9464"), ("CHIMEIN_ADMIN_LISTEN", "127.0.0.1:9464"));
    let platform = ("CHIMEIN_AGENT_KIND", "bitbrat");
    for (instead, verdict) in [
        (&[token, far][..], "ok"),
        (&[none, near], "ok"),
        (&[none, ("CHIMEIN_ADMIN_LISTEN", "off")], "ok"),
        (&[none, far], "warn"),
        #[cfg(feature = "nats")]
        (&[none, near, platform], "warn"),
        #[cfg(feature = "nats")]
        (&[token, near, platform], "ok"),
    ] {
        let settings = kinds::load(None, &bench.environment(instead)).into_settings().unwrap();
        let found = local::debug_token(&settings);
        assert_eq!(found.row()[0], verdict, "{instead:?}: {found:?}");
    }
    bench.stop().await;
}

#[tokio::test]
async fn webhooks_that_go_nowhere_or_lack_an_event_are_told() {
    let bench = Bench::start().await;
    let (outcome, findings) = bench.examine(&[]).await;
    assert_eq!(outcome.code, 1);
    assert!(findings.contains(&("webhook-url".to_owned(), "warn".to_owned())), "{findings:?}");
    bench.emulator.control().set_webhook(control::Webhook {
        post_url: Some("https://user:planted@bot.example.com/webhooks/twilio?k=planted".to_owned()),
        filters: Some(vec![crate::emulator::state::event::EventKind::MessageAdded]),
        ..Default::default()
    });
    let (outcome, findings) = bench.examine(&[]).await;
    assert!(findings.contains(&("webhook-url".to_owned(), "ok".to_owned())), "{findings:?}");
    assert!(findings.contains(&("webhook-filters".to_owned(), "warn".to_owned())));
    assert!(outcome.output.contains("add onConversationAdded"), "{}", outcome.output);
    assert!(!outcome.output.contains("planted"), "{}", outcome.output);
    bench.webhook("https://Bot.example.com/webhooks/twilio");
    let (outcome, findings) = bench.examine(&[]).await;
    assert!(findings.contains(&("webhook-url".to_owned(), "fail".to_owned())), "{findings:?}");
    assert!(outcome.output.contains("in other letters"), "{}", outcome.output);
    bench.stop().await;
}

#[tokio::test]
async fn addresses_and_agents_that_lead_nowhere_are_told() {
    let bench = Bench::start().await;
    let nobody = format!("http://{}/turns", free_address());
    let agent = Agent::start(StatusCode::MOVED_PERMANENTLY).await;
    for (url, is_configured, told, code) in [
        (nobody.as_str(), false, ["none is configured", "does not answer"], 2),
        (agent.url.as_str(), true, ["1 are configured", "a redirect"], 2),
    ] {
        if is_configured {
            bench.address("+15555550100", |_| {});
        }
        let pairs = [("CHIMEIN_AGENT_KIND", "http"), ("CHIMEIN_AGENT_URL", url)];
        let (outcome, _) = bench.examine(&pairs).await;
        assert_eq!(outcome.code, code, "{}", outcome.output);
        for told in told {
            assert!(outcome.output.contains(told), "{told}: {}", outcome.output);
        }
    }
    bench.stop().await;
}

#[tokio::test]
async fn a_socket_that_does_not_open_is_told_with_what_keeps_it() {
    let bench = Bench::start().await;
    let nobody = free_address();
    let refusing = Some("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
    let refusing = TestProxy::start(nobody, refusing).await;
    let proxy = format!("http://planted:planted@{}", refusing.address);
    let away = format!("ws://{nobody}/v3/wsconnect?k=planted");
    let elsewhere = format!("{}x", bench.emulator.urls().conversations);
    let elsewhere = elsewhere.replace("http://", "ws://");
    let beyond = ("TWILIO_TWILSOCK_URL", "ws://tsock.example.test/v3/wsconnect");
    for (pairs, told, remedy) in [
        (vec![("TWILIO_TWILSOCK_URL", &*away)], "Connection refused", "let the firewall pass"),
        (vec![("TWILIO_TWILSOCK_URL", "ws://no.invalid/")], "cannot be resolved", "check DNS"),
        (vec![("TWILIO_TWILSOCK_URL", &elsewhere)], "answered with status 4", "Twilio's place"),
        (vec![beyond, ("http_proxy", &proxy)], "with status 407", "the proxy's user and password"),
    ] {
        let (outcome, findings) = bench.examine(&pairs).await;
        let socket = ("socket".to_owned(), "fail".to_owned());
        assert!(findings.contains(&socket), "{}", outcome.output);
        for told in [told, remedy] {
            assert!(outcome.output.contains(told), "{told}: {}", outcome.output);
        }
        assert!(!outcome.output.contains("planted"), "{}", outcome.output);
    }
    let (_, findings) = bench.examine(&[("CHIMEIN_REALTIME_ENABLED", "false")]).await;
    assert!(findings.contains(&("socket".to_owned(), "warn".to_owned())));
    bench.stop().await;
}

#[tokio::test]
async fn everything_is_asked_by_the_proxy() {
    let bench = Bench::start().await;
    let port = bench.emulator.urls().twilsock.port().unwrap();
    let proxy = TestProxy::start(([127, 0, 0, 1], port).into(), None).await;
    let url = format!("http://user:p%40ss@{}", proxy.address);
    let pairs = [
        ("ALL_PROXY", url.as_str()),
        ("TWILIO_CONVERSATIONS_BASE_URL", "http://conversations.example.test/v1"),
        ("TWILIO_API_BASE_URL", "http://api.example.test"),
        ("TWILIO_TWILSOCK_URL", "ws://tsock.example.test/v3/wsconnect"),
    ];
    let (outcome, findings) = bench.examine(&pairs).await;
    assert_eq!((outcome.code, failing(&findings)), (1, vec![]), "{}", outcome.output);
    let heads = proxy.asked();
    assert!(
        heads.iter().any(|head| head.starts_with("CONNECT tsock.example.test:80 ")),
        "{heads:?}"
    );
    assert!(outcome.output.contains(&format!("opens by the proxy {}", proxy.address)));
    bench.stop().await;
}

#[cfg(feature = "nats")]
#[tokio::test]
async fn a_bus_that_is_away_is_told() {
    let bench = Bench::start().await;
    let bare = NatsServer::start_plain(&test_nats::programs()[0], "");
    let nobody = format!("nats://{}", free_address());
    for (url, said) in [(nobody, "check NATS_URL"), (bare.url(), "not for JetStream")] {
        let pairs =
            [("CHIMEIN_AGENT_KIND", "bitbrat"), ("BUS_PREFIX", "dev."), ("NATS_URL", url.as_str())];
        let (outcome, findings) = bench.examine(&pairs).await;
        assert!(findings.contains(&("bus".to_owned(), "fail".to_owned())), "{}", outcome.output);
        assert!(outcome.output.contains(said), "{}", outcome.output);
    }
    bench.stop().await;
}

#[cfg(feature = "nats")]
#[tokio::test]
async fn a_queue_on_nats_is_looked_for_there() {
    let bench = Bench::start().await;
    let nats = NatsServer::start();
    let bare = NatsServer::start_plain(&test_nats::programs()[0], "");
    let nobody = format!("nats://{}", free_address());
    for (url, verdict, said) in [
        (nats.url(), "ok", "no stream chimein-jobs yet"),
        (bare.url(), "fail", "turn JetStream on"),
        (nobody, "fail", "check NATS_URL"),
    ] {
        let pairs = [("CHIMEIN_QUEUE_ENGINE", "nats"), ("NATS_URL", url.as_str())];
        let (outcome, findings) = bench.examine(&pairs).await;
        assert!(findings.contains(&("store".to_owned(), verdict.to_owned())), "{}", outcome.output);
        assert!(outcome.output.contains(said), "{}", outcome.output);
    }
    bench.stop().await;
}

#[tokio::test]
async fn a_running_service_is_no_fault() {
    let bench = Bench::start().await;
    let path = bench.place.path().join("queue.db");
    let store = Store::open(embedded::Options::new(&path)).unwrap();
    let admin = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = admin.local_addr().unwrap().to_string();
    let pair = ("CHIMEIN_ADMIN_LISTEN", listen.as_str());
    let (outcome, findings) = bench.examine(&[pair]).await;
    assert_eq!((outcome.code, failing(&findings)), (1, vec![]), "{}", outcome.output);
    assert!(outcome.output.contains("open in a running service"), "{}", outcome.output);
    store.close().await;
    let (outcome, findings) = bench.examine(&[pair]).await;
    assert_eq!((outcome.code, failing(&findings)), (2, vec!["admin-listen"]));
    bench.stop().await;
}

#[tokio::test]
async fn offline_asks_nobody() {
    let bench = Bench::start().await;
    let args = Args { config: None, offline: true, json: false, explain: None };
    let nobody = format!("http://{}", free_address());
    let pair = ("TWILIO_CONVERSATIONS_BASE_URL", nobody.as_str());
    let outcome = examine(&args, &bench.environment(&[pair]), None).await.unwrap();
    assert_eq!(outcome.code, 0, "{}", outcome.output);
    for check in ["twilio-reach", "credentials", "socket"] {
        assert!(!outcome.output.contains(check), "{}", outcome.output);
    }
    bench.stop().await;
}

#[tokio::test]
async fn a_wrong_agent_secret_and_an_agent_that_checks_none_are_told() {
    let bench = Bench::start().await;
    let checking = Agent::post_only().await;
    let trusting = Agent::start(StatusCode::NO_CONTENT).await;
    let nowhere = Agent::start(StatusCode::NOT_FOUND).await;
    for (agent, secret, check, verdict, told) in [
        (&checking, OTHER_SECRET, "agent-secret", "fail", "is refused with 401"),
        (&checking, "", "agent-secret", "fail", "set CHIMEIN_AGENT_SECRET"),
        (&checking, SECRET, "agent-secret", "ok", "refuses forgeries with 401"),
        (&trusting, SECRET, "agent-secret", "warn", "checks no signatures"),
        (&trusting, "", "agent-secret", "warn", "turns go unsigned"),
        (&nowhere, SECRET, "agent", "fail", "nothing takes POST there"),
    ] {
        let pairs = [
            ("CHIMEIN_AGENT_KIND", "http"),
            ("CHIMEIN_AGENT_URL", agent.url.as_str()),
            ("CHIMEIN_AGENT_SECRET", secret),
        ];
        let (outcome, findings) = bench.examine(&pairs).await;
        assert!(findings.contains(&(check.into(), verdict.into())), "{}", outcome.output);
        assert!(outcome.output.contains(told), "{told}: {}", outcome.output);
        let key = secret.trim_start_matches("whsec_");
        assert!(key.is_empty() || !outcome.output.contains(key), "{}", outcome.output);
    }
    bench.stop().await;
}

#[tokio::test]
async fn where_the_api_key_signs_in_it_alone_is_looked_at() {
    let bench = Bench::start().await;
    for (secret, verdict, next) in [("", "ok", true), ("planted-wrong", "fail", false)] {
        let pairs = [("CHIMEIN_TWILIO_REST_AUTH", "key"), ("TWILIO_API_SECRET", secret)];
        let pairs = &pairs[..if secret.is_empty() { 1 } else { 2 }];
        let (outcome, findings) = bench.examine(pairs).await;
        let has = |check: &str| findings.iter().any(|(name, _)| name == check);
        assert!(findings.contains(&("api-key".into(), verdict.into())), "{}", outcome.output);
        assert!(!has("credentials"), "{}", outcome.output);
        assert_eq!(has("chat-service"), next, "{}", outcome.output);
    }
    bench.stop().await;
}
