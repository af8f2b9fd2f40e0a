//! The HTTP that clients send through the socket: routed to the Conversations client API and to Sync.
//!
//! Hosts are labels; the path decides. Every request leaves exactly one reply frame, unless a fault
//! eats it. Source: Conversations protocol notes 4 and Twilsock protocol notes 2.3, read 2026-11-21.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::call::{Answer, Call, SocketCaller, reply};
use super::shapes::Shapes;
use super::{subscriptions, sync_api};
use crate::emulator::faults::{Action, Occasion};
use crate::emulator::hub::Hub;
use crate::emulator::record::Happening;
use crate::emulator::rest::{ConnectionBroken, fault_body, fields::Fields, path};
use crate::emulator::sockets::TYPING_TIMEOUT_S;
use crate::emulator::state::World;
use crate::emulator::state::command::{
    Actor, Command, LastRead, MessageChange, NewConversation, NewMessage, NewParticipant, Outcome,
    ParticipantChange, UserFields,
};
use crate::emulator::state::model::NotificationLevel;
use crate::emulator::state::refusal::Refusal;
use crate::json;
use crate::pii::Pii;
use crate::realtime::twilsock::frame::{HttpRequest, Param};
use crate::twilio::sid::{ConversationSid, MessageSid, ParticipantSid};

/// Answers a request: id, request line and headers, payload.
///
/// # Errors
///
/// If a fault wants the connection broken.
pub(super) async fn serve(
    hub: &Hub,
    who: &SocketCaller,
    (id, request, payload): (String, HttpRequest, Bytes),
) -> Result<(), ConnectionBroken> {
    let fault = hub.fault(Occasion::SocketRequest(&request.method, &request.path));
    if let Some(Action::Delay { ms }) = fault {
        hub.sleep(Duration::from_millis(ms)).await;
    }
    let mutation = header(&request, "x-twilio-mutation-id").map(str::to_owned);
    let call = Call {
        hub,
        who,
        method: &request.method,
        query: query(&request),
        body: json::from_slice(&payload).unwrap_or_default(),
        mutation: mutation.clone(),
    };
    let answer = match &fault {
        Some(Action::BreakBefore) => return Err(ConnectionBroken),
        Some(Action::Answer { status, code, .. }) => {
            Some(Answer::json(*status, fault_body(*status, *code)))
        }
        Some(_) | None => {
            let is_silent = matches!(fault, Some(Action::Silence));
            call.answer(&id, &request.path, &payload, is_silent).await
        }
    };
    let answer = answer.map(|answer| answer.spoilt(hub));
    let eaten = matches!(fault, Some(Action::BreakAfter | Action::Silence));
    let status = answer.as_ref().map_or(202, |answer| answer.status);
    hub.record(Happening::SocketRequest {
        conn_id: who.conn_id,
        method: request.method.clone(),
        path: Pii::new(shown_path(&request)),
        body: Pii::new(String::from_utf8_lossy(&payload)),
        mutation_id: mutation,
        status: (!eaten).then_some(status),
    });
    let answer = match (answer, fault) {
        (_, Some(Action::BreakAfter)) => return Err(ConnectionBroken),
        (_, Some(Action::Silence)) | (None, _) => return Ok(()),
        (Some(_), Some(Action::AnswerAfter { status, code })) => {
            Answer::json(status, fault_body(status, code))
        }
        (Some(answer), _) => answer,
    };
    hub.with(|core, _| reply(core, who, &id, answer));
    Ok(())
}

fn header<'r>(request: &'r HttpRequest, name: &str) -> Option<&'r str> {
    request
        .headers
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

/// The path with its query, for the records.
fn shown_path(request: &HttpRequest) -> String {
    let query: Vec<String> =
        query(request).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    match query.is_empty() {
        true => request.path.clone(),
        false => format!("{}?{}", request.path, query.join("&")),
    }
}

/// The query; names and values come percent-encoded, of a repeated name the first counts.
fn query(request: &HttpRequest) -> BTreeMap<String, String> {
    let decoded = |text: &str| path::decode(text).unwrap_or_default();
    request
        .params
        .iter()
        .filter_map(|(name, param)| match param {
            Param::One(value) => Some((decoded(name), decoded(value))),
            Param::Many(values) => Some((decoded(name), decoded(values.first()?))),
        })
        .collect()
}

