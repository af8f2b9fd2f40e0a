//! The activities that workflows call: what they say is stored, once, and leaves in its thread's order.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use temporalio_common::data_converters::RawValue;
use temporalio_common::error::ApplicationFailure;
use temporalio_common::protos::temporal::api::common::v1::Payload;
use temporalio_sdk::WorkerOptions;
use temporalio_sdk::activities::{
    ActivityContext, ActivityError, ActivityInfo, ExecutableActivity, activities,
};

use super::error::Error as FrontendError;
use super::frontend::Frontend;
use super::ids::{self, StartedFor};
use super::payload;
use super::told::{self, Text, ThreadReplies};
use crate::agent::later::{Batch, Outbox, OutboxError};
use crate::json;
use crate::pii::Pii;
use crate::telemetry::chain::Chain;
use crate::thread::{MessageId, Reply, Thread, ThreadId};

/// What the memo of a turn's workflow calls what we know of it.
pub(super) const MEMO: &str = "chimein";

/// What is known of the turn that a workflow is for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct TurnMemo {
    /// Its thread.
    thread: ThreadId,
    /// Who asked, as a digest.
    from: String,
}

impl TurnMemo {
    /// Notes where a turn came from and who asked.
    pub(super) fn of(thread: ThreadId, from: &Pii) -> Self {
        Self { thread, from: digest(from) }
    }
}

/// Has a worker serve one activity, which the macro has made a value of.
fn serve<A>(worker: &mut WorkerOptions, _activity: A, by: &Arc<A::Implementer>)
where
    A: ExecutableActivity,
    A::Input: Send + Sync,
    A::Output: Send + Sync,
{
    worker.register_activity::<A>(Arc::clone(by));
}

fn digest(address: &Pii) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(address.reveal().as_bytes()) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The activities.
pub(super) struct Activities {
    /// Knows what workflows are for.
    pub(super) frontend: Arc<Frontend>,
    /// Where replies go.
    pub(super) outbox: Arc<dyn Outbox>,
}

