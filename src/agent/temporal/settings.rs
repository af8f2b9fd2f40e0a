//! The section `[temporal]`: its keys, the kinds of their values, and the rules that they keep. Pure.
//!
//! It is known to builds without Temporal too, which refuse the kind by a rule of it.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use crate::config::kinds::{Setting, words};
use crate::config::rules::{self, within};
use crate::config::section::sections;
use crate::config::{AgentSettings, Reader};

sections! {
    /// The workflows, for kind temporal.
    TemporalSettings = "temporal" {
        /// Where the server is.
        address: TemporalAddress = "TEMPORAL_ADDRESS", "TEMPORAL_HOST";
        /// The namespace of the workflows.
        namespace: TemporalName = "TEMPORAL_NAMESPACE";
        /// Who asks, where the server wants a key.
        api_key: Option<SecretString> = "TEMPORAL_API_KEY";
        /// Whether the connection is TLS, where that does not follow from the rest.
        tls: Option<bool> = "TEMPORAL_TLS";
        /// The name that the server's certificate is for.
        tls_server_name: Option<TemporalName> = "TEMPORAL_TLS_SERVER_NAME";
        /// The certificates that are trusted instead of the system's.
        tls_server_ca_cert_path: Option<PathBuf> = "TEMPORAL_TLS_SERVER_CA_CERT_PATH";
        /// The certificate that says who we are.
        tls_client_cert_path: Option<PathBuf> = "TEMPORAL_TLS_CLIENT_CERT_PATH";
        /// Its key.
        tls_client_key_path: Option<PathBuf> = "TEMPORAL_TLS_CLIENT_KEY_PATH";
        /// Where workflows are started; present for kind temporal.
        task_queue: Option<TemporalName>;
        /// The workflow's type; present for kind temporal.
        workflow: Option<TemporalName>;
        /// What there is a workflow for.
        mode: TemporalMode;
        /// What a workflow is given.
        input: TemporalInput;
        /// How its replies come.
        reply: TemporalReply;
        /// Where our activities are served, if not beside the workflow.
        activity_task_queue: Option<TemporalName>;
        /// How many messages of what was said before are told.
        history_messages: usize;
        /// How many characters they may have.
        history_chars: usize;
        /// How long the workflow may be silent about a turn, where an activity brings its reply.
        answer_within: Option<Duration>;
        /// Whether it is asked once more then.
        ask_again: bool;
    }
}

impl AgentSettings for TemporalSettings {
    const MANUAL: &'static str = include_str!("settings.toml");

    fn check(reader: &mut Reader<'_>, is_chosen: bool) {
        if is_chosen {
            let is_built = cfg!(feature = "temporal");
            let broken = "is temporal, and this chimein was built without the feature temporal";
            reader.rule("agent.kind", Some(is_built), broken);
        }
        for key in ["temporal.task_queue", "temporal.workflow"] {
            let broken = "is required for agent.kind temporal";
            rules::required::<TemporalName>(reader, key, is_chosen, broken);
        }
        check_tls(reader);
        let is_positional = reader.value("temporal.input") == Some(TemporalInput::Positional);
        let has_threads = reader.value("temporal.mode") == Some(TemporalMode::Thread);
        let broken = "is positional, which is a workflow a turn: it needs temporal.mode turn";
        reader.rule("temporal.input", Some(!(is_positional && has_threads)), broken);
        rules::history(reader, ["temporal.history_messages", "temporal.history_chars"]);
        let silence = Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);
        within(reader, "temporal.answer_within", silence, "is not between 1s and 1d");
    }
}

fn check_tls(reader: &mut Reader<'_>) {
    let is_refused = reader.value("temporal.tls") == Some(false);
    let has_key = reader.value::<SecretString>("temporal.api_key").is_some();
    let broken = "is false, and TEMPORAL_API_KEY would go in the clear: take one of them away";
    reader.rule("temporal.tls", Some(!(is_refused && has_key)), broken);
    let given = |key| reader.value::<PathBuf>(key).is_some();
    let is_whole = given("temporal.tls_client_cert_path") == given("temporal.tls_client_key_path");
    let broken = "is set and TEMPORAL_TLS_CLIENT_KEY_PATH is not, or the other way round";
    reader.rule("temporal.tls_client_cert_path", Some(is_whole), broken);
}

