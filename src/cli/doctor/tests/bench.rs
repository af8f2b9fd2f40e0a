//! What these tests look at: an emulated account, a place for a store, an agent, and what our URL leads to.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use secrecy::{ExposeSecret, SecretString};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use super::*;
use crate::emulator::state::model::Autocreation;
use crate::emulator::state::{AccountSetup, AddressFields};
use crate::emulator::{self, Emulator, control};
use crate::finding::checks;
use crate::http;
use crate::net::authority::Hosts;
use crate::standard_webhooks;
use crate::test_ports::free_address;
use crate::twilio::signature::{self, Algorithm, Body};

/// What the agents of these tests sign with, and another secret.
pub(super) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub(super) const OTHER_SECRET: &str = "whsec_plJ3nmyCDGBKInavdOK15jsl/2RvVmQ3";

/// An agent's server that answers everything in one way.
pub(super) struct Agent {
    pub(super) url: String,
    _serving: Option<DropGuard>,
}

impl Agent {
    pub(super) async fn start(status: StatusCode) -> Self {
        Self::serve(Router::new().fallback(move || async move { status })).await
    }

    /// One that takes turns by `POST` alone, as its framework has it, and checks signatures.
    pub(super) async fn post_only() -> Self {
        let take = |headers: HeaderMap, body: Bytes| async move {
            let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
            let signed = standard_webhooks::Headers {
                id: text(standard_webhooks::ID),
                timestamp: text(standard_webhooks::TIMESTAMP),
                signature: text(standard_webhooks::SIGNATURE),
            };
            let secret = standard_webhooks::Secret::parse(&SECRET.into()).unwrap();
            let now = Clock::start().wall();
            match standard_webhooks::verify(&secret, &signed, &body, now) {
                Ok(()) => StatusCode::NO_CONTENT,
                Err(_) => StatusCode::UNAUTHORIZED,
            }
        };
        Self::serve(Router::new().route("/turns", post(take))).await
    }

    /// Nobody, at a place.
    pub(super) fn at(url: &str) -> Self {
        Self { url: url.to_owned(), _serving: None }
    }

    /// A service that takes what is signed with this token over our public URL.
    async fn checks(token: SecretString) -> Self {
        let token = Arc::new(token);
        let take = move |headers: HeaderMap, body: Bytes| async move {
            let given = headers.get(signature::HEADER).and_then(|value| value.to_str().ok());
            let is_right = ["https", "http"].into_iter().any(|scheme| {
                let url = format!("{scheme}://bot.example.com/webhooks/twilio");
                let body = Body::Form(&body);
                given == Some(signature::sign(&token, Algorithm::HmacSha1, &url, body).as_str())
            });
            if is_right { StatusCode::OK } else { StatusCode::FORBIDDEN }
        };
        Self::serve(Router::new().route("/turns", post(take))).await
    }

    async fn serve(router: Router) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/turns", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        drop(tokio::spawn(http::serve(listener, router, http::Options::default(), stop.clone())));
        Self { url, _serving: Some(stop.drop_guard()) }
    }
}

/// An emulated account, and a place for a store.
pub(super) struct Bench {
    pub(super) emulator: Emulator,
    pub(super) place: TempDir,
    door: Agent,
}

impl Bench {
    pub(super) async fn start() -> Self {
        // Names that only a proxy can reach.
        let hosts = ["conversations.example.test", "api.example.test", "tsock.example.test"];
        let hosts = Hosts::new(hosts).unwrap();
        let options = emulator::Options { hosts, ..emulator::Options::default() };
        let emulator = Emulator::start(options).await.unwrap();
        let door = Agent::checks(emulator.credentials().auth_token.clone()).await;
        Self { emulator, place: TempDir::new().unwrap(), door }
    }

    pub(super) fn webhook(&self, url: &str) {
        let webhook = control::Webhook { post_url: Some(url.to_owned()), ..Default::default() };
        self.emulator.control().set_webhook(webhook);
    }

    /// Configures a number, rightly but for what is changed.
    pub(super) fn address(&self, number: &str, change: impl FnOnce(&mut Autocreation)) {
        let service = Some(self.emulator.credentials().service_sid);
        let mut autocreation = Autocreation { enabled: true, service, ..Autocreation::default() };
        change(&mut autocreation);
        let fields = AddressFields {
            channel: Some("sms".to_owned()),
            address: Some(number.to_owned()),
            autocreation: Some(autocreation),
            ..AddressFields::default()
        };
        self.emulator.control().configure_address(fields).unwrap();
    }

