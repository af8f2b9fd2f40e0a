//! A bot of one's own: takes a seat in every open conversation and answers each message once.
//!
//! Without an account, against the emulator:
//!
//! ```sh
//! cargo run -- emulator > twilio.json &
//! cargo run --no-default-features --features client --example bot -- twilio.json
//! ```
//!
//! Then write an SMS on the page that `phone_url` in `twilio.json` names. For Twilio itself make the file
//! by hand, of `account_sid`, `chat_service_sid`, `api_key` and `api_secret`.
//!
//! The bot keeps nothing on disk. How far it has come stands at Twilio, as its read horizon, and what it
//! has answered is seen by a mark in the answer's attributes. What is shown to people here is for a
//! terminal; the library itself logs by the crate `tracing`.

use std::collections::HashSet;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use chimein::client::sid::{AccountSid, ApiKeySid, ChatServiceSid, ConversationSid};
use chimein::client::{
    Account, Chain, Client, Clock, Event, Events, Message, MessageSource, NoWatermarks, Outcome,
    Pii, SecretString, SendMessage, Url, Uuid, rest, tls,
};
use serde::Deserialize;
use serde_json::{Value, json};

/// Who the bot is.
const IDENTITY: &str = "bot";

/// How often conversations are looked for that it has no seat in: Twilio adds it to none by itself.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long to wait before something is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// How many messages are looked at for an answer that may be there.
const SEARCHED_MAX: usize = 1000;

/// Twilio's code for who has a seat already.
const ALREADY_THERE: u32 = 50433;

/// What `chimein emulator` prints, as far as a bot needs it.
#[derive(Deserialize)]
pub struct Settings {
    account_sid: AccountSid,
    chat_service_sid: ChatServiceSid,
    api_key: ApiKeySid,
    api_secret: String,
    conversations_url: Option<Url>,
    twilsock_url: Option<Url>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let file =
        std::env::args().nth(1).ok_or("wanted: the file with the account, see the source")?;
    let settings = serde_json::from_slice(&std::fs::read(file)?)?;
    run(settings, async { drop(tokio::signal::ctrl_c().await) }).await
}

/// Runs the bot until it is told to stop.
pub async fn run(settings: Settings, stop: impl Future<Output = ()>) -> Result<(), Box<dyn Error>> {
    let (trusted, _) = tls::client_config()?;
    let account = Account {
        account_sid: settings.account_sid,
        chat_service_sid: settings.chat_service_sid,
        api_key: settings.api_key,
        api_secret: SecretString::from(settings.api_secret),
        region: None,
    };
    let (mut config, mut options) = (account.realtime(&trusted)?, account.rest()?);
    if let (Some(socket), Some(rest)) = (settings.twilsock_url, settings.conversations_url) {
        (config.twilsock_url, options.conversations_base_url) = (socket, rest);
    }
    let rest = rest::Client::new(options, trusted, Clock::start(), None)?;
    let tokens = account.tokens(IDENTITY);
    let (client, events) = Client::connect(config, tokens, Arc::new(NoWatermarks));
    let bot = Bot { client, rest };
    tokio::select! {
        () = stop => {}
        () = bot.take_seats() => {}
        () = bot.answer_all(events) => {}
    }
    // What was handled and is not noted at Twilio yet is heard again by the next run.
    bot.client.shutdown().await;
    Ok(())
}

struct Bot {
    client: Client,
    rest: rest::Client,
}

impl Bot {
    /// Takes a seat in each open conversation that has not been seen before, for as long as it is let.
    async fn take_seats(&self) {
        let mut seen = HashSet::new();
        loop {
            if let Err(error) = self.take_new_seats(&mut seen).await {
                eprintln!("looking for conversations: {}", Chain(&error));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn take_new_seats(&self, seen: &mut HashSet<ConversationSid>) -> Result<(), rest::Error> {
        let mut pages = self.rest.list_conversations(rest::ConversationFilter::default());
        while let Some(page) = pages.next().await? {
            let is_closed = |state| state == Some(rest::ConversationState::Closed);
            for conversation in page.into_iter().filter(|one| !is_closed(one.state)) {
                if seen.contains(&conversation.sid) {
                    continue;
                }
                match self.rest.add_participant(conversation.sid, IDENTITY).await {
                    Err(error) if error.code() != Some(ALREADY_THERE) => return Err(error),
                    Ok(_) | Err(_) => seen.insert(conversation.sid),
                };
            }
        }
        Ok(())
    }

    /// Answers what comes, one after the other. A bot that thinks for long thinks about several
    /// conversations at once.
    async fn answer_all(&self, mut events: Events) {
        while let Some(event) = events.next().await {
            match event {
                Event::MessageAdded(message) => self.handle(&message).await,
                Event::Live { seats } => println!("listening in {seats} conversations"),
                Event::Fatal { reason } => eprintln!("Twilio refuses the socket: {reason:?}"),
                // Changed messages, who types, who comes and goes.
                _ => {}
            }
        }
    }

    /// Answers a message, and says that it is handled once its answer is at Twilio.
    async fn handle(&self, message: &Message) {
        if message.author.reveal() != IDENTITY {
            self.answer(message).await;
        }
        self.client.mark_handled(message.conversation, message.index).await;
    }

    async fn answer(&self, message: &Message) {
        let text = message.body.as_ref().map_or("", Pii::reveal);
        // The id is kept for every attempt: Twilio takes a message with it once.
        let mut reply =
            SendMessage::text(message.conversation, Uuid::new_v4(), format!("echo: {text}"));
        reply.attributes = Some(mark(message).to_string().into());
        // What did not come as it was written may have been answered before the bot was started.
        let mut may_be_there = message.door != MessageSource::Live;
        loop {
            if may_be_there {
                match self.is_answered(message).await {
                    Ok(true) => return,
                    Ok(false) => may_be_there = false,
                    Err(error) => {
                        eprintln!("looking for an answer: {}", Chain(&error));
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                }
            }
            let pause = match self.client.send(reply.clone()).await {
                Outcome::Done(sent) => return println!("{} answered by {}", message.sid, sent.sid),
                Outcome::Refused { status: 429, retry_after, .. } => retry_after.unwrap_or(PAUSE),
                Outcome::Refused { status, code, .. } => {
                    return eprintln!("{} not answered: {status} {code:?}", message.sid);
                }
                // It never left this machine.
                Outcome::NotSent { .. } => PAUSE,
                Outcome::Unknown { .. } => {
                    may_be_there = true;
                    PAUSE
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Whether an answer stands behind a message; where that is too long ago to say, it counts as there.
    async fn is_answered(&self, message: &Message) -> Result<bool, rest::Error> {
        let (conversation, after) = (message.conversation, Some(message.index));
        let later = self.rest.messages_after(conversation, after, SEARCHED_MAX).await?;
        let mark = mark(message);
        // A mark alone proves nothing: everybody in a conversation may set attributes.
        let is_it = |one: &rest::Message| {
            let attributes = one.attributes.as_ref().map_or("", Pii::reveal);
            one.author.as_ref().map(Pii::reveal) == Some(IDENTITY)
                && serde_json::from_str::<Value>(attributes).ok().as_ref() == Some(&mark)
        };
        Ok(later.messages.iter().any(is_it) || !later.complete)
    }
}

/// What an answer has in its attributes, to be known by.
fn mark(message: &Message) -> Value {
    json!({ "answers": message.sid })
}
