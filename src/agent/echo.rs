//! The agent that answers with what it was told: for trying things out and for tests.

use futures::future::BoxFuture;

use super::{Agent, Answer, Error, Turn};
use crate::thread::Reply;

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
