//! The emulated Twilio's webhooks: written and signed ([`request`]), lined up ([`lanes`]), sent and
//! read ([`caller`]).
//!
//! Post-action webhooks go through the [`dispatcher`]; pre-action ones are called by whoever waits for
//! them.

pub mod caller;
pub mod dispatcher;
pub mod lanes;
mod overrides;
pub mod request;

use std::time::Duration;

use self::caller::{Answer, Caller};
use self::overrides::Overrides;
pub use self::request::Product;
use super::record::Happening;
use super::state::Target;
use crate::pii::Pii;
use crate::twilio::sid::{ConversationSid, TextSid};
use crate::twilio::signature::signed_url;

/// Characters of an answer that are kept in its record.
const ANSWER_CHARS_KEPT: usize = 2_000;

/// Webhooks that may wait; one more is lost, as Twilio's own are when they fail.
pub const WAITING_MAX: usize = 50_000;

/// A webhook on its way.
#[derive(Clone, Debug)]
pub struct OutgoingWebhook {
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
    /// The text that one of the messaging product is about.
    pub about: Option<TextSid>,
    /// Where one of the messaging product goes if its own place fails.
    pub fallback: Option<String>,
}

/// Sends one webhook and records it with its answer.
pub(super) async fn call(
    caller: &Caller,
    item: &OutgoingWebhook,
    record: impl Fn(Happening),
) -> Answer {
    call_within(caller, item, None, &record).await
}

/// Sends a webhook of the messaging product, as often as the overrides in its URL say, and then to its
/// fallback. Source: webhook notes 2.2 and 2.4, read 2026-11-21; that the fallback is told why by
/// `ErrorCode` and `ErrorUrl` is assumed.
async fn call_patiently(
    caller: &Caller,
    item: &OutgoingWebhook,
    record: impl Fn(Happening),
) -> Answer {
    let answer = call_again(caller, item, &record).await;
    let (Some(code), Some(url)) = (answer.complaint(), item.fallback.clone()) else {
        return answer;
    };
    let mut second = OutgoingWebhook { fallback: None, ..item.clone() };
    second.fields.push(("ErrorCode".to_owned(), Pii::new(code.to_string())));
    second.fields.push(("ErrorUrl".to_owned(), Pii::new(signed_url(&item.target.url))));
    second.target.url = url;
    call_again(caller, &second, &record).await
}

async fn call_again(
    caller: &Caller,
    item: &OutgoingWebhook,
    record: &impl Fn(Happening),
) -> Answer {
    let rules = Overrides::of(&item.target.url);
    let started = caller.clock().now();
    let mut left = rules.total;
    let mut retries = 0;
    loop {
        let answer = call_within(caller, item, Some(rules.read.min(left)), record).await;
        left = rules.total.saturating_sub(caller.clock().now().since(started));
        let result = answer.result.as_ref().map(|(status, _)| *status).map_err(|failure| *failure);
        if retries >= rules.retries || left.is_zero() || !rules.covers(result) {
            return answer;
        }
        retries += 1;
    }
}

async fn call_within(
    caller: &Caller,
    item: &OutgoingWebhook,
    timeout: Option<Duration>,
    record: &impl Fn(Happening),
) -> Answer {
    let content = (item.product, item.fields.as_slice());
    let request = caller.prepare(&item.target, content, &item.delivery_id, item.mis_sign);
    let headers = request.headers.iter().map(|(name, value)| (*name, Pii::new(value.as_str())));
    record(Happening::WebhookSent {
        delivery_id: item.delivery_id.clone(),
        scope: item.target.scope.as_str(),
        event_type: item.event,
        conversation_sid: item.conversation,
        method: item.target.method.as_str(),
        url: item.target.url.clone(),
        headers: headers.collect(),
        fields: item.fields.clone(),
    });
    let answer = caller.call(request, timeout).await;
    let (status, error, body) = match &answer.result {
        Ok((status, body)) => (Some(*status), None, shown(body)),
        Err(failure) => (None, Some(failure.as_str()), None),
    };
    record(Happening::WebhookAnswered {
        delivery_id: item.delivery_id.clone(),
        event_type: item.event,
        status,
        error,
        content_type: answer.content_type.clone(),
        body,
        elapsed_ms: u64::try_from(answer.elapsed.as_millis()).unwrap_or(u64::MAX),
    });
    answer
}

/// What of an answer's body is kept.
fn shown(body: &Pii) -> Option<Pii> {
    let body: String = body.reveal().chars().take(ANSWER_CHARS_KEPT).collect();
    (!body.is_empty()).then(|| Pii::new(body))
}
