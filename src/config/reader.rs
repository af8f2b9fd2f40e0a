//! Reads typed values out of the three layers and collects everything that is wrong.
//!
//! Pure but for one closure that reads a secret's file. Later layers win: the manual's defaults,
//! the file, the environment. Reading never stops at a problem, so that all come out at once.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::environment::Environment;
use super::key::{FILE_VARIABLE, Key, section_and_field};
use super::kinds::Setting;
use super::kubernetes::{is_link, is_service_link};
use super::problem::{Problem, Reason, SettingOrigin};
use super::scope::Scope;
use crate::text::nearest;

/// The key's value as people may see it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Effective {
    /// The key's name; of an agent by name, or of a route, with that before it.
    pub key: Cow<'static, str>,
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
    scope: Option<Scope>,
}

/// A key's text, if there is one, and where it came from.
type Found = (Option<String>, SettingOrigin);

/// Why there is none, and where.
type NotFound = (SettingOrigin, Reason);

impl<'a> Reader<'a> {
    /// Begins to read `keys`, all that there are, where these kinds of agents are.
    pub(super) fn new(keys: Vec<Key>, agents: Vec<&'static str>, layers: Layers<'a>) -> Self {
        let (problems, effective) = (Vec::new(), Vec::new());
        let (needs_required, scope) = (true, None);
        Self { keys, agents, layers, problems, effective, needs_required, scope }
    }

    /// Reads what one of several has for itself; what it does not say it has from the plain sections, if so
    /// it is to be.
    pub(super) fn within<T>(&mut self, scope: Scope, read: impl FnOnce(&mut Self) -> T) -> T {
        self.scope = Some(scope);
        let read = read(self);
        self.scope = None;
        read
    }

    /// Whether one of several is being read.
    pub(super) const fn is_of_one(&self) -> bool {
        self.scope.is_some()
    }

    /// The file, if there is one.
    pub(super) fn file(&self) -> Option<(&Path, &Table)> {
        self.layers.file.as_ref().map(|(path, table)| (path.as_path(), table))
    }

