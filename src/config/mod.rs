//! Typed settings with their manual.
//!
//! Decides what the service is told: three layers, lowest first, are the manual's defaults
//! (compiled in, `config/default.toml` shows them), a file, and the environment. Every value is parsed once,
//! into its final type; everything that is wrong comes out at once, each with its remedy. Files are
//! read here and nowhere else; time does not enter; secrets become `SecretString` and are shown
//! masked. The environment comes as a value, see [`Environment`].
//!
//! The kinds of agents are not known here. Each declares its own keys in its folder, see
//! [`AgentSettings`]; whoever reads settings makes a [`Schema`] of the kinds that there are.

mod agents;
mod environment;
mod every_agent;
mod key;
pub mod kinds;
mod kubernetes;
pub mod manual;
mod problem;
mod reader;
pub mod routing;
pub mod rules;
mod scope;
pub mod section;
pub mod settings;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use secrecy::SecretString;
use toml::Table;

pub use self::agents::{AgentSettings, Declaration, OfKinds};
pub use self::environment::Environment;
pub use self::key::{FILE_VARIABLE, Key};
pub use self::manual::Manual;
pub use self::problem::{Problem, Reason, SettingOrigin};
pub use self::reader::{Effective, MASK, Reader};
#[cfg(test)]
pub(crate) use self::rules::AGENT_RESPONSE_BYTES_MAX;
pub use self::section::Section;
pub use self::settings::Settings;

use self::reader::{Layers, SECRET_BYTES_MAX};
use crate::net::proxies::{DirectHosts, Proxies, Proxy};
use crate::text;

/// Bytes of a configuration file that are read at most.
const FILE_BYTES_MAX: usize = 1024 * 1024;

/// Says why there are no settings.
#[derive(Debug, thiserror::Error)]
#[error("the settings have {} problem{}:{}", .0.len(), if .0.len() == 1 { "" } else { "s" }, listed(.0))]
pub struct Error(pub Vec<Problem>);

fn listed(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}

/// What came of reading the settings.
#[derive(Debug)]
pub struct Report {
    /// Each key's value as people may see it, in the order of the manual.
    pub effective: Vec<Effective>,
    settings: Option<Settings>,
    admin_token: Option<SecretString>,
    proxies: Proxies,
    problems: Vec<Problem>,
}

impl Report {
    /// Everything that is wrong.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Reads one key's value from what may be seen of it, for commands that need no more.
    #[must_use]
    pub fn value<T: FromStr>(&self, key: &str) -> Option<T> {
        let effective = self.effective.iter().find(|effective| effective.key == key)?;
        effective.shown.as_deref()?.trim().parse().ok()
    }

    /// Gives the admin listener's token, for commands that need no more to ask a running service.
    #[must_use]
    pub const fn admin_token(&self) -> Option<&SecretString> {
        self.admin_token.as_ref()
    }

    /// Gives the proxies, for commands that need no more to ask a service elsewhere.
    #[must_use]
    pub const fn proxies(&self) -> &Proxies {
        &self.proxies
    }

    /// Gives the settings if nothing is wrong with them.
    ///
    /// # Errors
    ///
    /// Fails with all problems at once.
    pub fn into_settings(self) -> Result<Settings, Error> {
        match self.settings {
            Some(settings) if self.problems.is_empty() => Ok(settings),
            _ => Err(Error(self.problems)),
        }
    }
}

/// All keys that there are: the house's own, and those of the kinds of agents.
#[derive(Clone, Debug)]
pub struct Schema {
    kinds: Vec<Declaration>,
}

impl Schema {
    /// Takes what the kinds of agents declare, in the order of the manual.
    #[must_use]
    pub const fn of(kinds: Vec<Declaration>) -> Self {
        Self { kinds }
    }

    /// Gives every key in the order of the manual.
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        settings::keys(&self.kinds)
    }

    /// Gives the manual.
    #[must_use]
    pub fn manual(&self) -> Manual {
        Manual::of(&self.kinds)
    }

    /// Gives the variables of every key that must be set: neither optional nor with a default.
    #[must_use]
    pub fn required_variables(&self) -> Vec<String> {
        let (entries, keys) = (self.manual().entries(), self.keys());
        let without_default = entries.iter().zip(keys).filter(|(entry, _)| entry.default.is_none());
        let required = without_default.filter(|(_, key)| !key.optional);
        required.flat_map(|(_, key)| key.variables()).collect()
    }

    /// Reads the settings from `file` (else the file that `CHIMEIN_CONFIG` names) and `environment`.
    #[must_use]
    pub fn load(&self, file: Option<&Path>, environment: &Environment) -> Report {
        let (file, mut problems) = self::file(file, environment);
        let layers = Layers {
            defaults: self.manual().defaults(),
            file,
            environment,
            read_secret: &read_secret,
        };
        let words = self.kinds.iter().map(|kind| kind.word).collect();
        let mut reader = Reader::new(self.keys(), words, layers);
        reader.refuse_unknown();
        let settings = Settings::read(&mut reader, &self.kinds);
        let admin_token = reader.value("admin.debug_token");
        let [https, http, all] =
            ["proxy.https", "proxy.http", "proxy.all"].map(|name| reader.value::<Proxy>(name));
        let direct: DirectHosts = reader.value("proxy.no_proxy").unwrap_or_default();
        let proxies = Proxies::new(https, http, all, direct);
        problems.append(&mut reader.problems);
        Report { effective: reader.effective, settings, admin_token, proxies, problems }
    }
}

/// The file that is named, as a table, or what is wrong with it.
fn file(
    file: Option<&Path>,
    environment: &Environment,
) -> (Option<(PathBuf, Table)>, Vec<Problem>) {
    let (origin, path) = match file {
        Some(path) => (SettingOrigin::File(path.to_owned()), Some(path.to_owned())),
        None => (
            SettingOrigin::Environment(FILE_VARIABLE.to_owned()),
            environment.get(FILE_VARIABLE).map(|path| PathBuf::from(path.trim())),
        ),
    };
    let mut problems = Vec::new();
    let table = path.and_then(|path| match read_table(&path) {
        Ok(table) => Some((path, table)),
        Err(reason) => {
            let remedy = match reason {
                Reason::Encoding(_) => "save it as UTF-8",
                _ => "check that it is a file like the one that `chimein config --defaults` prints",
            };
            let remedy = remedy.to_owned();
            let key = path.display().to_string();
            problems.push(Problem { key, origin, reason, remedy });
            None
        }
    });
    (table, problems)
}

/// Reads a secret's file; what some editors add to its start and its end is no part of the secret.
///
/// # Errors
///
/// Why it could not be read, without a word of it.
pub(crate) fn read_secret(path: &Path) -> Result<String, Reason> {
    let text = read_bounded(path, SECRET_BYTES_MAX)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn read_table(path: &Path) -> Result<Table, Reason> {
    let text = read_bounded(path, FILE_BYTES_MAX)?;
    // The parser's full message quotes the line, which may hold a secret.
    text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1);
        Reason::NotToml { line }
    })
}

/// Reads a text file that is no larger than `bytes_max`, without a byte order mark at its start.
///
/// # Errors
///
/// Why it could not be read, without a word of it.
pub(crate) fn read_bounded(path: &Path, bytes_max: usize) -> Result<String, Reason> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    let read = File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    let read = read.map_err(|error| Reason::Unreadable(error.kind()))?;
    if read > bytes_max {
        return Err(Reason::Unreadable(io::ErrorKind::FileTooLarge));
    }
    text::read(&bytes).map(str::to_owned).map_err(Reason::Encoding)
}

#[cfg(test)]
mod tests;