    /// Settings that are right but for what is given.
    pub(super) fn environment(&self, instead: &[(&str, &str)]) -> Environment {
        let path = self.place.path().join("queue.db");
        let mut pairs = self.emulator.variables();
        pairs.extend([
            ("TWILIO_IDENTITY", "bot".to_owned()),
            ("CHIMEIN_WEBHOOK_PUBLIC_URL", "https://bot.example.com".to_owned()),
            ("CHIMEIN_SERVER_LISTEN", "127.0.0.1".to_owned()),
            ("SERVICE_PORT", free_address().port().to_string()),
            ("CHIMEIN_ADMIN_LISTEN", free_address().to_string()),
            ("CHIMEIN_ADMIN_DEBUG_TOKEN", "planted-token-of-the-debug-pages".to_owned()),
            ("CHIMEIN_QUEUE_PATH", shown(&path)),
        ]);
        pairs.retain(|(name, _)| instead.iter().all(|(other, _)| other != name));
        let instead = instead.iter().map(|(name, value)| (*name, (*value).to_owned()));
        Environment::from_pairs(pairs.into_iter().chain(instead))
    }

    /// Gives the outcome as people see it, and each check with its verdict.
    pub(super) async fn examine(
        &self,
        instead: &[(&str, &str)],
    ) -> (Outcome, Vec<(String, String)>) {
        let environment = self.environment(instead);
        let args = Args { config: None, offline: false, json: false, explain: None };
        let place = Url::parse(&self.door.url).unwrap();
        let findings = found(&args, &environment, Some(&place)).await.unwrap();
        let table = told::told(&findings, false, true);
        let outcome = told::told(&findings, true, true);
        assert_eq!(table.code, outcome.code);
        let json: serde_json::Value = serde_json::from_str(&outcome.output).unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let findings = json["findings"].as_array().unwrap().iter();
        let found: Vec<_> =
            findings.map(|found| (text(&found["id"]), text(&found["verdict"]))).collect();
        for (id, _) in &found {
            assert!(checks::of(id).is_some(), "{id} is in no list");
        }
        (table, found)
    }

    /// Lets our public URL lead to something else.
    pub(super) fn leads_to(&mut self, door: Agent) {
        self.door = door;
    }

    /// Sets the account up in another way.
    pub(super) fn account(&self, change: impl FnOnce(&mut AccountSetup)) {
        let mut setup = self.emulator.control().account();
        change(&mut setup);
        self.emulator.control().set_account(setup);
    }

    /// Reads something of the chat service by REST as the account.
    pub(super) async fn get(&self, before: &str, after: &str) -> serde_json::Value {
        let (urls, keys) = (self.emulator.urls(), self.emulator.credentials());
        let http = crate::net::http::direct().unwrap().build().unwrap();
        let place = format!("{before}/{}{after}", keys.service_sid);
        let request = http
            .get(urls.conversations.join(&place).unwrap())
            .basic_auth(keys.account_sid, Some(keys.auth_token.expose_secret()));
        let answer = request.send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    /// Writes by REST as the account, and gives the sid of what came of it.
    pub(super) async fn post(&self, path: &str, form: &[(&str, &str)]) -> String {
        let (urls, keys) = (self.emulator.urls(), self.emulator.credentials());
        let http = crate::net::http::direct().unwrap().build().unwrap();
        let body = form.iter().copied();
        let request = http
            .post(urls.conversations.join(path).unwrap())
            .basic_auth(keys.account_sid, Some(keys.auth_token.expose_secret()))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(crate::twilio::form::encode(body));
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        let answer: serde_json::Value =
            serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        answer["sid"].as_str().unwrap_or_default().to_owned()
    }

    pub(super) async fn stop(self) {
        self.emulator.shutdown().await;
    }
}

pub(super) fn failing(findings: &[(String, String)]) -> Vec<&str> {
    let failing = findings.iter().filter(|(_, verdict)| verdict == "fail");
    failing.map(|(check, _)| check.as_str()).collect()
}

/// A path as settings have it.
pub(super) fn shown(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
