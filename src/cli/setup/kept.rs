//! The old values: a file beside the store from which what setup changed can be put back.
//!
//! Written, and on the disk, before the first write to Twilio; so whatever breaks, it says what may have been
//! changed. One entry a run. A run that broke off is continued by the next one. The file is for this user alone,
//! has a version, and holds neither secrets (see `seal`) nor phone numbers. What people do is undone from its end.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::call::{ADDRESS, SettingField, SetupCall, same};
use super::seal::{self, Seal, must_be_sealed};
use crate::files;
use crate::json;
use crate::twilio::sid::AccountSid;

/// The version that this code writes and reads.
const VERSION: u32 = 1;

/// How many runs are kept; older ones can no longer be undone.
const RUNS_MAX: usize = 20;

/// How large the file may be that is read.
const BYTES_MAX: u64 = 4 << 20;

/// The file.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct KeptSetups {
    version: u32,
    /// The runs, oldest first.
    pub(super) runs: Vec<SetupRun>,
}

/// What one setup was about to change.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct SetupRun {
    /// Whose settings they are.
    pub(super) account: AccountSid,
    /// When it began.
    pub(super) at: String,
    /// Whether it came to its end.
    pub(super) is_whole: bool,
    calls: Vec<SetupCall>,
}

/// Says why the old values are not kept or not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error("the old values in {path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is no file of old values.
    #[error("{path} holds no old values of setup: move it away, and nothing before can be undone")]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// The file is of another version.
    #[error("{path} is of version {found}, not {VERSION}: use the chimein that wrote it")]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The file cannot be written.
    #[error(
        "the old values cannot be kept in {path}, so nothing was changed: give its folder to this user"
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A value is not sealed or opened.
    #[error(transparent)]
    Seal(#[from] seal::Error),
}

/// Where they are kept: beside the store.
pub(super) fn place(store: &Path) -> PathBuf {
    files::with_ending(store, ".setup.json")
}

impl KeptSetups {
    /// Reads the file; an empty one if there is none.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Read { path: path.to_owned(), source };
        let empty = || Self { version: VERSION, runs: Vec::new() };
        match std::fs::metadata(path) {
            Ok(found) if found.len() > BYTES_MAX => {
                return Err(Error::Malformed { path: path.to_owned() });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(empty()),
            Ok(_) => {}
            Err(error) => return Err(failed(error)),
        }
        let bytes = std::fs::read(path).map_err(failed)?;
        let malformed = |_| Error::Malformed { path: path.to_owned() };
        let value: Value = json::from_slice(&bytes).map_err(malformed)?;
        let found = value["version"].as_u64().and_then(|found| u32::try_from(found).ok());
        match found {
            Some(VERSION) => Self::deserialize(value).map_err(malformed),
            Some(found) => Err(Error::Version { path: path.to_owned(), found }),
            None => Err(Error::Malformed { path: path.to_owned() }),
        }
    }

    /// Writes the file, all of it to the disk.
    pub(super) fn write(&self, path: &Path) -> Result<(), Error> {
        let failed = |source| Error::Write { path: path.to_owned(), source };
        files::make_folder(files::folder_of(path)).map_err(failed)?;
        let text = serde_json::to_string_pretty(self).expect("text and lists are always JSON");
        files::replace_durably(path, text.as_bytes()).map_err(failed)
    }

    /// Takes a plan in before it is carried out: into the last run, if that broke off.
    pub(super) fn begin(
        &mut self,
        (account, at): (AccountSid, String),
        calls: &[SetupCall],
        seal: &Seal,
    ) -> Result<(), Error> {
        let new: Vec<SetupCall> =
            calls.iter().map(|call| keep(call, seal)).collect::<Result<_, _>>()?;
        match self.broken_off(account) {
            Some(run) => run.go_on(new),
            None => self.runs.push(SetupRun { account, at, is_whole: false, calls: new }),
        }
        let surplus = self.runs.len().saturating_sub(RUNS_MAX);
        self.runs.drain(..surplus);
        Ok(())
    }

