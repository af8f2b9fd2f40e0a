//! The agent that answers with what it was told: for trying things out and for tests.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::kind::{self, Making};
use super::{Agent, Answer, Error, Turn};
use crate::clock::Clock;
use crate::config::{Declaration, Settings};
use crate::finding::Finding;
use crate::thread::Reply;

/// The kind of agent that repeats what it is told.
pub struct Kind;

impl kind::Kind for Kind {
    fn declares(&self) -> Declaration {
        Declaration::bare("echo")
    }

    fn make<'a>(&'a self, _: Making<'a>) -> BoxFuture<'a, Result<Arc<dyn Agent>, kind::Error>> {
        let agent: Arc<dyn Agent> = Arc::new(Echo);
        Box::pin(std::future::ready(Ok(agent)))
    }

    fn examine<'a>(
        &'a self,
        _: &'a Settings,
        _: Clock,
    ) -> BoxFuture<'a, Result<Vec<Finding>, kind::Error>> {
        let found = Finding::warn(
            kind::CHECK,
            "echo: the bot repeats what people say".to_owned(),
            "set CHIMEIN_AGENT_KIND and CHIMEIN_AGENT_URL once there is an agent",
        );
        Box::pin(std::future::ready(Ok(vec![found])))
    }
}

/// Answers each message of text with the same text; says nothing to media alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Echo;

impl Agent for Echo {
    fn kind(&self) -> &'static str {
        "echo"
    }

    fn take<'a>(&'a self, turn: &'a Turn) -> BoxFuture<'a, Result<Answer, Error>> {
        let replies = turn
            .messages
            .iter()
            .filter_map(|message| message.body.clone())
            .map(Reply::text)
            .collect();
        Box::pin(std::future::ready(Ok(Answer::Replies(replies))))
    }
}
