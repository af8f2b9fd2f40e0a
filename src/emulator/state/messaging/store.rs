//! Everything that the messaging API keeps: texts, numbers, services, queues and alarms.
//!
//! Pure data; decides only what is forgotten. Texts are bounded by the world's limits, oldest first.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::chains::Chains;
use super::line::{MessagingService, Number};
use super::pace::Queues;
use super::text::Text;
use crate::clock::Timestamp;
use crate::pii::Pii;
use crate::twilio::sid::{MessagingServiceSid, TextSid};

/// The messaging API's side of the world.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Messaging {
    texts: BTreeMap<u64, Text>,
    seqs: HashMap<TextSid, u64>,
    next_seq: u64,
    alarms: BTreeSet<(Timestamp, u64)>,
    pub(super) queues: Queues,
    pub(super) chains: Chains,
    /// The account's numbers by their address.
    pub(super) numbers: BTreeMap<Pii, Number>,
    /// Its messaging services.
    pub(super) services: BTreeMap<MessagingServiceSid, MessagingService>,
    /// Where inbound texts of all numbers without settings are told.
    pub(super) url: Option<String>,
    /// The texts of templates by their sids.
    pub(super) templates: BTreeMap<String, Pii>,
    /// How long a step on a text's way takes.
    pub(super) step: Duration,
    /// What files' URLs start with.
    pub(super) root: String,
}

impl Messaging {
    /// A text.
    #[must_use]
    pub fn find(&self, sid: TextSid) -> Option<&Text> {
        self.texts.get(self.seqs.get(&sid)?)
    }

    /// A text, to be changed.
    pub(super) fn find_mut(&mut self, sid: TextSid) -> Option<&mut Text> {
        self.texts.get_mut(self.seqs.get(&sid)?)
    }

    /// All texts, oldest first.
    #[must_use]
    pub fn texts(&self) -> impl DoubleEndedIterator<Item = &Text> {
        self.texts.values()
    }

    /// A number's settings.
    #[must_use]
    pub fn number(&self, address: &Pii) -> Option<&Number> {
        self.numbers.get(address)
    }

    /// Where inbound texts of all numbers without settings are told.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// The numbers with settings.
    pub fn numbers(&self) -> impl Iterator<Item = &Number> {
        self.numbers.values()
    }

    /// The messaging services.
    pub fn services(&self) -> impl Iterator<Item = &MessagingService> {
        self.services.values()
    }

    /// When something is to happen to a text.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        self.alarms.first().map(|(due, _)| *due)
    }

    /// What is left after everything that was said is forgotten: the settings.
    #[must_use]
    pub fn settings(self) -> Self {
        Self {
            texts: BTreeMap::new(),
            seqs: HashMap::new(),
            alarms: BTreeSet::new(),
            queues: Queues::default(),
            chains: Chains::default(),
            ..self
        }
    }

    /// The number of the next text.
    pub(super) const fn seq(&mut self) -> u64 {
        self.next_seq += 1;
        self.next_seq
    }

    /// Keeps a text, and forgets the oldest beyond `texts_max`.
    pub(super) fn keep(&mut self, text: Text, texts_max: usize) {
        self.seqs.insert(text.sid, text.seq);
        self.texts.insert(text.seq, text);
        while self.texts.len() > texts_max.max(1) {
            if let Some((seq, oldest)) = self.texts.pop_first() {
                self.seqs.remove(&oldest.sid);
                if let Some(due) = oldest.due {
                    self.alarms.remove(&(due, seq));
                }
            }
        }
    }

    /// A text by its number.
    pub(super) fn text_mut(&mut self, seq: u64) -> Option<&mut Text> {
        self.texts.get_mut(&seq)
    }

    /// Forgets a text.
    pub(super) fn remove(&mut self, sid: TextSid) {
        if let Some(seq) = self.seqs.remove(&sid) {
            self.rest(seq);
            self.texts.remove(&seq);
        }
    }

    /// Lets something happen to a text at a time, and nothing before.
    pub(super) fn wake(&mut self, due: Timestamp, seq: u64) {
        self.rest(seq);
        if let Some(text) = self.texts.get_mut(&seq) {
            text.due = Some(due);
            self.alarms.insert((due, seq));
        }
    }

    /// Lets nothing happen to a text any more: it was moved on otherwise.
    pub(super) fn rest(&mut self, seq: u64) {
        let due = self.texts.get_mut(&seq).and_then(|text| text.due.take());
        if let Some(due) = due {
            self.alarms.remove(&(due, seq));
        }
    }

    /// Takes the next thing that is due by `at`.
    pub(super) fn pop_due(&mut self, at: Timestamp) -> Option<(Timestamp, u64)> {
        if self.due()? > at {
            return None;
        }
        self.alarms.pop_first()
    }
}
