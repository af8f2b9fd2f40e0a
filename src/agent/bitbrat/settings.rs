//! The section `[bitbrat]`: its keys, the kinds of their values, and the rules that they keep. Pure.
//!
//! It is known to builds without NATS too, which refuse the kind by a rule of it.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use crate::config::kinds::{Name, Setting, words};
use crate::config::rules::within;
use crate::config::section::sections;
use crate::config::{AgentSettings, Reader};

sections! {
    /// BitBrat's bus, for kind bitbrat.
    BitBratSettings = "bitbrat" {
        /// What carries the bus.
        driver: BusDriver = "MESSAGE_BUS_DRIVER", "MESSAGE_BUS";
        /// Goes before every topic.
        prefix: Option<TopicPrefix> = "BUS_PREFIX";
        /// The service's key on the platform.
        service: Name;
        /// What the topic that replies are asked on ends in.
        egress_instance: Name = "EGRESS_INSTANCE_ID", "SERVICE_INSTANCE_ID";
        /// How long the bus waits for word on an egress event.
        ack_wait_seconds: NonZeroU32 = "NATS_ACK_WAIT_SECONDS";
        /// To whom words of progress are sent.
        progress: Progress;
        /// How long the platform may be silent about a turn.
        answer_within: Option<Duration>;
        /// Whether it is asked once more then.
        ask_again: bool;
        /// Which snapshots are written.
        snapshot_mode: SnapshotMode = "PERSISTENCE_SNAPSHOT_MODE";
        /// Whether an event's payload is part of its snapshot.
        include_raw_payloads: bool = "PERSISTENCE_INCLUDE_RAW_PAYLOADS";
        /// The longest event in a snapshot.
        snapshot_bytes_max: Option<NonZeroUsize> = "PERSISTENCE_MAX_SNAPSHOT_BYTES";
    }
}

impl AgentSettings for BitBratSettings {
    const MANUAL: &'static str = include_str!("settings.toml");

    fn check(reader: &mut Reader<'_>, is_chosen: bool) {
        if is_chosen {
            let has_nats = cfg!(feature = "nats");
            let broken = "is bitbrat, and this chimein was built without the feature nats";
            reader.rule("agent.kind", Some(has_nats), broken);
            let driver =
                reader.value("bitbrat.driver").map(|driver: BusDriver| driver == BusDriver::Nats);
            reader.rule("bitbrat.driver", driver, "is not nats, the only bus that chimein speaks");
        }
        let silence = Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);
        within(reader, "bitbrat.answer_within", silence, "is not between 1s and 1d");
    }
}

/// What carries BitBrat's bus. All that it knows can be told, so that a wrong one is told by name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BusDriver {
    /// NATS JetStream, the one that chimein speaks.
    Nats,
    /// Google Pub/Sub.
    PubSub,
    /// Nothing: what is published is gone.
    Noop,
}

/// Which of BitBrat's snapshots are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SnapshotMode {
    /// None.
    Off,
    /// The final ones.
    FinalOnly,
    /// Those that matter; of ours the final ones.
    Significant,
    /// All; of ours the final ones.
    All,
}

/// To whom BitBrat's words of progress are sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// To nobody.
    Never,
    /// Where no phone reads.
    Chats,
    /// To everybody.
    Always,
}

words! {
    BusDriver, "nats", { "nats" => Self::Nats, "pubsub" => Self::PubSub, "noop" => Self::Noop }
    SnapshotMode, "off, final-only, significant or all", {
        "off" => Self::Off, "final-only" => Self::FinalOnly,
        "significant" => Self::Significant, "all" => Self::All,
    }
    Progress, "never, chats or always", {
        "never" => Self::Never, "chats" => Self::Chats, "always" => Self::Always,
    }
}

/// What goes before every topic of a message bus.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TopicPrefix(String);

impl TopicPrefix {
    /// Gives the prefix, its dot included.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for TopicPrefix {
    const WANTED: &'static str =
        "words of letters, digits, hyphens and underscores, each with its dot, such as local.";

    fn parse(text: &str) -> Option<Self> {
        let is_word = |word: &str| {
            !word.is_empty()
                && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        let words = text.strip_suffix('.')?;
        (text.len() <= 63 && words.split('.').all(is_word)).then(|| Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_prefix_ends_in_its_dot() {
        for text in ["local.", "eu.prod.", "a-b_c."] {
            assert!(TopicPrefix::parse(text).is_some(), "{text}");
        }
        for text in ["local", ".", "a..", "a*.", ">.", "a b."] {
            assert_eq!(TopicPrefix::parse(text), None, "{text}");
        }
    }
}
