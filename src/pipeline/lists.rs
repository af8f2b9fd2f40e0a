//! The latest list of buttons of each thread, kept in the store for all instances.
//!
//! It is noted before its reply is sent, so that no answer is faster, and holds until the next one, or until
//! ids of jobs are forgotten. What an answer means is [`policy::buttons`](super::policy::buttons)' to say.
//! Who never offers buttons pays nothing: whether any were offered is known by a note of its own.

use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::jobs::encode;
use crate::json;
use crate::pipeline::policy::buttons;
use crate::queue::{Documents, Error};
use crate::thread::{Button, Extras, ThreadId, TurnMessage};

/// The note that buttons were offered.
const OFFERED: &str = "lists-offered";

/// The latest lists.
#[derive(Debug)]
pub struct Lists {
    documents: Documents,
    is_used: AtomicBool,
}

/// What is kept of a list.
#[derive(Deserialize, Serialize)]
struct KeptList {
    reply: Uuid,
    buttons: Vec<Button>,
}

impl Lists {
    /// Starts with what is stored; `is_shared` if other instances may offer buttons.
    pub async fn open(documents: Documents, is_shared: bool) -> Self {
        // Who cannot be asked is looked up each time.
        let is_used =
            is_shared || documents.read(OFFERED).await.map_or(true, |note| note.is_some());
        Self { documents, is_used: AtomicBool::new(is_used) }
    }

    /// Notes the buttons of a reply that is about to be sent; on disk when it returns.
    ///
    /// # Errors
    ///
    /// If the store failed.
    pub async fn offered(
        &self,
        thread: ThreadId,
        reply: Uuid,
        buttons: &[Button],
    ) -> Result<(), Error> {
        let list = encode(&KeptList { reply, buttons: buttons.to_vec() });
        let note = |before: Option<&[u8]>| before.is_none().then(|| b"1".to_vec());
        let place = |before: Option<&[u8]>| (before != Some(&list[..])).then(|| list.clone());
        let name = name(thread);
        futures::try_join!(
            self.documents.update(OFFERED, note),
            self.documents.update(&name, place)
        )?;
        self.is_used.store(true, Ordering::Release);
        Ok(())
    }

    /// Says of each message which button it means, if it means one of the thread's latest list.
    ///
    /// # Errors
    ///
    /// If the store could not be read.
    pub async fn choose(
        &self,
        thread: ThreadId,
        messages: &mut [TurnMessage],
    ) -> Result<(), Error> {
        if !self.is_used.load(Ordering::Acquire) || !messages.iter().any(may_choose) {
            return Ok(());
        }
        let Some(stored) = self.documents.read(&name(thread)).await? else { return Ok(()) };
        // One that this release cannot read is none.
        let Ok(KeptList { buttons, .. }) = json::from_slice::<KeptList>(&stored) else {
            return Ok(());
        };
        for message in messages.iter_mut().filter(|message| may_choose(message)) {
            if let Some(choice) = buttons::chosen(&buttons, body(message)) {
                let extras = message.extras.take().unwrap_or_default();
                message.extras = Some(Box::new(Extras { choice: Some(choice), ..*extras }));
            }
        }
        Ok(())
    }
}

/// Whether a message may mean a button; one that its channel says so of needs no guess.
fn may_choose(message: &TurnMessage) -> bool {
    let is_told = message.extras.as_ref().is_some_and(|extras| extras.choice.is_some());
    !is_told && buttons::may_choose(body(message))
}

fn body(message: &TurnMessage) -> &str {
    message.body.as_ref().map_or("", |body| body.reveal())
}

/// What a thread's latest list is called.
pub(super) fn name(thread: ThreadId) -> String {
    format!("{}list/{thread}", Documents::SHORT_LIVED)
}
