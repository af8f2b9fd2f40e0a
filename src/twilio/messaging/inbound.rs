//! A message that somebody sent to one of our addresses.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::MEDIA_MAX;
use crate::pii::Pii;
use crate::twilio::events::{Error, Fields};
use crate::twilio::sid::{AccountSid, MessagingServiceSid, TextSid};

/// How many fields that this program does not know are kept of one message.
pub const OTHER_MAX: usize = 32;
/// How many bytes they may have together; further ones are left out.
pub const OTHER_BYTES_MAX: usize = 8 * 1024;

/// What came in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Inbound {
    /// Its sid.
    pub sid: TextSid,
    /// The account in whose name it came.
    pub account_sid: AccountSid,
    /// The messaging service that our address belongs to.
    pub messaging_service_sid: Option<MessagingServiceSid>,
    /// Who wrote it: a number or an id, behind the word of its channel if that is not SMS.
    pub from: Pii,
    /// The address of ours that it came to.
    pub to: Pii,
    /// The text.
    pub body: Option<Pii>,
    /// The files.
    pub media: Vec<MediaPlace>,
    /// The writer's WhatsApp number, without a plus.
    pub wa_id: Option<Pii>,
    /// The writer's id of the business, which stays when the number is hidden. That the field has this
    /// name is assumed from a changelog of 2026-07-20.
    pub external_user_id: Option<Pii>,
    /// The name that the writer gave to WhatsApp.
    pub profile_name: Option<Pii>,
    /// A place that was sent.
    pub location: Option<Location>,
    /// A button that was pressed, or an entry of a list.
    pub choice: Option<Choice>,
    /// The message that it answers.
    pub quoted: Option<Quoted>,
    /// The advertisement that it came by.
    pub referral: Option<Referral>,
    /// What Twilio's own handling of opt-outs made of it.
    pub opt_out: Option<OptOut>,
    /// What else there was, as far as it is bounded.
    pub other: BTreeMap<String, Pii>,
}

/// A file, by its place at Twilio.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MediaPlace {
    /// Where it is; asked for with the account's credentials.
    pub url: Pii,
    /// Its type, as the sender said.
    pub content_type: Option<String>,
}

/// A place on the earth.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Location {
    /// Degrees, as text.
    pub latitude: Pii,
    /// Degrees, as text.
    pub longitude: Pii,
    /// The postal address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Pii>,
    /// The name of the place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Pii>,
}

/// What somebody chose instead of writing.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Choice {
    /// What stood there to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Pii>,
    /// What whoever offered it called it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Pii>,
}

/// The message that another one answers.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Quoted {
    /// Its sid.
    pub sid: TextSid,
    /// Who wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<Pii>,
}

/// The advertisement that somebody came by.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Referral {
    /// Its id at the advertiser's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_id: Option<String>,
    /// What it is: `ad`, `post`. Open text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_type: Option<String>,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_url: Option<Pii>,
    /// Its headline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headline: Option<String>,
    /// Its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The id of the click.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub click_id: Option<String>,
}

/// What Twilio's handling of opt-outs made of a message.
/// Source: Advanced Opt-Out, `OptOutType`, read 2026-11-29.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum OptOut {
    /// The writer wants nothing more.
    Stop,
    /// The writer wants to hear again.
    Start,
    /// The writer was sent a help text.
    Help,
}

impl OptOut {
    fn parse(text: &str) -> Option<Self> {
        let words = [("STOP", Self::Stop), ("START", Self::Start), ("HELP", Self::Help)];
        let mut words = words.into_iter();
        words.find(|(word, _)| text.trim().eq_ignore_ascii_case(word)).map(|(_, is)| is)
    }
}

impl Inbound {
    /// Reads a request's fields as a message.
    ///
    /// # Errors
    ///
    /// Names the field without which it means nothing.
    pub fn decode(fields: &Fields<'_>) -> Result<Self, Error> {
        let need = |field| fields.pii(field).ok_or(Error::Missing { field });
        Ok(Self {
            sid: sid(fields)?,
            account_sid: fields.sid("AccountSid")?,
            messaging_service_sid: fields.sid_if_any("MessagingServiceSid"),
            from: need("From")?,
            to: need("To")?,
            body: fields.pii("Body"),
            media: media(fields),
            wa_id: fields.pii("WaId"),
            external_user_id: fields.pii("ExternalUserIdentifier"),
            profile_name: fields.pii("ProfileName"),
            location: location(fields),
            choice: choice(fields),
            quoted: quoted(fields),
            referral: referral(fields),
            opt_out: fields.text("OptOutType").and_then(OptOut::parse),
            other: other(fields),
        })
    }
}

