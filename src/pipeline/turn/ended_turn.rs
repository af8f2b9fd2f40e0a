//! What a delivery was about when it ended. Pure.

use crate::jobs::recorder::StageOf;
use crate::queue::{Append, QueueName};
use crate::thread::{MessageId, ThreadId, TurnMessage};

/// What a delivery was about when it ended.
pub(super) struct EndedTurn<'a> {
    pub(super) thread: ThreadId,
    /// The delivery's own message.
    pub(super) own: MessageId,
    /// What the turn is called: its last message.
    pub(super) turn: MessageId,
    /// What is noted as skipped or held.
    pub(super) messages: &'a [TurnMessage],
    /// What is kept with a cause, for whoever reads the dead letter.
    pub(super) detail: String,
    /// What becomes durable together with the end.
    pub(super) appends: Vec<(QueueName, Append)>,
}

impl<'a> EndedTurn<'a> {
    /// What nothing more is known of.
    pub(super) fn of(thread: ThreadId, own: MessageId, messages: &'a [TurnMessage]) -> Self {
        let turn = messages.last().map_or(own, |message| message.sid);
        Self { thread, own, turn, messages, detail: String::new(), appends: Vec::new() }
    }

    /// To what it happens that happens to it.
    pub(super) const fn whose(&self) -> StageOf {
        StageOf { thread: self.thread, message: Some(self.own), reply_id: None }
    }

    /// With a detail for the cause.
    pub(super) fn because(self, detail: impl ToString) -> Self {
        Self { detail: detail.to_string(), ..self }
    }
}
