//! What was said and is still kept here: in jobs that are open, and in dead letters.
//!
//! Decides where a message and the replies to it lie; what is settled keeps no text. Looking tells lengths alone;
//! a text is given to who asks for it, which is logged and noted in the thread.

use std::fmt;

use super::notes::Notes;
use crate::jobs::lane;
use crate::json;
use crate::pii::Pii;
use crate::pipeline::record::{Inbound, Outbound, reply_job, turn_id};
use crate::queue::{Error, QueueName, Store};
use crate::telemetry::journal::OperatorAct;
use crate::thread::{MessageId, ThreadId};

/// Replies to one message that are looked for.
const REPLIES_MAX: usize = 16;

/// Who said something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Who {
    /// The person; it waits for the agent, or is a dead letter.
    Person,
    /// The bot; it waits to be sent, or is a dead letter.
    Bot,
}

/// Something that was said and is still kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeptText {
    /// Who said it.
    pub who: Who,
    /// What; nothing where it is files or buttons alone.
    pub body: Option<Pii>,
}

impl KeptText {
    /// How long it is, in characters.
    #[must_use]
    pub fn chars(&self) -> usize {
        self.body.as_ref().map_or(0, |body| body.reveal().chars().count())
    }
}

/// Finds what is kept; clones look at the same.
#[derive(Clone)]
pub struct KeptTexts {
    store: Store,
    notes: Notes,
}

impl KeptTexts {
    /// Looks into this store.
    #[must_use]
    pub const fn new(store: Store, notes: Notes) -> Self {
        Self { store, notes }
    }

    /// What is kept of a message and the replies to it, in order.
    ///
    /// # Errors
    ///
    /// If the store did not say.
    pub async fn of(&self, thread: ThreadId, message: MessageId) -> Result<Vec<KeptText>, Error> {
        let lane = lane(thread);
        let mut found = Vec::new();
        let inbox = self.store.queue(QueueName::Inbox);
        if let Some(payload) = inbox.payload(turn_id(message), &lane).await?
            && let Ok(inbound) = json::from_slice::<Inbound>(&payload)
        {
            found.push(KeptText { who: Who::Person, body: inbound.into_said().message.body });
        }
        let outbox = self.store.queue(QueueName::Outbox);
        for n in 0..REPLIES_MAX {
            let payload = outbox.payload(reply_job(message, n), &lane).await?;
            let outbound = payload.and_then(|payload| json::from_slice::<Outbound>(&payload).ok());
            if let Some(Outbound::V1 { reply, .. }) = outbound {
                found.push(KeptText { who: Who::Bot, body: reply.body });
            }
        }
        Ok(found)
    }

    /// The same, for who asks to see it: that is logged, and noted in the thread.
    ///
    /// # Errors
    ///
    /// If the store did not say.
    pub async fn reveal(
        &self,
        thread: ThreadId,
        message: MessageId,
    ) -> Result<Vec<KeptText>, Error> {
        let found = self.of(thread, message).await?;
        if !found.is_empty() {
            tracing::info!(message_sid = %message, "operator asked to see a message's text");
            self.notes.note(thread, OperatorAct::Revealed);
        }
        Ok(found)
    }
}

impl fmt::Debug for KeptTexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptTexts").finish_non_exhaustive()
    }
}
