//! One read for all who ask for the same at the same time.
//!
//! Who asks first reads; who asks while that read is under way is given its answer. A read that failed,
//! or that nobody waits for any more, is not shared: the others ask themselves.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::twilio::sid::ConversationSid;

/// The reads under way, no more than there are tasks that read.
pub(super) struct Flights<T> {
    under_way: Mutex<UnderWay<T>>,
}

struct UnderWay<T> {
    /// Tells one read of a conversation from the next.
    last: u64,
    reads: HashMap<ConversationSid, Flight<T>>,
}

struct Flight<T> {
    id: u64,
    answer: watch::Receiver<Option<T>>,
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self { under_way: Mutex::new(UnderWay { last: 0, reads: HashMap::new() }) }
    }
}

impl<T: Clone> Flights<T> {
    /// Gives what `read` gives, or what another one gave that was under way.
    ///
    /// # Errors
    ///
    /// Those of `read`.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has others read themselves.
    pub(super) async fn read<E>(
        &self,
        conversation: ConversationSid,
        read: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        match self.join(conversation) {
            ReadPart::Reads(ticket) => {
                let answer = read.await?;
                ticket.share(answer.clone());
                Ok(answer)
            }
            ReadPart::Waits(mut answer) => {
                let shared = answer.wait_for(Option::is_some).await.ok().and_then(|it| it.clone());
                match shared {
                    Some(answer) => Ok(answer),
                    None => read.await,
                }
            }
        }
    }

    /// Has nobody join the read that is under way: what it reads may be of before a change.
    pub(super) fn close(&self, conversation: ConversationSid) {
        self.lock().reads.remove(&conversation);
    }

    fn join(&self, conversation: ConversationSid) -> ReadPart<'_, T> {
        let mut under_way = self.lock();
        if let Some(flight) = under_way.reads.get(&conversation) {
            return ReadPart::Waits(flight.answer.clone());
        }
        under_way.last += 1;
        let (id, (told, answer)) = (under_way.last, watch::channel(None));
        under_way.reads.insert(conversation, Flight { id, answer });
        ReadPart::Reads(ReadTicket { flights: self, conversation, id, told })
    }
}

impl<T> Flights<T> {
    fn lock(&self) -> MutexGuard<'_, UnderWay<T>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What somebody does who asks.
enum ReadPart<'a, T> {
    /// Reads, for all.
    Reads(ReadTicket<'a, T>),
    /// Waits for what another one reads.
    Waits(watch::Receiver<Option<T>>),
}

/// The right to read for all; dropping it ends the read.
struct ReadTicket<'a, T> {
    flights: &'a Flights<T>,
    conversation: ConversationSid,
    id: u64,
    told: watch::Sender<Option<T>>,
}

impl<T> ReadTicket<'_, T> {
    fn share(self, answer: T) {
        self.told.send_replace(Some(answer));
    }
}

impl<T> Drop for ReadTicket<'_, T> {
    fn drop(&mut self) {
        let mut under_way = self.flights.lock();
        let is_own = |flight: &Flight<T>| flight.id == self.id;
        if under_way.reads.get(&self.conversation).is_some_and(is_own) {
            under_way.reads.remove(&self.conversation);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn a_read_that_failed_or_was_dropped_is_not_shared() {
        let (flights, sid) = (Flights::<u8>::default(), ConversationSid::from_bytes([1; 16]));
        let failed = flights.read(sid, async { Err::<u8, ()>(()) });
        let own = flights.read(sid, async { Ok::<u8, ()>(2) });
        assert_eq!(futures::join!(failed, own), (Err(()), Ok(2)));
        let mut dropped = Box::pin(flights.read(sid, std::future::pending::<Result<u8, ()>>()));
        assert!(futures::poll!(dropped.as_mut()).is_pending());
        let mut own = Box::pin(flights.read(sid, async { Ok::<u8, ()>(3) }));
        assert!(futures::poll!(own.as_mut()).is_pending(), "another one reads");
        drop(dropped);
        assert_eq!(own.await, Ok(3));
        assert!(flights.lock().reads.is_empty());
    }

    #[tokio::test]
    async fn nobody_joins_a_read_from_before_a_change() {
        let (flights, sid) = (Flights::<u8>::default(), ConversationSid::from_bytes([1; 16]));
        let count = Cell::new(0);
        let read = || async {
            count.set(count.get() + 1);
            tokio::task::yield_now().await;
            Ok::<u8, ()>(count.get())
        };
        let mut before = Box::pin(flights.read(sid, read()));
        assert!(futures::poll!(before.as_mut()).is_pending());
        flights.close(sid);
        let after = [flights.read(sid, read()), flights.read(sid, read())];
        let (_, after) = futures::join!(before, futures::future::join_all(after));
        assert_eq!((count.get(), after.len()), (2, 2), "those after share one");
        assert!(flights.lock().reads.is_empty());
    }
}
