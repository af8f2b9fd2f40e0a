//! The page with the phones in Chromium: `chimein demo` with its echo agent, used as a person would.
//!
//! Needs Node 20 with the packages of `tests/official-sdk`, and Chromium. What is missing is said in
//! one line; the test is then skipped, and fails where `CI` is set.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod coverage;
mod suites;

use std::path::Path;

use tokio::io::{BufReader, Lines};
use tokio::process::{Child, ChildStdout};

/// Where Debian puts Chromium.
const CHROMIUM: &str = "/usr/bin/chromium";

/// The picture that the README shows; `UPDATE=1` takes it anew.
const PICTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/.github/phones.png");
/// How large it may be, in bytes.
const PICTURE_BYTES_MAX: usize = 150_000;

#[tokio::test]
async fn the_picture_of_the_readme_can_be_taken() {
    let what = "the picture of the page";
    if suites::is_skipped(what, missing()) {
        return;
    }
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("phones.png");
    let (mut demo, phones) = demo().await;
    let mut suite = suites::node("picture");
    suite.env("CHIMEIN_CHROMIUM", CHROMIUM).env("CHIMEIN_PHONES", phones);
    suite.env("CHIMEIN_PICTURE", &kept);
    let outcome = suites::run(suite).await;
    assert!(outcome.is_success, "{}", outcome.output);
    demo.kill().await.unwrap();
    let (taken, shown) =
        (std::fs::read(&kept).unwrap(), std::fs::read(PICTURE).unwrap_or_default());
    assert!(taken.len() <= PICTURE_BYTES_MAX, "{} bytes", taken.len());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(PICTURE, &taken).unwrap();
        return;
    }
    let size = |png: &[u8]| png.get(..24).map(<[u8]>::to_vec);
    assert_eq!(size(&shown), size(&taken), "UPDATE=1 takes {PICTURE} anew");
}

#[tokio::test]
async fn every_feature_of_the_phone_page_holds() {
    let what = "the page with the phones in a browser";
    if suites::is_skipped(what, missing()) {
        return;
    }
    let (mut demo, phones) = demo().await;
    let mut suite = suites::node("browser");
    suite.env("CHIMEIN_CHROMIUM", CHROMIUM).env("CHIMEIN_PHONES", phones);
    suites::all_hold("browser", &suites::run(suite).await);
    demo.kill().await.unwrap();
}

/// Pictures stay in `target/screenshots`, light and dark, at the width of a desk and of a phone.
#[tokio::test]
async fn every_feature_of_the_console_holds() {
    if suites::is_skipped("the console in a browser", missing()) {
        return;
    }
    let pictures = concat!(env!("CARGO_MANIFEST_DIR"), "/target/screenshots");
    std::fs::create_dir_all(pictures).unwrap();
    let tokens = [("CHIMEIN_ADMIN_DEBUG_TOKEN", "acts"), ("CHIMEIN_ADMIN_READ_TOKEN", "reads")];
    let (mut demo, mut lines) = suites::start_with(&["demo"], &tokens);
    let mut suite = suites::node("console");
    for (name, variable) in [("phones", "CHIMEIN_PHONES"), ("console", "CHIMEIN_CONSOLE")] {
        suite.env(variable, address_of(&mut lines, name).await);
    }
    suite.env("CHIMEIN_CHROMIUM", CHROMIUM).env("CHIMEIN_SCREENSHOTS", pictures);
    suite.env("CHIMEIN_ADMIN_TOKEN", "acts").env("CHIMEIN_READ_TOKEN", "reads");
    let outcome = suites::run(suite).await;
    assert!(outcome.is_success, "{}", outcome.output);
    let taken = std::fs::read_dir(pictures).unwrap().count();
    assert!(taken >= 20, "{taken} pictures");
    demo.kill().await.unwrap();
}

/// What is missing for a browser.
fn missing() -> Option<&'static str> {
    let missing = (!Path::new(CHROMIUM).exists()).then_some("Chromium is not installed");
    suites::missing_for_node().or(missing)
}

/// Starts `chimein demo`; gives it with the address of its page.
async fn demo() -> (Child, String) {
    let (demo, mut lines) = suites::start(&["demo"]);
    let phones = address_of(&mut lines, "phones").await;
    (demo, phones)
}

/// The address that the demo tells of this name.
async fn address_of(lines: &mut Lines<BufReader<ChildStdout>>, wanted: &str) -> String {
    suites::first_line(lines, |line| {
        let (name, address) = line.trim().split_once(' ')?;
        (name == wanted).then(|| address.trim().to_owned())
    })
    .await
}
