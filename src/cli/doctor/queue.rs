//! Whether the queue's place is fit: the file, or the NATS servers that several instances share.
//!
//! On NATS it connects, signs in and asks for JetStream and for the stream of jobs, and makes nothing.

use crate::config::Settings;
use crate::config::kinds::QueueEngine;

use super::{Error, local};
use crate::finding::Finding;

/// Checks the place; says also whether a service is known to work on it right now.
pub(super) async fn examine(all: &Settings, offline: bool) -> Result<(Vec<Finding>, bool), Error> {
    match all.queue.engine {
        QueueEngine::Embedded => Ok(local::store(&all.queue).await),
        QueueEngine::Nats if offline => {
            let found = "on NATS; not looked at without the network".to_owned();
            Ok((vec![Finding::ok("store", found)], false))
        }
        #[cfg(feature = "nats")]
        QueueEngine::Nats => Ok((vec![crate::queue::jetstream::examine(all).await?], false)),
        // The settings refuse the engine that is not built in.
        #[cfg(not(feature = "nats"))]
        QueueEngine::Nats => Ok((Vec::new(), false)),
    }
}
