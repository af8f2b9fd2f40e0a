//! What a dead letter's cause means for people, and what helps. Pure.
//!
//! The one list of it: the admin API, the command line, the console and the manual's table are made of it. Every
//! class has a line; a code of Twilio's that has one of its own says more than its class.

use std::fmt::Write as _;

use crate::thread::CauseClass;
use crate::twilio::catalogue;

/// What is said of a cause.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CauseHelp {
    /// What happened, in a few words.
    pub meaning: &'static str,
    /// What helps.
    pub helps: &'static str,
}

/// What is said of a word that is no class here.
const UNKNOWN: CauseHelp = CauseHelp {
    meaning: "a cause of another release",
    helps: "look at its history; redrive it, or drop it",
};

/// What a cause means and what helps; a code that is known says more than its class.
#[must_use]
pub fn of(class: &str, code: Option<u32>) -> CauseHelp {
    let by_code = code.and_then(|code| CODES.iter().find(|(known, ..)| *known == code));
    if let Some((_, meaning, helps)) = by_code {
        return CauseHelp { meaning, helps };
    }
    let Some(class) = CauseClass::named(class) else { return UNKNOWN };
    let help = of_class(class);
    // A code's own words are nearer than Twilio's yes or no.
    match code.and_then(catalogue::lookup) {
        Some(entry) if is_twilios(class) => CauseHelp { meaning: &entry.meaning, ..help },
        Some(_) | None => help,
    }
}

/// Whether a class says no more than how Twilio answered.
const fn is_twilios(class: CauseClass) -> bool {
    matches!(
        class,
        CauseClass::Done
            | CauseClass::Retry
            | CauseClass::Look
            | CauseClass::Reconfigure
            | CauseClass::Dead
            | CauseClass::Undelivered
    )
}

/// Codes of Twilio's with words of their own. What they mean: the catalogue, which names its sources.
const CODES: &[(u32, &str, &str)] = &[
    (
        21_408,
        "the country is not allowed for this account",
        "allow it in the account's geographic permissions, then redrive",
    ),
    (21_610, "the person has opted out", "nothing to do: wait for START, then redrive, or drop it"),
    (
        21_608,
        "a trial account writes to verified numbers only",
        "upgrade, or verify it; then redrive",
    ),
    (21_211, "the number is none", "drop it; look at where the number came from"),
    (21_614, "the number takes no texts", "drop it; reach the person in another way"),
    (30_003, "the phone was off or out of reach", "redrive once, or drop it"),
    (30_004, "the receiver has blocked it", "drop it: it will not arrive"),
    (30_005, "nobody has this number", "drop it"),
    (30_006, "a landline, or a carrier out of reach", "drop it; reach the person in another way"),
    (30_007, "a carrier took it for unwanted", "look at the text and the number's registration"),
    (30_032, "the toll-free number is not verified", "verify it at Twilio, then redrive"),
    (30_034, "the number is in no 10DLC campaign", "register it at Twilio, then redrive"),
    (
        50_107,
        "the bot's role may not send here",
        "give its role sendMessage: `chimein setup`; then redrive",
    ),
    (
        50_214,
        "the bot sits in too many conversations",
        "add to CHIMEIN_IDENTITY_POOL, then redrive",
    ),
    (50_377, "the conversation is closed for good", "drop it: whoever writes next gets a new one"),
    (50_417, "the conversation is full", "take a participant out, then redrive"),
    (50_504, "the text is longer than Twilio takes", "let the agent say less; drop it"),
    (63_007, "no WhatsApp sender has this address", "check TWILIO_WHATSAPP_NUMBER, then redrive"),
    (63_015, "the number has not joined the sandbox", "let it join, then redrive"),
    (63_016, "outside WhatsApp's 24 hours", "set CHIMEIN_WHATSAPP_TEMPLATE, then redrive"),
    (63_018, "WhatsApp's limit of this sender is reached", "wait for it to pass, then redrive"),
    (63_024, "nobody has this WhatsApp address", "drop it; reach the person in another way"),
];

