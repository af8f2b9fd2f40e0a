//! What time does to a conversation.

use super::groups::{all, hooks};
use super::*;
use crate::emulator::state::model::Timers;

#[test]
fn a_silent_conversation_falls_asleep_and_closes() {
    let (mut world, sid) = timed(Some("PT1M"), Some("PT10M"));
    world.apply(at(2), &API, add(sid, pair_of(PHONE, OURS))).unwrap();
    hooks(&mut world);
    for (seconds, state, told) in [
        (59, State::Active, None),
        (60, State::Inactive, Some(["active", "inactive"])),
        (599, State::Inactive, None),
        (600, State::Closed, Some(["inactive", "closed"])),
        (10_000, State::Closed, None),
    ] {
        world.tick(at(seconds));
        assert_eq!(world.conversation(sid).unwrap().state, state, "{seconds}");
        let events = hooks(&mut world);
        assert_eq!(events.len(), usize::from(told.is_some()), "{seconds}");
        if let (Some([from, to]), Some(event)) = (told, events.first()) {
            assert_eq!(event.kind, EventKind::ConversationStateUpdated);
            assert_eq!(all(&event.fields, "StateFrom"), [from]);
            assert_eq!(all(&event.fields, "StateTo"), [to]);
            assert_eq!(all(&event.fields, "Reason"), ["TIMER"]);
        }
    }
    // It lets its addresses go, as one that is closed by hand does.
    assert!(matches!(world.route(&sms("again")), Route::Autocreate { .. }));
    assert_eq!(world.deadline(), None);
}

#[test]
fn a_message_puts_the_timers_off_and_wakes_who_sleeps() {
    let (mut world, sid) = timed(Some("PT1M"), Some("PT10M"));
    world.apply(at(30), &API, say(sid, "a", "still here")).unwrap();
    hooks(&mut world);
    world.tick(at(60));
    assert_eq!(world.conversation(sid).unwrap().state, State::Active);
    assert_eq!(world.deadline(), Some(at(90)));
    world.tick(at(90));
    assert_eq!(world.conversation(sid).unwrap().state, State::Inactive);
    assert_eq!(world.deadline(), Some(at(630)));
    hooks(&mut world);
    world.apply(at(100), &API, say(sid, "a", "back")).unwrap();
    let told = hooks(&mut world);
    let moved = told.iter().find(|one| one.kind == EventKind::ConversationStateUpdated).unwrap();
    assert_eq!(all(&moved.fields, "StateTo"), ["active"]);
    assert_eq!(all(&moved.fields, "Reason"), ["EVENT"]);
    assert_eq!(world.deadline(), Some(at(160)));
}

#[test]
fn timers_that_are_set_late_or_taken_away_count_at_once() {
    let (mut world, sid) = timed(None, None);
    assert_eq!(world.deadline(), None);
    let set = |inactive: &str| Command::UpdateConversation {
        conversation: sid,
        change: NewConversation {
            timers: Timers { inactive: Some(inactive.into()), closed: None },
            ..NewConversation::default()
        },
    };
    for (text, deadline) in [("PT1H", 3605), ("PT1M", 65)] {
        world.apply(at(5), &API, set(text)).unwrap();
        assert_eq!(world.deadline(), Some(at(deadline)), "{text}");
    }
    world.apply(at(5), &API, set("")).unwrap();
    world.tick(at(10_000));
    assert_eq!(world.conversation(sid).unwrap().state, State::Active);
    assert_eq!(world.deadline(), None);
}

#[test]
fn a_conversation_that_is_gone_is_not_waited_for() {
    let (mut world, sid) = timed(Some("PT1M"), None);
    world.apply(at(1), &API, Command::RemoveConversation { conversation: sid }).unwrap();
    hooks(&mut world);
    world.tick(at(60));
    assert!(world.poll().is_none());
    assert_eq!(world.deadline(), None);
}

#[test]
fn a_stored_world_keeps_its_deadline() {
    let (world, _) = timed(Some("PT1M"), None);
    let stored = serde_json::to_string(&world).unwrap();
    let read: World = serde_json::from_str(&stored).unwrap();
    assert_eq!(read.deadline(), Some(at(60)));
}

fn timed(inactive: Option<&str>, closed: Option<&str>) -> (World, ConversationSid) {
    let mut world = world();
    let new = NewConversation {
        timers: Timers { inactive: inactive.map(str::to_owned), closed: closed.map(str::to_owned) },
        ..NewConversation::default()
    };
    let service = world.default_service();
    match world.apply(at(0), &API, Command::CreateConversation { service, new }) {
        Ok(Outcome::Conversation(sid)) => (world, sid),
        other => panic!("a conversation is made: {other:?}"),
    }
}
