//! The proxied HTTP requests of one client: waiting, sent, answered, given up.
//!
//! Decides which request may go out and what became of it; never retries one. Pure: time comes in.
//! A request that was handed to the socket is *lost* when the socket is, because the server may
//! have acted on it; one that never left is *not sent*.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use super::frame::{Frame, HttpRequest, Status, encode};
use crate::clock::Moment;

/// A request to a host behind Twilsock.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where to and how.
    pub http: HttpRequest,
    /// The body, empty for none.
    pub body: Bytes,
}

/// The upstream's answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The header `Retry-After` in seconds, if there is a plain one.
    pub retry_after: Option<Duration>,
    /// HTTP body.
    pub body: Bytes,
}

/// Says what became of a request that got no answer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RequestError {
    /// It never left this machine.
    #[error("request was not sent: {0}")]
    NotSent(NotSent),
    /// The socket was lost after it was sent; the server may have acted on it.
    #[error("connection lost before the answer came")]
    Lost,
    /// No answer came in time; the server may have acted on it.
    #[error("no answer in time")]
    TimedOut,
    /// Twilsock itself answered with an error. Whether the upstream saw it is unknown.
    #[error("transport failure {code}")]
    Transport {
        /// Twilsock's status code.
        code: u16,
    },
}

/// Says why a request never left this machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotSent {
    /// It waited for a connection as long as it may.
    #[error("not connected in time")]
    QueueTimedOut,
    /// Too many wait already.
    #[error("too many requests waiting")]
    QueueFull,
    /// The connection is refused for good, or until there is another token.
    #[error("the server refuses the connection")]
    Denied,
    /// The client is shutting down.
    #[error("the client is shut down")]
    ShutDown,
}

/// Bounds of the book.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a sent request waits for its answer.
    pub answer_timeout: Duration,
    /// How long a request waits for a connection.
    pub queue_timeout: Duration,
    /// How many may wait for a connection.
    pub queue_max: usize,
    /// How many may be sent and unanswered.
    pub in_flight_max: usize,
}

impl Default for Limits {
    /// Source of the timeouts: Twilsock protocol notes 2.3, observed, read 2026-11-21.
    fn default() -> Self {
        Self {
            answer_timeout: Duration::from_secs(30),
            queue_timeout: Duration::from_secs(20),
            queue_max: 4096,
            in_flight_max: 1024,
        }
    }
}

/// The book of requests. `T` is the caller's note on what a request is for.
#[derive(Debug)]
pub struct Requests<T> {
    limits: Limits,
    nonce: u64,
    next: u64,
    queued: VecDeque<(Moment, T, Request)>,
    sent: HashMap<u64, T>,
    deadlines: VecDeque<(Moment, u64)>,
}

impl<T> Requests<T> {
    /// An empty book. `nonce` keeps frame ids of different clients apart.
    #[must_use]
    pub fn new(limits: Limits, nonce: u64) -> Self {
        Self {
            limits,
            nonce,
            next: 0,
            queued: VecDeque::new(),
            sent: HashMap::new(),
            deadlines: VecDeque::new(),
        }
    }

    /// Takes a number for a frame of our own.
    pub fn next_number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Writes a number as the id of a frame.
    #[must_use]
    pub fn frame_id(&self, number: u64) -> String {
        format!("TM{:016x}{number:016x}", self.nonce)
    }

    /// Reads a number back from the id that a reply repeats.
    #[must_use]
    pub fn number(&self, frame_id: &str) -> Option<u64> {
        let digits = frame_id.strip_prefix("TM").filter(|digits| digits.len() == 32)?;
        let (nonce, number) = digits.split_at_checked(16)?;
        let ours = u64::from_str_radix(nonce, 16).ok()? == self.nonce;
        u64::from_str_radix(number, 16).ok().filter(|_| ours)
    }

    /// Puts a request into the queue, or gives it back if the queue is full.
    ///
    /// # Errors
    ///
    /// The queue is full.
    pub fn queue(&mut self, now: Moment, tag: T, request: Request) -> Result<(), T> {
        if self.queued.len() >= self.limits.queue_max {
            return Err(tag);
        }
        self.queued.push_back((now + self.limits.queue_timeout, tag, request));
        Ok(())
    }