    /// Notes that the account's last run came to its end; says whether it had not yet.
    pub(super) fn end(&mut self, account: AccountSid) -> bool {
        let run = self.broken_off(account);
        run.map(|run| run.is_whole = true).is_some()
    }

    /// The run that the account's next one goes on with.
    fn broken_off(&mut self, account: AccountSid) -> Option<&mut SetupRun> {
        self.runs.last_mut().filter(|run| !run.is_whole && run.account == account)
    }

    /// The URLs that setup ever put in the place of others, which are therefore ours.
    pub(super) fn former_urls(&self) -> BTreeSet<String> {
        let fields = self.runs.iter().flat_map(|run| &run.calls).flat_map(|call| &call.fields);
        // What only went along may be anybody's.
        let urls = fields.filter(|field| field.is_change()).filter_map(|field| field.new.as_str());
        urls.filter(|text| text.contains("://")).map(str::to_owned).collect()
    }

    /// The calls of the account's last run, as they were, and where the run is.
    pub(super) fn last(
        &self,
        account: AccountSid,
        seal: &Seal,
    ) -> Result<Option<(usize, Vec<SetupCall>)>, Error> {
        let at = self.runs.iter().rposition(|run| run.account == account);
        let Some(at) = at else { return Ok(None) };
        let calls = self.runs[at].calls.iter().map(|call| open(call, seal));
        Ok(Some((at, calls.collect::<Result<_, _>>()?)))
    }
}

impl SetupRun {
    /// Goes on with a run that broke off: what it had set keeps its oldest value.
    fn go_on(&mut self, calls: Vec<SetupCall>) {
        for call in calls {
            let known = self.calls.iter_mut().find(|known| known.target == call.target);
            match known {
                None => self.calls.push(call),
                Some(known) => {
                    for field in call.fields {
                        take(&mut known.fields, field);
                    }
                }
            }
        }
    }
}

fn take(fields: &mut Vec<SettingField>, field: SettingField) {
    match fields.iter_mut().find(|known| known.name == field.name) {
        // What it had set was found again: before it was what was kept then.
        Some(known) if same(&known.new, &field.old) => known.new = field.new,
        Some(known) => *known = field,
        None => fields.push(field),
    }
}

/// What is kept of a call: no number, and no secret.
fn keep(call: &SetupCall, seal: &Seal) -> Result<SetupCall, seal::Error> {
    let kept = mapped(call, |at, value| close(at, value, seal))?;
    let fields = kept.fields.into_iter().filter(|field| field.name != ADDRESS).collect();
    Ok(SetupCall { fields, why: String::new(), ..kept })
}

/// The call as it was; why it was made is not kept.
fn open(call: &SetupCall, seal: &Seal) -> Result<SetupCall, seal::Error> {
    mapped(call, |at, value| unsealed(at, value, seal))
}

fn mapped(
    call: &SetupCall,
    map: impl Fn(&str, &Value) -> Result<Value, seal::Error>,
) -> Result<SetupCall, seal::Error> {
    let mapped = |field: &SettingField| {
        let (old, new) = (map(&field.at, &field.old)?, map(&field.at, &field.new)?);
        Ok(SettingField { old, new, ..field.clone() })
    };
    let fields = call.fields.iter().map(mapped).collect::<Result<_, seal::Error>>()?;
    Ok(SetupCall { fields, ..call.clone() })
}

fn close(of: &str, value: &Value, seal: &Seal) -> Result<Value, seal::Error> {
    match value.as_str() {
        Some(text) if must_be_sealed(text) => {
            Ok(serde_json::json!({ "sealed": seal.close(of, text)? }))
        }
        Some(_) | None => Ok(value.clone()),
    }
}

