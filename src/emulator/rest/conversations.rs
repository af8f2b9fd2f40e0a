//! Conversations over REST: list, create, fetch, update, delete; with participants; by participant.

use axum::http::Method;
use serde::Deserialize;

use super::fields::Fields;
use super::page::WantedPage;
use super::path::Scope;
use super::{RestAnswered, RestCall, RestReply};
use crate::clock::Timestamp;
use crate::emulator::state::World;
use crate::emulator::state::command::{Actor, Command, NewConversation, NewParticipant, Outcome};
use crate::emulator::state::model::{Conversation, Participant, State, Timers};
use crate::emulator::state::refusal::Refusal;
use crate::json;
use crate::pii::Pii;
use crate::twilio::sid::ChatServiceSid;

/// Source: API definition, `CreateConversation`, read 2026-11-21.
const FIELDS: [&str; 11] = [
    "FriendlyName",
    "UniqueName",
    "DateCreated",
    "DateUpdated",
    "MessagingServiceSid",
    "Attributes",
    "State",
    "Timers.Inactive",
    "Timers.Closed",
    "Bindings.Email.Address",
    "Bindings.Email.Name",
];

/// Participants that one request may bring. Source: error dictionary 50426; the number is assumed.
const PARTICIPANTS_MAX: usize = 10;

impl RestCall<'_> {
    pub(super) async fn conversations(
        &self,
        scope: Scope,
        service: ChatServiceSid,
    ) -> RestAnswered {
        match *self.method {
            Method::GET => self.list_conversations(scope, service),
            Method::POST => {
                self.allow(&FIELDS)?;
                let new = new_conversation(&self.form)?;
                self.perform(scope, 201, Command::CreateConversation { service, new }).await
            }
            _ => Err(Refusal::MethodNotAllowed),
        }
    }

    pub(super) async fn conversation(
        &self,
        scope: Scope,
        service: ChatServiceSid,
        sid_or_name: &str,
    ) -> RestAnswered {
        let conversation =
            self.read(|world| Ok(world.find_conversation(service, sid_or_name)?.sid))?;
        match *self.method {
            Method::GET => {
                let view = self.view(scope);
                let shown = self.read(|world| {
                    Ok(view.conversation(world.find_conversation(service, sid_or_name)?))
                })?;
                Ok(RestReply::Json(200, shown))
            }
            Method::POST => {
                self.allow(&FIELDS)?;
                let change = new_conversation(&self.form)?;
                let command = Command::UpdateConversation { conversation, change };
                self.perform(scope, 200, command).await
            }
            Method::DELETE => {
                self.perform(scope, 204, Command::RemoveConversation { conversation }).await
            }
            _ => Err(Refusal::MethodNotAllowed),
        }
    }

    fn list_conversations(&self, scope: Scope, service: ChatServiceSid) -> RestAnswered {
        self.allow_query(&["StartDate", "EndDate", "State"])?;
        let wanted = WantedPage::read(&self.query, 100)?;
        let (from, to) = (self.query.time("StartDate")?, self.query.time("EndDate")?);
        let state = self.query.read("State", State::from_word)?;
        let filters: Vec<(&str, &str)> = ["StartDate", "EndDate", "State"]
            .into_iter()
            .filter_map(|name| Some((name, self.query.first(name)?)))
            .collect();
        let (view, place) = (self.view(scope), self.list_place("conversations", filters));
        let answer = self.read(|world| {
            let chosen = world
                .conversations(service)
                .filter(|(_, one)| is_within(one.created, from, to))
                .filter(|(_, one)| state.is_none_or(|state| one.state == state));
            let page = wanted.cut(chosen);
            let items = page.items.iter().map(|one| view.conversation(one)).collect();
            Ok(wanted.answer(&page, items, &place))
        })?;
        Ok(RestReply::Json(200, answer))
    }

    /// Makes a conversation and adds all participants, or makes nothing.
    pub(super) async fn with_participants(
        &self,
        scope: Scope,
        service: ChatServiceSid,
    ) -> RestAnswered {
        if *self.method != Method::POST {
            return Err(Refusal::MethodNotAllowed);
        }
        let known: Vec<&str> = FIELDS.iter().copied().chain(["Participant"]).collect();
        self.allow(&known)?;
        let mut participants = self
            .form
            .all("Participant")
            .map(participant_of_json)
            .collect::<Result<Vec<_>, Refusal>>()?;
        if participants.len() > PARTICIPANTS_MAX {
            return Err(Refusal::ParameterInvalid("Participant"));
        }
        // Our number completes a group's list, which is compared with other groups only then.
        participants.sort_by_key(|one| one.projected.is_some());
        let actor = Actor::Api { hooks: self.hooks };
        let new = new_conversation(&self.form)?;
        let create = Command::CreateConversation { service, new };
        let Outcome::Conversation(conversation) = self.hub.perform(&actor, create).await? else {
            return Err(Refusal::NotFound);
        };
        for new in participants {
            let add = Command::AddParticipant { conversation, new, mutation: None };
            if let Err(refusal) = self.hub.perform(&actor, add).await {
                let silent = Actor::Api { hooks: false };
                self.hub.perform(&silent, Command::RemoveConversation { conversation }).await?;
                return Err(refusal);
            }
        }
        let view = self.view(scope);
        let shown = self.read(|world| {
            Ok(view.conversation(world.conversation(conversation).ok_or(Refusal::NotFound)?))
        })?;
        // The definition's answer is 201 or 202 by version; 202 is what the notes name.
        Ok(RestReply::Json(202, shown))
    }

    pub(super) fn participant_conversations(
        &self,
        scope: Scope,
        service: ChatServiceSid,
    ) -> RestAnswered {
        if *self.method != Method::GET {
            return Err(Refusal::MethodNotAllowed);
        }
        self.allow_query(&["Identity", "Address"])?;
        let wanted = WantedPage::read(&self.query, 50)?;
        let (identity, address) = (self.query.filled("Identity"), self.query.filled("Address"));
        let filter = match (&identity, &address) {
            (Some(_), Some(_)) => return Err(Refusal::BothIdentityAndAddress),
            (None, None) => return Err(Refusal::ParameterMissing("Identity")),
            (Some(identity), None) => ("Identity", identity.as_str()),
            (None, Some(address)) => ("Address", address.as_str()),
        };
        let (view, place) = (self.view(scope), self.list_place("conversations", vec![filter]));
        let answer = self.read(|world| {
            let page = wanted.cut(found(world, service, filter));
            let items = page
                .items
                .iter()
                .map(|(of, one)| {
                    let user = one
                        .identity
                        .as_ref()
                        .and_then(|identity| world.user_by_identity(service, identity));
                    view.participant_conversation(of, one, user)
                })
                .collect();
            Ok(wanted.answer(&page, items, &place))
        })?;
        Ok(RestReply::Json(200, answer))
    }
}

