//! The client of the Agent Client Protocol, message by message.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::clock::Clock;
use crate::twilio::sid::{ConversationSid, MessageSid};

const TIMEOUT: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

fn acp() -> Acp {
    let folder = "/srv/agent".to_owned();
    Acp::new(AcpOptions { timeout: TIMEOUT, answer_bytes_max: 1_000, sessions_max: 2, folder })
}

fn turn(n: u8) -> MessageId {
    MessageSid::from_bytes([n; 16]).into()
}

fn asked(n: u8, thread: u8) -> AskedTurn {
    AskedTurn {
        turn: turn(n),
        thread: ThreadId::of_conversation(ConversationSid::from_bytes([thread; 16])),
        document: format!(r#"{{"type":"text","text":"turn {n}"}}"#).into_bytes(),
        context: br#"{"type":"text","text":"before"}"#.to_vec(),
    }
}

/// What it has written, and what turns came to.
#[derive(Debug, Default)]
struct Done {
    written: Vec<Value>,
    settled: Vec<(MessageId, Result<Answer, TurnEnding>)>,
    kills: bool,
}

fn done(acp: &mut Acp) -> Done {
    let mut done = Done::default();
    while let Some(output) = acp.poll() {
        match output {
            Output::Write(line) => {
                assert_eq!(line.last(), Some(&b'\n'));
                done.written.push(serde_json::from_slice(&line).unwrap());
            }
            Output::Settle(turn, ended) => done.settled.push((turn, ended)),
            Output::Kill => done.kills = true,
        }
    }
    done
}

fn hears(acp: &mut Acp, now: Moment, said: &Value) -> Done {
    acp.hear(now, said.to_string().as_bytes()).unwrap();
    done(acp)
}

fn result(id: &Value, result: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

fn failed(id: &Value, code: i64) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": "secret"}})
}

fn chunk(session: &str, text: &str) -> Value {
    let content = json!({"type": "text", "text": text});
    update(session, &json!({"sessionUpdate": "agent_message_chunk", "content": content}))
}

fn update(session: &str, update: &Value) -> Value {
    let params = json!({"sessionId": session, "update": update});
    json!({"jsonrpc": "2.0", "method": "session/update", "params": params})
}

/// Agrees on the protocol; gives what is written then.
fn agreed(acp: &mut Acp, now: Moment) -> Done {
    let first = done(acp).written.remove(0);
    assert_eq!(first["method"], "initialize");
    let capabilities = json!({"sessionCapabilities": {"close": {}}});
    let agreed = json!({"protocolVersion": 1, "agentCapabilities": capabilities});
    hears(acp, now, &result(&first["id"], &agreed))
}

/// An agent that is prompted for turn 1 in session `s1`; gives the prompt.
fn prompted(acp: &mut Acp, now: Moment) -> Value {
    acp.ask(now, asked(1, 1));
    let new = agreed(acp, now).written.remove(0);
    hears(acp, now, &result(&new["id"], &json!({"sessionId": "s1"}))).written.remove(0)
}

fn said(text: &str) -> Result<Answer, TurnEnding> {
    Ok(Answer::Replies(vec![Reply::text(text)]))
}

#[tokio::test]
async fn a_turn_is_a_prompt_and_its_chunks_are_one_reply() {
    let (now, mut acp) = (Clock::start().now(), acp());
    acp.ask(now, asked(1, 1));
    let first = done(&mut acp).written;
    assert_eq!(first.len(), 1, "nothing is asked before the protocol is agreed on");
    assert_eq!(first[0]["params"]["protocolVersion"], 1);
    let offered = json!({"fs": {"readTextFile": false, "writeTextFile": false}, "terminal": false});
    assert_eq!(first[0]["params"]["clientCapabilities"], offered);
    let agreed = result(&first[0]["id"], &json!({"protocolVersion": 1}));
    let new = hears(&mut acp, now, &agreed).written;
    assert_eq!(new[0]["method"], "session/new");
    assert_eq!(new[0]["params"], json!({"cwd": "/srv/agent", "mcpServers": []}));
    let session = result(&new[0]["id"], &json!({"sessionId": "s1"}));
    let prompt = hears(&mut acp, now, &session).written;
    let blocks = json!([{"type": "text", "text": "before"}, {"type": "text", "text": "turn 1"}]);
    assert_eq!(prompt[0]["params"], json!({"sessionId": "s1", "prompt": blocks}));
    let thought = json!({"sessionUpdate": "agent_thought_chunk",
        "content": {"type": "text", "text": "hm"}});
    let plan = json!({"sessionUpdate": "plan", "entries": []});
    for said in [
        update("s1", &thought),
        chunk("s1", "Let me "),
        update("s1", &plan),
        chunk("other", "not mine"),
        chunk("s1", "look."),
        update("s1", &json!({"sessionUpdate": "tool_call", "toolCallId": "c1", "title": "ls"})),
        chunk("s1", "All is well. "),
    ] {
        let done = hears(&mut acp, now, &said);
        assert!(done.written.is_empty() && done.settled.is_empty(), "{done:?}");
    }
    let end = result(&prompt[0]["id"], &json!({"stopReason": "end_turn"}));
    let done = hears(&mut acp, now, &end);
    assert_eq!(done.settled, [(turn(1), said("Let me look.\n\nAll is well."))]);
    assert!(acp.has_answered() && acp.deadline().is_none());
    // The session remembers: what was said before is not told again.
    acp.ask(now, asked(2, 1));
    let again = super::tests::done(&mut acp).written;
    let blocks = json!([{"type": "text", "text": "turn 2"}]);
    assert_eq!(again[0]["params"], json!({"sessionId": "s1", "prompt": blocks}));
}

#[tokio::test]
async fn pieces_of_another_message_are_another_paragraph() {
    let (now, mut acp) = (Clock::start().now(), acp());
    let prompt = prompted(&mut acp, now);
    for (message, text) in [("a", "one "), ("a", "more"), ("b", "two")] {
        let content = json!({"type": "text", "text": text});
        let kind = "agent_message_chunk";
        let said = json!({"sessionUpdate": kind, "messageId": message, "content": content});
        hears(&mut acp, now, &update("s1", &said));
    }
    let end = result(&prompt["id"], &json!({"stopReason": "end_turn"}));
    assert_eq!(hears(&mut acp, now, &end).settled, [(turn(1), said("one more\n\ntwo"))]);
}

#[tokio::test]
async fn a_prompt_ends_as_its_answer_says() {
    let now = Clock::start().now();
    let (given_up, nothing) =
        (|retry| Err(TurnEnding::GivenUp { retry }), Ok(Answer::Replies(Vec::new())));
    for (reason, text, ending) in [
        ("end_turn", "", nothing),
        ("max_tokens", "half a", said("half a")),
        ("max_tokens", "", given_up(false)),
        ("max_turn_requests", "half a", said("half a")),
        ("refusal", "I will not.", said("I will not.")),
        ("refusal", " ", given_up(false)),
        ("cancelled", "half a", given_up(true)),
    ] {
        let mut acp = acp();
        let prompt = prompted(&mut acp, now);
        hears(&mut acp, now, &chunk("s1", text));
        let end = result(&prompt["id"], &json!({"stopReason": reason}));
        assert_eq!(hears(&mut acp, now, &end).settled, [(turn(1), ending)], "{reason}");
    }
    for (answer, ending) in [
        (failed(&json!(3), -32_603), given_up(true)),
        (failed(&json!(3), -32_002), given_up(true)),
        (json!({"id": 3, "error": {}}), given_up(true)),
    ] {
        let mut acp = acp();
        prompted(&mut acp, now);
        hears(&mut acp, now, &chunk("s1", "half a"));
        assert_eq!(hears(&mut acp, now, &answer).settled, [(turn(1), ending)], "{answer}");
    }
    let mut acp = acp();
    prompted(&mut acp, now);
    let odd = result(&json!(3), &json!({"stopReason": "secret"}));
    let settled = hears(&mut acp, now, &odd).settled;
    let [(_, Err(TurnEnding::Malformed(why)))] = &settled[..] else { panic!("{settled:?}") };
    assert!(!why.contains("secret"));
}

#[tokio::test]
async fn nothing_is_allowed_and_nothing_is_offered() {
    let (now, mut acp) = (Clock::start().now(), acp());
    prompted(&mut acp, now);
    let wants = |kinds: &[&str]| {
        let option =
            |kind: &&str| json!({"optionId": format!("o-{kind}"), "name": "x", "kind": kind});
        let options: Vec<_> = kinds.iter().map(option).collect();
        let params =
            json!({"sessionId": "s1", "toolCall": {"toolCallId": "c"}, "options": options});
        json!({"jsonrpc": "2.0", "id": "p7", "method": "session/request_permission", "params": params})
    };
    let selected = |option: &str| json!({"outcome": {"outcome": "selected", "optionId": option}});
    let cancelled = json!({"outcome": {"outcome": "cancelled"}});
    for (kinds, outcome) in [
        (&["allow_once", "reject_always", "reject_once"][..], selected("o-reject_once")),
        (&["allow_always", "reject_always"], selected("o-reject_always")),
        (&["allow_once", "allow_always"], cancelled.clone()),
        (&[], cancelled.clone()),
    ] {
        let answer = hears(&mut acp, now, &wants(kinds)).written;
        assert_eq!(answer, [result(&json!("p7"), &outcome)], "{kinds:?}");
    }
    for method in ["fs/read_text_file", "fs/write_text_file", "terminal/create", "anything"] {
        let request = json!({"jsonrpc": "2.0", "id": 0, "method": method, "params": {}});
        let answer = hears(&mut acp, now, &request).written;
        assert_eq!((&answer[0]["id"], &answer[0]["error"]["code"]), (&json!(0), &json!(-32_601)));
    }
    acp.forsake(now, turn(1));
    assert_eq!(done(&mut acp).written[0]["method"], "session/cancel");
    let answer = hears(&mut acp, now, &wants(&["reject_once"])).written;
    assert_eq!(answer, [result(&json!("p7"), &cancelled)], "nobody waits for it any more");
}

#[tokio::test]
async fn who_wants_a_login_or_another_version_is_told_of() {
    let now = Clock::start().now();
    let mut wants = acp();
    wants.ask(now, asked(1, 1));
    let new = agreed(&mut wants, now).written.remove(0);
    let told = hears(&mut wants, now, &failed(&new["id"], -32_000));
    assert_eq!(told.settled, [(turn(1), Err(TurnEnding::Unusable(WANTS_LOGIN)))]);
    assert!(!told.kills, "somebody may log in meanwhile");
    wants.ask(now, asked(1, 1));
    assert_eq!(done(&mut wants).written[0]["method"], "session/new");
    for version in [json!(2), json!(null), json!("1")] {
        let mut other = acp();
        other.ask(now, asked(1, 1));
        let first = done(&mut other).written.remove(0);
        let agreed = result(&first["id"], &json!({ "protocolVersion": version }));
        let told = hears(&mut other, now, &agreed);
        assert_eq!(told.settled, [(turn(1), Err(TurnEnding::Unusable(OTHER_VERSION)))]);
        assert!(told.kills, "another one may be there once it is started again");
    }
}

#[tokio::test]
async fn a_cancelled_prompt_is_over_before_the_session_is_prompted_again() {
    let (now, mut acp) = (Clock::start().now(), acp());
    let first = prompted(&mut acp, now);
    hears(&mut acp, now, &chunk("s1", "half "));
    acp.elapse(now + TIMEOUT);
    let slow = done(&mut acp);
    assert_eq!(slow.settled, [(turn(1), Err(TurnEnding::TooSlow))]);
    assert_eq!(slow.written[0]["method"], "session/cancel");
    assert!(!slow.kills);
    acp.ask(now + TIMEOUT, asked(1, 1));
    assert!(done(&mut acp).written.is_empty());
    hears(&mut acp, now + TIMEOUT, &chunk("s1", "late"));
    let cancelled = result(&first["id"], &json!({"stopReason": "cancelled"}));
    let again = hears(&mut acp, now + TIMEOUT, &cancelled);
    assert!(again.settled.is_empty() && again.written[0]["method"] == "session/prompt");
    hears(&mut acp, now + TIMEOUT, &chunk("s1", "whole"));
    let end = result(&again.written[0]["id"], &json!({"stopReason": "end_turn"}));
    assert_eq!(hears(&mut acp, now + TIMEOUT, &end).settled, [(turn(1), said("whole"))]);
}

#[tokio::test]
async fn a_session_that_does_not_cancel_is_given_up_for_another() {
    let (now, mut acp) = (Clock::start().now(), acp());
    let first = prompted(&mut acp, now);
    hears(&mut acp, now, &chunk("s1", "half "));
    acp.forsake(now + SECOND, turn(1));
    acp.ask(now + SECOND, asked(2, 1));
    done(&mut acp);
    assert_eq!(acp.deadline(), Some(now + SECOND + CANCEL_WITHIN));
    acp.elapse(now + SECOND + CANCEL_WITHIN);
    let methods: Vec<_> =
        done(&mut acp).written.iter().map(|line| line["method"].clone()).collect();
    assert_eq!(methods, ["session/close", "session/new"]);
    let new = result(&json!(acp.last_call), &json!({"sessionId": "s2"}));
    let prompt = hears(&mut acp, now + TIMEOUT / 2, &new).written.remove(0);
    assert_eq!(prompt["params"]["sessionId"], "s2");
    // What the old one still says is nobody's.
    hears(&mut acp, now + TIMEOUT / 2, &chunk("s1", "late"));
    let late = result(&first["id"], &json!({"stopReason": "end_turn"}));
    assert!(hears(&mut acp, now + TIMEOUT / 2, &late).settled.is_empty());
    hears(&mut acp, now + TIMEOUT / 2, &chunk("s2", "whole"));
    let end = result(&prompt["id"], &json!({"stopReason": "end_turn"}));
    assert_eq!(hears(&mut acp, now + TIMEOUT / 2, &end).settled, [(turn(2), said("whole"))]);
}

#[tokio::test]
async fn an_agent_that_says_nothing_hangs() {
    let (now, mut acp) = (Clock::start().now(), acp());
    acp.ask(now, asked(1, 1));
    done(&mut acp);
    acp.elapse(now + TIMEOUT);
    let over = done(&mut acp);
    assert!(over.kills, "{over:?}");
    assert_eq!(over.settled, [(turn(1), Err(TurnEnding::TooSlow))]);
}

#[tokio::test]
async fn the_longest_idle_session_makes_room_and_is_closed() {
    let (now, mut acp) = (Clock::start().now(), acp());
    let mut prompt = prompted(&mut acp, now);
    for n in 2..=3 {
        let end = result(&prompt["id"], &json!({"stopReason": "end_turn"}));
        hears(&mut acp, now + SECOND * u32::from(n), &end);
        acp.ask(now + SECOND * u32::from(n), asked(n, n));
        let written = done(&mut acp).written;
        let methods: Vec<_> = written.iter().map(|line| line["method"].clone()).collect();
        if n == 2 {
            assert_eq!(methods, ["session/new"]);
        } else {
            assert_eq!(methods, ["session/close", "session/new"]);
            assert_eq!(written[0]["params"]["sessionId"], "s1");
        }
        let new = result(&json!(acp.last_call), &json!({ "sessionId": format!("s{n}") }));
        prompt = hears(&mut acp, now + SECOND * u32::from(n), &new).written.remove(0);
    }
    // Two that are at work are not forgotten for a third one.
    acp.ask(now + TIMEOUT / 2, asked(4, 2));
    acp.ask(now + TIMEOUT / 2, asked(5, 5));
    let methods: Vec<_> =
        done(&mut acp).written.iter().map(|line| line["method"].clone()).collect();
    assert_eq!(methods, ["session/prompt", "session/new"]);
}

#[tokio::test]
async fn the_end_of_the_agent_is_the_end_of_all_that_it_has() {
    let (now, mut acp) = (Clock::start().now(), acp());
    prompted(&mut acp, now);
    hears(&mut acp, now, &chunk("s1", "half"));
    acp.ask(now, asked(2, 2));
    acp.finish(true);
    let broken = Err(TurnEnding::BrokenOff);
    assert_eq!(done(&mut acp).settled, [(turn(1), broken.clone()), (turn(2), broken)]);
}

#[tokio::test]
async fn an_answer_that_is_too_much_is_cut_off() {
    let (now, mut acp) = (Clock::start().now(), acp());
    prompted(&mut acp, now);
    let much = hears(&mut acp, now, &chunk("s1", &"x".repeat(1_001)));
    assert_eq!(much.settled, [(turn(1), Err(TurnEnding::TooLarge))]);
    assert_eq!(much.written[0]["method"], "session/cancel");
}

#[tokio::test]
async fn lines_that_are_none_are_bad_and_change_nothing() {
    let (now, mut acp) = (Clock::start().now(), acp());
    prompted(&mut acp, now);
    for (line, why) in [
        (&b"hello"[..], BadLine::NoJson),
        (b"[]", BadLine::NoJson),
        (&[0xff], BadLine::NoJson),
        (b"{}", BadLine::UnknownType),
        (br#"{"id":3}"#, BadLine::UnknownType),
        (br#"{"id":99,"result":{}}"#, BadLine::UnknownTurn),
        (br#"{"id":"3","result":{}}"#, BadLine::UnknownTurn),
        (br#"{"method":"session/update","params":{}}"#, BadLine::UnknownTurn),
    ] {
        assert_eq!(acp.hear(now, line), Err(why), "{}", String::from_utf8_lossy(line));
    }
    let done = done(&mut acp);
    assert!(done.written.is_empty() && done.settled.is_empty() && acp.open.len() == 1);
}

proptest! {
    /// Whatever an agent says, each turn that was asked ends once, and nothing breaks.
    #[test]
    fn whatever_is_said_each_turn_ends_once(
        lines in prop::collection::vec((0_usize..12, 0_u64..12, "[a-z\"{}:,]{0,12}"), 0..60),
    ) {
        let (now, mut acp) = (Moment::ORIGIN, acp());
        let (mut asks, mut ends) = (0_usize, 0_usize);
        for (at, (kind, id, text)) in (0_u32..).zip(lines) {
            let now = now + SECOND * at;
            let session = format!("s{}", id % 3);
            let line = match kind {
                0 => {
                    let n = u8::try_from(id).unwrap();
                    // One that is asked anew is not ended for who asked before.
                    if !acp.open.contains_key(&turn(n)) {
                        asks += 1;
                        acp.ask(now, asked(n, n % 4));
                    }
                    Value::Null
                }
                1 => {
                    acp.elapse(now);
                    Value::Null
                }
                2 => result(&json!(id), &json!({"protocolVersion": 1})),
                3 | 4 => result(&json!(id), &json!({ "sessionId": session })),
                5 | 6 => result(&json!(id), &json!({"stopReason": "end_turn"})),
                7 => failed(&json!(id), -32_000 - i64::try_from(id).unwrap()),
                8 => chunk(&session, &text),
                9 => json!({"id": id, "method": "session/request_permission",
                    "params": {"sessionId": session, "options": [text]}}),
                10 => json!({"id": id, "method": text}),
                _ => json!({ "method": "session/update", "params": text }),
            };
            let _bad = acp.hear(now, line.to_string().as_bytes());
            let _bad = acp.hear(now, text.as_bytes());
            ends += done(&mut acp).settled.len();
        }
        acp.finish(false);
        ends += done(&mut acp).settled.len();
        prop_assert_eq!(asks, ends);
    }
}
