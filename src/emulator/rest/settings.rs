//! The account's and the services' settings and the address configurations, over REST.

use axum::http::Method;

use super::fields::Fields;
use super::page::WantedPage;
use super::webhooks::filters;
use super::{RestAnswered, RestCall, RestReply};
use crate::emulator::state::model::{Autocreation, AutocreationKind, HookMethod};
use crate::emulator::state::refusal::Refusal;
use crate::emulator::state::{AddressFields, ServiceConfiguration};
use crate::twilio::sid::ChatServiceSid;

/// Source: API definition, `CreateConfigurationAddress`, read 2026-11-21.
const ADDRESS: [&str; 12] = [
    "FriendlyName",
    "AutoCreation.Enabled",
    "AutoCreation.Type",
    "AutoCreation.ConversationServiceSid",
    "AutoCreation.WebhookUrl",
    "AutoCreation.WebhookMethod",
    "AutoCreation.WebhookFilters",
    "AutoCreation.StudioFlowSid",
    "AutoCreation.StudioRetryCount",
    "Type",
    "Address",
    "AddressCountry",
];

/// Source: API definition, `configuration_address_enum_type`, read 2026-11-21.
const ADDRESS_TYPES: [&str; 8] =
    ["sms", "whatsapp", "messenger", "gbm", "email", "rcs", "apple", "chat"];

