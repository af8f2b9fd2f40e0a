//! Turns of every channel and answers of every kind, against the schema and against the code.

use serde_json::json;

use super::*;
use crate::agent::answer;
use crate::clock::Timestamp;
use crate::media::link::Link;
use crate::thread::{Medium, Pair, Speaker, Thread};
use crate::twilio::events::Fields;
use crate::twilio::messaging::Inbound;

const H: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn a_turn_of_a_conversation_is_what_it_was_and_says_its_thread() {
    let document = written(&conversation());
    assert_eq!(
        document,
        json!({
            "type": "turn", "version": 1, "id": format!("IM{H}"), "attempt": 2,
            "thread": format!("CH{H}"), "channel": "conversation",
            "conversation": format!("CH{H}"), "identity": "bot",
            "messages": [{
                "sid": format!("IM{H}"), "index": 7, "author": "+15555550123",
                "participant_sid": format!("MB{H}"), "body": "hello", "attributes": {"a": [1]},
                "media": [{"sid": format!("ME{H}"), "content_type": "image/png", "filename": null,
                           "size": 3}],
                "date_created": "2026-11-21T03:48:05.120Z",
            }],
        })
    );
    assert_eq!(problems("turn", &document), Vec::<String>::new());
}

#[test]
fn a_direct_turn_says_all_that_its_channel_knows() {
    for (medium, plain) in [(Medium::Sms, true), (Medium::Whatsapp, false), (Medium::Rcs, false)] {
        let turn = direct(medium, plain);
        let document = written(&turn);
        assert_eq!(problems("turn", &document), Vec::<String>::new(), "{document:#}");
        assert_eq!(document["channel"], medium.as_str());
        assert_eq!(document["thread"], turn.thread.to_string());
        assert_eq!((&document["ours"], &document["identity"]), (&json!(OURS), &json!(OURS)));
        assert_eq!(document["theirs"], THEIRS);
        let message = &document["messages"][0];
        assert_eq!(message.get("profile_name").is_some(), !plain);
        if !plain {
            assert_eq!(message["external_user_id"], "US.13491208655302741918");
            assert_eq!(message["location"], json!({"latitude": "52.5", "longitude": "13.4"}));
            assert_eq!(message["choice"], json!({"text": "Yes", "payload": "yes"}));
            assert_eq!(message["quoted"], json!({"sid": format!("SM{H}"), "sender": THEIRS}));
            assert_eq!(message["referral"], json!({"source_id": "1", "body": "Buy"}));
            assert_eq!((&message["opt_out"], &message["wa_id"]), (&json!("STOP"), &json!("155")));
            assert_eq!(message["other"], json!({"MessageType": "image"}));
            assert_eq!(message["media"][0]["url"], "https://api.twilio.com/0");
        }
    }
}

#[test]
fn what_was_said_before_is_told_to_who_asks_and_what_found_no_room_is_counted() {
    let mut turn = conversation();
    let past = |is_own, body: Option<&str>| Past {
        sid: turn.id,
        is_own,
        author: "+15555550123".into(),
        body: body.map(Into::into),
        files: if body.is_none() { vec![Some("image/png".to_owned()), None] } else { Vec::new() },
        created: Timestamp::parse_rfc3339("2026-11-21T03:40:00Z"),
    };
    turn.history = vec![past(false, Some("one")), past(true, Some("two")), past(false, None)];
    let document = written(&turn);
    assert_eq!(problems("turn", &document), Vec::<String>::new());
    let bodies = |document: &Value| -> Vec<Value> {
        document["history"].as_array().unwrap().iter().map(|past| past["body"].clone()).collect()
    };
    assert_eq!(bodies(&document), [json!("one"), json!("two"), Value::Null]);
    assert_eq!(document["history"][1]["own"], true);
    assert!(document.get("history_left_out").is_none());
    let document = serde_json::to_value(Document::with_newest(&turn, 2)).unwrap();
    assert_eq!(problems("turn", &document), Vec::<String>::new());
    assert_eq!((bodies(&document).len(), &document["history_left_out"]), (2, &json!(1)));
}

