//! Recorded flows in which the session or a command is what matters: invitations, tokens, closes,
//! refusals, errors, typing. The core's own frames are held against the official client's.
//!
//! Source: `tests/data/twilsock/SOURCE.md`. Of flow 10 the refused read of a roster is not replayed:
//! the core reads none unless it is asked to.

use std::time::Duration;

use chimein::realtime::Outcome;
use chimein::realtime::conversations::commands::CommandAnswered;
use chimein::realtime::conversations::core::Input;
use chimein::realtime::twilsock::frame::{Frame, Method};
use serde_json::{Value, json};

use super::golden::Player;

#[test]
fn an_invitation_is_accepted_as_the_official_client_accepts_it() {
    let flow = include_str!("../data/twilsock/03-invited.jsonl");
    let mut player = Player::new(flow, ("MPd666e3", -1));
    player.play_on();
    assert_eq!(
        player.told,
        [
            "joined CHee8af8",
            "caught up -",
            "Replay 0 welcome",
            "left CHee8af8",
            "joined CHaf03f4",
            "caught up -"
        ]
    );
    let written = requests(&player);
    let asked = recorded(flow, "/Participants");
    assert_eq!(written.iter().filter(|request| **request == asked[0]).count(), 1, "{asked:?}");
}

#[test]
fn a_warned_token_is_renewed_and_a_refused_one_replaced_by_a_new_connection() {
    let flow = include_str!("../data/twilsock/06-token.jsonl");
    let mut player = Player::new(flow, ("MP000000", -1));
    // The recording begins when the client is connected.
    player.greet_first();
    player.play_on();
    assert_eq!(methods(&player), ["init", "update"]);
    player.input(Input::Renew);
    player.settle();
    assert_eq!(methods(&player), ["init", "update", "update", "close", "init"]);
}

#[test]
fn a_close_308_is_obeyed_and_the_message_of_the_meantime_comes_by_replay() {
    let flow = include_str!("../data/twilsock/07-offload.jsonl");
    let mut player = Player::new(flow, ("MP032efd", 0));
    player.seat("CH7ad64b", ("ETfb7490", 0), ("ESd79225", -1));
    player.greet_first();
    player.play_on();
    assert_eq!(player.told, ["joined CH7ad64b", "caught up -", "Replay 0 during offload"]);
    let [first, second] = player.connected_at[..] else { panic!("{:?}", player.connected_at) };
    // The server asks for 1.5 to 3 s; it said so half a minute after the start.
    let away = second.since(first).saturating_sub(Duration::from_secs(30));
    assert!(away >= Duration::from_millis(1500) && away <= Duration::from_secs(5), "{away:?}");
    assert_eq!(methods(&player), ["init", "init"]);
}

#[test]
fn a_close_410_brings_a_new_token_and_misses_nothing() {
    let flow = include_str!("../data/twilsock/09-expired.jsonl");
    let mut player = Player::new(flow, ("MP727933", 0));
    player.seat("CHea887a", ("ETad1cc7", 0), ("ES7eb573", -1));
    player.greet_first();
    player.play_on();
    assert_eq!(player.told, ["joined CHea887a", "caught up -", "Replay 0 while expired"]);
    assert_eq!(player.connected_at.len(), 2);
    assert_eq!(methods(&player), ["init", "init"]);
}

#[test]
fn refused_requests_end_as_they_must() {
    let flow = include_str!("../data/twilsock/10-errors.jsonl");
    let mut player = Player::new(flow, ("MP04b506", 0));
    player.is_acting = true;
    player.play_on();
    let configurations = requests(&player)
        .iter()
        .filter(|request| request["path"] == "/Client/v2/Configuration")
        .count();
    assert_eq!(configurations, 3, "it is asked for until it is given");
    let [one, two, three] = &player.answered[..] else { panic!("{:?}", player.answered) };
    let refused = matches!(
        one,
        CommandAnswered::Sent(Outcome::Refused { status: 429, code: Some(20429), .. })
    );
    assert!(refused, "{one:?}");
    assert!(
        matches!(two, CommandAnswered::Sent(Outcome::Done(sent)) if sent.index == 0),
        "{two:?}"
    );
    assert!(matches!(three, CommandAnswered::Sent(Outcome::Unknown { .. })), "{three:?}");
    // Each was sent once, and looks as recorded.
    let sends = |request: &&Value| request["path"].as_str().unwrap().ends_with("/Messages");
    let written: Vec<_> = requests(&player).into_iter().filter(|one| sends(&one)).collect();
    assert_eq!(written, recorded(flow, "/Messages"));
    assert!(player.told.contains(&"joined CHff2fd2".to_owned()), "{:?}", player.told);
    assert!(player.told.contains(&"Replay 0 two".to_owned()), "{:?}", player.told);
    assert!(player.told.contains(&"joined CH6def72".to_owned()), "{:?}", player.told);
}

#[test]
fn a_refusal_at_init_closes_and_comes_back_with_a_new_token() {
    let flow = include_str!("../data/twilsock/11-refused.jsonl");
    let mut player = Player::new(flow, ("MP000000", -1));
    player.play_on();
    let methods = methods(&player);
    assert_eq!(methods[..3], ["init", "close", "init"]);
    assert!(player.connected_at.len() >= 2);
}

#[test]
fn typing_goes_out_and_comes_in_as_recorded() {
    let flow = include_str!("../data/twilsock/12-typing.jsonl");
    let mut player = Player::new(flow, ("MP373904", 0));
    player.seat("CH3ac61f", ("ET3987c8", 0), ("ESe27437", -1));
    player.is_acting = true;
    player.play_on();
    assert!(player.told.contains(&"bot types in CH3ac61f".to_owned()), "{:?}", player.told);
    assert_eq!(player.answered[0], CommandAnswered::Done(Outcome::Done(())));
    let asked = recorded(flow, "/Typing");
    assert!(requests(&player).contains(&asked[0]), "{asked:?} not in {:?}", requests(&player));
}

/// The methods of the core's frames that are neither requests nor replies.
fn methods(player: &Player) -> Vec<&'static str> {
    player
        .written
        .iter()
        .filter_map(|frame| match frame.header.method {
            Method::Init => Some("init"),
            Method::Update => Some("update"),
            Method::Close => Some("close"),
            _ => None,
        })
        .collect()
}

/// The core's requests, without ids and headers.
fn requests(player: &Player) -> Vec<Value> {
    player
        .written
        .iter()
        .filter_map(|Frame { header, payload }| {
            let request = header.http_request.as_ref()?;
            Some(json!({
                "host": request.host, "method": request.method, "path": request.path,
                "type": header.payload_type,
                "payload": serde_json::from_slice(payload)
                    .unwrap_or_else(|_| json!(String::from_utf8_lossy(payload))),
            }))
        })
        .collect()
}

/// The recorded client's writes to paths with this end, in the same shape.
fn recorded(flow: &str, end: &str) -> Vec<Value> {
    flow.lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"))
        .filter_map(|line| {
            let request = &line["header"]["http_request"];
            let is_write = request["path"].as_str()?.ends_with(end) && request["method"] == "POST";
            is_write.then(|| {
                json!({
                    "host": request["host"], "method": request["method"], "path": request["path"],
                    "type": line["header"]["payload_type"], "payload": line["payload"],
                })
            })
        })
        .collect()
}
