//! Opens the timeline as the settings say: files beside the embedded queue, or a stream beside the one on NATS.

use super::instances::Cluster;
use crate::clock::Clock;
use crate::config::Settings;
use crate::jobs::recorder::Recorder;
use crate::telemetry::chain::Chain;
use crate::timeline::keeper::Keeper;
use crate::timeline::{Timeline, segments};

/// Opens it; none if it is off, or cannot be had: the service goes on without one.
pub async fn open(
    settings: &Settings,
    cluster: Option<&Cluster>,
    clock: Clock,
) -> Option<Timeline> {
    let of = &settings.timeline;
    if !of.enabled {
        return None;
    }
    let bytes_max = u64::try_from(of.bytes_max.0).unwrap_or(u64::MAX);
    let Some(cluster) = cluster else {
        return Some(segments::open(segments::Options {
            folder: segments::folder_beside(&settings.queue.path),
            retention: of.retention,
            bytes_max,
            clock,
        }));
    };
    match cluster.timeline(settings, bytes_max).await {
        Ok(timeline) => Some(timeline),
        Err(error) => {
            tracing::warn!(error = %Chain(&error),
                "timeline could not be opened; the steps of messages are not kept");
            None
        }
    }
}

/// Keeps in it from now on whatever is noted.
pub fn keep(timeline: Option<&Timeline>, recorder: &Recorder) -> Option<Keeper> {
    let Recorder { journal, metrics, clock, .. } = recorder;
    timeline.map(|timeline| Keeper::start(journal, timeline.clone(), metrics.clone(), *clock))
}
