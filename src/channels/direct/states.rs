//! How each reply fares, kept for as long as ids of jobs are.
//!
//! What is heard means what [`policy::reply_state`](super::policy::reply_state) says; here it meets the
//! store.

use std::time::Duration;

use tokio::sync::Notify;
use uuid::Uuid;

use super::contacts::{read, update};
use super::policy::reply_state::ReplyState;
use crate::clock::Clock;
use crate::queue::{Documents, Error};

/// How often it is looked whether another instance has heard of a reply.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The states of replies.
#[derive(Debug)]
pub struct States {
    documents: Documents,
    clock: Clock,
    heard: Notify,
}

impl States {
    /// Starts with what is stored.
    #[must_use]
    pub fn new(documents: Documents, clock: Clock) -> Self {
        Self { documents, clock, heard: Notify::new() }
    }

    /// What is known of a reply.
    ///
    /// # Errors
    ///
    /// If the store could not be read.
    pub async fn of(&self, reply: Uuid) -> Result<Option<ReplyState>, Error> {
        read(&self.documents, &name(reply)).await
    }

    /// Hears of a reply; says whether it is news. On disk when it returns.
    ///
    /// # Errors
    ///
    /// If the store could not be read or written.
    pub async fn hear(&self, reply: Uuid, heard: ReplyState) -> Result<bool, Error> {
        let before = self.of(reply).await?;
        if ReplyState::after(before, heard).is_none() {
            return Ok(false);
        }
        let after =
            update(&self.documents, &name(reply), |before| ReplyState::after(before, heard))
                .await?;
        self.heard.notify_waiters();
        Ok(after == Some(heard))
    }

    /// Waits a while until something is heard of a reply.
    ///
    /// # Errors
    ///
    /// If the store could not be read.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing.
    pub async fn await_word(
        &self,
        reply: Uuid,
        within: Duration,
    ) -> Result<Option<ReplyState>, Error> {
        let end = self.clock.now() + within;
        loop {
            let heard = self.heard.notified();
            if let Some(state) = self.of(reply).await? {
                return Ok(Some(state));
            }
            let now = self.clock.now();
            if now >= end {
                return Ok(None);
            }
            tokio::select! {
                () = heard => {}
                () = self.clock.sleep_until(end.min(now + LOOK_EVERY)) => {}
            }
        }
    }
}

fn name(reply: Uuid) -> String {
    format!("{}reply/{}", Documents::SHORT_LIVED, reply.simple())
}
