//! Dead letters as people read them. Pure.

use crate::admin::dead_letters::{CauseShown, Causes, LetterFate, LetterShown, Listing};
use crate::cli::outcome::{json, table};

/// Lays out a page of the list.
pub(super) fn listing(listing: &Listing) -> String {
    if listing.letters.is_empty() {
        return "no dead letters\n".to_owned();
    }
    let header = ["letter", "cause", "attempts", "died", "conversation", "detail"];
    let rows = listing.letters.iter().map(|line| {
        [
            format!("{}/{}", line.queue, line.id),
            cause(&line.cause),
            line.attempts.to_string(),
            line.died_at.clone(),
            line.conversation.clone(),
            line.cause.detail.clone(),
        ]
    });
    let mut shown = table(header, rows);
    if let Some(next) = &listing.next {
        shown.push_str(&format!("\nthere are more: --cursor {next}\n"));
    }
    shown
}

/// Lays out the causes with what helps.
pub(super) fn causes(causes: &Causes) -> String {
    if causes.causes.is_empty() {
        return "no dead letters\n".to_owned();
    }
    let header = ["queue", "cause", "letters", "oldest", "what happened", "what helps"];
    let rows = causes.causes.iter().map(|line| {
        let code = line.code.map(|code| format!(" {code}")).unwrap_or_default();
        [
            line.queue.clone(),
            format!("{}{code}", line.class),
            line.count.to_string(),
            line.oldest.clone(),
            line.meaning.clone(),
            line.helps.clone(),
        ]
    });
    table(header, rows)
}

/// Lays out one letter.
pub(super) fn letter(letter: &LetterShown) -> String {
    let line = &letter.line;
    let facts = table(
        ["letter", &format!("{}/{}", line.queue, line.id)],
        [
            ["conversation".to_owned(), line.conversation.clone()],
            ["appended".to_owned(), line.appended_at.clone()],
            ["died".to_owned(), line.died_at.clone()],
            ["attempts".to_owned(), line.attempts.to_string()],
        ],
    );
    let history = letter.history.iter().map(|attempt| {
        [
            attempt.attempt.to_string(),
            attempt.at.clone(),
            cause(&attempt.cause),
            attempt.cause.detail.clone(),
        ]
    });
    let history = table(["attempt", "at", "cause", "detail"], history);
    let payload = json(&letter.payload);
    let hint = if letter.revealed { "" } else { " (masked; --reveal shows it)" };
    format!("{facts}\n{history}\npayload{hint}\n{payload}")
}

/// Counts dead letters in words.
pub(super) fn letters(count: u64) -> String {
    format!("{count} dead letter{}", if count == 1 { "" } else { "s" })
}

/// Gives the verb's past.
pub(super) const fn past(fate: LetterFate) -> &'static str {
    match fate {
        LetterFate::Redrive => "redriven",
        LetterFate::Drop => "dropped",
    }
}

fn cause(cause: &CauseShown) -> String {
    cause.code.map_or_else(|| cause.class.clone(), |code| format!("{} {code}", cause.class))
}