#[test]
fn the_window_of_whatsapp_is_told_where_there_is_one() {
    let closes = |turn: &Turn| written(turn).get("window_closes_at").cloned();
    let mut of_conversation = conversation();
    let mut of_number = direct(Medium::Whatsapp, true);
    of_number.messages[0].created = of_conversation.messages[0].created;
    let next_day = Some(json!("2026-11-22T03:48:05.120Z"));
    assert_eq!(closes(&of_number), next_day);
    assert_eq!(problems("turn", &written(&of_number)), Vec::<String>::new());
    for medium in [Medium::Sms, Medium::Rcs] {
        assert_eq!(closes(&direct(medium, true)), None);
    }
    assert_eq!(closes(&of_conversation), None);
    // Somebody else of the conversation may have written last.
    of_conversation.messages.insert(0, of_number.messages[0].clone());
    of_conversation.messages[1].created = Timestamp::parse_rfc3339("2026-11-21T04:00:00Z");
    assert_eq!(closes(&of_conversation), next_day);
    of_number.messages[0].created = None;
    assert_eq!(closes(&of_number), None);
}

#[test]
fn when_an_answer_is_due_is_told_where_somebody_watches() {
    let turn = conversation();
    let due = |at| serde_json::to_value(Document::of(&turn).due(at)).unwrap();
    let document = due(Timestamp::parse_rfc3339("2026-11-21T03:53:05.120Z"));
    assert_eq!(document["deadline"], "2026-11-21T03:53:05.120Z");
    assert_eq!(problems("turn", &document), Vec::<String>::new());
    assert_eq!(due(None), written(&turn));
    assert!(due(None).get("deadline").is_none());
}

#[test]
fn a_file_has_its_link_its_bytes_or_why_not() {
    for reason in Reason::ALL {
        let mut turn = conversation();
        turn.files = Offers::from_iter([vec![Offer { reason: Some(reason), ..Offer::default() }]]);
        let document = written(&turn);
        assert_eq!(problems("turn", &document), Vec::<String>::new());
        assert_eq!(document["messages"][0]["media"][0]["reason"], reason.as_str());
    }
    let mut turn = conversation();
    let link = Link {
        url: "https://bot.example.com/media/x".into(),
        until: Timestamp::parse_rfc3339("2026-11-21T04:48:05Z").unwrap(),
    };
    let data = Some(Data(b"\x00\xff".as_slice().into()));
    turn.files = Offers::from_iter([vec![Offer { link: Some(link), data, reason: None }]]);
    let document = written(&turn);
    assert_eq!(problems("turn", &document), Vec::<String>::new());
    let file = &document["messages"][0]["media"][0];
    assert_eq!(file["sid"], format!("ME{H}"));
    assert_eq!(file["link"], "https://bot.example.com/media/x");
    assert_eq!(file["expires_at"], "2026-11-21T04:48:05.000Z");
    assert_eq!((&file["data"], file.get("reason")), (&json!("AP8="), None));
    assert!(!format!("{turn:?}").contains("bot.example.com"), "a link is a secret");
}

