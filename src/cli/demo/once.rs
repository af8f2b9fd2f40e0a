//! One round trip: an SMS comes in, the bot answers; each step is printed with its time, then the answer.

use std::process::ExitCode;

use tokio::sync::broadcast::error::RecvError;

use super::Error;
use super::channel::DemoChannel;
use super::service::{Demo, IDENTITY, PATIENCE, is_bot};
use super::timeline::RoundTrip;
use crate::cli::outcome::line;
use crate::emulator::record::Happening;
use crate::emulator::{Incoming, Received, Texted};
use crate::pii::Pii;
use crate::text::printable;

/// The digits of the phone that writes.
const FROM: u32 = 5_550_123;

/// Sends one SMS, prints its timeline and what the bot said; fails if a step is missing.
pub async fn run(demo: &Demo, text: &str) -> Result<ExitCode, Error> {
    let mut stages = demo.app.journal().subscribe();
    let control = demo.emulator.control();
    let mut twilio = control.watch();
    let start = crate::clock::Clock::start().wall();
    let (theirs, ours) = (demo.channel.theirs(FROM), demo.channel.ours());
    let mut timeline = match demo.channel {
        DemoChannel::Conversation => RoundTrip::of_conversation(start),
        DemoChannel::Sms | DemoChannel::Whatsapp => RoundTrip::of_text(start),
    };
    let incoming = Incoming::new(&theirs, ours, text);
    let Texted { sid, received } = control.text(incoming).await.map_err(Error::Message)?;
    let all_seen = tokio::time::timeout(PATIENCE, async {
        while !timeline.is_whole() && timeline.trouble().is_none() {
            tokio::select! {
                record = stages.recv() => match record {
                    Ok(record) => timeline.take(record.at, record.stage),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                },
                record = twilio.recv() => match record {
                    Ok(record) => see(&mut timeline, record.at, &record.what),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                },
            }
        }
    });
    let _timed_out = all_seen.await.is_err();
    line(format_args!("{}", timeline.to_string().trim_end()));
    for text in timeline.said() {
        line(format_args!("\n{IDENTITY}: {}", printable(text)));
    }
    if let Some(trouble) = timeline.trouble() {
        line(format_args!("\nfailed: {}", printable(trouble)));
        return Ok(ExitCode::FAILURE);
    }
    if let Some(step) = timeline.missing() {
        line(format_args!("\nfailed at: {step} (not seen within {} s)", PATIENCE.as_secs()));
        return Ok(ExitCode::FAILURE);
    }
    match received {
        Received::Stored { conversation, message, .. } => {
            line(format_args!("\nanswered: message {message} in conversation {conversation}"));
        }
        Received::Dropped => {
            line(format_args!("\nanswered: message {sid}; the reply is {}", timeline.state()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn see(timeline: &mut RoundTrip, at: crate::clock::Timestamp, what: &Happening) {
    match what {
        Happening::MessageAdded { author, body, .. } if is_bot(author.reveal()) => {
            timeline.visible(at, body.as_ref().map(Pii::reveal));
        }
        Happening::TextSent { body, .. } => timeline.visible(at, Some(body.reveal())),
        Happening::TextUpdated { status, .. } => timeline.fares(at, status),
        _ => {}
    }
}
