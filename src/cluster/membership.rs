//! The member: what the rooms above hold of the cluster, and how it begins.
//!
//! Decides nothing: it starts the driver's task and asks it by what both share, see `claims`.

use std::sync::Arc;

use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::bucket::{Bucket, Error};
use super::claims::{Claim, Claims, Shared};
use super::driver::Driver;
use super::records::LeaseKey;
use super::{InstanceId, Options};

/// This instance's part in the cluster. Clones are the same member.
#[derive(Clone, Debug)]
pub struct Membership {
    shared: Arc<Shared>,
    live: watch::Receiver<usize>,
    left: CancellationToken,
}

impl Membership {
    /// Takes part, with a task of its own that beats until [`leave`](Self::leave).
    ///
    /// # Errors
    ///
    /// If the bucket cannot be opened, made or used; the error names what is wrong and the remedy.
    pub async fn join(
        client: &async_nats::Client,
        options: Options,
        tasks: &TaskTracker,
    ) -> Result<Self, Error> {
        if options.patience < options.heartbeat * 3 {
            return Err(Error::Timing);
        }
        let bucket = Bucket::open(client, &options.bucket, options.replicas).await?;
        let shared = Arc::new(Shared::new(options.instance.clone(), options.clock));
        let (live_sender, live) = watch::channel(1);
        let left = CancellationToken::new();
        let driver = Driver::new(client, bucket, options, Arc::clone(&shared), live_sender).await?;
        tasks.spawn(driver.run(left.clone()));
        Ok(Self { shared, live, left })
    }

    /// Takes part in sharing out names of a kind; all members should name the same ones.
    ///
    /// Members that name others, such as an older configuration, share among themselves; the lease
    /// decides between both groups. A second claim of a kind takes the place of the first one.
    #[must_use]
    pub fn claim(&self, kind: &'static str, names: Vec<String>) -> Claims {
        Claims::ask(kind, names, &self.shared)
    }

    /// How many instances live, this one included.
    #[must_use]
    pub fn live(&self) -> watch::Receiver<usize> {
        self.live.clone()
    }

    /// Who holds a name, as far as this instance has seen.
    pub async fn holder(&self, kind: &str, name: &str) -> Option<InstanceId> {
        let (sender, receiver) = oneshot::channel();
        let lease = LeaseKey { kind: kind.to_owned(), name: name.to_owned() };
        self.shared.asks().holders.push((lease, sender));
        self.shared.wake.notify_one();
        tokio::select! {
            found = receiver => found.ok().flatten(),
            () = self.left.cancelled() => None,
        }
    }

    /// This instance's name.
    #[must_use]
    pub fn instance(&self) -> &InstanceId {
        &self.shared.instance
    }

    /// What this instance holds now, by kind and name.
    #[must_use]
    pub fn held(&self) -> Vec<(String, Claim)> {
        self.shared.held()
    }

    /// Gives everything back at once and ends the task: others need not wait.
    ///
    /// From the first poll on nothing is held. Returns when NATS knows, or after a bounded time.
    pub async fn leave(&self) {
        self.shared.revoke_all();
        self.shared.asks().is_leaving = true;
        self.shared.wake.notify_one();
        self.left.cancelled().await;
    }
}
