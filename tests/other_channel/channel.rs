//! A channel of somebody else's, by the public traits alone: a post office in memory, whose threads are
//! pairs of addresses.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use chimein::channels::{
    Channel, Error, Failed, Marking, Outgoing, Sending, Sent, Speaking, ThreadMarks,
};
use chimein::clock::Timestamp;
use chimein::jobs::outcome::{Class, Failure};
use chimein::queue::{Cause, Delivery};
use chimein::telemetry::journal::Via;
use chimein::telemetry::metrics::labels::ReplyOutcome;
use chimein::thread::{MessageId, SkipReason, Speaker, Thread, ThreadId};
use chimein::twilio::rest::{self, Op};
use futures::future::{BoxFuture, ready};
use uuid::Uuid;

/// The longest text of one letter.
pub const LETTER_UNITS_MAX: usize = 12;

/// What goes wrong with a letter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mishap {
    /// It is not taken.
    Refused,
    /// It is taken, and nobody hears of that.
    LostAnswer,
}

/// The post office.
#[derive(Debug, Default)]
pub struct PostOffice {
    sent: Mutex<Vec<(ThreadId, Uuid, String)>>,
    mishaps: Mutex<VecDeque<Mishap>>,
    unwelcome: Mutex<HashSet<ThreadId>>,
    marks: Mutex<HashMap<ThreadId, String>>,
}

impl PostOffice {
    /// What was sent in a thread, oldest first.
    pub fn letters(&self, thread: ThreadId) -> Vec<String> {
        let sent = self.sent.lock().unwrap();
        sent.iter().filter(|(at, ..)| *at == thread).map(|(.., text)| text.clone()).collect()
    }

    /// Has the next letters go wrong.
    pub fn expect(&self, mishaps: &[Mishap]) {
        self.mishaps.lock().unwrap().extend(mishaps);
    }

    /// Keeps the bot out of a thread.
    pub fn shut(&self, thread: ThreadId) {
        self.unwelcome.lock().unwrap().insert(thread);
    }

    fn found(&self, id: Uuid) -> Option<Sent> {
        let sent = self.sent.lock().unwrap();
        let at = sent.iter().position(|(_, known, _)| *known == id)?;
        Some(Sent { how: ReplyOutcome::Found, via: Via::Rest, message: number(at) })
    }

    fn post(&self, letter: &Outgoing) -> Sent {
        let text = letter.reply.body.as_ref().map_or("", |body| body.reveal()).to_owned();
        let mut sent = self.sent.lock().unwrap();
        sent.push((letter.thread.id(), letter.id, text));
        Sent { how: ReplyOutcome::Sent, via: Via::Rest, message: number(sent.len() - 1) }
    }
}

/// The id of the n-th letter.
fn number(n: usize) -> MessageId {
    format!("SM{n:032x}").parse().unwrap()
}

fn failed(class: Class, failure: Failure) -> Failed {
    let cause = Cause::new(class.as_str()).with_detail("the post office had a mishap");
    Failed { failure: Some(failure), ..Failed::of(class, Via::Rest, cause) }
}

impl Channel for PostOffice {
    fn excludes<'a>(
        &'a self,
        thread: &'a Thread,
        _: Speaking,
    ) -> BoxFuture<'a, Result<Option<SkipReason>, Error>> {
        let is_shut = self.unwelcome.lock().unwrap().contains(&thread.id());
        Box::pin(ready(Ok(is_shut.then_some(SkipReason::Removed))))
    }

    fn thread(&self, _: ThreadId) -> BoxFuture<'_, Result<Option<Thread>, Error>> {
        Box::pin(ready(Ok(None)))
    }

    fn state(&self, _: ThreadId) -> BoxFuture<'_, Result<Option<&'static str>, Error>> {
        Box::pin(ready(Ok(Some("open"))))
    }

    fn fill(&self, _: ThreadId, _: u64) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(ready(Ok(())))
    }

    fn follow(&self, _: ThreadId, _: u64) {}

    fn speaker(&self, _: &Thread, _: Option<&Speaker>) -> Speaker {
        Speaker::Address("+15555550100".into())
    }

    fn show_typing(&self, _: ThreadId) -> BoxFuture<'_, ()> {
        Box::pin(ready(()))
    }

    fn has_phone(&self, _: ThreadId) -> BoxFuture<'_, Result<bool, rest::Error>> {
        Box::pin(ready(Ok(true)))
    }

    fn text_units_max(&self) -> usize {
        LETTER_UNITS_MAX
    }

    fn sending(&self) -> Op {
        Op::CreateMessage
    }

    fn wait(&self) -> BoxFuture<'_, ()> {
        Box::pin(ready(()))
    }

    fn departure<'a>(&'a self, _: &'a Outgoing) -> BoxFuture<'a, Result<Option<Duration>, Failed>> {
        Box::pin(ready(Ok(None)))
    }

    fn send<'a>(
        &'a self,
        reply: &'a Outgoing,
        _: &'a Delivery,
        look: bool,
    ) -> BoxFuture<'a, Result<Sending, Failed>> {
        Box::pin(async move {
            if let Some(found) = self.found(reply.id).filter(|_| look) {
                return Ok(Sending::Sent(found));
            }
            let mishap = self.mishaps.lock().unwrap().pop_front();
            match mishap {
                None => Ok(Sending::Sent(self.post(reply))),
                Some(Mishap::LostAnswer) => {
                    let _unheard = self.post(reply);
                    Err(failed(Class::Look(None), Failure::Unknown))
                }
                Some(Mishap::Refused) => {
                    let refused = Failure::Refused { status: 400, code: None, retry_after: None };
                    Err(failed(Class::Retry(None), refused))
                }
            }
        })
    }

    fn find<'a>(&'a self, reply: &'a Outgoing) -> BoxFuture<'a, Result<Option<Sent>, Failed>> {
        Box::pin(ready(Ok(self.found(reply.id))))
    }

    fn is_joining(&self, _: ThreadId) -> bool {
        false
    }
}

impl Marking for PostOffice {
    fn marks(&self, thread: ThreadId) -> BoxFuture<'_, Result<Option<ThreadMarks>, Error>> {
        let attributes = self.marks.lock().unwrap().get(&thread).map(|text| text.as_str().into());
        Box::pin(ready(Ok(Some(ThreadMarks { attributes, updated: None }))))
    }

    fn set_marks<'a>(
        &'a self,
        thread: ThreadId,
        attributes: &'a str,
    ) -> BoxFuture<'a, Result<Option<Timestamp>, Error>> {
        let _before = self.marks.lock().unwrap().insert(thread, attributes.to_owned());
        Box::pin(ready(Ok(None)))
    }

    fn tells(&self, _: ThreadId) -> bool {
        false
    }
}
