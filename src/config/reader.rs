//! Reads typed values out of the three layers and collects everything that is wrong.
//!
//! Pure but for one closure that reads a secret's file. Later layers win: the manual's defaults,
//! the file, the environment. Reading never stops at a problem, so that all come out at once.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::environment::Environment;
use super::key::{FILE_VARIABLE, Key};
use super::kinds::Setting;
use super::kubernetes::{is_link, is_service_link};
use super::problem::{Problem, Reason, SettingOrigin};
use crate::text::nearest;

/// The key's value as people may see it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Effective {
    /// The key's name.
    pub key: &'static str,
    /// The value, masked if it is a secret or not well-formed; `None` if there is none.
    pub shown: Option<String>,
    /// Where it came from.
    pub origin: SettingOrigin,
}

/// What stands for a secret's value wherever settings are shown.
pub const MASK: &str = "***REDACTED***";

/// Bytes of a secret's file that are read at most.
pub(super) const SECRET_BYTES_MAX: usize = 64 * 1024;

/// What settings are read from.
pub(super) struct Layers<'a> {
    pub defaults: Table,
    pub file: Option<(PathBuf, Table)>,
    pub environment: &'a Environment,
    pub read_secret: &'a dyn Fn(&Path) -> Result<String, Reason>,
}

/// Reads values and remembers problems.
pub struct Reader<'a> {
    keys: Vec<Key>,
    agents: Vec<&'static str>,
    layers: Layers<'a>,
    pub(super) problems: Vec<Problem>,
    pub(super) effective: Vec<Effective>,
    needs_required: bool,
}

impl<'a> Reader<'a> {
    /// Begins to read `keys`, all that there are, where these kinds of agents are.
    pub(super) fn new(keys: Vec<Key>, agents: Vec<&'static str>, layers: Layers<'a>) -> Self {
        let (problems, effective) = (Vec::new(), Vec::new());
        Self { keys, agents, layers, problems, effective, needs_required: true }
    }

    /// Says whether required values may be missing from now on.
    pub(super) fn needs_required(&mut self, needs: bool) {
        self.needs_required = needs;
    }

    /// Reads one key; `None` means that a problem was noted, or that nothing required is needed.
    pub fn read<T: Setting>(&mut self, key: &'static Key) -> Option<T> {
        let (text, origin) = match self.find(key) {
            Ok(found) => found,
            Err((origin, reason)) => {
                self.show(key, None, origin.clone());
                self.note(key, origin, reason);
                return None;
            }
        };
        let Some(text) = text else {
            self.show(key, None, origin.clone());
            let value = T::absent();
            if value.is_none() && self.needs_required {
                self.note(key, origin, Reason::Missing);
            }
            return value;
        };
        let value = T::parse_among(text.trim(), &self.agents);
        // What is not well-formed may be a secret in the wrong place.
        let is_fit_to_see = value.is_some() && !key.secret;
        let shown = if is_fit_to_see { T::shown(&text) } else { MASK.to_owned() };
        self.show(key, Some(shown), origin.clone());
        if value.is_none() {
            self.note(key, origin, Reason::Malformed { wanted: T::wanted_among(&self.agents) });
        }
        value
    }

    /// Gives a key's value once more, if it has a well-formed one.
    pub fn value<T: Setting>(&self, name: &'static str) -> Option<T> {
        let (text, _) = self.find(&self.key(name)).ok()?;
        T::parse_among(text?.trim(), &self.agents)
    }

    /// Whether a key has any value, be it well-formed or not.
    pub fn is_set(&self, name: &'static str) -> bool {
        match self.find(&self.key(name)) {
            Ok((text, _)) => text.is_some_and(|text| !text.trim().is_empty()),
            Err(_) => true,
        }
    }

    /// Notes that a value breaks a rule; `None` says that the rule cannot be judged.
    pub fn rule(&mut self, name: &'static str, is_kept: Option<bool>, broken: &'static str) {
        if is_kept != Some(false) {
            return;
        }
        let key = self.key(name);
        let origin = match self.find(&key) {
            Ok((_, origin)) | Err((origin, _)) => origin,
        };
        self.note(&key, origin, Reason::Rule(broken));
    }

    /// Notes every name in the file or the environment that is no setting.
    pub(super) fn refuse_unknown(&mut self) {
        if let Some((path, table)) = &self.layers.file {
            let known: Vec<String> = file_names(&self.keys);
            let origin = SettingOrigin::File(path.clone());
            let unknown = names_of(table).filter(|name| !known.contains(name));
            let problems: Vec<Problem> = unknown
                .map(|name| unknown_name(name, origin.clone(), known.iter().map(String::as_str)))
                .collect();
            self.problems.extend(problems);
        }
        let known = variable_names(&self.keys);
        for name in self.layers.environment.names() {
            let value = self.layers.environment.get(name).unwrap_or_default();
            let is_known = known.iter().any(|known| known == name);
            if name.starts_with("CHIMEIN_") && !is_known && !is_service_link(name, value) {
                let origin = SettingOrigin::Environment(name.to_owned());
                let known = known.iter().map(String::as_str);
                self.problems.push(unknown_name(name.to_owned(), origin, known));
            }
        }
    }

