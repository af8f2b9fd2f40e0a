//! Many phones at once: one SMS each, and every one is to be answered once.

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use tokio::sync::broadcast::error::RecvError;

use super::Error;
use super::service::{Demo, is_bot};
use crate::cli::outcome::line;
use crate::cli::progress::Progress;
use crate::clock::Clock;
use crate::emulator::Incoming;
use crate::emulator::control::Control;
use crate::emulator::record::Happening;

/// How many phones write at the very same time.
const AT_ONCE: usize = 64;
/// How long nothing new may happen before the count is final.
const QUIET: Duration = Duration::from_secs(5);
/// The largest number of phones: seven digits are theirs.
const PHONES_MAX: u32 = 1_000_000;

/// Sends the messages, waits for the answers and prints the count; fails if it does not come out.
pub async fn run(demo: &Demo, phones: u32) -> Result<ExitCode, Error> {
    let phones = phones.min(PHONES_MAX);
    let (control, channel) = (demo.emulator.control(), demo.channel);
    let mut twilio = control.watch();
    let clock = Clock::start();
    let sending = stream::iter(0..phones)
        .map(|phone| {
            let text = format!("hello from phone {phone}");
            let text = Incoming::new(&channel.theirs(phone), channel.ours(), &text);
            let control = control.clone();
            async move { control.text(text).await }
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(|sent| std::future::ready(sent.err()))
        .collect::<Vec<_>>();
    let counting = async {
        let mut answers: HashMap<String, u32> = HashMap::new();
        let (mut progress, mut has_missed) = (Progress::start(), false);
        let mut last = clock.now();
        let wanted = usize::try_from(phones).unwrap_or(usize::MAX);
        loop {
            // One more quiet time after the last answer shows that none comes twice.
            let quiet = if answers.len() < wanted { QUIET * 6 } else { QUIET / 5 };
            match tokio::time::timeout(quiet, twilio.recv()).await {
                Ok(Ok(record)) => {
                    if let Some(thread) = answered(&record.what) {
                        *answers.entry(thread).or_default() += 1;
                        last = clock.now();
                        if answers.len().is_multiple_of(AT_ONCE) {
                            progress.tell(format_args!("{} of {phones} answered", answers.len()));
                        }
                    }
                }
                Ok(Err(RecvError::Lagged(_))) => has_missed = true,
                Ok(Err(RecvError::Closed)) | Err(_) => {
                    // What was told too fast to be heard is counted from what is there.
                    return (if has_missed { counted(&control) } else { answers }, last);
                }
            }
        }
    };
    let (failed, (answers, last)) = futures::join!(sending, counting);
    let once = answers.values().filter(|count| **count == 1).count();
    let twice = answers.len() - once;
    let seconds = last.since(crate::clock::Moment::ORIGIN).as_secs_f64();
    line(format_args!("phones            {phones}"));
    line(format_args!("answered once     {once}"));
    line(format_args!("answered twice    {twice}"));
    line(format_args!("not taken         {}", failed.len()));
    line(format_args!("seconds           {seconds:.2}"));
    line(format_args!("messages a second {:.0}", f64::from(phones) / seconds.max(f64::EPSILON)));
    if let Some(mebibytes) = resident_mebibytes() {
        line(format_args!("memory MiB        {mebibytes:.0} (service and emulator together)"));
    }
    let is_whole = once == usize::try_from(phones).unwrap_or(usize::MAX) && twice == 0;
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How many answers each thread has, by what is kept of all.
fn counted(control: &Control) -> HashMap<String, u32> {
    let sent = control.texts().into_iter().filter(|text| !text.is_inbound());
    let to = sent.map(|text| text.to.reveal().to_owned());
    let said = control.conversations().into_iter().flat_map(|conversation| {
        let messages = control.messages(conversation.sid).into_iter();
        let own = messages.filter(|message| is_bot(&message.author));
        own.map(move |_| conversation.sid.to_string())
    });
    let mut answers = HashMap::new();
    for thread in to.chain(said) {
        *answers.entry(thread).or_default() += 1;
    }
    answers
}

/// The thread that has an answer more.
fn answered(what: &Happening) -> Option<String> {
    match what {
        Happening::TextSent { to, .. } => Some(to.reveal().to_owned()),
        Happening::MessageAdded { conversation_sid, author, .. } if is_bot(author.reveal()) => {
            Some(conversation_sid.to_string())
        }
        _ => None,
    }
}

/// The process's resident memory, where the system tells it.
fn resident_mebibytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kibibytes: u32 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(f64::from(kibibytes) / 1024.0)
}
