//! How requests to the Conversations client API look, and how their answers are read.
//!
//! Decides addresses (from the server's configuration, never built by hand), bodies, and what an
//! answer means for the caller; never sends, never retries. Pure.
//! Source: conversations protocol notes 4 and 5, read 2026-11-21.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

use crate::json;
use crate::realtime::event::{NotSentReason, Outcome, SendMessage, Sent, UnknownReason};
use crate::realtime::sync::read::host;
use crate::realtime::twilsock::backoff::Random;
use crate::realtime::twilsock::frame::{HttpRequest, Param};
use crate::realtime::twilsock::requests::{Answer, NotSent, Request, RequestError};
use crate::twilio::sid::{ConversationSid, MediaSid, MessageSid};

const JSON: &str = "application/json; charset=utf-8";

/// Asks for the configuration; the one address that is not given by the server.
#[must_use]
pub fn configuration(api: &Url) -> Request {
    let mut request = read(api);
    "/Client/v2/Configuration".clone_into(&mut request.http.path);
    request.http.headers.insert("Content-Type".to_owned(), JSON.to_owned());
    request
}

/// An id for a write of our own.
pub fn mutation_id(random: &mut Random) -> Uuid {
    uuid::Builder::from_random_bytes(random.next_u128().to_be_bytes()).into_uuid()
}

/// A plain read of an address that the server gave.
#[must_use]
pub fn read(url: &Url) -> Request {
    // Names and values of the query stay percent-encoded. Source: Twilsock protocol notes 2.3.
    let mut params: BTreeMap<String, Param> = BTreeMap::new();
    for pair in url.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = value.to_owned();
        match params.remove(name) {
            None => params.insert(name.to_owned(), Param::One(value)),
            Some(Param::One(first)) => {
                params.insert(name.to_owned(), Param::Many(vec![first, value]))
            }
            Some(Param::Many(mut values)) => {
                values.push(value);
                params.insert(name.to_owned(), Param::Many(values))
            }
        };
    }
    let http = HttpRequest {
        host: host(url),
        path: url.path().to_owned(),
        method: "GET".to_owned(),
        params,
        headers: BTreeMap::new(),
    };
    Request { http, body: Bytes::new() }
}

/// A page of the user's conversations.
#[must_use]
pub fn page(my_conversations: &Url, token: Option<&str>) -> Request {
    let mut request = read(my_conversations);
    if let Some(token) = token {
        let token = form_urlencoded::byte_serialize(token.as_bytes()).collect();
        request.http.params.insert("PageToken".to_owned(), Param::One(token));
    }
    request
}

/// Sends a message.
#[must_use]
pub fn send(conversations: &Url, message: &SendMessage) -> Request {
    #[derive(Serialize)]
    struct MessageBody<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        body: Option<&'a str>,
        #[serde(skip_serializing_if = "<[MediaSid]>::is_empty")]
        media_sids: &'a [MediaSid],
        #[serde(skip_serializing_if = "Option::is_none")]
        content_sid: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        content_variables: Option<&'a str>,
        attributes: &'a str,
    }
    let content = message.content.as_ref();
    let body = MessageBody {
        body: message.body.as_ref().map(crate::pii::Pii::reveal),
        media_sids: &message.media,
        content_sid: content.map(|(sid, _)| sid.to_string()),
        content_variables: content.and_then(|(_, variables)| variables.as_ref()?.reveal().into()),
        attributes: message.attributes.as_ref().map_or("{}", crate::pii::Pii::reveal),
    };
    let url = below(conversations, &[&message.conversation.to_string(), "Messages"]);
    write("POST", &url, message.mutation_id, &body)
}

/// Takes a seat.
#[must_use]
pub fn join(
    conversations: &Url,
    conversation: ConversationSid,
    identity: &str,
    mutation_id: Uuid,
) -> Request {
    #[derive(Serialize)]
    struct MessageBody<'a> {
        identity: &'a str,
    }
    let url = below(conversations, &[&conversation.to_string(), "Participants"]);
    write("POST", &url, mutation_id, &MessageBody { identity })
}

/// Leaves a seat.
#[must_use]
pub fn leave(
    conversations: &Url,
    conversation: ConversationSid,
    identity: &str,
    mutation_id: Uuid,
) -> Request {
    let url = below(conversations, &[&conversation.to_string(), "Participants", identity]);
    write("DELETE", &url, mutation_id, &Empty {})
}

