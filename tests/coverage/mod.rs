//! The list of what the emulator does and does not do: tests hold it against the emulator, and the
//! page with the table is made from it.

#![allow(dead_code, reason = "each test that includes this uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Deserialize;

/// The list.
const LIST: &str = include_str!("../data/emulator-coverage.toml");

/// The whole list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    row: Vec<Row>,
}

/// One thing that the emulator does, in part or in full.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    what: String,
    does: String,
    #[serde(default)]
    does_not: String,
    /// Features of the official clients that show it, by suite.
    #[serde(default)]
    features: BTreeMap<String, Vec<String>>,
    /// REST operations, by their ids in the API definitions.
    #[serde(default)]
    operations: Vec<String>,
    /// Tests of this repository that show it.
    #[serde(default)]
    tests: Vec<String>,
}

impl Coverage {
    /// Reads the list.
    pub fn load() -> Self {
        toml::from_str(LIST).expect("the coverage list is well formed")
    }

    /// The features of a suite.
    pub fn features(&self, suite: &str) -> BTreeSet<String> {
        self.row.iter().filter_map(|row| row.features.get(suite)).flatten().cloned().collect()
    }

    /// The REST operations. One that is named with `*` stands for the account's and the service's.
    pub fn operations(&self) -> BTreeSet<String> {
        let both = |id: &String| match id.split_once('*') {
            None => vec![id.clone()],
            Some((verb, noun)) => vec![format!("{verb}{noun}"), format!("{verb}Service{noun}")],
        };
        self.row.iter().flat_map(|row| &row.operations).flat_map(both).collect()
    }

    /// The page with the table.
    pub fn page(&self) -> String {
        let mut page = String::from(HEAD);
        for row in &self.row {
            let features: usize = row.features.values().map(Vec::len).sum();
            let operations: usize =
                row.operations.iter().map(|id| if id.contains('*') { 2 } else { 1 }).sum();
            let mut shown = Vec::new();
            if features > 0 {
                shown.push(format!("{features} features of the official clients"));
            }
            if operations > 0 {
                shown.push(format!("{operations} operations of the API definitions"));
            }
            shown.extend(row.tests.iter().map(|test| format!("`{test}`")));
            let Row { what, does, does_not, .. } = row;
            writeln!(page, "| {what} | {does} | {does_not} | {} |", shown.join(", "))
                .expect("writing to a String cannot fail");
        }
        page
    }
}

const HEAD: &str = "\
# What the emulator does and does not do

Made from `tests/data/emulator-coverage.toml`, the list that the tests run through: every feature is a
line of a suite in `tests/official-sdk` on Twilio's own clients, every operation's answers are held
against Twilio's API definitions. To make this page again: `UPDATE=1 cargo test --test
official_sdk coverage`.

| what | it does | it does not | shown by |
| --- | --- | --- | --- |
";
