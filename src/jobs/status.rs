//! What the workers know about Twilio: whether it takes our requests, and whether it is there at all.
//!
//! Adding, sending and reading are dependencies of their own, since each has been seen to fail while the
//! others worked; by [`policy::outage`](crate::jobs::outage) the jobs that need one wait while it is
//! away. While Twilio refuses us altogether they wait by [`policy::refusal`](crate::jobs::refusal).
//! Readiness and the debug page read it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::jobs::dependency::Dependency;
use crate::jobs::outage::{Pass, Subject};
use crate::jobs::outcome::{Class, Failure};
use crate::jobs::refusal::{Scope, StandingRefusal};
use crate::jobs::settle;
use crate::queue::Cause;
use crate::twilio::catalogue;
use crate::twilio::rest::{self, Op};

/// How long a job waits that found no room, for Twilio or for us: requests end within a second or so.
const PRESSURE_PAUSE: Duration = Duration::from_secs(1);

/// Twilio as the workers see it.
#[derive(Debug)]
pub struct Status {
    refusal: Mutex<Option<StandingRefusal>>,
    adding: Dependency,
    sending: Dependency,
    reading: Dependency,
    changing: Dependency,
    texting: Dependency,
    reading_texts: Dependency,
    typing: Dependency,
    files: Dependency,
}

impl Default for Status {
    fn default() -> Self {
        Self {
            refusal: Mutex::default(),
            adding: Dependency::new("twilio_adding_participants"),
            sending: Dependency::new("twilio_sending_messages"),
            reading: Dependency::new("twilio_reading"),
            changing: Dependency::new("twilio_changing"),
            texting: Dependency::new("twilio_sending_texts"),
            reading_texts: Dependency::new("twilio_reading_texts"),
            typing: Dependency::new("twilio_typing"),
            files: Dependency::new("twilio_files"),
        }
    }
}

impl Status {
    /// What an operation needs.
    #[must_use]
    pub const fn needed_for(&self, op: Op) -> &Dependency {
        match op {
            Op::AddParticipant => &self.adding,
            Op::CreateMessage => &self.sending,
            Op::RemoveParticipant | Op::UpdateConversation => &self.changing,
            Op::FetchParticipant
            | Op::ListParticipants
            | Op::FetchConversation
            | Op::ListConversations
            | Op::ListParticipantConversations
            | Op::ListMessages
            | Op::FetchAccount
            | Op::FetchWebhooks
            | Op::ListAddresses
            | Op::ReadSettings
            | Op::WriteSettings => &self.reading,
            Op::CreateText => &self.texting,
            Op::ListTexts | Op::ListTextMedia | Op::FetchText => &self.reading_texts,
            Op::ShowTyping => &self.typing,
            Op::FindFile | Op::FindMedia => &self.files,
        }
    }

    /// Waits until one more job may be taken up that makes this request over REST: what it needs is
    /// there and Twilio does not refuse us, or it is time to see whether that still holds.
    ///
    /// # Cancel safety
    ///
    /// As [`Dependency::wait`].
    pub async fn wait_for_rest(&self, op: Op, clock: &Clock) {
        while let Pass::Wait(until) = self.pass(op, clock) {
            clock.sleep_until(until).await;
        }
        self.needed_for(op).wait(clock).await;
    }

    /// Whether a request over REST may go, as far as refusals are concerned.
    pub fn pass(&self, op: Op, clock: &Clock) -> Pass {
        self.refusal_now().as_mut().map_or(Pass::Go, |refusal| refusal.pass(op, clock.now()))
    }

    /// Notes that what a job asked for succeeded, by whatever road.
    pub fn succeeded(&self, op: Op, clock: &Clock) {
        self.works(op, clock);
        self.ended(|refusal| refusal.is_of(op));
    }

    /// Notes that Twilio did what was asked over REST.
    pub fn answered(&self, op: Op, clock: &Clock) {
        self.works(op, clock);
        self.ended(|refusal| refusal.is_ended_by(op));
    }

    /// What is back for one operation is asked for the others at once: one who needs several of them is
    /// not to wait for each.
    fn works(&self, op: Op, clock: &Clock) {
        if self.needed_for(op).succeeded(clock) {
            for other in self.all().into_iter().chain([&self.files]) {
                other.nudged(clock);
            }
        }
    }

    fn ended(&self, ends: impl FnOnce(&mut StandingRefusal) -> bool) {
        if self.refusal_now().take_if(ends).is_some() {
            tracing::info!("twilio accepts our requests again");
        }
    }

    /// Notes how a request failed, and how long that took.
    pub fn failed(
        &self,
        op: Op,
        subject: Option<Subject>,
        failure: Failure,
        took: Duration,
        clock: &Clock,
    ) {
        let needed = self.needed_for(op);
        match reason(failure) {
            Some(reason) => {
                needed.failed(subject, took, reason, clock);
            }
            // Whoever refuses is there.
            None => self.works(op, clock),
        }
    }

