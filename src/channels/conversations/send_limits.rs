//! The senders' common pace: each conversation's, and the whole chat service's where one is set.
//!
//! The rule is pure and in [`policy::pace`](crate::jobs::pace); here it meets the many senders that
//! share it, and the clock that they wait by.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use crate::bounded_map::BoundedMap;
use crate::channels::instances::Instances;
use crate::clock::{Clock, Moment};
use crate::jobs::pace::{Pace, Rate};
use crate::twilio::sid::ConversationSid;

/// How many conversations are remembered: those that rest are forgotten first.
const CONVERSATIONS_MAX: usize = 10_000;

/// Everybody's pace.
#[derive(Debug)]
pub struct SendLimits {
    conversation_rate: Rate,
    service_limit: Option<NonZeroU32>,
    instances: Instances,
    conversations: BoundedMap<ConversationSid, Pace>,
    service: Mutex<Pace>,
}

impl SendLimits {
    /// Starts at rest, with limits in writes a second.
    #[must_use]
    pub fn within(conversation_limit: NonZeroU32, service_limit: Option<NonZeroU32>) -> Self {
        Self {
            conversation_rate: Rate::within(conversation_limit.get()),
            service_limit,
            instances: Instances::default(),
            conversations: BoundedMap::new(CONVERSATIONS_MAX),
            service: Mutex::default(),
        }
    }

    /// Shares the service's limit with other instances. A conversation's is not shared, since one
    /// instance at a time works a conversation.
    #[must_use]
    pub fn shared_by(self, instances: Instances) -> Self {
        Self { instances, ..self }
    }

    /// Waits until one more write into a conversation is within both limits.
    ///
    /// # Cancel safety
    ///
    /// A place in the row is taken at once and lost when this is dropped; nothing else is.
    pub async fn wait_for(&self, conversation: ConversationSid, clock: &Clock) {
        let due = self.reserve(conversation, clock.now());
        clock.sleep_until(due).await;
    }

    fn reserve(&self, conversation: ConversationSid, now: Moment) -> Moment {
        let own = self.conversations.change(
            conversation,
            |pace| pace.worth(now),
            |pace| pace.reserve(self.conversation_rate, now),
        );
        let Some(limit) = self.service_limit else { return own };
        let service_rate = Rate::within(self.instances.part_of(limit.get()));
        let mut service = self.service.lock().unwrap_or_else(PoisonError::into_inner);
        service.reserve(service_rate, now).max(own)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_busy_conversation_slows_itself_and_the_service_slows_all() {
        let send_limits = within(6, Some(12));
        let (one, two) = (sid(1), sid(2));
        let waits: Vec<_> = [one, one, two, two, two]
            .map(|conversation| send_limits.reserve(conversation, Moment::ORIGIN))
            .map(|due| due.since(Moment::ORIGIN).as_millis())
            .to_vec();
        // Five a second evenly in one conversation; in the service two at once, then ten a second.
        assert_eq!(waits, [0, 200, 100, 200, 400]);
    }

    #[test]
    fn where_the_service_has_no_limit_one_conversation_waits_for_no_other() {
        let send_limits = within(6, None);
        let dues = (0..1000).map(|n| send_limits.reserve(sid(n), Moment::ORIGIN));
        assert!(dues.into_iter().all(|due| due == Moment::ORIGIN));
    }

    #[test]
    fn resting_conversations_are_forgotten() {
        let send_limits = within(6, None);
        for n in 0..u32::try_from(CONVERSATIONS_MAX).unwrap() {
            send_limits.reserve(sid(n), Moment::ORIGIN);
        }
        send_limits.reserve(sid(u32::MAX), Moment::ORIGIN + Duration::from_secs(10));
        assert_eq!(send_limits.conversations.len(), 1);
    }

    #[test]
    fn several_instances_together_stay_within_the_services_limit() {
        let instances = Instances::default();
        let shared = || within(1000, Some(60)).shared_by(instances.clone());
        let all = [shared(), shared(), shared()];
        instances.set(3);
        let second = Moment::ORIGIN + Duration::from_secs(1);
        let in_time = |send_limits: &SendLimits| {
            let dues = (0..100).map(|n| send_limits.reserve(sid(n), Moment::ORIGIN));
            dues.filter(|due| *due < second).count()
        };
        let sent: usize = all.iter().map(in_time).sum();
        assert!((45..=60).contains(&sent), "{sent} in a second");
        instances.set(0);
        assert_eq!(instances.count(), 1, "this instance is always one");
    }

    fn within(conversation: u32, service: Option<u32>) -> SendLimits {
        SendLimits::within(conversation.try_into().unwrap(), service.map(|n| n.try_into().unwrap()))
    }

    fn sid(n: u32) -> ConversationSid {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        ConversationSid::from_bytes(bytes)
    }
}