/// All three names are one sid; older examples know only the last ones.
pub(super) fn sid(fields: &Fields<'_>) -> Result<TextSid, Error> {
    let others = ["SmsSid", "SmsMessageSid"];
    match fields.sid("MessageSid") {
        Err(error) => others.iter().find_map(|name| fields.sid_if_any(name)).ok_or(error),
        found => found,
    }
}

fn media(fields: &Fields<'_>) -> Vec<MediaPlace> {
    let count = fields.number("NumMedia").and_then(|count| usize::try_from(count).ok());
    let link = |n: usize| {
        let url = fields.pii(&format!("MediaUrl{n}"))?;
        let content_type = fields.text(&format!("MediaContentType{n}")).map(str::to_owned);
        Some(MediaPlace { url, content_type })
    };
    (0..count.unwrap_or(0).min(MEDIA_MAX)).filter_map(link).collect()
}

fn location(fields: &Fields<'_>) -> Option<Location> {
    Some(Location {
        latitude: fields.pii("Latitude")?,
        longitude: fields.pii("Longitude")?,
        address: fields.pii("Address"),
        label: fields.pii("Label"),
    })
}

/// A button; else an entry of a list, whose fields are assumed: no page names them.
fn choice(fields: &Fields<'_>) -> Option<Choice> {
    let one = |text, payload| {
        let choice = Choice { text: fields.pii(text), payload: fields.pii(payload) };
        (choice.text.is_some() || choice.payload.is_some()).then_some(choice)
    };
    one("ButtonText", "ButtonPayload").or_else(|| one("ListTitle", "ListId"))
}

fn quoted(fields: &Fields<'_>) -> Option<Quoted> {
    let sid = fields.sid_if_any("OriginalRepliedMessageSid")?;
    Some(Quoted { sid, sender: fields.pii("OriginalRepliedMessageSender") })
}

fn referral(fields: &Fields<'_>) -> Option<Referral> {
    let text = |name| fields.text(name).map(str::to_owned);
    let referral = Referral {
        source_id: text("ReferralSourceId"),
        source_type: text("ReferralSourceType"),
        source_url: fields.pii("ReferralSourceUrl"),
        headline: text("ReferralHeadline"),
        body: text("ReferralBody"),
        click_id: text("ReferralCtwaClid"),
    };
    (referral != Referral::default()).then_some(referral)
}

/// What no other member holds. The first ones that fit are kept, by name.
fn other(fields: &Fields<'_>) -> BTreeMap<String, Pii> {
    let (mut other, mut bytes) = (BTreeMap::new(), 0);
    for name in fields.names().filter(|name| !is_known(name)) {
        let Some(value) = fields.pii(name) else { continue };
        bytes += name.len() + value.reveal().len();
        if other.len() == OTHER_MAX || bytes > OTHER_BYTES_MAX {
            break;
        }
        other.insert(name.to_owned(), value);
    }
    other
}

