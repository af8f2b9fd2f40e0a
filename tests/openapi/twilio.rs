//! A Twilio to ask: an emulator, asked over real HTTP, every answer held against the definitions.

use std::collections::BTreeSet;

use chimein::emulator::{Emulator, Options};
use secrecy::ExposeSecret;
use serde_json::Value;

use crate::definition::{Definition, Operation};

/// The definition of Conversations v1.
const CONVERSATIONS: &str = include_str!("../data/openapi/twilio_conversations_v1.json");
/// The messaging part of the definition of 2010-04-01.
const MESSAGING: &str = include_str!("../data/openapi/twilio_api_v2010_messages.json");

/// An emulator with the definitions beside it.
pub struct Twilio {
    pub emulator: Emulator,
    pub definitions: [Definition; 2],
    http: reqwest::Client,
    /// Ids of the operations that were asked for.
    pub asked: BTreeSet<String>,
    /// Everything wrong so far.
    pub problems: Vec<String>,
}

impl Twilio {
    pub async fn start(options: Options) -> Self {
        Self {
            emulator: Emulator::start(options).await.unwrap(),
            definitions: definitions(),
            http: chimein::net::http::direct().unwrap().build().unwrap(),
            asked: BTreeSet::new(),
            problems: Vec::new(),
        }
    }

    /// Asks, and holds the answer against the definition of the operation.
    pub async fn ask(&mut self, method: &str, path: &str, form: &[(&str, &str)]) -> Value {
        let (status, body) = self.send(method, path, form).await;
        let bare = path.split('?').next().unwrap();
        let Some(operation) = find(&self.definitions, method, bare) else {
            self.problems.push(format!("{method} {bare} is not in the definitions"));
            return Value::Null;
        };
        self.asked.insert(operation.id().to_owned());
        let problems = operation.problems(status, body.as_ref());
        let context = |problem| format!("{method} {bare}: {problem}");
        self.problems.extend(problems.into_iter().map(context));
        if status >= 400 {
            let body = body.as_ref().unwrap_or(&Value::Null);
            self.problems.push(format!("{method} {bare} {form:?}: {status} {body}"));
        }
        body.unwrap_or(Value::Null)
    }

    /// Asks, and gives status and JSON as they come.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        form: &[(&str, &str)],
    ) -> (u16, Option<Value>) {
        let urls = self.emulator.urls();
        let base = if path.starts_with("/2010-04-01/") { &urls.api } else { &urls.conversations };
        let credentials = self.emulator.credentials();
        let mut request = self
            .http
            .request(method.parse().unwrap(), base.join(path).unwrap())
            .basic_auth(credentials.account_sid, Some(credentials.auth_token.expose_secret()));
        if method == "POST" {
            let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
            request =
                request.header("content-type", "application/x-www-form-urlencoded").body(body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        let body = (!text.is_empty()).then(|| serde_json::from_str(&text).unwrap());
        (status, body)
    }
}

/// Both definitions.
pub fn definitions() -> [Definition; 2] {
    [Definition::parse(CONVERSATIONS), Definition::parse(MESSAGING)]
}

/// The operation that a request is, in whichever definition.
pub fn find<'d>(
    definitions: &'d [Definition; 2],
    method: &str,
    path: &str,
) -> Option<Operation<'d>> {
    definitions.iter().find_map(|definition| definition.find(method, path))
}
