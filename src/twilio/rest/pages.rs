//! Listings: page after page, on the configured base only, and never the same page twice.
//!
//! An entry that cannot be read is left out and told of, by the field that it lacks; it stops nobody
//! from reading the others.

use std::collections::{HashMap, HashSet};
use std::marker::PhantomData;

use serde_json::value::RawValue;
use url::Url;

use super::model::Entry;
use super::{CORE_VERSION, Client, Error, FailureCause, Op};
use crate::json::{self, Members, Unreadable};

/// How many pages one listing may have: a million conversations at a hundred a page.
const PAGES_MAX: usize = 10_000;

/// Walks a listing; each step is one request.
#[derive(Debug)]
pub struct Pages<T> {
    client: Client,
    op: Op,
    api: Api,
    glance: Option<Url>,
    next: Option<Url>,
    seen: HashSet<Url>,
    skipped: usize,
    items: PhantomData<fn() -> T>,
}

/// Whose pages they are: the two APIs write them differently.
#[derive(Clone, Copy, Debug)]
enum Api {
    /// The entries under a key that `meta` names, beside the next page's whole URL.
    /// Source: Conversations, vendor definition of April 2026.
    Conversations,
    /// The entries under this key, and the path of the next page.
    /// Source: Messages resource, list, vendor definition of April 2026.
    Core(&'static str),
    /// As those of Conversations, on the base of the Messaging API. Source: definition of April 2026.
    Messaging,
}

/// A page as it comes, its members unread.
type Answer = HashMap<String, Box<RawValue>>;

/// A page that was read.
struct ReadPage<T> {
    items: Vec<T>,
    skipped: usize,
    following: Option<Url>,
}

impl<T: Entry> Pages<T> {
    pub(super) fn new(client: Client, op: Op, first: Url) -> Self {
        Self::of(Api::Conversations, client, op, first)
    }

    /// Walks a listing of the core API, whose entries are under `key`.
    pub(super) fn of_core(key: &'static str, client: Client, op: Op, first: Url) -> Self {
        Self::of(Api::Core(key), client, op, first)
    }

    /// Walks a listing of the Messaging API.
    pub(super) fn of_messaging(client: Client, op: Op, first: Url) -> Self {
        Self::of(Api::Messaging, client, op, first)
    }

    fn of(api: Api, client: Client, op: Op, first: Url) -> Self {
        Self {
            client,
            op,
            api,
            glance: None,
            next: Some(first),
            seen: HashSet::new(),
            skipped: 0,
            items: PhantomData,
        }
    }

    /// Asks for a short page of the same listing first: whoever finds there what it wants is spared a
    /// whole one. The page after it begins anew, with the same items once more.
    pub(super) fn after_a_glance(self, glance: Url) -> Self {
        Self { glance: Some(glance), ..self }
    }

    /// Gives the next page, or `None` after the last one.
    ///
    /// After an error the same page is asked for again.
    ///
    /// # Errors
    ///
    /// As any request; [`FailureCause::Page`] where the listing leads nowhere or in a circle.
    pub async fn next(&mut self) -> Result<Option<Vec<T>>, Error> {
        if let Some(url) = self.glance.clone() {
            let ReadPage { items, skipped, following } = self.read(url).await?;
            self.glance = None;
            match following {
                // What was left out will be so once more.
                Some(_) => {}
                None => (self.next, self.skipped) = (None, skipped),
            }
            return Ok(Some(items));
        }
        let Some(url) = self.next.clone() else { return Ok(None) };
        if self.seen.len() >= PAGES_MAX || self.seen.contains(&url) {
            return Err(Error::NotSent { op: self.op, source: FailureCause::Page });
        }
        let ReadPage { items, skipped, following } = self.read(url.clone()).await?;
        self.seen.insert(url);
        self.next = following;
        self.skipped += skipped;
        Ok(Some(items))
    }

    /// How many entries were left out of the pages so far, because they could not be read.
    #[must_use]
    pub const fn skipped(&self) -> usize {
        self.skipped
    }

