//! An agent of somebody else's, by the public traits alone: says everything twice as loud, and fails as
//! often as it is told to. Its kind brings a section of settings with their manual and a rule.

use std::sync::{Arc, Mutex};

use chimein::agent::kind::{self, Making};
use chimein::agent::{Agent, Answer, Error, Fate, Report, Turn};
use chimein::clock::Clock;
use chimein::config::kinds::Name;
use chimein::config::{AgentSettings, Declaration, Key, Reader, Section, Settings};
use chimein::finding::Finding;
use chimein::thread::Reply;
use futures::future::{BoxFuture, ready};
use secrecy::SecretString;

/// The kind among the settings.
pub struct Kind;

impl kind::Kind for Kind {
    fn declares(&self) -> Declaration {
        Declaration::of::<LoudSettings>("loud")
    }

    fn make<'a>(&'a self, of: Making<'a>) -> BoxFuture<'a, Result<Arc<dyn Agent>, kind::Error>> {
        Box::pin(async move {
            let settings: &LoudSettings = kind::own(of.settings)?;
            let mark = settings.mark.as_str().to_owned();
            let agent: Arc<dyn Agent> = Arc::new(Loud { mark, ..Loud::default() });
            Ok(agent)
        })
    }

    fn examine<'a>(
        &'a self,
        _: &'a Settings,
        _: Clock,
    ) -> BoxFuture<'a, Result<Vec<Finding>, kind::Error>> {
        Box::pin(ready(Ok(Vec::new())))
    }
}

/// What it has for itself.
#[derive(Debug)]
pub struct LoudSettings {
    mark: Name,
    _key: Option<SecretString>,
}

impl Section for LoudSettings {
    const KEYS: &'static [Key] = &[
        Key::of::<Name>("loud.mark", &[]),
        Key::of::<Option<SecretString>>("loud.key", &["LOUD_KEY"]),
    ];

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let [mark, key] = Self::KEYS else { return None };
        let (mark, key) = (reader.read(mark), reader.read(key));
        Some(Self { mark: mark?, _key: key? })
    }
}

impl AgentSettings for LoudSettings {
    const MANUAL: &'static str = r#"[loud]
# What everything ends in that it says.
# Environment: CHIMEIN_LOUD_MARK
mark = "loud"

# What its server asks for. Secret.
# Environment: LOUD_KEY
#key = "…"
"#;

    fn check(reader: &mut Reader<'_>, is_chosen: bool) {
        let mark: Option<Name> = reader.value("loud.mark");
        let is_kept = mark.map(|mark| !is_chosen || mark.as_str() != "quiet");
        reader.rule("loud.mark", is_kept, "is quiet, which nothing loud ends in");
    }
}

/// The agent.
#[derive(Debug, Default)]
pub struct Loud {
    mark: String,
    asked: Mutex<Vec<String>>,
    failures: Mutex<usize>,
    told: Mutex<Vec<Fate>>,
}

impl Loud {
    /// The turns that it was asked to take, by their ids.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// What it was told of its replies.
    pub fn told(&self) -> Vec<Fate> {
        self.told.lock().unwrap().clone()
    }

    /// Fails the next turns.
    pub fn fail(&self, times: usize) {
        *self.failures.lock().unwrap() = times;
    }
}

impl Agent for Loud {
    fn kind(&self) -> &'static str {
        "loud"
    }

    fn take<'a>(&'a self, turn: &'a Turn) -> BoxFuture<'a, Result<Answer, Error>> {
        self.asked.lock().unwrap().push(turn.id.to_string());
        let mut failures = self.failures.lock().unwrap();
        if *failures > 0 {
            *failures -= 1;
            let turn = turn.id.to_string();
            return Box::pin(ready(Err(Error::Status { turn, status: 500, retry_after: None })));
        }
        let bodies = turn.messages.iter().filter_map(|message| message.body.as_ref());
        let loud = |body: &str| format!("{}{}", body.to_uppercase(), self.mark);
        let replies = bodies.map(|body| Reply::text(loud(body.reveal()))).collect();
        Box::pin(ready(Ok(Answer::Replies(replies))))
    }

    fn report<'a>(&'a self, report: &'a Report) -> BoxFuture<'a, Result<(), Error>> {
        self.told.lock().unwrap().push(report.fate.clone());
        Box::pin(ready(Ok(())))
    }
}
