//! The fields of the messaging product's webhooks: an inbound text, a status.
//!
//! Pure. Source: webhook notes 2.1 and 2.3, read 2026-11-21.

use super::text::{Extras, Text};
use crate::clock::Timestamp;
use crate::emulator::state::model::Channel;
use crate::pii::Pii;
use crate::twilio::keywords::KeywordEffect;
use crate::twilio::messaging::MessageStatus;
use crate::twilio::sid::AccountSid;

/// The fields of one request, in the order they are sent.
pub(super) type Named = Vec<(String, Pii)>;

/// Present, and empty, for every SMS. Source: webhook notes 2.1, "geography".
const GEOGRAPHY: [&str; 8] =
    ["FromCity", "FromState", "FromZip", "FromCountry", "ToCity", "ToState", "ToZip", "ToCountry"];

/// What the fields of an inbound text are made of.
pub(super) struct InboundFields<'a> {
    pub(super) account: AccountSid,
    pub(super) text: &'a Text,
    pub(super) extras: &'a Extras,
    /// Who else got it.
    pub(super) others: &'a [Pii],
    /// What Advanced Opt-Out made of it.
    pub(super) opt_out: Option<KeywordEffect>,
    /// What files' URLs start with.
    pub(super) root: &'a str,
}

fn put(fields: &mut Named, name: &str, value: impl Into<Pii>) {
    fields.push((name.to_owned(), value.into()));
}

fn put_some(fields: &mut Named, name: &str, value: Option<&Pii>) {
    if let Some(value) = value {
        put(fields, name, value.clone());
    }
}

/// The fields of the webhook of an inbound text.
pub(super) fn inbound_fields(of: &InboundFields<'_>) -> Named {
    let (text, mut fields) = (of.text, Named::new());
    let sid = text.sid.to_string();
    for name in ["MessageSid", "SmsSid", "SmsMessageSid"] {
        put(&mut fields, name, sid.as_str());
    }
    put(&mut fields, "AccountSid", of.account.to_string());
    if let Some(service) = text.service {
        put(&mut fields, "MessagingServiceSid", service.to_string());
    }
    put_some(&mut fields, "From", text.from.as_ref());
    put(&mut fields, "To", text.to.clone());
    put(&mut fields, "Body", text.body.clone());
    put(&mut fields, "NumMedia", text.media.len().to_string());
    put(&mut fields, "NumSegments", text.segments.to_string());
    put(&mut fields, "ApiVersion", "2010-04-01");
    put(&mut fields, "SmsStatus", "received");
    for (n, file) in text.media.iter().enumerate() {
        let path = format!("/2010-04-01/Accounts/{}/Messages/{sid}/Media/{}", of.account, file.sid);
        put(&mut fields, &format!("MediaUrl{n}"), format!("{}{path}", of.root));
        put(&mut fields, &format!("MediaContentType{n}"), file.content_type.as_str());
    }
    for (n, other) in of.others.iter().enumerate() {
        put(&mut fields, &format!("OtherRecipients{n}"), other.clone());
    }
    match of.opt_out {
        Some(KeywordEffect::Stop) => put(&mut fields, "OptOutType", "STOP"),
        Some(KeywordEffect::Start) => put(&mut fields, "OptOutType", "START"),
        Some(KeywordEffect::Help) => put(&mut fields, "OptOutType", "HELP"),
        None => {}
    }
    match text.from.as_ref().and_then(|from| Channel::of(from.reveal())) {
        Some(Channel::Whatsapp) => whatsapp_fields(&mut fields, of),
        Some(Channel::Rcs) => {}
        Some(Channel::Sms) | None => {
            GEOGRAPHY.iter().for_each(|name| put(&mut fields, name, ""));
        }
    }
    extra_fields(&mut fields, of.extras, &text.to);
    fields
}

/// An id of the business has letters before its dot; a number has none. That `WaId` is missing beside
/// an id, and the name `ExternalUserIdentifier`, are assumed from a changelog of 2026-07-20.
fn whatsapp_fields(fields: &mut Named, of: &InboundFields<'_>) {
    let address = of.text.from.clone().unwrap_or_default();
    let address = address.reveal().trim_start_matches("whatsapp:");
    let number = address.strip_prefix('+').map(Pii::new);
    let user_id = number.is_none().then(|| Pii::new(address));
    let wa_id = of.extras.wa_id.as_ref().or(number.as_ref());
    put_some(fields, "WaId", wa_id);
    put_some(fields, "ExternalUserIdentifier", of.extras.user_id.as_ref().or(user_id.as_ref()));
    let name = of.extras.profile_name.as_ref().or(wa_id);
    put_some(fields, "ProfileName", name);
    put(fields, "MessageType", message_type(of));
    let context = r#"{"type":"whatsapp","data":{"context":{}}}"#;
    put(fields, "ChannelMetadata", context);
}

