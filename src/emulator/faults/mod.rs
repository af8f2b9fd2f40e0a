//! What goes wrong on demand: which requests, sockets, events and webhooks fail, how and how often.
//!
//! Pure. A [`Fault`] waits at a [`Place`]; whoever passes the place asks [`Faults::take`] and does
//! what the [`Action`] says. Chance comes from the emulator's seed, so a run can be repeated.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::state::ids::Ids;
use crate::json;

/// How long what is swapped waits for the next one, which may never come.
pub(super) const SWAPPED_FOR_MAX: Duration = Duration::from_secs(1);

/// A fault that waits for its occasion.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Its number; given by [`Faults::add`].
    #[serde(default, deserialize_with = "json::null_as_default")]
    pub id: u64,
    /// Where it waits.
    #[serde(rename = "where")]
    pub place: Place,
    /// What it does.
    #[serde(rename = "do")]
    pub action: Action,
    /// How often it may still act; for ever if absent.
    #[serde(default = "once")]
    pub times: Option<u64>,
    /// How many occasions pass untouched first.
    #[serde(default, deserialize_with = "json::null_as_default")]
    pub skip: u64,
    /// On how many of a hundred occasions it acts; on all if absent.
    #[serde(default)]
    pub percent: Option<u64>,
}

#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's type")]
const fn once() -> Option<u64> {
    Some(1)
}

/// Where a fault waits. Absent details match everything; texts match as parts, in any case.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "place", rename_all = "snake_case", deny_unknown_fields)]
pub enum Place {
    /// A REST request.
    Rest {
        /// Of this method.
        #[serde(default)]
        method: Option<String>,
        /// With this in its path.
        #[serde(default)]
        path: Option<String>,
    },
    /// The upgrade of a WebSocket.
    SocketOpen,
    /// The first frame of a client.
    SocketInit,
    /// A proxied request.
    SocketRequest {
        /// Of this method.
        #[serde(default)]
        method: Option<String>,
        /// With this in its path.
        #[serde(default)]
        path: Option<String>,
    },
    /// A live event on its way to a client.
    SocketEvent {
        /// Of this type, such as `list_item_added`.
        #[serde(default)]
        event_type: Option<String>,
    },
    /// The replay of one object's events after a subscription.
    Replay,
    /// A text of ours on its way to a phone.
    Text {
        /// To an address with this in it.
        #[serde(default)]
        to: Option<String>,
    },
    /// A webhook.
    Webhook {
        /// Of this event, such as `onMessageAdded`, `inboundMessage` or `messageStatus`.
        #[serde(default)]
        event_type: Option<String>,
    },
}

/// What a fault does.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Nothing is done, the answer is this status.
    Answer {
        /// The HTTP status.
        status: u16,
        /// Twilio's error code.
        #[serde(default)]
        code: Option<u32>,
        /// The `Retry-After` header, in seconds.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// The work is done, the answer is this status all the same.
    AnswerAfter {
        /// The HTTP status.
        status: u16,
        /// Twilio's error code.
        #[serde(default)]
        code: Option<u32>,
    },
    /// Something on the way answers in Twilio's place, with a page for people, as proxies and firewalls do.
    Intercept {
        /// The HTTP status.
        status: u16,
    },
    /// The work is done, the answer stops half-way and the connection breaks.
    CutOff,
    /// The text never leaves, for this reason, such as 30008.
    Fail {
        /// Twilio's error code.
        code: u32,
    },
    /// The text leaves and does not arrive, for this reason, such as 30003.
    Stray {
        /// Twilio's error code.
        code: u32,
    },
    /// Everything waits this long first.
    Delay {
        /// Milliseconds.
        ms: u64,
    },
    /// The close frame with this code, instead of an answer.
    Close {
        /// Its code, such as 406.
        code: u16,
    },
    /// The connection breaks, nothing is done.
    BreakBefore,
    /// The work is done, then the connection breaks without an answer.
    BreakAfter,
    /// The answer never comes, the connection stays; a text stays in its queue.
    Silence,
    /// The event or webhook is lost; of a text nothing more is heard after it has left.
    Lose,
    /// The event or webhook goes out twice.
    Duplicate,
    /// The event or webhook goes out after the next one, or after a second if none comes.
    Swap,
    /// The webhook is signed with a wrong key.
    MisSign,
    /// The replay stops half-way and says `interrupted`.
    Interrupt,
    /// A live event overtakes the replay.
    Overtake,
}