#[test]
fn what_the_schema_says_of_answers_is_what_is_taken() {
    let (media, template) = (format!("ME{H}"), format!("HX{H}"));
    let many = |count: usize| vec!["x"; count];
    for (answer, is_taken) in [
        (json!({"replies": []}), true),
        (json!({"replies": null, "thread": null}), true),
        (json!({"replies": ["hi", null, ""], "conversation": format!("CH{H}")}), true),
        (json!({"replies": ["hi"], "thread": format!("CH{H}")}), true),
        (json!({"replies": [{"body": "hi", "attributes": {"a": 1}, "media_sids": null}]}), true),
        (json!({"replies": [{"media_sids": [media], "attributes": null}]}), true),
        (json!({"replies": [{"media_urls": ["https://h/a", "HTTP://h/b"]}]}), true),
        (json!({"replies": [{"content_sid": template, "content_variables": {"1": "x"}}]}), true),
        (json!({"replies": [{"body": null, "content_sid": ""}]}), true),
        (
            json!({"replies": [{"buttons": [{"title": "Yes", "id": "y", "url": "https://h/a"}]}]}),
            true,
        ),
        (json!({"replies": [{"body": "hi", "buttons": null}]}), true),
        (json!({"replies": [{"body": "hi", "buttons": [{"title": "x".repeat(25)}]}]}), false),
        (json!({"replies": [{"body": "hi", "buttons": [{"title": ""}]}]}), false),
        (json!({"replies": [{"body": "hi", "buttons": [{"id": "x"}]}]}), false),
        (json!({"replies": [{"body": "hi", "buttons": [{"title": "x", "text": "y"}]}]}), false),
        (json!({"replies": [{"body": "hi", "buttons": vec![json!({"title": "x"}); 11]}]}), false),
        (json!({"end": true}), true),
        (json!({"replies": ["bye"], "end": true, "handoff": false}), true),
        (json!({"end": false}), false),
        (json!({"replies": [], "end": "yes"}), false),
        (json!({"replies": many(20)}), true),
        (json!({"replies": many(21)}), false),
        (json!({}), false),
        (json!([]), false),
        (json!({"replies": "hi"}), false),
        (json!({"replies": [7]}), false),
        (json!({"replies": [{}]}), false),
        (json!({"replies": [{"attributes": {}}]}), false),
        (json!({"replies": [{"text": "hi"}]}), false),
        (json!({"replies": [{"body": 7}]}), false),
        (json!({"replies": [{"body": "hi", "attributes": []}]}), false),
        (json!({"replies": [{"media_sids": ["ME1"]}]}), false),
        (json!({"replies": [{"media_urls": ["ftp://h/a"]}]}), false),
        (json!({"replies": [{"media_urls": vec!["https://h/a"; 11]}]}), false),
        (json!({"replies": [{"content_sid": "HX1"}]}), false),
        (json!({"replies": ["hi"], "thread": "CH1"}), false),
        (json!({"replies": ["hi"], "weather": 1}), false),
    ] {
        let asked =
            answer::Asked { id: "IM1", thread: conversation().thread.id(), must_name: false };
        let found = answer::parse(answer.to_string().as_bytes(), asked);
        assert_eq!(found.is_ok(), is_taken, "{answer}: {found:?}");
        let problems = problems("answer", &answer);
        assert_eq!(problems.is_empty(), is_taken, "{answer}: {problems:?}");
    }
}

#[test]
fn the_schema_finds_what_is_wrong_with_a_turn() {
    for (place, value) in [
        ("/type", json!("ping")),
        ("/version", json!(2)),
        ("/id", json!("SM1")),
        ("/attempt", json!(0)),
        ("/channel", json!("pigeon")),
        ("/messages", json!([])),
        ("/messages/0/index", json!(-1)),
        ("/messages/0/media/0/size", json!("3")),
        ("/messages/0/opt_out", json!("MAYBE")),
        ("/messages/0/weather", json!("a member that nobody has written down")),
    ] {
        let mut document = written(&direct(Medium::Whatsapp, false));
        let (parent, name) = place.rsplit_once('/').unwrap();
        document.pointer_mut(parent).unwrap()[name] = value;
        assert!(!problems("turn", &document).is_empty(), "{place}");
    }
}

const OURS: &str = "whatsapp:+15555550100";
const THEIRS: &str = "whatsapp:+15555550123";

fn written(turn: &Turn) -> Value {
    serde_json::to_value(Document::of(turn)).unwrap()
}

