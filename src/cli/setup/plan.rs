//! Compares what Twilio has with what is wanted, and says which calls make the one the other. Pure.
//!
//! What somebody else has set is left as it is and told, unless it may be taken over; what could not be
//! read is told too. A plan for an account that is as wanted has no calls.

use serde_json::{Value, json};

use super::call::{ADDRESS, SettingField, SetupCall, Target, digest};
use super::wanted::{WantedSetup, WhoseUrl};
use crate::cli::doors::{EVENTS, MAY_SEND};
use crate::pii::Pii;
use crate::twilio::rest::{SettingsDocument as Document, SettingsResource};
use crate::twilio::sid::ChatServiceSid;
use crate::twilio::signature::without_values;

/// What Twilio has, as far as it is wanted and could be read.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// Where the chat service's events go.
    pub(super) service_hooks: Option<Document>,
    /// Where the account's events go.
    pub(super) account_hooks: Option<Document>,
    /// The address configurations.
    pub(super) addresses: Vec<Document>,
    /// The phone numbers.
    pub(super) numbers: Vec<Document>,
    /// The senders of other channels.
    pub(super) senders: Vec<Document>,
    /// The messaging service.
    pub(super) messaging_service: Option<Document>,
    /// The role that the bot has in conversations.
    pub(super) role: Option<Document>,
    /// What could not be read.
    pub(super) unread: Vec<Left>,
}

/// Something that is left as it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Left {
    /// What it is about.
    pub(super) what: String,
    /// How it is.
    pub(super) found: String,
    /// What can be done about it.
    pub(super) remedy: String,
}

/// What is to be done, and what is left.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Plan {
    /// The calls, in their order.
    pub(super) calls: Vec<SetupCall>,
    /// What is left as it is.
    pub(super) left: Vec<Left>,
}

impl Left {
    /// Something of somebody else's.
    fn foreign(what: &str, found: impl std::fmt::Display) -> Self {
        Self {
            what: what.to_owned(),
            found: format!("somebody else has set {found}"),
            remedy: "ask whose it is; --take-over replaces it".to_owned(),
        }
    }

    /// Something that cannot be as wanted.
    pub(super) fn new(what: &str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.to_owned(), found: found.into(), remedy: remedy.into() }
    }
}

/// Says what is to be done.
pub(super) fn plan(found: &Found, wanted: &WantedSetup) -> Plan {
    let mut plan = Plan { left: found.unread.clone(), ..Plan::default() };
    if let Some(service) = wanted.service {
        let own = ("service webhooks", SettingsResource::service_webhooks(service));
        plan.hooks(own, found.service_hooks.as_ref(), wanted);
        let account = ("account webhooks", SettingsResource::account_webhooks());
        plan.hooks(account, found.account_hooks.as_ref(), wanted);
        for address in &wanted.conversations {
            plan.conversation_address(address, service, (found, wanted));
        }
        plan.role(service, found.role.as_ref());
    }
    for address in &wanted.direct {
        plan.silence_autocreation(address, (found, wanted));
        plan.texts(address, Road::Direct, (found, wanted));
    }
    if !wanted.direct.is_empty() {
        plan.messaging_service(found.messaging_service.as_ref(), wanted);
    }
    plan
}

/// By which road what is sent to an address is to come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Road {
    Direct,
    Conversations,
}

impl Plan {
    /// Lets the events of a service, or of the account, come here.
    fn hooks(
        &mut self,
        (name, resource): (&str, SettingsResource),
        now: Option<&Document>,
        wanted: &WantedSetup,
    ) {
        let Some(now) = now else { return };
        if let Some(pre) = now.text("pre_webhook_url") {
            self.left.push(Left::new(
                name,
                format!(
                    "the pre-event URL is {}: people's messages wait for its answers",
                    without_values(&pre)
                ),
                "clear it if nobody needs it; setup does not touch it",
            ));
        }
        let (place, ours) = ("post_webhook_url", wanted.events_url());
        let whose = wanted.whose_events(now.text(place).as_deref());
        let Some(url) = self.url(name, (now, place), (whose, ours), wanted) else { return };
        let mut filters: Vec<Value> = now.at("filters").as_array().cloned().unwrap_or_default();
        for event in EVENTS {
            let has = |filter: &Value| {
                filter.as_str().is_some_and(|filter| filter.eq_ignore_ascii_case(event))
            };
            if !filters.iter().any(has) {
                filters.push(json!(event));
            }
        }
        let fields = vec![
            SettingField::of(now, ("PostWebhookUrl", "post_webhook_url"), url),
            SettingField::of(now, ("Method", "method"), "POST"),
            SettingField::of(now, ("Filters", "filters"), filters),
        ];
        let why = match whose {
            WhoseUrl::Nobodys => "no event is told: new conversations are found by the sweep alone",
            WhoseUrl::Ours => "without these the service hears of things late, or not at all",
            WhoseUrl::OursWrongly => {
                "signatures cover each letter, so events are refused as forged"
            }
            WhoseUrl::Foreign => "events go to somebody else",
        };
        self.calls.extend(SetupCall::change((name, resource), fields, why));
    }

