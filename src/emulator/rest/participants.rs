//! Participants over REST.

use axum::http::Method;

use super::page::WantedPage;
use super::path::Scope;
use super::{RestAnswered, RestCall, RestReply};
use crate::emulator::state::command::{Command, LastRead, NewParticipant, ParticipantChange};
use crate::emulator::state::refusal::Refusal;
use crate::pii::Pii;
use crate::twilio::sid::{ChatServiceSid, ConversationSid, ParticipantSid};

/// Source: API definition, `CreateConversationParticipant`, read 2026-11-21.
const CREATE: [&str; 8] = [
    "Identity",
    "MessagingBinding.Address",
    "MessagingBinding.ProxyAddress",
    "DateCreated",
    "DateUpdated",
    "Attributes",
    "MessagingBinding.ProjectedAddress",
    "RoleSid",
];

/// Source: API definition, `UpdateConversationParticipant`, read 2026-11-21.
const UPDATE: [&str; 9] = [
    "DateCreated",
    "DateUpdated",
    "Attributes",
    "RoleSid",
    "MessagingBinding.ProxyAddress",
    "MessagingBinding.ProjectedAddress",
    "Identity",
    "LastReadMessageIndex",
    "LastReadTimestamp",
];

impl RestCall<'_> {
    pub(super) async fn participants(
        &self,
        scope: Scope,
        service: ChatServiceSid,
        of: &str,
    ) -> RestAnswered {
        let conversation = self.read(|world| Ok(world.find_conversation(service, of)?.sid))?;
        match *self.method {
            Method::GET => self.list_participants(scope, conversation),
            Method::POST => {
                self.allow(&CREATE)?;
                let new = self.new_participant()?;
                let add = Command::AddParticipant { conversation, new, mutation: None };
                self.perform(scope, 201, add).await
            }
            _ => Err(Refusal::MethodNotAllowed),
        }
    }

    pub(super) async fn participant(
        &self,
        scope: Scope,
        service: ChatServiceSid,
        (of, one): (&str, &str),
    ) -> RestAnswered {
        let conversation = self.read(|world| Ok(world.find_conversation(service, of)?.sid))?;
        if *self.method == Method::GET {
            // Fetching takes the identity in the sid's place. Source: REST notes 2.1.
            let view = self.view(scope);
            let shown = self.read(|world| {
                let of = world.conversation(conversation).ok_or(Refusal::NotFound)?;
                Ok(view.participant(of, of.participant(one).ok_or(Refusal::NotFound)?))
            })?;
            return Ok(RestReply::Json(200, shown));
        }
        // So do update and delete here, which the recorded flows show of one server and the
        // definition does not promise.
        let participant: ParticipantSid = self.read(|world| {
            let of = world.conversation(conversation).ok_or(Refusal::NotFound)?;
            Ok(of.participant(one).ok_or(Refusal::NotFound)?.sid)
        })?;
        match *self.method {
            Method::POST => {
                self.allow(&UPDATE)?;
                let change = self.participant_change()?;
                let update = Command::UpdateParticipant { conversation, participant, change };
                self.perform(scope, 200, update).await
            }
            Method::DELETE => {
                let remove = Command::RemoveParticipant { conversation, participant };
                self.perform(scope, 204, remove).await
            }
            _ => Err(Refusal::MethodNotAllowed),
        }
    }

    fn list_participants(&self, scope: Scope, conversation: ConversationSid) -> RestAnswered {
        self.allow_query(&[])?;
        let wanted = WantedPage::read(&self.query, 100)?;
        let (view, place) = (self.view(scope), self.list_place("participants", Vec::new()));
        let answer = self.read(|world| {
            let of = world.conversation(conversation).ok_or(Refusal::NotFound)?;
            let page = wanted.cut(of.participants.iter().map(|(seq, one)| (*seq, one)));
            let items = page.items.iter().map(|one| view.participant(of, one)).collect();
            Ok(wanted.answer(&page, items, &place))
        })?;
        Ok(RestReply::Json(200, answer))
    }

    fn new_participant(&self) -> Result<NewParticipant, Refusal> {
        let form = &self.form;
        Ok(NewParticipant {
            identity: form.filled("Identity"),
            address: form.filled("MessagingBinding.Address").map(Pii::new),
            proxy: form.filled("MessagingBinding.ProxyAddress").map(Pii::new),
            projected: form.filled("MessagingBinding.ProjectedAddress").map(Pii::new),
            attributes: form.text("Attributes"),
            role: form.parsed("RoleSid")?,
            dates: form.dates()?,
        })
    }

    fn participant_change(&self) -> Result<ParticipantChange, Refusal> {
        let form = &self.form;
        let last_read = match form.first("LastReadMessageIndex") {
            None => None,
            Some(_) => Some(LastRead {
                index: form.parsed("LastReadMessageIndex")?,
                at: form.time("LastReadTimestamp")?,
            }),
        };
        Ok(ParticipantChange {
            attributes: form.text("Attributes"),
            role: form.parsed("RoleSid")?,
            identity: form.filled("Identity"),
            proxy: form.filled("MessagingBinding.ProxyAddress").map(Pii::new),
            projected: form.filled("MessagingBinding.ProjectedAddress").map(Pii::new),
            last_read,
            notification_level: None,
            dates: form.dates()?,
        })
    }
}