type Answered = Result<Answer, Refusal>;

impl Call<'_> {
    /// Does what is asked. A subscription has replied by itself then: its events follow the reply,
    /// so both are put in line at once.
    async fn answer(
        &self,
        id: &str,
        path: &str,
        payload: &[u8],
        is_silent: bool,
    ) -> Option<Answer> {
        let segments = path::segments(path).unwrap_or_default();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        if segments == ["v4", "Subscriptions"] && self.method.eq_ignore_ascii_case("POST") {
            if !is_silent {
                subscriptions::serve(self, id);
            }
            return None;
        }
        Some(match self.route(&segments, payload).await {
            Ok(answer) => answer,
            Err(refusal) => Answer::json(refusal.status(), refusal.body()),
        })
    }

    async fn route(&self, segments: &[&str], payload: &[u8]) -> Answered {
        match (segments, self.method) {
            (["Client", "v2", "Configuration"], "GET") => self.configuration(),
            (["Client", "v2", "ContentTemplates"], "GET") => Ok(Answer::json(
                200,
                json!({"templates": [], "meta": {"next_token": null, "previous_token": null}}),
            )),
            (["Client", "v2", "Services", service, rest @ ..], _) => {
                if service.parse() != Ok(self.who.service) {
                    return Err(Refusal::NotFound);
                }
                self.in_service(rest).await
            }
            (["v1", "Instances", _, "Typing"], "POST") => self.typing(payload),
            (["v3", rest @ ..], "GET") => Ok(sync_api::read(self, rest)),
            _ => Err(Refusal::NotFound),
        }
    }

    async fn in_service(&self, segments: &[&str]) -> Answered {
        match (segments, self.method) {
            (["Users", user, "Conversations"], "GET") => self.my_conversations(user),
            (["Users", user, "Conversations", of], "GET") => {
                let sid = self.my_conversation(user, of)?;
                self.show(200, Outcome::Conversation(sid))
            }
            (["Users", user, "Conversations", of], "POST") => self.set_horizon(user, of).await,
            (["Users", user], "GET") => self.user(user),
            (["Users", user], "POST") => self.update_user(user).await,
            (["Conversations"], "POST") => {
                let new = self.new_conversation();
                self.perform(201, Command::CreateConversation { service: self.who.service, new })
                    .await
            }
            (["Conversations", of, rest @ ..], _) => {
                let of =
                    self.world(|world| Ok(world.find_conversation(self.who.service, of)?.sid))?;
                self.in_conversation(of, rest).await
            }
            _ => Err(Refusal::NotFound),
        }
    }

    async fn in_conversation(&self, conversation: ConversationSid, rest: &[&str]) -> Answered {
        match (rest, self.method) {
            ([], "GET") => self.show(200, Outcome::Conversation(conversation)),
            ([], "POST") => {
                let change = self.new_conversation();
                self.perform(200, Command::UpdateConversation { conversation, change }).await
            }
            ([], "DELETE") => self.perform(204, Command::RemoveConversation { conversation }).await,
            (["Participants"], "POST") => {
                let (new, mutation) = (self.new_participant(), self.mutation.clone());
                self.perform(201, Command::AddParticipant { conversation, new, mutation }).await
            }
            (["Participants", one], method) => {
                let participant = self.world(|world| {
                    let of = world.conversation(conversation).ok_or(Refusal::NotFound)?;
                    Ok(of.participant(one).ok_or(Refusal::ParticipantNotFound)?.sid)
                })?;
                self.in_participant(conversation, participant, method).await
            }
            (["Messages"], "POST") => {
                let (new, mutation) = (self.new_message()?, self.mutation.clone());
                self.perform(201, Command::CreateMessage { conversation, new, mutation }).await
            }
            (["Messages", message, rest @ ..], _) => {
                let message: MessageSid = message.parse().map_err(|_| Refusal::NotFound)?;
                self.in_message(conversation, message, rest).await
            }
            (["MessageRecipients"], "GET") => Ok(Answer::json(
                200,
                json!({"message_recipients": [], "meta": {"next_token": null}}),
            )),
            _ => Err(Refusal::NotFound),
        }
    }

    async fn in_participant(
        &self,
        conversation: ConversationSid,
        participant: ParticipantSid,
        method: &str,
    ) -> Answered {
        match method {
            "GET" => self.show(200, Outcome::Participant(conversation, participant)),
            "POST" => {
                let change = ParticipantChange {
                    attributes: self.text("attributes"),
                    ..ParticipantChange::default()
                };
                let update = Command::UpdateParticipant { conversation, participant, change };
                self.perform(200, update).await
            }
            "DELETE" => {
                self.perform(204, Command::RemoveParticipant { conversation, participant }).await
            }
            _ => Err(Refusal::MethodNotAllowed),
        }
    }

    async fn in_message(
        &self,
        conversation: ConversationSid,
        message: MessageSid,
        rest: &[&str],
    ) -> Answered {
        match (rest, self.method) {
            ([], "GET") => self.show(200, Outcome::Message(conversation, message)),
            ([], "POST") => {
                let change = MessageChange {
                    body: self.text("body"),
                    attributes: self.text("attributes"),
                    ..MessageChange::default()
                };
                let update = Command::UpdateMessage { conversation, message, change };
                self.perform(200, update).await
            }
            ([], "DELETE") => {
                self.perform(204, Command::RemoveMessage { conversation, message }).await
            }
            (["Receipts"], "GET") => {
                let shapes = self.shapes();
                let receipts = self.world(|world| {
                    let (of, message) = world.find_message(conversation, message)?;
                    Ok(shapes.receipts(of, message))
                })?;
                Ok(Answer::json(200, receipts))
            }
            // Source: Conversations protocol notes 4, "metadata": 404 with 50530 means none.
            (["ChannelMetadata"], "GET") => Ok(Answer::json(
                404,
                json!({"status": 404, "code": 50530, "message": "Channel metadata not found"}),
            )),
            _ => Err(Refusal::NotFound),
        }
    }

    fn configuration(&self) -> Answered {
        Ok(Answer::json(200, self.shapes().configuration(&self.hub.urls.conversations)))
    }

    fn my_conversations(&self, user: &str) -> Answered {
        self.own(user)?;
        let (shapes, token) = (self.shapes(), self.query.get("PageToken"));
        let after: u64 = token.and_then(|token| token.parse().ok()).unwrap_or(0);
        let page = self.world(|world| Ok(shapes.my_conversations(world, after)))?;
        Ok(Answer::json(200, page))
    }

    /// Finds one of the caller's own conversations by sid or unique name.
    fn my_conversation(&self, user: &str, of: &str) -> Result<ConversationSid, Refusal> {
        self.own(user)?;
        self.world(|world| {
            let of = world.find_conversation(self.who.service, of)?;
            let own = of.participant_by_identity(self.who.identity.reveal());
            own.map(|_| of.sid).ok_or(Refusal::NotParticipant)
        })
    }

    async fn set_horizon(&self, user: &str, of: &str) -> Answered {
        let conversation = self.my_conversation(user, of)?;
        let participant = self.world(|world| {
            let of = world.conversation(conversation).ok_or(Refusal::NotFound)?;
            let own = of.participant_by_identity(self.who.identity.reveal());
            Ok(own.ok_or(Refusal::NotParticipant)?.sid)
        })?;
        let last_read = self
            .body
            .get("last_read_message_index")
            .map(|index| LastRead { index: index.as_u64(), at: None });
        let level = self.text("notification_level");
        let change = ParticipantChange {
            last_read,
            notification_level: level.as_deref().and_then(NotificationLevel::from_word),
            ..ParticipantChange::default()
        };
        let update = Command::UpdateParticipant { conversation, participant, change };
        self.hub.perform(&self.actor(), update).await?;
        self.show(200, Outcome::Conversation(conversation))
    }

    fn user(&self, one: &str) -> Answered {
        let shapes = self.shapes();
        let user = self.world(|world| Ok(shapes.user(world.find_user(self.who.service, one)?)))?;
        Ok(Answer::json(200, user))
    }

    async fn update_user(&self, one: &str) -> Answered {
        self.own(one)?;
        let fields = UserFields {
            friendly_name: self.text("friendly_name"),
            attributes: self.text("attributes"),
            role: None,
        };
        self.hub
            .perform(&self.actor(), Command::UpdateUser { user: self.who.user, fields })
            .await?;
        self.user(one)
    }

    fn typing(&self, payload: &[u8]) -> Answered {
        let form = Fields::parse(payload);
        let conversation: ConversationSid =
            form.parsed("ChannelSid")?.ok_or(Refusal::ParameterMissing("ChannelSid"))?;
        let identity = self.who.identity.reveal();
        self.hub.with(|core, _| core.world.type_in(conversation, identity))?;
        // The answer must be an object, or the official client throws.
        // Source: Conversations protocol notes 4, "Typing", read 2026-11-21.
        Ok(Answer::json(200, json!({"typing_timeout": TYPING_TIMEOUT_S})))
    }

    async fn perform(&self, status: u16, command: Command) -> Answered {
        let outcome = self.hub.perform(&self.actor(), command).await?;
        self.show(status, outcome)
    }

    fn show(&self, status: u16, outcome: Outcome) -> Answered {
        let shapes = self.shapes();
        self.world(|world| {
            Ok(match outcome {
                Outcome::Removed => Answer { status: 204, body: None },
                Outcome::Conversation(sid) => {
                    let of = world.conversation(sid).ok_or(Refusal::NotFound)?;
                    Answer::json(status, shapes.conversation(of))
                }
                Outcome::Participant(sid, one) => {
                    let of = world.conversation(sid).ok_or(Refusal::NotFound)?;
                    let one = of.participant_by_sid(one).ok_or(Refusal::NotFound)?;
                    Answer::json(status, shapes.participant(of, one))
                }
                Outcome::Message(sid, one) => {
                    let (of, one) = world.find_message(sid, one)?;
                    Answer::json(status, shapes.message(of, one))
                }
                Outcome::User(sid) => {
                    Answer::json(status, shapes.user(world.user(sid).ok_or(Refusal::NotFound)?))
                }
                // A mutation id that was taken already: where its work can be read.
                // Source: Conversations protocol notes, "Two request styles", read 2026-11-21.
                Outcome::RepeatedParticipant(sid, one) => {
                    Answer::json(202, json!({"resource_url": shapes.participant_url(sid, one)}))
                }
                Outcome::RepeatedMessage(sid, one) => {
                    Answer::json(202, json!({"resource_url": shapes.message_url(sid, one)}))
                }
            })
        })
    }

    fn new_conversation(&self) -> NewConversation {
        NewConversation {
            friendly_name: self.text("friendly_name"),
            unique_name: self.text("unique_name"),
            attributes: self.text("attributes"),
            ..NewConversation::default()
        }
    }

    fn new_participant(&self) -> NewParticipant {
        let binding = |name: &str| {
            self.body["messaging_binding"].get(name).and_then(Value::as_str).map(Pii::new)
        };
        NewParticipant {
            identity: self.text("identity"),
            address: binding("address"),
            proxy: binding("proxy_address"),
            projected: binding("projected_address"),
            attributes: self.text("attributes"),
            ..NewParticipant::default()
        }
    }

    fn new_message(&self) -> Result<NewMessage, Refusal> {
        let media = self.body["media_sids"].as_array().map(Vec::as_slice).unwrap_or_default();
        let media = media
            .iter()
            .map(|sid| sid.as_str().and_then(|sid| sid.parse().ok()).ok_or(Refusal::MediaInvalid))
            .collect::<Result<_, _>>()?;
        Ok(NewMessage {
            author: None,
            body: self.text("body"),
            subject: self.text("subject"),
            attributes: self.text("attributes"),
            media,
            content_sid: self.text("content_sid"),
            ..NewMessage::default()
        })
    }

    fn text(&self, name: &str) -> Option<String> {
        self.body.get(name).and_then(Value::as_str).map(str::to_owned)
    }

    /// Holds a path's user to the caller.
    fn own(&self, user: &str) -> Result<(), Refusal> {
        let is_own = user == self.who.identity.reveal() || user.parse() == Ok(self.who.user);
        if is_own { Ok(()) } else { Err(Refusal::NotFound) }
    }

    fn actor(&self) -> Actor {
        Actor::Sdk { identity: self.who.identity.reveal().to_owned() }
    }

    fn shapes(&self) -> Shapes {
        Shapes {
            account: self.hub.credentials.account_sid,
            service: self.who.service,
            identity: self.who.identity.clone(),
            user: self.who.user,
        }
    }

    pub(super) fn world<T>(
        &self,
        read: impl FnOnce(&World) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.hub.with(|core, _| read(&core.world))
    }
}
