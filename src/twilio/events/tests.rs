//! Each event with the fields that Twilio documents for it, and requests that are no event.

use super::*;
use crate::clock::Timestamp;
use proptest::prelude::*;

#[test]
fn every_event_type_has_its_own_variant_and_phase() {
    for event_type in EventType::ALL.iter().filter(|one| **one != EventType::Unknown) {
        let form = full_form(event_type.as_str());
        let envelope = decode(&Fields::from_form(form.as_bytes())).unwrap();
        let shown = format!("{:?}", envelope.event);
        assert!(shown.starts_with(&format!("{event_type:?}(")), "{event_type}: {shown}");
        // Twilio names what has happened in the past tense, and what is to happen is not.
        let past = event_type.as_str().ends_with("ed");
        assert_eq!(event_type.phase() == Phase::Post, past, "{event_type}");
        assert_eq!(EventType::ALL[event_type.index()], *event_type);
    }
    let phases = |phase| EventType::ALL.iter().filter(|one| one.phase() == phase).count();
    assert_eq!((phases(Phase::Pre), phases(Phase::Post), phases(Phase::Unknown)), (10, 13, 1));
}

#[test]
fn a_captured_message_is_read_whole() {
    let fields = Fields::from_form(
        b"EventType=onMessageAdded&Attributes=%7B%7D&DateCreated=2021-08-10T18%3A00%3A58.111Z\
          &Index=35&MessageSid=IM11111111111111111111111111111111\
          &AccountSid=AC22222222222222222222222222222222&Source=SMS&ClientIdentity=&RetryCount=0\
          &Author=%2B15005550001&ParticipantSid=MB33333333333333333333333333333333\
          &Body=two+words&ConversationSid=CH44444444444444444444444444444444\
          &ChatServiceSid=IS55555555555555555555555555555555",
    );
    let envelope = decode(&fields).unwrap();
    assert_eq!(envelope.account_sid.to_string(), "AC22222222222222222222222222222222");
    assert_eq!(
        envelope.chat_service_sid.unwrap().to_string(),
        "IS55555555555555555555555555555555"
    );
    assert_eq!(envelope.source.as_deref(), Some("SMS"));
    assert_eq!((envelope.client_identity, envelope.retry_count), (None, Some(0)));
    let Event::MessageAdded(message) = envelope.event else { panic!("{:?}", envelope.event) };
    assert_eq!(message.index, Some(35));
    assert_eq!(message.author.as_ref().map(Pii::reveal), Some("+15005550001"));
    assert_eq!(message.body.as_ref().map(Pii::reveal), Some("two words"));
    assert_eq!(message.created, Timestamp::parse_rfc3339("2021-08-10T18:00:58.111Z"));
    assert_eq!(message.updated, None);
    assert!(message.media.is_empty());
}

#[test]
fn a_json_body_says_the_same_as_a_form() {
    let form = format!(
        "{}&Index=35&RetryCount=1&MessagingBinding.Address=%2B1&MessagingBinding.Address=%2B2\
         &Media=%5B%7B%22Sid%22%3A%22ME{H}%22%7D%5D",
        full_form("onConversationAdd")
    );
    let json = format!(
        r#"{{"EventType":"onConversationAdd","AccountSid":"AC{H}","ConversationSid":"CH{H}",
            "MessageSid":"IM{H}","ParticipantSid":"MB{H}","UserSid":"US{H}","Index":35,
            "RetryCount":1,"MessagingBinding":{{"Address":["+1","+2"]}},"Author":null,
            "Media":[{{"Sid":"ME{H}"}}]}}"#
    );
    let from_form = decode(&Fields::from_form(form.as_bytes())).unwrap();
    let from_json = decode(&Fields::from_json(json.as_bytes()).unwrap()).unwrap();
    assert_eq!(from_form, from_json);
    let Event::ConversationAdd(draft) = from_json.event else { panic!() };
    assert_eq!(draft.binding.unwrap().addresses.len(), 2);
    assert_eq!(draft.media.len(), 1);
}

