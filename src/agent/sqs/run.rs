//! What the agent does by itself: takes replies off their queue, and looks at both queues at the start.

use std::sync::Arc;
use std::time::Duration;

use super::agent::Sqs;
use super::{consume, examine};
use crate::agent::Beside;
use crate::agent::matter::Matter;
use crate::finding::{Finding, Verdict};

/// How many consumers there are: while one stores, the other one waits for what comes.
const CONSUMERS: usize = 2;
/// How long to rest before a queue is asked once more what it is.
const REST: Duration = Duration::from_secs(5);

impl Sqs {
    /// Takes replies off their queue until stopped.
    ///
    /// # Cancel safety
    ///
    /// What was taken and is not on disk is received again.
    pub(super) async fn work_beside(self: Arc<Self>, beside: Beside) {
        let Beside { outbox, stop, .. } = beside;
        let consumers = (0..CONSUMERS).map(|_| consume::consume(&self, &*outbox));
        let work = async {
            tokio::join!(self.look_around(), futures::future::join_all(consumers));
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = work => {}
        }
    }

    /// Looks at both queues once they answer, and tells what an operator should know.
    async fn look_around(&self) {
        for queue in [&self.turns, &self.replies] {
            let findings = loop {
                match examine::look(queue).await {
                    Ok((facts, findings)) => {
                        self.state.learned(queue.role(), &facts);
                        break findings;
                    }
                    // What passes is told by who reads the queue.
                    Err(error) if error.matter() == Matter::Passing => {
                        self.clock.sleep(REST).await;
                    }
                    Err(error) => break vec![examine::unseen(queue, &error)],
                }
            };
            for Finding { verdict, found, remedy, .. } in findings {
                if verdict == Verdict::Ok {
                    tracing::info!(reason = found, "queue is ready");
                } else {
                    tracing::warn!(reason = %format_args!("{found}; {remedy}"),
                        "queue is not as it should be");
                }
            }
        }
    }
}