    /// Sends the next waiting request, if one may go: gives its frame.
    pub fn send_next(&mut self, now: Moment) -> Option<Bytes> {
        if self.sent.len() >= self.limits.in_flight_max {
            return None;
        }
        let (_, tag, request) = self.queued.pop_front()?;
        let number = self.next_number();
        let bytes = encode_request(&self.frame_id(number), &request);
        self.sent.insert(number, tag);
        self.deadlines.push_back((now + self.limits.answer_timeout, number));
        Some(bytes)
    }

    /// Matches a reply; gives nothing for an unknown or late one.
    pub fn answered(&mut self, reply: Frame) -> Option<(T, Result<Answer, RequestError>)> {
        let number = self.number(&reply.header.id)?;
        let tag = self.sent.remove(&number)?;
        Some((tag, read_answer(reply)))
    }

    /// Gives up on the next request whose time is over.
    pub fn next_expired(&mut self, now: Moment) -> Option<(T, RequestError)> {
        while let Some((_, number)) = self.deadlines.front().filter(|(at, _)| *at <= now) {
            let number = *number;
            self.deadlines.pop_front();
            if let Some(tag) = self.sent.remove(&number) {
                return Some((tag, RequestError::TimedOut));
            }
        }
        if self.queued.front().is_some_and(|(at, _, _)| *at <= now) {
            let (_, tag, _) = self.queued.pop_front()?;
            return Some((tag, RequestError::NotSent(NotSent::QueueTimedOut)));
        }
        None
    }

    /// When [`Requests::next_expired`] has something to give.
    pub fn deadline(&mut self) -> Option<Moment> {
        while let Some((_, number)) = self.deadlines.front() {
            if self.sent.contains_key(number) {
                break;
            }
            self.deadlines.pop_front();
        }
        let sent = self.deadlines.front().map(|(at, _)| *at);
        let queued = self.queued.front().map(|(at, _, _)| *at);
        [sent, queued].into_iter().flatten().min()
    }

    /// Empties the list of sent requests: the socket is gone.
    pub fn lose_sent(&mut self) -> Vec<T> {
        self.deadlines.clear();
        let mut lost: Vec<(u64, T)> = self.sent.drain().collect();
        lost.sort_unstable_by_key(|(number, _)| *number);
        lost.into_iter().map(|(_, tag)| tag).collect()
    }

    /// Empties the queue: there will be no connection.
    pub fn refuse_queued(&mut self) -> Vec<T> {
        self.queued.drain(..).map(|(_, tag, _)| tag).collect()
    }
}

/// Writes a request's frame.
fn encode_request(id: &str, request: &Request) -> Bytes {
    #[derive(Serialize)]
    struct RequestHeader<'a> {
        id: &'a str,
        method: &'static str,
        active_grant: &'static str,
        payload_type: &'a str,
        http_request: &'a HttpRequest,
    }
    // Source: Twilsock protocol notes 2.3, observed, read 2026-11-21.
    let payload_type = request.http.headers.get("Content-Type").map(String::as_str);
    let header = RequestHeader {
        id,
        method: "message",
        active_grant: "ip_messaging",
        payload_type: payload_type.unwrap_or("application/json"),
        http_request: &request.http,
    };
    encode(&header, &request.body)
}

