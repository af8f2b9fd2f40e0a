//! What an agent answers, read strictly where a word could get lost and kindly where none can. Pure.
//!
//! `{"replies":[…]}`, each a text or an object of [`Reply`]'s fields. An empty list, an empty text and
//! `null` say that there is nothing to say. A name that nobody knows is refused by name, and so is a
//! reply that could not be sent whatever its values: an agent that writes `text` for `body` is to hear
//! of it, instead of a silence that nobody can explain.
//!
//! `"handoff":true` gives the thread to a person, once what is said with it has left.
//!
//! `"end":true` says that the thread is over, once what is said with it has left.
//!
//! `conversation`, or `thread`, says for which thread an answer is. A later reply must have it, since the path
//! that it is posted to is not signed; in the answer to a turn it may stand, and then it must be the turn's.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::form::{self, AnswerForm, Stranger, is_url, optional, value};
use super::{Answer, Error, Parting, buttons};
use crate::json::{self, Members};
use crate::pii::Pii;
use crate::text;
use crate::thread::{Reply, ThreadId};

/// The most replies one answer may hold.
pub const REPLIES_MAX: usize = 20;

/// What an answer is made of.
const ANSWER: AnswerForm = AnswerForm {
    names: &["replies", "handoff", "end", "conversation", "thread"],
    meant: &[
        ("answer", "replies"),
        ("answers", "replies"),
        ("content", "replies"),
        ("message", "replies"),
        ("messages", "replies"),
        ("output", "replies"),
        ("reply", "replies"),
        ("conversation_sid", "conversation"),
        ("close", "end"),
        ("done", "end"),
        ("ended", "end"),
        ("escalate", "handoff"),
        ("finish", "end"),
        ("finished", "end"),
        ("hand_off", "handoff"),
        ("handover", "handoff"),
        ("response", "replies"),
        ("responses", "replies"),
        ("text", "replies"),
    ],
};

/// What a reply is made of.
const REPLY: AnswerForm = AnswerForm {
    names: &[
        "body",
        "attributes",
        "buttons",
        "media_sids",
        "media_urls",
        "content_sid",
        "content_variables",
    ],
    meant: &[
        ("answer", "body"),
        ("choices", "buttons"),
        ("content", "body"),
        ("media", "media_sids"),
        ("media_url", "media_urls"),
        ("message", "body"),
        ("msg", "body"),
        ("options", "buttons"),
        ("output", "body"),
        ("quick_replies", "buttons"),
        ("reply", "body"),
        ("response", "body"),
        ("template", "content_sid"),
        ("text", "body"),
        ("variables", "content_variables"),
    ],
};

/// What a message is made of that nobody asked for.
const MESSAGE: AnswerForm = AnswerForm {
    names: &[
        "to",
        "from",
        "body",
        "attributes",
        "buttons",
        "media_urls",
        "content_sid",
        "content_variables",
    ],
    meant: REPLY.meant,
};

/// The two addresses of a thread.
const ADDRESSES: AnswerForm = AnswerForm { names: &["to", "from"], meant: &[] };

/// What there must be one of in a reply.
const SENDABLE: [&str; 5] = ["body", "buttons", "media_sids", "media_urls", "content_sid"];
/// How many files a reply may have by their places. Source: Messages, `MediaUrl`, read 2026-11-21.
const MEDIA_URLS_MAX: usize = 10;

/// What an answer is to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// The id of the turn, or the later reply's own.
    pub(super) id: &'a str,
    /// Where it goes.
    pub(super) thread: ThreadId,
    /// Whether it must say so itself.
    pub(super) must_name: bool,
}

/// Reads the answer of an agent or the body of a later reply.
///
/// # Errors
///
/// [`Error::Malformed`] without a word of the body but the names of its fields.
pub(super) fn parse(body: &[u8], asked: Asked<'_>) -> Result<Answer, Error> {
    let turn = || asked.id.to_owned();
    answer(body, asked).map_err(|reason| Error::Malformed { turn: turn(), reason })
}