impl Action {
    /// Its name in records.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Answer { .. } => "answer",
            Self::AnswerAfter { .. } => "answer_after",
            Self::Intercept { .. } => "intercept",
            Self::CutOff => "cut_off",
            Self::Fail { .. } => "fail",
            Self::Stray { .. } => "stray",
            Self::Delay { .. } => "delay",
            Self::Close { .. } => "close",
            Self::BreakBefore => "break_before",
            Self::BreakAfter => "break_after",
            Self::Silence => "silence",
            Self::Lose => "lose",
            Self::Duplicate => "duplicate",
            Self::Swap => "swap",
            Self::MisSign => "mis_sign",
            Self::Interrupt => "interrupt",
            Self::Overtake => "overtake",
        }
    }

    /// Whether it stands in for the work of a request, which is not done then.
    #[must_use]
    pub const fn is_instead(&self) -> bool {
        matches!(self, Self::Answer { .. } | Self::Intercept { .. } | Self::BreakBefore)
    }
}

/// Something that passes a place now.
#[derive(Clone, Copy, Debug)]
pub enum Occasion<'a> {
    /// A REST request: method and path.
    Rest(&'a str, &'a str),
    /// An upgrade.
    SocketOpen,
    /// A first frame.
    SocketInit,
    /// A proxied request: method and path.
    SocketRequest(&'a str, &'a str),
    /// A live event's type.
    SocketEvent(&'a str),
    /// A replay.
    Replay,
    /// A webhook's event.
    Webhook(&'a str),
    /// A text, by the address that it goes to.
    Text(&'a str),
}

/// Says why a fault cannot be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// The action makes no sense at the place.
    #[error("this action cannot happen at this place")]
    Misplaced,
    /// Too many faults wait.
    #[error("no more than {FAULTS_MAX} faults can wait")]
    TooMany,
}

/// Faults that may wait at once.
pub const FAULTS_MAX: usize = 1000;

/// All waiting faults.
#[derive(Debug)]
pub struct Faults {
    waiting: Vec<Fault>,
    next: u64,
    dice: Ids,
}

impl Faults {
    /// Starts without any.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { waiting: Vec::new(), next: 1, dice: Ids::seeded(seed) }
    }

    /// Lets a fault wait; gives its number.
    ///
    /// # Errors
    ///
    /// If the action makes no sense at its place, or too many wait.
    pub fn add(&mut self, fault: Fault) -> Result<u64, Error> {
        if !fits(&fault.place, &fault.action) {
            return Err(Error::Misplaced);
        }
        if self.waiting.len() >= FAULTS_MAX {
            return Err(Error::TooMany);
        }
        let id = self.next;
        self.next = id.saturating_add(1);
        self.waiting.push(Fault { id, ..fault });
        Ok(id)
    }

    /// Takes a waiting fault away.
    pub fn remove(&mut self, id: u64) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|fault| fault.id != id);
        self.waiting.len() != before
    }

    /// Takes all away.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Those that wait, oldest first.
    #[must_use]
    pub fn waiting(&self) -> &[Fault] {
        &self.waiting
    }

    /// Gives what is to happen on this occasion: the oldest fault that applies, counted down.
    pub fn take(&mut self, occasion: Occasion<'_>) -> Option<(u64, Action)> {
        let mut hit = None;
        for (at, fault) in self.waiting.iter_mut().enumerate() {
            if !matches(&fault.place, occasion) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            if fault.percent.is_some_and(|percent| self.dice.below(100) >= percent) {
                continue;
            }
            if let Some(times) = &mut fault.times {
                *times = times.saturating_sub(1);
            }
            hit = Some(at);
            break;
        }
        let at = hit?;
        let taken = (self.waiting[at].id, self.waiting[at].action.clone());
        if self.waiting[at].times == Some(0) {
            self.waiting.remove(at);
        }
        Some(taken)
    }
}

fn fits(place: &Place, action: &Action) -> bool {
    let is_request = matches!(place, Place::Rest { .. } | Place::SocketRequest { .. });
    let is_text = matches!(place, Place::Text { .. });
    let is_message = matches!(place, Place::SocketEvent { .. } | Place::Webhook { .. });
    match action {
        Action::Answer { .. } => {
            is_request || matches!(place, Place::SocketOpen | Place::SocketInit)
        }
        Action::AnswerAfter { .. } | Action::BreakAfter => is_request,
        Action::Intercept { .. } | Action::CutOff => matches!(place, Place::Rest { .. }),
        Action::Fail { .. } | Action::Stray { .. } => is_text,
        Action::Delay { .. } => !matches!(place, Place::Replay),
        Action::BreakBefore => !is_message && !is_text && !matches!(place, Place::Replay),
        Action::Close { .. } => matches!(place, Place::SocketInit),
        Action::Silence => {
            is_request || is_text || matches!(place, Place::SocketOpen | Place::SocketInit)
        }
        Action::Lose => is_message || is_text,
        Action::Duplicate | Action::Swap => is_message,
        Action::MisSign => matches!(place, Place::Webhook { .. }),
        Action::Interrupt | Action::Overtake => matches!(place, Place::Replay),
    }
}

