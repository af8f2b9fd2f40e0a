//! Gives a turn to the agent with its files, or waits for them.

use std::time::Duration;

use super::ended_turn::EndedTurn;
use super::{Thought, Turns};
use crate::agent::Turn;
use crate::media::fetch;
use crate::pipeline::upstreams::Upstream;
use crate::queue::Delivery;
use crate::thread::{CauseClass, MessageId};

/// How often a turn is tried whose files cannot be fetched, before it goes without them.
const ATTEMPTS_MAX: u32 = 3;

/// How long a turn waits for its files, however long Twilio is away: the agent can do more without a picture
/// than a person who hears nothing.
const WAITS_MAX: Duration = Duration::from_secs(600);

impl Turns {
    /// Asks the agent, once there is what it takes of the turn's files.
    pub(super) async fn answered(
        &self,
        delivery: &Delivery,
        turn: &Turn,
        upstream: &Upstream,
    ) -> Thought {
        let has_files = turn.messages.iter().any(|message| !message.media.is_empty());
        let Some(source) = self.files.as_ref().filter(|_| has_files) else {
            return self.asked(turn, upstream).await;
        };
        let thread = turn.thread.id();
        let files = if upstream.agent.takes_bytes() {
            let waited = self.recorder.clock.wall().since(delivery.appended_at());
            let can_wait = turn.attempt < ATTEMPTS_MAX && waited < WAITS_MAX;
            match source.offer(thread, &turn.messages, can_wait).await {
                Ok(files) => files,
                Err(error) => return Thought::Unfetched(error),
            }
        } else {
            source.linked(thread, &turn.messages)
        };
        self.asked(&Turn { files, ..turn.clone() }, upstream).await
    }

    /// Asks the agent, if it is there. That is looked at last: whoever passes is taken for somebody who is
    /// being answered.
    async fn asked(&self, turn: &Turn, upstream: &Upstream) -> Thought {
        let clock = &self.recorder.clock;
        if let Err(pause) = upstream.health.pass(clock) {
            return Thought::Away(pause);
        }
        let start = clock.now();
        match upstream.agent.take(turn).await {
            Ok(answer) => Thought::Answer(answer, start),
            Err(error) => Thought::Failure(error, start),
        }
    }

    /// Keeps a turn whose files could not be fetched: for as long as Twilio is away, and else for another try.
    pub(super) async fn wait_for_files(
        &self,
        delivery: Delivery,
        (turn, own): (&Turn, MessageId),
        error: &fetch::Error,
    ) {
        let of = EndedTurn::of(turn.thread.id(), own, &turn.messages);
        let parked = match error {
            fetch::Error::Asking(error) => self.status.parks(error, &self.recorder.clock),
            _ => None,
        };
        self.wait_for_twilio(delivery, parked, (CauseClass::MediaUnavailable, error), of).await;
    }
}
