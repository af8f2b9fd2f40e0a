//! What everything is built from. Plain values.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::instances::Cluster;
use crate::config::Settings;
use crate::config::settings::Twilio;
use crate::jobs::recorder::Recorder;
use crate::jobs::status::Status;
use crate::queue::Store;
use crate::timeline::Timeline;

/// What everything is built from.
pub struct Parts<'a> {
    /// All settings.
    pub settings: &'a Settings,
    /// Twilio's part of them.
    pub twilio: &'a Twilio,
    /// Where what happens is written down.
    pub recorder: &'a Recorder,
    /// What the workers know about Twilio's willingness.
    pub status: &'a Arc<Status>,
    /// The queues.
    pub store: &'a Store,
    /// What outlives the workers: the sockets.
    pub sockets: &'a Group,
    /// What happened to each message, if that is kept.
    pub timeline: Option<&'a Timeline>,
    /// The other instances, if there may be some.
    pub cluster: Option<&'a Cluster>,
}

/// Tasks that end together.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// The tasks.
    pub tasks: TaskTracker,
    /// Ends them.
    pub stop: CancellationToken,
}
