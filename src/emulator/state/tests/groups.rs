//! Group MMS: how one begins, who finds it again, and what it refuses.

use super::*;
use crate::emulator::state::projection;

const OTHER: &str = "+15555550124";

#[test]
fn a_group_message_makes_its_conversation_in_twilios_order() {
    let mut world = world();
    let inbound = group(PHONE, &[OTHER]);
    let Route::Autocreate { service, settings } = world.route(&inbound) else {
        panic!("the messaging service makes conversations")
    };
    let asked = world.ask_autocreate(at(1), &inbound, service).unwrap();
    assert_eq!(all(&asked.fields, "MessagingBinding.Address"), [OURS, OTHER]);
    assert_eq!(all(&asked.fields, "MessagingBinding.AuthorAddress"), [PHONE]);
    assert_eq!(all(&asked.fields, "MessagingBinding.ProxyAddress"), [""; 0]);
    let (sid, _) =
        world.autocreate(at(1), &inbound, (service, settings), Default::default()).unwrap();
    let told = hooks(&mut world);
    let events: Vec<EventKind> = told.iter().map(|one| one.kind).collect();
    assert_eq!(
        events,
        [
            EventKind::ConversationAdded,
            EventKind::ParticipantAdded,
            EventKind::ParticipantAdded,
            EventKind::ParticipantAdded,
            EventKind::MessageAdded,
        ]
    );
    assert_eq!(all(&told[0].fields, "State"), ["initializing"]);
    assert_eq!(all(&told[1].fields, "MessagingBinding.Address"), [PHONE]);
    assert_eq!(all(&told[3].fields, "MessagingBinding.ProjectedAddress"), [OURS]);
    let conversation = world.conversation(sid).unwrap();
    assert_eq!(projection::document(conversation)["state"]["current"], "initializing");
    // The carrier has taken the message to the other phone.
    assert!(conversation.messages[&0].receipts.is_empty());
}

#[test]
fn a_group_cannot_be_changed_until_it_is_set_up() {
    let (mut world, sid) = begun();
    let writes = || [add(sid, identity("bot")), say(sid, PHONE, "text")];
    for write in writes() {
        let refused = world.apply(at(1), &API, write).unwrap_err();
        assert_eq!((refused.code(), refused.status()), (50391, 409));
    }
    let due = world.deadline().unwrap();
    assert_eq!(due, Timestamp::from_millis(1700));
    world.tick(Timestamp::from_millis(1699));
    assert!(hooks(&mut world).is_empty());
    world.tick(due);
    let told = hooks(&mut world);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].kind, EventKind::ConversationStateUpdated);
    for (name, value) in [("StateFrom", "initializing"), ("StateTo", "active"), ("Reason", "EVENT")]
    {
        assert_eq!(all(&told[0].fields, name), [value]);
    }
    assert_eq!(world.deadline(), None);
    let document = projection::document(world.conversation(sid).unwrap());
    assert_eq!(document["state"]["current"], "active");
    for write in writes() {
        world.apply(at(2), &API, write).unwrap();
    }
}

#[test]
fn every_member_finds_the_open_group_again() {
    let (mut world, sid) = begun();
    for (from, others, is_found) in [
        (PHONE, vec![OTHER], true),
        (OTHER, vec![PHONE], true),
        (OTHER, vec![PHONE, PHONE, OURS], true),
        (PHONE, vec![], false),
        (PHONE, vec!["+15555550125"], false),
        (PHONE, vec![OTHER, "+15555550125"], false),
    ] {
        let route = world.route(&group(from, &others));
        let found = matches!(route, Route::Existing(holder) if holder == sid);
        assert_eq!(found, is_found, "{from} {others:?}");
    }
    // Also while it is being set up.
    let second = World::message_of(&group(OTHER, &[PHONE]));
    let second = Command::CreateMessage { conversation: sid, new: second, mutation: None };
    world.apply(at(1), &Actor::Channel(model::Channel::Sms), second).unwrap();
    world.tick(at(2));
    let close = NewConversation { state: Some(State::Closed), ..Default::default() };
    let close = Command::UpdateConversation { conversation: sid, change: close };
    world.apply(at(3), &API, close).unwrap();
    assert!(matches!(world.route(&group(PHONE, &[OTHER])), Route::Autocreate { .. }));
}

#[test]
fn a_second_group_of_the_same_addresses_is_refused_and_names_the_first() {
    let (mut world, first) = begun();
    let second = create(&mut world, None);
    for new in [member(PHONE), member(OTHER)] {
        world.apply(at(1), &API, add(second, new)).unwrap();
    }
    let refused = world.apply(at(1), &API, add(second, projected(None))).unwrap_err();
    assert_eq!((refused.code(), refused.status()), (50438, 409));
    assert!(refused.to_string().ends_with(&format!("exists as Conversation {first}")));
    // One more address makes another group.
    world.apply(at(1), &API, add(second, member("+15555550125"))).unwrap();
    world.apply(at(1), &API, add(second, projected(Some("bot")))).unwrap();
    let found = world.route(&group(OTHER, &[PHONE, "+15555550125"]));
    assert!(matches!(found, Route::Existing(holder) if holder == second));
}

