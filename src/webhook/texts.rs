//! The door for SMS, WhatsApp and RCS messages that come in, and for how those fare that went out.
//!
//! Which of the two a request tells of stands in its status and not in its path: whoever gives Twilio the
//! same URL for both is understood, and our own message is never taken for somebody's answer. Where it
//! says neither, the path counts.

use std::sync::Arc;

use uuid::Uuid;

use super::answer::Answer;
use super::gate::{Gate, GateDoor, GateTaken, Visit};
use super::intake::TextIntake;
use super::refused::RefusedCaller;
use super::url::REPLY;
use crate::twilio::events::Fields;
use crate::twilio::form::Form;
use crate::twilio::messaging::{Inbound, MessageStatus, StatusUpdate};

/// The setting without which nobody takes messages.
const NEEDS: &str = "TWILIO_PHONE_NUMBER";

/// Takes messages and their states.
pub(super) struct Texts {
    /// Where they go; nowhere if the bot has no numbers.
    pub(super) intake: Option<Arc<dyn TextIntake>>,
    /// What a request tells of that does not say.
    pub(super) otherwise: ToldText,
}

/// What a request tells of.
#[derive(Clone, Copy)]
pub(super) enum ToldText {
    /// A message that came in.
    Text,
    /// How one fares that went out.
    Status,
}

impl ToldText {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Status => "status",
        }
    }

    /// Reads it, if it is said.
    fn by(fields: &Fields<'_>) -> Option<Self> {
        let status = MessageStatus::parse(MessageStatus::word(fields)?)?;
        Some(if status.is_inbound() { Self::Text } else { Self::Status })
    }
}

impl GateDoor for Texts {
    fn name(&self) -> &'static str {
        self.otherwise.as_str()
    }

    async fn take(&self, gate: &Gate, visit: Visit<'_>) -> GateTaken {
        let told = ToldText::by(&visit.fields).unwrap_or(self.otherwise);
        let visit = visit.of(told.as_str());
        let stored = match told {
            ToldText::Text => self.text(gate, &visit).await,
            ToldText::Status => self.status(gate, &visit).await,
        };
        let answer = stored.map_or_else(|refused| refused, |()| Answer::Silent);
        GateTaken { answer, kind: told.as_str() }
    }
}

impl Texts {
    async fn text(&self, gate: &Gate, visit: &Visit<'_>) -> Result<(), Answer> {
        let intake = self.intake(gate, visit.who)?;
        let inbound =
            Inbound::decode(&visit.fields).map_err(|error| gate.malformed(visit.who, &error))?;
        gate.check_account(visit.who, inbound.account_sid)?;
        gate.stored(visit, intake.text(inbound, gate.meta(visit))).await
    }

    async fn status(&self, gate: &Gate, visit: &Visit<'_>) -> Result<(), Answer> {
        let intake = self.intake(gate, visit.who)?;
        let update = StatusUpdate::decode(&visit.fields)
            .map_err(|error| gate.malformed(visit.who, &error))?;
        gate.check_account(visit.who, update.account_sid)?;
        gate.stored(visit, intake.status(update, reply(visit), gate.meta(visit))).await
    }

    fn intake(&self, gate: &Gate, who: RefusedCaller) -> Result<&Arc<dyn TextIntake>, Answer> {
        self.intake.as_ref().ok_or_else(|| gate.not_configured(who, NEEDS))
    }
}

/// The reply whose id we put into the URL, if we did.
fn reply(visit: &Visit<'_>) -> Option<Uuid> {
    let query = Form::parse(visit.head.uri.query()?.as_bytes());
    Uuid::parse_str(query.first(REPLY)?).ok()
}
