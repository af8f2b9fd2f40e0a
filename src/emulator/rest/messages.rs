//! Messages and their delivery receipts over REST.

use axum::http::Method;

use super::page::WantedPage;
use super::path::Scope;
use super::{RestAnswered, RestCall, RestReply};
use crate::emulator::state::command::{Command, MessageChange, NewMessage};
use crate::emulator::state::refusal::Refusal;
use crate::twilio::sid::{ChatServiceSid, ConversationSid, MessageSid};

/// Source: API definition, `CreateConversationMessage`, read 2026-11-21.
const CREATE: [&str; 9] = [
    "Author",
    "Body",
    "DateCreated",
    "DateUpdated",
    "Attributes",
    "MediaSid",
    "ContentSid",
    "ContentVariables",
    "Subject",
];

/// Source: API definition, `UpdateConversationMessage`, read 2026-11-21.
const UPDATE: [&str; 6] = ["Author", "Body", "DateCreated", "DateUpdated", "Attributes", "Subject"];

impl RestCall<'_> {
    pub(super) async fn messages(
        &self,
        scope: Scope,
        service: ChatServiceSid,
        of: &str,
    ) -> RestAnswered {
        let conversation = self.read(|world| Ok(world.find_conversation(service, of)?.sid))?;
        match *self.method {
            Method::GET => self.list_messages(scope, conversation),
            Method::POST => {
                self.allow(&CREATE)?;
                let form = &self.form;
                let new = NewMessage {
                    author: form.filled("Author"),
                    body: form.text("Body"),
                    subject: form.text("Subject"),
                    attributes: form.text("Attributes"),
                    media: form.parsed("MediaSid")?.into_iter().collect(),
                    content_sid: form.filled("ContentSid"),
                    dates: form.dates()?,
                };
                let create = Command::CreateMessage { conversation, new, mutation: None };
                self.perform(scope, 201, create).await
            }
            _ => Err(Refusal::MethodNotAllowed),
        }
    }

    pub(super) async fn message(
        &self,
        scope: Scope,
        service: ChatServiceSid,
        (of, one): (&str, &str),
    ) -> RestAnswered {
        let (conversation, message) = self.find_message(service, of, one)?;
        match *self.method {
            Method::GET => {
                let view = self.view(scope);
                let shown = self.read(|world| {
                    let (of, one) = world.find_message(conversation, message)?;
                    Ok(view.message(of, one))
                })?;
                Ok(RestReply::Json(200, shown))
            }
            Method::POST => {
                self.allow(&UPDATE)?;
                let change = MessageChange {
                    author: self.form.filled("Author"),
                    body: self.form.text("Body"),
                    subject: self.form.text("Subject"),
                    attributes: self.form.text("Attributes"),
                    dates: self.form.dates()?,
                };
                let update = Command::UpdateMessage { conversation, message, change };
                self.perform(scope, 200, update).await
            }
            Method::DELETE => {
                self.perform(scope, 204, Command::RemoveMessage { conversation, message }).await
            }
            _ => Err(Refusal::MethodNotAllowed),
        }
    }

    pub(super) fn receipts(
        &self,
        scope: Scope,
        service: ChatServiceSid,
        (of, one): (&str, &str),
    ) -> RestAnswered {
        if *self.method != Method::GET {
            return Err(Refusal::MethodNotAllowed);
        }
        self.allow_query(&[])?;
        let (conversation, message) = self.find_message(service, of, one)?;
        let wanted = WantedPage::read(&self.query, 50)?;
        let (view, place) = (self.view(scope), self.list_place("delivery_receipts", Vec::new()));
        let answer = self.read(|world| {
            let (of, message) = world.find_message(conversation, message)?;
            let page = wanted.cut((0..).zip(&message.receipts));
            let items = page.items.iter().map(|one| view.receipt(of, message, one)).collect();
            Ok(wanted.answer(&page, items, &place))
        })?;
        Ok(RestReply::Json(200, answer))
    }

    pub(super) fn receipt(
        &self,
        scope: Scope,
        service: ChatServiceSid,
        (of, message, one): (&str, &str, &str),
    ) -> RestAnswered {
        if *self.method != Method::GET {
            return Err(Refusal::MethodNotAllowed);
        }
        let (conversation, message) = self.find_message(service, of, message)?;
        let view = self.view(scope);
        let shown = self.read(|world| {
            let (of, message) = world.find_message(conversation, message)?;
            let receipt = message.receipts.iter().find(|receipt| receipt.sid.to_string() == one);
            Ok(view.receipt(of, message, receipt.ok_or(Refusal::NotFound)?))
        })?;
        Ok(RestReply::Json(200, shown))
    }

    fn list_messages(&self, scope: Scope, conversation: ConversationSid) -> RestAnswered {
        self.allow_query(&["Order"])?;
        let wanted = WantedPage::read(&self.query, 100)?;
        let filters: Vec<(&str, &str)> =
            self.query.first("Order").map(|order| ("Order", order)).into_iter().collect();
        let (view, place) = (self.view(scope), self.list_place("messages", filters));
        let answer = self.read(|world| {
            let of = world.conversation(conversation).ok_or(Refusal::NotFound)?;
            let page = wanted.cut(of.messages.iter().map(|(index, one)| (*index, one)));
            let items = page.items.iter().map(|one| view.message(of, one)).collect();
            Ok(wanted.answer(&page, items, &place))
        })?;
        Ok(RestReply::Json(200, answer))
    }

    fn find_message(
        &self,
        service: ChatServiceSid,
        of: &str,
        one: &str,
    ) -> Result<(ConversationSid, MessageSid), Refusal> {
        let message: MessageSid = one.parse().map_err(|_| Refusal::NotFound)?;
        self.read(|world| {
            let conversation = world.find_conversation(service, of)?.sid;
            world.find_message(conversation, message)?;
            Ok((conversation, message))
        })
    }
}
