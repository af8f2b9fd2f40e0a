//! Workflows of Temporal: a worker in Python asks the test what to do with a turn, and does it.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::{RwLock, watch};
use tokio::task::JoinHandle;

use crate::peer::{Act, Document, Memory, Peer};
use crate::rig::Rig;
use crate::temporal_server::{Kept, TemporalServer, settings, worker};

/// A workflow a turn, whose result is the answer.
pub type Results = Temporal<'r'>;
/// A workflow a turn, which sends its replies by an activity.
pub type Sends = Temporal<'s'>;
/// A workflow a thread, whose updates are answered.
pub type Talks = Temporal<'t'>;

/// A server, a worker, and what tells it what to do.
pub struct Temporal<const HOW: char> {
    server: RwLock<TemporalServer>,
    mind: Mind,
    thinking: JoinHandle<()>,
    _worker: Kept,
}

#[derive(Clone)]
struct Mind {
    memory: Memory<Document>,
    /// What is said to the turn that was taken over.
    later: Arc<watch::Sender<Option<String>>>,
}

impl<const HOW: char> Peer for Temporal<HOW> {
    async fn start() -> Self {
        let server = TemporalServer::start().await;
        let mind = Mind { memory: Memory::default(), later: Arc::new(watch::Sender::new(None)) };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let routes = Router::new().route("/", post(think)).with_state(mind.clone());
        let thinking = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        let arguments = [server.address(), "chat".to_owned(), url];
        let worker = worker("tests/temporal_server/worker.py", &arguments, &[]);
        Self { server: RwLock::new(server), mind, thinking, _worker: worker }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let (workflow, more) = match HOW {
            'r' => ("Asks", vec![]),
            's' => (
                "Sends",
                vec![
                    ("CHIMEIN_TEMPORAL_REPLY", "activity".to_owned()),
                    ("CHIMEIN_TEMPORAL_ACTIVITY_TASK_QUEUE", "chimein".to_owned()),
                ],
            ),
            _ => ("Talks", vec![("CHIMEIN_TEMPORAL_MODE", "thread".to_owned())]),
        };
        let mut all = settings(&self.server.try_read().unwrap(), workflow);
        all.extend(more);
        all
    }

    fn patience(&self) -> Vec<(&'static str, String)> {
        assert_eq!(HOW, 's', "a result is waited for");
        let asks_again = ("CHIMEIN_TEMPORAL_ASK_AGAIN", "true".to_owned());
        // The workflow of the next turn may take seconds to be begun.
        vec![("CHIMEIN_TEMPORAL_ANSWER_WITHIN", "10s".to_owned()), asks_again]
    }

    fn asked(&self) -> Vec<String> {
        self.mind.memory.texts()
    }

    fn waiting(&self, how_long: &str) -> Vec<(&'static str, String)> {
        let name =
            if HOW == 's' { "CHIMEIN_TEMPORAL_ANSWER_WITHIN" } else { "CHIMEIN_AGENT_TIMEOUT" };
        vec![(name, how_long.to_owned())]
    }

    fn document(&self, text: &str) -> serde_json::Value {
        self.mind.memory.turn(text).0
    }

    fn let_go_on(&self) {
        self.mind.memory.gate.open();
    }

    /// The second time the whole workflow is run anew, as an operator may want it.
    async fn say_later(&self, _rig: &Rig, text: &str) {
        if self.mind.later.send_replace(Some(text.to_owned())).is_some() {
            let turn = self.mind.memory.turn("late");
            let reset = [
                "workflow",
                "reset",
                "--type",
                "FirstWorkflowTask",
                "--reason",
                "a test",
                "-w",
                turn.id(),
            ];
            assert!(self.server.read().await.cli(&reset).is_some(), "it is not run anew");
        }
    }

    async fn go_away(&mut self) {
        self.server.write().await.kill();
    }

    async fn come_back(&mut self) {
        self.server.write().await.begin().await;
    }
}

impl<const HOW: char> Drop for Temporal<HOW> {
    fn drop(&mut self) {
        self.thinking.abort();
    }
}

async fn think(State(mind): State<Mind>, Json(turn): Json<Value>) -> Json<Value> {
    let turn = Document(turn);
    Json(match mind.memory.hear(turn.id(), turn.text(), turn.clone()) {
        Act::Say(texts) => json!({ "say": texts }),
        Act::SayOnceLet(text) => {
            mind.memory.gate.pass().await;
            json!({ "say": [text] })
        }
        Act::Later => {
            let mut said = mind.later.subscribe();
            let text = said.wait_for(Option::is_some).await.unwrap().clone();
            json!({ "say": [text] })
        }
        Act::Die | Act::SayAndDie(_) => json!({ "die": true }),
        Act::TalkGarbage => json!({ "garbage": true }),
    })
}
