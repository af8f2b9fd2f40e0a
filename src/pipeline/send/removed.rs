//! Replies to conversations from which somebody has removed the bot: an agent's is skipped, as over a
//! person who has the conversation; an operator's is a dead letter, for somebody waits for it.
//!
//! REST would take them all the same: there the author need not be a participant. Source: error
//! dictionary 50513, read 2026-11-21: asked for in group MMS only.

use crate::pipeline::policy::outcome::Class;
use crate::pipeline::policy::removal::{Rejoin, Word};
use crate::pipeline::removed::{Error, REMOVED};
use crate::pipeline::send::{Failed, Parcel, Sends};
use crate::queue::{Cause, Delivery};
use crate::telemetry::chain::Chain;
use crate::telemetry::journal::Via;
use crate::twilio::sid::ConversationSid;

impl Sends {
    /// Whether the bot was removed from the reply's conversation; one that is there already is sent.
    pub(super) async fn is_removed(&self, parcel: &Parcel, look: bool) -> Result<bool, Failed> {
        match self.removed.stays_away(parcel.conversation).await {
            Ok(false) => Ok(false),
            Ok(true) => Ok(!(look && self.look(parcel).await?.is_some())),
            Err(Error::Rest(error)) => Err(self.did_nothing(&error)),
            Err(Error::Store(error)) => Err(failed(
                Class::Retry(None),
                Cause::new(Class::Retry(None).as_str()).with_detail(error.to_string()),
            )),
        }
    }

    /// Ends a reply that cannot be said in its conversation.
    pub(super) async fn leave_unsent(&self, delivery: Delivery, parcel: &Parcel) {
        if parcel.late || parcel.turn.is_some() {
            return self.skip(delivery, parcel, REMOVED).await;
        }
        let cause = Cause::new(REMOVED).with_detail(
            "somebody has removed the bot from the conversation; add it again, then redrive this",
        );
        self.bury(delivery, parcel, failed(Class::Dead, cause)).await;
    }

    /// Notes that Twilio says that the bot is not a participant: if the socket had told of the seat,
    /// somebody has taken it.
    pub(super) async fn seat_lost(&self, conversation: ConversationSid) {
        let since = self.seats.heard_since(conversation);
        self.seats.forget(conversation);
        if since.is_none() || self.removed.rejoin == Rejoin::Always {
            return;
        }
        if let Err(error) = self.removed.lost(conversation, Word::Socket(since)).await {
            tracing::warn!(conversation_sid = %conversation, error = %Chain(&error),
                "whether the bot was removed from the conversation could not be noted");
        }
    }
}

fn failed(class: Class, cause: Cause) -> Failed {
    Failed { class, failure: None, parked: None, via: Via::Rest, cause: cause.into() }
}
