//! The token at hand and the wish for the next one.
//!
//! Decides when a token is renewed and whether it is still usable; never fetches one. Pure. Holds
//! the secret that goes into `init` and `update`.

use std::time::Duration;

use super::frame::FrameSecret;
use super::signals::Token;
use crate::clock::Moment;

/// What a session knows of its tokens.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    /// The newest token, if there is one that was not refused.
    pub current: Option<HeldToken>,
    /// Whether the provider has been asked and has not answered.
    pub asking: bool,
    /// When to ask (again).
    pub ask_at: Option<Moment>,
    serial: u64,
}

/// A token with its number.
#[derive(Debug)]
pub(super) struct HeldToken {
    /// The JWT.
    pub jwt: FrameSecret,
    /// Which of the session's tokens it is; equal tokens have equal numbers.
    pub serial: u64,
    expires: Moment,
}

impl Tokens {
    /// Takes a token in; gives its number. It is renewed `renew_before` its end, or after three
    /// quarters of a short life.
    pub fn hold(&mut self, now: Moment, token: Token, renew_before: Duration) -> u64 {
        let Token { jwt, valid_for } = token;
        // A token that is over by our clock is tried once: the clock may be the one that is wrong.
        let valid_for = valid_for.max(Duration::from_secs(30));
        let spare = renew_before.min(valid_for / 4);
        self.asking = false;
        self.ask_at = Some(now + (valid_for - spare));
        let same = self.current.as_ref().is_some_and(|held| held.jwt == jwt);
        self.serial += u64::from(!same);
        self.current = Some(HeldToken { jwt, serial: self.serial, expires: now + valid_for });
        self.serial
    }

    /// Whether there is a token that has not run out.
    pub fn usable(&self, now: Moment) -> bool {
        self.current.as_ref().is_some_and(|held| held.expires > now)
    }

    /// Whether there is another token than the one with this number.
    pub fn newer_than(&self, serial: u64) -> bool {
        self.current.as_ref().is_some_and(|held| held.serial != serial)
    }

    /// Notes the wish for a token; says whether the provider is to be asked now.
    pub fn ask(&mut self) -> bool {
        self.ask_at = None;
        !std::mem::replace(&mut self.asking, true)
    }

    /// When the provider is to be asked without further cause.
    pub fn deadline(&self) -> Option<Moment> {
        self.ask_at.filter(|_| !self.asking)
    }
}
