//! `chimein forget`: takes a person's texts and addresses out of the service.
//!
//! Asks the running service on its admin listener, whose store it is. Without `--yes` it shows what there is
//! and changes nothing. Exit code 0 if all was forgotten, or shown; 1 if something is under way or another
//! instance's, which is to be asked again; nothing is asked on the terminal.

use std::path::PathBuf;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;

use super::admin_api::{self, AdminApi};
use super::outcome::{self, Outcome};
use crate::agent::kinds;
use crate::config::Environment;
use crate::pipeline::forget::ForgottenThread;

/// What `chimein forget` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Whom: somebody's address (+15555550123, whatsapp:+15555550123), a thread (CH… or TH…), or a message,
    /// which stands for its thread.
    #[arg(value_name = "ADDRESS|CH…|TH…|IM…|SM…")]
    who: String,
    /// Forgets. Without it, what there is to forget is shown.
    #[arg(long)]
    yes: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
    /// The configuration file; without it the one that CHIMEIN_CONFIG names.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the service's admin listener is, instead of the place in the settings.
    #[arg(long)]
    url: Option<Url>,
}

/// Says why nobody was forgotten.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The service could not be asked, or refused.
    #[error(transparent)]
    Api(#[from] admin_api::Error),
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
    outcome::run(act(args, environment))
}

#[derive(Deserialize, Serialize)]
struct Answer {
    done: bool,
    detail: String,
    threads: Vec<ForgottenThread>,
    left: Vec<String>,
    more: bool,
    kept: Vec<String>,
    not_reached: Vec<OutOfReach>,
}

#[derive(Deserialize, Serialize)]
struct OutOfReach {
    what: String,
    how: String,
}

async fn act(args: &Args, environment: &Environment) -> Result<Outcome, Error> {
    let report = kinds::load(args.config.as_deref(), environment);
    let api = AdminApi::new(&report, args.url.as_ref())?;
    let body = json!({ "who": args.who.trim(), "act": args.yes });
    let answer: Answer = api.post(&["v1", "forget"], &body).await?;
    let is_found = !answer.threads.is_empty() || answer.more;
    let is_left = args.yes && is_found && !answer.done;
    let shown = if args.json { outcome::json(&answer) } else { page(&answer, args.yes) };
    let shown = Outcome::done(shown);
    Ok(if is_left { shown.with_code(1) } else { shown })
}

fn page(answer: &Answer, acted: bool) -> String {
    if answer.threads.is_empty() && !answer.more && answer.left.is_empty() {
        return "nothing is kept of this address: no thread is known with it\n".to_owned();
    }
    let header = ["thread", "waiting jobs", "dead letters", "notes", "steps", "left"];
    let mut page = outcome::table(header, answer.threads.iter().map(row));
    let end = match (acted, answer.done) {
        (false, _) => "Nothing was changed; --yes forgets it.",
        (true, true) => "Forgotten, and written over in the files. Who writes later begins anew.",
        (true, false) => "Not all of it is forgotten; see the last column, and ask again.",
    };
    page.push_str(&format!("\n{end}\n"));
    if !answer.left.is_empty() {
        let count = answer.left.len();
        page.push_str(&format!("There was no time for {count} more threads; ask again.\n"));
    }
    if answer.more {
        page.push_str(
            "The address has more conversations at Twilio than are read at once: delete there those that \
             are forgotten, and ask again.\n",
        );
    }
    page.push_str("\nStays here:\n");
    for kept in &answer.kept {
        page.push_str(&format!("- {kept}\n"));
    }
    page.push_str("\nCould not be reached:\n");
    for OutOfReach { what, how } in &answer.not_reached {
        page.push_str(&format!("- {what}: {how}\n"));
    }
    page
}

fn row(one: &ForgottenThread) -> [String; 6] {
    let under_way = one.under_way.iter().map(|queue| format!("{queue}: under way"));
    let elsewhere = one.elsewhere.iter().map(|queue| format!("{queue}: another instance's"));
    let others = "others write in it too: name it itself".to_owned();
    let others = (one.of_several && !one.is_over(true)).then_some(others);
    let left: Vec<_> = under_way.chain(elsewhere).chain(others).collect();
    let counts =
        [one.jobs, one.dead_letters, one.notes, one.records].map(|count| count.to_string());
    let [jobs, letters, notes, records] = counts;
    [one.thread.clone(), jobs, letters, notes, records, left.join(", ")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_named_and_said_how_to_end() {
        let thread = ForgottenThread {
            thread: "TH1".to_owned(),
            jobs: 2,
            under_way: vec!["inbox".to_owned()],
            ..ForgottenThread::default()
        };
        let not_reached = vec![OutOfReach { what: "twilio".to_owned(), how: "DELETE".to_owned() }];
        let answer = Answer {
            done: false,
            detail: "not all".to_owned(),
            threads: vec![thread],
            left: vec!["CH2".to_owned()],
            more: true,
            kept: vec!["ids".to_owned()],
            not_reached,
        };
        let page = page(&answer, true);
        for part in [
            "TH1",
            "inbox: under way",
            "ask again",
            "for 1 more",
            "delete there",
            "- ids",
            "- twilio: DELETE",
        ] {
            assert!(page.contains(part), "{part} is missing in {page}");
        }
    }

    #[test]
    fn without_yes_it_says_that_nothing_was_changed() {
        let threads = vec![ForgottenThread { thread: "TH1".to_owned(), ..Default::default() }];
        let answer = Answer {
            done: false,
            detail: String::new(),
            threads,
            left: Vec::new(),
            more: false,
            kept: Vec::new(),
            not_reached: Vec::new(),
        };
        assert!(page(&answer, false).contains("Nothing was changed; --yes forgets it."));
    }
}