fn read_answer(reply: Frame) -> Result<Answer, RequestError> {
    let own = reply.header.status.unwrap_or_else(Status::ok);
    if !own.is_success() {
        return Err(RequestError::Transport { code: own.code });
    }
    // A reply without `http_status` is a success. Source: Twilsock protocol notes 2.3.
    let status = reply.header.http_status.map_or(200, |status| status.code);
    let retry_after = reply.header.http_headers.and_then(|headers| {
        let (_, value) =
            headers.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("retry-after"))?;
        let seconds = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())?;
        Some(Duration::from_secs(seconds))
    });
    Ok(Answer { status, retry_after, body: reply.payload })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::twilsock::frame::{Header, Limits as FrameLimits, Method, decode};

    #[test]
    fn answers_meet_their_requests_in_any_order() {
        let mut book = book(Limits::default());
        let ids: Vec<String> = ["a", "b"]
            .into_iter()
            .map(|tag| {
                book.queue(Moment::ORIGIN, tag, request()).unwrap();
                let frame = book.send_next(Moment::ORIGIN).unwrap();
                decode(&frame, &FrameLimits::default()).unwrap().header.id
            })
            .collect();
        assert_eq!(book.answered(reply(&ids[1], 404)).map(code), Some(("b", Ok(404))));
        assert_eq!(book.answered(reply(&ids[0], 201)).map(code), Some(("a", Ok(201))));
        assert_eq!(book.answered(reply(&ids[0], 201)).map(code), None);
        assert_eq!(book.answered(reply("TM-of-somebody-else", 201)).map(code), None);
        assert_eq!(book.deadline(), None);
    }

    #[test]
    fn sent_requests_time_out_after_30_s_and_queued_ones_after_20() {
        let mut book = book(Limits::default());
        book.queue(Moment::ORIGIN, "sent", request()).unwrap();
        book.send_next(Moment::ORIGIN).unwrap();
        book.queue(Moment::ORIGIN, "queued", request()).unwrap();
        let at = |secs| Moment::ORIGIN + Duration::from_secs(secs);
        assert_eq!(book.deadline(), Some(at(20)));
        assert_eq!(book.next_expired(at(19)), None);
        assert_eq!(
            book.next_expired(at(20)),
            Some(("queued", RequestError::NotSent(NotSent::QueueTimedOut)))
        );
        assert_eq!(book.deadline(), Some(at(30)));
        assert_eq!(book.next_expired(at(30)), Some(("sent", RequestError::TimedOut)));
    }

    #[test]
    fn both_bounds_hold() {
        let mut book = book(Limits { queue_max: 2, in_flight_max: 1, ..Limits::default() });
        book.queue(Moment::ORIGIN, "a", request()).unwrap();
        book.queue(Moment::ORIGIN, "b", request()).unwrap();
        assert_eq!(book.queue(Moment::ORIGIN, "c", request()), Err("c"));
        assert!(book.send_next(Moment::ORIGIN).is_some());
        assert!(book.send_next(Moment::ORIGIN).is_none());
        assert_eq!(book.lose_sent(), ["a"]);
        assert_eq!(book.refuse_queued(), ["b"]);
    }

    #[test]
    fn twilsocks_own_failure_is_no_http_answer() {
        let mut book = book(Limits::default());
        book.queue(Moment::ORIGIN, "a", request()).unwrap();
        let sent = decode(&book.send_next(Moment::ORIGIN).unwrap(), &FrameLimits::default());
        let mut header = Header::new(Method::Reply, sent.unwrap().header.id);
        header.status = Some(Status::new(500, "INTERNAL"));
        let answer = book.answered(Frame { header, payload: Bytes::new() }).map(code);
        assert_eq!(answer, Some(("a", Err(RequestError::Transport { code: 500 }))));
    }

    #[test]
    fn retry_after_is_read_whatever_its_case() {
        let mut frame = reply("x", 429);
        frame.header.http_headers = serde_json::from_str(r#"{"Retry-After":"7"}"#).unwrap();
        assert_eq!(read_answer(frame).unwrap().retry_after, Some(Duration::from_secs(7)));
    }

    fn book(limits: Limits) -> Requests<&'static str> {
        Requests::new(limits, 0xfeed)
    }

    fn request() -> Request {
        Request { http: HttpRequest::default(), body: Bytes::new() }
    }

    fn reply(id: &str, status: u16) -> Frame {
        let mut header = Header::acknowledgement(id);
        header.http_status = Some(Status::new(status, ""));
        Frame { header, payload: Bytes::new() }
    }

    fn code<T>((tag, result): (T, Result<Answer, RequestError>)) -> (T, Result<u16, RequestError>) {
        (tag, result.map(|answer| answer.status))
    }
}