fn conversation() -> Turn {
    let sid = format!("IM{H}").parse().unwrap();
    let media = Media {
        sid: Some(format!("ME{H}").parse().unwrap()),
        url: None,
        content_type: Some("image/png".to_owned()),
        filename: None,
        size: Some(3),
    };
    let message = TurnMessage {
        sid,
        index: Some(7),
        author: "+15555550123".into(),
        body: Some("hello".into()),
        attributes: json!({"a": [1]}).as_object().unwrap().clone(),
        media: vec![media],
        participant: Some(format!("MB{H}").parse().unwrap()),
        created: Timestamp::parse_rfc3339("2026-11-21T03:48:05.120Z"),
        extras: None,
    };
    Turn {
        id: sid,
        thread: Thread::Conversation(format!("CH{H}").parse().unwrap()),
        speaker: Speaker::Identity("bot".to_owned()),
        messages: vec![message],
        history: Vec::new(),
        attempt: 2,
        files: Offers::default(),
    }
}

/// A turn of what a webhook says: a plain text, or all that there may be.
fn direct(medium: Medium, plain: bool) -> Turn {
    let sid = format!("SM{H}");
    let account = format!("AC{H}");
    let mut pairs = vec![
        ("MessageSid", sid.as_str()),
        ("AccountSid", account.as_str()),
        ("From", THEIRS),
        ("To", OURS),
        ("Body", "hello"),
    ];
    if !plain {
        pairs.extend([
            ("NumMedia", "1"),
            ("MediaUrl0", "https://api.twilio.com/0"),
            ("MediaContentType0", "image/jpeg"),
            ("ProfileName", "Ann"),
            ("WaId", "155"),
            ("ExternalUserIdentifier", "US.13491208655302741918"),
            ("Latitude", "52.5"),
            ("Longitude", "13.4"),
            ("ButtonText", "Yes"),
            ("ButtonPayload", "yes"),
            ("OriginalRepliedMessageSid", sid.as_str()),
            ("OriginalRepliedMessageSender", THEIRS),
            ("ReferralSourceId", "1"),
            ("ReferralBody", "Buy"),
            ("OptOutType", "STOP"),
            ("MessageType", "image"),
        ]);
    }
    let inbound = Inbound::decode(&Fields::of_form(pairs.into_iter().collect())).unwrap();
    let (ours, theirs) = (inbound.to.clone(), inbound.from.clone());
    Turn {
        id: inbound.sid.into(),
        thread: Thread::from(Pair { medium, ours: ours.clone(), theirs }),
        speaker: Speaker::Address(ours),
        messages: vec![message(inbound)],
        history: Vec::new(),
        attempt: 1,
        files: Offers::default(),
    }
}

fn message(inbound: Inbound) -> TurnMessage {
    let media = inbound.media.into_iter().map(|link| Media {
        sid: None,
        url: Some(link.url),
        content_type: link.content_type,
        filename: None,
        size: None,
    });
    let extras = Extras {
        profile_name: inbound.profile_name,
        wa_id: inbound.wa_id,
        external_user_id: inbound.external_user_id,
        location: inbound.location,
        choice: inbound.choice,
        quoted: inbound.quoted,
        referral: inbound.referral,
        opt_out: inbound.opt_out,
        other: inbound.other,
    };
    TurnMessage {
        sid: inbound.sid.into(),
        index: None,
        author: inbound.from,
        body: inbound.body,
        attributes: Map::new(),
        media: media.collect(),
        participant: None,
        created: None,
        extras: (extras != Extras::default()).then(|| Box::new(extras)),
    }
}

/// What the schema has against a value, as one of its definitions.
fn problems(definition: &str, value: &Value) -> Vec<String> {
    let root: Value = serde_json::from_str(SCHEMA).unwrap();
    let mut found = Vec::new();
    let schema = &root["$defs"][definition];
    Checker { root: &root, found: &mut found }.check(schema, value, definition);
    found
}

/// Knows as much of JSON Schema as the schema uses, and is stricter in one point: members that it does not
/// describe are none of what we write.
struct Checker<'a> {
    root: &'a Value,
    found: &'a mut Vec<String>,
}

