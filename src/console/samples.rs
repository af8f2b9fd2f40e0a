//! What was seen of the service over the last half hour, for the little curves. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Moment;

/// How often a sample is taken.
pub(super) const EVERY: Duration = Duration::from_secs(10);

/// Samples that are kept: half an hour.
const SAMPLES_MAX: usize = 180;

/// One look.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    /// When.
    pub(super) at: Moment,
    /// Messages of people since the start.
    pub(super) received: u64,
    /// Jobs that wait or are at work, in all queues.
    pub(super) open: u64,
    /// How old the oldest of them is.
    pub(super) oldest: Duration,
    /// Dead letters, in all queues.
    pub(super) dead: u64,
}

/// The last half hour, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples(VecDeque<Sample>);

impl Samples {
    /// Adds one; the oldest goes.
    pub(super) fn push(&mut self, sample: Sample) {
        if self.0.len() >= SAMPLES_MAX {
            self.0.pop_front();
        }
        self.0.push_back(sample);
    }

    /// A value of each.
    pub(super) fn values(&self, value: impl Fn(&Sample) -> f64) -> Vec<f64> {
        self.0.iter().map(value).collect()
    }

    /// Messages a minute, between each two of them.
    pub(super) fn rates(&self) -> Vec<f64> {
        let pairs = self.0.iter().zip(self.0.iter().skip(1));
        pairs.map(|(before, after)| rate(before, after)).collect()
    }

    /// Messages a minute over the last minute.
    pub(super) fn rate(&self) -> f64 {
        let Some(last) = self.0.back() else { return 0.0 };
        let minute = Duration::from_secs(60) + EVERY / 2;
        let first = self.0.iter().find(|sample| last.at.since(sample.at) <= minute);
        first.map_or(0.0, |first| rate(first, last))
    }
}

fn rate(before: &Sample, after: &Sample) -> f64 {
    let seconds = after.at.since(before.at).as_secs_f64();
    if seconds <= 0.0 {
        return 0.0;
    }
    float(after.received.saturating_sub(before.received)) * 60.0 / seconds
}

/// A count as a number to draw; beyond four thousand millions all are alike.
pub(super) fn float(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(secs: u64, received: u64) -> Sample {
        Sample { at: Moment::ORIGIN + Duration::from_secs(secs), received, ..Sample::default() }
    }

    #[test]
    fn half_an_hour_is_kept_and_no_more() {
        let mut samples = Samples::default();
        for n in 0..1_000 {
            samples.push(sample(n * 10, n));
        }
        let kept = samples.values(|sample| float(sample.received));
        assert_eq!((kept.len(), kept[0], kept[179]), (180, 820.0, 999.0));
        assert_eq!((samples.rates().len(), samples.rate()), (179, 6.0));
    }

    #[test]
    fn a_rate_needs_two_looks() {
        let mut samples = Samples::default();
        assert_eq!(samples.rate(), 0.0);
        samples.push(sample(0, 7));
        assert_eq!((samples.rate(), samples.rates().len()), (0.0, 0));
        samples.push(sample(30, 22));
        assert_eq!(samples.rate(), 30.0);
        samples.push(sample(30, 23));
        assert_eq!(samples.rates(), [30.0, 0.0], "no time has passed");
    }
}
