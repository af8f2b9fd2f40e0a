//! What the agent does by itself: takes replies off the bus, and tells it how Twilio can be reached.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::names::INGRESS;
use super::platform::BitBrat;
use super::{egress, status};
use crate::agent::{Beside, Watched};
use crate::telemetry::chain::Chain;

/// How often the state of the connection to Twilio is looked at.
const STATUS_EVERY: Duration = Duration::from_secs(1);

impl BitBrat {
    /// Takes replies off the bus and tells it how the connection to Twilio is, until stopped.
    ///
    /// # Cancel safety
    ///
    /// What was taken and is not on disk is delivered again.
    pub(super) async fn work_beside(self: Arc<Self>, beside: Beside) {
        let Beside { outbox, service, stop } = beside;
        let work = async {
            self.bus.await_ready().await;
            while let Err(error) = self.listen().await {
                tracing::warn!(error = %Chain(&error), "replies cannot be waited for; trying again");
                self.clock.sleep(STATUS_EVERY).await;
            }
            let own = self.options.sender.names.own_egress();
            tokio::join!(
                egress::consume(&self, egress::Topic { name: own, is_own: true }, &*outbox),
                egress::consume(&self, egress::Topic::shared(), &*outbox),
                self.tell_status(&*service),
            )
        };
        tokio::select! {
            () = stop.cancelled() => {}
            _never = work => {}
        }
    }

    /// Tells each change of the connection to Twilio; what could not be told is told a little later.
    async fn tell_status(&self, service: &dyn Watched) {
        let mut changes = status::Changes::default();
        loop {
            let connection = service.connection().filter(|connection| changes.is_new(connection));
            if let Some(connection) = connection {
                let event = status::of(&connection, Uuid::new_v4(), self.clock.wall());
                let attributes = status::attributes(&event, &self.options.sender.names.service);
                let told = self.publish(INGRESS, attributes, event.correlation_id(), &event).await;
                match told {
                    Ok(()) => changes.told(&connection),
                    Err(error) => {
                        tracing::warn!(error = %Chain(&error), state = connection.state.as_str(),
                        "state of the connection to twilio could not be told; trying again")
                    }
                }
            }
            self.clock.sleep(STATUS_EVERY).await;
        }
    }
}