/// Every class but those of skipped ones.
const CLASSES: &[(CauseClass, &str, &str)] = &[
    (CauseClass::Done, "Twilio says that it is so already", "drop it: there is nothing to do"),
    (CauseClass::Retry, "Twilio had no room for it, for long", "redrive: it may go now"),
    (
        CauseClass::Look,
        "whether Twilio did it is not known",
        "redrive: it is looked for before it is sent",
    ),
    (
        CauseClass::Reconfigure,
        "Twilio refuses it as things are set up",
        "`chimein doctor`; mend it, then redrive",
    ),
    (CauseClass::Dead, "Twilio refuses it for good", "look at its code; drop it"),
    (
        CauseClass::Unreadable,
        "a record of another release, or of what is off",
        "turn on what it was of, then redrive",
    ),
    (
        CauseClass::Unknown,
        "whether it was sent will never be known",
        "look at the thread; redriven, it may come twice",
    ),
    (CauseClass::Unsendable, "the reply cannot be sent as it is", "mend the agent; drop it"),
    (
        CauseClass::TooManySegments,
        "the reply is longer than allowed",
        "raise CHIMEIN_MESSAGING_MAX_SEGMENTS, then redrive",
    ),
    (
        CauseClass::DailySegments,
        "the person has had enough for a day",
        "redrive tomorrow, or raise the day's segments",
    ),
    (
        CauseClass::WindowClosed,
        "outside WhatsApp's 24 hours",
        "set CHIMEIN_WHATSAPP_TEMPLATE, then redrive",
    ),
    (
        CauseClass::Undelivered,
        "taken by Twilio, and not delivered",
        "look at its code; redrive once",
    ),
    (
        CauseClass::Loop,
        "two bots seemed to talk to each other",
        "resume the thread: it is asked again",
    ),
    (CauseClass::Choice, "whether the bot belongs there was not found out", "redrive"),
    (
        CauseClass::CatchUp,
        "what was said before could not be read",
        "`chimein doctor`, then redrive",
    ),
    (CauseClass::Handoff, "whether a person has it was not found out", "redrive"),
    (CauseClass::Participants, "who reads along was not found out", "redrive"),
    (
        CauseClass::MediaUnavailable,
        "a file could not be fetched",
        "redrive; Twilio may have deleted it",
    ),
    (
        CauseClass::AgentTimeout,
        "the agent was too slow",
        "raise its timeout or its speed, then redrive",
    ),
    (CauseClass::AgentUnreachable, "the agent was not there", "start it, then redrive"),
    (CauseClass::AgentBus, "the agent's bus did not take it", "`chimein doctor`, then redrive"),
    (
        CauseClass::AgentStore,
        "what the agent needs could not be read",
        "look at the log, then redrive",
    ),
    (
        CauseClass::AgentGaveUp,
        "the agent said that it has no answer",
        "look at the agent; redrive, or drop it",
    ),
    (
        CauseClass::AgentStatus,
        "the agent refused the turn",
        "look at the agent's log; mend it, then redrive",
    ),
    (
        CauseClass::AgentTurnTooLarge,
        "the turn is too large for the agent's road",
        "ask for less history, then redrive",
    ),
    (
        CauseClass::AgentAnswerTooLarge,
        "the agent's answer is too large",
        "let it say less, then redrive",
    ),
    (
        CauseClass::AgentAnswerMalformed,
        "the agent's answer has another form",
        "the detail names the field; mend it, then redrive",
    ),
    (
        CauseClass::AgentAnswerIncomplete,
        "the agent's answer broke off",
        "look at the agent, then redrive",
    ),
    (
        CauseClass::AgentMisconfigured,
        "the agent is not set up",
        "`chimein doctor`; mend it, then redrive",
    ),
    (
        CauseClass::AgentWordless,
        "the agent answered without a word",
        "set CHIMEIN_OPENAI_FALLBACK, then redrive",
    ),
];

fn of_class(class: CauseClass) -> CauseHelp {
    if let CauseClass::Skipped(reason) = class {
        return of_skipped(reason);
    }
    let line = CLASSES.iter().find(|(known, ..)| *known == class);
    line.map_or(UNKNOWN, |&(_, meaning, helps)| CauseHelp { meaning, helps })
}

fn of_skipped(reason: crate::thread::SkipReason) -> CauseHelp {
    use crate::thread::SkipReason as Skip;
    let (meaning, helps) = match reason {
        Skip::Stale => ("it was too old to be answered", "drop it"),
        Skip::Keyword => ("the carrier answers this word", "drop it"),
        Skip::Busy => ("the agent was busy with an earlier one", "drop it, or redrive"),
        Skip::Loop => return of_class(CauseClass::Loop),
        Skip::Paused => ("a person has the thread", "resume the thread, then redrive"),
        Skip::NotChosen => {
            ("the bot is not to be in the thread", "look at the join rules; drop it")
        }
        Skip::Removed => ("somebody removed the bot", "add it again, then redrive"),
        Skip::OptedOut => ("the person has opted out", "wait for START, then redrive, or drop it"),
        Skip::Answered => ("it was answered before", "drop it"),
        Skip::BeforeBegin => ("it was written before the service began", "drop it"),
        Skip::OtherRoad => ("it came by another road too", "drop it"),
    };
    CauseHelp { meaning, helps }
}

/// The manual's table of all that is said of causes.
#[must_use]
pub fn table() -> String {
    let mut table = String::from("| cause | what it means | what helps |\n| --- | --- | --- |\n");
    let classes = CauseClass::words().map(|word| (word.to_owned(), of(word, None)));
    let codes = CODES
        .iter()
        .map(|&(code, meaning, helps)| (code.to_string(), CauseHelp { meaning, helps }));
    for (cause, CauseHelp { meaning, helps }) in classes.chain(codes) {
        writeln!(table, "| `{cause}` | {meaning} | {helps} |")
            .expect("a text takes what is written");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_says_more_than_its_class() {
        for (class, code, meaning) in [
            ("dead", Some(63_016), "outside WhatsApp's 24 hours"),
            ("dead", Some(30_450), "blocked by the fraud protection"),
            ("dead", Some(1), "Twilio refuses it for good"),
            ("dead", None, "Twilio refuses it for good"),
            ("agent_status", Some(20_404), "the agent refused the turn"),
            ("of_tomorrow", Some(63_016), "outside WhatsApp's 24 hours"),
            ("of_tomorrow", None, "a cause of another release"),
        ] {
            assert_eq!(of(class, code).meaning, meaning, "{class} {code:?}");
        }
    }

    #[test]
    fn every_cause_says_what_helps_in_a_line() {
        let all = CauseClass::words().map(|word| of(word, None));
        let codes = CODES.iter().map(|(code, ..)| of("dead", Some(*code)));
        for CauseHelp { meaning, helps } in all.chain(codes) {
            assert!(!meaning.is_empty() && !helps.is_empty() && meaning != UNKNOWN.meaning);
            assert!(meaning.len() <= 60 && helps.len() <= 70, "{meaning}: {helps}");
        }
        assert!(CODES.iter().all(|(code, ..)| catalogue::lookup(*code).is_some()));
    }
}
