//! The calls that a bot written for Chatwoot answers by, on our own listener:
//! `POST /api/v1/accounts/{account}/conversations/{conversation}/messages` and `…/toggle_status`.
//!
//! The header `api_access_token` is the bot's token, compared in constant time and before a body is read.
//! There is one token for all conversations, as Chatwoot has it; a conversation is known here by its
//! number once a message of it was posted, and not otherwise. A message is on disk before it is
//! answered 200, takes the way of every late reply, and counts once by [`BotMessage::key`].
//! `open` gives the conversation to a person by a job behind what was said before, so that it leaves first
//! and the handover is tried until it is done; `pending` gives it back at once, and an `open` before it that waits
//! still is void. Source: Chatwoot's API, "Create New Message", "Toggle Status", read 2026-11-30.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header, request};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::ledger::{Ledger, TalkNote};
use super::words::{self, BotMessage, TalkStatus, Writing};
use super::{ids, payload};
use crate::agent::Parting;
use crate::agent::later::{Batch, Outbox, not_read, not_stored, read};
use crate::channels::handover::{Handover, NotHandedOver};
use crate::clock::Clock;
use crate::http::caller;
use crate::http::problem::problem;
use crate::queue;
use crate::telemetry::chain::Chain;
use crate::telemetry::refusals::Refusals;
use crate::thread::{MessageId, Reply, Thread};

/// Where messages are posted to.
const MESSAGES: &str = "/api/v1/accounts/{account}/conversations/{conversation}/messages";
/// Where a conversation is given to a person, and back.
const STATUS: &str = "/api/v1/accounts/{account}/conversations/{conversation}/toggle_status";
/// Where a bot shows that it is typing; taken and passed over, since typing is shown while it thinks.
const TYPING: &str = "/api/v1/accounts/{account}/conversations/{conversation}/toggle_typing_status";

/// The names of the header with the token. Rack, by which Chatwoot reads it, takes one for the other.
const TOKENS: [&str; 2] = ["api_access_token", "api-access-token"];

/// What the calls need.
#[derive(Clone)]
pub(super) struct BotApi {
    /// The bot's token.
    pub(super) token: SecretString,
    /// Where words go.
    pub(super) outbox: Arc<dyn Outbox>,
    /// Gives conversations to people and back.
    pub(super) handover: Arc<dyn Handover>,
    /// Knows conversations by their numbers.
    pub(super) ledger: Ledger,
    /// Reads the time.
    pub(super) clock: Clock,
}

/// What all requests share.
#[derive(Clone)]
struct Counter {
    api: BotApi,
    refused: Refusals,
}

/// Makes the routes.
pub(super) fn router(api: BotApi) -> Router {
    let refused = Refusals::new(api.clock);
    Router::new()
        .route(MESSAGES, post(message))
        .route(STATUS, post(status))
        .route(TYPING, post(typing))
        .with_state(Counter { api, refused })
}

type Where = Path<(String, String)>;

async fn message(State(counter): State<Counter>, Path(at): Where, request: Request) -> Response {
    match counter.heard(at, request).await {
        Ok(call) => match words::message(&call.body, call.writing) {
            Ok(message) => counter.api.say(call, message).await,
            Err(why) => unprocessable(&why),
        },
        Err(refusal) => *refusal,
    }
}

async fn status(State(counter): State<Counter>, Path(at): Where, request: Request) -> Response {
    match counter.heard(at, request).await {
        Ok(call) => match words::status(&call.body, call.writing) {
            Ok(status) => counter.api.turn_over(call, status).await,
            Err(why) => unprocessable(&why),
        },
        Err(refusal) => *refusal,
    }
}

async fn typing(State(counter): State<Counter>, Path(at): Where, request: Request) -> Response {
    match counter.heard(at, request).await {
        Ok(_) => StatusCode::OK.into_response(),
        Err(refusal) => *refusal,
    }
}

fn unprocessable(why: &str) -> Response {
    problem(StatusCode::UNPROCESSABLE_ENTITY, "unprocessable", why)
}

/// A call of the bot about a conversation that there is.
struct BotCall {
    number: u64,
    note: TalkNote,
    body: bytes::Bytes,
    writing: Writing,
}

