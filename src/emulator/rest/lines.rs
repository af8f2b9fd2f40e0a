//! Numbers, messaging services and WhatsApp senders of the account, over REST: they are read, and where
//! their inbound texts go is changed.
//!
//! A number's sid is made of its address, so that it needs no place of its own. Source: API definitions of
//! April 2026, `api.v2010.account.incoming_phone_number`, `messaging.v1.service` and
//! `messaging.v2.channels_sender_response`, read 2026-11-30. Assumed: a field that is sent empty becomes null.

use axum::http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::fields::Fields;
use super::{RestAnswered, RestCall, RestReply, path};
use crate::bytes16;
use crate::emulator::state::AccountSetup;
use crate::emulator::state::messaging::{MessagingService, Number};
use crate::emulator::state::model::{Channel, HookMethod};
use crate::emulator::state::refusal::Refusal;
use crate::json as reading;
use crate::pii::Pii;
use crate::twilio::sid::MessagingServiceSid;

/// The fields of a number that can be changed here.
const NUMBER: [&str; 5] =
    ["SmsUrl", "SmsMethod", "SmsFallbackUrl", "StatusCallback", "SmsApplicationSid"];

/// The fields of a messaging service that can be changed here.
const SERVICE: [&str; 5] = [
    "InboundRequestUrl",
    "InboundMethod",
    "FallbackUrl",
    "StatusCallback",
    "UseInboundWebhookOnNumber",
];

/// Numbers on a page when none is asked for.
const SIZE_DEFAULT: usize = 50;

/// Numbers on a page at most.
const SIZE_MAX: usize = 1000;

/// When everything was made; the emulator keeps no time of its own for it.
const MADE: &str = "Thu, 03 Mar 2016 19:47:15 +0000";

/// What a sender is told.
#[derive(Deserialize)]
struct SenderUpdate {
    webhook: Option<Map<String, Value>>,
}