fn unsealed(of: &str, value: &Value, seal: &Seal) -> Result<Value, seal::Error> {
    match value.get("sealed").and_then(Value::as_str) {
        Some(sealed) => Ok(Value::String(seal.open(of, sealed)?)),
        None => Ok(value.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::twilio::rest::{SettingsApi, SettingsDocument, SettingsResource};

    const ACCOUNT: AccountSid = AccountSid::from_bytes([1; 16]);

    fn call(old: Value, new: &str) -> SetupCall {
        let mut document = SettingsDocument::default();
        document.0.insert("url".to_owned(), old);
        let resource =
            SettingsResource::new(SettingsApi::Core, ["IncomingPhoneNumbers", "PN1.json"]);
        let fields = vec![
            SettingField::of(&document, ("Url", "url"), new),
            SettingField::of(&document, (ADDRESS, "address"), "+15555550123"),
        ];
        SetupCall::change(("number +…23", resource), fields, "so").unwrap()
    }

    fn begun(kept: &mut KeptSetups, calls: &[SetupCall], seal: &Seal) {
        kept.begin((ACCOUNT, "now".to_owned()), calls, seal).unwrap();
    }

    #[test]
    fn what_is_kept_is_private_holds_no_secret_and_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = place(&folder.path().join("below/queue.db"));
        let seal = Seal::of(&"token".into());
        let mut kept = KeptSetups::read(&path).unwrap();
        let old = json!("https://me:planted@else.example/hook?k=planted");
        begun(&mut kept, &[call(old.clone(), "https://new.example/")], &seal);
        kept.write(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("planted") && !text.contains("5555550123"), "{text}");
        #[cfg(unix)]
        assert_eq!(files::rights_of_others(&path).unwrap(), None);
        let read = KeptSetups::read(&path).unwrap();
        assert_eq!(read, kept);
        let (at, calls) = read.last(ACCOUNT, &seal).unwrap().unwrap();
        assert_eq!((at, &calls[0].fields[0].old), (0, &old));
        assert!(read.last(AccountSid::from_bytes([2; 16]), &seal).unwrap().is_none());
        assert!(read.last(ACCOUNT, &Seal::of(&"other".into())).is_err());
        assert!(read.former_urls().contains("https://new.example/"));
    }

    #[test]
    fn a_run_that_broke_off_keeps_its_oldest_values_when_it_goes_on() {
        let seal = Seal::of(&"token".into());
        for (written, wanted) in [
            // It was set before it broke off, or not, or somebody else came between.
            ("b", "a"),
            ("a", "a"),
            ("x", "x"),
        ] {
            let mut kept = KeptSetups { version: VERSION, runs: Vec::new() };
            begun(&mut kept, &[call(json!("a"), "b")], &seal);
            begun(&mut kept, &[call(json!(written), "c")], &seal);
            let (_, calls) = kept.last(ACCOUNT, &seal).unwrap().unwrap();
            let field = &calls[0].fields[0];
            assert_eq!((&field.old, &field.new), (&json!(wanted), &json!("c")), "{written}");
            assert_eq!(kept.runs.len(), 1);
            assert!(kept.end(ACCOUNT) && !kept.end(ACCOUNT));
            begun(&mut kept, &[call(json!("c"), "d")], &seal);
            assert_eq!(kept.runs.len(), 2);
        }
    }

    #[test]
    fn what_only_went_along_is_nobodys_of_ours() {
        let seal = Seal::of(&"token".into());
        let mut kept = KeptSetups { version: VERSION, runs: Vec::new() };
        let mut call = call(json!("https://old.example/"), "https://new.example/");
        let theirs = json!("https://theirs.example/");
        let along =
            SettingField { name: "Fallback".into(), old: theirs.clone(), ..call.fields[0].clone() };
        call.fields.push(SettingField { new: theirs, ..along });
        begun(&mut kept, &[call], &seal);
        assert_eq!(Vec::from_iter(kept.former_urls()), ["https://new.example/"]);
    }

    #[test]
    fn a_file_that_is_none_or_of_another_version_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        for (text, told) in [
            ("", "no old values"),
            ("{}", "no old values"),
            (r#"{"version":1}"#, "no old values"),
            (r#"{"version":2,"runs":[]}"#, "of version 2"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = KeptSetups::read(&path).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
