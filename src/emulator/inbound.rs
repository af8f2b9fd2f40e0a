//! A phone writes: finds or makes the conversation, one message of a pair of addresses at a time.
//!
//! The pre-action webhook of autocreation is waited for, so two quick messages of one phone would
//! otherwise both find no conversation.

use super::hub::Hub;
use super::record::Happening;
use super::state::command::{Actor, Amendment, Command, Outcome};
use super::state::model::Autocreation;
use super::state::refusal::Refusal;
use super::state::{Inbound, Route, World};
use crate::twilio::sid::{ChatServiceSid, ConversationSid, MessageSid, TextSid};

/// What became of a phone's message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Received {
    /// It is in a conversation.
    Stored {
        /// The conversation.
        conversation: ConversationSid,
        /// The message.
        message: MessageSid,
        /// Whether the conversation was made for it.
        created: bool,
    },
    /// No conversation waits for it and none may be made, or the webhook refused.
    Dropped,
}

/// What became of a phone's text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Texted {
    /// Its sid at the messaging API.
    pub sid: TextSid,
    /// Whether it is in a conversation besides.
    pub received: Received,
}

impl Hub {
    /// Takes a phone's message in.
    ///
    /// # Errors
    ///
    /// If Twilio would not take it: a closed service, an over-long text.
    pub(super) async fn receive(&self, inbound: &Inbound) -> Result<Texted, Refusal> {
        let pair = self.pairs.of(inbound);
        let _turn = pair.lock().await;
        let ((sid, is_told), route) = self.with(|core, at| {
            core.world.hear(at, inbound);
            (core.world.take_text(at, inbound), core.world.route(inbound))
        });
        let received = match route {
            Route::Existing(conversation) => self.receive_into(inbound, conversation).await?,
            Route::Autocreate { service, settings } => {
                self.autocreate(inbound, service, settings).await?
            }
            Route::Nobody => {
                if !is_told {
                    self.record(Happening::InboundDropped {
                        reason: "no conversation and no autocreation",
                    });
                }
                Received::Dropped
            }
        };
        Ok(Texted { sid, received })
    }

    async fn receive_into(
        &self,
        inbound: &Inbound,
        conversation: ConversationSid,
    ) -> Result<Received, Refusal> {
        let actor = Actor::Channel(inbound.channel);
        let new = World::message_of(inbound);
        let command = Command::CreateMessage { conversation, new, mutation: None };
        match self.perform(&actor, command).await {
            Ok(Outcome::Message(conversation, message)) => {
                Ok(Received::Stored { conversation, message, created: false })
            }
            Ok(_) => Ok(Received::Dropped),
            Err(Refusal::HookRefused | Refusal::HookFailed) => Ok(self.refused()),
            Err(refusal) => Err(refusal),
        }
    }

    async fn autocreate(
        &self,
        inbound: &Inbound,
        service: ChatServiceSid,
        settings: Option<Autocreation>,
    ) -> Result<Received, Refusal> {
        let question = self.with(|core, at| {
            let asked = core.world.ask_autocreate(at, inbound, service)?;
            Ok::<_, Refusal>(self.pre_action(core, asked))
        })?;
        let amendment = match question {
            None => Amendment::default(),
            Some(question) => match self.ask(&question).await {
                Ok(amendment) => amendment,
                Err(_) => return Ok(self.refused()),
            },
        };
        let (conversation, message) = self
            .with(|core, at| core.world.autocreate(at, inbound, (service, settings), amendment))?;
        Ok(Received::Stored { conversation, message, created: true })
    }

    fn refused(&self) -> Received {
        self.record(Happening::InboundDropped { reason: "the pre-action webhook refused" });
        Received::Dropped
    }
}
