//! Whether both queues are there, take us, and have somewhere to put what nobody can deal with.
//!
//! Reads attributes and changes nothing.

use super::error::Error;
use super::facts::{self, Facts};
use super::queue::SqsQueue;
use crate::agent::kind::CHECK;
use crate::agent::matter::Matter;
use crate::finding::Finding;
use crate::telemetry::chain::Chain;

/// Looks at a queue.
///
/// # Errors
///
/// If it did not say what it is.
pub(super) async fn look(queue: &SqsQueue) -> Result<(Facts, Vec<Finding>), Error> {
    let facts = queue.facts().await?;
    let letters = match &facts.redrive {
        Some(redrive) => Some(queue.letters(redrive).await),
        None => None,
    };
    let findings = facts::judge((queue.role(), queue.name()), &facts, letters);
    Ok((facts, findings))
}

/// Judges that a queue did not say what it is.
pub(super) fn unseen(queue: &SqsQueue, error: &Error) -> Finding {
    let found = format!("the queue {}: {}", queue.name(), Chain(error));
    let remedy = match error.matter() {
        Matter::Configuration(remedy) => remedy,
        Matter::Pace | Matter::Message | Matter::Passing => {
            "check the region, the AWS credentials, AWS_ENDPOINT_URL, proxy and firewall"
        }
    };
    Finding::fail(CHECK, found, remedy)
}

/// Looks at all queues.
pub(super) async fn all(queues: &[SqsQueue]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for queue in queues {
        match look(queue).await {
            Ok((_, seen)) => findings.extend(seen),
            Err(error) => findings.push(unseen(queue, &error)),
        }
    }
    findings
}