    /// How long a job is to be parked that a request has just failed for, without an attempt counted;
    /// nothing if it is the job's own failure.
    #[must_use]
    pub fn parks(&self, error: &rest::Error, clock: &Clock) -> Option<Duration> {
        if let rest::Error::NotSent { source, .. } = error {
            match source {
                rest::FailureCause::Away(pause) => return Some(settle::spread(*pause)),
                rest::FailureCause::Busy(_) => return Some(settle::spread(PRESSURE_PAUSE)),
                _ => {}
            }
        }
        let is_unreadable = matches!(
            error,
            rest::Error::Unknown {
                source: rest::FailureCause::Unreadable { .. }
                    | rest::FailureCause::TooLarge { .. }
                    | rest::FailureCause::Page,
                ..
            }
        );
        if is_unreadable { None } else { self.parks_after(error.op(), failure(error), clock) }
    }

    /// As [`Status::parks`], for a request that did not go over REST, too.
    #[must_use]
    pub fn parks_after(&self, op: Op, failure: Failure, clock: &Clock) -> Option<Duration> {
        if let Failure::Refused { status: 429, retry_after, .. } = failure {
            return Some(settle::spread(retry_after.unwrap_or(PRESSURE_PAUSE)));
        }
        reason(failure)?;
        self.needed_for(op).parks(clock)
    }

    /// Notes that Twilio refuses us for a reason that only a change of configuration cures.
    pub fn refused(&self, scope: Scope, reason: &str, clock: &Clock) {
        let mut refusal = self.refusal_now();
        if let Some(refusal) = &mut *refusal {
            refusal.again(scope, reason, clock.now());
        } else {
            tracing::error!(
                reason,
                "twilio refuses our requests; check TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, the API \
                 key and TWILIO_CHAT_SERVICE_SID. Jobs are kept and tried again"
            );
            *refusal = Some(StandingRefusal::new(scope, reason, clock.now()));
        }
    }

    /// How long a job is to wait that was refused; spread a little, so that not all come at once.
    pub fn pause(&self, clock: &Clock, jitter: f64) -> Duration {
        let refusal = self.refusal_now();
        let pause = refusal.as_ref().map_or(Duration::ZERO, |refusal| refusal.wait(clock.now()));
        (pause + Duration::from_secs(1)).mul_f64(1.0 + 0.2 * jitter.clamp(0.0, 1.0))
    }

    /// Why Twilio refuses us, if it does.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        self.refusal_now().as_ref().map(|refusal| refusal.reason.clone())
    }

    /// Whether something of Twilio is away, so that jobs wait for it. No job waits to show typing, and
    /// none for files unless a turn is to hold them.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.all().into_iter().any(Dependency::is_away)
    }

    /// All that jobs wait for, but for files, which a turn goes without in the end.
    const fn all(&self) -> [&Dependency; 6] {
        let Self { adding, sending, reading, changing, texting, reading_texts, .. } = self;
        [adding, sending, reading, changing, texting, reading_texts]
    }

    fn refusal_now(&self) -> MutexGuard<'_, Option<StandingRefusal>> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the connection to Twilio is, in one word: the states that the pages and platforms know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConnectorState {
    /// Not connected.
    Disconnected,
    /// Being connected.
    Connecting,
    /// Connected.
    Connected,
    /// Given up, or refused.
    Error,
}

impl ConnectorState {
    /// Its word on the pages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disconnected => "DISCONNECTED",
            Self::Connecting => "CONNECTING",
            Self::Connected => "CONNECTED",
            Self::Error => "ERROR",
        }
    }
}

/// What a REST error says for certain.
#[must_use]
pub fn failure(error: &rest::Error) -> Failure {
    match error {
        rest::Error::Refused { status, code, retry_after, .. } => {
            Failure::Refused { status: *status, code: *code, retry_after: *retry_after }
        }
        rest::Error::Foreign { .. } => Failure::Foreign,
        rest::Error::NotSent { .. } => Failure::NotSent,
        rest::Error::Unknown { .. } => Failure::Unknown,
    }
}

/// The cause that is kept with the job: the code's meaning where there is one.
#[must_use]
pub fn cause(class: Class, error: &rest::Error) -> Cause {
    let code = self::code(error);
    let meaning = code.and_then(catalogue::lookup).map(|entry| entry.meaning.as_str());
    let detail = match meaning {
        Some(meaning) => format!("{error}: {meaning}"),
        None => error.to_string(),
    };
    Cause { code, ..Cause::of(class.cause()).with_detail(detail) }
}

/// Twilio's code for a refusal, where it gave one.
#[must_use]
pub const fn code(error: &rest::Error) -> Option<u32> {
    match error {
        rest::Error::Refused { code, .. } => *code,
        rest::Error::Foreign { .. } | rest::Error::NotSent { .. } | rest::Error::Unknown { .. } => {
            None
        }
    }
}

/// Why a failure may show an outage; nothing if it shows Twilio at work.
const fn reason(failure: Failure) -> Option<&'static str> {
    match failure {
        Failure::NotSent => Some("no connection"),
        Failure::Unknown => Some("no answer"),
        Failure::Foreign => Some(
            "something answers in twilio's place; look for a proxy or firewall in the way, and at \
             the base urls",
        ),
        Failure::Refused { status: 408 | 500.., .. } => {
            Some("twilio answers with an error of its own")
        }
        Failure::Refused { .. } => None,
    }
}
