//! The dispatcher of post-action webhooks: one task that owns the lanes and every call under way.
//!
//! Decides which webhook waits for which; ends with the emulator.

use std::sync::Weak;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::caller::Caller;
use super::lanes::WebhookLanes;
use super::{OutgoingWebhook, Product, WAITING_MAX, call, call_patiently};
use crate::emulator::hub::Hub;
use crate::emulator::record::Happening;
use crate::twilio::sid::ConversationSid;

/// What orders webhooks of one URL.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum WebhookLane {
    Conversation(ConversationSid),
    /// Events without a conversation, and delayed ones, follow nobody.
    Alone(String),
}

/// Sends what arrives until `stop`.
pub(in crate::emulator) async fn dispatch(
    hub: Weak<Hub>,
    caller: Caller,
    mut outgoing: mpsc::Receiver<OutgoingWebhook>,
    concurrency: usize,
    stop: CancellationToken,
) {
    let mut lanes = WebhookLanes::new(WAITING_MAX, concurrency);
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

fn line_up(
    hub: &Weak<Hub>,
    lanes: &mut WebhookLanes<String, WebhookLane, OutgoingWebhook>,
    item: OutgoingWebhook,
) {
    let lane = match (item.conversation, item.delay) {
        (Some(conversation), None) => WebhookLane::Conversation(conversation),
        (None, _) | (_, Some(_)) => WebhookLane::Alone(item.delivery_id.clone()),
    };
    // A status callback's query names its reply; all of them are one place to the receiver.
    let place = item.target.url.split(['?', '#']).next().unwrap_or_default().to_owned();
    if let Err(lost) = lanes.push(place, lane, item)
        && let Some(hub) = hub.upgrade()
    {
        hub.hook_ended();
        hub.record(Happening::WebhookLost {
            event_type: lost.event,
            reason: "too many webhooks wait",
        });
    }
}

async fn send(hub: Weak<Hub>, caller: Caller, item: OutgoingWebhook) {
    if let (Some(delay), Some(clock)) = (item.delay, hub.upgrade().map(|hub| hub.clock())) {
        clock.sleep_until(clock.now() + delay).await;
    }
    let record = |what: Happening| {
        if let Some(hub) = hub.upgrade() {
            hub.record(what);
        }
    };
    match item.product {
        Product::Conversations => {
            call(&caller, &item, record).await;
        }
        Product::Messaging => {
            let answer = call_patiently(&caller, &item, record).await;
            if let Some(hub) = hub.upgrade() {
                hub.hear_answer(&item, &answer);
            }
        }
    }
}
