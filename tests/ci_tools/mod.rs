//! Programs of Python's package index that tests run against: sets of them, each by its list beside this file.
//!
//! They are under `target/ci-tools`, where the first test that needs a set lets `.ci/python` install it, again once its
//! list has changed. Test binaries run one after the other, so that one process does it.

#![allow(dead_code, reason = "each of the binaries that include this uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// What is known of each set: the folder of its programs, or that it could not be installed.
static SETS: Mutex<Option<HashMap<String, Option<PathBuf>>>> = Mutex::new(None);

/// A program of a set.
pub fn program(set: &str, name: &str) -> PathBuf {
    let programs = programs(set);
    programs.unwrap_or_else(|| panic!(".ci/python {set} failed, see above")).join(name)
}

/// The folder of a set's programs; none if it could not be installed.
pub fn programs(set: &str) -> Option<PathBuf> {
    let mut sets = SETS.lock().unwrap_or_else(PoisonError::into_inner);
    let known = sets.get_or_insert_default().entry(set.to_owned());
    known.or_insert_with(|| installed(set)).clone()
}

fn installed(set: &str) -> Option<PathBuf> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let place = home.join("target/ci-tools").join(set);
    let list = std::fs::read(home.join(format!("tests/ci_tools/{set}.txt"))).unwrap();
    if std::fs::read(place.join("installed")).is_ok_and(|by| by == list) {
        return Some(place.join("bin"));
    }
    let installer = Command::new(home.join(".ci/python")).arg(set).stdin(Stdio::null()).status();
    installer.is_ok_and(|status| status.success()).then(|| place.join("bin"))
}
