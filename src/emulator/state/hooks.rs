//! Which webhooks an event goes to: the account's, the service's and the conversation's.
//!
//! Pure. Source: webhook notes 1.1 and 1.3, read 2026-11-21.

use super::event::{EventKind, Occurrence, message_fields};
use super::model::{Conversation, HookMethod, HookSettings, HookTarget, Message, ScopedHook};
use super::refusal::Refusal;
use super::target::{Scope, ScopeRule, Target};
use super::{Effect, World, about};
use crate::clock::Timestamp;
use crate::pii::Pii;
use crate::twilio::sid::{ChatServiceSid, ConversationSid, WebhookSid};

/// A conversation's webhook to be made or changed; what is absent stays.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the fields are those of Twilio's resource")]
pub struct HookFields {
    pub url: Option<String>,
    pub method: Option<HookMethod>,
    pub filters: Option<Vec<EventKind>>,
    pub triggers: Option<Vec<String>>,
    pub flow_sid: Option<String>,
    pub replay_after: Option<u64>,
}

impl World {
    /// The account's or a service's settings.
    ///
    /// # Errors
    ///
    /// If there is no such service.
    pub fn hook_settings(&self, service: Option<ChatServiceSid>) -> Result<&HookSettings, Refusal> {
        match service {
            None => Ok(&self.account_hooks),
            Some(service) => self.find_service(service).map(|service| &service.hooks),
        }
    }

    /// Replaces the account's or a service's settings.
    ///
    /// # Errors
    ///
    /// If there is no such service.
    pub fn set_hook_settings(
        &mut self,
        service: Option<ChatServiceSid>,
        settings: HookSettings,
    ) -> Result<(), Refusal> {
        match service {
            None => self.account_hooks = settings,
            Some(service) => {
                self.services.get_mut(&service).ok_or(Refusal::NotFound)?.hooks = settings;
            }
        }
        Ok(())
    }

    /// Makes a webhook of one conversation.
    ///
    /// # Errors
    ///
    /// If the conversation has five, or a field is missing or wrong.
    pub fn create_hook(
        &mut self,
        at: Timestamp,
        sid: ConversationSid,
        target: HookTarget,
        fields: HookFields,
    ) -> Result<ScopedHook, Refusal> {
        let conversation = self.existing(sid)?;
        if conversation.hooks.len() >= self.settings.limits.hooks {
            return Err(Refusal::TooManyHooks);
        }
        if matches!(target, HookTarget::Webhook | HookTarget::Trigger) && fields.url.is_none() {
            return Err(Refusal::HookUrlMissing);
        }
        let filters = fields.filters.unwrap_or_default();
        check_scoped_filters(&filters)?;
        let hook = ScopedHook {
            sid: self.ids.webhook(),
            seq: self.seq(),
            target,
            url: fields.url,
            method: fields.method.unwrap_or(HookMethod::Post),
            filters,
            triggers: fields.triggers.unwrap_or_default(),
            flow_sid: fields.flow_sid,
            replay_after: fields.replay_after,
            created: at,
            updated: at,
        };
        self.conversation_mut(sid)?.hooks.push(hook.clone());
        self.replay_to(sid, &hook)?;
        Ok(hook)
    }

    /// Sends a new webhook the messages from the index on that it asked for.
    /// Source: conversation-scoped webhook resource, `Configuration.ReplayAfter`, read 2026-11-21;
    /// the source of a replayed message is assumed.
    fn replay_to(&mut self, sid: ConversationSid, hook: &ScopedHook) -> Result<(), Refusal> {
        let (Some(first), Some(url)) = (hook.replay_after, &hook.url) else { return Ok(()) };
        let target = Target { scope: Scope::Conversation, url: url.clone(), method: hook.method };
        let conversation = self.existing(sid)?;
        let late: Vec<Effect> = conversation
            .messages
            .range(first..)
            .map(|(_, message)| added(conversation, message))
            .filter(|occurrence| wants(hook, occurrence))
            .map(|occurrence| Effect::HookLate(occurrence, target.clone()))
            .collect();
        self.effects.extend(late);
        Ok(())
    }

