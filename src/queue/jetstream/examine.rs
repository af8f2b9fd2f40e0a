//! Whether the NATS servers that several instances share are fit to keep the queue.
//!
//! Connects, signs in and asks for JetStream and for the stream of jobs, and makes nothing.

use std::time::Duration;

use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::{self, ErrorCode};

use super::jobs_stream;
use crate::config::Settings;
use crate::finding::Finding;
use crate::nats;
use crate::net::tls;
use crate::telemetry::chain::Chain;

const CHECK: &str = "store";

/// How long the server may take to answer one question.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks at the servers and judges what they say.
///
/// # Errors
///
/// If no TLS configuration can be made.
pub async fn examine(all: &Settings) -> Result<Finding, tls::Error> {
    let (tls, _) = tls::client_config()?;
    let options = nats::Options::of(&all.nats, "chimein-doctor", &tls);
    let client = match nats::connect(options).await {
        Ok(client) => client,
        Err(error) => {
            let remedy = "start NATS, and check NATS_URL and what signs in";
            return Ok(Finding::fail(CHECK, Chain(&error).to_string(), remedy));
        }
    };
    let stream = jobs_stream(all.nats.prefix.as_str());
    let mut context = jetstream::new(client);
    context.set_timeout(PATIENCE);
    Ok(match context.get_stream(&stream).await {
        Ok(_) => Finding::ok(CHECK, format!("stream {stream} is there")),
        Err(error) => judge(&stream, &error.kind(), &Chain(&error).to_string()),
    })
}

fn judge(stream: &str, kind: &GetStreamErrorKind, chain: &str) -> Finding {
    let is_missing = match kind {
        GetStreamErrorKind::JetStream(error) => error.error_code() == ErrorCode::STREAM_NOT_FOUND,
        GetStreamErrorKind::EmptyName
        | GetStreamErrorKind::InvalidStreamName
        | GetStreamErrorKind::Request => false,
    };
    if is_missing {
        return Finding::ok(CHECK, format!("no stream {stream} yet; the service makes it"));
    }
    let remedy = "turn JetStream on in the server's configuration, with a store_dir, and let the \
                  account use it";
    Finding::fail(CHECK, format!("stream {stream}: {chain}"), remedy)
}