    /// Finds a key's text in the highest layer that has it.
    fn find(&self, key: &Key) -> Result<(Option<String>, SettingOrigin), (SettingOrigin, Reason)> {
        for variable in key.variables() {
            // A Service that is called service has its link where our port may be.
            let is_others = |text: &&str| variable.ends_with("PORT") && is_link(text);
            let direct = self.layers.environment.get(&variable).filter(|text| !is_others(text));
            let origin = SettingOrigin::Environment(variable.clone());
            if key.secret {
                let pointer = format!("{variable}_FILE");
                if let Some(path) = self.layers.environment.get(&pointer) {
                    if direct.is_some() {
                        return Err((origin, Reason::SetTwice));
                    }
                    return self.read_secret(path, pointer);
                }
            }
            if let Some(text) = direct {
                return Ok((Some(text.to_owned()), origin));
            }
        }
        if let Some((path, table)) = &self.layers.file {
            let origin = SettingOrigin::File(path.clone());
            let direct = text_in(table, key.name).map_err(|reason| (origin.clone(), reason))?;
            if key.secret {
                let pointer = format!("{}_file", key.name);
                let named = text_in(table, &pointer).map_err(|reason| (origin.clone(), reason))?;
                if let Some(secret_path) = named {
                    if direct.is_some() {
                        return Err((origin, Reason::SetTwice));
                    }
                    return self.read_secret(&secret_path, pointer);
                }
            }
            if direct.is_some() {
                return Ok((direct, origin));
            }
        }
        match text_in(&self.layers.defaults, key.name) {
            Ok(Some(text)) => Ok((Some(text), SettingOrigin::Default)),
            Ok(None) => Ok((None, SettingOrigin::Nowhere)),
            Err(reason) => Err((SettingOrigin::Default, reason)),
        }
    }

    fn read_secret(
        &self,
        path: &str,
        pointer: String,
    ) -> Result<(Option<String>, SettingOrigin), (SettingOrigin, Reason)> {
        let origin = SettingOrigin::SecretFile(pointer);
        match (self.layers.read_secret)(Path::new(path.trim())) {
            Ok(text) => Ok((Some(text), origin)),
            Err(reason) => Err((origin, reason)),
        }
    }

    fn key(&self, name: &str) -> Key {
        self.keys
            .iter()
            .find(|key| key.name == name)
            .copied()
            .expect("rules name keys of the table")
    }

    fn note(&mut self, key: &Key, origin: SettingOrigin, reason: Reason) {
        let remedy = remedy(key, &reason);
        self.problems.push(Problem { key: key.name.to_owned(), origin, reason, remedy });
    }

    fn show(&mut self, key: &Key, shown: Option<String>, origin: SettingOrigin) {
        self.effective.push(Effective { key: key.name, shown, origin });
    }
}

fn remedy(key: &Key, reason: &Reason) -> String {
    let variable = key.variables().join(" or ");
    match reason {
        Reason::SetTwice => format!("keep either {variable} or {variable}_FILE"),
        Reason::Unreadable(_) => "check the path and who may read it".to_owned(),
        Reason::Encoding(_) => "save it as UTF-8".to_owned(),
        Reason::Missing if key.secret => format!("set {variable} or {variable}_FILE"),
        _ => format!("set {variable}, see `{}` in `chimein config --defaults`", key.name),
    }
}

fn unknown_name<'a>(
    name: String,
    origin: SettingOrigin,
    known: impl Iterator<Item = &'a str>,
) -> Problem {
    let remedy = match nearest(&name, known) {
        Some(known) => format!("did you mean {known}?"),
        None => "remove it; `chimein config` lists the known ones".to_owned(),
    };
    Problem { key: name, origin, reason: Reason::Unknown, remedy }
}

/// The text of a key in a table, lists joined by commas.
fn text_in(table: &Table, name: &str) -> Result<Option<String>, Reason> {
    let (section, key) = name.split_once('.').expect("every key has a section");
    let Some(value) = table.get(section).and_then(|section| section.get(key)) else {
        return Ok(None);
    };
    let text = match value {
        Value::Array(items) => {
            items.iter().map(scalar).collect::<Option<Vec<_>>>().map(|items| items.join(","))
        }
        other => scalar(other),
    };
    text.map(Some)
        .ok_or(Reason::Malformed { wanted: "text, a number, a switch or a list of them".into() })
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(switch) => Some(switch.to_string()),
        Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
    }
}

/// Every name in a file: `section.key`, or a bare name outside any section.
fn names_of(table: &Table) -> impl Iterator<Item = String> {
    table.iter().flat_map(|(section, value)| match value {
        Value::Table(keys) => keys.keys().map(|key| format!("{section}.{key}")).collect(),
        _ => vec![section.clone()],
    })
}

fn file_names(keys: &[Key]) -> Vec<String> {
    keys.iter()
        .flat_map(|key| {
            let pointer = key.secret.then(|| format!("{}_file", key.name));
            std::iter::once(key.name.to_owned()).chain(pointer)
        })
        .collect()
}

fn variable_names(keys: &[Key]) -> Vec<String> {
    let own = keys.iter().flat_map(|key| {
        let secret = key.secret;
        key.variables().into_iter().flat_map(move |name| {
            let pointer = secret.then(|| format!("{name}_FILE"));
            std::iter::once(name).chain(pointer)
        })
    });
    own.chain(std::iter::once(FILE_VARIABLE.to_owned())).collect()
}
