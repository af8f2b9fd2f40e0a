//! Cuts a list into pages the way Conversations v1 does: absolute URLs with a token in them.
//!
//! Pure. Over the largest page size the emulator clamps; the live API clamps or refuses (not known).
//! Source: REST notes 1 and 3, read 2026-11-21.

use serde_json::{Value, json};

use super::fields::Fields;
use crate::emulator::state::refusal::Refusal;
use crate::twilio::form;

/// Which page is wanted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WantedPage {
    size: usize,
    number: u64,
    token: Option<PageToken>,
    descending: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum PageToken {
    /// Items after this position, in the direction of the list.
    After(u64),
    /// The page that ends before this position.
    Before(u64),
}

/// Items of one page with the rest of the answer.
#[derive(Debug)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    first: Option<u64>,
    last: Option<u64>,
    has_next: bool,
    has_previous: bool,
}

/// The page size when none is asked for. Source: API definition.
const SIZE_DEFAULT: usize = 50;

impl WantedPage {
    /// Reads `PageSize`, `Page`, `PageToken` and `Order`.
    ///
    /// # Errors
    ///
    /// If one cannot be read.
    pub fn read(query: &Fields, size_max: usize) -> Result<Self, Refusal> {
        let size = query.parsed::<usize>("PageSize")?.unwrap_or(SIZE_DEFAULT.min(size_max));
        if size == 0 {
            return Err(Refusal::ParameterInvalid("PageSize"));
        }
        let token = query.read("PageToken", |text| {
            let (direction, position) = text.split_at_checked(2)?;
            let position = position.parse().ok()?;
            match direction {
                "PT" => Some(PageToken::After(position)),
                "PB" => Some(PageToken::Before(position)),
                _ => None,
            }
        })?;
        // In any case of letters. Source: API definition, `ListConversationMessage`, examples.
        let descending = query.read("Order", |text| match text.to_ascii_lowercase().as_str() {
            "asc" => Some(false),
            "desc" => Some(true),
            _ => None,
        })?;
        Ok(Self {
            size: size.min(size_max),
            number: query.parsed("Page")?.unwrap_or(0),
            token,
            descending: descending.unwrap_or(false),
        })
    }

    /// Cuts the page out of a list that is in ascending order of position.
    pub fn cut<T>(&self, items: impl Iterator<Item = (u64, T)>) -> Page<T> {
        let mut all: Vec<(u64, T)> = items.collect();
        if self.descending {
            all.reverse();
        }
        let is_before =
            |one: u64, other: u64| if self.descending { one > other } else { one < other };
        let (from, to) = match self.token {
            None => (0, self.size),
            Some(PageToken::After(position)) => {
                let from = all.iter().filter(|(at, _)| !is_before(position, *at)).count();
                (from, from.saturating_add(self.size))
            }
            Some(PageToken::Before(position)) => {
                let to = all.iter().filter(|(at, _)| is_before(*at, position)).count();
                (to.saturating_sub(self.size), to)
            }
        };
        let (from, to) = (from.min(all.len()), to.min(all.len()));
        let (has_previous, has_next) = (from > 0, to < all.len());
        let page: Vec<(u64, T)> = all.drain(from..to).collect();
        let first = page.first().map(|(position, _)| *position);
        let last = page.last().map(|(position, _)| *position);
        let items = page.into_iter().map(|(_, item)| item).collect();
        Page { items, first, last, has_next, has_previous }
    }

    /// The answer: the items under `key`, and `meta` with the URLs of the other pages.
    #[must_use]
    pub fn answer<T>(&self, page: &Page<T>, items: Vec<Value>, place: &ListUrl<'_>) -> Value {
        let url = |number: u64, token: Option<(&str, u64)>| {
            let size = self.size.to_string();
            let number = number.to_string();
            let token = token.map(|(direction, position)| format!("{direction}{position}"));
            let mut pairs: Vec<(&str, &str)> = place.filters.to_vec();
            pairs.push(("PageSize", &size));
            pairs.push(("Page", &number));
            if let Some(token) = &token {
                pairs.push(("PageToken", token));
            }
            format!("{}?{}", place.url, form::encode(pairs))
        };
        let next = page.last.filter(|_| page.has_next);
        let previous = page.first.filter(|_| page.has_previous);
        let token = self.token.map(|token| match token {
            PageToken::After(position) => ("PT", position),
            PageToken::Before(position) => ("PB", position),
        });
        let mut answer = json!({
            "meta": {
                "page": self.number,
                "page_size": self.size,
                "first_page_url": url(0, None),
                "previous_page_url":
                    previous.map(|at| url(self.number.saturating_sub(1), Some(("PB", at)))),
                "url": url(self.number, token),
                "next_page_url":
                    next.map(|at| url(self.number.saturating_add(1), Some(("PT", at)))),
                "key": place.key,
            },
        });
        answer[place.key] = Value::from(items);
        answer
    }
}

/// Where a list is, for the URLs of its pages.
#[derive(Clone, Debug)]
pub struct ListUrl<'a> {
    /// The list's name in the answer.
    pub key: &'a str,
    /// The absolute URL without query.
    pub url: String,
    /// Filters to be repeated in the URLs.
    pub filters: Vec<(&'a str, &'a str)>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn following_the_next_page_gives_everything_once_in_order(
            count in 0_u64..40,
            size in 1_usize..9,
            descending: bool,
        ) {
            let order = if descending { "desc" } else { "asc" };
            let mut query = format!("PageSize={size}&Order={order}");
            let mut seen = Vec::new();
            loop {
                let wanted = WantedPage::read(&Fields::parse(query.as_bytes()), 100).unwrap();
                // Positions have gaps, as message indexes do.
                let page = wanted.cut((0..count).map(|number| (number * 3, number)));
                let place = ListUrl { key: "items", url: "http://x/y".into(), filters: vec![("Order", order)] };
                let items = page.items.iter().map(|number| json!(number)).collect();
                let answer = wanted.answer(&page, items, &place);
                seen.extend(page.items.iter().copied());
                let Some(next) = answer["meta"]["next_page_url"].as_str() else { break };
                query = next.split_once('?').unwrap().1.to_owned();
            }
            let mut wanted: Vec<_> = (0..count).collect();
            if descending {
                wanted.reverse();
            }
            prop_assert_eq!(seen, wanted);
        }
    }

    #[test]
    fn the_previous_page_is_the_one_before() {
        let page = |query: &str| {
            let wanted = WantedPage::read(&Fields::parse(query.as_bytes()), 100).unwrap();
            wanted.cut((0..10).map(|number| (number, number))).items
        };
        assert_eq!(page("PageSize=3&PageToken=PT2"), [3, 4, 5]);
        assert_eq!(page("PageSize=3&PageToken=PB3"), [0, 1, 2]);
        assert_eq!(page("PageSize=3&PageToken=PT9"), Vec::<u64>::new());
    }

    #[test]
    fn page_sizes_are_clamped_and_zero_is_refused() {
        let read = |query: &str| WantedPage::read(&Fields::parse(query.as_bytes()), 5);
        assert_eq!(read("PageSize=100").unwrap().size, 5);
        assert_eq!(read("").unwrap().size, 5);
        assert_eq!(read("PageSize=0"), Err(Refusal::ParameterInvalid("PageSize")));
        assert_eq!(read("PageToken=xx"), Err(Refusal::ParameterInvalid("PageToken")));
        assert!(read("Order=DeSc").unwrap().descending);
        assert_eq!(read("Order=up"), Err(Refusal::ParameterInvalid("Order")));
    }
}
