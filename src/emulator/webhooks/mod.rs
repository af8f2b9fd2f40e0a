//! The emulated Twilio's webhooks: written and signed ([`request`]), lined up ([`lanes`]), sent and
//! read ([`caller`]).
//!
//! Post-action webhooks go through one dispatcher task, which owns the lanes and every call under
//! way; it ends with the emulator. Pre-action ones are called by whoever waits for them.

pub mod caller;
pub mod lanes;
pub mod request;

use std::sync::Weak;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::caller::{Answer, Caller};
use self::lanes::Lanes;
pub use self::request::Product;
use super::hub::Hub;
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

/// What orders webhooks of one URL.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Lane {
    Conversation(ConversationSid),
    /// Events without a conversation, and delayed ones, follow nobody.
    Alone(String),
}

/// Sends what arrives until `stop`.
pub(super) async fn dispatch(
    hub: Weak<Hub>,
    caller: Caller,
    mut outgoing: mpsc::Receiver<Outgoing>,
    concurrency: usize,
    stop: CancellationToken,
) {
    let mut lanes = Lanes::new(WAITING_MAX, concurrency);
    let mut calls = JoinSet::new();
    loop {
        while let Some((url, lane, item)) = lanes.start() {
            let call = send(Weak::clone(&hub), caller.clone(), item);
            calls.spawn(async move {
                call.await;
                (url, lane)
            });
        }
        tokio::select! {
            () = stop.cancelled() => break,
            item = outgoing.recv() => match item {
                Some(item) => line_up(&hub, &mut lanes, item),
                None => break,
            },
            Some(done) = calls.join_next() => {
                // A call that panicked has no lane to free; nothing in a call panics.
                if let Ok((url, lane)) = done {
                    lanes.finish(&url, &lane);
                }
                if let Some(hub) = hub.upgrade() {
                    hub.hook_ended();
                }
            }
        }
    }
    calls.shutdown().await;
}

fn line_up(hub: &Weak<Hub>, lanes: &mut Lanes<String, Lane, Outgoing>, item: Outgoing) {
    let lane = match (item.conversation, item.delay) {
        (Some(conversation), None) => Lane::Conversation(conversation),
        (None, _) | (_, Some(_)) => Lane::Alone(item.delivery_id.clone()),
    };
    if let Err(lost) = lanes.push(item.target.url.clone(), lane, item)
        && let Some(hub) = hub.upgrade()
    {
        hub.hook_ended();
        hub.record(Happening::WebhookLost {
            event_type: lost.event,
            reason: "too many webhooks wait",
        });
    }
}

async fn send(hub: Weak<Hub>, caller: Caller, item: Outgoing) {
    if let (Some(delay), Some(clock)) = (item.delay, hub.upgrade().map(|hub| hub.clock())) {
        clock.sleep_until(clock.now() + delay).await;
    }
    call(&hub, &caller, &item).await;
}

/// Sends one webhook and records it with its answer.
pub(super) async fn call(hub: &Weak<Hub>, caller: &Caller, item: &Outgoing) -> Answer {
    let record = |what: Happening| {
        if let Some(hub) = hub.upgrade() {
            hub.record(what);
        }
    };
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