/// Sets the read horizon.
#[must_use]
pub fn horizon(
    my_conversations: &Url,
    conversation: ConversationSid,
    index: u64,
    mutation_id: Uuid,
) -> Request {
    #[derive(Serialize)]
    struct MessageBody {
        last_read_message_index: u64,
    }
    let url = below(my_conversations, &[&conversation.to_string()]);
    write("POST", &url, mutation_id, &MessageBody { last_read_message_index: index })
}

/// Says that the bot is typing.
#[must_use]
pub fn typing(typing: &Url, conversation: ConversationSid, mutation_id: Uuid) -> Request {
    let mut request = write("POST", typing, mutation_id, &Empty {});
    let form = "application/x-www-form-urlencoded".to_owned();
    request.http.headers.insert("Content-Type".to_owned(), form);
    request.body = Bytes::from(format!("ChannelSid={conversation}"));
    request
}

/// A body without fields, which a DELETE carries too. Source: conversations protocol notes 4.
#[derive(Serialize)]
struct Empty {}

fn write<B: Serialize>(method: &str, url: &Url, mutation_id: Uuid, body: &B) -> Request {
    let mut request = read(url);
    method.clone_into(&mut request.http.method);
    request.http.headers = BTreeMap::from([
        ("Content-Type".to_owned(), JSON.to_owned()),
        ("X-Twilio-Mutation-Id".to_owned(), mutation_id.to_string()),
    ]);
    request.body = Bytes::from(serde_json::to_vec(body).expect("a request body is plain data"));
    request
}

