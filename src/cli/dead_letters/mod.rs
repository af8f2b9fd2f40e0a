//! `chimein dead-letters`: what could not be done, why, and what becomes of it.
//!
//! Lists, shows, redrives and drops. A running service is asked on its admin listener; where none has
//! the store open, the file itself is worked on and that is said. Texts and addresses are shown by
//! `show --reveal` alone. Dropping, and redriving by selection, ask on a terminal, and want `--yes` elsewhere. Exit code 0 if all was
//! done, 1 if a letter was not there or the work failed, 2 for misuse and a missing `--yes`.

mod place;
mod print;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use clap::builder::PossibleValuesParser;
use serde_json::json;
use url::Url;

pub(super) use self::place::LetterStore;
use super::admin_api;
use super::needed::MalformedSetting;
use super::outcome::{self, Confirmed, MISUSE, Outcome};
use super::progress::Progress;
use crate::admin::dead_letters::{
    BulkBounds, Causes, LETTERS_MAX, LetterFate, Selection, SettleError, Target,
};
use crate::agent::kinds;
use crate::config::Environment;
use crate::queue;
use crate::text::nearest;
use crate::thread::{CauseClass, ThreadId};

/// What `chimein dead-letters` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: LetterAction,
    /// The configuration file; without it the one that CHIMEIN_CONFIG names.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Where the service's admin listener is, instead of the place in the settings.
    #[arg(long, global = true)]
    url: Option<Url>,
    /// Prints JSON instead of a table.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum LetterAction {
    /// Lists dead letters with their causes.
    List(ListArgs),
    /// Counts dead letters by cause, and says what helps.
    Causes(CausesArgs),
    /// Shows one with its history.
    Show(Show),
    /// Makes dead letters open jobs again, at their old place in their conversation.
    Redrive(SettleArgs),
    /// Forgets dead letters.
    Drop(SettleArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    selection: LetterFilter,
    /// How many at most, 1 to 1000.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=i64::from(LETTERS_MAX)))]
    limit: u32,
    /// Goes on where an earlier list ended.
    #[arg(long)]
    cursor: Option<String>,
}

#[derive(Debug, clap::Args)]
struct CausesArgs {
    #[command(flatten)]
    selection: LetterFilter,
}

#[derive(Debug, clap::Args)]
struct Show {
    /// The letter, as the list names it: outbox/5b9ef340c0227817947b7125b44b715c.
    #[arg(value_name = "QUEUE/ID")]
    target: Target,
    /// Shows texts and addresses, too.
    #[arg(long)]
    reveal: bool,
}

#[derive(Debug, clap::Args)]
struct SettleArgs {
    /// The letters, as the list names them.
    #[arg(value_name = "QUEUE/ID", required_unless_present = "all", conflicts_with = "all")]
    targets: Vec<Target>,
    /// Takes all that the selection fits instead.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    selection: LetterFilter,
    /// Does it without asking.
    #[arg(long)]
    yes: bool,
}

/// Which dead letters.
#[derive(Clone, Debug, clap::Args)]
struct LetterFilter {
    /// Of this queue only.
    #[arg(long, value_parser = PossibleValuesParser::new(["joins", "inbox", "outbox", "reports"]))]
    queue: Option<String>,
    /// With a last cause of this class only.
    #[arg(long, value_parser = class)]
    class: Option<String>,
    /// With this error code of Twilio's, or status of the agent's, only.
    #[arg(long)]
    code: Option<u32>,
    /// Of this thread only: a conversation (CH…) or a direct thread (TH…).
    #[arg(long, alias = "thread", value_name = "CH…|TH…")]
    conversation: Option<ThreadId>,
    /// Of the thread with this address only, such as +15555550123 or whatsapp:+15555550123.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "conversation")]
    to: Option<String>,
    /// And with this address of ours; needed where several could write to it, or no service runs.
    #[arg(long, value_name = "ADDRESS", requires = "to")]
    from: Option<String>,
}

/// Says why a class cannot be looked for.
#[derive(Debug, thiserror::Error)]
#[error(
    "no cause has this class{near}; the column cause of `chimein dead-letters list` has those there are"
)]
struct NoSuchClass {
    near: String,
}

fn class(word: &str) -> Result<String, NoSuchClass> {
    if CauseClass::words().any(|known| known == word) {
        return Ok(word.to_owned());
    }
    let near = nearest(word, CauseClass::words()).map(|known| format!(", but {known} is one"));
    Err(NoSuchClass { near: near.unwrap_or_default() })
}

impl LetterFilter {
    async fn selection(&self, place: &LetterStore) -> Result<Selection, Error> {
        let thread = match &self.to {
            Some(to) => Some(place.thread_between(self.from.as_deref(), to).await?),
            None => self.conversation,
        };
        Ok(Selection {
            queue: self.queue.clone(),
            class: self.class.clone(),
            code: self.code,
            conversation: thread.map(|thread| thread.to_string()),
            ..Selection::default()
        })
    }
}

