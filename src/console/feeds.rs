//! The address of a live page's feed, and what comes over it. Pure.

use maud::Markup;

use super::views;

/// Where all feeds are.
pub(super) const FEEDS: &str = "/console/events";

/// What is inside of an element, under its id.
pub(super) type Fragment = (&'static str, Markup);

/// Gives the address of a page's feed, with what else the page goes by.
pub(super) fn feed_of(page: &str, pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<_> = [("page", page)].into_iter().chain(pairs.iter().copied()).collect();
    format!("{FEEDS}?{}", views::query(&pairs))
}