    /// The environment.
    pub(super) const fn environment(&self) -> &'a Environment {
        self.layers.environment
    }

    /// Whether somebody has set a key, in the file or the environment.
    pub(super) fn is_given(&self, name: &'static str) -> bool {
        match self.find(&self.key(name)) {
            Ok((_, SettingOrigin::Nowhere | SettingOrigin::Default)) => false,
            Ok(_) | Err(_) => true,
        }
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
            let unknown = unknown.filter(|name| !is_of_several(name));
            let problems: Vec<Problem> = unknown
                .map(|name| unknown_name(name, origin.clone(), known.iter().map(String::as_str)))
                .collect();
            self.problems.extend(problems);
        }
        let known = variable_names(&self.keys);
        for name in self.layers.environment.names() {
            let value = self.layers.environment.get(name).unwrap_or_default();
            let is_known = known.iter().any(|known| known == name)
                || OF_SEVERAL.iter().any(|(_, beginning)| name.starts_with(beginning));
            if name.starts_with("CHIMEIN_") && !is_known && !is_service_link(name, value) {
                let origin = SettingOrigin::Environment(name.to_owned());
                let known = known.iter().map(String::as_str);
                self.problems.push(unknown_name(name.to_owned(), origin, known));
            }
        }
    }

    /// Finds a key's text in the highest layer that has it.
    fn find(&self, key: &Key) -> Result<Found, NotFound> {
        if let Some(scope) = self.scoped(key) {
            let field = key.field();
            let variables = [scope.variable(field)];
            let table = scope.table.as_ref().zip(self.file());
            let section = table.map(|(table, (path, _))| (path, table));
            match self.find_in((&variables, key.secret), (section, field))? {
                Some(found) => return Ok(found),
                None if !scope.inherits => return Ok((None, SettingOrigin::Nowhere)),
                None => {}
            }
        }
        let (section, field) = section_and_field(key.name);
        let table = self.file().and_then(|(path, table)| Some((path, table.get(section)?)));
        let table = table.and_then(|(path, section)| Some((path, section.as_table()?)));
        if let Some(found) = self.find_in((&key.variables(), key.secret), (table, field))? {
            return Ok(found);
        }
        let defaults = self.layers.defaults.get(section).and_then(Value::as_table);
        match defaults.map_or(Ok(None), |defaults| text_in(defaults, field)) {
            Ok(Some(text)) => Ok((Some(text), SettingOrigin::Default)),
            Ok(None) => Ok((None, SettingOrigin::Nowhere)),
            Err(reason) => Err((SettingOrigin::Default, reason)),
        }
    }

    /// Finds a text among variables, the first one that is set wins, and then in a section of the file.
    fn find_in(
        &self,
        (variables, is_secret): (&[String], bool),
        (section, field): (Option<(&Path, &Table)>, &str),
    ) -> Result<Option<Found>, NotFound> {
        for variable in variables {
            // A Service that is called service has its link where our port may be.
            let is_others = |text: &&str| variable.ends_with("PORT") && is_link(text);
            let direct = self.layers.environment.get(variable).filter(|text| !is_others(text));
            let origin = SettingOrigin::Environment(variable.clone());
            if is_secret {
                let pointer = format!("{variable}_FILE");
                if let Some(path) = self.layers.environment.get(&pointer) {
                    if direct.is_some() {
                        return Err((origin, Reason::SetTwice));
                    }
                    return self.read_secret(path, pointer).map(Some);
                }
            }
            if let Some(text) = direct {
                return Ok(Some((Some(text.to_owned()), origin)));
            }
        }
        let Some((path, section)) = section else { return Ok(None) };
        let origin = SettingOrigin::File(path.to_owned());
        let text = |field: &str| text_in(section, field).map_err(|reason| (origin.clone(), reason));
        let direct = text(field)?;
        if is_secret {
            let pointer = format!("{field}_file");
            if let Some(secret_path) = text(&pointer)? {
                if direct.is_some() {
                    return Err((origin, Reason::SetTwice));
                }
                return self.read_secret(&secret_path, pointer).map(Some);
            }
        }
        Ok(direct.map(|text| (Some(text), origin)))
    }

    /// The scope that is read in, if it has the key.
    fn scoped(&self, key: &Key) -> Option<&Scope> {
        self.scope.as_ref().filter(|scope| scope.has(key))
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
        let scope = self.scope.as_ref();
        let told = reason.to_string();
        let is_told =
            |problem: &Problem| problem.key == key.name && problem.reason.to_string() == told;
        // What a plain section says wrongly is told of that.
        if scope.is_some() && self.problems.iter().any(is_told) {
            return;
        }
        let scope = scope.filter(|scope| scope.has(key));
        let (name, variables) = match scope {
            Some(scope) => (scope.key(key), scope.variable(key.field())),
            None => (key.name.to_owned(), key.variables().join(" or ")),
        };
        let is_known = self.keys.iter().any(|known| known.name == key.name);
        let place = if is_known {
            format!("`{}` in `chimein config --defaults`", key.name)
        } else {
            "`chimein manual routing`".to_owned()
        };
        let remedy = remedy(key.secret, &variables, (&reason, &place));
        self.problems.push(Problem { key: name, origin, reason, remedy });
    }

    /// Notes a problem of a name, or of a key that is of one of several.
    pub(super) fn note_of(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Shows a value; of one of several only what it says itself.
    fn show(&mut self, key: &Key, shown: Option<String>, origin: SettingOrigin) {
        let name = match self.scoped(key) {
            Some(scope) if scope.says(key.field(), self.layers.environment) => {
                Cow::Owned(scope.key(key))
            }
            Some(_) => return,
            None => Cow::Borrowed(key.name),
        };
        self.effective.push(Effective { key: name, shown, origin });
    }
}

/// Sections of which there are several: what their keys begin with, and their variables.
const OF_SEVERAL: [(&str, &str); 2] =
    [("agents", "CHIMEIN_AGENTS_"), ("routes", "CHIMEIN_ROUTES_")];

fn is_of_several(name: &str) -> bool {
    OF_SEVERAL.iter().any(|(section, _)| {
        name.strip_prefix(section).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

fn remedy(is_secret: bool, variable: &str, (reason, place): (&Reason, &str)) -> String {
    match reason {
        Reason::SetTwice => format!("keep either {variable} or {variable}_FILE"),
        Reason::Unreadable(_) => "check the path and who may read it".to_owned(),
        Reason::Encoding(_) => "save it as UTF-8".to_owned(),
        Reason::Missing if is_secret => format!("set {variable} or {variable}_FILE"),
        _ => format!("set {variable}, see {place}"),
    }
}

pub(super) fn unknown_name<'a>(
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

/// The text of a key of a section, lists joined by commas.
fn text_in(section: &Table, field: &str) -> Result<Option<String>, Reason> {
    let Some(value) = section.get(field) else { return Ok(None) };
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
