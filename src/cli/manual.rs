//! `chimein manual`: prints a page of the manual, or the list of its pages.
//!
//! The pages are compiled in, so what is printed is of this version.

use std::process::ExitCode;

use clap::builder::PossibleValuesParser;

use super::outcome;
use crate::manual::{PAGES, Page, page};

/// What `chimein manual` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The page; without it all are listed.
    #[arg(value_parser = PossibleValuesParser::new(PAGES.iter().map(|page| page.topic)))]
    topic: Option<String>,
}

/// Runs the command.
///
/// # Errors
///
/// Fails if standard output cannot be written to. One that is closed early, as a pager does, is no
/// failure.
pub fn run(args: &Args) -> Result<ExitCode, outcome::Error> {
    outcome::print(shown(args.topic.as_deref()).as_bytes())
}

/// A page's text, or the list of all.
fn shown(topic: Option<&str>) -> String {
    match topic.and_then(page) {
        Some(page) => page.text.to_owned(),
        None => PAGES.iter().map(line).collect(),
    }
}

fn line(Page { topic, about, .. }: &Page) -> String {
    format!("chimein manual {topic:<14} {about}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_a_page_and_none_is_the_list_of_all() {
        assert!(shown(Some("metrics")).starts_with("# Metrics and traces\n"));
        let list = shown(None);
        assert_eq!(list.lines().count(), PAGES.len());
        for Page { topic, .. } in PAGES {
            assert!(list.contains(&format!("chimein manual {topic} ")), "{topic}");
        }
    }
}