impl Checker<'_> {
    fn check(&mut self, schema: &Value, value: &Value, place: &str) {
        for (keyword, wanted) in schema.as_object().unwrap() {
            let holds = match keyword.as_str() {
                "description" | "properties" | "items" | "additionalProperties" => true,
                "$ref" => {
                    let pointer = wanted.as_str().unwrap().trim_start_matches('#');
                    let schema = self.root.pointer(pointer).unwrap();
                    self.check(schema, value, place);
                    true
                }
                "type" => is_of(wanted, value),
                "const" => value == wanted,
                "enum" => wanted.as_array().unwrap().contains(value),
                "required" => list(wanted).all(|name| value.get(name).is_some()),
                "minimum" => value.as_i64().is_none_or(|number| number >= wanted.as_i64().unwrap()),
                "minLength" => value.as_str().is_none_or(|text| chars(text) >= wanted.as_u64()),
                "maxLength" => value.as_str().is_none_or(|text| chars(text) <= wanted.as_u64()),
                "minItems" => length(value).is_none_or(|length| length >= wanted.as_u64().unwrap()),
                "maxItems" => length(value).is_none_or(|length| length <= wanted.as_u64().unwrap()),
                "pattern" => value.as_str().is_none_or(|text| fits(wanted.as_str().unwrap(), text)),
                "oneOf" => self.fitting(wanted, value) == 1,
                "anyOf" => self.fitting(wanted, value) > 0,
                other => panic!("the schema uses {other}, which is not checked"),
            };
            if !holds {
                self.found.push(format!("{place}: {keyword}"));
            }
        }
        self.members(schema, value, place);
        if let (Some(schema), Some(entries)) = (schema.get("items"), value.as_array()) {
            for (at, entry) in entries.iter().enumerate() {
                self.check(schema, entry, &format!("{place}/{at}"));
            }
        }
    }

    fn members(&mut self, schema: &Value, value: &Value, place: &str) {
        let Some(members) = value.as_object() else { return };
        let known = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties").filter(|others| others.is_object());
        for (name, member) in members.iter().filter(|_| known.is_some() || others.is_some()) {
            match known.and_then(|known| known.get(name)).or(others) {
                Some(schema) => self.check(schema, member, &format!("{place}/{name}")),
                None => self.found.push(format!("{place}/{name} is not described")),
            }
        }
    }

    /// How many of some schemas a value fits.
    fn fitting(&self, schemas: &Value, value: &Value) -> usize {
        let fits = |schema: &&Value| {
            let mut found = Vec::new();
            Checker { root: self.root, found: &mut found }.check(schema, value, "");
            found.is_empty()
        };
        schemas.as_array().unwrap().iter().filter(fits).count()
    }
}

fn chars(text: &str) -> Option<u64> {
    u64::try_from(text.chars().count()).ok()
}

fn list(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().unwrap().iter().map(|name| name.as_str().unwrap())
}

fn length(value: &Value) -> Option<u64> {
    value.as_array().map(|entries| u64::try_from(entries.len()).unwrap())
}

fn is_of(wanted: &Value, value: &Value) -> bool {
    let is = |name: &str| match name {
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "null" => value.is_null(),
        other => panic!("{other} is no type that is checked"),
    };
    wanted.as_str().map_or_else(|| list(wanted).any(is), is)
}

/// The three patterns that there are: the start of a sid with its digits, the same or nothing, a scheme.
fn fits(pattern: &str, text: &str) -> bool {
    if pattern == "^[hH][tT][tT][pP][sS]?:" {
        let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
        return ["http", "https"].contains(&scheme.as_str());
    }
    let inner = pattern.strip_prefix('^').and_then(|rest| rest.strip_suffix('$')).unwrap();
    if let Some(inner) = inner.strip_prefix('(').and_then(|rest| rest.strip_suffix(")?")) {
        return text.is_empty() || fits(&format!("^{inner}$"), text);
    }
    let prefixes = inner.strip_suffix("[0-9a-fA-F]{32}").unwrap();
    let prefixes = prefixes.trim_start_matches('(').trim_end_matches(')');
    let (prefix, digits) = text.split_at_checked(2).unwrap_or_default();
    prefixes.split('|').any(|known| known == prefix)
        && digits.len() == 32
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}
