//! The page with the phones in Chromium: `chimein demo` with its echo agent, used as a person would.
//!
//! Needs Node 20 with the packages of `tests/official-sdk`, and Chromium. What is missing is said in
//! one line; the test is then skipped, and fails where `CI` is set.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod coverage;
mod suites;

use std::path::Path;

/// Where Debian puts Chromium.
const CHROMIUM: &str = "/usr/bin/chromium";

#[tokio::test]
async fn every_feature_of_the_phone_page_holds() {
    let missing = (!Path::new(CHROMIUM).exists()).then_some("Chromium is not installed");
    let what = "the page with the phones in a browser";
    if suites::is_skipped(what, suites::missing_for_node().or(missing)) {
        return;
    }
    let (mut demo, mut lines) = suites::start(&["demo"]);
    let phones = suites::first_line(&mut lines, |line| {
        let (name, address) = line.trim().split_once(' ')?;
        (name == "phones").then(|| address.trim().to_owned())
    })
    .await;
    let mut suite = suites::node("browser");
    suite.env("CHIMEIN_CHROMIUM", CHROMIUM).env("CHIMEIN_PHONES", phones);
    suites::all_hold("browser", &suites::run(suite).await);
    demo.kill().await.unwrap();
}
