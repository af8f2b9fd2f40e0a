//! A web page that a developer looks at while the emulator runs on the same machine.

use chimein::emulator::{self, Emulator};
use chimein::net::authority::Hosts;
use reqwest::{Client, Method, RequestBuilder};

/// A page's name that points at this machine.
const REBOUND: &str = "rebound.example";

#[tokio::test]
async fn a_page_that_points_its_name_at_the_emulator_reads_nothing() {
    let rig = Rig::start(Hosts::default()).await;
    for path in ["/", "/_emulator/info", "/_emulator/dump", "/v1/Services", "/v3/wsconnect"] {
        let asked = rig.ask(Method::GET, path).header("host", format!("{REBOUND}:{}", rig.port));
        let answer = asked.send().await.unwrap();
        assert_eq!(answer.status(), 403, "{path}");
        let text = answer.text().await.unwrap();
        assert!(text.contains("--allow-host"), "{path}: {text}");
    }
    let own = rig.ask(Method::GET, "/_emulator/info").send().await.unwrap();
    assert_eq!(own.status(), 200);
    let local = rig.ask(Method::GET, "/_emulator/info");
    let local = local.header("host", format!("localhost:{}", rig.port)).send().await.unwrap();
    assert_eq!(local.status(), 200);
    rig.emulator.shutdown().await;
}

#[tokio::test]
async fn a_host_that_was_allowed_is_answered() {
    let rig = Rig::start(Hosts::new(["twilio.local"]).unwrap()).await;
    let asked = rig.ask(Method::GET, "/_emulator/info").header("host", "twilio.local:4000");
    assert_eq!(asked.send().await.unwrap().status(), 200);
    rig.emulator.shutdown().await;
}

#[tokio::test]
async fn a_page_of_another_origin_opens_no_socket_and_changes_nothing() {
    let rig = Rig::start(Hosts::default()).await;
    let own = format!("http://127.0.0.1:{}", rig.port);
    let socket = || {
        let asked = rig.ask(Method::GET, "/v3/wsconnect");
        let asked = asked.header("connection", "upgrade").header("upgrade", "websocket");
        let asked = asked.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        asked.header("sec-websocket-version", "13")
    };
    let reset = || {
        let asked = rig.ask(Method::POST, "/_emulator/reset");
        asked.header("content-type", "application/json").body("{}")
    };
    for origin in ["http://evil.example", "http://localhost:1", "null"] {
        let refused = socket().header("origin", origin).send().await.unwrap();
        assert_eq!(refused.status(), 403, "{origin}");
        let refused = reset().header("origin", origin).send().await.unwrap();
        assert_eq!(refused.status(), 403, "{origin}");
    }
    assert_eq!(socket().send().await.unwrap().status(), 101, "programs send no origin");
    assert_eq!(socket().header("origin", &own).send().await.unwrap().status(), 101);
    let done = reset().header("origin", &own).send().await.unwrap();
    assert!(done.status().is_success(), "{}", done.status());
    rig.emulator.shutdown().await;
}

#[tokio::test]
async fn the_phone_page_is_in_nobody_elses_frame() {
    let rig = Rig::start(Hosts::default()).await;
    for path in ["/", "/_emulator/info"] {
        let answer = rig.ask(Method::GET, path).send().await.unwrap();
        assert_eq!(answer.headers()["x-frame-options"], "DENY", "{path}");
    }
    let page = rig.ask(Method::GET, "/").send().await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    rig.emulator.shutdown().await;
}

struct Rig {
    emulator: Emulator,
    port: u16,
    client: Client,
}

impl Rig {
    async fn start(hosts: Hosts) -> Self {
        let options = emulator::Options { hosts, ..emulator::Options::default() };
        let emulator = Emulator::start(options).await.unwrap();
        let port = emulator.urls().control.port().unwrap();
        let client = chimein::net::http::direct().unwrap().build().unwrap();
        Self { emulator, port, client }
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://127.0.0.1:{}{path}", self.port))
    }
}