    /// Changes a webhook of one conversation.
    ///
    /// # Errors
    ///
    /// If there is none, or a field is wrong.
    pub fn update_hook(
        &mut self,
        at: Timestamp,
        sid: ConversationSid,
        hook: WebhookSid,
        fields: HookFields,
    ) -> Result<ScopedHook, Refusal> {
        if let Some(filters) = &fields.filters {
            check_scoped_filters(filters)?;
        }
        let hooks = &mut self.conversation_mut(sid)?.hooks;
        let hook = hooks.iter_mut().find(|one| one.sid == hook).ok_or(Refusal::NotFound)?;
        hook.url = fields.url.or(hook.url.take());
        hook.method = fields.method.unwrap_or(hook.method);
        hook.filters = fields.filters.unwrap_or(std::mem::take(&mut hook.filters));
        hook.triggers = fields.triggers.unwrap_or(std::mem::take(&mut hook.triggers));
        hook.flow_sid = fields.flow_sid.or(hook.flow_sid.take());
        hook.updated = at;
        Ok(hook.clone())
    }

    /// Removes a webhook of one conversation.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn remove_hook(&mut self, sid: ConversationSid, hook: WebhookSid) -> Result<(), Refusal> {
        let hooks = &mut self.conversation_mut(sid)?.hooks;
        let before = hooks.len();
        hooks.retain(|one| one.sid != hook);
        if hooks.len() == before { Err(Refusal::NotFound) } else { Ok(()) }
    }

    /// The webhooks that an event goes to. A pre-action event has one at most.
    #[must_use]
    pub fn targets(&self, occurrence: &Occurrence) -> Vec<Target> {
        let mut targets: Vec<Target> = self.wide_target(occurrence).into_iter().collect();
        if occurrence.kind.is_pre() || !is_scoped(occurrence.kind) {
            return targets;
        }
        let Some(conversation) = occurrence.conversation.and_then(|sid| self.conversation(sid))
        else {
            return targets;
        };
        targets.extend(
            conversation.hooks.iter().filter(|hook| wants(hook, occurrence)).filter_map(|hook| {
                Some(Target {
                    scope: Scope::Conversation,
                    url: hook.url.clone()?,
                    method: hook.method,
                })
            }),
        );
        targets
    }

    fn wide_target(&self, occurrence: &Occurrence) -> Option<Target> {
        let service = &self.services.get(&occurrence.service)?.hooks;
        let from_carrier = matches!(occurrence.source, "SMS" | "WHATSAPP");
        let to_account = match self.settings.scope_rule {
            ScopeRule::Documented => !service.is_configured(),
            ScopeRule::Observed => {
                !service.is_configured()
                    || (self.account_hooks.is_configured()
                        && from_carrier
                        && occurrence.kind == EventKind::MessageAdded)
            }
        };
        let (scope, settings) = if to_account {
            (Scope::Account, &self.account_hooks)
        } else {
            (Scope::Service, service)
        };
        let url = match occurrence.kind.is_pre() {
            true => settings.pre_url.as_ref(),
            false => settings.post_url.as_ref(),
        };
        // The service's definition names no user events, the account's does.
        let is_named = scope == Scope::Account || !occurrence.kind.is_of_user();
        (is_named && settings.filters.contains(&occurrence.kind)).then_some(())?;
        Some(Target {
            scope,
            url: url?.clone(),
            method: settings.method.unwrap_or(HookMethod::Post),
        })
    }
}

fn wants(hook: &ScopedHook, occurrence: &Occurrence) -> bool {
    match hook.target {
        HookTarget::Webhook => hook.filters.contains(&occurrence.kind),
        HookTarget::Trigger => {
            let body = occurrence.fields.iter().find(|(name, _)| *name == "Body");
            occurrence.kind == EventKind::MessageAdded
                && body.is_some_and(|(_, body)| {
                    let body = body.reveal().to_lowercase();
                    hook.triggers.iter().any(|word| body.contains(&word.to_lowercase()))
                })
        }
        HookTarget::Studio => false,
    }
}

/// The event of a message's arrival.
pub(super) fn added(conversation: &Conversation, message: &Message) -> Occurrence {
    let mut fields = message_fields(conversation, message, true);
    fields.push(("MessagingServiceSid", Pii::new(conversation.messaging_service.to_string())));
    let mut added = about(conversation, EventKind::MessageAdded, fields);
    added.index = Some(message.index);
    added
}

/// The post events that a conversation's own webhook can be asked for.
const fn is_scoped(kind: EventKind) -> bool {
    !kind.is_pre() && !kind.is_of_user() && !matches!(kind, EventKind::ConversationAdded)
}

fn check_scoped_filters(filters: &[EventKind]) -> Result<(), Refusal> {
    match filters.iter().all(|kind| is_scoped(*kind)) {
        true => Ok(()),
        false => Err(Refusal::HookFilterInvalid),
    }
}