    /// What a URL is to be: what it is where that is ours as it should be, else what is ours. None if it is
    /// somebody else's, and left.
    fn url(
        &mut self,
        name: &str,
        (now, place): (&Document, &str),
        (whose, ours): (WhoseUrl, String),
        wanted: &WantedSetup,
    ) -> Option<Value> {
        if !wanted.may_replace(whose) {
            let set = now.text(place).unwrap_or_default();
            self.left.push(Left::foreign(name, without_values(&set)));
            return None;
        }
        Some(if whose == WhoseUrl::Ours { now.at(place) } else { json!(ours) })
    }

    /// Lets what is sent to an address make conversations that the bot is in.
    fn conversation_address(
        &mut self,
        address: &Pii,
        service: ChatServiceSid,
        (found, wanted): (&Found, &WantedSetup),
    ) {
        let name = format!("address {}", address.masked());
        match configuration(found, address) {
            None if found.unread.iter().any(|left| left.what == ADDRESSES) => {}
            None => self.calls.push(made(name, address, service)),
            Some(now) => self.configured(&name, now, service, wanted),
        }
        self.texts(address, Road::Conversations, (found, wanted));
    }

    /// Puts right what is configured for an address.
    fn configured(
        &mut self,
        name: &str,
        now: &Document,
        service: ChatServiceSid,
        wanted: &WantedSetup,
    ) {
        let is_on = now.at("auto_creation.enabled") == json!(true);
        let kind = now.text("auto_creation.type").unwrap_or_default();
        let set = now.text("auto_creation.conversation_service_sid");
        let is_elsewhere = set.as_ref().is_some_and(|set| *set != service.to_string());
        let hook = now.text("auto_creation.webhook_url");
        let is_answered = match kind.as_str() {
            "studio" => true,
            "webhook" => wanted.whose_events(hook.as_deref()) == WhoseUrl::Foreign,
            _ => false,
        };
        if is_on && (is_elsewhere || is_answered) && !wanted.take_over {
            let found = match (is_elsewhere, set) {
                (true, Some(set)) => format!("that it makes conversations in {set}"),
                (true, None) | (false, _) => format!("that it starts a {kind}"),
            };
            self.left.push(Left::foreign(name, found));
            return;
        }
        let wanted_kind = if kind == "webhook" && !is_answered { "webhook" } else { "default" };
        let mut fields = vec![
            SettingField::of(now, ("AutoCreation.Enabled", "auto_creation.enabled"), true),
            SettingField::of(now, ("AutoCreation.Type", "auto_creation.type"), wanted_kind),
            SettingField::of(
                now,
                ("AutoCreation.ConversationServiceSid", "auto_creation.conversation_service_sid"),
                service.to_string(),
            ),
        ];
        if fields[1].is_change() {
            fields.extend(beside(now));
        }
        let why = if !is_on {
            "what is sent to it makes no conversation"
        } else if is_answered {
            "another answers there beside the bot"
        } else {
            "its conversations are made where the bot does not listen"
        };
        let resource = SettingsResource::addresses().below(sid_of(now));
        self.calls.extend(SetupCall::change((name, resource), fields, why));
    }

    /// Keeps an address that is answered without conversations from making them too.
    fn silence_autocreation(&mut self, address: &Pii, (found, wanted): (&Found, &WantedSetup)) {
        let Some(now) = configuration(found, address) else { return };
        if now.at("auto_creation.enabled") != json!(true) {
            return;
        }
        let name = format!("address {}", address.masked());
        let set = now.text("auto_creation.conversation_service_sid");
        let is_ours = set
            .as_ref()
            .is_none_or(|set| wanted.service.is_some_and(|service| *set == service.to_string()));
        if !is_ours && !wanted.take_over {
            let place = set.unwrap_or_default();
            self.left.push(Left::foreign(&name, format!("that it makes conversations in {place}")));
            return;
        }
        let fields =
            vec![SettingField::of(now, ("AutoCreation.Enabled", "auto_creation.enabled"), false)];
        let resource = SettingsResource::addresses().below(sid_of(now));
        let why = "each message comes twice: it is answered without conversations";
        self.calls.extend(SetupCall::change((name, resource), fields, why));
    }