#[test]
fn a_missing_or_malformed_sid_is_an_error_that_names_the_field() {
    for (event_type, needed) in [
        ("onMessageAdded", vec!["AccountSid", "ConversationSid", "MessageSid"]),
        ("onConversationAdded", vec!["AccountSid", "ConversationSid"]),
        ("onConversationStateUpdated", vec!["AccountSid", "ConversationSid"]),
        ("onParticipantAdded", vec!["AccountSid", "ConversationSid", "ParticipantSid"]),
        ("onDeliveryUpdated", vec!["AccountSid", "ConversationSid", "MessageSid"]),
        ("onUserAdded", vec!["AccountSid", "UserSid"]),
        ("onMessageAdd", vec!["AccountSid", "ConversationSid"]),
        ("onConversationAdd", vec!["AccountSid"]),
    ] {
        for field in needed {
            let form = full_form(event_type);
            let without = form.replace(&format!("{field}="), "Other=");
            let error = decode(&Fields::from_form(without.as_bytes())).unwrap_err();
            assert_eq!(error, Error::Missing { field: error.field().unwrap() });
            assert_eq!(error.field(), Some(field), "{event_type}");

            let wrong = form.replace(&format!("{field}="), &format!("{field}=x"));
            let error = decode(&Fields::from_form(wrong.as_bytes())).unwrap_err();
            assert!(matches!(error, Error::Malformed { .. }), "{event_type}: {error:?}");
            assert_eq!(error.field(), Some(field), "{event_type}");
        }
    }
    let error = decode(&Fields::from_form(format!("AccountSid=AC{H}").as_bytes())).unwrap_err();
    assert_eq!(error.field(), Some("EventType"));
}

#[test]
fn what_is_optional_may_be_missing_empty_or_unreadable() {
    let form = format!(
        "{}&Index=&DateCreated=soon&Media=%5Bnot+json&MessagingServiceSid=x",
        full_form("onMessageAdded").replace("ParticipantSid=", "ParticipantSid=x")
    );
    let Event::MessageAdded(message) = decode(&Fields::from_form(form.as_bytes())).unwrap().event
    else {
        panic!()
    };
    assert_eq!(
        (message.index, message.created, message.participant_sid, message.media.len()),
        (None, None, None, 0)
    );
    let media = "[{\"Sid\":\"bad\"},{\"Sid\":\"ME00000000000000000000000000000001\",\"Size\":3}]";
    let form = crate::twilio::form::encode([("Media", media)]);
    let form = format!("{}&{form}", full_form("onMessageAdded"));
    let Event::MessageAdded(message) = decode(&Fields::from_form(form.as_bytes())).unwrap().event
    else {
        panic!()
    };
    assert_eq!(message.media.iter().map(|media| media.size).collect::<Vec<_>>(), [Some(3)]);
}

#[test]
fn what_cannot_be_read_in_json_costs_nothing_but_itself() {
    let media = format!(
        r#"[{{"Sid":"ME{H}","Size":"3","Filename":"\ud83d","ContentType":null}},{{"Sid":null}},7]"#
    );
    let media = crate::twilio::form::encode([("Media", media.as_str())]);
    let form = format!("{}&{media}", full_form("onMessageAdded"));
    let Event::MessageAdded(message) = decode(&Fields::from_form(form.as_bytes())).unwrap().event
    else {
        panic!()
    };
    let file = &message.media[0];
    assert_eq!((message.media.len(), file.size, &file.content_type), (1, Some(3), &None));
    assert_eq!(file.filename.as_ref().unwrap().reveal(), "\u{fffd}");
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    let body = format!(
        r#"{{"AccountSid":"AC{H}","EventType":"onMessageAdded","ConversationSid":"CH{H}",
            "MessageSid":"IM{H}","Index":"7","Body":"a\ud83d","Author":null,"Deep":{deep},
            "Attributes":{{"n":1e400,"k":"\ude00"}}}}"#
    );
    let Event::MessageAdded(message) =
        decode(&Fields::from_json(body.as_bytes()).unwrap()).unwrap().event
    else {
        panic!()
    };
    assert_eq!((message.index, &message.author), (Some(7), &None));
    assert_eq!(message.body.unwrap().reveal(), "a\u{fffd}");
    assert_eq!(message.attributes.unwrap().reveal(), "{\"k\":\"\u{fffd}\"}");
}

