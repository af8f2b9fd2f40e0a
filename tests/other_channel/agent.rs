//! An agent of somebody else's, by the public trait alone: says everything twice as loud, and fails as
//! often as it is told to.

use std::sync::Mutex;

use chimein::agent::{Agent, Answer, Error, Turn};
use chimein::thread::Reply;
use futures::future::{BoxFuture, ready};

/// The agent.
#[derive(Debug, Default)]
pub struct Loud {
    asked: Mutex<Vec<String>>,
    failures: Mutex<usize>,
}

impl Loud {
    /// The turns that it was asked to take, by their ids.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
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
        let replies = bodies.map(|body| Reply::text(body.reveal().to_uppercase())).collect();
        Box::pin(ready(Ok(Answer::Replies(replies))))
    }
}
