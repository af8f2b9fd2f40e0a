//! What Twilio holds at the end: who asked what, and what was answered.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use chimein::emulator::Control;
use chimein::emulator::state::model::Conversation;

use super::{BOTS, within_looking};

/// The count over all conversations.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// Conversations that people made.
    pub conversations: usize,
    /// Messages from people.
    pub messages: usize,
    /// Messages from the bot.
    pub replies: usize,
    /// Messages without a reply.
    pub lost: usize,
    /// Replies beyond the first to the same message.
    pub twice: usize,
    /// Replies to something that nobody said.
    pub invented: usize,
    /// Replies that came after a reply to a later message.
    pub out_of_order: usize,
    /// Conversations in which two identities of the bot sit.
    pub two_seats: usize,
    /// The conversations and messages that something is wrong with, the first few.
    pub wrong: Vec<String>,
}

/// Waits a given time until every message is answered; false if not all are. Each look stops Twilio
/// for a moment, so where there are many messages it is to be rare.
pub async fn all_answered(control: &Control, every: Duration, patience: Duration) -> bool {
    within_looking(patience, every, || Tally::of(control).is_complete()).await
}

/// The identities of the bot that sit in a conversation.
pub fn seats(conversation: &Conversation) -> Vec<&str> {
    let identities = conversation.participants.values().filter_map(|who| who.identity.as_deref());
    identities.filter(|identity| BOTS.contains(identity)).collect()
}

impl Tally {
    /// Counts what Twilio holds. The echo agent says what it hears, and nobody says the same thing
    /// twice in a conversation; so a reply tells what it answers.
    pub fn of(control: &Control) -> Self {
        let mut tally = Self::default();
        for conversation in control.conversations() {
            tally.two_seats += usize::from(seats(&conversation).len() > 1);
            let messages = conversation.messages.values();
            let said = messages.map(|message| {
                let body = message.body.clone().unwrap_or_default();
                (BOTS.contains(&message.author.as_str()), body)
            });
            tally.add(said);
        }
        tally
    }

    /// Counts the texts without a conversation, each phone's by itself, of the phones that are wanted.
    pub fn of_texts(control: &Control, is_wanted: impl Fn(&str) -> bool) -> Self {
        let mut by_phone: BTreeMap<String, Vec<(bool, String)>> = BTreeMap::new();
        for text in control.texts() {
            let by_bot = !text.is_inbound();
            let theirs = if by_bot { text.to } else { text.from.unwrap_or_default() };
            let said = (by_bot, text.body.into_revealed());
            by_phone.entry(theirs.into_revealed()).or_default().push(said);
        }
        let mut tally = Self::default();
        for (_, said) in by_phone.into_iter().filter(|(phone, _)| is_wanted(phone)) {
            tally.add(said.into_iter());
        }
        tally
    }

    /// Whether every message is answered and nothing more was said, as far as counts tell.
    pub fn is_complete(&self) -> bool {
        self.lost == 0
    }

    /// Whether the promise is kept.
    pub fn is_kept(&self) -> bool {
        let wrong = self.lost + self.twice + self.invented + self.out_of_order + self.two_seats;
        wrong == 0 && self.messages == self.replies
    }

    fn add(&mut self, said: impl Iterator<Item = (bool, String)>) {
        self.conversations += 1;
        let (mut asked, mut answered) = (HashMap::new(), HashMap::new());
        let mut last = None;
        for (by_bot, body) in said {
            if !by_bot {
                self.messages += 1;
                asked.insert(body, asked.len());
                continue;
            }
            self.replies += 1;
            let Some(number) = asked.get(&body).copied() else {
                self.invented += 1;
                self.note("invented", &body);
                continue;
            };
            let times: &mut usize = answered.entry(number).or_default();
            *times += 1;
            if *times > 1 {
                self.twice += 1;
                self.note("twice", &body);
            } else if last > Some(number) {
                self.out_of_order += 1;
                self.note("out of order", &body);
            }
            last = last.max(Some(number));
        }
        self.lost += asked.len() - answered.len();
        for (body, number) in asked {
            if !answered.contains_key(&number) {
                self.note("lost", &body);
            }
        }
    }

    fn note(&mut self, what: &str, body: &str) {
        if self.wrong.len() < 20 {
            self.wrong.push(format!("{what}: {body}"));
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "conversations {:>8}", self.conversations)?;
        writeln!(f, "messages      {:>8}", self.messages)?;
        writeln!(f, "replies       {:>8}", self.replies)?;
        writeln!(f, "lost          {:>8}", self.lost)?;
        writeln!(f, "duplicates    {:>8}", self.twice)?;
        writeln!(f, "invented      {:>8}", self.invented)?;
        writeln!(f, "out of order  {:>8}", self.out_of_order)?;
        write!(f, "two seats     {:>8}", self.two_seats)
    }
}
