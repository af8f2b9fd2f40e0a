//! `chimein trace`: what happened to a message, or in a thread, step by step.
//!
//! Asks the running service on its admin listener, which keeps the timeline. With `--follow` it goes on with what
//! happens until it is interrupted, or the service is gone. Exit code 0 if there was something to show, 1 if
//! nothing is known of what was asked for.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;

use super::admin_api::{self, AdminApi};
use super::outcome::{self, Outcome};
use crate::agent::kinds;
use crate::clock::{Clock, Timestamp};
use crate::config::Environment;
use crate::text::printable;
use crate::thread::{MessageId, ThreadId};

/// How often a live feed asks for what is new.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// What `chimein trace` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A message (IM…, SM… or MM…), a thread (CH… or TH…), or somebody's address (+15555550123).
    #[arg(value_name = "IM…|SM…|CH…|TH…|ADDRESS")]
    of: String,
    /// With an address: by which address of ours; needed only where several could write to it.
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// Goes on with what happens from now on.
    #[arg(long)]
    follow: bool,
    /// How many steps at most, the newest ones.
    #[arg(long, value_name = "COUNT", default_value = "200", value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Prints JSON instead of a table: one document, or with --follow one step a line.
    #[arg(long)]
    json: bool,
    /// The configuration file; without it the one that CHIMEIN_CONFIG names.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the service's admin listener is, instead of the place in the settings.
    #[arg(long)]
    url: Option<Url>,
}

/// Says why nothing was shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What was named is neither a message, a thread nor an address.
    #[error(
        "what to trace is not understood: wanted IM…, SM…, MM…, CH… or TH… with 32 hexadecimal digits, \
         or an address such as +15555550123 or whatsapp:+15555550123"
    )]
    Unknown,
    /// Nobody is known by the address.
    #[error(
        "no thread is known of this address: neither a plain number's here, nor a conversation at twilio \
         with it as a participant's address"
    )]
    NoThread,
    /// Several threads are of the address.
    #[error("several threads are of this address, name one of them: {threads}")]
    Several {
        /// Which.
        threads: String,
    },
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
    outcome::run(show(args, environment))
}

#[derive(Deserialize, Serialize)]
struct TracePage {
    records: Vec<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    more: bool,
}

async fn show(args: &Args, environment: &Environment) -> Result<Outcome, Error> {
    let report = kinds::load(args.config.as_deref(), environment);
    let api = AdminApi::new(&report, args.url.as_ref())?;
    let (key, of) = named(&api, args).await?;
    let limit = args.limit.to_string();
    let page: TracePage = api.get(&["v1", "timeline"], &[(key, &of), ("limit", &limit)]).await?;
    if args.follow {
        return follow(&api, (key, &of), (page, args.json)).await;
    }
    if args.json {
        return Ok(Outcome::done(outcome::json(&page)));
    }
    if page.records.is_empty() {
        let unknown = format!(
            "nothing is known of {of}: it never came in here, or longer ago than timeline.retention"
        );
        return Ok(Outcome::done(String::new()).with_note(&unknown).with_code(1));
    }
    let shown = Outcome::done(table(&page.records, key == "message"));
    Ok(if page.more { shown.with_note("there are older steps; --limit shows more") } else { shown })
}

/// The query that names what to trace.
async fn named(api: &AdminApi, args: &Args) -> Result<(&'static str, String), Error> {
    let of = args.of.trim();
    if of.parse::<MessageId>().is_ok() {
        return Ok(("message", of.to_owned()));
    }
    if of.parse::<ThreadId>().is_ok() {
        return Ok(("thread", of.to_owned()));
    }
    if !is_address(of) {
        return Err(Error::Unknown);
    }
    if args.from.is_some() {
        let thread = api.thread_between(args.from.as_deref(), of).await?;
        return Ok(("thread", thread.to_string()));
    }
    let FoundThreads { mut threads } =
        api.post(&["v1", "threads", "search"], &json!({ "address": of })).await?;
    match (threads.pop(), threads.len()) {
        (None, _) => Err(Error::NoThread),
        (Some(thread), 0) => Ok(("thread", thread)),
        (Some(thread), _) => {
            threads.push(thread);
            Err(Error::Several { threads: threads.join(", ") })
        }
    }
}

