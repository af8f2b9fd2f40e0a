//! Holds the sources against the rules of the house, and the documents against the code.
//!
//! A rule that nobody checks is a wish. The checks read text, not syntax: the sources are formatted
//! by rustfmt, which makes lines and indentation reliable.

#![expect(clippy::unwrap_used, reason = "the helpers of these tests fail as the tests do")]

mod alarms;
mod circles;
mod compose;
mod deploy;
mod guide;
mod json;
mod logs;
mod manual;
mod names;
mod papers;
mod platform;
mod rooms;
mod shape;
mod yaml;

use std::fs;
use std::path::{Path, PathBuf};

/// A source file: its path below the package, and its lines.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The lines that are production code: no comments, no blank lines, nothing that is for tests
    /// only, nothing below the mark of a test module.
    fn code(&self) -> impl Iterator<Item = &str> {
        let lines = if self.is_test() { Vec::new() } else { production(&self.text) };
        let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
        lines.into_iter().filter(is_code)
    }

    /// Whether the whole file is test code.
    fn is_test(&self) -> bool {
        self.path.starts_with("tests/")
            || self.path.ends_with("/tests.rs")
            || self.path.contains("/tests/")
            || self.path.contains("/contract/")
    }

    /// The module doc's text.
    fn module_doc(&self) -> String {
        let lines = self.text.lines().take_while(|line| line.starts_with("//!"));
        lines.map(|line| line.trim_start_matches("//!").trim()).collect::<Vec<_>>().join(" ")
    }
}

/// The lines of a file that are not for tests only.
fn production(text: &str) -> Vec<&str> {
    let (mut lines, mut production) = (text.lines(), Vec::new());
    while let Some(line) = lines.next() {
        if line != "#[cfg(test)]" {
            production.push(line);
            continue;
        }
        let item = lines.find(|line| !line.starts_with("#["));
        if item.is_some_and(|item| item.ends_with('{')) {
            break;
        }
    }
    production
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The variables that the code reads.
fn variables() -> Vec<String> {
    chimein::agent::kinds::schema().keys().iter().flat_map(|key| key.variables()).collect()
}

/// Every Rust file below a folder of the package, in order.
fn sources(folder: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    for path in files(&root().join(folder)) {
        if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            sources.push(Source { text: read(&name), path: name });
        }
    }
    assert!(!sources.is_empty(), "{folder} has no sources");
    sources
}

/// Every file below a folder, but not those of other people's packages.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for entry in entries {
        let name = entry.file_name().unwrap().to_str().unwrap();
        if entry.is_dir() && !["node_modules", "target", ".venv"].contains(&name) {
            found.extend(files(&entry));
        } else if entry.is_file() {
            found.push(entry);
        }
    }
    found
}

/// Fails with all findings at once.
fn assert_none(rule: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{rule}:\n  {}", findings.join("\n  "));
}
