//! The plain messaging side of a number: its own webhook, which every incoming message rings, and
//! the status callbacks of messages sent by the messaging API.
//!
//! One incoming SMS so reaches a service twice if both are set: here with an `SM…` sid, and as a
//! conversation's event with an `IM…` one. Source: webhook notes 1.8, 2.1 and 2.3, read 2026-11-21.
//! Whatever the number's webhook answers is not read: the emulator speaks no TwiML.

use std::sync::Weak;

use serde_json::{Value, json};

use super::hub::{Core, Hub};
use super::rest::segments_of;
use super::state::model::{Channel, HookMethod};
use super::state::{Inbound, Scope, Target};
use super::webhooks::{Outgoing, Product};
use crate::clock::Timestamp;
use crate::pii::Pii;

/// The name under which faults find the number's webhook.
const INBOUND: &str = "inboundMessage";
/// The name under which faults find status callbacks.
const STATUS: &str = "messageStatus";

/// Present, and empty, for every SMS. Source: webhook notes 2.1, "geography".
const GEOGRAPHY: [&str; 8] =
    ["FromCity", "FromState", "FromZip", "FromCountry", "ToCity", "ToState", "ToZip", "ToCountry"];

impl Hub {
    /// Rings the number's own webhook, if one is set.
    pub(super) fn ring(&self, core: &mut Core, at: Timestamp, inbound: &Inbound) {
        let Some(url) = core.messaging_url.clone() else { return };
        // Source: webhook notes 2.1: a group's text has an MM sid and no media, read 2026-11-21.
        let sid = core.world.ids_mut().raw(if inbound.is_group() { "MM" } else { "SM" });
        let service = core.world.default_messaging_service().to_string();
        let body = inbound.body.clone().unwrap_or_default();
        let segments = segments_of(body.reveal()).to_string();
        let account = core.world.account().to_string();
        let mut fields = named(&[
            ("MessageSid", &sid),
            ("SmsSid", &sid),
            ("SmsMessageSid", &sid),
            ("AccountSid", &account),
            ("MessagingServiceSid", &service),
            ("From", inbound.from.reveal()),
            ("To", inbound.to.reveal()),
            ("Body", body.reveal()),
            ("NumMedia", &inbound.media.len().to_string()),
            ("NumSegments", &segments),
            ("ApiVersion", "2010-04-01"),
            ("SmsStatus", "received"),
        ]);
        for (number, other) in inbound.others.iter().enumerate() {
            fields.push((format!("OtherRecipients{number}"), other.clone()));
        }
        match inbound.channel {
            Channel::Sms => fields.extend(named(&GEOGRAPHY.map(|name| (name, "")))),
            Channel::Whatsapp => {
                let number = inbound.from.reveal().trim_start_matches("whatsapp:+");
                let profile = [("WaId", number), ("ProfileName", number), ("MessageType", "text")];
                fields.extend(named(&profile));
            }
        }
        self.send_text(core, at, (INBOUND, Scope::Number), url, fields);
    }

    /// Lets a sent message make its way, with a callback at each step.
    pub(super) fn progress(&self, sid: String, callback: Option<String>) {
        self.tasks.spawn(progress(Weak::clone(self.this()), sid, callback));
    }

    fn send_text(
        &self,
        core: &mut Core,
        at: Timestamp,
        (event, scope): (&'static str, Scope),
        url: String,
        fields: Vec<(String, Pii)>,
    ) {
        let outgoing = Outgoing {
            target: Target { scope, url, method: HookMethod::Post },
            event,
            product: Product::Messaging,
            conversation: None,
            fields,
            delivery_id: core.world.ids_mut().uuid().to_string(),
            delay: None,
            mis_sign: false,
        };
        self.post(core, at, outgoing);
    }

    /// Notes a message's status; gives false if the message is gone.
    fn advance(
        &self,
        core: &mut Core,
        at: Timestamp,
        (sid, status): (&str, &'static str),
        callback: Option<String>,
    ) -> bool {
        let account = core.world.account().to_string();
        let Some(message) = core.plain.iter_mut().find(|one| one["sid"] == *sid) else {
            return false;
        };
        message["status"] = json!(status);
        let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
        let (to, from, service) = (text("to"), text("from"), text("messaging_service_sid"));
        let mut fields = named(&[
            ("MessageSid", sid),
            ("SmsSid", sid),
            ("MessageStatus", status),
            ("SmsStatus", status),
            ("To", &to),
            ("From", &from),
            ("AccountSid", &account),
            ("ApiVersion", "2010-04-01"),
        ]);
        if message["messaging_service_sid"] != Value::Null {
            fields.extend(named(&[("MessagingServiceSid", &service)]));
        }
        if let Some(url) = callback {
            self.send_text(core, at, (STATUS, Scope::Message), url, fields);
        }
        true
    }
}

/// The first status, which the answer of the API holds, is not called back.
async fn progress(hub: Weak<Hub>, sid: String, callback: Option<String>) {
    for status in ["sent", "delivered"] {
        let Some(hub) = hub.upgrade() else { return };
        hub.sleep(hub.options.delivery_delay).await;
        let step = (sid.as_str(), status);
        if !hub.with(|core, at| hub.advance(core, at, step, callback.clone())) {
            return;
        }
    }
}

fn named(pairs: &[(&str, &str)]) -> Vec<(String, Pii)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), Pii::new(*value))).collect()
}
