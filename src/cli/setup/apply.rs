//! Carries a plan out, call by call, and reads each back.
//!
//! I/O. Before each write it is looked at once more whether Twilio still has what the plan was made for; what is
//! there already is not written again, so that whoever goes on after a break repeats nothing. A write whose answer
//! was lost is looked for.

use super::account::addresses;
use super::call::{ADDRESS, CallStanding, SettingField, SetupCall, Target, digest, same};
use crate::cli::progress::Progress;
use crate::pii::Pii;
use crate::twilio::rest::{self, Client, SettingsDocument as Document};

/// Says why not all of a plan was carried out.
#[derive(Debug, thiserror::Error)]
#[error("{call} {trouble}, {} of {} calls done: {remedy}", step.done, step.all)]
pub struct Error {
    /// What was to be written, and by which request.
    call: String,
    trouble: CallTrouble,
    step: Step,
    remedy: String,
    /// What Twilio said, if that is why.
    source: Option<Box<rest::Error>>,
}

/// What is the matter with a call.
#[derive(Debug, thiserror::Error)]
enum CallTrouble {
    #[error("could not be read")]
    Unread,
    #[error("was not taken")]
    Refused,
    #[error("was changed by somebody else since it was looked at")]
    Changed,
    #[error("was taken, but Twilio does not show {0} as it was set")]
    Unlike(String),
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
struct Step {
    done: usize,
    all: usize,
}

/// Carries calls out in their order; says how many were written.
///
/// # Cancel safety
///
/// Dropped, it has made some of the calls, and perhaps one whose answer is not known.
pub(super) async fn carry_out(
    rest: &Client,
    calls: &[SetupCall],
    progress: &mut Progress,
) -> Result<usize, Error> {
    let mut written = 0;
    for (done, call) in calls.iter().enumerate() {
        let step = Step { done, all: calls.len() };
        progress.tell(format_args!("{} of {}: {}", done + 1, calls.len(), call.name));
        let now = fetched(rest, call).await.map_err(|source| step.unread(call, source))?;
        match call.standing(now.as_ref()) {
            CallStanding::After => continue,
            CallStanding::Neither => {
                return Err(step.error(call, CallTrouble::Changed, None));
            }
            CallStanding::Before => {}
        }
        let sent = write(rest, call).await;
        let refused = match sent {
            Err(error) if error.may_have_happened() => Some(error),
            Err(source) => return Err(step.refused(call, source)),
            Ok(()) => None,
        };
        let now = fetched(rest, call).await.map_err(|source| step.unread(call, source))?;
        if call.standing(now.as_ref()) != CallStanding::After {
            return Err(match refused {
                Some(source) => step.refused(call, source),
                None => step.unlike(call, now.as_ref()),
            });
        }
        written += 1;
    }
    Ok(written)
}

/// What Twilio has of what a call is about.
pub(super) async fn fetched(
    rest: &Client,
    call: &SetupCall,
) -> Result<Option<Document>, rest::Error> {
    match &call.target {
        Target::Change { resource } | Target::Remove { resource } => {
            rest.read_settings(resource).await
        }
        Target::Make { address, .. } => {
            let is_it = |one: &Document| {
                one.text("address").is_some_and(|found| digest(&Pii::new(found)) == *address)
            };
            Ok(addresses(rest).await?.into_iter().find(is_it))
        }
    }
}

async fn write(rest: &Client, call: &SetupCall) -> Result<(), rest::Error> {
    match &call.target {
        Target::Remove { resource } => rest.remove_settings(resource).await,
        Target::Change { resource } | Target::Make { resource, .. } => {
            let fields: Vec<&SettingField> = call.sent().collect();
            rest.write_settings(resource, &call.form(&fields)).await.map(drop)
        }
    }
}

impl Step {
    fn unread(self, call: &SetupCall, source: rest::Error) -> Error {
        self.error(call, CallTrouble::Unread, Some(source))
    }

    fn refused(self, call: &SetupCall, source: rest::Error) -> Error {
        self.error(call, CallTrouble::Refused, Some(source))
    }

    fn unlike(self, call: &SetupCall, now: Option<&Document>) -> Error {
        let differs = |field: &&SettingField| {
            field.name != ADDRESS && !now.is_some_and(|now| same(&now.at(&field.at), &field.new))
        };
        let fields: Vec<&str> =
            call.fields.iter().filter(differs).map(|field| field.name.as_str()).collect();
        self.error(call, CallTrouble::Unlike(fields.join(", ")), None)
    }

    fn error(self, call: &SetupCall, trouble: CallTrouble, source: Option<rest::Error>) -> Error {
        let remedy = match (&trouble, &source) {
            (_, Some(error)) => remedy(error),
            (CallTrouble::Unlike(_), None) => {
                "run it again, and if that stays, set it in Twilio's console".to_owned()
            }
            (CallTrouble::Unread | CallTrouble::Refused | CallTrouble::Changed, None) => {
                "run it again".to_owned()
            }
        };
        let call = format!("{} ({})", call.name, call.request());
        Error { call, trouble, step: self, remedy, source: source.map(Box::new) }
    }
}

/// What helps against a refusal.
fn remedy(error: &rest::Error) -> String {
    let by_code = error.entry().map(|entry| format!("{}; ", entry.meaning));
    let what = match error.status() {
        Some(401) => "check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, or the API key",
        Some(403) => {
            "give the API key the right to it, let TWILIO_AUTH_TOKEN sign in, or hand on --print curl"
        }
        Some(429) => "wait a minute and run it again",
        Some(400..=499) => {
            "see what Twilio says of that code, and whether the setting it is about is right"
        }
        Some(_) | None => "run it again once Twilio answers",
    };
    format!("{}{what}; what was done is kept, run it again or --undo", by_code.unwrap_or_default())
}
