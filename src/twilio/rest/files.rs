//! Where Twilio keeps a file of a message, and the way there.
//!
//! One request with the credentials, to the configured base, for where the file is; what it says is followed
//! by whoever asked, without them. A file of a text is redirected to, one of a conversation has a record that
//! names its place. Either may be at the base itself. Nothing of a file is read here.
//! Source: Protect Media Access with HTTP Basic Authentication, and Conversations Media Resource,
//! "content_direct_temporary", read 2026-11-29.

use std::time::Duration;

use reqwest::header::{ACCEPT, LOCATION};
use reqwest::{Method, Response};
use serde::Deserialize;
use url::Url;

use super::operations::none_if_absent;
use super::{Client, Error, FailureCause, Op, below};
use crate::twilio::sid::{MediaSid, TextSid};

/// How long a file may take in all that Twilio gives in its answer, instead of a place.
pub const FILE_WITHIN: Duration = Duration::from_secs(120);

/// A file, by the sids that find it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum FileName {
    /// A file of a plain message.
    OfText {
        /// The message.
        message: TextSid,
        /// The file.
        file: MediaSid,
    },
    /// A file of the chat service.
    OfConversation(MediaSid),
}

impl FileName {
    /// The file's own sid.
    #[must_use]
    pub const fn sid(&self) -> MediaSid {
        match self {
            Self::OfText { file, .. } | Self::OfConversation(file) => *file,
        }
    }
}

/// Where a file is.
#[derive(Debug)]
pub enum Whereabouts {
    /// At this place, which is given by an answer and judged by whoever goes there.
    Elsewhere(Url),
    /// In this answer.
    Here(Response),
}

/// What the media service says of a file.
#[derive(Deserialize)]
struct Record {
    links: Option<FileLinks>,
}

#[derive(Deserialize)]
struct FileLinks {
    content_direct_temporary: Option<String>,
    content: Option<String>,
}

impl Client {
    /// Finds a file; `None` where Twilio has none, or none of conversations without a chat service.
    ///
    /// A file that has just come may be none for some seconds.
    /// Source: Intermittent 404 Errors When Accessing Media URLs, read 2026-11-29.
    ///
    /// # Errors
    ///
    /// As any request; a 404 is no error.
    pub async fn find_file(&self, name: FileName) -> Result<Option<Whereabouts>, Error> {
        match name {
            FileName::OfText { message, file } => {
                let url = self.text_media_url(message, file);
                none_if_absent(self.read_patiently(|| self.pointed(&url, file)).await)
            }
            FileName::OfConversation(file) => self.find_media(file).await,
        }
    }

    /// Whether a place is one that the credentials are for: the bases that files are asked for at.
    #[must_use]
    pub fn is_own(&self, url: &Url) -> bool {
        let bases = [&self.inner.core_base, &self.inner.media_base];
        bases.into_iter().any(|base| base.origin() == url.origin())
    }

    async fn find_media(&self, file: MediaSid) -> Result<Option<Whereabouts>, Error> {
        let Some(service) = self.inner.chat_service_sid else { return Ok(None) };
        let parts = ["v1", "Services", &service.to_string(), "Media", &file.to_string()];
        let url = below(&self.inner.media_base, &parts);
        let found = self.get::<Record>(Op::FindMedia, url.clone()).await;
        let Some(record) = none_if_absent(found)? else { return Ok(None) };
        let links = record.links;
        let place = links.and_then(|links| links.content_direct_temporary.or(links.content));
        let unknown = Error::Unknown { op: Op::FindMedia, source: FailureCause::Page };
        // Either may be a path alone. Source: access token protocol notes, "Region and hosts".
        let place = place.and_then(|place| url.join(&place).ok()).ok_or(unknown)?;
        Ok(Some(Whereabouts::Elsewhere(place)))
    }

    /// Asks once for a file of a text.
    async fn pointed(&self, url: &Url, file: MediaSid) -> Result<Whereabouts, Error> {
        let started = self.inner.clock.now();
        // What waits for a place first has its own time.
        let patience = self.inner.request_timeout * 2;
        let late = || Error::Unknown { op: Op::FindFile, source: FailureCause::Late(patience) };
        let asked = tokio::time::timeout(patience, self.ask_for_file(url)).await;
        let result = asked.unwrap_or_else(|_| Err(late()));
        let took = self.inner.clock.now().since(started);
        self.observed(Op::FindFile, Some(*file.as_bytes()), &result, took);
        result
    }

    async fn ask_for_file(&self, url: &Url) -> Result<Whereabouts, Error> {
        let op = Op::FindFile;
        let request = self.inner.http.request(Method::GET, url.clone());
        let request = request.header(ACCEPT, "*/*").timeout(FILE_WITHIN);
        let (_place, response) = self.send(op, request).await?;
        let status = response.status();
        if status.is_redirection() {
            let place = response.headers().get(LOCATION).and_then(|place| place.to_str().ok());
            let place = place.and_then(|place| url.join(place).ok());
            self.inner.limiter.succeeded();
            let foreign = Error::Foreign { op, status: status.as_u16() };
            return place.map(Whereabouts::Elsewhere).ok_or(foreign);
        }
        if status.is_success() {
            self.inner.limiter.succeeded();
            return Ok(Whereabouts::Here(response));
        }
        Err(self.refusal(op, response).await)
    }
}
