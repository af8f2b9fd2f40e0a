//! What a listener holds of requests whose sender nobody knows yet, and who has to give it up.
//!
//! Decides nothing: [`BytesAccount`] does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::account::{BytesAccount, HolderFate};

/// The bytes that a listener holds of requests whose sender nobody knows yet.
#[derive(Clone, Debug)]
pub(super) struct Unverified(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    book: Mutex<UnverifiedBook>,
    /// Told when somebody holds less.
    freed: Notify,
}

#[derive(Debug)]
struct UnverifiedBook {
    account: BytesAccount,
    /// How those are told who have to give up.
    tokens: HashMap<u64, CancellationToken>,
}

impl Unverified {
    /// Allows so many bytes beyond what every connection may hold.
    pub(super) fn new(bytes_max: usize) -> Self {
        let book = UnverifiedBook { account: BytesAccount::new(bytes_max), tokens: HashMap::new() };
        Self(Arc::new(Shared { book: Mutex::new(book), freed: Notify::new() }))
    }

    /// Begins to count for one request, of which the first bytes are free.
    pub(super) fn hold(&self, free: usize) -> Hold {
        Hold { all: self.clone(), free, id: None, given_up: CancellationToken::new() }
    }

    fn lock(&self) -> MutexGuard<'_, UnverifiedBook> {
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one request holds, until it is dropped.
#[derive(Debug)]
pub(super) struct Hold {
    all: Unverified,
    free: usize,
    id: Option<u64>,
    /// Cancelled when it has to give up for others.
    pub(super) given_up: CancellationToken,
}

/// All requests together hold too much.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoRoom;

impl Hold {
    /// Holds more if that can be at once; says so.
    pub(super) fn take_now(&mut self, bytes: usize) -> bool {
        self.ask(bytes) == HolderFate::Yes
    }

    /// Holds more, once others have given up for it.
    pub(super) async fn take(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let all = self.all.clone();
        loop {
            // Made before asking, so that nothing is missed between the two.
            let freed = all.0.freed.notified();
            match self.ask(bytes) {
                HolderFate::Yes => return Ok(()),
                HolderFate::No => return Err(NoRoom),
                HolderFate::Wait { .. } => freed.await,
            }
        }
    }

    fn ask(&mut self, bytes: usize) -> HolderFate {
        if bytes <= self.free {
            self.free -= bytes;
            return HolderFate::Yes;
        }
        let counted = bytes - self.free;
        let mut book = self.all.lock();
        let id = *self.id.get_or_insert_with(|| {
            let id = book.account.open();
            book.tokens.insert(id, self.given_up.clone());
            id
        });
        let taken = book.account.take(id, counted);
        match &taken {
            HolderFate::Yes => self.free = 0,
            HolderFate::No => {}
            HolderFate::Wait { give_up } => {
                for token in give_up.iter().filter_map(|id| book.tokens.remove(id)) {
                    token.cancel();
                }
            }
        }
        taken
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            let mut book = self.all.lock();
            book.account.close(id);
            book.tokens.remove(&id);
            drop(book);
            self.all.0.freed.notify_waiters();
        }
    }
}
