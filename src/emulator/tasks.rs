//! The tasks that work for the hub: webhooks, deliveries to phones, and time.
//!
//! None of them keeps the hub alive; all end with it or with the emulator.

use std::sync::{Arc, Weak};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::hub::{Hub, HubWork, PhoneDelivery, PhoneDeliveryEnd};
use super::timekeeper::keep_time;
use super::webhooks::caller::Caller;
use super::webhooks::dispatcher::dispatch;
use crate::clock::{Clock, Moment};

/// Starts them.
pub(super) fn start(hub: &Arc<Hub>, work: HubWork, caller: Caller) {
    let HubWork { outgoing, deliveries, deadline } = work;
    let (weak, clock, stop) = (Arc::downgrade(hub), hub.clock(), &hub.stop);
    let concurrency = hub.options.webhook_concurrency.max(1);
    let sending = dispatch(Weak::clone(&weak), caller, outgoing, concurrency, stop.clone());
    hub.tasks.spawn(sending);
    hub.tasks.spawn(keep_time(Weak::clone(&weak), clock, deadline, stop.clone()));
    hub.tasks.spawn(deliver(weak, clock, deliveries, stop.clone()));
}

/// Takes messages to phones: all wait equally long, so they arrive in their order.
async fn deliver(
    hub: Weak<Hub>,
    clock: Clock,
    mut deliveries: mpsc::Receiver<(Moment, PhoneDelivery, PhoneDeliveryEnd)>,
    stop: CancellationToken,
) {
    loop {
        let next = tokio::select! {
            () = stop.cancelled() => return,
            next = deliveries.recv() => next,
        };
        let Some((due, delivery, end)) = next else { return };
        tokio::select! {
            () = stop.cancelled() => return,
            () = clock.sleep_until(due) => {}
        }
        let Some(hub) = hub.upgrade() else { return };
        let arrived = hub.with(|core, at| core.world.advance_delivery(at, delivery, end));
        // The conversation or message may be gone by now, which is nobody's fault.
        if arrived.is_err() {
            tracing::debug!(message_sid = %delivery.1, "a delivered message is gone");
        }
    }
}