fn message_type(of: &InboundFields<'_>) -> &'static str {
    let extras = of.extras;
    if extras.button.is_some() {
        return "button";
    }
    if extras.list.is_some() {
        return "interactive";
    }
    if extras.location.is_some() {
        return "location";
    }
    let kind = of.text.media.first().map(|file| file.content_type.split('/').next());
    match kind.flatten() {
        None => "text",
        Some("image") => "image",
        Some("video") => "video",
        Some("audio") => "audio",
        Some(_) => "document",
    }
}

fn extra_fields(fields: &mut Named, extras: &Extras, ours: &Pii) {
    if let Some(button) = &extras.button {
        put(fields, "ButtonText", button.text.clone());
        put(fields, "ButtonPayload", button.payload.clone());
        put(fields, "ButtonType", "REPLY");
    }
    if let Some(entry) = &extras.list {
        put(fields, "ListTitle", entry.text.clone());
        put(fields, "ListId", entry.payload.clone());
    }
    if let Some(place) = &extras.location {
        put(fields, "Latitude", place.latitude.clone());
        put(fields, "Longitude", place.longitude.clone());
        put_some(fields, "Address", place.address.as_ref());
        put_some(fields, "Label", place.label.as_ref());
    }
    if let Some(quoted) = extras.quoted {
        put(fields, "OriginalRepliedMessageSid", quoted.to_string());
        put(fields, "OriginalRepliedMessageSender", ours.clone());
    }
    if let Some(referral) = &extras.referral {
        for (name, value) in [
            ("ReferralSourceId", &referral.source_id),
            ("ReferralSourceType", &referral.source_type),
            ("ReferralSourceUrl", &referral.source_url),
            ("ReferralHeadline", &referral.headline),
            ("ReferralBody", &referral.body),
            ("ReferralCtwaClid", &referral.click_id),
        ] {
            put_some(fields, name, Some(value).filter(|value| !value.is_empty()));
        }
        put(fields, "ReferralNumMedia", "0");
    }
    for (name, value) in &extras.fields {
        put(fields, name, value.clone());
    }
}

/// The fields of a status callback.
pub(super) fn status_fields(account: AccountSid, at: Timestamp, text: &Text) -> Named {
    let (sid, status, mut fields) = (text.sid.to_string(), text.status.as_str(), Named::new());
    put(&mut fields, "MessageSid", sid.as_str());
    put(&mut fields, "SmsSid", sid);
    put(&mut fields, "MessageStatus", status);
    put(&mut fields, "SmsStatus", status);
    put(&mut fields, "To", text.to.clone());
    put_some(&mut fields, "From", text.from.as_ref());
    put(&mut fields, "AccountSid", account.to_string());
    put(&mut fields, "ApiVersion", "2010-04-01");
    if let Some(code) = text.error_code {
        put(&mut fields, "ErrorCode", code.to_string());
    }
    if let Some(service) = text.service {
        put(&mut fields, "MessagingServiceSid", service.to_string());
    }
    let is_done = matches!(text.status, MessageStatus::Delivered | MessageStatus::Undelivered);
    match Channel::of(text.to.reveal()) {
        Some(Channel::Whatsapp) => channel_fields(&mut fields, "whatsapp", status),
        Some(Channel::Rcs) => channel_fields(&mut fields, "rcs", status),
        Some(Channel::Sms) | None if is_done => {
            put(&mut fields, "RawDlrDoneDate", done_date(at));
        }
        Some(Channel::Sms) | None => {}
    }
    fields
}

fn channel_fields(fields: &mut Named, prefix: &'static str, status: &str) {
    put(fields, "ChannelPrefix", prefix);
    put(fields, "EventType", status.to_ascii_uppercase());
}

/// `YYMMDDhhmm`, of the ISO time that every timestamp prints.
fn done_date(at: Timestamp) -> String {
    let digits: String = at.to_string().chars().filter(char::is_ascii_digit).take(12).collect();
    digits.get(2..).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_carriers_date_has_ten_digits() {
        let at = Timestamp::parse_rfc3339("2026-11-29T18:05:59.120Z").unwrap();
        assert_eq!(done_date(at), "2611291805");
    }
}
