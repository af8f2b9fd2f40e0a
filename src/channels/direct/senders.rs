//! Our addresses: which there are, by which road each is served, and how fast it may send. Pure.

use std::num::NonZeroU32;

use crate::pii::Pii;
use crate::thread::{Medium, Pair, plain};
use crate::twilio::sid::MessagingServiceSid;

/// By which road what comes to an address is answered, where one message may come by both.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source {
    /// As a direct message.
    Direct,
    /// As a message of a conversation, which Twilio makes of it.
    Conversations,
}

/// One of our addresses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sender {
    /// The address, with the word of its channel if that is not SMS.
    pub address: Pii,
    /// By which road it is served.
    pub source: Source,
    /// How many segments a second it may send.
    pub rate: NonZeroU32,
}

/// All of them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Senders {
    /// Addresses by name.
    pub addresses: Vec<Sender>,
    /// A messaging service that stands for all addresses of its own.
    pub service: Option<MessagingServiceSid>,
    /// How many segments a second the service may send.
    pub service_rate: Option<NonZeroU32>,
}

/// Whose a message is that came to an address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum MessageOwner {
    /// Ours; the thread's side of ours is this.
    Ours(Pii),
    /// Ours, but it is answered by the other road.
    OtherRoad,
    /// Nobody's that we know.
    Nobodys,
}

impl Senders {
    /// Whether there is no address of ours.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.service.is_none()
    }

    /// Whose a message is by the address that it came to, and by the service that this belongs to.
    #[must_use]
    pub fn whose(&self, to: &Pii, service: Option<MessagingServiceSid>) -> MessageOwner {
        if let Some(sender) = self.find(to) {
            return match sender.source {
                Source::Direct => MessageOwner::Ours(sender.address.clone()),
                Source::Conversations => MessageOwner::OtherRoad,
            };
        }
        match self.service {
            Some(ours) if Some(ours) == service => MessageOwner::Ours(Pii::new(ours.to_string())),
            _ => MessageOwner::Nobodys,
        }
    }

    /// By which of our sides somebody is written to: the named one, else the only one by which the address
    /// is reached.
    ///
    /// # Errors
    ///
    /// A sentence that says what to name instead.
    pub fn choose(&self, named: Option<&Pii>, theirs: &Pii) -> Result<Pii, String> {
        let medium = medium(theirs);
        if let Some(named) = named {
            if let Some(sender) = self.find(named) {
                return Ok(sender.address.clone());
            }
            let service = self.service.map(|service| Pii::new(service.to_string()));
            return service.filter(|service| service == named).ok_or_else(|| {
                "`from` is none of the addresses in TWILIO_PHONE_NUMBER and TWILIO_WHATSAPP_NUMBER, \
                 nor TWILIO_MESSAGING_SERVICE_SID"
                    .to_owned()
            });
        }
        if let Some(service) = self.service {
            return Ok(Pii::new(service.to_string()));
        }
        let mut fit =
            self.addresses.iter().filter(|sender| self::medium(&sender.address) == medium);
        match (fit.next(), fit.next()) {
            (Some(only), None) => Ok(only.address.clone()),
            (Some(_), Some(_)) => {
                Err("several addresses of ours could send this: name one by `from`".to_owned())
            }
            (None, _) => Err(format!(
                "no address of ours sends by {}: set one in TWILIO_PHONE_NUMBER or \
                 TWILIO_WHATSAPP_NUMBER",
                medium.as_str()
            )),
        }
    }

    /// How many segments a second may leave by our side of a thread.
    #[must_use]
    pub fn rate(&self, ours: &Pii) -> NonZeroU32 {
        let own = self.find(ours).map(|sender| sender.rate);
        own.or(self.service_rate).unwrap_or(NonZeroU32::MIN)
    }

    fn find(&self, address: &Pii) -> Option<&Sender> {
        self.addresses.iter().find(|sender| is_same(&sender.address, address))
    }
}

/// By what an address is reached, by the word before it.
#[must_use]
pub fn medium(address: &Pii) -> Medium {
    let text = address.reveal();
    match text.split_once(':') {
        Some(("whatsapp", _)) => Medium::Whatsapp,
        Some(("rcs", _)) => Medium::Rcs,
        _ => Medium::Sms,
    }
}

/// The pair of our side and an address that wrote to it.
#[must_use]
pub fn pair(ours: Pii, theirs: Pii) -> Pair {
    Pair { medium: medium(&theirs), ours, theirs }
}

