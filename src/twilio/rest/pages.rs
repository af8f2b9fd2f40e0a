//! Listings: page after page, on the configured base only, and never the same page twice.

use std::collections::{HashMap, HashSet};
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use url::Url;

use super::{Cause, Client, Error, Op};

/// How many pages one listing may have: a million conversations at a hundred a page.
const PAGES_MAX: usize = 10_000;

/// Walks a listing; each step is one request.
#[derive(Debug)]
pub struct Pages<T> {
    client: Client,
    op: Op,
    glance: Option<Url>,
    next: Option<Url>,
    seen: HashSet<Url>,
    items: PhantomData<fn() -> T>,
}

/// A page as it comes, its items unread.
type Page = HashMap<String, Box<RawValue>>;

/// What a page says of itself.
#[derive(Deserialize)]
struct Meta {
    key: String,
    next_page_url: Option<String>,
}

impl<T: DeserializeOwned> Pages<T> {
    pub(super) fn new(client: Client, op: Op, first: Url) -> Self {
        Self {
            client,
            op,
            glance: None,
            next: Some(first),
            seen: HashSet::new(),
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
    /// As any request; [`Cause::Page`] where the listing leads nowhere or in a circle.
    pub async fn next(&mut self) -> Result<Option<Vec<T>>, Error> {
        if let Some(url) = self.glance.clone() {
            let (items, following) = self.read(url).await?;
            self.glance = None;
            if following.is_none() {
                self.next = None;
            }
            return Ok(Some(items));
        }
        let Some(url) = self.next.clone() else { return Ok(None) };
        if self.seen.len() >= PAGES_MAX || self.seen.contains(&url) {
            return Err(Error::NotSent { op: self.op, source: Cause::Page });
        }
        let (items, following) = self.read(url.clone()).await?;
        let _ = self.seen.insert(url);
        self.next = following;
        Ok(Some(items))
    }

    /// Gives a page's items and where the next page is.
    async fn read(&self, url: Url) -> Result<(Vec<T>, Option<Url>), Error> {
        let op = self.op;
        let page = self.client.get(op, url).await?;
        let (items, following) = take(&page).map_err(|source| Error::Unknown { op, source })?;
        let following = match following {
            Some(text) => {
                let next = on_base(&self.client.inner.base, &text);
                Some(next.ok_or(Error::Unknown { op, source: Cause::Page })?)
            }
            None => None,
        };
        Ok((items, following))
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

/// Reads the items, under the key that `meta` names, and the next page's URL out of a page.
fn take<T: DeserializeOwned>(page: &Page) -> Result<(Vec<T>, Option<String>), Cause> {
    let unreadable = || Cause::Unreadable { line: 0, column: 0 };
    let meta: Meta = read(page, "meta").ok_or_else(unreadable)?;
    Ok((read(page, &meta.key).ok_or_else(unreadable)?, meta.next_page_url))
}

fn read<T: DeserializeOwned>(page: &Page, key: &str) -> Option<T> {
    page.get(key).and_then(|part| serde_json::from_str(part.get()).ok())
}

/// Puts a next page's path and query on the configured base, whatever host it names.
///
/// Source: `next_page_url` is absolute and names the default host, also behind an edge; node helper
/// 6.2.0 puts its own host in again.
fn on_base(base: &Url, next: &str) -> Option<Url> {
    let next = base.join(next).ok()?;
    let (_, below) = next.path().split_once("/v1/")?;
    let mut url = base.clone();
    url.set_path(&format!("{}/{below}", base.path().trim_end_matches('/')));
    url.set_query(next.query());
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_next_page_is_always_on_the_configured_base() {
        for (base, next, wanted) in [
            (
                "https://conversations.twilio.com/v1",
                "https://conversations.twilio.com/v1/Conversations?Page=1&PageToken=a%2Fb",
                Some("https://conversations.twilio.com/v1/Conversations?Page=1&PageToken=a%2Fb"),
            ),
            (
                "http://127.0.0.1:99/twilio/v1",
                "https://evil.example/v1/Conversations?Page=1",
                Some("http://127.0.0.1:99/twilio/v1/Conversations?Page=1"),
            ),
            (
                "https://conversations.ie1.twilio.com/v1",
                "/v1/Conversations?Page=1",
                Some("https://conversations.ie1.twilio.com/v1/Conversations?Page=1"),
            ),
            ("https://h/v1", "https://h/Conversations", None),
            ("https://h/v1", "ftp://[", None),
        ] {
            let base = Url::parse(base).unwrap();
            let got = on_base(&base, next);
            assert_eq!(got.as_ref().map(Url::as_str), wanted, "{next}");
        }
    }
}
