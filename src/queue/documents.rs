//! Small values by name that are replaced whole: what has to be remembered longer than any job.
//!
//! Checks arguments and passes on to the engine; keeps no state, reads no time and does no I/O.

use std::fmt;
use std::sync::Arc;

use super::Error;
use super::engine::{Engine, Value};
use super::listing::{DocumentCursor, DocumentPage, Listed};

/// How often a change is tried again that others were faster with.
const RACES_MAX: usize = 16;

/// Small values by name, such as what is known of somebody's wishes.
#[derive(Clone)]
pub struct Documents {
    engine: Arc<dyn Engine>,
}

impl Documents {
    /// How many documents are looked at for one page.
    pub const PAGE_MAX: u32 = 128;
    /// The longest name in bytes.
    pub const NAME_BYTES_MAX: usize = 255;
    /// What the names of documents begin with that are forgotten once they have not been written for as
    /// long as the ids of jobs are remembered.
    pub const SHORT_LIVED: &str = "~";
    /// The longest value in bytes.
    pub const VALUE_BYTES_MAX: usize = 64 * 1024;

    pub(super) fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine }
    }

    /// Reads a value; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], or a storage error.
    pub async fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.engine.document(name.to_owned()).await?.map(|found| found.value))
    }

    /// Replaces a value by what `change` makes of it, unless that is nothing new; on disk when this
    /// returns. Gives what stands there then.
    ///
    /// `change` may be called several times: somebody else may be faster.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a name of no or more than 255 bytes or a value above 64 KiB,
    /// [`Error::Contended`] if others change it all the time, [`Error::Closed`], or a storage error.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the change may be stored or not.
    pub async fn update(
        &self,
        name: &str,
        change: impl Fn(Option<&[u8]>) -> Option<Vec<u8>> + Send,
    ) -> Result<Option<Vec<u8>>, Error> {
        self.change(name, move |before| Some(Value { bytes: change(before)?, is_passing: false }))
            .await
    }

    /// As [`Documents::update`], of a short-lived document that at times holds what somebody wrote: `change`
    /// says too whether it does now. Once it no longer does, nothing of that is left in the files.
    ///
    /// What somebody wrote is held for few documents at a time: all of them are written anew every ten
    /// seconds.
    ///
    /// # Errors
    ///
    /// As [`Documents::update`]; [`Error::Invalid`] for a document that does not begin with
    /// [`Documents::SHORT_LIVED`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, the change may be stored or not.
    pub async fn update_private(
        &self,
        name: &str,
        change: impl Fn(Option<&[u8]>) -> Option<(Vec<u8>, bool)> + Send,
    ) -> Result<Option<Vec<u8>>, Error> {
        if !name.starts_with(Self::SHORT_LIVED) {
            return Err(Error::Invalid { what: "a private document is a short-lived one" });
        }
        let change = move |before: Option<&[u8]>| {
            change(before).map(|(bytes, is_passing)| Value { bytes, is_passing })
        };
        self.change(name, change).await
    }

    async fn change(
        &self,
        name: &str,
        change: impl Fn(Option<&[u8]>) -> Option<Value> + Send,
    ) -> Result<Option<Vec<u8>>, Error> {
        if name.is_empty() || name.len() > Self::NAME_BYTES_MAX {
            return Err(Error::Invalid { what: "the name of a document has 1 to 255 bytes" });
        }
        for _ in 0..RACES_MAX {
            let found = self.engine.document(name.to_owned()).await?;
            let before = found.as_ref().map(|found| found.value.as_slice());
            let Some(value) = change(before) else { return Ok(found.map(|found| found.value)) };
            if value.bytes.len() > Self::VALUE_BYTES_MAX {
                return Err(Error::Invalid { what: "a document has at most 64 KiB" });
            }
            let revision = found.map(|found| found.revision);
            let written = (name.to_owned(), value.clone());
            if self.engine.put_document(written, revision).await? {
                return Ok(Some(value.bytes));
            }
        }
        Err(Error::Contended)
    }
}

impl Documents {
    /// Lists the documents whose names begin so and go on, from where an earlier page ended. What is written
    /// meanwhile may be listed or not. None that begins with [`Documents::SHORT_LIVED`] is.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::Invalid`] for a cursor of another listing, or a storage error.
    pub async fn list(
        &self,
        beginning: &str,
        after: Option<DocumentCursor>,
    ) -> Result<DocumentPage, Error> {
        self.engine.list_documents(beginning.to_owned(), after).await
    }

    /// Lists the short-lived documents whose names begin so and go on, private ones too, in an order of the
    /// engine's own, from where an earlier page ended.
    ///
    /// # Errors
    ///
    /// As [`Documents::list`]; [`Error::Invalid`] for a beginning that is not of short-lived documents.
    pub async fn list_short_lived(
        &self,
        beginning: &str,
        after: Option<DocumentCursor>,
    ) -> Result<DocumentPage, Error> {
        if !beginning.starts_with(Self::SHORT_LIVED) {
            return Err(Error::Invalid { what: "short-lived documents begin with ~" });
        }
        self.engine.list_short_lived(beginning.to_owned(), after).await
    }

    /// Forgets a document unless it was written since it was listed; says whether it did.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], or a storage error.
    pub async fn remove(&self, listed: &Listed) -> Result<bool, Error> {
        self.engine.remove_document(listed.name.clone(), listed.revision).await
    }
}

impl Documents {
    /// Forgets a document, whatever it says by then; says whether there was one.
    ///
    /// # Errors
    ///
    /// [`Error::Contended`] if others write it all the time, [`Error::Closed`], or a storage error.
    pub async fn forget(&self, name: &str) -> Result<bool, Error> {
        for _ in 0..RACES_MAX {
            let Some(found) = self.engine.document(name.to_owned()).await? else {
                return Ok(false);
            };
            if self.engine.remove_document(name.to_owned(), found.revision).await? {
                return Ok(true);
            }
        }
        Err(Error::Contended)
    }
}

impl fmt::Debug for Documents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Documents").finish_non_exhaustive()
    }
}
