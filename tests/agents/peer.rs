//! What an agent of any kind is to the claims: a peer that does what the words that people write tell it.

use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use crate::rig::Rig;

/// What a peer does with a turn.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Act {
    /// It says these things.
    Say(Vec<String>),
    /// It says this once it is let.
    SayOnceLet(String),
    /// It takes the turn over, and says something when it is told to.
    Later,
    /// It dies before it has said anything.
    Die,
    /// It says this and dies before anybody knows that it has.
    SayAndDie(String),
    /// It says what nobody understands.
    TalkGarbage,
}

/// What a text makes a peer do that was asked this turn so often before.
pub fn act(text: &str, before: usize) -> Act {
    let answer = format!("re: {text}");
    match text {
        "nothing" => Act::Say(Vec::new()),
        "several" => Act::Say(vec!["one".to_owned(), "two".to_owned()]),
        "slow" => Act::SayOnceLet(answer),
        "late" => Act::Later,
        "forget" if before == 0 => Act::Later,
        "garbage" => Act::TalkGarbage,
        "die before" if before == 0 => Act::Die,
        "die after" if before == 0 => Act::SayAndDie(answer),
        _ => Act::Say(vec![answer]),
    }
}

/// A kind of agent with its peer.
pub trait Peer: Sized {
    /// Whether it is asked again where its answer has arrived and nobody knows whether it has taken the turn.
    const IS_ASKED_AFTER_ITS_ANSWER: bool = true;

    /// What comes of two things that it says: one, where its protocol has one text for an answer.
    const SEVERAL: &'static [&'static str] = &["one", "two"];

    /// Starts the peer.
    async fn start() -> Self;

    /// What makes the service ask it.
    fn settings(&self) -> Vec<(&'static str, String)>;

    /// What makes the service ask it again that has said nothing to a turn for seconds.
    fn patience(&self) -> Vec<(&'static str, String)> {
        panic!("this kind answers at once");
    }

    /// What makes the service wait so long for its answer.
    fn waiting(&self, how_long: &str) -> Vec<(&'static str, String)> {
        vec![("CHIMEIN_AGENT_TIMEOUT", how_long.to_owned())]
    }

    /// What gives it room to think about a thousand people at once.
    fn room(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// The turn of that text, as it was asked it.
    fn document(&self, text: &str) -> serde_json::Value {
        panic!("this kind gets no document of {text}");
    }

    /// Learns where the service is, each time that it has been started.
    fn meets(&self, rig: &Rig) {
        let _ = rig;
    }

    /// Which texts it was asked, oldest first, as often as it was asked.
    fn asked(&self) -> Vec<String>;

    /// Lets go on what waits to be let.
    fn let_go_on(&self);

    /// Says something to the turn that it took over.
    async fn say_later(&self, rig: &Rig, text: &str) {
        let _ = (rig, text);
        panic!("this kind answers at once");
    }

    /// Is gone, or cannot be reached.
    async fn go_away(&mut self) {}

    /// Is there again.
    async fn come_back(&mut self) {}
}

/// Starts a service that asks a peer.
pub async fn rig(peer: &impl Peer) -> Rig {
    rig_with(peer, Vec::new()).await
}

/// As [`rig`], with more settings.
pub async fn rig_with(peer: &impl Peer, more: Vec<(&'static str, String)>) -> Rig {
    let mut settings = peer.settings();
    // The last of a name counts.
    settings.extend(more);
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let rig = Rig::start(&settings).await;
    peer.meets(&rig);
    rig
}

/// What is held until it is let.
#[derive(Clone, Debug)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Gate {
    /// Lets everybody through from now on.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Lets nobody through any more.
    pub fn shut(&self) {
        self.0.send_replace(false);
    }

    /// Whether everybody is let through.
    pub fn is_open(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is open.
    pub async fn pass(&self) {
        let mut opened = self.0.subscribe();
        opened.wait_for(|is_open| *is_open).await.unwrap();
    }
}

/// What a peer remembers.
#[derive(Clone, Debug)]
pub struct Memory<T> {
    asked: Arc<Mutex<Vec<(String, T)>>>,
    pub gate: Gate,
}

impl<T> Default for Memory<T> {
    fn default() -> Self {
        Self { asked: Arc::default(), gate: Gate::default() }
    }
}

impl<T: Clone> Memory<T> {
    /// Remembers that it was asked a turn with this text, and what it needs to answer; says what it does.
    pub fn hear(&self, turn: &str, text: &str, with: T) -> Act
    where
        T: PartialEq<str>,
    {
        let mut asked = self.asked.lock().unwrap();
        let before = asked.iter().filter(|(_, known)| *known == *turn).count();
        asked.push((text.to_owned(), with));
        act(text, before)
    }

    /// The texts.
    pub fn texts(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|(text, _)| text.clone()).collect()
    }

    /// What it needs to answer the first turn of that text.
    pub fn turn(&self, text: &str) -> T {
        let asked = self.asked.lock().unwrap();
        asked.iter().find(|(known, _)| known == text).map(|(_, with)| with.clone()).unwrap()
    }
}

/// A turn as a document, known by its id.
#[derive(Clone, Debug)]
pub struct Document(pub serde_json::Value);

impl PartialEq<str> for Document {
    fn eq(&self, id: &str) -> bool {
        self.0["id"] == id
    }
}

impl Document {
    /// Its id.
    pub fn id(&self) -> &str {
        self.0["id"].as_str().unwrap()
    }

    /// What was said last.
    pub fn text(&self) -> &str {
        self.0["messages"].as_array().unwrap().last().unwrap()["body"].as_str().unwrap()
    }

    /// Replies to it, as they are sent after the turn.
    pub fn replies(&self, texts: &[&str]) -> serde_json::Value {
        serde_json::json!({"thread": self.0["thread"], "replies": texts})
    }
}