fn matches(place: &Place, occasion: Occasion<'_>) -> bool {
    let part = |wanted: &Option<String>, text: &str| {
        wanted.as_ref().is_none_or(|wanted| text.to_lowercase().contains(&wanted.to_lowercase()))
    };
    let same = |wanted: &Option<String>, text: &str| {
        wanted.as_ref().is_none_or(|wanted| text.eq_ignore_ascii_case(wanted))
    };
    match (place, occasion) {
        (Place::Rest { method, path }, Occasion::Rest(of, at))
        | (Place::SocketRequest { method, path }, Occasion::SocketRequest(of, at)) => {
            same(method, of) && part(path, at)
        }
        (Place::SocketOpen, Occasion::SocketOpen)
        | (Place::SocketInit, Occasion::SocketInit)
        | (Place::Replay, Occasion::Replay) => true,
        (Place::SocketEvent { event_type }, Occasion::SocketEvent(kind))
        | (Place::Webhook { event_type }, Occasion::Webhook(kind)) => same(event_type, kind),
        (Place::Text { to }, Occasion::Text(address)) => part(to, address),
        (
            Place::Rest { .. }
            | Place::SocketOpen
            | Place::SocketInit
            | Place::SocketRequest { .. }
            | Place::SocketEvent { .. }
            | Place::Replay
            | Place::Text { .. }
            | Place::Webhook { .. },
            _,
        ) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_acts_as_often_as_it_says_and_where_it_says() {
        let mut faults = Faults::new(1);
        let fault: Fault = serde_json::from_str(
            r#"{"where":{"place":"rest","method":"post","path":"/messages"},
                "do":{"action":"answer","status":429,"code":20429},"times":2,"skip":1}"#,
        )
        .unwrap();
        faults.add(fault).unwrap();
        let post = Occasion::Rest("POST", "/v1/Conversations/CH1/Messages");
        assert_eq!(faults.take(Occasion::Rest("GET", "/v1/Conversations/CH1/Messages")), None);
        assert_eq!(faults.take(post), None);
        let wanted = Action::Answer { status: 429, code: Some(20429), retry_after: None };
        assert_eq!(faults.take(post), Some((1, wanted.clone())));
        assert_eq!(faults.take(post), Some((1, wanted)));
        assert_eq!(faults.take(post), None);
        assert_eq!(faults.waiting(), []);
    }

    #[test]
    fn an_action_is_refused_where_it_makes_no_sense() {
        let fault =
            |place, action| Fault { id: 0, place, action, times: None, skip: 0, percent: None };
        let mut faults = Faults::new(1);
        for (place, action) in [
            (Place::SocketOpen, Action::MisSign),
            (Place::Rest { method: None, path: None }, Action::Lose),
            (Place::Webhook { event_type: None }, Action::BreakAfter),
            (Place::SocketInit, Action::Interrupt),
            (Place::SocketOpen, Action::Close { code: 406 }),
            (Place::Text { to: None }, Action::Duplicate),
            (Place::Webhook { event_type: None }, Action::Fail { code: 30003 }),
        ] {
            assert_eq!(faults.add(fault(place, action)), Err(Error::Misplaced));
        }
        assert_eq!(faults.add(fault(Place::Replay, Action::Interrupt)), Ok(1));
        assert!(faults.remove(1) && !faults.remove(1));
    }

    #[test]
    fn chance_is_the_same_for_the_same_seed() {
        let run = |seed| {
            let mut faults = Faults::new(seed);
            let fault = r#"{"where":{"place":"webhook"},"do":{"action":"lose"},
                            "times":null,"percent":30}"#;
            faults.add(serde_json::from_str(fault).unwrap()).unwrap();
            (0..200).map(|_| faults.take(Occasion::Webhook("e")).is_some()).collect::<Vec<_>>()
        };
        assert_eq!(run(5), run(5));
        assert_ne!(run(5), run(6));
        let hits = run(5).into_iter().filter(|hit| *hit).count();
        assert!((30..90).contains(&hits), "{hits} of 200 at 30 percent");
    }
}
