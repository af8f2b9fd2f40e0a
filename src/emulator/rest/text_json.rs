//! Texts, their files and the pages of both as JSON, as the messaging API of 2010-04-01 writes them.
//!
//! Pure. Times are RFC 2822, counts are text, nothing is left out. Source: API definition,
//! `api.v2010.account.message` and `.media`, and the examples of `ListMessage`, read 2026-11-21.

use serde_json::{Value, json};

use crate::clock::Timestamp;
use crate::emulator::state::messaging::list::{Page, Start};
use crate::emulator::state::messaging::{File, Text};
use crate::twilio::catalogue;
use crate::twilio::form;
use crate::twilio::sid::AccountSid;

/// A text.
#[must_use]
pub fn text(account: AccountSid, one: &Text) -> Value {
    let uri = format!("/2010-04-01/Accounts/{account}/Messages/{}", one.sid);
    // What it says is the dictionary's in our words, not Twilio's text.
    let reason = one.error_code.and_then(catalogue::lookup).map(|entry| entry.meaning.as_str());
    json!({
        "account_sid": account,
        "api_version": "2010-04-01",
        "body": one.body.reveal(),
        "date_created": rfc2822(one.created),
        "date_sent": one.sent.map(rfc2822),
        "date_updated": rfc2822(one.updated),
        "direction": one.direction.as_str(),
        "error_code": one.error_code,
        "error_message": reason,
        "from": one.from.as_ref().map(crate::pii::Pii::reveal),
        "messaging_service_sid": one.service,
        "num_media": one.media.len().to_string(),
        "num_segments": one.segments.to_string(),
        "price": null,
        "price_unit": "USD",
        "sid": one.sid,
        "status": one.status.as_str(),
        "subresource_uris": {
            "feedback": format!("{uri}/Feedback.json"),
            "media": format!("{uri}/Media.json"),
        },
        "to": one.to.reveal(),
        "uri": format!("{uri}.json"),
    })
}

/// A file of a text.
#[must_use]
pub fn file(account: AccountSid, of: &Text, one: &File) -> Value {
    json!({
        "account_sid": account,
        "content_type": one.content_type,
        "date_created": rfc2822(of.created),
        "date_updated": rfc2822(of.created),
        "parent_sid": of.sid,
        "sid": one.sid,
        "uri": format!("/2010-04-01/Accounts/{account}/Messages/{}/Media/{}.json", of.sid, one.sid),
    })
}

/// What a page of a list is called by.
#[derive(Clone, Debug)]
pub struct TextPage<'a> {
    /// The list's path.
    pub path: &'a str,
    /// The filters that every page of it keeps.
    pub filters: Vec<(&'a str, &'a str)>,
    /// Its number, which Twilio gives back and does not use.
    pub number: usize,
    /// How many it holds at most.
    pub size: usize,
    /// Where it begins.
    pub start: Start,
}

impl TextPage<'_> {
    /// A page's path with its query; it names no host.
    fn uri(&self, number: usize, start: Start) -> String {
        let (size, number, token) = (self.size.to_string(), number.to_string(), start.token());
        let mut pairs = self.filters.clone();
        pairs.extend([("PageSize", size.as_str()), ("Page", number.as_str())]);
        pairs.extend(token.as_deref().map(|token| ("PageToken", token)));
        format!("{}?{}", self.path, form::encode(pairs))
    }

    /// A page of texts.
    #[must_use]
    pub fn page(&self, account: AccountSid, page: &Page<'_>) -> Value {
        let next = page.texts.last().filter(|_| page.has_next);
        let next = next.map(|last| self.uri(self.number.saturating_add(1), Start::After(last.sid)));
        let previous = page.texts.first().filter(|_| page.has_previous);
        let previous =
            previous.map(|first| self.uri(self.number.saturating_sub(1), Start::Before(first.sid)));
        let texts: Vec<Value> = page.texts.iter().map(|one| text(account, one)).collect();
        self.answer("messages", texts, (next, previous))
    }

    /// All files of a text, which are one page.
    #[must_use]
    pub fn files(&self, account: AccountSid, of: &Text) -> Value {
        let files: Vec<Value> = of.media.iter().map(|one| file(account, of, one)).collect();
        self.answer("media_list", files, (None, None))
    }

    fn answer(
        &self,
        key: &str,
        items: Vec<Value>,
        (next, previous): (Option<String>, Option<String>),
    ) -> Value {
        let start = self.number.saturating_mul(self.size);
        let mut answer = json!({
            "end": start.saturating_add(items.len()).saturating_sub(1),
            "first_page_uri": self.uri(0, Start::Newest),
            "next_page_uri": next,
            "page": self.number,
            "page_size": self.size,
            "previous_page_uri": previous,
            "start": start,
            "uri": self.uri(self.number, self.start),
        });
        answer[key] = Value::from(items);
        answer
    }
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
    fn times_are_rfc_2822() {
        let at = Timestamp::parse_rfc3339("2023-08-24T05:01:45Z").unwrap();
        assert_eq!(rfc2822(at), "Thu, 24 Aug 2023 05:01:45 +0000");
    }
}
