//! Keeps requests back while Twilio refuses us for what only a change of configuration cures. Pure.
//!
//! Wrong credentials, a wrong account or a service that is not there fail every job alike. So the jobs
//! wait, without an attempt being counted, and after each pause one request may go to see whether it
//! is cured.
//!
//! | a refusal stands | a request is refused | a request of its scope succeeds | time |
//! | --- | --- | --- | --- |
//! | no | stands, for the first pause | | |
//! | yes, before the pause is over | stays | is over | |
//! | yes, after it or by the one that went | pauses for twice as long, five minutes at most | is over | after the pause one may go |

use std::time::Duration;

use crate::clock::Moment;
use crate::jobs::outage::Pass;
use crate::twilio::rest::Op;

/// The first pause.
const PAUSE_MIN: Duration = Duration::from_secs(15);
/// The longest pause.
pub const PAUSE_MAX: Duration = Duration::from_secs(300);

/// What is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// Whatever is asked over REST: the credentials are wrong, or the service is not there.
    Rest,
    /// One operation.
    Operation(Op),
}

/// A refusal that stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StandingRefusal {
    /// Why, for people.
    pub reason: String,
    scope: Scope,
    next_at: Moment,
    pause: Duration,
    is_probing: bool,
}

impl StandingRefusal {
    /// Begins with the first pause.
    #[must_use]
    pub fn new(scope: Scope, reason: &str, now: Moment) -> Self {
        let next_at = now + PAUSE_MIN;
        Self { reason: reason.to_owned(), scope, next_at, pause: PAUSE_MIN, is_probing: false }
    }

    /// Decides about one more request.
    pub fn pass(&mut self, op: Op, now: Moment) -> Pass {
        if self.scope != Scope::Rest && self.scope != Scope::Operation(op) {
            return Pass::Go;
        }
        if now < self.next_at {
            return Pass::Wait(self.next_at);
        }
        self.next_at = now + self.pause;
        self.is_probing = true;
        Pass::Go
    }

    /// Notes another refusal; of those that were on their way together the first one counts.
    pub fn again(&mut self, scope: Scope, reason: &str, now: Moment) {
        reason.clone_into(&mut self.reason);
        if scope == Scope::Rest {
            self.scope = scope;
        }
        if std::mem::take(&mut self.is_probing) || now >= self.next_at {
            self.pause = (self.pause * 2).min(PAUSE_MAX);
            self.next_at = now + self.pause;
        }
    }

    /// Whether a success over REST ends it.
    #[must_use]
    pub fn is_ended_by(&self, op: Op) -> bool {
        self.scope == Scope::Rest || self.is_of(op)
    }

    /// Whether it is of this operation alone, so that a success by whatever road ends it.
    #[must_use]
    pub fn is_of(&self, op: Op) -> bool {
        self.scope == Scope::Operation(op)
    }

    /// How long jobs are to wait.
    #[must_use]
    pub fn wait(&self, now: Moment) -> Duration {
        self.next_at.since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Moment {
        Moment::ORIGIN + Duration::from_secs(secs)
    }

    #[test]
    fn one_request_goes_after_each_pause_and_pauses_double() {
        let mut refusal = StandingRefusal::new(Scope::Rest, "401", at(0));
        let (mut now, mut pauses) = (at(0), Vec::new());
        for _ in 0..7 {
            let Pass::Wait(until) = refusal.pass(Op::CreateMessage, now) else { panic!("{now:?}") };
            pauses.push(until.since(now).as_secs());
            assert_eq!(refusal.pass(Op::AddParticipant, until), Pass::Go);
            assert!(matches!(refusal.pass(Op::AddParticipant, until), Pass::Wait(_)), "only one");
            refusal.again(Scope::Rest, "401", until);
            refusal.again(Scope::Rest, "401", until);
            now = until;
        }
        assert_eq!(pauses, [15, 30, 60, 120, 240, 300, 300]);
    }

    #[test]
    fn those_that_were_on_their_way_do_not_make_it_longer() {
        let mut refusal = StandingRefusal::new(Scope::Rest, "401", at(0));
        for second in 0..15 {
            refusal.again(Scope::Rest, "401", at(second));
        }
        assert_eq!(refusal.wait(at(0)), PAUSE_MIN);
        refusal.again(Scope::Rest, "401", at(15));
        assert_eq!(refusal.wait(at(15)), PAUSE_MIN * 2);
    }

    #[test]
    fn a_probe_that_never_answers_is_followed_by_another() {
        let mut refusal = StandingRefusal::new(Scope::Rest, "401", at(0));
        assert_eq!(refusal.pass(Op::CreateMessage, at(15)), Pass::Go);
        assert_eq!(refusal.pass(Op::CreateMessage, at(29)), Pass::Wait(at(30)));
        assert_eq!(refusal.pass(Op::CreateMessage, at(30)), Pass::Go);
    }

    #[test]
    fn a_refusal_of_one_operation_lets_others_go_and_only_its_own_success_ends_it() {
        let mut refusal = StandingRefusal::new(Scope::Operation(Op::CreateMessage), "403", at(0));
        assert_eq!(refusal.pass(Op::AddParticipant, at(1)), Pass::Go);
        assert!(matches!(refusal.pass(Op::CreateMessage, at(1)), Pass::Wait(_)));
        assert!(refusal.is_ended_by(Op::CreateMessage) && refusal.is_of(Op::CreateMessage));
        assert!(!refusal.is_ended_by(Op::AddParticipant));
        refusal.again(Scope::Rest, "401", at(2));
        assert!(refusal.is_ended_by(Op::AddParticipant) && !refusal.is_of(Op::CreateMessage));
        refusal.again(Scope::Operation(Op::CreateMessage), "403", at(3));
        assert!(refusal.is_ended_by(Op::AddParticipant), "the wider one stays");
    }
}
