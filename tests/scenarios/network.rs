//! How the service reaches Twilio and the agent: by proxies, and past a server that is silent.

use axum::response::IntoResponse as _;
use chimein::emulator::faults::{Action, Place};

use crate::agent::Agent;
use crate::proxy::TestProxy;
use crate::rig::{PHONE, Rig};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_proxy_rest_and_socket_go_through_it_and_an_agent_on_this_machine_does_not() {
    let agent = Agent::start(|_, _| r#"{"replies":["thought"]}"#.into_response()).await;
    for (variable, direct) in [("HTTP_PROXY", ""), ("http_proxy", ""), ("ALL_PROXY", "other.test")]
    {
        let mut rig = Rig::without_service(&[]).await;
        let port = rig.emulator.urls().twilsock.port().unwrap();
        let proxy = TestProxy::start(([127, 0, 0, 1], port).into(), None).await;
        // Names that only the proxy can reach.
        for (name, value) in [
            (variable, format!("http://user:p%40ss@{}", proxy.address).as_str()),
            ("NO_PROXY", direct),
            ("CHIMEIN_AGENT_KIND", "http"),
            ("CHIMEIN_AGENT_URL", agent.url()),
            ("TWILIO_CONVERSATIONS_BASE_URL", "http://conversations.example.test/v1"),
            ("TWILIO_API_BASE_URL", "http://api.example.test"),
            ("TWILIO_TWILSOCK_URL", "ws://tsock.example.test/v3/wsconnect"),
        ] {
            rig.set(name, value);
        }
        rig.start_service().await;
        let conversation = rig.sms(PHONE, "hello").await;
        rig.expect(conversation, &["thought"]).await;
        let heads = proxy.asked();
        // One head for each connection, which REST uses again and again.
        let has = |part: &str| heads.iter().any(|head| head.contains(part));
        assert!(has("CONNECT tsock.example.test:80 HTTP/1.1\r\n"), "{heads:?}");
        assert!(has(" http://conversations.example.test/v1/"), "{heads:?}");
        let signed_in = "proxy-authorization: basic dxnlcjpwqhnz\r\n";
        assert!(
            heads.iter().all(|head| head.to_ascii_lowercase().contains(signed_in)),
            "{heads:?}"
        );
        assert!(!heads.iter().any(|head| head.contains("127.0.0.1")), "{heads:?}");
        assert!(rig.socket_requests() > 0, "the reply left by the socket");
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_that_is_never_answered_is_tried_again_after_the_limit() {
    let mut rig = Rig::without_service(&[("CHIMEIN_REALTIME_CONNECT_TIMEOUT", "1s")]).await;
    rig.fault(Place::SocketOpen, Action::Silence, 1);
    rig.start_service().await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["hello"]).await;
    rig.end().await;
}
