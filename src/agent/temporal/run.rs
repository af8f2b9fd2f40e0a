//! What the agent does by itself: looks whether the server is there, and serves activities.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use super::agent::Temporal;
use super::examine;
use super::worker::{self, ActivityWork};
use crate::agent::Beside;
use crate::agent::matter::Matter;
use crate::finding::{Finding, Verdict};

/// How often is looked whether the server is there.
const EVERY: Duration = Duration::from_secs(15);
/// How often while it is not.
const EVERY_WHILE_AWAY: Duration = Duration::from_secs(2);

impl Temporal {
    /// Works until stopped.
    ///
    /// # Cancel safety
    ///
    /// What an activity has taken and is not on disk is given to a worker again.
    pub(super) async fn work_beside(self: Arc<Self>, beside: Beside) {
        let Beside { outbox, stop, .. } = beside;
        let serve = async {
            if let Some(queue) = self.options.activity_queue.clone() {
                let (frontend, clock) = (Arc::clone(&self.frontend), self.clock);
                worker::work(ActivityWork { queue, frontend, outbox, clock, stop: stop.clone() })
                    .await;
            }
        };
        let look = async {
            tokio::select! {
                () = stop.cancelled() => {}
                never = async { self.look_around().await; self.watch().await } => match never {},
            }
        };
        tokio::join!(serve, look);
    }

    /// Looks at the namespace and the task queues once, and tells what an operator should know.
    async fn look_around(&self) {
        let findings = loop {
            match examine::look(&self.frontend, &self.options).await {
                Ok(findings) => break findings,
                // What passes is told by the connection itself.
                Err(error) if error.matter() == Matter::Passing => {
                    self.clock.sleep(EVERY_WHILE_AWAY).await;
                }
                Err(error) => break vec![examine::unseen(&self.frontend, &error)],
            }
        };
        for Finding { verdict, found, remedy, .. } in findings {
            if verdict == Verdict::Ok {
                tracing::info!(reason = found, "temporal is ready");
            } else {
                tracing::warn!(reason = %format_args!("{found}; {remedy}"),
                    "temporal is not as it should be");
            }
        }
    }

    async fn watch(&self) -> Infallible {
        loop {
            // What it says of the server is noted by the connection.
            let pause = match self.frontend.probe().await {
                Ok(()) => EVERY,
                Err(_) => EVERY_WHILE_AWAY,
            };
            self.clock.sleep(pause).await;
        }
    }
}