fn found<'a>(
    world: &'a World,
    service: ChatServiceSid,
    (by, value): (&'a str, &'a str),
) -> impl Iterator<Item = (u64, (&'a Conversation, &'a Participant))> {
    world.conversations(service).filter_map(move |(seq, conversation)| {
        let participant = match by {
            "Identity" => conversation.participant_by_identity(value),
            _ => conversation.participant_by_address(value),
        };
        Some((seq, (conversation, participant?)))
    })
}

fn is_within(at: Timestamp, from: Option<Timestamp>, to: Option<Timestamp>) -> bool {
    from.is_none_or(|from| at >= from) && to.is_none_or(|to| at <= to)
}

fn new_conversation(form: &Fields) -> Result<NewConversation, Refusal> {
    let state = match form.first("State").filter(|word| !word.is_empty()) {
        None => None,
        Some(word) => Some(State::from_word(word).ok_or(Refusal::StateInvalid)?),
    };
    Ok(NewConversation {
        friendly_name: form.text("FriendlyName"),
        unique_name: form.text("UniqueName"),
        attributes: form.text("Attributes"),
        messaging_service: form.parsed("MessagingServiceSid")?,
        state,
        timers: Timers {
            inactive: form.text("Timers.Inactive"),
            closed: form.text("Timers.Closed"),
        },
        dates: form.dates()?,
    })
}

/// One `Participant` of the form, a JSON text in snake case.
#[derive(Deserialize)]
struct ParticipantJson {
    identity: Option<String>,
    messaging_binding: Option<BindingJson>,
    attributes: Option<String>,
}

#[derive(Deserialize)]
struct BindingJson {
    address: Option<Pii>,
    proxy_address: Option<Pii>,
    projected_address: Option<Pii>,
}

fn participant_of_json(text: &str) -> Result<NewParticipant, Refusal> {
    let one: ParticipantJson =
        json::from_str(text).map_err(|_| Refusal::ParameterInvalid("Participant"))?;
    let (address, proxy, projected) = one.messaging_binding.map_or((None, None, None), |binding| {
        (binding.address, binding.proxy_address, binding.projected_address)
    });
    Ok(NewParticipant {
        identity: one.identity,
        address,
        proxy,
        projected,
        attributes: one.attributes,
        ..NewParticipant::default()
    })
}