impl RestCall<'_> {
    pub(super) fn list_numbers(&self) -> RestAnswered {
        self.allow_query(&["PhoneNumber", "FriendlyName", "Beta", "Origin"])?;
        let size = self.query.parsed::<usize>("PageSize")?.unwrap_or(SIZE_DEFAULT);
        let (size, at) =
            (size.clamp(1, SIZE_MAX), self.query.parsed::<usize>("Page")?.unwrap_or(0));
        let wanted = self.query.filled("PhoneNumber");
        let all: Vec<Value> = self.read(|world| {
            let messaging = world.messaging();
            let sms = world.setup().sms;
            // Where none is set up every number is the account's.
            let any = wanted.as_ref().filter(|_| messaging.numbers().next().is_none());
            let any = any.map(|number| {
                let url = messaging.url().map(str::to_owned);
                Number { address: Pii::new(number), url, ..Number::default() }
            });
            let numbers = messaging.numbers().chain(&any).filter(|one| is_phone(one));
            let numbers = numbers.filter(|one| {
                wanted.as_ref().is_none_or(|wanted| one.address.reveal().contains(wanted.as_str()))
            });
            Ok(numbers.map(|one| self.shown_number(one, sms)).collect())
        })?;
        let page: Vec<Value> =
            all.iter().skip(at.saturating_mul(size)).take(size).cloned().collect();
        let uri = |page: usize| format!("{}?PageSize={size}&Page={page}", self.path);
        let has_next = at.saturating_add(1).saturating_mul(size) < all.len();
        Ok(RestReply::Json(
            200,
            json!({
                "end": at.saturating_mul(size).saturating_add(page.len()).saturating_sub(1),
                "first_page_uri": uri(0),
                "incoming_phone_numbers": page,
                "next_page_uri": has_next.then(|| uri(at.saturating_add(1))),
                "page": at,
                "page_size": size,
                "previous_page_uri": at.checked_sub(1).map(uri),
                "start": at.saturating_mul(size),
                "uri": uri(at),
            }),
        ))
    }

    pub(super) fn number(&self, file: &str) -> RestAnswered {
        let sid = file.strip_suffix(".json").ok_or(Refusal::NotFound)?;
        let mut number = self.read(|world| {
            let mut numbers = world.messaging().numbers();
            let found = numbers.find(|one| is_phone(one) && sid_of("PN", &one.address) == sid);
            found.cloned().ok_or(Refusal::NotFound)
        })?;
        if self.method == Method::POST {
            self.allow(&NUMBER)?;
            let form = &self.form;
            change(form, "SmsUrl", &mut number.url);
            change(form, "SmsFallbackUrl", &mut number.fallback_url);
            change(form, "StatusCallback", &mut number.status_callback);
            change(form, "SmsApplicationSid", &mut number.application);
            number.method = form.read("SmsMethod", HookMethod::from_word)?.or(number.method);
            self.change(|core, _| core.world.set_number(number.clone()))?;
        }
        let sms = self.read(|world| Ok(world.setup().sms))?;
        Ok(RestReply::Json(200, self.shown_number(&number, sms)))
    }

    /// A messaging service, if the path names one; the list of them has the path of the list of chat services.
    pub(super) fn messaging_services(&self) -> Option<RestAnswered> {
        let segments = path::segments(self.path).ok()?;
        let [_, services, sid] = segments.as_slice() else { return None };
        let sid: MessagingServiceSid = sid.parse().ok().filter(|_| services == "Services")?;
        Some(self.messaging_service(sid))
    }

    fn messaging_service(&self, sid: MessagingServiceSid) -> RestAnswered {
        let mut service = self.read(|world| {
            let mut services = world.messaging().services();
            let found = services.find(|one| one.sid == Some(sid)).cloned();
            let is_default = world.default_messaging_service() == sid;
            let plain = || MessagingService { sid: Some(sid), ..MessagingService::default() };
            found.or_else(|| is_default.then(plain)).ok_or(Refusal::NotFound)
        })?;
        match *self.method {
            Method::GET => {}
            Method::POST => {
                self.allow(&SERVICE)?;
                let form = &self.form;
                change(form, "InboundRequestUrl", &mut service.url);
                change(form, "FallbackUrl", &mut service.fallback_url);
                change(form, "StatusCallback", &mut service.status_callback);
                let method = form.read("InboundMethod", HookMethod::from_word)?;
                service.method = method.or(service.method);
                let uses = form.read("UseInboundWebhookOnNumber", super::settings::truth)?;
                service.uses_numbers_url = uses.unwrap_or(service.uses_numbers_url);
                self.change(|core, _| core.world.set_messaging_service(service.clone()))?;
            }
            _ => return Err(Refusal::MethodNotAllowed),
        }
        Ok(RestReply::Json(200, self.shown_service(sid, &service)))
    }

    /// WhatsApp and RCS senders, if the path names them.
    pub(super) fn senders(&self) -> Option<RestAnswered> {
        let segments = path::segments(self.path).ok()?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (segments.as_slice(), self.method) {
            (["v2", "Channels", "Senders"], &Method::GET) => Some(self.list_senders()),
            (["v2", "Channels", "Senders", sid], &Method::GET | &Method::POST) => {
                Some(self.sender(sid))
            }
            (["v2", "Channels", "Senders", ..], _) => Some(Err(Refusal::MethodNotAllowed)),
            _ => None,
        }
    }

    fn list_senders(&self) -> RestAnswered {
        self.allow_query(&["Channel"])?;
        let channel = self.query.filled("Channel");
        let channel = channel.ok_or(Refusal::ParameterMissing("Channel"))?;
        let senders: Vec<Value> = self.read(|world| {
            let numbers = world.messaging().numbers();
            let senders = numbers.filter(|one| one.address.reveal().starts_with(&channel));
            Ok(senders.map(|one| self.shown_sender(one, world.setup())).collect())
        })?;
        let root = self.hub.urls.messaging.as_str().trim_end_matches('/');
        let url = format!("{root}{}?Channel={channel}&PageSize=1000&Page=0", self.path);
        let meta = json!({
            "page": 0,
            "page_size": 1000,
            "first_page_url": url,
            "previous_page_url": null,
            "url": url,
            "next_page_url": null,
            "key": "senders",
        });
        Ok(RestReply::Json(200, json!({ "senders": senders, "meta": meta })))
    }

    fn sender(&self, sid: &str) -> RestAnswered {
        let mut number = self.read(|world| {
            let mut numbers = world.messaging().numbers();
            let found = numbers.find(|one| !is_phone(one) && sid_of("XE", &one.address) == sid);
            found.cloned().ok_or(Refusal::NotFound)
        })?;
        if self.method == Method::GET {
            let shown = self.read(|world| Ok(self.shown_sender(&number, world.setup())))?;
            return Ok(RestReply::Json(200, shown));
        }
        let update: SenderUpdate = reading::from_slice(self.body)
            .map_err(|_| Refusal::ParameterInvalid("the request's body"))?;
        for (name, value) in update.webhook.unwrap_or_default() {
            let text = value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
            match name.as_str() {
                "callback_url" => number.url = text,
                "fallback_url" => number.fallback_url = text,
                "status_callback_url" => number.status_callback = text,
                "callback_method" => {
                    let method = text.as_deref().and_then(HookMethod::from_word);
                    number.method = method.or(number.method);
                }
                "fallback_method" | "status_callback_method" => {}
                _ => return Err(Refusal::ParameterUnknown(name)),
            }
        }
        self.change(|core, _| core.world.set_number(number.clone()))?;
        let shown = self.read(|world| Ok(self.shown_sender(&number, world.setup())))?;
        Ok(RestReply::Json(202, shown))
    }

    fn shown_number(&self, one: &Number, sms: bool) -> Value {
        let account = self.hub.credentials.account_sid;
        let sid = sid_of("PN", &one.address);
        json!({
            "account_sid": account,
            "api_version": "2010-04-01",
            "beta": false,
            "capabilities": {"fax": false, "mms": sms, "sms": sms, "voice": true},
            "date_created": MADE,
            "date_updated": MADE,
            "friendly_name": one.address.reveal(),
            "origin": "twilio",
            "phone_number": one.address.reveal(),
            "sid": sid,
            "sms_application_sid": one.application.clone().unwrap_or_default(),
            "sms_fallback_method": "POST",
            "sms_fallback_url": one.fallback_url.clone().unwrap_or_default(),
            "sms_method": method(one.method),
            "sms_url": one.url.clone().unwrap_or_default(),
            "status": "in-use",
            "status_callback": one.status_callback.clone().unwrap_or_default(),
            "status_callback_method": "POST",
            "type": "local",
            "uri": format!("/2010-04-01/Accounts/{account}/IncomingPhoneNumbers/{sid}.json"),
        })
    }

    fn shown_service(&self, sid: MessagingServiceSid, one: &MessagingService) -> Value {
        let root = self.hub.urls.messaging.as_str().trim_end_matches('/');
        json!({
            "account_sid": self.hub.credentials.account_sid,
            "sid": sid,
            "friendly_name": "Messaging service",
            "inbound_request_url": one.url,
            "inbound_method": method(one.method),
            "fallback_url": one.fallback_url,
            "fallback_method": "POST",
            "status_callback": one.status_callback,
            "use_inbound_webhook_on_number": one.uses_numbers_url,
            "date_created": "2016-03-03T19:47:15Z",
            "date_updated": "2016-03-03T19:47:15Z",
            "url": format!("{root}/v1/Services/{sid}"),
        })
    }

    fn shown_sender(&self, one: &Number, setup: &AccountSetup) -> Value {
        let is_online = setup.sender_status == "ONLINE";
        let reason = json!([{"code": "63020", "message": "switched off"}]);
        let root = self.hub.urls.messaging.as_str().trim_end_matches('/');
        let sid = sid_of("XE", &one.address);
        json!({
            "sid": sid,
            "status": setup.sender_status,
            "sender_id": one.address.reveal(),
            "webhook": {
                "callback_url": one.url,
                "callback_method": method(one.method),
                "fallback_url": one.fallback_url,
                "fallback_method": "POST",
                "status_callback_url": one.status_callback,
                "status_callback_method": "POST",
            },
            "properties": {
                "quality_rating": setup.sender_quality,
                "messaging_limit": "10K Customers/24hr",
            },
            "offline_reasons": if is_online { Value::Null } else { reason },
            "url": format!("{root}/v2/Channels/Senders/{sid}"),
        })
    }
}

/// Changes what a form names; what it sends empty is taken away.
fn change(form: &Fields, name: &str, setting: &mut Option<String>) {
    if let Some(given) = form.text(name) {
        *setting = (!given.is_empty()).then_some(given);
    }
}

fn method(method: Option<HookMethod>) -> &'static str {
    method.unwrap_or(HookMethod::Post).as_str()
}

/// Whether it is a phone number, which WhatsApp and RCS senders are not.
fn is_phone(number: &Number) -> bool {
    Channel::of(number.address.reveal()) == Some(Channel::Sms)
}

fn sid_of(prefix: &str, address: &Pii) -> String {
    let bytes = bytes16::digest([address.reveal().as_bytes()]);
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{prefix}{digits}")
}
