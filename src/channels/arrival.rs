//! What became of a message: the word in the log, where somebody may wonder, and the step in its trace.

use uuid::Uuid;

use super::ReplyOf;
use crate::jobs::recorder::Recorder;
use crate::telemetry::journal::Stage;
use crate::telemetry::metrics::labels::Known;
use crate::telemetry::trace::{RECEIPT, TraceContext};
use crate::thread::MessageId;
use crate::twilio::catalogue;
use crate::twilio::messaging::MessageStatus;

/// Says it: a failure loudly, what is on its way softly; counts it, and notes it where it is known of what
/// reply it is.
pub(super) fn tell(
    recorder: &Recorder,
    (message, of): (MessageId, Option<(Uuid, ReplyOf)>),
    (status, code): (MessageStatus, Option<u32>),
) {
    let state = status.as_str();
    recorder.metrics.text_status(Known(state));
    if let Some(of) = of {
        note(recorder, of, (status, code));
    }
    match status {
        _ if status.is_failure() => {
            tracing::warn!(message_sid = %message, state, code, reason = catalogue::meaning(code),
                "a message that twilio took did not arrive");
        }
        _ if status.has_arrived() => {
            tracing::debug!(message_sid = %message, state, "a message has arrived");
        }
        _ => tracing::trace!(message_sid = %message, state, "a message is on its way"),
    }
}

/// Notes it in the trace alone: what was told before anybody knew of what reply it was.
pub(super) fn note(
    recorder: &Recorder,
    (reply, of): (Uuid, ReplyOf),
    (status, code): (MessageStatus, Option<u32>),
) {
    let context = |trace| TraceContext::of_trace(trace, of.thread, of.turn);
    let _in_trace = of.trace.map(|trace| context(trace).span(RECEIPT).entered());
    let stage = Stage::ReplyFares { status: status.as_str(), code };
    recorder.stage_at(recorder.clock.wall(), of.stage_of(reply), stage);
}
