//! Takes replies off their queue and brings them into the outbox.
//!
//! A message is deleted when its replies are on disk, never before; while the store takes its time the queue
//! is told that work goes on. What could not be stored comes again soon, and what follows it in its thread
//! waits for it. What cannot be read is told of once and left to the queue's redrive policy: it is somebody's
//! to mend, and not lost. Decisions are [`super::letter`]'s.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use futures::future::join_all;

use super::agent::Sqs;
use super::letter::{self, Letter};
use super::queue::QueueMessage;
use crate::agent::later::{Batch, Outbox, OutboxError};
use crate::agent::matter::Matter;
use crate::telemetry::chain::Chain;
use crate::thread::ThreadId;

/// How long the queue waits for a message before it says that there is none.
/// Source: `ReceiveMessage`, `WaitTimeSeconds`, the most there is, read 2026-11-30.
const POLL: Duration = Duration::from_secs(20);
/// How long to rest before a queue that failed is asked again.
const REST: Duration = Duration::from_secs(1);
/// When what could not be stored is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// How often it is tried while the queue keeps it from others, before it is given back. To give it back costs
/// one of the times that the queue brings it before it is a dead letter there.
const TRIES_MAX: u32 = 60;

/// What the operator was told of stands beside the messages that he was told of.
const DELETE: &str = "DeleteMessage";

/// What becomes of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    /// Its replies are on disk.
    Delete,
    /// It is to come again.
    Again,
    /// Nobody can make anything of it.
    Leave,
}

/// Consumes the queue of replies for ever.
pub(super) async fn consume(agent: &Sqs, outbox: &dyn Outbox) -> Infallible {
    let mut poll = Duration::ZERO;
    loop {
        match agent.replies.receive(poll, agent.ours_for).await {
            Ok(came) => {
                agent.state.worked();
                // The first look waits for nothing, so that it is seen at once that the queue is there.
                poll = POLL;
                if !came.is_empty() {
                    round(agent, came, outbox).await;
                }
            }
            Err(error) => {
                agent.state.failed(&error);
                poll = Duration::ZERO;
                agent.clock.sleep(REST).await;
            }
        }
    }
}

/// Deals with messages that came together.
async fn round(agent: &Sqs, came: Vec<QueueMessage>, outbox: &dyn Outbox) {
    let receipts: Vec<_> = came.iter().map(|one| one.receipt.clone()).collect();
    let verdicts = {
        let handled = handle(agent, came, outbox);
        tokio::pin!(handled);
        loop {
            tokio::select! {
                verdicts = &mut handled => break verdicts,
                () = agent.clock.sleep(agent.ours_for / 3) => {
                    keep(agent, &receipts, agent.ours_for).await;
                }
            }
        }
    };
    let of = |wanted| -> Vec<String> {
        let all = verdicts.iter().filter(|(_, verdict)| *verdict == wanted);
        all.map(|(receipt, _)| receipt.clone()).collect()
    };
    let done = of(Verdict::Delete);
    if !done.is_empty() {
        match agent.replies.delete(&done).await {
            Ok(0) => {}
            Ok(count) => tracing::debug!(count, "replies could not be deleted; they come again"),
            Err(error) => {
                // Sent they are; who may not delete them gets them again, until they are dead letters there.
                if let Matter::Configuration(remedy) = error.matter()
                    && agent.told.insert(DELETE.to_owned(), ()).is_none()
                {
                    tracing::error!(error = %Chain(&error), reason = remedy,
                        "replies that were stored cannot be deleted from their queue");
                }
                tracing::debug!(error = %Chain(&error), count = done.len(),
                    "replies could not be deleted; they come again");
            }
        }
    }
    keep(agent, &of(Verdict::Again), AGAIN_AFTER).await;
    if agent.state.redrives_soon() {
        keep(agent, &of(Verdict::Leave), Duration::ZERO).await;
    }
}

async fn keep(agent: &Sqs, receipts: &[String], time: Duration) {
    if receipts.is_empty() {
        return;
    }
    if let Err(error) = agent.replies.keep(receipts, time).await {
        tracing::debug!(error = %Chain(&error), count = receipts.len(),
            "queue could not be told when replies are to come again");
    }
}

/// Handles messages, those of a thread one after the other.
async fn handle(
    agent: &Sqs,
    came: Vec<QueueMessage>,
    outbox: &dyn Outbox,
) -> Vec<(String, Verdict)> {
    let mut lanes: BTreeMap<ThreadId, Vec<(QueueMessage, Letter)>> = BTreeMap::new();
    let mut verdicts = Vec::new();
    for one in came {
        match letter::read(one.body.reveal()) {
            Ok(letter) => lanes.entry(letter.thread).or_default().push((one, letter)),
            Err(reason) => {
                agent.unusable(&one, &reason);
                verdicts.push((one.receipt, Verdict::Leave));
            }
        }
    }
    let lanes = lanes.into_values().map(async |lane| {
        let (mut is_held, mut verdicts) = (false, Vec::new());
        for (one, letter) in lane {
            let verdict = if is_held {
                Verdict::Again
            } else {
                store_patiently(agent, &one, &letter, outbox).await
            };
            is_held |= verdict == Verdict::Again;
            verdicts.push((one.receipt, verdict));
        }
        verdicts
    });
    verdicts.extend(join_all(lanes).await.into_iter().flatten());
    verdicts
}

/// Stores a message's replies, again and again while the store or Twilio is away.
async fn store_patiently(
    agent: &Sqs,
    came: &QueueMessage,
    letter: &Letter,
    outbox: &dyn Outbox,
) -> Verdict {
    let mut tries = 1;
    loop {
        match store(agent, came, letter, outbox).await {
            Verdict::Again if tries < TRIES_MAX => agent.clock.sleep(AGAIN_AFTER).await,
            verdict => return verdict,
        }
        tries += 1;
    }
}

async fn store(agent: &Sqs, came: &QueueMessage, letter: &Letter, outbox: &dyn Outbox) -> Verdict {
    let Letter { turn, thread, key, replies, parting } = letter.clone();
    let place = match outbox.thread(thread).await {
        Ok(Some(place)) => place,
        Ok(None) => {
            agent.unusable(came, "nobody has written in its thread, or its channel is off");
            return Verdict::Leave;
        }
        Err(error) => return not_stored(agent, came, &error),
    };
    let batch = Batch { turn: Some(turn), late: true, parting, ..Batch::new(place, &key, replies) };
    let added = match outbox.put(batch).await {
        Ok(added) => added,
        Err(error) => return not_stored(agent, came, &error),
    };
    // Only now: what nobody can make anything of is no answer, and its turn is still to be asked anew.
    if let Err(error) = outbox.heard(turn).await {
        return not_stored(agent, came, &error);
    }
    tracing::debug!(conversation_sid = %thread, message_sid = %turn, count = added,
        "replies came by the queue");
    Verdict::Delete
}

fn not_stored(agent: &Sqs, came: &QueueMessage, error: &OutboxError) -> Verdict {
    match error {
        OutboxError::TooLarge(why) => {
            agent.unusable(came, &why.to_string());
            Verdict::Leave
        }
        OutboxError::Store(_) | OutboxError::Undecided(_) => {
            tracing::error!(sid = came.id, attempt = came.receives, error = %Chain(error),
                "replies of the queue were not stored; they come again");
            Verdict::Again
        }
    }
}