fn answer(body: &[u8], asked: Asked<'_>) -> Result<Answer, String> {
    let mut room = Vec::new();
    let answer = members(body, &mut room, ("the answer", "{\"replies\":[…]}"))?;
    ANSWER.check(&answer).map_err(|stranger| match stranger {
        // Whoever answers with one reply's fields has left the list out.
        Stranger { name, .. } if REPLY.names.contains(&&*name) => {
            format!("`{name}` belongs into a reply: {{\"replies\":[{{\"{name}\":…}}]}}")
        }
        stranger => format!("wanted {{\"replies\":[…]}}, {stranger}"),
    })?;
    check_conversation(&answer, asked)?;
    let (replies, parting) = listed(&answer)?;
    Ok(parting.after(replies))
}

/// Reads the replies that an object lists, and what becomes of the thread after them.
///
/// # Errors
///
/// What is wrong, without a word of them but the names of their fields.
pub(super) fn listed(answer: &Members<'_>) -> Result<(Vec<Reply>, Parting), String> {
    let says = |name: &str| match answer.raw(name) {
        Some(raw) => value::<bool>(raw, name, "true or false"),
        None => Ok(false),
    };
    let parting = match (says("handoff")?, says("end")?) {
        (false, false) => Parting::Stays,
        (true, false) => Parting::Handoff,
        (false, true) => Parting::End,
        (true, true) => {
            return Err(
                "`handoff` and `end` are both true: a person cannot have what is over".to_owned()
            );
        }
    };
    if !answer.has("replies") && parting == Parting::Stays {
        return Err("wanted {\"replies\":[…]}, there is no `replies`".to_owned());
    }
    Ok((replies(answer)?, parting))
}

fn replies(answer: &Members<'_>) -> Result<Vec<Reply>, String> {
    let Some(list) = answer.raw("replies") else { return Ok(Vec::new()) };
    let list = form::list(list)
        .ok_or_else(|| "`replies` is no list, wanted {\"replies\":[…]}".to_owned())?;
    if list.len() > REPLIES_MAX {
        return Err(format!("{} replies, at most {REPLIES_MAX} are allowed", list.len()));
    }
    let list = list.into_iter().enumerate();
    list.filter_map(|(at, raw)| reply(raw, &format!("replies[{at}]")).transpose()).collect()
}

/// Reads a body as an object, or says what was wanted of it.
pub(super) fn members<'a>(
    body: &'a [u8],
    room: &'a mut Vec<u8>,
    (what, wanted): (&str, &str),
) -> Result<Members<'a>, String> {
    if let Some(encoding) = text::other_encoding(body) {
        return Err(format!("wanted {wanted}, {what} {encoding}"));
    }
    json::lend(text::without_mark(body), room).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!("wanted {wanted}, reading failed at line {line} column {column}")
    })
}

/// Checks that what was signed for one conversation is not posted to another.
fn check_conversation(answer: &Members<'_>, asked: Asked<'_>) -> Result<(), String> {
    let Asked { thread, must_name, .. } = asked;
    let mut is_named = false;
    for name in ["conversation", "thread"] {
        let Some(raw) = answer.raw(name) else { continue };
        if json::from_str::<ThreadId>(raw.get()).ok() != Some(thread) {
            return Err(format!("`{name}` is not {thread}, where these replies would go"));
        }
        is_named = true;
    }
    if must_name && !is_named {
        return Err(format!(
            "there is no `conversation`, and the path is not signed: sign and send \
             {{\"conversation\":\"{thread}\",\"replies\":[…]}}"
        ));
    }
    Ok(())
}

/// Reads one reply; none if it is `null`.
fn reply(raw: &RawValue, place: &str) -> Result<Option<Reply>, String> {
    match raw.get().as_bytes().first() {
        Some(b'n') => Ok(None),
        Some(b'"') => value::<String>(raw, place, "a text").map(|text| Some(Reply::text(text))),
        Some(b'{') => {
            let mut room = Vec::new();
            let members: Members<'_> = json::lend(raw.get().as_bytes(), &mut room)
                .map_err(|_| format!("`{place}` is not an object"))?;
            whole(&members, place, &REPLY).map(Some)
        }
        Some(_) | None => Err(format!("`{place}` is neither a text nor an object with a `body`")),
    }
}