/// Where a Temporal server is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TemporalAddress {
    url: Url,
    is_encrypted: bool,
}

impl TemporalAddress {
    /// The port that Temporal's frontend has.
    /// Source: docs.temporal.io, "Temporal Server", default ports, read 2026-11-30.
    const PORT: u16 = 7233;
    /// What names in Temporal Cloud end with, of namespaces and of regions.
    /// Source: docs.temporal.io, Cloud, "Namespace Endpoint" and "Regional Endpoint", read 2026-11-30.
    const CLOUD: [&str; 2] = [".tmprl.cloud", ".api.temporal.io"];

    /// Its URL.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// Whether it says by itself that the connection is TLS.
    #[must_use]
    pub const fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }
}

impl Setting for TemporalAddress {
    const WANTED: &'static str = "a host and a port such as localhost:7233, or acme.a1b2c.tmprl.cloud:7233 of Temporal Cloud";

    fn parse(text: &str) -> Option<Self> {
        let (scheme, place) = text.split_once("://").unwrap_or(("http", text));
        let is_plain = matches!(scheme, "http" | "https") && !place.contains(['@', '?', '#']);
        let place = place.strip_suffix('/').unwrap_or(place);
        let has_port = place.rsplit_once(':').is_some_and(|(_, port)| {
            !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
        });
        let mut url = Url::parse(&format!("{scheme}://{place}")).ok()?;
        let host = url.host_str().filter(|host| !host.is_empty())?.to_owned();
        if !has_port {
            url.set_port(Some(Self::PORT)).ok()?;
        }
        let is_cloud = Self::CLOUD.iter().any(|end| host.ends_with(end));
        let fits = is_plain && url.path() == "/";
        fits.then(|| Self { url, is_encrypted: scheme == "https" || is_cloud })
    }
}

/// The name of something in Temporal: a namespace, a task queue, a type of workflow.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TemporalName(String);

impl TemporalName {
    /// Gives the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for TemporalName {
    // Source: temporal, `limit.maxIDLength`, 1,000 unless changed, read 2026-11-30.
    const WANTED: &'static str = "a name of 1 to 1000 bytes without control characters";

    fn parse(text: &str) -> Option<Self> {
        let fits = (1..=1000).contains(&text.len()) && !text.chars().any(char::is_control);
        fits.then(|| Self(text.to_owned()))
    }
}

/// What there is a workflow for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TemporalMode {
    /// Each turn has its own.
    Turn,
    /// Each thread has its own.
    Thread,
}

/// What a workflow is given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TemporalInput {
    /// The document that all agents get.
    Document,
    /// Six arguments: text, channel, who asks, conversation, what was said before, context.
    Positional,
}

/// How replies come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TemporalReply {
    /// As the workflow's result, or the update's.
    Result,
    /// By an activity of ours.
    Activity,
}

words! {
    TemporalMode, "turn or thread", { "turn" => Self::Turn, "thread" => Self::Thread }
    TemporalInput, "document or positional", {
        "document" => Self::Document, "positional" => Self::Positional,
    }
    TemporalReply, "result or activity", {
        "result" => Self::Result, "activity" => Self::Activity,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, url, is_encrypted) in [
            ("localhost:7233", "http://localhost:7233/", false),
            ("localhost", "http://localhost:7233/", false),
            ("temporal.internal:80", "http://temporal.internal/", false),
            ("[::1]:7233", "http://[::1]:7233/", false),
            ("[::1]", "http://[::1]:7233/", false),
            ("https://temporal.internal", "https://temporal.internal:7233/", true),
            ("http://10.0.0.7:7233/", "http://10.0.0.7:7233/", false),
            ("acme.a1b2c.tmprl.cloud:7233", "http://acme.a1b2c.tmprl.cloud:7233/", true),
            ("us-east-1.aws.api.temporal.io", "http://us-east-1.aws.api.temporal.io:7233/", true),
        ] {
            let address = TemporalAddress::parse(text).unwrap();
            assert_eq!((address.url().as_str(), address.is_encrypted()), (url, is_encrypted));
        }
        for text in ["", ":7233", "grpc://a:1", "a:1/b", "u:p@a:1", "a:1?key=x", "a:99999", "a b"] {
            assert_eq!(TemporalAddress::parse(text), None, "{text}");
        }
    }
}
