//! Webhooks of Twilio, signed and posted by the tests themselves.
//!
//! Shared by the scenarios and the tests of operation.

use chimein::emulator::Emulator;
use chimein::emulator::state::model::Message;
use chimein::twilio::form;
use chimein::twilio::sid::ConversationSid;
use chimein::twilio::signature::{self, Algorithm, Body};

/// The webhook that tells of a conversation's first message.
pub struct FirstMessage<'a> {
    /// The conversation.
    pub conversation: ConversationSid,
    /// The message, whose sid and time are told.
    pub message: &'a Message,
    /// Who wrote it.
    pub author: &'a str,
    /// What it says.
    pub body: &'a str,
}

impl FirstMessage<'_> {
    /// Posts it to a service's webhook.
    pub async fn post(&self, emulator: &Emulator, url: &str) {
        let credentials = emulator.credentials();
        let texts = [
            ("AccountSid", credentials.account_sid.to_string()),
            ("ChatServiceSid", credentials.service_sid.to_string()),
            ("ConversationSid", self.conversation.to_string()),
            ("MessageSid", self.message.sid.to_string()),
            ("DateCreated", self.message.created.to_string()),
        ];
        let texts = texts.iter().map(|(name, text)| (*name, text.as_str()));
        let body = form::encode(texts.chain([
            ("EventType", "onMessageAdded"),
            ("Index", "0"),
            ("Author", self.author),
            ("Body", self.body),
        ]));
        let form = Body::Form(body.as_bytes());
        let signed = signature::sign(&credentials.auth_token, Algorithm::HmacSha1, url, form);
        let client = chimein::net::http::direct().unwrap().build().unwrap();
        let request = client.post(url).header(signature::HEADER, signed);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let status = request.body(body).send().await.unwrap().status();
        assert!(status.is_success(), "{status}");
    }
}