/// The two addresses of a thread.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct PairAddresses {
    /// Theirs.
    pub(super) to: Pii,
    /// Ours, if it is named.
    pub(super) from: Option<Pii>,
}

impl PairAddresses {
    fn of(members: &Members<'_>) -> Result<Self, String> {
        let address = |name| optional::<Pii>(members, name, "message", "an address");
        let to = address("to")?.filter(|to| !to.reveal().trim().is_empty());
        let to = to.ok_or_else(|| "there is no `to`, so nobody would get it".to_owned())?;
        Ok(Self { to, from: address("from")? })
    }
}

/// A message that nobody asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Message {
    /// Whom it is for.
    pub(super) to: Pii,
    /// By which address of ours, if it says so.
    pub(super) from: Option<Pii>,
    /// What it says.
    pub(super) reply: Reply,
}

/// Reads a message that nobody asked for.
///
/// # Errors
///
/// What is wrong, without a word of the body but the names of its fields.
pub(super) fn message(body: &[u8]) -> Result<Message, String> {
    let mut room = Vec::new();
    let members = members(body, &mut room, ("the body", "{\"to\":…,\"body\":…}"))?;
    let reply = whole(&members, "message", &MESSAGE)?;
    let PairAddresses { to, from } = PairAddresses::of(&members)?;
    Ok(Message { to, from, reply })
}

/// Reads the two addresses of a thread.
///
/// # Errors
///
/// What is wrong, without a word of the body but the names of its fields.
pub(super) fn addresses(body: &[u8]) -> Result<PairAddresses, String> {
    let mut room = Vec::new();
    let members = members(body, &mut room, ("the body", "{\"to\":…,\"from\":…}"))?;
    ADDRESSES.check(&members).map_err(|stranger| stranger.to_string())?;
    PairAddresses::of(&members)
}

fn whole(members: &Members<'_>, place: &str, form: &AnswerForm) -> Result<Reply, String> {
    form.check(members).map_err(|stranger| format!("`{place}`: {stranger}"))?;
    if !SENDABLE.iter().any(|name| members.has(name)) {
        let wanted = "`body`, `buttons`, `media_sids`, `media_urls` and `content_sid`";
        return Err(format!("`{place}` has none of {wanted}, so there is nothing to send"));
    }
    let at = |name: &str| format!("{place}.{name}");
    let object = |name: &str| -> Result<Map<String, Value>, String> {
        let Some(raw) = members.raw(name) else { return Ok(Map::new()) };
        match json::shallow(raw) {
            Some(Value::Object(object)) => Ok(object),
            Some(_) => Err(format!("`{}` is no object", at(name))),
            None => Err(format!(
                "`{}` has a number beyond all bounds, or more than {} levels",
                at(name),
                json::DEPTH_MAX
            )),
        }
    };
    let body: Option<String> = optional(members, "body", place, "a text")?;
    let sids = "a list of media sids, ME and 32 hexadecimal digits each";
    let reply = Reply {
        body: body.map(Pii::from),
        attributes: object("attributes")?,
        buttons: buttons::read(members, place)?,
        media_urls: media_urls(members, place)?,
        media_sids: optional(members, "media_sids", place, sids)?.unwrap_or_default(),
        content_sid: match members.raw("content_sid") {
            Some(raw) if raw.get() == "\"\"" => None,
            _ => optional(members, "content_sid", place, "HX and 32 hexadecimal digits")?,
        },
        content_variables: object("content_variables")?,
    };
    if reply.content_sid.is_some() && !reply.buttons.is_empty() {
        return Err(format!(
            "`{place}` has `buttons` and `content_sid`: a template brings its own"
        ));
    }
    Ok(reply)
}