/// An address below one that the server gave.
fn below(url: &Url, segments: &[&str]) -> Url {
    let mut url = url.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// What the answer to a write means, before its body is read.
#[derive(Debug)]
pub enum Written {
    /// It was done; the body says more.
    Done(Bytes),
    /// The mutation id was taken already; this address shows what came of it.
    Look(Url),
    /// It was not done, or nobody knows.
    Failed(Failure),
}

/// An [`Outcome`] without the part that depends on the command.
pub type Failure = Outcome<std::convert::Infallible>;

/// Judges the answer to a write.
#[must_use]
pub fn written(result: Result<Answer, RequestError>) -> Written {
    #[derive(Deserialize)]
    struct TakenWrite {
        resource_url: Url,
    }
    #[derive(Deserialize)]
    struct RefusedBody {
        #[serde(default)]
        code: Option<u32>,
    }
    let answer = match result {
        Ok(answer) => answer,
        Err(error) => return Written::Failed(not_answered(&error)),
    };
    match answer.status {
        202 => match json::from_slice::<TakenWrite>(&answer.body) {
            Ok(taken) => Written::Look(taken.resource_url),
            Err(_) => Written::Done(answer.body),
        },
        200..=299 => Written::Done(answer.body),
        // A request timeout, like any failure of the server, says nothing about the message.
        status @ (408 | 500..) => {
            Written::Failed(Outcome::Unknown { reason: UnknownReason::ServerError { status } })
        }
        status => {
            let code = json::from_slice::<RefusedBody>(&answer.body).ok();
            Written::Failed(Outcome::Refused {
                status,
                code: code.and_then(|refusal| refusal.code),
                retry_after: answer.retry_after,
            })
        }
    }
}

fn not_answered(error: &RequestError) -> Failure {
    match error {
        RequestError::NotSent(reason) => Outcome::NotSent {
            reason: match reason {
                NotSent::QueueTimedOut => NotSentReason::NotConnected,
                NotSent::QueueFull => NotSentReason::Busy,
                NotSent::Denied => NotSentReason::Denied,
                NotSent::ShutDown => NotSentReason::ShutDown,
            },
        },
        RequestError::Lost => Outcome::Unknown { reason: UnknownReason::Lost },
        RequestError::TimedOut => Outcome::Unknown { reason: UnknownReason::TimedOut },
        // Assumed: Twilsock's own errors say nothing about whether the upstream was reached.
        RequestError::Transport { code } => {
            Outcome::Unknown { reason: UnknownReason::ServerError { status: *code } }
        }
    }
}

/// What the answer to a write without a result means; `already` is the refusal that means it was
/// done before.
#[must_use]
pub fn done(
    result: Result<Answer, RequestError>,
    already: Option<(u16, Option<u32>)>,
) -> Outcome<()> {
    match written(result) {
        Written::Done(_) | Written::Look(_) => Outcome::Done(()),
        Written::Failed(Outcome::Refused { status, code, .. })
            if already.is_some_and(|(known, with)| {
                known == status && with.is_none_or(|with| code == Some(with))
            }) =>
        {
            Outcome::Done(())
        }
        Written::Failed(failure) => failed(failure),
    }
}

/// Gives a failure the type of its command.
pub fn failed<T>(failure: Failure) -> Outcome<T> {
    match failure {
        Outcome::Done(never) => match never {},
        Outcome::Refused { status, code, retry_after } => {
            Outcome::Refused { status, code, retry_after }
        }
        Outcome::NotSent { reason } => Outcome::NotSent { reason },
        Outcome::Unknown { reason } => Outcome::Unknown { reason },
    }
}

/// Reads the message in the answer to a send.
#[must_use]
pub fn sent(body: &[u8]) -> Outcome<Sent> {
    #[derive(Deserialize)]
    struct MessageBody {
        sid: MessageSid,
        index: u64,
    }
    match json::from_slice::<MessageBody>(body) {
        Ok(body) => Outcome::Done(Sent { sid: body.sid, index: body.index }),
        Err(_) => Outcome::Unknown { reason: UnknownReason::Unreadable },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_send_looks_as_recorded() {
        let sid = ConversationSid::from_bytes([0xab; 16]);
        let mut message = SendMessage::text(sid, Uuid::nil(), "hello from the bot");
        message.attributes = Some(r#"{"k":[1,"ü"]}"#.into());
        let request = send(&conversations(), &message);
        assert_eq!(
            request.http.path,
            format!("/Client/v2/Services/IS1/Conversations/{sid}/Messages")
        );
        assert_eq!(request.http.headers["X-Twilio-Mutation-Id"], Uuid::nil().to_string());
        assert_eq!(
            request.body,
            r#"{"body":"hello from the bot","attributes":"{\"k\":[1,\"ü\"]}"}"#.as_bytes()
        );
    }

    #[test]
    fn identities_are_encoded_in_paths_and_queries_stay_as_they_are() {
        let sid = ConversationSid::from_bytes([1; 16]);
        let request = leave(&conversations(), sid, "my bot/1", Uuid::nil());
        assert!(request.http.path.ends_with("/Participants/my%20bot%2F1"), "{}", request.http.path);
        assert_eq!(request.body, "{}");
        let url = "https://x.example/a?b=%40&c=1&c=2".parse().unwrap();
        let params = read(&url).http.params;
        assert_eq!(params["b"], Param::One("%40".to_owned()));
        assert_eq!(params["c"], Param::Many(vec!["1".to_owned(), "2".to_owned()]));
    }

    #[test]
    fn every_answer_has_one_meaning() {
        let refused = r#"{"status":403,"code":50430,"message":"x"}"#;
        match written(answer(403, refused)) {
            Written::Failed(failure) => assert_eq!(
                failed::<()>(failure),
                Outcome::Refused { status: 403, code: Some(50430), retry_after: None }
            ),
            other => panic!("{other:?}"),
        }
        let taken = r#"{"resource_url":"https://x.example/IM1"}"#;
        assert!(matches!(written(answer(202, taken)), Written::Look(_)));
        assert!(matches!(written(answer(201, "{}")), Written::Done(_)));
        for result in [
            answer(500, ""),
            answer(503, ""),
            answer(408, ""),
            Err(RequestError::Lost),
            Err(RequestError::TimedOut),
            Err(RequestError::Transport { code: 500 }),
        ] {
            assert!(matches!(written(result), Written::Failed(Outcome::Unknown { .. })));
        }
        let not_sent = written(Err(RequestError::NotSent(NotSent::QueueTimedOut)));
        assert!(matches!(not_sent, Written::Failed(Outcome::NotSent { .. })));
        assert!(matches!(sent(b"{}"), Outcome::Unknown { reason: UnknownReason::Unreadable }));
    }

    fn answer(status: u16, body: &str) -> Result<Answer, RequestError> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        Ok(Answer { status, retry_after: Some(Duration::ZERO).filter(|_| false), body })
    }

    fn conversations() -> Url {
        "https://aim.us1.twilio.com/Client/v2/Services/IS1/Conversations".parse().unwrap()
    }
}
