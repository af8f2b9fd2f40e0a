//! The plain messaging API of 2010-04-01, as far as a bot needs it: messages (send, list, fetch,
//! redact, delete) and the account.
//!
//! Times are RFC 2822, `num_media` and `num_segments` are text. Source: REST notes 1 and 2.4, read
//! 2026-11-21. No message arrives anywhere: the emulator keeps it for whoever looks, and says by status
//! callbacks that it was sent and delivered.

use axum::http::Method;
use serde_json::{Value, json};

use super::{Answered, Call, Reply, path};
use crate::clock::Timestamp;
use crate::emulator::record::Happening;
use crate::emulator::state::refusal::Refusal;
use crate::pii::Pii;
use crate::twilio::form;

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

impl Call<'_> {
    pub(super) async fn messaging(&self) -> Answered {
        let segments = path::segments(self.path)?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let account = self.hub.credentials.account_sid.to_string();
        match (segments.as_slice(), self.method) {
            (["2010-04-01", "Accounts", file], method) if *file == format!("{account}.json") => {
                if method == Method::GET {
                    Ok(self.account())
                } else {
                    Err(Refusal::MethodNotAllowed)
                }
            }
            (["2010-04-01", "Accounts", of, ..], _) if **of != *account => Err(Refusal::NotFound),
            ([_, _, _, "Messages.json"], &Method::POST) => self.send_plain(),
            ([_, _, _, "Messages.json"], &Method::GET) => self.list_plain(),
            ([_, _, _, "Messages", file], &Method::GET) => self
                .find_plain(file.trim_end_matches(".json"))
                .map(|message| Reply::Json(200, message)),
            ([_, _, _, "Messages", file], &Method::POST) => {
                self.change_plain(file.trim_end_matches(".json"))
            }
            ([_, _, _, "Messages", file], &Method::DELETE) => {
                let sid = file.trim_end_matches(".json");
                self.find_plain(sid)?;
                self.hub.with(|core, _| core.plain.retain(|message| message["sid"] != sid));
                Ok(Reply::Empty)
            }
            ([_, _, _, "Messages.json"] | [_, _, _, "Messages", _], _) => {
                Err(Refusal::MethodNotAllowed)
            }
            _ => Err(Refusal::NotFound),
        }
    }

    /// The account as it sees itself. Source: REST API, Account resource (the fields are assumed); its auth
    /// token, which the real answer holds, is left out.
    fn account(&self) -> Reply {
        let account = self.hub.credentials.account_sid;
        Reply::Json(
            200,
            json!({
                "friendly_name": "chimein emulator",
                "owner_account_sid": account,
                "sid": account,
                "status": "active",
                "type": "Full",
                "uri": format!("/2010-04-01/Accounts/{account}.json"),
            }),
        )
    }

    fn send_plain(&self) -> Answered {
        self.allow(&CREATE)?;
        let form = &self.form;
        let to = form.filled("To").ok_or(Refusal::PlainRecipientMissing)?;
        let from = form.filled("From");
        let service = form.filled("MessagingServiceSid");
        if from.is_none() && service.is_none() {
            return Err(Refusal::PlainSenderMissing);
        }
        let media = form.all("MediaUrl").count();
        let body = form.text("Body").unwrap_or_default();
        if body.is_empty() && media == 0 && form.filled("ContentSid").is_none() {
            return Err(Refusal::PlainBodyMissing);
        }
        if body.chars().count() > PLAIN_BODY_CHARS_MAX {
            return Err(Refusal::PlainBodyTooLong);
        }
        if from.as_deref().is_some_and(|from| self.has_opted_out(&to, from)) {
            return Err(Refusal::OptedOut);
        }
        let account = self.hub.credentials.account_sid;
        let limit = self.hub.options.limits.plain_messages;
        let message = self.hub.with(|core, at| {
            let sid = core.world.ids_mut().raw(if media == 0 { "SM" } else { "MM" });
            let uri = format!("/2010-04-01/Accounts/{account}/Messages/{sid}");
            let date = rfc2822(at);
            let message = json!({
                "account_sid": account,
                "api_version": "2010-04-01",
                "body": body,
                "date_created": date,
                "date_sent": null,
                "date_updated": date,
                "direction": "outbound-api",
                "error_code": null,
                "error_message": null,
                "from": from,
                "messaging_service_sid": service,
                "num_media": media.to_string(),
                "num_segments": segments_of(&body).to_string(),
                "price": null,
                "price_unit": "USD",
                "sid": sid,
                "status": if service.is_some() { "accepted" } else { "queued" },
                "subresource_uris": {"media": format!("{uri}/Media.json")},
                "to": to,
                "uri": format!("{uri}.json"),
            });
            core.plain.push_back(message.clone());
            while core.plain.len() > limit {
                core.plain.pop_front();
            }
            message
        });
        let callback = form.filled("StatusCallback");
        self.hub.progress(message["sid"].as_str().unwrap_or_default().to_owned(), callback);
        self.hub.record(Happening::PlainMessage {
            sid: message["sid"].as_str().unwrap_or_default().to_owned(),
            from: Pii::new(from.unwrap_or_default()),
            to: Pii::new(to),
            body: Pii::new(body),
        });
        Ok(Reply::Json(201, message))
    }

    /// Whether a phone wants nothing from a number; which one a messaging service would send from is
    /// not known here.
    fn has_opted_out(&self, phone: &str, number: &str) -> bool {
        let (phone, number) = (Pii::new(phone), Pii::new(number));
        self.hub.with(|core, _| core.world.has_opted_out(&phone, &number))
    }

    fn list_plain(&self) -> Answered {
        self.allow_query(&["To", "From", "DateSent", "DateSent<", "DateSent>"])?;
        let size = self.query.parsed::<usize>("PageSize")?.unwrap_or(50).clamp(1, 1000);
        let page = self.query.parsed::<usize>("Page")?.unwrap_or(0);
        let matches = |message: &&Value| {
            ["To", "From"].into_iter().all(|name| {
                let wanted = self.query.filled(name);
                wanted.is_none_or(|wanted| message[name.to_lowercase()] == *wanted)
            })
        };
        let from = page.saturating_mul(size);
        let messages: Vec<Value> = self.hub.with(|core, _| {
            let newest_first = core.plain.iter().rev().filter(matches);
            newest_first.skip(from).take(size.saturating_add(1)).cloned().collect()
        });
        let more = messages.len() > size;
        let shown: Vec<Value> = messages.into_iter().take(size).collect();
        let uri = |number: usize| self.plain_page(size, number);
        Ok(Reply::Json(
            200,
            json!({
                "first_page_uri": uri(0),
                "end": from.saturating_add(shown.len()).saturating_sub(1),
                "next_page_uri": more.then(|| uri(page.saturating_add(1))),
                "page": page,
                "page_size": size,
                "previous_page_uri": (page > 0).then(|| uri(page.saturating_sub(1))),
                "messages": shown,
                "start": from,
                "uri": uri(page),
            }),
        ))
    }

    /// The path of a page of the list, which keeps the filters.
    fn plain_page(&self, size: usize, number: usize) -> String {
        let (size, number) = (size.to_string(), number.to_string());
        let filters =
            self.query.pairs().iter().map(|(name, value)| (name.as_str(), value.reveal()));
        let filters = filters.filter(|(name, _)| !["PageSize", "Page", "PageToken"].contains(name));
        let pairs = filters.chain([("PageSize", size.as_str()), ("Page", number.as_str())]);
        format!("{}?{}", self.path, form::encode(pairs))
    }

    /// Empties a message's text. Nothing is ever scheduled here, so nothing can be cancelled.
    /// Source: REST notes 2.4, "Update", read 2026-11-21.
    fn change_plain(&self, sid: &str) -> Answered {
        self.allow(&["Body", "Status"])?;
        if self.form.filled("Body").is_some() {
            return Err(Refusal::ParameterInvalid("Body"));
        }
        if self.form.filled("Status").is_some() {
            return Err(Refusal::ParameterInvalid("Status"));
        }
        let redacts = self.form.first("Body").is_some();
        self.hub.with(|core, at| {
            let message = core.plain.iter_mut().find(|message| message["sid"] == sid);
            let message = message.ok_or(Refusal::NotFound)?;
            if redacts {
                message["body"] = json!("");
                message["date_updated"] = json!(rfc2822(at));
            }
            Ok(Reply::Json(200, message.clone()))
        })
    }

    fn find_plain(&self, sid: &str) -> Result<Value, Refusal> {
        self.hub.with(|core, _| {
            core.plain
                .iter()
                .find(|message| message["sid"] == sid)
                .cloned()
                .ok_or(Refusal::NotFound)
        })
    }
}

/// Source: error dictionary 21617, read 2026-11-21.
const PLAIN_BODY_CHARS_MAX: usize = 1600;

/// Counts segments: 160 characters of ASCII in one, 153 in each of several; 70 and 67 otherwise.
/// The GSM alphabet is taken for ASCII (assumed close enough).
pub(in crate::emulator) fn segments_of(body: &str) -> usize {
    let (one, each) = if body.is_ascii() { (160, 153) } else { (70, 67) };
    let units = body.encode_utf16().count();
    if units <= one { 1 } else { units.div_ceil(each) }
}

fn rfc2822(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis())
        .ok()
        .and_then(|at| jiff::fmt::rfc2822::to_string(&at.to_zoned(jiff::tz::TimeZone::UTC)).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_2822_and_long_texts_have_segments() {
        let at = Timestamp::parse_rfc3339("2023-08-24T05:01:45Z").unwrap();
        assert_eq!(rfc2822(at), "Thu, 24 Aug 2023 05:01:45 +0000");
        for (body, segments) in
            [("x".repeat(160), 1), ("x".repeat(161), 2), ("é".repeat(70), 1), ("é".repeat(71), 2)]
        {
            assert_eq!(segments_of(&body), segments);
        }
    }
}
