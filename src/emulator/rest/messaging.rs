//! The messaging API of 2010-04-01, as far as a bot needs it: texts (send, list, fetch, redact, take
//! back, remove), their files, and the account.
//!
//! Reads requests into what [`crate::emulator::state::messaging`] knows, which decides. Source: REST
//! notes 1 and 2.4, read 2026-11-21.

use std::str::FromStr;
use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};

use super::text_json::{self, TextPage};
use super::{RestAnswered, RestCall, RestReply, path};
use crate::emulator::media::STORE;
use crate::emulator::record::Happening;
use crate::emulator::state::messaging::list::{Filter, SIZE_DEFAULT, SIZE_MAX, Span, Start};
use crate::emulator::state::messaging::{Draft, Text};
use crate::emulator::state::model::Channel;
use crate::emulator::state::refusal::Refusal;
use crate::pii::Pii;
use crate::twilio::messaging::MessageStatus;
use crate::twilio::sid::{MediaSid, TextSid};

/// Source: API definition, `CreateMessage`, read 2026-11-21.
const CREATE: [&str; 25] = [
    "AddressRetention",
    "ContentRetention",
    "FallbackFrom",
    "SendAsMms",
    "TrafficType",
    "To",
    "From",
    "MessagingServiceSid",
    "Body",
    "MediaUrl",
    "ContentSid",
    "ContentVariables",
    "StatusCallback",
    "ValidityPeriod",
    "SendAt",
    "ScheduleType",
    "ShortenUrls",
    "SmartEncoded",
    "PersistentAction",
    "RiskCheck",
    "ProvideFeedback",
    "Attempt",
    "ForceDelivery",
    "ApplicationSid",
    "MaxPrice",
];

/// Where somebody is shown typing.
const TYPING: &str = "/v2/Indicators/Typing.json";

/// The filters of the list.
const FILTERS: [&str; 5] = ["To", "From", "DateSent", "DateSent<", "DateSent>"];

/// Seconds that a text may be told to wait at most. Source: API definition, `ValidityPeriod`.
const VALIDITY_MAX_S: u64 = 36_000;