#[test]
fn a_groups_addresses_are_checked() {
    let (mut world, sid) = begun();
    world.tick(at(2));
    for (new, code) in [
        (member(PHONE), 50437),
        (projected(None), 50437),
        (member("nobody"), 50407),
        (member("whatsapp:+15555550125"), 50408),
        (pair_of("+15555550125", OURS), 50408),
        (NewParticipant { projected: Some(Pii::new("nobody")), ..identity("a") }, 50439),
        (identity("bot"), 0),
    ] {
        let asked = format!("{new:?}");
        let result = world.apply(at(2), &API, add(sid, new));
        assert_eq!(result.err().map_or(0, |refusal| refusal.code()), code, "{asked}");
    }
    // Nor is a phone without proxy address taken beside one that has one.
    let pairs = create(&mut world, None);
    world.apply(at(2), &API, add(pairs, pair_of(PHONE, OURS))).unwrap();
    let refused = world.apply(at(2), &API, add(pairs, member(OTHER)));
    assert_eq!(refused, Err(Refusal::ProxyInvalid));
}

#[test]
fn a_group_has_ten_addresses_at_most() {
    let numbers: Vec<String> = (0..9).map(|n| format!("+1555555020{n}")).collect();
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    let mut world = world();
    let service = world.default_service();
    let before = serde_json::to_value(&world).unwrap();
    let large = group(PHONE, &numbers);
    assert_eq!(world.ask_autocreate(at(1), &large, service).err(), Some(Refusal::GroupTooLarge));
    let made = world.autocreate(at(1), &large, (service, None), Default::default());
    assert_eq!(made, Err(Refusal::GroupTooLarge));
    assert_eq!(serde_json::to_value(&world).unwrap(), before);
    let full = group(PHONE, &numbers[..8]);
    let (sid, _) = world.autocreate(at(1), &full, (service, None), Default::default()).unwrap();
    world.tick(at(2));
    let refused = world.apply(at(2), &API, add(sid, member(numbers[8]))).unwrap_err();
    assert_eq!((refused.code(), refused.status()), (50436, 403));
}

#[test]
fn only_participants_write_in_a_group_and_chat_reaches_every_phone() {
    let (mut world, sid) = begun();
    world.tick(at(2));
    assert_eq!(world.apply(at(2), &API, say(sid, "bot", "x")), Err(Refusal::GroupAuthorUnknown));
    assert_eq!(Refusal::GroupAuthorUnknown.code(), 50513);
    world.apply(at(2), &API, add(sid, identity("bot"))).unwrap();
    drain(&mut world);
    world.apply(at(2), &API, say(sid, "bot", "x")).unwrap();
    let taken = drain(&mut world).into_iter().filter(|one| matches!(one, Effect::Deliver { .. }));
    assert_eq!(taken.count(), 2);
}

/// A group of two phones and our number, whose first message came at second 1.
fn begun() -> (World, ConversationSid) {
    let mut world = world();
    let inbound = group(PHONE, &[OTHER]);
    let service = world.default_service();
    let (sid, _) = world.autocreate(at(1), &inbound, (service, None), Default::default()).unwrap();
    drain(&mut world);
    (world, sid)
}

fn group(from: &str, others: &[&str]) -> Inbound {
    let one = Inbound::new(Pii::new(from), Pii::new(OURS), Some(Pii::new("hello"))).unwrap();
    one.with_others(others.iter().copied().map(Pii::new).collect()).unwrap()
}

fn member(address: &str) -> NewParticipant {
    NewParticipant { address: Some(Pii::new(address)), ..NewParticipant::default() }
}

fn projected(identity: Option<&str>) -> NewParticipant {
    NewParticipant {
        identity: identity.map(str::to_owned),
        projected: Some(Pii::new(OURS)),
        ..NewParticipant::default()
    }
}

pub(super) fn hooks(world: &mut World) -> Vec<Occurrence> {
    let hook = |effect| match effect {
        Effect::Hook(occurrence) => Some(occurrence),
        _ => None,
    };
    drain(world).into_iter().filter_map(hook).collect()
}

pub(super) fn all<'a>(fields: &'a Fields, name: &str) -> Vec<&'a str> {
    let named = fields.iter().filter(|(other, _)| *other == name);
    named.map(|(_, value)| value.reveal()).collect()
}
