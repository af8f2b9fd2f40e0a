//! Brings replies that come after their turn into the outbox.

use futures::future::BoxFuture;

use crate::agent::later::{Batch, Outbox, OutboxError};
use crate::channels::Channels;
use crate::jobs::lane;
use crate::jobs::recorder::{Recorder, StageOf};
use crate::pii::Pii;
use crate::pipeline::record::AnswerName;
use crate::pipeline::send::answers::{AnswerKey, KeyedAnswers};
use crate::pipeline::send::outbound::{self, Stamp};
use crate::pipeline::send::reply_ids::ReplyIds;
use crate::pipeline::{awaited, record};
use crate::queue::{Appended, Documents, Queue};
use crate::telemetry::journal::Stage;
use crate::thread::{MessageId, Thread, ThreadId};

/// The outbox as the door for late replies sees it.
#[derive(Clone)]
pub struct Late {
    /// The queue of replies, as those come that have a key.
    pub outbox: KeyedAnswers,
    /// Says who reads along, where a reply is long.
    pub channels: Channels,
    /// Makes the replies' ids.
    pub ids: ReplyIds,
    /// Whether their agent is told of each step of theirs.
    pub tells: bool,
    /// Which agent gives them, of several; none is the plain section's.
    pub agent: Option<String>,
    /// The queue of turns.
    pub inbox: Queue,
    /// Where it is noted that an agent has said something in a thread, if anybody waits for it.
    pub documents: Documents,
    /// Where it is noted that an agent has said something to a turn, if anybody waits for it.
    pub reports: Option<Queue>,
    /// Where the stages are noted.
    pub recorder: Recorder,
}

impl Outbox for Late {
    fn thread(&self, id: ThreadId) -> BoxFuture<'_, Result<Option<Thread>, OutboxError>> {
        Box::pin(async move {
            let found = self.channels.thread(id).await;
            found.map_err(|error| OutboxError::Store(Box::new(error)))
        })
    }

    fn between(&self, ours: Option<&Pii>, theirs: &Pii) -> Result<Thread, String> {
        self.channels.between(ours, theirs)
    }

    fn put(&self, batch: Batch) -> BoxFuture<'_, Result<usize, OutboxError>> {
        Box::pin(async move {
            let units_max = self.channels.text_units_max(batch.thread.id());
            let cut = batch.cut
                || outbound::is_long(&batch.replies, units_max)
                    && self
                        .channels
                        .has_phone(batch.thread.id())
                        .await
                        .map_err(|error| OutboxError::Undecided(Box::new(error)))?;
            let at = self.recorder.clock.wall();
            let (tells, agent) = (self.tells, self.agent.as_deref());
            let stamp = Stamp { ids: &self.ids, at, tells, agent, units_max };
            let said = (&batch.replies[..], batch.parting);
            let (key, name) = (batch.key.clone(), batch.turn.filter(|_| batch.is_answer));
            let name = AnswerName::of(batch.thread.id(), name, &key);
            let key = AnswerKey::of(batch.thread.id(), name, said);
            let (thread, turn) = (batch.thread.id(), batch.turn);
            let jobs = outbound::of_key(Batch { cut, ..batch }, stamp)
                .map_err(|error| OutboxError::TooLarge(Box::new(error)))?;
            if jobs.appends.is_empty() {
                return Ok(0);
            }
            let ids = jobs.reply_ids(&self.ids);
            let appended = self.outbox.append(&key, jobs.appends).await;
            let appended = appended.map_err(|error| OutboxError::Store(Box::new(error)))?;
            let said = appended.into_iter().zip(jobs.speaks).filter(|(_, speaks)| *speaks);
            let said = said.zip(ids).filter(|((appended, _), _)| *appended == Appended::Added);
            let mut count = 0;
            for (_, id) in said {
                count += 1;
                let whose = StageOf { thread, message: turn, reply_id: Some(id) };
                self.recorder.stage_at(at, whose, Stage::ReplyStored);
            }
            Ok(count)
        })
    }

    fn heard(&self, turn: MessageId) -> BoxFuture<'_, Result<(), OutboxError>> {
        Box::pin(async move {
            let Some(reports) = &self.reports else { return Ok(()) };
            let noted = reports.append(vec![awaited::heard(turn)]).await;
            noted.map(drop).map_err(|error| OutboxError::Store(Box::new(error)))
        })
    }

    fn heard_in(&self, thread: ThreadId) -> BoxFuture<'_, Result<(), OutboxError>> {
        Box::pin(async move {
            if self.reports.is_none() {
                return Ok(());
            }
            let now = self.recorder.clock.wall();
            let noted = awaited::heard_in(&self.documents, thread, now).await;
            noted.map_err(|error| OutboxError::Store(Box::new(error)))
        })
    }

    fn has_turn(
        &self,
        turn: MessageId,
        thread: ThreadId,
    ) -> BoxFuture<'_, Result<bool, OutboxError>> {
        Box::pin(async move {
            let found = self.inbox.find(record::turn_id(turn), &lane(thread)).await;
            let found = found.map_err(|error| OutboxError::Store(Box::new(error)))?;
            Ok(found.is_some())
        })
    }
}
