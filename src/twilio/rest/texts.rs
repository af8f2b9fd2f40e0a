//! Programmable Messaging: sends SMS, WhatsApp and RCS messages, looks for them, shows typing.
//!
//! Decides nothing: no length, pace or opt-out is checked here, and nothing is sent twice by itself. Twilio
//! knows no idempotency key for these messages and no attributes, so whoever gets an error that
//! [`Error::may_have_happened`] lists the newest ones before it sends again.
//! Source: Messages resource, vendor definition of April 2026, read 2026-11-21.

use reqwest::Method;
use serde::{Deserialize, Deserializer};
use url::Url;

use super::model::{Entry, read_by_members};
use super::operations::none_if_absent;
use super::{Client, Error, Op, Pages, below};
use crate::clock::Timestamp;
use crate::json::{Members, Unreadable};
use crate::pii::Pii;
use crate::twilio::form::Form;
use crate::twilio::messaging::{MEDIA_MAX, MessageStatus};
use crate::twilio::sid::{ContentSid, MediaSid, MessagingServiceSid, TextSid};

/// The largest page that is asked for. Twilio gives 1,000, whose texts could be more than an answer may
/// have.
const PAGE_MAX: usize = 100;

/// The channel that shows typing. Source: typing indicators resource, version 2, read 2026-11-29.
const TYPING_CHANNEL: &str = "whatsapp";

/// Who sends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TextSender {
    /// An address of ours: a number, behind `whatsapp:` or the like if that is its channel.
    Address(Pii),
    /// A messaging service, which chooses the address.
    Service(MessagingServiceSid),
}

/// A message to send.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewText {
    /// Who sends it.
    pub from: TextSender,
    /// To whom: a number or an id, behind the word of its channel if that is not SMS.
    pub to: Pii,
    /// The text, 1,600 characters at most; none with a template.
    pub body: Option<Pii>,
    /// Where the files are, ten at most; Twilio fetches them. None with a template.
    pub media_urls: Vec<Pii>,
    /// A template.
    pub content_sid: Option<ContentSid>,
    /// The template's variables, JSON as text.
    pub content_variables: Option<Pii>,
    /// Where Twilio says how the message fares.
    pub status_callback: Option<String>,
}

/// A message, in or out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Text {
    /// Its sid.
    pub sid: TextSid,
    /// Who wrote it; none while a messaging service has not chosen an address.
    pub from: Option<Pii>,
    /// To whom.
    pub to: Option<Pii>,
    /// The text; none for one of files alone.
    pub body: Option<Pii>,
    /// Where it stands; nothing for a word that this program does not know.
    pub status: Option<MessageStatus>,
    /// Why it failed.
    pub error_code: Option<u32>,
    /// Whether it came to us.
    pub is_inbound: bool,
    /// How many files it has.
    pub media: u32,
    /// The messaging service that it went or came by.
    pub messaging_service_sid: Option<MessagingServiceSid>,
    /// When Twilio took it.
    pub created: Option<Timestamp>,
    /// When it was sent on; for one that came in, when it came.
    pub sent: Option<Timestamp>,
}

/// A file of a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TextMedia {
    /// Its sid.
    pub sid: MediaSid,
    /// Its type, as the sender said.
    pub content_type: Option<String>,
}

impl Entry for TextMedia {
    fn read(of: &Members<'_>) -> Result<Self, Unreadable> {
        Ok(Self { sid: of.need("sid")?, content_type: of.get("content_type") })
    }
}

/// Which messages to list.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TextFilter {
    /// Only those to this address.
    pub to: Option<Pii>,
    /// Only those from this address.
    pub from: Option<Pii>,
}

/// Walks a listing of messages, newest first as Twilio gives them.
pub type TextPages = Pages<Text>;

impl Client {
    /// Sends a message.
    ///
    /// Twilio has no idempotency key for it: after an error that [`Error::may_have_happened`] look at
    /// [`Client::list_texts`] before sending it again. A message that Twilio took may still fail later.
    ///
    /// # Errors
    ///
    /// As any request.
    pub async fn create_text(&self, text: &NewText) -> Result<Text, Error> {
        let url = self.texts_url("Messages.json");
        self.call(Op::CreateText, Method::POST, url, Some(form(text).encode())).await
    }