impl Counter {
    /// Checks who calls and about what, then reads the body.
    async fn heard(
        &self,
        (account, conversation): (String, String),
        request: Request,
    ) -> Result<BotCall, Box<Response>> {
        let (head, body) = request.into_parts();
        if !self.api.is_the_bots(&head.headers) {
            return Err(Box::new(self.refuse(&head)));
        }
        let content_type = head.headers.get(header::CONTENT_TYPE);
        let writing = Writing::of(content_type.and_then(|value| value.to_str().ok()));
        let Some(writing) = writing else {
            let detail = "send application/json or a form; files are not taken";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Box::new(problem(status, "unsupported_media_type", detail)));
        };
        if account.parse() != Ok(payload::ACCOUNT) {
            let detail = format!("the only account is {}", payload::ACCOUNT);
            return Err(Box::new(problem(StatusCode::NOT_FOUND, "unknown_account", &detail)));
        }
        let number = conversation.parse().ok();
        let (number, note) = self.api.look_up(number).await?;
        let body = read(&head, body).await.map_err(|error| Box::new(not_read(error)))?;
        Ok(BotCall { number, note, body: body.proven(), writing })
    }

    /// Turns away who has not the token.
    fn refuse(&self, head: &request::Parts) -> Response {
        if let Some(left_out) = self.refused.admit(caller::peer(&head.extensions)) {
            tracing::warn!(left_out, "calls of a bot were refused: their token is not ours");
        }
        let detail = "the header api_access_token is missing, or is not CHIMEIN_CHATWOOT_TOKEN";
        problem(StatusCode::UNAUTHORIZED, "invalid_token", detail)
    }
}

impl BotApi {
    fn is_the_bots(&self, headers: &HeaderMap) -> bool {
        let mut given = TOKENS.iter().flat_map(|name| headers.get_all(*name));
        // Digests tell nothing of how much of a token is right.
        let ours = Sha256::digest(self.token.expose_secret().as_bytes());
        let is_ours = given.next().is_some_and(|given| Sha256::digest(given.as_bytes()) == ours);
        is_ours && given.next().is_none()
    }

    async fn look_up(&self, number: Option<u64>) -> Result<(u64, TalkNote), Box<Response>> {
        let unknown = || {
            let detail = "no message of a conversation of this number was posted to the bot";
            problem(StatusCode::NOT_FOUND, "unknown_conversation", detail)
        };
        let number = number.ok_or_else(|| Box::new(unknown()))?;
        match self.ledger.find(number).await {
            Ok(Some(note)) => Ok((number, note)),
            Ok(None) => Err(Box::new(unknown())),
            Err(error) => {
                tracing::error!(error = %Chain(&error), "a bot's conversation was not looked up");
                Err(Box::new(unavailable()))
            }
        }
    }

    /// Stores what the bot says.
    async fn say(&self, call: BotCall, message: BotMessage) -> Response {
        let BotCall { number, note, .. } = call;
        let content = message.reply.as_ref().and_then(|reply| reply.body.clone());
        let (key, is_private) = match message.reply.clone() {
            None => (message.key(note.latest()), true),
            Some(reply) => match self.store((number, &note), &message, reply).await {
                Ok(key) => (key, false),
                Err(refusal) => return *refusal,
            },
        };
        let content = content.as_ref().map(|content| content.reveal());
        Json(self.told(number, (&key, content, is_private))).into_response()
    }

    /// Stores what people are to get; gives the key that makes it count once.
    async fn store(
        &self,
        (number, note): (u64, &TalkNote),
        message: &BotMessage,
        reply: Reply,
    ) -> Result<String, Box<Response>> {
        let unnoted = |error: &queue::Error| {
            tracing::error!(conversation_sid = %note.thread, error = %Chain(error),
                "a bot's word was not noted");
            Box::new(unavailable())
        };
        let thread = self.thread(note).await?;
        let begun = self.ledger.begin((number, note), message.digest(), message.in_reply_to).await;
        let call = begun.map_err(|error| unnoted(&error))?;
        let key = message.key(call.turn);
        let batch = Batch { turn: call.turn, late: true, ..Batch::new(thread, &key, vec![reply]) };
        self.outbox.put(batch).await.map_err(|error| {
            tracing::error!(conversation_sid = %note.thread, error = %Chain(&error),
                "a bot's words were not stored");
            Box::new(not_stored(&error))
        })?;
        self.tell_heard(&call.answers).await?;
        self.ledger.end(number, &call).await.map_err(|error| unnoted(&error))?;
        Ok(key)
    }

