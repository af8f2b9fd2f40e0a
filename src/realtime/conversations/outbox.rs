//! What seats want done: told to the owner, read, or done by the client around them.
//!
//! Decides nothing. Pure.

use std::collections::VecDeque;

use super::reads::{Part, Read};
use crate::realtime::event::Event;
use crate::twilio::sid::ConversationSid;

/// One opening of a seat: answers to an earlier one are known by it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct SeatId {
    pub conversation: ConversationSid,
    /// Counts the openings.
    pub epoch: u32,
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Output {
    /// Read this, however often it takes.
    Read(Read),
    /// Load the watermark that an opening waits for.
    LoadWatermark(SeatId),
    /// Accept an invitation.
    Accept(ConversationSid),
    /// A conversation is gone; whatever else is remembered of it may be forgotten.
    Gone(ConversationSid),
}

/// What is to be done and what is told, each in its order.
#[derive(Debug, Default)]
pub(super) struct OutQueue {
    outputs: VecDeque<Output>,
    events: VecDeque<Event>,
}

impl OutQueue {
    /// Wants something to be done.
    pub fn push(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    /// Tells the owner.
    pub fn tell(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// Wants a part of a seat to be read.
    pub fn read(&mut self, SeatId { conversation, epoch }: SeatId, part: Part) {
        self.push(Output::Read(Read::Seat { conversation, epoch, part }));
    }

    /// Wants a page of the user's conversations to be read.
    pub fn read_listed(&mut self, token: Option<String>) {
        self.push(Output::Read(Read::Listed { token }));
    }

    /// Gives the next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Gives the next event to tell.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}