impl RestCall<'_> {
    pub(super) async fn messaging(&self) -> RestAnswered {
        let segments = path::segments(self.path)?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let account = self.hub.credentials.account_sid.to_string();
        match (segments.as_slice(), self.method) {
            (["2010-04-01", "Accounts", file], _) if *file == format!("{account}.json") => {
                self.account()
            }
            (["2010-04-01", "Accounts", of, ..], _) if **of != *account => Err(Refusal::NotFound),
            ([_, _, _, "Balance.json"], &Method::GET) => self.balance(),
            ([_, _, _, "IncomingPhoneNumbers.json"], &Method::GET) => self.list_numbers(),
            ([_, _, _, "IncomingPhoneNumbers", file], &Method::GET | &Method::POST) => {
                self.number(file)
            }
            ([_, _, _, "Messages.json"], &Method::POST) => self.create_text(),
            ([_, _, _, "Messages.json"], &Method::GET) => self.list_texts(),
            ([_, _, _, "Messages", file], &Method::GET) => self.show_text(sid(file)?),
            ([_, _, _, "Messages", file], &Method::POST) => self.change_text(sid(file)?),
            ([_, _, _, "Messages", file], &Method::DELETE) => {
                self.change(|core, _| core.world.remove_text(sid(file)?)).map(|()| RestReply::Empty)
            }
            ([_, _, _, "Messages", of, "Media.json"], &Method::GET) => self.list_files(sid(of)?),
            ([_, _, _, "Messages", of, "Media", file], &Method::GET) => {
                self.show_file(sid(of)?, file)
            }
            ([_, _, _, "Messages", of, "Media", file], &Method::DELETE) => {
                let media: MediaSid = sid(file)?;
                self.change(|core, _| core.world.remove_file(sid(of)?, media))
                    .map(|()| RestReply::Empty)
            }
            (
                [_, _, _, "Messages.json" | "Balance.json"]
                | [_, _, _, "IncomingPhoneNumbers.json"]
                | [_, _, _, "IncomingPhoneNumbers", _]
                | [_, _, _, "Messages", _]
                | [_, _, _, "Messages", _, "Media.json"]
                | [_, _, _, "Messages", _, "Media", _],
                _,
            ) => Err(Refusal::MethodNotAllowed),
            _ => Err(Refusal::NotFound),
        }
    }

    /// Shows the writer of a WhatsApp message that an answer is being written. Source: typing indicators
    /// resource, public beta, read 2026-11-29; which codes its refusals have is assumed.
    pub(super) fn typing(&self) -> RestAnswered {
        if self.path != TYPING {
            return Err(Refusal::NotFound);
        }
        if self.method != Method::POST {
            return Err(Refusal::MethodNotAllowed);
        }
        self.allow(&["channel", "messageId"])?;
        if self.form.first("channel") != Some("whatsapp") {
            return Err(Refusal::ParameterInvalid("channel"));
        }
        let sid = self.form.parsed::<TextSid>("messageId")?;
        let sid = sid.ok_or(Refusal::ParameterMissing("messageId"))?;
        let channel = self.of_text(sid, |text| {
            Ok(text.from.as_ref().and_then(|from| Channel::of(from.reveal())))
        })?;
        if channel != Some(Channel::Whatsapp) {
            return Err(Refusal::ParameterInvalid("messageId"));
        }
        self.hub.record(Happening::TextTyping { sid });
        Ok(RestReply::Json(200, json!({"success": true})))
    }

    fn create_text(&self) -> RestAnswered {
        self.allow(&CREATE)?;
        let form = &self.form;
        let validity_s = form.parsed::<u64>("ValidityPeriod")?;
        if validity_s.is_some_and(|seconds| !(1..=VALIDITY_MAX_S).contains(&seconds)) {
            return Err(Refusal::ParameterInvalid("ValidityPeriod"));
        }
        let text = self.hub.send_text(Draft {
            to: form.filled("To").map(Pii::new),
            from: form.filled("From").map(Pii::new),
            service: form.filled("MessagingServiceSid"),
            body: Pii::new(form.text("Body").unwrap_or_default()),
            media_urls: form.all("MediaUrl").map(Pii::new).collect(),
            as_mms: form.first("SendAsMms") == Some("true"),
            content_sid: form.filled("ContentSid"),
            content_variables: form.filled("ContentVariables").map(Pii::new),
            callback: form.filled("StatusCallback"),
            send_at: form.time("SendAt")?,
            validity_s,
            actions: form.all("PersistentAction").map(Pii::new).collect(),
            ..Draft::default()
        })?;
        Ok(RestReply::Json(201, self.shown(&text)))
    }

    fn list_texts(&self) -> RestAnswered {
        self.allow_query(&FILTERS)?;
        let query = &self.query;
        let filter = Filter {
            to: query.filled("To").map(Pii::new),
            from: query.filled("From").map(Pii::new),
            on: query.read("DateSent", Span::parse)?,
            until: query.read("DateSent<", Span::parse)?,
            since: query.read("DateSent>", Span::parse)?,
        };
        let size = query.parsed::<usize>("PageSize")?.unwrap_or(SIZE_DEFAULT);
        let filters = query.pairs().iter().map(|(name, value)| (name.as_str(), value.reveal()));
        let place = TextPage {
            path: self.path,
            filters: filters.filter(|(name, _)| FILTERS.contains(name)).collect(),
            number: query.parsed::<usize>("Page")?.unwrap_or(0),
            size: size.clamp(1, SIZE_MAX),
            start: query.read("PageToken", Start::parse)?.unwrap_or_default(),
        };
        let account = self.hub.credentials.account_sid;
        self.change(|core, at| {
            let lag = Duration::from_millis(core.world.limits_mut().list_lag_ms);
            let texts = core.world.messaging().texts().rev();
            let newest_first = texts.filter(|text| at.since(text.created) >= lag);
            let page = filter.page(newest_first, place.start, place.size);
            Ok(RestReply::Json(200, place.page(account, &page)))
        })
    }

    /// Empties a text, or takes a scheduled one back.
    /// Source: REST notes 2.4, "Update", read 2026-11-21.
    fn change_text(&self, sid: TextSid) -> RestAnswered {
        self.allow(&["Body", "Status"])?;
        if self.form.filled("Body").is_some() {
            return Err(Refusal::ParameterInvalid("Body"));
        }
        let cancels = self.form.read("Status", |word| {
            (MessageStatus::parse(word) == Some(MessageStatus::Canceled)).then_some(())
        })?;
        let redacts = self.form.first("Body").is_some();
        self.change(|core, at| {
            if cancels.is_some() {
                core.world.cancel_text(at, sid)?;
            }
            if redacts {
                core.world.redact_text(at, sid)?;
            }
            Ok(())
        })?;
        self.show_text(sid)
    }

    fn show_text(&self, sid: TextSid) -> RestAnswered {
        self.of_text(sid, |text| Ok(RestReply::Json(200, self.shown(text))))
    }

    fn list_files(&self, sid: TextSid) -> RestAnswered {
        self.allow_query(&["DateCreated", "DateCreated<", "DateCreated>"])?;
        let (path, size) = (self.path, SIZE_DEFAULT);
        let place = TextPage { path, filters: Vec::new(), number: 0, size, start: Start::Newest };
        let account = self.hub.credentials.account_sid;
        self.of_text(sid, |text| Ok(RestReply::Json(200, place.files(account, text))))
    }

    /// A file's description; without `.json` the file itself, which Twilio sends for elsewhere, to a
    /// place that asks for no credentials. Source: Protect Media Access with HTTP Basic Authentication,
    /// read 2026-11-29; that the status is 307 is assumed.
    fn show_file(&self, of: TextSid, name: &str) -> RestAnswered {
        let sid: MediaSid = sid(name)?;
        let account = self.hub.credentials.account_sid;
        let root = self.hub.urls.api.as_str().trim_end_matches('/');
        self.of_text(of, |text| {
            let file = text.media.iter().find(|file| file.sid == sid).ok_or(Refusal::NotFound)?;
            if name.ends_with(".json") {
                return Ok(RestReply::Json(200, text_json::file(account, text, file)));
            }
            let kept = format!("{root}{}/{sid}", STORE);
            let place = file.url.as_ref().map(|url| url.reveal().to_owned());
            Ok(RestReply::Redirect(place.unwrap_or(kept)))
        })
    }

    fn of_text<T>(
        &self,
        sid: TextSid,
        read: impl FnOnce(&Text) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.read(|world| read(world.messaging().find(sid).ok_or(Refusal::NotFound)?))
    }

    fn shown(&self, text: &Text) -> Value {
        text_json::text(self.hub.credentials.account_sid, text)
    }
}

/// Reads a sid with `.json` after it or not.
fn sid<T: FromStr>(file: &str) -> Result<T, Refusal> {
    file.strip_suffix(".json").unwrap_or(file).parse().map_err(|_| Refusal::NotFound)
}