    async fn read(&self, url: Url) -> Result<ReadPage<T>, Error> {
        let op = self.op;
        let answer = self.client.get(op, url).await?;
        let unknown = |source| Error::Unknown { op, source };
        let (entries, following) = take(&answer, self.api).ok_or_else(|| unknown(UNREADABLE))?;
        let following = match following {
            Some(text) => {
                let next = match self.api {
                    Api::Conversations => on_base(&self.client.inner.base, "v1", &text),
                    Api::Core(_) => on_base(&self.client.inner.core_base, CORE_VERSION, &text),
                    Api::Messaging => on_messaging_base(&self.client.inner.messaging_base, &text),
                };
                Some(next.ok_or_else(|| unknown(FailureCause::Page))?)
            }
            None => None,
        };
        let (mut items, mut skipped, mut first_bad) = (Vec::with_capacity(entries.len()), 0, None);
        for entry in entries {
            match read(entry) {
                Ok(item) => items.push(item),
                Err(entry) => {
                    skipped += 1;
                    first_bad.get_or_insert(entry);
                }
            }
        }
        // One line a page, however many of its entries are bad.
        if let Some(Bad { field, sid }) = first_bad {
            tracing::warn!(
                rest_op = op.as_str(),
                field,
                sid,
                count = skipped,
                "entries of a listing cannot be read and are left out; the first is named"
            );
        }
        Ok(ReadPage { items, skipped, following })
    }

