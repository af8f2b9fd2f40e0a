//! What was said in a conversation before a turn: the newest page, rarely more.
//!
//! Costs one request of twenty messages where the budget is no larger, else one more of a hundred. Messages of
//! others that came after the turn's are left to their own turns; the bot's own count whenever they came.

use super::channel::Conversations;
use super::policy::authors::Author;
use crate::channels::Error;
use crate::thread::{Budget, Gathered, Past, TurnMessage};
use crate::twilio::rest::Message;
use crate::twilio::sid::ConversationSid;

/// How many pages are read at most: the first is short, and the second begins anew.
const PAGES_MAX: usize = 3;

impl Conversations {
    pub(super) async fn said(
        &self,
        conversation: ConversationSid,
        turn: &[TurnMessage],
        budget: Budget,
    ) -> Result<Vec<Past>, Error> {
        let first = turn.iter().filter_map(|message| message.index).min();
        let mut pages = self.rest.newest_messages(conversation);
        let mut gathered = Gathered::new(budget, turn);
        for _ in 0..PAGES_MAX {
            if gathered.is_full() {
                break;
            }
            let Some(page) = pages.next().await? else { break };
            for message in page {
                let is_before = first.is_none_or(|first| message.index < first);
                if let Some(past) = self.past(message).filter(|past| past.is_own || is_before) {
                    gathered.take(past);
                }
            }
        }
        Ok(gathered.end())
    }

    /// A message as history; none if Twilio itself wrote it.
    fn past(&self, message: Message) -> Option<Past> {
        let author = message.author.unwrap_or_default();
        let is_own = match self.arrivals.author(author.reveal()) {
            Author::Ours => true,
            Author::Theirs => false,
            Author::System => return None,
        };
        let files = message.media.into_iter().map(|media| media.content_type).collect();
        Some(Past {
            sid: message.sid.into(),
            is_own,
            author,
            body: message.body,
            files,
            created: message.created,
        })
    }
}