#[derive(Deserialize)]
struct FoundThreads {
    threads: Vec<String>,
}

/// Whether a text may be somebody's address; the service knows better.
fn is_address(text: &str) -> bool {
    text.starts_with('+') || text.contains(':') || text.contains('.')
}

/// Prints what there is and then what comes, one step a line.
async fn follow(
    api: &AdminApi,
    (key, of): (&str, &str),
    (mut page, json): (TracePage, bool),
) -> Result<Outcome, Error> {
    let clock = Clock::start();
    loop {
        for record in &page.records {
            if json {
                outcome::line(format_args!("{}", Value::Object(record.clone())));
            } else {
                let [time, what, detail, id] = row(record, key == "message");
                let line = format!("{time}  {what:<18} {detail:<44} {id}");
                outcome::line(format_args!("{}", printable(line.trim_end())));
            }
        }
        if !page.more {
            clock.sleep(ASK_EVERY).await;
        }
        let next = page.next.clone();
        let mut query = vec![(key, of)];
        query.extend(next.as_deref().map(|next| ("after", next)));
        let known = page.next.take();
        page = api.get(&["v1", "timeline"], &query).await?;
        page.next = page.next.or(known);
    }
}

fn table(records: &[Map<String, Value>], is_one: bool) -> String {
    let header = ["time", "step", "how", if is_one { "of" } else { "message" }];
    outcome::table(header, records.iter().map(|record| row(record, is_one)))
}

/// When, what, how, and of which message or reply.
fn row(record: &Map<String, Value>, is_one: bool) -> [String; 4] {
    let text = |key: &str| record.get(key).and_then(Value::as_str).unwrap_or_default();
    let at = record.get("at").and_then(Value::as_i64).unwrap_or_default();
    let step = text("stage").replace('_', " ");
    let own = ["at", "conversation", "message", "reply_id", "stage"];
    let details = record.iter().filter(|(key, _)| !own.contains(&key.as_str()));
    let details: Vec<_> = details.map(|(key, value)| detail(key, value)).collect();
    let reply = match text("reply_id") {
        "" => String::new(),
        id => format!("reply {}", id.get(..8).unwrap_or(id)),
    };
    let id = if is_one { reply } else { format!("{} {reply}", text("message")).trim().to_owned() };
    [Timestamp::from_millis(at).to_string(), step, details.join(", "), id]
}

/// A field in words.
fn detail(key: &str, value: &Value) -> String {
    let plain = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match key {
        "retry_in_ms" => format!("again in {plain} ms"),
        "attempt" => format!("attempt {plain}"),
        "code" => format!("code {plain}"),
        "reply" => plain,
        "replies" => format!("{plain} replies"),
        "found" if plain == "true" => "found".to_owned(),
        "found" => "not found".to_owned(),
        "again" if plain == "true" => "sent once more".to_owned(),
        "again" => "not sent again".to_owned(),
        "door" | "event" | "how" | "reason" | "status" => plain.replace('_', " "),
        _ => format!("{} {plain}", key.replace('_', " ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_step_is_told_in_words() {
        let record = json!({
            "at": 1_795_009_600_000_i64, "conversation": "CH1", "message": "IM1",
            "stage": "attempt_failed", "queue": "inbox", "attempt": 2,
            "reason": "agent_timeout", "retry_in_ms": 5000
        });
        let Value::Object(record) = record else { panic!("an object") };
        let [time, what, how, of] = row(&record, false);
        assert_eq!(time, "2026-11-18T13:46:40.000Z");
        assert_eq!(what, "attempt failed");
        assert_eq!(of, "IM1");
        for part in ["attempt 2", "queue inbox", "agent timeout", "again in 5000 ms"] {
            assert!(how.contains(part), "{how}");
        }
    }

    #[test]
    fn what_is_no_address_is_not_asked_for() {
        for (text, is_one) in [
            ("+15555550123", true),
            ("whatsapp:+15555550123", true),
            ("CH12", false),
            ("hello", false),
            ("", false),
        ] {
            assert_eq!(is_address(text), is_one, "{text}");
        }
    }
}