    /// Collects all pages, up to `max` items.
    ///
    /// # Errors
    ///
    /// As [`Pages::next`].
    pub async fn all(mut self, max: usize) -> Result<Vec<T>, Error> {
        let mut all = Vec::new();
        while all.len() < max
            && let Some(items) = self.next().await?
        {
            all.extend(items);
        }
        all.truncate(max);
        Ok(all)
    }
}

/// What is said of a page that is no page.
const UNREADABLE: FailureCause = FailureCause::Unreadable { line: 0, column: 0 };

/// Takes the entries and where the next page is out of a page.
fn take(page: &Answer, api: Api) -> Option<(Vec<&RawValue>, Option<String>)> {
    let mut room = Vec::new();
    let (entries, next) = match api {
        Api::Conversations | Api::Messaging => {
            let meta: Members<'_> =
                json::lend(page.get("meta")?.get().as_bytes(), &mut room).ok()?;
            (page.get(&meta.get::<String>("key")?)?, meta.raw("next_page_url"))
        }
        Api::Core(key) => {
            let next = page.get("next_page_uri").map(|raw| &**raw);
            (page.get(key)?, next.filter(|raw| raw.get() != "null"))
        }
    };
    let entries = serde_json::from_str(entries.get()).ok()?;
    let following = match next {
        // A listing that ends too early looks like one without the rest.
        Some(raw) => Some(json::from_str(raw.get()).ok()?),
        None => None,
    };
    Some((entries, following))
}

/// An entry that cannot be read, and what can be told of it.
#[derive(Debug, Eq, PartialEq)]
struct Bad {
    field: &'static str,
    sid: Option<String>,
}

fn read<T: Entry>(entry: &RawValue) -> Result<T, Bad> {
    let mut room = Vec::new();
    let members: Members<'_> = json::lend(entry.get().as_bytes(), &mut room)
        .map_err(|_| Bad { field: "entry", sid: None })?;
    T::read(&members).map_err(|Unreadable { field }| {
        let named = ["sid", "message_sid", "conversation_sid"].iter();
        Bad {
            field,
            sid: named.filter_map(|name| members.get::<String>(name)).find(|sid| is_sid(sid)),
        }
    })
}

/// Whether a text may be shown: two capitals and the digits.
fn is_sid(text: &str) -> bool {
    let (kind, digits) = text.split_at_checked(2).unwrap_or_default();
    kind.bytes().all(|byte| byte.is_ascii_uppercase())
        && digits.len() == 32
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Puts a next page's path and query on the configured base, which ends in the API's version, whatever
/// host it names.
///
/// Source: `next_page_url` is absolute and names the default host, also behind an edge; node helper
/// 6.2.0 puts its own host in again. `next_page_uri` is a path.
fn on_base(base: &Url, version: &str, next: &str) -> Option<Url> {
    let next = base.join(next).ok()?;
    let (_, below) = next.path().split_once(&format!("/{version}/"))?;
    let mut url = base.clone();
    url.set_path(&format!("{}/{below}", base.path().trim_end_matches('/')));
    url.set_query(next.query());
    Some(url)
}

/// The same on a base that does not end in a version.
fn on_messaging_base(base: &Url, next: &str) -> Option<Url> {
    let version = |path: &str| {
        let mut versions = ["v1", "v2"].into_iter();
        versions.find(|version| path.contains(&format!("/{version}/")))
    };
    let version = version(base.join(next).ok()?.path())?;
    on_base(&super::below(base, &[version]), version, next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twilio::rest::{Message, ParticipantConversation};

    #[test]
    fn an_entry_that_cannot_be_read_is_told_by_field_and_sid() {
        let sid = format!("IM{}", "0".repeat(32));
        let raw = |json: &str| RawValue::from_string(json.to_owned()).unwrap();
        let bad = |field, sid: Option<&str>| Bad { field, sid: sid.map(str::to_owned) };
        for (json, wanted) in [
            (format!(r#"{{"sid":"{sid}"}}"#), bad("index", Some(&sid))),
            (format!(r#"{{"sid":"{sid}","index":-1}}"#), bad("index", Some(&sid))),
            (r#"{"sid":"+15555550123","index":1}"#.to_owned(), bad("sid", None)),
            ("{}".to_owned(), bad("sid", None)),
            ("7".to_owned(), bad("entry", None)),
        ] {
            assert_eq!(read::<Message>(&raw(&json)).unwrap_err(), wanted, "{json}");
        }
        let seat = raw(r#"{"conversation_sid":"CH","participant_sid":"MB"}"#);
        let wanted = bad("conversation_sid", None);
        assert_eq!(read::<ParticipantConversation>(&seat).unwrap_err(), wanted);
    }

    #[test]
    fn a_next_page_is_always_on_the_configured_base() {
        for (base, next, wanted) in [
            (
                "https://conversations.twilio.com/v1",
                "https://conversations.twilio.com/v1/Conversations?ReadPage=1&PageToken=a%2Fb",
                Some(
                    "https://conversations.twilio.com/v1/Conversations?ReadPage=1&PageToken=a%2Fb",
                ),
            ),
            (
                "http://127.0.0.1:99/twilio/v1",
                "https://evil.example/v1/Conversations?ReadPage=1",
                Some("http://127.0.0.1:99/twilio/v1/Conversations?ReadPage=1"),
            ),
            (
                "https://conversations.ie1.twilio.com/v1",
                "/v1/Conversations?ReadPage=1",
                Some("https://conversations.ie1.twilio.com/v1/Conversations?ReadPage=1"),
            ),
            ("https://h/v1", "https://h/Conversations", None),
            ("https://h/v1", "ftp://[", None),
        ] {
            let base = Url::parse(base).unwrap();
            let got = on_base(&base, "v1", next);
            assert_eq!(got.as_ref().map(Url::as_str), wanted, "{next}");
        }
    }

    #[test]
    fn a_next_page_may_be_told_by_its_path() {
        let uri = "/2010-04-01/Accounts/AC1/Messages.json?ReadPage=1&PageToken=PASM1";
        for (base, next, wanted) in [
            (
                "https://api.twilio.com/2010-04-01",
                uri,
                Some(format!("https://api.twilio.com{uri}")),
            ),
            (
                "http://127.0.0.1:99/twilio/2010-04-01",
                uri,
                Some(format!("http://127.0.0.1:99/twilio{uri}")),
            ),
            (
                "https://h/2010-04-01",
                "//evil.example/2010-04-01/x",
                Some("https://h/2010-04-01/x".to_owned()),
            ),
            ("https://h/2010-04-01", "/2008-08-01/Accounts", None),
        ] {
            let base = Url::parse(base).unwrap();
            let got = on_base(&base, CORE_VERSION, next);
            assert_eq!(got.map(String::from), wanted, "{next}");
        }
    }
}
