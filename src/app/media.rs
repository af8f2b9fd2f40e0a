//! Builds what makes something of files: links, fetching and the door.

use std::sync::Arc;

use axum::Router;
use tokio_util::task::TaskTracker;

use super::Error;
use super::parts::Parts;
use crate::media::fetch::{Fetch, Options};
use crate::media::offer::{Files, Limits};
use crate::media::{Links, MediaRoute, door};
use crate::twilio::rest;

impl Parts<'_> {
    /// Makes and reads links; all instances have the same key.
    pub(super) fn links(&self) -> Links {
        let base = self.public_base().map(|base| base.called(""));
        Links::new(self.own_secret(), base, self.settings.media.link_ttl)
    }

    /// Makes the files of turns, and the routes behind links.
    ///
    /// # Errors
    ///
    /// Where a client cannot be made of the settings.
    pub(super) fn files(
        &self,
        rest: &rest::Client,
        tls: &rustls::ClientConfig,
        tasks: &TaskTracker,
    ) -> Result<(Arc<Files>, Router), Error> {
        let (account, clock) = (&self.twilio.account, self.recorder.clock);
        let options = Options {
            proxies: self.settings.proxy.proxies(),
            connect_timeout: account.connect_timeout,
            request_timeout: account.request_timeout,
        };
        let fetch = Fetch::new(rest.clone(), options, tls.clone(), clock).map_err(Error::Media)?;
        let bytes = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
        let limits = Limits {
            bytes_max: bytes(self.settings.media.max_bytes.0),
            inline_max: bytes(self.settings.media.inline_bytes.0),
        };
        let files = Files::new(self.links(), fetch.clone(), account.account_sid, (limits, clock));
        let door = MediaRoute {
            links: self.links(),
            fetch,
            bytes_max: limits.bytes_max,
            tasks: tasks.clone(),
            clock,
        };
        Ok((Arc::new(files), door::router(door)))
    }
}