fn is_known(name: &str) -> bool {
    const KNOWN: [&str; 35] = [
        "MessageSid",
        "SmsSid",
        "SmsMessageSid",
        "AccountSid",
        "MessagingServiceSid",
        "From",
        "To",
        "Body",
        "NumMedia",
        "NumSegments",
        "ApiVersion",
        "SmsStatus",
        "WaId",
        "ExternalUserIdentifier",
        "ProfileName",
        "Latitude",
        "Longitude",
        "Address",
        "Label",
        "ButtonText",
        "ButtonPayload",
        "ButtonType",
        "ListTitle",
        "ListId",
        "OriginalRepliedMessageSid",
        "OriginalRepliedMessageSender",
        "ReferralSourceId",
        "ReferralSourceType",
        "ReferralSourceUrl",
        "ReferralHeadline",
        "ReferralBody",
        "ReferralCtwaClid",
        "OptOutType",
        "MessageStatus",
        "bodySHA256",
    ];
    KNOWN.contains(&name) || name.starts_with("MediaUrl") || name.starts_with("MediaContentType")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SID: &str = "SM0123456789abcdef0123456789abcdef";
    const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";

    #[test]
    fn a_plain_text_is_read_by_its_fields() {
        let inbound = decode(&[("Body", "hello"), ("NumMedia", "0"), ("FromCity", "")]).unwrap();
        assert_eq!(inbound.sid.to_string(), SID);
        assert_eq!(inbound.from.reveal(), "+15555550123");
        assert_eq!(inbound.to.reveal(), "+15555550100");
        assert_eq!(inbound.body.unwrap().reveal(), "hello");
        assert!(inbound.media.is_empty() && inbound.other.is_empty());
    }

    #[test]
    fn what_whatsapp_adds_has_a_place() {
        let inbound = decode(&[
            ("NumMedia", "2"),
            ("MediaUrl0", "https://api.twilio.com/0"),
            ("MediaContentType0", "image/jpeg"),
            ("MediaUrl1", "https://api.twilio.com/1"),
            ("ProfileName", "Ann"),
            ("WaId", "15555550123"),
            ("ExternalUserIdentifier", "US.13491208655302741918"),
            ("Latitude", "52.5"),
            ("Longitude", "13.4"),
            ("ButtonText", "Yes"),
            ("ButtonPayload", "yes"),
            ("OriginalRepliedMessageSid", SID),
            ("ReferralSourceId", "1"),
            ("OptOutType", "stop"),
            ("MessageType", "image"),
        ])
        .unwrap();
        let media: Vec<_> = inbound.media.iter().map(|link| link.content_type.as_deref()).collect();
        assert_eq!(media, [Some("image/jpeg"), None]);
        assert_eq!(inbound.external_user_id.unwrap().reveal(), "US.13491208655302741918");
        assert_eq!(inbound.location.unwrap().longitude.reveal(), "13.4");
        assert_eq!(inbound.choice.unwrap().payload.unwrap().reveal(), "yes");
        assert_eq!(inbound.quoted.unwrap().sid.to_string(), SID);
        assert_eq!(inbound.referral.unwrap().source_id.as_deref(), Some("1"));
        assert_eq!(inbound.opt_out, Some(OptOut::Stop));
        assert_eq!(inbound.other.keys().collect::<Vec<_>>(), ["MessageType"]);
    }

    #[test]
    fn what_nobody_can_do_without_is_named() {
        for (without, field) in [
            ("MessageSid", "MessageSid"),
            ("From", "From"),
            ("To", "To"),
            ("AccountSid", "AccountSid"),
        ] {
            let pairs: Vec<_> = base().into_iter().filter(|(name, _)| *name != without).collect();
            let error = Inbound::decode(&fields(&pairs)).unwrap_err();
            assert_eq!(error.field(), Some(field));
        }
        let old: Vec<_> = base()
            .into_iter()
            .map(|(name, value)| (if name == "MessageSid" { "SmsSid" } else { name }, value))
            .collect();
        assert_eq!(Inbound::decode(&fields(&old)).unwrap().sid.to_string(), SID);
    }

    #[test]
    fn a_flood_of_fields_is_bounded() {
        let names: Vec<_> = (0..200).map(|n| format!("Field{n}")).collect();
        let long = "x".repeat(OTHER_BYTES_MAX);
        let mut pairs = base();
        pairs.extend(names.iter().map(|name| (name.as_str(), "x")));
        assert_eq!(Inbound::decode(&fields(&pairs)).unwrap().other.len(), OTHER_MAX);
        let mut pairs = base();
        pairs.push(("Long", &long));
        assert!(Inbound::decode(&fields(&pairs)).unwrap().other.is_empty());
    }

    fn base() -> Vec<(&'static str, &'static str)> {
        vec![
            ("MessageSid", SID),
            ("AccountSid", ACCOUNT),
            ("From", "+15555550123"),
            ("To", "+15555550100"),
        ]
    }

    fn decode(more: &[(&'static str, &'static str)]) -> Result<Inbound, Error> {
        let mut pairs = base();
        pairs.extend_from_slice(more);
        Inbound::decode(&fields(&pairs))
    }

    fn fields<'a>(pairs: &[(&'a str, &'a str)]) -> Fields<'a> {
        Fields::of_form(pairs.iter().copied().collect())
    }
}
