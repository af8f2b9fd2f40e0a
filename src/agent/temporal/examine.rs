//! Whether the server is there, knows the namespace, and has workers for what we start.
//!
//! Reads and changes nothing.

use temporalio_common::protos::temporal::api::enums::v1::TaskQueueType;

use super::agent::Options;
use super::error::Error;
use super::frontend::{Frontend, IDENTITY};
use crate::agent::kind::CHECK;
use crate::agent::matter::Matter;
use crate::finding::Finding;
use crate::telemetry::chain::Chain;

/// Looks at the namespace and the task queues.
///
/// # Errors
///
/// If the server did not say what they are.
pub(super) async fn look(frontend: &Frontend, options: &Options) -> Result<Vec<Finding>, Error> {
    let kept = frontend.retention().await?;
    let days = kept.as_secs() / (24 * 60 * 60);
    let (namespace, place) = (frontend.namespace(), frontend.place());
    let found = format!("the namespace {namespace} at {place} keeps workflows for {days} days");
    let mut findings = vec![Finding::ok(CHECK, found)];
    let queue = &options.workflows.queue;
    let workers = frontend.pollers(queue, TaskQueueType::Workflow).await?;
    findings.push(workers_of(queue, workers.len()));
    if let Some(queue) = &options.activity_queue {
        let pollers = frontend.pollers(queue, TaskQueueType::Activity).await?;
        let others = pollers.iter().filter(|name| *name != IDENTITY).count();
        findings.extend(others_at(queue, others));
    }
    Ok(findings)
}

/// Judges who takes workflows off a task queue.
fn workers_of(queue: &str, count: usize) -> Finding {
    if count > 0 {
        return Finding::ok(
            CHECK,
            format!("{count} workers take workflows off task queue {queue}"),
        );
    }
    let found = format!("nobody takes workflows off task queue {queue}: turns wait for a worker");
    Finding::warn(CHECK, found, "start the workflow's worker, or check CHIMEIN_TEMPORAL_TASK_QUEUE")
}

/// Judges who else takes activities where we do: a task queue gives each to whoever asks, whether he knows it or
/// not.
fn others_at(queue: &str, count: usize) -> Option<Finding> {
    let found = format!(
        "{count} other workers take activities off task queue {queue}, where chimein does: each is given the \
         other's, and fails at them"
    );
    let remedy = "give chimein a task queue of its own by CHIMEIN_TEMPORAL_ACTIVITY_TASK_QUEUE, and \
         name it where the workflow calls its activities";
    (count > 0).then(|| Finding::warn(CHECK, found, remedy))
}

/// Judges that the server did not say what it is.
pub(super) fn unseen(frontend: &Frontend, error: &Error) -> Finding {
    let found = format!("temporal at {}: {}", frontend.place(), Chain(error));
    let remedy = match error.matter() {
        Matter::Configuration(remedy) => remedy,
        Matter::Pace | Matter::Message | Matter::Passing => {
            "check TEMPORAL_ADDRESS, TEMPORAL_TLS, proxy and firewall, and that the server runs"
        }
    };
    Finding::fail(CHECK, found, remedy)
}