    /// Lists messages of the account, newest first, page by page.
    #[must_use]
    pub fn list_texts(&self, filter: TextFilter) -> TextPages {
        let mut url = self.texts_url("Messages.json");
        let mut query = url.query_pairs_mut();
        let addresses = [("To", filter.to), ("From", filter.from)];
        for (name, address) in addresses {
            if let Some(address) = address {
                query.append_pair(name, address.reveal());
            }
        }
        query.append_pair("PageSize", &PAGE_MAX.to_string());
        drop(query);
        Pages::of_core("messages", self.clone(), Op::ListTexts, url)
    }

    /// Gives the files of a message, by their places.
    ///
    /// # Errors
    ///
    /// As any request.
    pub async fn text_media(&self, sid: TextSid) -> Result<Vec<TextMedia>, Error> {
        let url = below(&self.texts_url("Messages"), &[&sid.to_string(), "Media.json"]);
        let files = Pages::of_core("media_list", self.clone(), Op::ListTextMedia, url);
        files.all(MEDIA_MAX).await
    }

    /// Where a file of a message is.
    #[must_use]
    pub fn text_media_url(&self, message: TextSid, file: MediaSid) -> Url {
        below(&self.texts_url("Messages"), &[&message.to_string(), "Media", &file.to_string()])
    }

    /// Fetches a message; `None` where there is none in the account.
    ///
    /// # Errors
    ///
    /// As any request; a 404 is no error.
    pub async fn fetch_text(&self, sid: TextSid) -> Result<Option<Text>, Error> {
        let url = below(&self.texts_url("Messages"), &[&format!("{sid}.json")]);
        none_if_absent(self.get(Op::FetchText, url).await)
    }

    /// Shows the writer of a WhatsApp message that an answer is being written, and marks the message as
    /// read. It ends with the answer, or after 25 s.
    ///
    /// Source: typing indicators resource, public beta, read 2026-11-29.
    ///
    /// # Errors
    ///
    /// As any request; nothing rests on it.
    pub async fn show_text_typing(&self, message: TextSid) -> Result<(), Error> {
        let url = below(&self.inner.messaging_base, &["v2", "Indicators", "Typing.json"]);
        let message = message.to_string();
        let pairs = [("channel", TYPING_CHANNEL), ("messageId", message.as_str())];
        let form: Form<'_> = pairs.into_iter().collect();
        self.call_empty(Op::ShowTyping, Method::POST, url, Some(form.encode())).await
    }

    /// A place below the account's messages.
    fn texts_url(&self, place: &str) -> Url {
        below(&self.inner.core_base, &["Accounts", &self.inner.account_sid.to_string(), place])
    }
}

/// The fields of a message to send.
fn form(text: &NewText) -> Form<'_> {
    let mut form = Form::default();
    form.push("To", text.to.reveal());
    match &text.from {
        TextSender::Address(address) => form.push("From", address.reveal()),
        TextSender::Service(service) => form.push("MessagingServiceSid", service.to_string()),
    }
    if let Some(body) = &text.body {
        form.push("Body", body.reveal());
    }
    for url in &text.media_urls {
        form.push("MediaUrl", url.reveal());
    }
    if let Some(sid) = text.content_sid {
        form.push("ContentSid", sid.to_string());
    }
    if let Some(variables) = &text.content_variables {
        form.push("ContentVariables", variables.reveal());
    }
    if let Some(callback) = &text.status_callback {
        form.push("StatusCallback", callback.as_str());
    }
    form
}

impl Entry for Text {
    fn read(of: &Members<'_>) -> Result<Self, Unreadable> {
        let text = |name| of.get::<Pii>(name).filter(|text| !text.is_empty());
        let word = |name| of.get::<String>(name);
        let time = |name| Timestamp::parse_rfc2822(&word(name)?);
        let number = |name| u32::try_from(of.number(name)?).ok();
        Ok(Self {
            sid: of.need("sid")?,
            from: text("from"),
            to: text("to"),
            body: text("body"),
            status: word("status").and_then(|word| MessageStatus::parse(&word)),
            error_code: number("error_code").filter(|code| *code != 0),
            is_inbound: word("direction").is_some_and(|direction| direction == "inbound"),
            media: number("num_media").unwrap_or(0),
            messaging_service_sid: of.get("messaging_service_sid"),
            created: time("date_created"),
            sent: time("date_sent"),
        })
    }
}

read_by_members! { Text TextMedia }