    /// Lets texts of an address come here, or not, by its road.
    fn texts(&mut self, address: &Pii, road: Road, (found, wanted): (&Found, &WantedSetup)) {
        let (channel, _) = address.reveal().split_once(':').unwrap_or(("", ""));
        let (list, key) = if channel.is_empty() {
            (&found.numbers, "phone_number")
        } else {
            (&found.senders, "sender_id")
        };
        let now = list.iter().find(|one| one.text(key).as_deref() == Some(address.reveal()));
        let Some(now) = now else {
            let is_unread = found
                .unread
                .iter()
                .any(|left| left.what == if channel.is_empty() { NUMBERS } else { SENDERS });
            if road == Road::Direct && !is_unread {
                self.left.push(Left::new(
                    &format!("number {}", address.masked()),
                    "the account's lists do not have it",
                    "check the setting; a short code's or the WhatsApp sandbox's webhook is set in the console",
                ));
            }
            return;
        };
        if channel.is_empty() {
            self.number((address, road), now, wanted);
        } else {
            self.sender((address, road), now, wanted);
        }
    }

    fn number(&mut self, (address, road): (&Pii, Road), now: &Document, wanted: &WantedSetup) {
        let name = format!("number {}", address.masked());
        let Some((url, why)) = self.texts_url(&name, "sms_url", (address, road), (now, wanted))
        else {
            return;
        };
        let application = now.text("sms_application_sid");
        if let Some(application) = application.filter(|_| !wanted.take_over) {
            let found = format!("the application {application}, which counts instead of its URL");
            self.left.push(Left::foreign(&name, found));
            return;
        }
        let mut fields = vec![
            SettingField::of(now, ("SmsUrl", "sms_url"), url),
            SettingField::of(now, ("SmsApplicationSid", "sms_application_sid"), ""),
        ];
        if road == Road::Direct {
            fields.push(SettingField::of(now, ("SmsMethod", "sms_method"), "POST"));
        }
        let resource = SettingsResource::number(&sid_of(now));
        self.calls.extend(SetupCall::change((name, resource), fields, why));
    }

    fn sender(&mut self, (address, road): (&Pii, Road), now: &Document, wanted: &WantedSetup) {
        let name = format!("sender {}", address.masked());
        let place = "webhook.callback_url";
        let Some((url, why)) = self.texts_url(&name, place, (address, road), (now, wanted)) else {
            return;
        };
        let mut fields = vec![SettingField::of(now, (place, place), url)];
        if road == Road::Direct {
            let method = "webhook.callback_method";
            fields.push(SettingField::of(now, (method, method), "POST"));
        }
        for kept in
            ["fallback_url", "fallback_method", "status_callback_url", "status_callback_method"]
        {
            let place = format!("webhook.{kept}");
            let value = now.at(&place);
            fields.push(SettingField::of(now, (place.as_str(), place.as_str()), value));
        }
        let resource = SettingsResource::senders().below(sid_of(now));
        self.calls.extend(SetupCall::change((name, resource), fields, why));
    }

    /// What the URL for an address's texts is to be, and why; nothing if it is left.
    fn texts_url(
        &mut self,
        name: &str,
        place: &str,
        (address, road): (&Pii, Road),
        (now, wanted): (&Document, &WantedSetup),
    ) -> Option<(Value, &'static str)> {
        let whose = wanted.whose_texts(now.text(place).as_deref());
        let url = self.url(name, (now, place), (whose, wanted.texts_url(Some(address))), wanted)?;
        Some(match (road, whose) {
            (Road::Conversations, _) => {
                (Value::Null, "each message comes twice: it makes a conversation too")
            }
            (Road::Direct, WhoseUrl::Ours) => (url, "it would not come here, or not as POST"),
            (Road::Direct, WhoseUrl::Nobodys) => (url, "nobody is told what is sent to it"),
            (Road::Direct, WhoseUrl::OursWrongly) => {
                (url, "it is not signed as it is called, or not brought again after a 503")
            }
            (Road::Direct, WhoseUrl::Foreign) => (url, "what is sent to it goes to somebody else"),
        })
    }

