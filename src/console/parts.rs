//! What every page of the console is given.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use secrecy::SecretString;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::findings::Findings;
use super::lookout::Lookout;
use super::pace::LoginPace;
use super::plans::Plans;
use super::proxy_login::ProxyLogin;
use super::sessions::ConsoleSessions;
use super::workbench::Workbench;
use crate::admin;
use crate::admin::access::Access;
use crate::derived_key::DerivedKey;
use crate::jobs::recorder::Recorder;

/// How many browsers may have a page of the console live at once; a further one is shown still pages.
pub(super) const STREAMS_MAX: usize = 16;

/// What the console is told when it is made.
pub struct Options {
    /// What the debug pages know too.
    pub pages: Arc<admin::Options>,
    /// Where the admin listener is.
    pub listen: SocketAddr,
    /// Who signs in by this may look and no more.
    pub read_token: Option<SecretString>,
    /// What is believed of which proxies; nothing of anybody where it is not set.
    pub proxy_login: Option<ProxyLogin>,
    /// What is seen of the service.
    pub lookout: Lookout,
    /// What the doctor found.
    pub findings: Findings,
    /// What setup would change at Twilio.
    pub plans: Plans,
    /// What is acted with; none where Twilio is switched off.
    pub workbench: Option<Workbench>,
    /// Where what happens is written down.
    pub recorder: Recorder,
    /// Ends the streams.
    pub stop: CancellationToken,
}

/// The console; clones are the same one.
#[derive(Clone)]
pub struct Console(Arc<ConsoleParts>);

struct ConsoleParts {
    options: Options,
    access: Access,
    sessions: Mutex<ConsoleSessions>,
    pace: Mutex<LoginPace>,
    forms: DerivedKey,
    streams: Arc<Semaphore>,
}

impl Console {
    /// Makes one without a session.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let access = Access::new(options.listen, options.pages.debug_token.clone());
        // Forms that were loaded before the start are refused after it, as the sessions are gone too.
        let random = [Uuid::new_v4(), Uuid::new_v4()].map(|half| half.simple().to_string());
        Self(Arc::new(ConsoleParts {
            options,
            access,
            sessions: Mutex::default(),
            pace: Mutex::default(),
            forms: DerivedKey::of(&random.concat().into(), b"forms of the console"),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
        }))
    }

    /// What it was made of.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.0.options
    }

    /// What is seen of the service.
    #[must_use]
    pub fn lookout(&self) -> &Lookout {
        &self.options().lookout
    }

    /// What is looked at and acted with; none where Twilio is switched off.
    #[must_use]
    pub fn workbench(&self) -> Option<&Workbench> {
        self.options().workbench.as_ref()
    }

    /// Who may come in without a token.
    pub(super) fn access(&self) -> &Access {
        &self.0.access
    }

    /// Who is signed in.
    pub(super) fn sessions(&self) -> MutexGuard<'_, ConsoleSessions> {
        self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How fast tokens may be tried.
    pub(super) fn pace(&self) -> MutexGuard<'_, LoginPace> {
        self.0.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What forms are signed with.
    pub(super) fn forms(&self) -> &DerivedKey {
        &self.0.forms
    }

    /// The places for live pages.
    pub(super) fn streams(&self) -> Arc<Semaphore> {
        Arc::clone(&self.0.streams)
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").field("listen", &self.0.options.listen).finish_non_exhaustive()
    }
}