/// Says why the dead letters could not be worked on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting that is needed is malformed.
    #[error(transparent)]
    Setting(#[from] MalformedSetting),
    /// There is neither a service nor a file.
    #[error("there is no store at {path}, and no service could be asked either")]
    Nowhere {
        /// Where the settings say that the store is.
        path: PathBuf,
        /// Why no service could be asked.
        #[source]
        source: admin_api::Error,
    },
    /// An address of ours is not named, and there is no service that knows which it is.
    #[error("no service runs that knows our addresses: name ours by --from")]
    From,
    /// The service could not be asked, or refused.
    #[error(transparent)]
    Api(#[from] admin_api::Error),
    /// The store could not do it.
    #[error(transparent)]
    Queue(#[from] queue::Error),
    /// They were not redriven or dropped.
    #[error(transparent)]
    Settle(#[from] SettleError),
    /// It could not begin, or not say how it went.
    #[error(transparent)]
    Run(#[from] outcome::Error),
}

/// Runs the command.
///
/// # Errors
///
/// See [`Error`].
pub fn run(args: &Args, environment: &Environment) -> Result<ExitCode, Error> {
    outcome::run(work(args, environment))
}

async fn work(args: &Args, environment: &Environment) -> Result<Outcome, Error> {
    let report = kinds::load(args.config.as_deref(), environment);
    LetterStore::visit(&report, args.url.as_ref(), async |place| act(place, args).await).await
}

async fn act(place: &LetterStore, args: &Args) -> Result<Outcome, Error> {
    match &args.action {
        LetterAction::List(list) => {
            let selection = list.selection.selection(place).await?;
            let listing = place.list(&selection, list.cursor.as_deref(), list.limit).await?;
            let shown = if args.json { outcome::json(&listing) } else { print::listing(&listing) };
            Ok(Outcome::done(shown))
        }
        LetterAction::Causes(asked) => {
            let causes = place.causes(&asked.selection.selection(place).await?).await?;
            let shown = if args.json { outcome::json(&causes) } else { print::causes(&causes) };
            Ok(Outcome::done(shown))
        }
        LetterAction::Show(show) => {
            let letter = place.show(show.target, show.reveal).await?;
            Ok(Outcome::done(if args.json {
                outcome::json(&letter)
            } else {
                print::letter(&letter)
            }))
        }
        LetterAction::Redrive(settle) => {
            settle_those(place, settle, LetterFate::Redrive, args.json).await
        }
        LetterAction::Drop(settle) => {
            settle_those(place, settle, LetterFate::Drop, args.json).await
        }
    }
}

async fn settle_those(
    place: &LetterStore,
    settle: &SettleArgs,
    fate: LetterFate,
    as_json: bool,
) -> Result<Outcome, Error> {
    // What dies while somebody thinks about the question is not asked about, and left alone.
    let all = if settle.all {
        let selection = settle.selection.selection(place).await?;
        let causes = place.causes(&selection).await?;
        Some((Selection { before: Some(causes.before.clone()), ..selection }, causes))
    } else {
        None
    };
    if !settle.yes && (settle.all || fate == LetterFate::Drop) {
        let question = question(settle, all.as_ref().map(|(_, causes)| causes), fate);
        match outcome::confirm(&question) {
            Confirmed::Yes => {}
            Confirmed::No => return Ok(Outcome::done(String::new()).with_note("nothing was done")),
            Confirmed::Nobody => {
                let note = format!("{question}; add --yes to do it");
                return Ok(Outcome::done(String::new()).with_note(&note).with_code(MISUSE));
            }
        }
    }
    let (done, missing) = match all {
        Some((selection, causes)) => {
            let bounds = BulkBounds {
                expected: causes.whole.then_some(causes.count),
                ..BulkBounds::default()
            };
            (settle_selection(place, selection, fate, bounds).await?, Vec::new())
        }
        None => settle_targets(place, &settle.targets, fate).await?,
    };
    let output = if as_json {
        let missing: Vec<_> = missing.iter().map(Target::to_string).collect();
        outcome::json(&json!({ "done": done, "missing": missing }))
    } else {
        format!("{} {}\n", print::letters(done), print::past(fate))
    };
    let code = u8::from(!missing.is_empty());
    let outcome = Outcome::done(output).with_code(code);
    Ok(missing.iter().fold(outcome, |outcome, target| {
        outcome.with_note(&format!("{target} is no dead letter, or no more"))
    }))
}

/// Says what would be done.
fn question(settle: &SettleArgs, all: Option<&Causes>, fate: LetterFate) -> String {
    let (count, at_least) = match all {
        Some(causes) => (causes.count, if causes.whole { "" } else { "at least " }),
        None => (u64::try_from(settle.targets.len()).unwrap_or(u64::MAX), ""),
    };
    format!("would {} {at_least}{}", fate.as_str(), print::letters(count))
}

/// Settles page by page what was dead when the command began.
async fn settle_selection(
    place: &LetterStore,
    mut selection: Selection,
    fate: LetterFate,
    mut bounds: BulkBounds,
) -> Result<u64, Error> {
    let (mut done, mut progress) = (0, Progress::start());
    loop {
        let bulk = place.settle_all(&selection, fate, bounds).await?;
        done += bulk.done;
        bounds.expected = bounds.expected.map(|expected| expected.saturating_sub(bulk.done));
        progress.tell(format_args!("{} {} so far", print::letters(done), print::past(fate)));
        if !bulk.more || bulk.done == 0 {
            return Ok(done);
        }
        selection.before = Some(bulk.before);
    }
}

async fn settle_targets(
    place: &LetterStore,
    targets: &[Target],
    fate: LetterFate,
) -> Result<(u64, Vec<Target>), Error> {
    let (mut done, mut missing) = (0, Vec::new());
    for &target in targets {
        if place.settle(target, fate).await? {
            done += 1;
        } else {
            missing.push(target);
        }
    }
    Ok((done, missing))
}

#[cfg(test)]
mod tests;
