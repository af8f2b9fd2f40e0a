//! The names on BitBrat's bus: topics, subjects, durable consumers. Pure.
//!
//! A *topic* is what events carry (`egress.destination`); a *subject* is the topic behind the bus's
//! prefix, as NATS knows it. Replies leave by REST from any instance, so the topic that we ask
//! replies on belongs to the service and not to an instance: no reply is lost with an instance.

/// Where messages of people go. Also carries status events.
/// Source: `BitBrat` 0.33.3, `src/types/events.ts`, topic constants, read 2026-11-21.
pub const INGRESS: &str = "internal.ingress.v1";
/// Where everybody's replies are; the stem of the service's own topic.
/// Source: as [`INGRESS`].
pub const EGRESS: &str = "internal.egress.v1";
/// Where records of delivery go.
/// Source: as [`INGRESS`].
pub const SNAPSHOT: &str = "internal.persistence.snapshot.v1";
/// Where undeliverable replies go.
/// Source: as [`INGRESS`].
pub const DEAD_LETTER: &str = "internal.deadletter.v1";
/// The stream that `BitBrat` makes of everything behind the prefix.
/// Source: `BitBrat` 0.33.3, `src/services/message-bus/nats-driver.ts`, `ensureStream`, read 2026-11-21.
pub const STREAM: &str = "BITBRAT";

/// What the names are made of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Names {
    /// Goes before every topic, its dot included: `local.`; may be empty.
    pub prefix: String,
    /// The service's key on the platform, and its queue group.
    pub service: String,
    /// What our own topic for replies ends in.
    pub egress_instance: String,
}

impl Names {
    /// The subject of a topic: the prefix is put before it, unless it is there.
    /// Source: `BitBrat` 0.33.3, `nats-driver.ts`, `withPrefix`, read 2026-11-21.
    #[must_use]
    pub fn subject(&self, topic: &str) -> String {
        if topic.starts_with(&self.prefix) {
            return topic.to_owned();
        }
        format!("{}{topic}", self.prefix)
    }

    /// Our own topic for replies, as `egress.destination` names it.
    #[must_use]
    pub fn own_egress(&self) -> String {
        format!("{EGRESS}.{}", self.egress_instance)
    }

    /// The durable consumer of a topic.
    /// Source: `BitBrat` 0.33.3, `nats-driver.ts`, `subscribe`, read 2026-11-21.
    #[must_use]
    pub fn durable(&self, topic: &str) -> String {
        let subject = self.subject(topic).replace('.', "-");
        format!("{subject}-{}-durable", self.service.replace('.', "-"))
    }

    /// What the stream holds, if there is a prefix to make it of.
    #[must_use]
    pub fn stream_subject(&self) -> Option<String> {
        (!self.prefix.is_empty()).then(|| format!("{}>", self.prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(prefix: &str) -> Names {
        let (service, egress_instance) = ("twilio-ingress".to_owned(), "twilio-ingress".to_owned());
        Names { prefix: prefix.to_owned(), service, egress_instance }
    }

    #[test]
    fn the_prefix_is_put_before_a_topic_once() {
        let local = names("local.");
        assert_eq!(local.subject(INGRESS), "local.internal.ingress.v1");
        assert_eq!(local.subject("local.internal.ingress.v1"), "local.internal.ingress.v1");
        assert_eq!(names("").subject(INGRESS), INGRESS);
    }

    #[test]
    fn the_own_topic_belongs_to_the_service() {
        assert_eq!(names("local.").own_egress(), "internal.egress.v1.twilio-ingress");
    }

    #[test]
    fn durables_are_named_as_the_platform_names_them() {
        assert_eq!(
            names("local.").durable(EGRESS),
            "local-internal-egress-v1-twilio-ingress-durable"
        );
        assert_eq!(
            names("").durable(&names("").own_egress()),
            "internal-egress-v1-twilio-ingress-twilio-ingress-durable"
        );
    }

    #[test]
    fn only_a_prefix_makes_a_stream() {
        assert_eq!(names("local.").stream_subject().as_deref(), Some("local.>"));
        assert_eq!(names("").stream_subject(), None);
    }
}