    /// What a message looks like that was made of a bot's words.
    fn told(&self, number: u64, (key, content, is_private): (&str, Option<&str>, bool)) -> Value {
        json!({
            "id": ids::of_words(key),
            "content": content,
            "conversation_id": number,
            "account_id": payload::ACCOUNT,
            "message_type": 1,
            "content_type": "text",
            "content_attributes": {},
            "created_at": self.clock.wall().as_secs(),
            "private": is_private,
            "status": "sent",
            "source_id": null,
        })
    }

    /// Gives a conversation to a person, or back.
    async fn turn_over(&self, call: BotCall, status: TalkStatus) -> Response {
        let BotCall { number, note, .. } = call;
        let turns = note.answered_by(None);
        let refused = match status {
            TalkStatus::Open => self.give(&note, turns.last().copied()).await.err(),
            TalkStatus::Pending => self.take_back(&note).await.err(),
            // There is nothing to close; whoever writes next is answered.
            TalkStatus::Resolved => None,
        };
        if let Some(refusal) = refused {
            return *refusal;
        }
        if let Err(refusal) = self.hear((number, &note), &turns).await {
            return *refusal;
        }
        let payload = json!({
            "success": true,
            "conversation_id": number,
            "current_status": status.as_str(),
        });
        Json(json!({ "meta": {}, "payload": payload })).into_response()
    }

    /// Gives a conversation to a person, behind what the bot has said before.
    async fn give(&self, note: &TalkNote, turn: Option<MessageId>) -> Result<(), Box<Response>> {
        let thread = self.thread(note).await?;
        // Given twice it is given once, and it may be given again after it was taken back.
        let key = format!("chatwoot/open/{}", Uuid::new_v4().simple());
        let batch = Batch::new(thread, &key, Vec::new());
        let taken_back = self.handover.taken_back(note.thread).await.map_err(|error| {
            tracing::error!(conversation_sid = %note.thread, error = %Chain(&error),
                "a conversation was not given to a person");
            Box::new(unavailable())
        })?;
        let (turn, taken_back) = (turn.or(note.latest()), Some(taken_back));
        let batch = Batch { turn, late: true, parting: Parting::Handoff, taken_back, ..batch };
        self.outbox.put(batch).await.map(drop).map_err(|error| {
            tracing::error!(conversation_sid = %note.thread, error = %Chain(&error),
                "a conversation was not given to a person");
            Box::new(not_stored(&error))
        })
    }

    async fn take_back(&self, note: &TalkNote) -> Result<(), Box<Response>> {
        self.handover.take_back(note.thread).await.map_err(|error| {
            tracing::warn!(conversation_sid = %note.thread, error = %Chain(&error),
                "a conversation was not given back to the bot");
            Box::new(not_handed(&error))
        })
    }

    async fn thread(&self, note: &TalkNote) -> Result<Thread, Box<Response>> {
        match self.outbox.thread(note.thread).await {
            Ok(Some(thread)) => Ok(thread),
            Ok(None) => {
                let detail = "the conversation is of a channel that is off";
                let answer = problem(StatusCode::NOT_FOUND, "unknown_conversation", detail);
                Err(Box::new(answer))
            }
            Err(error) => Err(Box::new(not_stored(&error))),
        }
    }

    /// Tells whoever waits for it that the bot has said something to these turns.
    async fn tell_heard(&self, turns: &[MessageId]) -> Result<(), Box<Response>> {
        for turn in turns {
            let heard = self.outbox.heard(*turn).await;
            heard.map_err(|error| Box::new(not_stored(&error)))?;
        }
        Ok(())
    }

    /// Notes that the bot has said something to these turns.
    async fn hear(
        &self,
        (number, note): (u64, &TalkNote),
        turns: &[MessageId],
    ) -> Result<(), Box<Response>> {
        self.tell_heard(turns).await?;
        self.ledger.hear(number, turns).await.map_err(|error| {
            tracing::error!(conversation_sid = %note.thread, error = %Chain(&error),
                "a bot's word was not noted");
            Box::new(unavailable())
        })
    }
}

fn unavailable() -> Response {
    let detail = "the store failed; send it again";
    problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
}

