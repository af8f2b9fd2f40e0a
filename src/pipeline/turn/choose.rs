//! Finds who gets a turn: what the routes ask for is gathered here, and nothing where there is one agent alone.
//!
//! What is remembered goes first, so that a turn that comes again, after a crash too, is asked of the agent
//! that had it. Who gets what is [`policy::routing`](crate::pipeline::policy::routing)'s to say.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::ended_turn::EndedTurn;
use super::{GivenTurn, OwnMessage, Turns};
use crate::agent::{Error, Sign};
use crate::channels;
use crate::jobs::settle;
use crate::jobs::worker::Work as _;
use crate::json;
use crate::pii::Pii;
use crate::pipeline::policy::after_turn::EndOfTurn;
use crate::pipeline::policy::routing::Facts;
use crate::pipeline::upstreams::{
    ChosenUpstream, ROOM_LOOK_EVERY, RememberedChoice, Upstream, UpstreamSlot,
};
use crate::queue::{self, Delivery};
use crate::thread::{CauseClass, MessageId, ThreadId, TurnMessage};

/// Why nobody was chosen.
enum Unchosen {
    /// The store failed.
    Store(queue::Error),
    /// Twilio does not tell what the routes ask for.
    Channel(channels::Error),
}

impl Turns {
    /// Gives the delivery back with who gets the turn; nothing if it has been settled.
    pub(super) async fn chosen(
        &self,
        delivery: Delivery,
        of: OwnMessage<'_>,
        messages: &[TurnMessage],
        turn: MessageId,
    ) -> Option<(Delivery, ChosenUpstream)> {
        if let Some(only) = self.upstreams.only() {
            return Some((delivery, ChosenUpstream { upstream: Arc::clone(only), fallback: None }));
        }
        let settling = EndedTurn::of(of.thread.id(), of.message, messages);
        let chosen = tokio::select! {
            biased;
            lost = delivery.keep_alive() => Err(Unchosen::Store(lost)),
            chosen = self.choose(of, messages, turn) => chosen,
        };
        match chosen {
            Ok(chosen) => Some((delivery, chosen)),
            Err(Unchosen::Store(lost)) => {
                settle::lost(Self::QUEUE, &lost);
                self.end(delivery, EndOfTurn::Lost, settling).await;
                None
            }
            Err(Unchosen::Channel(error)) => {
                let parked = error.parks(&self.status, &self.recorder.clock);
                let class = CauseClass::Participants;
                self.wait_for_twilio(delivery, parked, (class, &error), settling).await;
                None
            }
        }
    }

    async fn choose(
        &self,
        of: OwnMessage<'_>,
        messages: &[TurnMessage],
        turn: MessageId,
    ) -> Result<ChosenUpstream, Unchosen> {
        let thread = of.thread.id();
        let remembered = self.upstreams.remembered(thread, turn).await.map_err(Unchosen::Store)?;
        let keyword = match remembered {
            RememberedChoice::Turn(chosen) => return Ok(chosen),
            RememberedChoice::Keyword(keyword) => keyword,
        };
        let routes = self.upstreams.routes();
        let (mut addresses, mut attributes) = (Vec::new(), Map::new());
        if routes.ask_address() {
            addresses = of.channel.ours(of.thread).await.map_err(Unchosen::Channel)?;
        }
        if routes.ask_attributes() {
            attributes = self.attributes(thread).await.map_err(Unchosen::Channel)?;
        }
        let said: Vec<String> = messages.iter().map(said).collect();
        let said: Vec<&str> = said.iter().map(String::as_str).collect();
        let choice = routes.choose(&Facts {
            addresses: &addresses,
            channel: of.thread.channel(),
            attributes: &attributes,
            said: &said,
            keyword: keyword.as_deref(),
        });
        self.upstreams.remember(thread, turn, choice).await.map_err(Unchosen::Store)
    }

    async fn attributes(&self, thread: ThreadId) -> Result<Map<String, Value>, channels::Error> {
        let text = self.handoff.attributes(thread).await?;
        let read = |text: Pii| json::object(text.reveal().as_bytes()).ok();
        Ok(text.and_then(read).unwrap_or_default())
    }

    /// Gives the delivery back with a place at the agent; nothing if it waits for one. One agent alone has
    /// given it with the worker.
    pub(super) async fn placed(
        &self,
        delivery: Delivery,
        upstream: &Upstream,
        of: EndedTurn<'_>,
    ) -> Option<(Delivery, Option<UpstreamSlot>)> {
        if self.upstreams.only().is_some() {
            return Some((delivery, None));
        }
        if let Some(place) = upstream.place(of.thread, &self.inbox) {
            return Some((delivery, Some(place)));
        }
        tracing::debug!(conversation_sid = %of.thread, agent = &*upstream.name,
            "agent has no room; the turn waits for its place");
        let time = settle::spread(ROOM_LOOK_EVERY);
        self.end(delivery, EndOfTurn::NoRoom(time), of).await;
        None
    }

    /// Whether a turn goes to the fallback since its agent does not answer: it is away, or was tried as often
    /// as it is.
    pub(super) fn gives_way(
        upstream: &Upstream,
        error: &Error,
        (parked, retry): (Option<Duration>, Option<Duration>),
    ) -> bool {
        let is_silent = matches!(error.sign(), Sign::Away | Sign::Doubtful);
        is_silent
            && (parked.is_some() && upstream.health.is_away()
                || parked.is_none() && retry.is_none())
    }

    /// Gives a turn to the fallback, if there is one; says whether that is on disk.
    pub(super) async fn moved(&self, asked: GivenTurn<'_>, fallback: Option<&Upstream>) -> bool {
        let Some(to) = fallback else { return false };
        let (thread, turn) = (asked.turn.thread.id(), asked.turn.id);
        match self.upstreams.move_on(thread, turn, to).await {
            Ok(()) => {
                tracing::info!(message_sid = %turn, conversation_sid = %thread,
                    agent = &*asked.upstream.name, fallback = &*to.name,
                    "agent is away; the turn goes to the fallback of its route");
                true
            }
            Err(error) => {
                settle::lost(Self::QUEUE, &error);
                false
            }
        }
    }
}

/// What somebody said, also by a button.
fn said(message: &TurnMessage) -> String {
    let choice = message.extras.as_ref().and_then(|extras| extras.choice.as_ref());
    let choice = choice.and_then(|choice| choice.text.as_ref());
    let body = message.body.as_ref();
    let texts = body.into_iter().chain(choice).map(Pii::reveal);
    texts.collect::<Vec<_>>().join("\n")
}