/// How many segments a second an address of a kind may send, unless configuration says otherwise.
/// Source: Twilio's messaging limits, read 2026-11-29: long codes 1, toll-free numbers 3, short codes 100,
/// WhatsApp 80. Of RCS nothing is said; as WhatsApp's is assumed.
#[must_use]
pub fn default_rate(address: &Pii) -> NonZeroU32 {
    const TOLL_FREE: [&str; 7] = ["800", "833", "844", "855", "866", "877", "888"];
    let text = address.reveal();
    let rate = match medium(address) {
        Medium::Whatsapp | Medium::Rcs => 80,
        Medium::Sms => match text.strip_prefix("+1") {
            Some(rest) if TOLL_FREE.iter().any(|code| rest.starts_with(code)) => 3,
            None if !text.starts_with('+') && text.len() <= 6 => 100,
            _ => 1,
        },
    };
    NonZeroU32::new(rate).unwrap_or(NonZeroU32::MIN)
}

/// Whether two addresses are one, however they are written.
fn is_same(one: &Pii, other: &Pii) -> bool {
    medium(one) == medium(other) && plain(one) == plain(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_ours_by_its_address_or_its_service() {
        let ours: MessagingServiceSid = format!("MG{:032x}", 1).parse().unwrap();
        let other: MessagingServiceSid = format!("MG{:032x}", 2).parse().unwrap();
        let senders = Senders {
            addresses: vec![
                sender("+15555550100", Source::Direct),
                sender("whatsapp:+15555550100", Source::Direct),
                sender("+15555550101", Source::Conversations),
            ],
            service: Some(ours),
            service_rate: None,
        };
        let service = MessageOwner::Ours(Pii::new(ours.to_string()));
        for (to, by, expected) in [
            ("+15555550100", None, MessageOwner::Ours("+15555550100".into())),
            ("+1 555 555-0100", Some(ours), MessageOwner::Ours("+15555550100".into())),
            ("whatsapp:+15555550100", None, MessageOwner::Ours("whatsapp:+15555550100".into())),
            ("+15555550101", None, MessageOwner::OtherRoad),
            ("+15555550102", Some(ours), service),
            ("+15555550102", Some(other), MessageOwner::Nobodys),
            ("+15555550102", None, MessageOwner::Nobodys),
            ("rcs:brand", None, MessageOwner::Nobodys),
        ] {
            assert_eq!(senders.whose(&to.into(), by), expected, "{to}");
        }
    }

    #[test]
    fn who_sends_is_named_or_the_only_one_that_can() {
        let two = Senders {
            addresses: vec![
                sender("+15555550100", Source::Direct),
                sender("whatsapp:+15555550100", Source::Direct),
                sender("whatsapp:+15555550101", Source::Direct),
            ],
            ..Senders::default()
        };
        let choose = |named: Option<&str>, theirs: &str| {
            let chosen = two.choose(named.map(Pii::from).as_ref(), &theirs.into());
            chosen.map(Pii::into_revealed)
        };
        assert_eq!(choose(None, "+15555550123"), Ok("+15555550100".to_owned()));
        let named = choose(Some("whatsapp:+15555550101"), "whatsapp:+15555550123");
        assert_eq!(named, Ok("whatsapp:+15555550101".to_owned()));
        for (named, theirs, words) in [
            (None, "whatsapp:+15555550123", "name one by `from`"),
            (None, "rcs:ann", "no address of ours sends by rcs"),
            (Some("+15555550199"), "+15555550123", "`from` is none of"),
        ] {
            assert!(choose(named, theirs).unwrap_err().contains(words), "{theirs}");
        }
    }

    #[test]
    fn every_kind_of_address_has_its_pace() {
        for (address, rate) in [
            ("+15555550100", 1),
            ("+18005550100", 3),
            ("+448005550100", 1),
            ("12345", 100),
            ("whatsapp:+15555550100", 80),
        ] {
            assert_eq!(default_rate(&address.into()).get(), rate, "{address}");
        }
    }

    #[test]
    fn an_id_of_whatsapp_is_an_address_like_another() {
        let pair = pair("whatsapp:+15555550100".into(), "whatsapp:US.13491208".into());
        assert_eq!(pair.medium, Medium::Whatsapp);
        assert_eq!(pair.theirs.reveal(), "whatsapp:US.13491208");
    }

    fn sender(address: &str, source: Source) -> Sender {
        let address = Pii::new(address);
        Sender { rate: default_rate(&address), address, source }
    }
}