impl RestCall<'_> {
    /// The defaults of the account are the emulator's and cannot be changed.
    pub(super) fn account_configuration(&self) -> RestAnswered {
        match *self.method {
            Method::GET => {
                let view = self.account_view();
                let shown = self.read(|world| Ok(view.account_configuration(world)))?;
                Ok(RestReply::Json(200, shown))
            }
            _ => Err(Refusal::MethodNotAllowed),
        }
    }

    pub(super) fn addresses(&self) -> RestAnswered {
        let view = self.account_view();
        match *self.method {
            Method::GET => {
                self.allow_query(&["Type"])?;
                let wanted = WantedPage::read(&self.query, 50)?;
                let kind = self.query.filled("Type");
                let filters = kind.as_deref().map(|kind| ("Type", kind)).into_iter().collect();
                let place = self.list_place("address_configurations", filters);
                let answer = self.read(|world| {
                    let chosen = world.addresses().filter(|(_, one)| {
                        kind.as_ref().is_none_or(|kind| one.channel.eq_ignore_ascii_case(kind))
                    });
                    let page = wanted.cut(chosen);
                    let items = page.items.iter().map(|one| view.address(one)).collect();
                    Ok(wanted.answer(&page, items, &place))
                })?;
                Ok(RestReply::Json(200, answer))
            }
            Method::POST => {
                self.allow(&ADDRESS)?;
                let fields = self.address_fields(Autocreation::default())?;
                let shown = self.change(|core, at| {
                    core.world.create_address(at, fields).map(|one| view.address(one))
                })?;
                Ok(RestReply::Json(201, shown))
            }
            _ => Err(Refusal::MethodNotAllowed),
        }
    }

    pub(super) fn address(&self, sid: &str) -> RestAnswered {
        let view = self.account_view();
        let shown = match *self.method {
            Method::GET => {
                self.read(|world| world.find_address(sid).map(|one| view.address(one)))?
            }
            Method::POST => {
                self.allow(&ADDRESS[..9])?;
                let before =
                    self.read(|world| Ok(world.find_address(sid)?.autocreation.clone()))?;
                let fields = self.address_fields(before)?;
                self.change(|core, at| {
                    core.world.update_address(at, sid, fields).map(|one| view.address(one))
                })?
            }
            Method::DELETE => {
                self.change(|core, _| core.world.remove_address(sid))?;
                return Ok(RestReply::Empty);
            }
            _ => return Err(Refusal::MethodNotAllowed),
        };
        Ok(RestReply::Json(200, shown))
    }

    pub(super) fn services(&self) -> RestAnswered {
        let view = self.account_view();
        match *self.method {
            Method::GET => {
                self.allow_query(&[])?;
                let wanted = WantedPage::read(&self.query, 100)?;
                let place = self.list_place("services", Vec::new());
                let answer = self.read(|world| {
                    let page = wanted.cut(world.services().into_iter());
                    let items = page.items.iter().map(|one| view.service(one)).collect();
                    Ok(wanted.answer(&page, items, &place))
                })?;
                Ok(RestReply::Json(200, answer))
            }
            Method::POST => {
                self.allow(&["FriendlyName"])?;
                let name = self.form.filled("FriendlyName");
                let name = name.ok_or(Refusal::ParameterMissing("FriendlyName"))?;
                let shown = self.change(|core, at| {
                    let sid = core.world.create_service(at, &name);
                    core.world.find_service(sid).map(|one| view.service(one))
                })?;
                Ok(RestReply::Json(201, shown))
            }
            _ => Err(Refusal::MethodNotAllowed),
        }
    }

    pub(super) fn service(&self, sid: ChatServiceSid) -> RestAnswered {
        let view = self.account_view();
        match *self.method {
            Method::GET => {
                let shown =
                    self.read(|world| world.find_service(sid).map(|one| view.service(one)))?;
                Ok(RestReply::Json(200, shown))
            }
            Method::DELETE => {
                self.change(|core, _| core.world.remove_service(sid))?;
                Ok(RestReply::Empty)
            }
            _ => Err(Refusal::MethodNotAllowed),
        }
    }

    pub(super) fn service_configuration(&self, sid: ChatServiceSid) -> RestAnswered {
        let view = self.account_view();
        let change = match *self.method {
            Method::GET => ServiceConfiguration::default(),
            Method::POST => {
                self.allow(&[
                    "DefaultConversationCreatorRoleSid",
                    "DefaultConversationRoleSid",
                    "DefaultChatServiceRoleSid",
                    "ReachabilityEnabled",
                ])?;
                ServiceConfiguration {
                    creator_role: self.form.parsed("DefaultConversationCreatorRoleSid")?,
                    conversation_role: self.form.parsed("DefaultConversationRoleSid")?,
                    service_role: self.form.parsed("DefaultChatServiceRoleSid")?,
                    reachability: self.form.read("ReachabilityEnabled", truth)?,
                }
            }
            _ => return Err(Refusal::MethodNotAllowed),
        };
        let shown = self.change(|core, at| {
            core.world
                .configure_service(at, sid, change)
                .map(|service| view.service_configuration(service))
        })?;
        Ok(RestReply::Json(200, shown))
    }

    fn address_fields(&self, before: Autocreation) -> Result<AddressFields, Refusal> {
        let form = &self.form;
        let kind = form.read("Type", |word| {
            ADDRESS_TYPES.into_iter().find(|known| known.eq_ignore_ascii_case(word))
        })?;
        let autocreation = Autocreation {
            enabled: form.read("AutoCreation.Enabled", truth)?.unwrap_or(before.enabled),
            kind: form
                .read("AutoCreation.Type", AutocreationKind::from_word)?
                .unwrap_or(before.kind),
            service: or_emptied(
                form,
                "AutoCreation.ConversationServiceSid",
                form.parsed("AutoCreation.ConversationServiceSid")?,
                before.service,
            ),
            hook_url: or_emptied(
                form,
                "AutoCreation.WebhookUrl",
                form.filled("AutoCreation.WebhookUrl"),
                before.hook_url,
            ),
            hook_method: form
                .read("AutoCreation.WebhookMethod", HookMethod::from_word)?
                .or(before.hook_method),
            hook_filters: filters(form, "AutoCreation.WebhookFilters")?
                .unwrap_or(before.hook_filters),
            flow_sid: or_emptied(
                form,
                "AutoCreation.StudioFlowSid",
                form.filled("AutoCreation.StudioFlowSid"),
                before.flow_sid,
            ),
            flow_retries: or_emptied(
                form,
                "AutoCreation.StudioRetryCount",
                form.parsed("AutoCreation.StudioRetryCount")?,
                before.flow_retries,
            ),
        };
        Ok(AddressFields {
            channel: kind.map(str::to_owned),
            address: form.filled("Address"),
            friendly_name: form.text("FriendlyName"),
            country: form.filled("AddressCountry"),
            autocreation: Some(autocreation),
        })
    }
}

/// What is given; what is sent empty is taken away (assumed), and what is not sent stays.
fn or_emptied<T>(form: &Fields, name: &str, given: Option<T>, before: Option<T>) -> Option<T> {
    if form.first(name).is_some() { given } else { before }
}

pub(super) fn truth(word: &str) -> Option<bool> {
    match word {
        "true" | "True" => Some(true),
        "false" | "False" => Some(false),
        _ => None,
    }
}
