//! Webhook settings at the three scopes, over REST.

use axum::http::Method;

use super::fields::Fields;
use super::page::WantedPage;
use super::path::Scope;
use super::{RestAnswered, RestCall, RestReply};
use crate::emulator::state::HookFields;
use crate::emulator::state::event::EventKind;
use crate::emulator::state::model::{HookMethod, HookSettings, HookTarget};
use crate::emulator::state::refusal::Refusal;
use crate::twilio::sid::{ChatServiceSid, WebhookSid};

/// Source: API definition, `CreateConversationScopedWebhook`, read 2026-11-21.
const SCOPED: [&str; 7] = [
    "Target",
    "Configuration.Url",
    "Configuration.Method",
    "Configuration.Filters",
    "Configuration.Triggers",
    "Configuration.FlowSid",
    "Configuration.ReplayAfter",
];

impl RestCall<'_> {
    /// The account's settings, or a service's. Nothing absent is changed.
    pub(super) fn hook_settings(&self, service: Option<ChatServiceSid>) -> RestAnswered {
        let view = self.account_view();
        let settings = self.read(|world| world.hook_settings(service).cloned())?;
        let settings = match *self.method {
            Method::GET => settings,
            Method::POST => {
                let known = ["Method", "Filters", "PreWebhookUrl", "PostWebhookUrl", "Target"];
                self.allow(if service.is_some() { &known[..4] } else { &known })?;
                let changed = changed(&self.form, settings)?;
                self.change(|core, _| core.world.set_hook_settings(service, changed.clone()))?;
                changed
            }
            _ => return Err(Refusal::MethodNotAllowed),
        };
        Ok(RestReply::Json(200, view.hook_settings(service, &settings)))
    }

    pub(super) fn hooks(&self, scope: Scope, service: ChatServiceSid, of: &str) -> RestAnswered {
        let conversation = self.read(|world| Ok(world.find_conversation(service, of)?.sid))?;
        let view = self.view(scope);
        match *self.method {
            Method::GET => {
                self.allow_query(&[])?;
                let wanted = WantedPage::read(&self.query, 5)?;
                let place = self.list_place("webhooks", Vec::new());
                let answer = self.read(|world| {
                    let of = world.conversation(conversation).ok_or(Refusal::NotFound)?;
                    let page = wanted.cut(of.hooks.iter().map(|hook| (hook.seq, hook)));
                    let items = page.items.iter().map(|hook| view.hook(of, hook)).collect();
                    Ok(wanted.answer(&page, items, &place))
                })?;
                Ok(RestReply::Json(200, answer))
            }
            Method::POST => {
                self.allow(&SCOPED)?;
                let target = self
                    .form
                    .read("Target", HookTarget::from_word)?
                    .ok_or(Refusal::ParameterMissing("Target"))?;
                let fields = hook_fields(&self.form)?;
                let shown = self.change(|core, at| {
                    let hook = core.world.create_hook(at, conversation, target, fields)?;
                    let of = core.world.conversation(conversation).ok_or(Refusal::NotFound)?;
                    Ok(view.hook(of, &hook))
                })?;
                Ok(RestReply::Json(201, shown))
            }
            _ => Err(Refusal::MethodNotAllowed),
        }
    }

    pub(super) fn hook(
        &self,
        scope: Scope,
        service: ChatServiceSid,
        (of, one): (&str, &str),
    ) -> RestAnswered {
        let sid: WebhookSid = one.parse().map_err(|_| Refusal::NotFound)?;
        let conversation = self.read(|world| Ok(world.find_conversation(service, of)?.sid))?;
        let view = self.view(scope);
        let shown = match *self.method {
            Method::GET => self.read(|world| {
                let of = world.conversation(conversation).ok_or(Refusal::NotFound)?;
                let hook = of.hooks.iter().find(|hook| hook.sid == sid);
                Ok(view.hook(of, hook.ok_or(Refusal::NotFound)?))
            })?,
            Method::POST => {
                self.allow(&SCOPED[1..6])?;
                let fields = hook_fields(&self.form)?;
                self.change(|core, at| {
                    let hook = core.world.update_hook(at, conversation, sid, fields)?;
                    let of = core.world.conversation(conversation).ok_or(Refusal::NotFound)?;
                    Ok(view.hook(of, &hook))
                })?
            }
            Method::DELETE => {
                self.change(|core, _| core.world.remove_hook(conversation, sid))?;
                return Ok(RestReply::Empty);
            }
            _ => return Err(Refusal::MethodNotAllowed),
        };
        Ok(RestReply::Json(200, shown))
    }
}

/// Reads a repeated filter name; an empty one alone means none.
pub(super) fn filters(form: &Fields, name: &str) -> Result<Option<Vec<EventKind>>, Refusal> {
    if form.first(name).is_none() {
        return Ok(None);
    }
    form.all(name)
        .filter(|word| !word.is_empty())
        .map(|word| EventKind::from_word(word).ok_or(Refusal::HookFilterInvalid))
        .collect::<Result<Vec<_>, _>>()
        .map(Some)
}

fn changed(form: &Fields, mut settings: HookSettings) -> Result<HookSettings, Refusal> {
    for (name, url) in
        [("PreWebhookUrl", &mut settings.pre_url), ("PostWebhookUrl", &mut settings.post_url)]
    {
        if let Some(wanted) = form.text(name) {
            *url = (!wanted.is_empty()).then_some(wanted);
        }
    }
    if let Some(wanted) = filters(form, "Filters")? {
        settings.filters = wanted;
    }
    if let Some(method) = form.read("Method", HookMethod::from_word)? {
        settings.method = Some(method);
    }
    Ok(settings)
}

fn hook_fields(form: &Fields) -> Result<HookFields, Refusal> {
    let triggers: Vec<String> = form.all("Configuration.Triggers").map(str::to_owned).collect();
    Ok(HookFields {
        url: form.filled("Configuration.Url"),
        method: form.read("Configuration.Method", HookMethod::from_word)?,
        filters: filters(form, "Configuration.Filters")?,
        triggers: (!triggers.is_empty()).then_some(triggers),
        flow_sid: form.filled("Configuration.FlowSid"),
        replay_after: form.parsed("Configuration.ReplayAfter")?,
    })
}