/// Reads files by their places, which Twilio fetches, so that they must be whole URLs.
fn media_urls(members: &Members<'_>, place: &str) -> Result<Vec<Pii>, String> {
    let wanted = "a list of at most 10 URLs that begin with https:// or http://";
    let urls: Vec<Pii> = optional(members, "media_urls", place, wanted)?.unwrap_or_default();
    if urls.len() > MEDIA_URLS_MAX || !urls.iter().all(is_url) {
        return Err(format!("`{place}.media_urls` is not {wanted}"));
    }
    Ok(urls)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::agent::Retry;
    use crate::twilio::sid::ConversationSid;

    #[test]
    fn replies_may_be_texts_or_objects() {
        let media = "ME00000000000000000000000000000001";
        let answer = json!({"replies": [
            "hi",
            {"body": "you", "attributes": {"a": 1}},
            {"media_sids": [media], "content_sid": "HX00000000000000000000000000000002",
                "content_variables": {"1": "x"}},
        ]});
        let replies = read(&answer.to_string());
        assert_eq!(replies[0], Reply::text("hi"));
        assert_eq!(replies[1].attributes["a"], 1);
        assert_eq!(replies[2].media_sids[0].to_string(), media);
        assert_eq!(replies[2].content_variables["1"], "x");
    }

    #[test]
    fn an_empty_text_an_empty_list_and_null_are_nothing_to_say() {
        for answer in [
            r#"{"replies":[]}"#,
            r#"{"replies":null}"#,
            r#"{"replies":[null]}"#,
            r#"{"replies":[""]}"#,
            r#"{"replies":[{"body":""}]}"#,
            r#"{"replies":[{"body":null}]}"#,
            r#"{"replies":[{"body":null,"media_sids":[],"content_sid":""}]}"#,
            r#"{"replies":[{"media_sids":null,"attributes":{"a":1}}]}"#,
        ] {
            assert!(read(answer).iter().all(Reply::is_empty), "{answer}");
        }
    }

    #[test]
    fn null_is_what_is_absent() {
        let answer = r#"{"replies":[{"body":"hi","attributes":null,"media_sids":null,
            "content_sid":null,"content_variables":null}]}"#;
        assert_eq!(read(answer), [Reply::text("hi")]);
    }

    #[test]
    fn half_an_emoji_does_not_bury_an_answer() {
        let answer =
            r#"{"replies":["a\ud83d",{"body":"\ude00b","attributes":{"\ud83d":"\ud83d"}}]}"#;
        let replies = read(answer);
        assert_eq!(replies[0], Reply::text("a\u{fffd}"));
        assert_eq!(replies[1].body.as_ref().unwrap().reveal(), "\u{fffd}b");
        assert_eq!(replies[1].attributes["\u{fffd}"], "\u{fffd}");
    }

    #[test]
    fn an_answer_may_begin_with_a_byte_order_mark_and_utf_16_is_named() {
        let text = r#"{"replies":["hi"]}"#;
        assert_eq!(read(&format!("\u{feff}{text}")), [Reply::text("hi")]);
        let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for marked in [wide.clone(), [&[0xff, 0xfe], &wide[..]].concat()] {
            let error = parse(&marked, ASKED).unwrap_err();
            assert_eq!(error.retry(), Retry::No);
            assert!(error.to_string().contains("UTF-16"), "{error}");
        }
    }

    #[test]
    fn what_nobody_knows_is_refused_by_name_with_what_was_meant() {
        for (answer, wanted) in [
            (r#"{"reply":"x"}"#, "unknown field `reply`, did you mean `replies`?"),
            (r#"{"Replies":["x"]}"#, "unknown field `Replies`, did you mean `replies`?"),
            (r#"{"messages":["x"]}"#, "unknown field `messages`, did you mean `replies`?"),
            (r#"{"replies":["x"],"weather":1}"#, "unknown field `weather`"),
            (r#"{"body":"x"}"#, "`body` belongs into a reply"),
            (
                r#"{"replies":[{"text":"x"}]}"#,
                "`replies[0]`: unknown field `text`, did you mean `body`?",
            ),
            (
                r#"{"replies":["x",{"bdoy":"x"}]}"#,
                "`replies[1]`: unknown field `bdoy`, did you mean `body`?",
            ),
            (r#"{"replies":[{"body":"x","mediaSids":[]}]}"#, "did you mean `media_sids`?"),
            (r#"{"replies":[{"body":"x","attribute":{}}]}"#, "did you mean `attributes`?"),
            (r#"{"replies":[{"contentSid":"HX1"}]}"#, "did you mean `content_sid`?"),
            (r#"{"replies":[{}]}"#, "`replies[0]` has none of `body`"),
            (r#"{"replies":[{"attributes":{"a":1}}]}"#, "`replies[0]` has none of `body`"),
            (r#"{"replies":[{"+15555550123":"x"}]}"#, "unknown field, whose name looks like none"),
        ] {
            let error = parse(answer.as_bytes(), ASKED).unwrap_err();
            assert_eq!(error.retry(), Retry::No, "{answer}");
            assert!(error.to_string().contains(wanted), "{answer}: {error}");
            assert!(!error.to_string().contains("5555"), "{error}");
        }
    }

    #[test]
    fn a_malformed_answer_is_final_and_not_quoted() {
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(120), "]".repeat(120));
        let deep = format!(r#"{{"replies":[{{"body":"secret","attributes":{deep}}}]}}"#);
        for (body, wanted) in [
            ("", "line 1 column 0"),
            ("hello", "line 1 column 1"),
            ("[]", "wanted {\"replies\":[…]}"),
            ("{}", "there is no `replies`"),
            (r#"{"replies":"secret"}"#, "`replies` is no list"),
            (r#"{"replies":[7]}"#, "`replies[0]` is neither"),
            (r#"{"replies":[["secret"]]}"#, "`replies[0]` is neither"),
            (r#"{"replies":["a",{"body":7}]}"#, "`replies[1].body` is not a text"),
            (
                r#"{"replies":[{"body":"a","attributes":"secret"}]}"#,
                "`replies[0].attributes` is no",
            ),
            (r#"{"replies":[{"body":"a","attributes":{"a":1e400}}]}"#, "beyond all bounds"),
            (r#"{"replies":[{"media_sids":["secret"]}]}"#, "`replies[0].media_sids` is not a list"),
            (r#"{"replies":[{"content_sid":"secret"}]}"#, "`replies[0].content_sid` is not HX"),
            (&deep, "`replies[0].attributes` has"),
        ] {
            let error = parse(body.as_bytes(), ASKED).unwrap_err();
            assert_eq!(error.retry(), Retry::No, "{body}");
            assert!(error.to_string().contains(wanted), "{body}: {error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        let many = format!(r#"{{"replies":[{}]}}"#, vec!["\"x\""; REPLIES_MAX + 1].join(","));
        assert!(parse(many.as_bytes(), ASKED).is_err());
    }

    #[test]
    fn both_names_of_the_place_are_checked() {
        let (here, elsewhere) = (ASKED.thread.to_string(), format!("CH{}", "d".repeat(32)));
        for (conversation, thread, is_taken) in
            [(&here, &here, true), (&here, &elsewhere, false), (&elsewhere, &here, false)]
        {
            let answer = json!({"conversation": conversation, "thread": thread, "replies": ["hi"]});
            let parsed = parse(answer.to_string().as_bytes(), ASKED);
            assert_eq!(parsed.is_ok(), is_taken, "{answer}: {parsed:?}");
        }
    }

    #[test]
    fn an_answer_says_where_it_goes_where_the_path_is_not_signed() {
        let late = Asked { must_name: true, ..ASKED };
        let ours = ASKED.thread.to_string();
        let (here, elsewhere) = (json!(ours), json!(format!("CH{}", "d".repeat(32))));
        for (named, of_turn, of_late) in [
            (None, None, Some("sign and send {\"conversation\":\"CHcccc")),
            (Some(json!(null)), None, Some("there is no `conversation`")),
            (Some(here), None, None),
            (Some(elsewhere), Some("is not CHcccc"), Some("is not CHcccc")),
            (Some(json!("CH1")), Some("is not CHcccc"), Some("is not CHcccc")),
            (Some(json!(7)), Some("is not CHcccc"), Some("is not CHcccc")),
        ] {
            let mut answer = json!({"replies": ["hi"]});
            if let Some(named) = named {
                answer["conversation"] = named;
            }
            for (asked, refused) in [(ASKED, of_turn), (late, of_late)] {
                match (parse(answer.to_string().as_bytes(), asked), refused) {
                    (Ok(Answer::Replies(replies)), None) => {
                        assert_eq!(replies, [Reply::text("hi")]);
                    }
                    (Err(error), Some(told)) => {
                        assert!(error.to_string().contains(told), "{answer}: {error}");
                    }
                    (found, wanted) => panic!("{answer}: {found:?}, wanted {wanted:?}"),
                }
            }
        }
        let sid = format!(r#"{{"conversation_sid":"{ours}","replies":[]}}"#);
        let error = parse(sid.as_bytes(), late).unwrap_err().to_string();
        assert!(error.contains("did you mean `conversation`?"), "{error}");
    }

    const ASKED: Asked<'static> = Asked {
        id: "IM1",
        thread: ThreadId::of_conversation(ConversationSid::from_bytes([0xcc; 16])),
        must_name: false,
    };

    fn read(answer: &str) -> Vec<Reply> {
        match parse(answer.as_bytes(), ASKED).unwrap() {
            Answer::Replies(replies) => replies,
            Answer::Later | Answer::Handoff(_) | Answer::End(_) => panic!("replies expected"),
        }
    }

    #[test]
    fn a_person_gets_the_thread_after_the_last_word_or_without_one() {
        for (answer, said) in [
            (r#"{"handoff":true}"#, None),
            (r#"{"replies":[],"handoff":true}"#, None),
            (r#"{"replies":["wait"],"handoff":true}"#, Some("wait")),
        ] {
            let said = said.map(Reply::text).into_iter().collect();
            assert_eq!(parse(answer.as_bytes(), ASKED).unwrap(), Answer::Handoff(said), "{answer}");
        }
        assert_eq!(read(r#"{"replies":["hi"],"handoff":false}"#), [Reply::text("hi")]);
        assert_eq!(read(r#"{"replies":["hi"],"handoff":null}"#), [Reply::text("hi")]);
        for (answer, told) in [
            (r#"{"handoff":"yes"}"#, "`handoff`"),
            (r#"{"handoff":false}"#, "there is no `replies`"),
            (r#"{"replies":[],"hand_off":true}"#, "did you mean `handoff`?"),
        ] {
            let error = parse(answer.as_bytes(), ASKED).unwrap_err().to_string();
            assert!(error.contains(told), "{answer}: {error}");
        }
    }

    #[test]
    fn an_answer_may_end_the_thread_and_then_nobody_else_has_it() {
        for (answer, wanted) in [
            (json!({"end": true}), Ok(Answer::End(Vec::new()))),
            (json!({"replies": ["bye"], "end": true}), Ok(Answer::End(vec![Reply::text("bye")]))),
            (json!({"replies": [], "end": false}), Ok(Answer::Replies(Vec::new()))),
            (json!({"end": false}), Err("there is no `replies`")),
            (json!({"end": "yes"}), Err("`end` is not true or false")),
            (json!({"end": true, "handoff": true}), Err("are both true")),
            (json!({"replies": [], "close": true}), Err("did you mean `end`?")),
        ] {
            let read = parse(answer.to_string().as_bytes(), ASKED);
            match (read, wanted) {
                (Ok(read), Ok(wanted)) => assert_eq!(read, wanted, "{answer}"),
                (Err(error), Err(words)) => {
                    assert!(error.to_string().contains(words), "{answer}: {error}");
                }
                (read, _) => panic!("{answer}: {read:?}"),
            }
        }
    }
}
