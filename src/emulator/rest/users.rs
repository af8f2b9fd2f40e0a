//! Users and their conversations over REST.

use axum::http::Method;

use super::page::WantedPage;
use super::path::Scope;
use super::{RestAnswered, RestCall, RestReply};
use crate::emulator::state::World;
use crate::emulator::state::command::{Actor, Command, LastRead, ParticipantChange, UserFields};
use crate::emulator::state::model::{Conversation, NotificationLevel, Participant, User};
use crate::emulator::state::refusal::Refusal;
use crate::twilio::sid::ChatServiceSid;

/// Source: API definition, `CreateUser`, read 2026-11-21.
const FIELDS: [&str; 4] = ["Identity", "FriendlyName", "Attributes", "RoleSid"];

impl RestCall<'_> {
    pub(super) async fn users(&self, scope: Scope, service: ChatServiceSid) -> RestAnswered {
        match *self.method {
            Method::GET => {
                self.allow_query(&[])?;
                let wanted = WantedPage::read(&self.query, 50)?;
                let (view, place) = (self.view(scope), self.list_place("users", Vec::new()));
                let answer = self.read(|world| {
                    let page = wanted.cut(world.users(service).into_iter());
                    let items = page.items.iter().map(|one| view.user(one)).collect();
                    Ok(wanted.answer(&page, items, &place))
                })?;
                Ok(RestReply::Json(200, answer))
            }
            Method::POST => {
                self.allow(&FIELDS)?;
                let identity =
                    self.form.filled("Identity").ok_or(Refusal::ParameterMissing("Identity"))?;
                let fields = self.user_fields()?;
                let create = Command::CreateUser { service, identity, fields };
                self.perform(scope, 201, create).await
            }
            _ => Err(Refusal::MethodNotAllowed),
        }
    }

    pub(super) async fn user(
        &self,
        scope: Scope,
        service: ChatServiceSid,
        one: &str,
    ) -> RestAnswered {
        let user = self.read(|world| Ok(world.find_user(service, one)?.sid))?;
        match *self.method {
            Method::GET => {
                let view = self.view(scope);
                let shown = self.read(|world| Ok(view.user(world.find_user(service, one)?)))?;
                Ok(RestReply::Json(200, shown))
            }
            Method::POST => {
                self.allow(&FIELDS[1..])?;
                let fields = self.user_fields()?;
                self.perform(scope, 200, Command::UpdateUser { user, fields }).await
            }
            Method::DELETE => self.perform(scope, 204, Command::RemoveUser { user }).await,
            _ => Err(Refusal::MethodNotAllowed),
        }
    }

    pub(super) fn user_conversations(
        &self,
        scope: Scope,
        service: ChatServiceSid,
        user: &str,
    ) -> RestAnswered {
        if *self.method != Method::GET {
            return Err(Refusal::MethodNotAllowed);
        }
        self.allow_query(&[])?;
        let wanted = WantedPage::read(&self.query, 50)?;
        let (view, place) = (self.view(scope), self.list_place("conversations", Vec::new()));
        let answer = self.read(|world| {
            let user = world.find_user(service, user)?;
            let mut seats: Vec<_> = world
                .seats(service, &user.identity)
                .filter_map(|(sid, _)| world.conversation(sid))
                .map(|of| (of.seq, of))
                .collect();
            seats.sort_by_key(|(seq, _)| *seq);
            let page = wanted.cut(seats.into_iter());
            let items = page
                .items
                .iter()
                .filter_map(|of| {
                    let one = of.participant_by_identity(&user.identity)?;
                    Some(view.user_conversation(user, of, one))
                })
                .collect();
            Ok(wanted.answer(&page, items, &place))
        })?;
        Ok(RestReply::Json(200, answer))
    }

    pub(super) async fn user_conversation(
        &self,
        scope: Scope,
        service: ChatServiceSid,
        (user, of): (&str, &str),
    ) -> RestAnswered {
        let (conversation, participant) = self.read(|world| {
            let (_, of, one) = seat(world, service, (user, of))?;
            Ok((of.sid, one.sid))
        })?;
        let actor = Actor::Api { hooks: self.hooks };
        match *self.method {
            Method::GET => {}
            Method::POST => {
                self.allow(&["NotificationLevel", "LastReadTimestamp", "LastReadMessageIndex"])?;
                let last_read = match self.form.first("LastReadMessageIndex") {
                    None => None,
                    Some(_) => Some(LastRead {
                        index: self.form.parsed("LastReadMessageIndex")?,
                        at: self.form.time("LastReadTimestamp")?,
                    }),
                };
                let change = ParticipantChange {
                    last_read,
                    notification_level: self
                        .form
                        .read("NotificationLevel", NotificationLevel::from_word)?,
                    ..ParticipantChange::default()
                };
                let update = Command::UpdateParticipant { conversation, participant, change };
                self.hub.perform(&actor, update).await?;
            }
            Method::DELETE => {
                let remove = Command::RemoveParticipant { conversation, participant };
                self.hub.perform(&actor, remove).await?;
                return Ok(RestReply::Empty);
            }
            _ => return Err(Refusal::MethodNotAllowed),
        }
        let view = self.view(scope);
        let shown = self.read(|world| {
            let (user, of, one) = seat(world, service, (user, of))?;
            Ok(view.user_conversation(user, of, one))
        })?;
        Ok(RestReply::Json(200, shown))
    }

    fn user_fields(&self) -> Result<UserFields, Refusal> {
        Ok(UserFields {
            friendly_name: self.form.text("FriendlyName"),
            attributes: self.form.text("Attributes"),
            role: self.form.parsed("RoleSid")?,
        })
    }
}

fn seat<'w>(
    world: &'w World,
    service: ChatServiceSid,
    (user, of): (&str, &str),
) -> Result<(&'w User, &'w Conversation, &'w Participant), Refusal> {
    let user = world.find_user(service, user)?;
    let of = world.find_conversation(service, of)?;
    let one = of.participant_by_identity(&user.identity).ok_or(Refusal::NotFound)?;
    Ok((user, of, one))
}
