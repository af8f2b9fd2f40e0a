//! Why a message was not answered: what Twilio, the store and the log know of it.
//!
//! Looks at the stopped service's folder, and changes nothing.

use std::fmt::Write as _;

use chimein::emulator::Control;
use chimein::emulator::state::model::Conversation;
use chimein::twilio::sid::MessageSid;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};

use super::{BOTS, Service, tally};

/// How many messages are looked at, and how many of the last log lines of each.
const MESSAGES_MAX: usize = 20;
const LINES_MAX: usize = 8;
/// The inbox among the queues of the file.
const INBOX: i64 = 1;

/// Tells what is known of each message that nobody answered, and of every dead letter.
pub fn report(control: &Control, service: &Service) -> String {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let db = Connection::open_with_flags(service.queue_path(), flags).unwrap();
    let log = service.log().concat();
    let mut text = dead(&db);
    for (conversation, message) in unanswered(control).into_iter().take(MESSAGES_MAX) {
        let sid = conversation.sid.to_string();
        let (index, seats) = (conversation.message_indexes[&message], seats(&conversation));
        let mark = mark(&db, &sid);
        let last = conversation.messages.keys().next_back();
        writeln!(
            text,
            "{message} index {index} of {last:?} in {sid}, mark {mark:?}, {seats}: {}",
            job(&db, message)
        )
        .unwrap();
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(&sid)).collect();
        for line in &lines[lines.len().saturating_sub(LINES_MAX)..] {
            writeln!(text, "    {line}").unwrap();
        }
    }
    text
}

/// The messages of people that no message of the bot repeats.
fn unanswered(control: &Control) -> Vec<(Conversation, MessageSid)> {
    let mut found = Vec::new();
    for conversation in control.conversations() {
        let by_bot = |author: &str| BOTS.contains(&author);
        let said: Vec<_> = conversation.messages.values().collect();
        let is_answered = |body: &Option<String>| {
            said.iter().any(|other| by_bot(&other.author) && other.body == *body)
        };
        let lost = said.iter().filter(|message| !by_bot(&message.author));
        let lost = lost.filter(|message| !is_answered(&message.body));
        let lost: Vec<_> = lost.map(|message| message.sid).collect();
        found.extend(lost.into_iter().map(|message| (conversation.clone(), message)));
    }
    found
}

fn seats(conversation: &Conversation) -> String {
    let ours = tally::seats(conversation);
    if ours.is_empty() { "no seat".to_owned() } else { format!("seat of {}", ours.join(", ")) }
}

fn mark(db: &Connection, conversation: &str) -> Option<i64> {
    let read = "SELECT value FROM marks WHERE name = ?1";
    db.query_row(read, [conversation], |row| row.get(0)).optional().unwrap()
}

fn job(db: &Connection, message: MessageSid) -> String {
    let read = "SELECT seq, state, attempts FROM jobs WHERE queue = ?1 AND id = ?2";
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let found: Option<(i64, i64, i64)> =
        db.query_row(read, params![INBOX, message.as_bytes()], row).optional().unwrap();
    match found {
        None => "never heard".to_owned(),
        Some((seq, state, attempts)) => {
            let state = ["open", "done", "dead"][usize::try_from(state).unwrap()];
            format!("{state} after {attempts} failures {:?}", causes(db, seq))
        }
    }
}

fn dead(db: &Connection) -> String {
    let read = "SELECT jobs.queue, jobs.key, jobs.seq FROM dead JOIN jobs USING (seq) LIMIT 20";
    let mut statement = db.prepare(read).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    let mut text = String::new();
    for row in rows {
        let (queue, key, seq): (i64, String, i64) = row.unwrap();
        writeln!(text, "dead letter of queue {queue}, {key}: {:?}", causes(db, seq)).unwrap();
    }
    text
}

/// The last failed attempts of a job.
fn causes(db: &Connection, seq: i64) -> Vec<String> {
    let read =
        "SELECT class, code, detail FROM attempts WHERE seq = ?1 ORDER BY number DESC LIMIT 3";
    let mut statement = db.prepare(read).unwrap();
    let rows = statement.query_map([seq], |row| {
        let (class, code, detail): (String, Option<i64>, String) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(format!("{class} {code:?} {detail}"))
    });
    rows.unwrap().map(Result::unwrap).collect()
}