/// Why an activity has stored nothing.
#[derive(Debug, thiserror::Error)]
enum NotStored {
    /// It may be run again.
    #[error("chimein could not look where the message goes; run the activity again")]
    Away(#[source] FrontendError),
    /// It may be run again.
    #[error("chimein could not store the message; run the activity again")]
    Store(#[source] OutboxError),
    /// It would be refused again.
    #[error("{0}")]
    Refused(String),
}

#[activities]
impl Activities {
    /// Texts somebody: `(to, message)`.
    #[activity(name = "send_sms_via_twilio")]
    async fn send_sms_via_twilio(
        self: Arc<Self>,
        context: ActivityContext,
        arguments: RawValue,
    ) -> Result<RawValue, ActivityError> {
        self.text(context.info(), &arguments.payloads).await
    }

    /// Texts somebody: `(to, message, request_id)`.
    #[activity(name = "send_sms_response_activity")]
    async fn send_sms_response_activity(
        self: Arc<Self>,
        context: ActivityContext,
        arguments: RawValue,
    ) -> Result<RawValue, ActivityError> {
        self.text(context.info(), &arguments.payloads).await
    }

    /// Says something in a thread: `(thread, reply)`, or `(thread, reply, turn)`.
    #[activity(name = "send_message")]
    async fn send_message(
        self: Arc<Self>,
        context: ActivityContext,
        arguments: RawValue,
    ) -> Result<RawValue, ActivityError> {
        let info = context.info();
        let stored = match told::said(&arguments.payloads) {
            Ok(said) => self.say(info, said).await,
            Err(reason) => Err(NotStored::Refused(reason)),
        };
        stored.map(|()| carried(told::stored(None))).map_err(|not_stored| failure(info, not_stored))
    }
}

impl Activities {
    /// Has a worker serve each of them.
    pub(super) fn serve_by(self, worker: &mut WorkerOptions) {
        let this = Arc::new(self);
        serve(worker, Self::send_sms_via_twilio, &this);
        serve(worker, Self::send_sms_response_activity, &this);
        serve(worker, Self::send_message, &this);
    }

    /// What the older system's workflow does with a refusal is to note it, and end well.
    async fn text(
        &self,
        info: &ActivityInfo,
        arguments: &[Payload],
    ) -> Result<RawValue, ActivityError> {
        let text = match told::text(arguments) {
            Ok(text) => text,
            Err(reason) => {
                warn(info, &reason);
                return Ok(carried(told::refused(&reason, None)));
            }
        };
        let request = text.request.clone();
        match self.send(info, text).await {
            Ok(()) => Ok(carried(told::stored(request))),
            Err(NotStored::Refused(reason)) => {
                warn(info, &reason);
                Ok(carried(told::refused(&reason, request)))
            }
            Err(not_stored) => Err(failure(info, not_stored)),
        }
    }

    async fn send(&self, info: &ActivityInfo, text: Text) -> Result<(), NotStored> {
        let Text { to, message, .. } = text;
        let workflow = info.workflow_id.as_deref().unwrap_or_default();
        let origin = ids::origin(workflow);
        let thread = match self.asker(workflow, origin, &to).await? {
            Some(thread) => thread,
            None => self.outbox.between(None, &to).map_err(NotStored::Refused)?,
        };
        let turn = match origin {
            StartedFor::Turn(turn) => Some(turn),
            StartedFor::Thread(_) | StartedFor::Other => None,
        };
        let reply = Reply { body: Some(message), ..Reply::default() };
        self.put(info, (turn, origin), Batch::new(thread, &key(info), vec![reply])).await
    }

    async fn say(&self, info: &ActivityInfo, said: ThreadReplies) -> Result<(), NotStored> {
        let ThreadReplies { thread, turn, replies, parting } = said;
        let origin = ids::origin(info.workflow_id.as_deref().unwrap_or_default());
        let turn = turn.or(match origin {
            StartedFor::Turn(turn) => Some(turn),
            StartedFor::Thread(_) | StartedFor::Other => None,
        });
        let thread =
            self.outbox.thread(thread).await.map_err(NotStored::Store)?.ok_or_else(|| {
                let reason =
                    "nobody has written in this thread yet, or it is of a channel that is off";
                NotStored::Refused(reason.to_owned())
            })?;
        let batch = Batch { parting, ..Batch::new(thread, &key(info), replies) };
        self.put(info, (turn, origin), batch).await
    }

    /// The thread of whoever asked, if that is to whom the text goes; somebody else is written to by a thread of
    /// his own.
    async fn asker(
        &self,
        workflow: &str,
        origin: StartedFor,
        to: &Pii,
    ) -> Result<Option<Thread>, NotStored> {
        let (thread, from) = match origin {
            StartedFor::Other => return Ok(None),
            StartedFor::Thread(thread) => (thread, None),
            StartedFor::Turn(_) => {
                let memo = self.frontend.memo(workflow, MEMO).await.map_err(NotStored::Away)?;
                let memo = memo.and_then(|memo| json::from_slice::<TurnMemo>(&memo).ok());
                let Some(TurnMemo { thread, from }) = memo else { return Ok(None) };
                (thread, Some(from))
            }
        };
        let thread = self.outbox.thread(thread).await.map_err(NotStored::Store)?;
        let is_asker = |thread: &Thread| match (&from, thread.theirs()) {
            (Some(from), _) => *from == digest(to),
            (None, Some(theirs)) => theirs == to,
            (None, None) => false,
        };
        Ok(thread.filter(is_asker))
    }

    async fn put(
        &self,
        info: &ActivityInfo,
        (turn, origin): (Option<MessageId>, StartedFor),
        batch: Batch,
    ) -> Result<(), NotStored> {
        // What nobody asked for is said whoever has the thread.
        let late = turn.is_some() || origin != StartedFor::Other;
        let name = batch.thread.id();
        let count = match self.outbox.put(Batch { turn, late, ..batch }).await {
            Ok(count) => count,
            Err(OutboxError::TooLarge(why)) => return Err(NotStored::Refused(why.to_string())),
            Err(error @ (OutboxError::Store(_) | OutboxError::Undecided(_))) => {
                return Err(NotStored::Store(error));
            }
        };
        // Only now: what is refused is no answer, and its turn is still to be asked anew.
        if let Some(turn) = turn {
            self.outbox.heard(turn).await.map_err(NotStored::Store)?;
        }
        tracing::debug!(conversation_sid = %name, job_id = info.activity_id, count,
            "replies came by an activity");
        Ok(())
    }
}

fn key(info: &ActivityInfo) -> String {
    let workflow = info.workflow_id.as_deref().unwrap_or_default();
    let run = info.workflow_run_id.as_deref().or(info.activity_run_id.as_deref());
    ids::key(workflow, run.unwrap_or_default(), &info.activity_id)
}

fn carried(text: String) -> RawValue {
    RawValue { payloads: vec![payload::json(text)] }
}

fn warn(info: &ActivityInfo, reason: &str) {
    tracing::warn!(
        job_id = info.activity_id,
        attempt = info.attempt,
        reason,
        "what an activity was told cannot be sent"
    );
}

fn failure(info: &ActivityInfo, not_stored: NotStored) -> ActivityError {
    if let NotStored::Refused(reason) = &not_stored {
        warn(info, reason);
        return ApplicationFailure::non_retryable(not_stored).into();
    }
    tracing::error!(job_id = info.activity_id, attempt = info.attempt, error = %Chain(&not_stored),
        "replies of an activity were not stored; it is run again");
    // The chain stays here: it may name what is ours alone.
    ApplicationFailure::new(not_stored.to_string()).into()
}