    /// Lets the texts of a messaging service's numbers come here.
    fn messaging_service(&mut self, now: Option<&Document>, wanted: &WantedSetup) {
        let Some((now, sid)) = now.zip(wanted.messaging_service) else { return };
        if now.at("use_inbound_webhook_on_number") == json!(true) {
            return;
        }
        let name = format!("messaging service {sid}");
        let (place, ours) = ("inbound_request_url", wanted.texts_url(None));
        let whose = wanted.whose_texts(now.text(place).as_deref());
        let Some(url) = self.url(&name, (now, place), (whose, ours), wanted) else { return };
        let fields = vec![
            SettingField::of(now, ("InboundRequestUrl", "inbound_request_url"), url),
            SettingField::of(now, ("InboundMethod", "inbound_method"), "POST"),
        ];
        let resource = SettingsResource::messaging_service(sid);
        let why = "its place counts before those of its numbers";
        self.calls.extend(SetupCall::change((name, resource), fields, why));
    }

    /// Lets the bot write over the socket.
    fn role(&mut self, service: ChatServiceSid, now: Option<&Document>) {
        let Some(now) = now else { return };
        let permissions = now.at("permissions").as_array().cloned().unwrap_or_default();
        if permissions.iter().any(|one| one == MAY_SEND) {
            return;
        }
        let sid = sid_of(now);
        let all: Vec<Value> = permissions.into_iter().chain([json!(MAY_SEND)]).collect();
        let field = SettingField::of(now, ("Permission", "permissions"), all);
        let why = "the bot may not write over the socket; the role is that of all who are added";
        let name = format!("role {sid}");
        let resource = SettingsResource::role(service, &sid);
        self.calls.extend(SetupCall::change((name, resource), vec![field], why));
    }
}

/// What the lists are called where they could not be read.
pub(super) const ADDRESSES: &str = "address configurations";
/// The same of numbers.
pub(super) const NUMBERS: &str = "phone numbers";
/// The same of senders.
pub(super) const SENDERS: &str = "senders";

/// Which one of its list it is.
fn sid_of(document: &Document) -> String {
    document.text("sid").unwrap_or_default()
}

/// An address's configuration.
fn configuration<'f>(found: &'f Found, address: &Pii) -> Option<&'f Document> {
    found.addresses.iter().find(|one| one.text("address").as_deref() == Some(address.reveal()))
}

/// A configuration that there is none of.
fn made(name: String, address: &Pii, service: ChatServiceSid) -> SetupCall {
    let (channel, _) = address.reveal().split_once(':').unwrap_or(("sms", ""));
    let nothing = Document::default();
    let field = |name: &str, at: &str, new: Value| SettingField::of(&nothing, (name, at), new);
    let enabled = ("AutoCreation.Enabled", "auto_creation.enabled");
    let service_sid =
        ("AutoCreation.ConversationServiceSid", "auto_creation.conversation_service_sid");
    SetupCall {
        name,
        target: Target::Make { resource: SettingsResource::addresses(), address: digest(address) },
        fields: vec![
            field("Type", "type", json!(channel)),
            field(ADDRESS, "address", json!(address.reveal())),
            field(enabled.0, enabled.1, json!(true)),
            field("AutoCreation.Type", "auto_creation.type", json!("default")),
            field(service_sid.0, service_sid.1, json!(service.to_string())),
        ],
        why: "what is sent to it makes no conversation, unless its messaging service does"
            .to_owned(),
        is_way_back: false,
    }
}

/// What belongs to a type of autocreation, to be sent with it when it comes back.
fn beside(now: &Document) -> Vec<SettingField> {
    [
        ("AutoCreation.WebhookUrl", "auto_creation.webhook_url"),
        ("AutoCreation.WebhookMethod", "auto_creation.webhook_method"),
        ("AutoCreation.WebhookFilters", "auto_creation.webhook_filters"),
        ("AutoCreation.StudioFlowSid", "auto_creation.studio_flow_sid"),
        ("AutoCreation.StudioRetryCount", "auto_creation.studio_retry_count"),
    ]
    .into_iter()
    .map(|(name, at)| SettingField::of(now, (name, at), now.at(at)))
    .filter(|field| !super::call::is_nothing(&field.old))
    .collect()
}
