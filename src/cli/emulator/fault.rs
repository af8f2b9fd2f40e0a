//! `chimein emulator fault`: tells a running emulator what is to go wrong.
//!
//! Writes the request for the control API and prints the answer. What a fault may be is decided by
//! the emulator, which names it in its refusal.

use std::time::Duration;

use clap::Subcommand;
use serde_json::{Map, Value, json};
use url::Url;

use crate::cli::outcome::line;
use crate::net;
use crate::text::printable;

/// How long the emulator may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Options of `chimein emulator fault`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The emulator's control URL, as printed at its start.
    #[arg(long, value_name = "URL")]
    at: Url,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Lists the faults that wait.
    List,
    /// Takes one fault away, or all.
    Clear {
        /// The fault's number; all without.
        id: Option<u64>,
    },
    /// Lets a fault wait for its occasion.
    Add(Box<Add>),
    /// Orders open sockets: drop, freeze, thaw, `warn_token`, `expire_token`, close.
    Sockets {
        /// The order.
        order: String,
        /// Only the sockets of this identity.
        #[arg(long)]
        identity: Option<String>,
        /// The code of a close frame, such as 308.
        #[arg(long)]
        code: Option<u16>,
        /// The error code of a close frame.
        #[arg(long)]
        error_code: Option<u32>,
        /// The least wait before the client comes back, with a close frame.
        #[arg(long, value_name = "MILLISECONDS")]
        reconnect_min_ms: Option<u64>,
    },
}

#[derive(Debug, clap::Args)]
struct Add {
    /// Where: rest, `socket_open`, `socket_init`, `socket_request`, `socket_event`, replay, webhook, text.
    place: String,
    /// What: answer, `answer_after`, `cut_off`, delay, close, `break_before`, `break_after`, silence, lose,
    /// duplicate, swap, `mis_sign`, interrupt, overtake; of texts fail, stray.
    action: String,
    /// Only requests of this method.
    #[arg(long)]
    method: Option<String>,
    /// Only requests with this in their path.
    #[arg(long)]
    path: Option<String>,
    /// Only this event, such as onMessageAdded, inboundMessage, messageStatus.
    #[arg(long)]
    event_type: Option<String>,
    /// Only texts to an address with this in it.
    #[arg(long)]
    to: Option<String>,
    /// The status to answer with.
    #[arg(long)]
    status: Option<u16>,
    /// The error code to answer with; the code of the frame, with close; the reason, with fail and stray.
    #[arg(long)]
    code: Option<u32>,
    /// The `Retry-After` to answer with.
    #[arg(long, value_name = "SECONDS")]
    retry_after: Option<u64>,
    /// How long to wait, with delay.
    #[arg(long, value_name = "MILLISECONDS")]
    ms: Option<u64>,
    /// How often; 0 for ever.
    #[arg(long, default_value_t = 1)]
    times: u64,
    /// How many occasions pass first.
    #[arg(long, default_value_t = 0)]
    skip: u64,
    /// On how many of a hundred occasions.
    #[arg(long)]
    percent: Option<u64>,
}

