//! How a connection is left, and what the session waits for then.
//!
//! Decides between coming back soon, coming back with another token, and coming back after a long
//! pause because the server wants nothing of this client. Pure, a part of the session.

use super::{DisconnectReason, Down, NotSent, Output, RequestError, Session, State, Status, hello};
use crate::clock::Moment;
use crate::realtime::twilsock::signals::{DENIALS_REFUSED, must_act};

impl<T> Session<T> {
    /// Acts on a refused token. The first refusal is answered with a fresh token at once, the
    /// second after the backoff; from the third on it is the client that is refused.
    pub(super) fn deny(&mut self, now: Moment, status: &Status) {
        self.denials = self.denials.saturating_add(1);
        self.tokens.current = None;
        let Status { code, error_code, .. } = *status;
        let why = DisconnectReason::Denied { code, error_code };
        if self.denials >= DENIALS_REFUSED {
            self.refuse(now, why);
        } else if self.denials > 1 {
            self.retry(now, why, true);
            self.refuse_queued(NotSent::Denied);
        } else {
            self.leave(why, true);
            self.await_token();
        }
    }

    /// Leaves a server that wants nothing of this client, and comes back after a long pause, as new as
    /// after a restart.
    pub(super) fn refuse(&mut self, now: Moment, why: DisconnectReason) {
        self.leave(why, true);
        self.refuse_queued(NotSent::Denied);
        self.continuation = None;
        let delay = self.refused_backoff.next_delay(&mut self.random);
        self.state = State::Refused { until: now + delay };
    }

    /// Throws the token away and asks for another.
    pub(super) fn await_token(&mut self) {
        self.tokens.current = None;
        self.state = State::AwaitingToken;
        self.ask_for_token();
    }

    /// Leaves the connection and comes back after the backoff.
    pub(super) fn retry(&mut self, now: Moment, why: DisconnectReason, say_close: bool) {
        self.leave(why, say_close);
        let delay = self.backoff.next_delay(&mut self.random);
        self.state = State::Waiting { until: now + delay };
    }

    /// The one way out of a connection, whoever ended it. The caller sets the next state.
    pub(super) fn leave(&mut self, why: DisconnectReason, say_close: bool) {
        if let Some(conn) = self.conn() {
            let open = !matches!(self.state, State::Connecting { .. });
            if say_close && open {
                let id = self.requests.next_number();
                let bytes = hello::close(&self.requests.frame_id(id));
                self.outputs.push_back(Output::Write(conn, bytes));
            }
            self.outputs.push_back(Output::Disconnect(conn));
        }
        for tag in self.requests.lose_sent() {
            self.outputs.push_back(Output::Answered(tag, Err(RequestError::Lost)));
        }
        let is_refused = must_act(why, self.denials);
        let is_fatal = is_refused && !self.is_refused;
        self.is_refused = is_refused;
        self.outputs.push_back(Output::Down(Down { reason: why, is_fatal }));
    }

    /// Answers the requests that were to wait for a connection.
    pub(super) fn refuse_queued(&mut self, reason: NotSent) {
        for tag in self.requests.refuse_queued() {
            self.outputs.push_back(Output::Answered(tag, Err(RequestError::NotSent(reason))));
        }
    }
}
