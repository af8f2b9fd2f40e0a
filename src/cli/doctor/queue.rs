//! Whether the queue's place is fit: the file, or the NATS servers that several instances share.
//!
//! On NATS it connects, signs in and asks for JetStream and for the stream of jobs, and makes nothing.

use crate::config::Settings;
use crate::config::kinds::QueueEngine;

use super::finding::Finding;
use super::{Error, local};

/// Checks the place; says also whether a service is known to work on it right now.
pub(super) async fn examine(all: &Settings, offline: bool) -> Result<(Vec<Finding>, bool), Error> {
    match all.queue.engine {
        QueueEngine::Embedded => Ok(local::store(&all.queue).await),
        QueueEngine::Nats if offline => {
            let found = "on NATS; not looked at without the network".to_owned();
            Ok((vec![Finding::ok("store", found)], false))
        }
        #[cfg(feature = "nats")]
        QueueEngine::Nats => Ok((vec![shared::examine(all).await?], false)),
        // The settings refuse the engine that is not built in.
        #[cfg(not(feature = "nats"))]
        QueueEngine::Nats => Ok((Vec::new(), false)),
    }
}

#[cfg(feature = "nats")]
mod shared {
    use std::time::Duration;

    use async_nats::jetstream::context::GetStreamErrorKind;
    use async_nats::jetstream::{self, ErrorCode};

    use super::{Error, Finding, Settings};
    use crate::net::tls;
    use crate::queue::jetstream::jobs_stream;
    use crate::telemetry::chain::Chain;
    use crate::{app, nats};

    const CHECK: &str = "store";

    /// How long the server may take to answer one question.
    const PATIENCE: Duration = Duration::from_secs(5);

    pub(super) async fn examine(all: &Settings) -> Result<Finding, Error> {
        let (tls, _) = tls::client_config()?;
        let options = app::nats_options(&all.nats, "chimein-doctor", &tls);
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
            GetStreamErrorKind::JetStream(error) => {
                error.error_code() == ErrorCode::STREAM_NOT_FOUND
            }
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
}
