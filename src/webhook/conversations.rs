//! The door for events of Conversations, pre-action and post-action.

use std::sync::Arc;

use tracing::{Instrument as _, Span};

use super::answer::Answer;
use super::gate::{Gate, GateDoor, GateTaken, Visit};
use super::intake::Intake;
use crate::telemetry::trace::{self, TraceContext};
use crate::twilio::events::{self, Event, EventType, Phase};

/// The setting without which nobody takes these events.
const NEEDS: &str = "TWILIO_CHAT_SERVICE_SID";

/// Takes events.
pub(super) struct ConversationRoute {
    /// Where they go; nowhere if the bot is in no conversations.
    pub(super) intake: Option<Arc<dyn Intake>>,
}

impl GateDoor for ConversationRoute {
    fn name(&self) -> &'static str {
        EventType::Unknown.as_str()
    }

    async fn take(&self, gate: &Gate, visit: Visit<'_>) -> GateTaken {
        let event_type = match EventType::of(&visit.fields) {
            Ok(event_type) => event_type,
            Err(error) => {
                return GateTaken { answer: gate.malformed(visit.who, &error), kind: self.name() };
            }
        };
        let kind = event_type.as_str();
        if event_type.phase() == Phase::Pre {
            return GateTaken { answer: Answer::Passed, kind };
        }
        let answer = self.store(gate, &visit.of(kind)).await;
        GateTaken { answer: answer.unwrap_or_else(|refused| refused), kind }
    }
}

impl ConversationRoute {
    async fn store(&self, gate: &Gate, visit: &Visit<'_>) -> Result<Answer, Answer> {
        let who = visit.who;
        let intake = self.intake.as_ref().ok_or_else(|| gate.not_configured(who, NEEDS))?;
        let envelope =
            events::decode(&visit.fields).map_err(|error| gate.malformed(who, &error))?;
        gate.check_account(who, envelope.account_sid)?;
        let ours = gate.options.chat_service_sid;
        if ours.is_some() && envelope.chat_service_sid.is_some_and(|sid| Some(sid) != ours) {
            tracing::debug!(event_type = who.event_type, "ignored another chat service's event");
            return Ok(Answer::Ignored);
        }
        if let Event::Unknown { .. } = envelope.event {
            tracing::debug!(event_type = who.event_type, "ignored an event of unknown type");
            return Ok(Answer::Ignored);
        }
        let span = way(&envelope.event).map(|way| way.span(trace::WEBHOOK));
        let storing = gate.stored(visit, intake.take(envelope, gate.meta(visit)));
        storing.instrument(span.unwrap_or_else(Span::none)).await?;
        Ok(Answer::Accepted)
    }
}

/// Whose way an event is on, for the events that are acted on.
fn way(event: &Event) -> Option<TraceContext> {
    match event {
        Event::ConversationAdded(conversation) => {
            Some(TraceContext::of_thread(conversation.conversation_sid))
        }
        Event::ConversationStateUpdated(change) => {
            Some(TraceContext::of_thread(change.conversation_sid))
        }
        Event::MessageAdded(message) => Some(TraceContext::of_message(
            message.conversation_sid.into(),
            message.message_sid.into(),
            message.index,
        )),
        _ => None,
    }
}