/// Says why the emulator was not told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is no base.
    #[error("the control url cannot be a base")]
    Url(#[source] url::ParseError),
    /// The TLS configuration could not be made.
    #[error("the http client could not be made")]
    Tls(#[from] net::tls::Error),
    /// The emulator does not answer.
    #[error("the emulator does not answer")]
    Request(#[source] reqwest::Error),
    /// The emulator refuses.
    #[error("the emulator refuses: {0}")]
    Refused(String),
}

/// Tells the emulator and prints its answer.
pub(super) async fn run(args: &Args) -> Result<(), Error> {
    let (method, path, body) = request(&args.what);
    let client = net::http::direct()?.timeout(TIMEOUT).build().map_err(Error::Request)?;
    let url = args.at.join(&path).map_err(Error::Url)?;
    let mut request = client.request(method, url);
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let response = request.send().await.map_err(Error::Request)?;
    let is_success = response.status().is_success();
    let text = response.text().await.map_err(Error::Request)?;
    if !is_success {
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        return Err(Error::Refused(answer["error"].as_str().unwrap_or("no reason").to_owned()));
    }
    line(format_args!("{}", printable(&text)));
    Ok(())
}

fn request(what: &What) -> (reqwest::Method, String, Option<Value>) {
    use reqwest::Method;
    match what {
        What::List => (Method::GET, "faults".to_owned(), None),
        What::Clear { id: None } => (Method::DELETE, "faults".to_owned(), None),
        What::Clear { id: Some(id) } => (Method::DELETE, format!("faults/{id}"), None),
        What::Add(add) => (Method::POST, "faults".to_owned(), Some(fault(add))),
        What::Sockets { order, identity, code, error_code, reconnect_min_ms } => {
            let mut body = json!({"do": order});
            put(&mut body, "identity", identity.as_ref());
            put(&mut body, "code", code.as_ref());
            put(&mut body, "error_code", error_code.as_ref());
            put(&mut body, "reconnect_min_ms", reconnect_min_ms.as_ref());
            (Method::POST, "sockets".to_owned(), Some(body))
        }
    }
}

fn fault(add: &Add) -> Value {
    let mut place = json!({"place": add.place});
    put(&mut place, "method", add.method.as_ref());
    put(&mut place, "path", add.path.as_ref());
    put(&mut place, "event_type", add.event_type.as_ref());
    put(&mut place, "to", add.to.as_ref());
    let mut action = json!({"action": add.action});
    put(&mut action, "status", add.status.as_ref());
    put(&mut action, "code", add.code.as_ref());
    put(&mut action, "retry_after", add.retry_after.as_ref());
    put(&mut action, "ms", add.ms.as_ref());
    let times = (add.times > 0).then_some(add.times);
    let mut fault = Map::new();
    fault.insert("where".to_owned(), place);
    fault.insert("do".to_owned(), action);
    fault.insert("times".to_owned(), json!(times));
    fault.insert("skip".to_owned(), json!(add.skip));
    fault.insert("percent".to_owned(), json!(add.percent));
    Value::Object(fault)
}

fn put(body: &mut Value, name: &str, value: Option<&impl serde::Serialize>) {
    if let Some(value) = value {
        body[name] = json!(value);
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::emulator::control::SocketOrder;
    use crate::emulator::faults::{Action, Fault, Place};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn what_is_typed_is_a_fault_that_the_emulator_reads() {
        let (_, path, body) = read("add rest answer --method POST --status 429 --retry-after 3");
        assert_eq!(path, "faults");
        let fault: Fault = serde_json::from_value(body.unwrap()).unwrap();
        assert_eq!(fault.times, Some(1));
        assert_eq!(fault.place, Place::Rest { method: Some("POST".into()), path: None });
        let wanted = Action::Answer { status: 429, code: None, retry_after: Some(3) };
        assert_eq!(fault.action, wanted);
        let (_, _, body) = read("add webhook lose --event-type onMessageAdded --times 0");
        let fault: Fault = serde_json::from_value(body.unwrap()).unwrap();
        assert_eq!((fault.times, fault.action), (None, Action::Lose));
        let (_, _, body) = read("add text stray --to 0123 --code 30003");
        let fault: Fault = serde_json::from_value(body.unwrap()).unwrap();
        assert_eq!(fault.place, Place::Text { to: Some("0123".into()) });
        assert_eq!(fault.action, Action::Stray { code: 30003 });
    }

    #[test]
    fn what_is_typed_is_an_order_that_the_emulator_reads() {
        let (_, path, body) = read("sockets close --code 308 --reconnect-min-ms 1500");
        assert_eq!(path, "sockets");
        let order: SocketOrder = serde_json::from_value(body.unwrap()).unwrap();
        let wanted = SocketOrder::Close {
            code: 308,
            status: None,
            error_code: None,
            reconnect_min_ms: Some(1500),
        };
        assert_eq!(order, wanted);
        let (_, _, body) = read("sockets drop --identity bot");
        assert_eq!(body.unwrap(), json!({"do": "drop", "identity": "bot"}));
    }

    fn read(line: &str) -> (reqwest::Method, String, Option<Value>) {
        let words = ["fault", "--at", "http://127.0.0.1:1/_emulator/"].into_iter();
        let line = Line::try_parse_from(words.chain(line.split(' '))).unwrap();
        request(&line.args.what)
    }
}
