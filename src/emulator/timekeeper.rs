//! Lets the emulated Twilio do what is due: one task that sleeps until something is.
//!
//! Decides nothing. The time comes from the emulator's clock; the deadline from the hub, which tells
//! it after every change.

use std::sync::Weak;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::hub::Hub;
use crate::clock::{Clock, Timestamp};

/// Runs until `stop`, or until the hub is gone.
pub(super) async fn keep_time(
    hub: Weak<Hub>,
    clock: Clock,
    mut deadline: watch::Receiver<Option<Timestamp>>,
    stop: CancellationToken,
) {
    loop {
        let due = *deadline.borrow_and_update();
        let Some(wall) = hub.upgrade().map(|hub| hub.wall()) else { return };
        let due = due.map(|due| clock.now() + due.since(wall));
        tokio::select! {
            () = stop.cancelled() => return,
            changed = deadline.changed() => if changed.is_err() { return },
            () = clock.sleep_until_or_never(due) => {
                let Some(hub) = hub.upgrade() else { return };
                hub.tick();
            }
        }
    }
}