#[test]
fn details_of_the_rarer_events_are_read() {
    let form = format!(
        "{}&StateFrom=initializing&StateTo=active&Reason=EVENT",
        full_form("onConversationStateUpdated")
    );
    let Event::ConversationStateUpdated(change) =
        decode(&Fields::from_form(form.as_bytes())).unwrap().event
    else {
        panic!()
    };
    assert_eq!(change.from, Some(ConversationState::Initializing));
    assert_eq!(change.to, Some(ConversationState::Active));
    assert_eq!(change.reason.as_deref(), Some("EVENT"));

    for (code, read) in [("63016", Some(63016)), ("0", None), ("", None), ("x", None)] {
        let form =
            format!("{}&Status=undelivered&ErrorCode={code}", full_form("onDeliveryUpdated"));
        let Event::DeliveryUpdated(update) =
            decode(&Fields::from_form(form.as_bytes())).unwrap().event
        else {
            panic!()
        };
        assert_eq!((update.status, update.error_code), (Some(DeliveryStatus::Undelivered), read));
    }

    let form = format!("{}&isOnline=true&isNotifiable=False", full_form("onUserUpdated"));
    let Event::UserUpdated(user) = decode(&Fields::from_form(form.as_bytes())).unwrap().event
    else {
        panic!()
    };
    assert_eq!((user.is_online, user.is_notifiable), (Some(true), Some(false)));
}

#[test]
fn an_unknown_type_stays_representable_and_bounded() {
    let form = full_form(&format!("onSomethingNew{}", "x".repeat(1000)));
    let Event::Unknown { event_type } = decode(&Fields::from_form(form.as_bytes())).unwrap().event
    else {
        panic!()
    };
    assert!(event_type.starts_with("onSomethingNew") && event_type.len() == UNKNOWN_NAME_MAX);
    // Case counts: this is not onMessageAdded.
    assert_eq!(EventType::parse("onmessageadded"), EventType::Unknown);
}

#[test]
fn a_body_that_is_no_json_object_is_an_error_without_its_text() {
    for body in [&b"\"planted\""[..], b"[1]", b"{\"a\":", b"", b"\xff"] {
        let error = Fields::from_json(body).unwrap_err();
        assert!(matches!(error, Error::Json { .. }));
        assert!(!format!("{error} {error:?}").contains("planted"));
    }
}

#[test]
fn debug_of_an_event_shows_no_personal_data() {
    let form = format!(
        "{}&Author=%2B15555550123&Body=planted&MessagingBinding.Address=%2B15555550123\
         &Identity=planted&FriendlyName=planted&ClientIdentity=planted&Attributes=planted",
        full_form("onMessageAdded")
    );
    for event_type in EventType::ALL {
        let form = form.replace("onMessageAdded", event_type.as_str());
        let fields = Fields::from_form(form.as_bytes());
        let shown = format!("{fields:?} {:?}", decode(&fields).unwrap());
        assert!(!shown.contains("planted") && !shown.contains("5555"), "{shown}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_decoding_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&Fields::from_form(&bytes));
        if let Ok(fields) = Fields::from_json(&bytes) {
            let _ = decode(&fields);
        }
    }

    #[test]
    fn no_values_make_decoding_of_an_event_panic(
        at in 0..EventType::ALL.len(), value in ".{0,40}",
        name in prop::sample::select(vec!["Media", "Index", "DateCreated", "ErrorCode", "State"]),
    ) {
        let extra = crate::twilio::form::encode([(name, value.as_str())]);
        let form = format!("{}&{extra}", full_form(EventType::ALL[at].as_str()));
        prop_assert!(decode(&Fields::from_form(form.as_bytes())).is_ok());
    }
}

const H: &str = "0123456789abcdef0123456789abcdef";

/// A form with every sid that any event needs.
fn full_form(event_type: &str) -> String {
    format!(
        "EventType={event_type}&AccountSid=AC{H}&ConversationSid=CH{H}&MessageSid=IM{H}\
         &ParticipantSid=MB{H}&UserSid=US{H}"
    )
}