fn not_handed(error: &NotHandedOver) -> Response {
    let (status, word, detail) = match error {
        NotHandedOver::Unknown => {
            let detail = "there is no such conversation any more".to_owned();
            (StatusCode::NOT_FOUND, "unknown_conversation", detail)
        }
        NotHandedOver::Attributes => {
            (StatusCode::CONFLICT, "malformed_attributes", error.to_string())
        }
        NotHandedOver::Failed(_) => {
            let detail = "the conversation could not be changed now; call again".to_owned();
            (StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
        }
    };
    problem(status, word, &detail)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    use axum::body::Body;
    use futures::future::BoxFuture;
    use tower::ServiceExt as _;

    use super::*;
    use crate::agent::later::OutboxError;
    use crate::channels::handover::TakenThread;
    use crate::queue::{Store, embedded};
    use crate::thread::ThreadId;
    use crate::twilio::sid::{ConversationSid, MessageSid};

    #[tokio::test]
    async fn a_call_that_was_not_answered_says_nothing_twice_though_somebody_has_written_since() {
        let place = tempfile::tempdir().unwrap();
        let options = embedded::Options::new(place.path().join("queue.db"));
        let store = Store::open(options).unwrap();
        let (ledger, outbox) = (Ledger(store.documents()), Arc::new(Recording::default()));
        let api = BotApi {
            token: "token-of-the-bot-1234567".into(),
            outbox: Arc::<Recording>::clone(&outbox),
            handover: Arc::new(NoHands),
            ledger: ledger.clone(),
            clock: Clock::start(),
        };
        let thread = ThreadId::of_conversation(ConversationSid::from_bytes([1; 16]));
        let turn = |n: u8| MessageId::from(MessageSid::from_bytes([n; 16]));
        let number = ledger.ask(thread, turn(1)).await.unwrap().number;
        let say = async |text: &str| {
            let path = MESSAGES.replace("{account}", "1");
            let path = path.replace("{conversation}", &number.to_string());
            let request = Request::post(path).header(TOKENS[0], "token-of-the-bot-1234567");
            let body = json!({ "content": text }).to_string();
            let answered = router(api.clone()).oneshot(request.body(Body::from(body)).unwrap());
            answered.await.unwrap().status()
        };
        // The words are stored, and then the store fails.
        outbox.fails.store(true, Ordering::Relaxed);
        assert_eq!(say("wait").await, StatusCode::SERVICE_UNAVAILABLE);
        outbox.fails.store(false, Ordering::Relaxed);
        ledger.ask(thread, turn(2)).await.unwrap();
        assert_eq!(say("wait").await, StatusCode::OK);
        let keys = || outbox.keys.lock().unwrap().clone();
        assert_eq!(keys().len(), 2);
        assert_eq!(keys()[0], keys()[1], "by its key the outbox takes it once");
        let note = ledger.find(number).await.unwrap().unwrap();
        assert_eq!(note.open, [turn(2)], "it has answered the first message alone");
        // That call was answered, so these are words to the second message.
        assert_eq!(say("wait").await, StatusCode::OK);
        assert_ne!(keys()[2], keys()[0]);
        assert_eq!(say("wait").await, StatusCode::OK);
        assert_eq!(keys()[3], keys()[2], "the same words to the same message");
        store.close().await;
    }

    #[derive(Default)]
    struct Recording {
        keys: Mutex<Vec<String>>,
        fails: AtomicBool,
    }

    impl Outbox for Recording {
        fn put(&self, batch: Batch) -> BoxFuture<'_, Result<usize, OutboxError>> {
            self.keys.lock().unwrap().push(batch.key);
            Box::pin(std::future::ready(Ok(1)))
        }

        fn heard(&self, _turn: MessageId) -> BoxFuture<'_, Result<(), OutboxError>> {
            let failed = || Err(OutboxError::Store("planted".into()));
            let fails = self.fails.load(Ordering::Relaxed);
            Box::pin(std::future::ready(if fails { failed() } else { Ok(()) }))
        }
    }

    struct NoHands;

    impl Handover for NoHands {
        fn set(&self, _: ThreadId, _: bool) -> BoxFuture<'_, Result<(), NotHandedOver>> {
            Box::pin(std::future::ready(Err(NotHandedOver::Unknown)))
        }

        fn paused(&self, _: usize) -> BoxFuture<'_, Vec<TakenThread>> {
            Box::pin(std::future::ready(Vec::new()))
        }
    }
}
