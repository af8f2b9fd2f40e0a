//! The emulated Twilio's webhooks: written and signed ([`request`]), lined up ([`lanes`]), sent and
//! read ([`caller`]).
//!
//! Post-action webhooks go through the [`dispatcher`]; pre-action ones are called by whoever waits for
//! them.

pub mod caller;
pub mod dispatcher;
pub mod lanes;
pub mod request;

use std::time::Duration;

use self::caller::{Answer, Caller};
pub use self::request::Product;
use super::record::Happening;
use super::state::Target;
use crate::pii::Pii;
use crate::twilio::sid::ConversationSid;

/// Webhooks that may wait; one more is lost, as Twilio's own are when they fail.
pub const WAITING_MAX: usize = 50_000;

/// A webhook on its way.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Where it goes.
    pub target: Target,
    /// The event.
    pub event: &'static str,
    /// Which product sends.
    pub product: Product,
    /// The conversation, which gives the order.
    pub conversation: Option<ConversationSid>,
    /// All fields.
    pub fields: Vec<(String, Pii)>,
    /// The idempotency token.
    pub delivery_id: String,
    /// A fault: wait first, out of line.
    pub delay: Option<Duration>,
    /// A fault: sign with a wrong key.
    pub mis_sign: bool,
}

/// Sends one webhook and records it with its answer.
pub(super) async fn call(caller: &Caller, item: &Outgoing, record: impl Fn(Happening)) -> Answer {
    record(Happening::WebhookSent {
        delivery_id: item.delivery_id.clone(),
        scope: item.target.scope.as_str(),
        event_type: item.event,
        conversation_sid: item.conversation,
        url: item.target.url.clone(),
        fields: item.fields.clone(),
    });
    let answer = caller
        .call(&item.target, (item.product, &item.fields), &item.delivery_id, item.mis_sign)
        .await;
    let (status, error) = match &answer.result {
        Ok((status, _)) => (Some(*status), None),
        Err(failure) => (None, Some(failure.as_str())),
    };
    record(Happening::WebhookAnswered {
        delivery_id: item.delivery_id.clone(),
        event_type: item.event,
        status,
        error,
        elapsed_ms: u64::try_from(answer.elapsed.as_millis()).unwrap_or(u64::MAX),
    });
    answer
}
