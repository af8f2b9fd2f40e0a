//! The world as a whole: every write in every state, the rules of addresses and limits, and random
//! runs held against what a client would make of the events.

mod alarms;
mod groups;
mod opt_out;

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;

use super::command::{
    LastRead, MessageChange, NewConversation, NewMessage, NewParticipant, ParticipantChange,
    UserFields,
};
use super::model::{DeliveryStatus, HookMethod, HookTarget, State};
use super::sync::{EventType, Kind};
use super::*;

const PHONE: &str = "+15555550123";
const OURS: &str = "+15555550100";
const API: Actor = Actor::Api { hooks: true };

#[test]
fn every_write_is_refused_in_a_conversation_that_cannot_be_changed() {
    for (state, code) in [
        (State::Active, None),
        (State::Inactive, None),
        (State::Closed, Some(50377)),
        (State::Initializing, Some(50391)),
    ] {
        let (mut world, sid, participant, message) = inhabited();
        world.conversation_mut(sid).unwrap().state = state;
        let writes = [
            add(sid, identity("new")),
            say(sid, "bot", "text"),
            Command::UpdateMessage { conversation: sid, message, change: edit("new") },
            Command::UpdateConversation { conversation: sid, change: rename("new") },
            Command::RemoveMessage { conversation: sid, message },
        ];
        for write in writes {
            let asked = format!("{write:?}");
            let result = world.apply(at(5), &API, write).err().map(|refusal| refusal.code());
            assert_eq!(result, code, "{state:?}: {asked}");
        }
        // Leaving and reading are always possible (assumed).
        let change = ParticipantChange {
            last_read: Some(LastRead { index: Some(0), at: None }),
            ..ParticipantChange::default()
        };
        let read = Command::UpdateParticipant { conversation: sid, participant, change };
        world.apply(at(6), &API, read).unwrap();
        let leave = Command::RemoveParticipant { conversation: sid, participant };
        world.apply(at(7), &API, leave).unwrap();
        world.apply(at(8), &API, Command::RemoveConversation { conversation: sid }).unwrap();
    }
}

#[test]
fn a_refused_write_changes_nothing_and_tells_nobody() {
    let (mut world, sid, _, message) = inhabited();
    drain(&mut world);
    let before = serde_json::to_value(&world).unwrap();
    let long = "x".repeat(40_000);
    let writes = [
        add(sid, identity("bot")),
        add(sid, NewParticipant::default()),
        say(sid, "bot", ""),
        say(sid, "bot", &long),
        Command::UpdateMessage { conversation: sid, message, change: edit(&long) },
        Command::UpdateConversation {
            conversation: sid,
            change: NewConversation { attributes: Some("{".into()), ..Default::default() },
        },
        Command::CreateUser {
            service: world.default_service(),
            identity: "bot".into(),
            fields: UserFields::default(),
        },
    ];
    for write in writes {
        let asked = format!("{write:?}");
        assert!(world.apply(at(9), &API, write).is_err(), "{asked}");
        assert!(world.poll().is_none(), "{asked}");
    }
    assert_eq!(serde_json::to_value(&world).unwrap(), before);
}

#[test]
fn addresses_are_checked_before_they_are_held() {
    let (mut world, sid, _, _) = inhabited();
    for (address, proxy, code) in [
        ("nobody", OURS, 50407),
        (PHONE, "nobody", 50408),
        (PHONE, PHONE, 50409),
        ("whatsapp:+15555550123", OURS, 50414),
        ("whatsapp:+15555550123", "whatsapp:+15555550100", 0),
        (PHONE, OURS, 0),
        (PHONE, OURS, 50416),
        (PHONE, "+15555550101", 50416),
    ] {
        let result = world.apply(at(1), &API, add(sid, pair_of(address, proxy)));
        assert_eq!(result.err().map_or(0, |refusal| refusal.code()), code, "{address} {proxy}");
    }
    let both = NewParticipant { identity: Some("x".into()), ..pair_of("+15555550199", OURS) };
    assert_eq!(world.apply(at(1), &API, add(sid, both)), Err(Refusal::IdentityAndAddress));
}

#[test]
fn a_pair_is_free_again_when_its_participant_or_conversation_is_gone() {
    let (mut world, sid, _, _) = inhabited();
    let (other, third) = (create(&mut world, None), create(&mut world, None));
    let wanted = || pair_of(PHONE, OURS);
    let Outcome::Participant(_, one) = world.apply(at(1), &API, add(sid, wanted())).unwrap() else {
        panic!("a participant was added")
    };
    assert_eq!(world.apply(at(1), &API, add(other, wanted())), Err(Refusal::BindingExists(sid)));
    let leave = Command::RemoveParticipant { conversation: sid, participant: one };
    world.apply(at(1), &API, leave).unwrap();
    world.apply(at(1), &API, add(other, wanted())).unwrap();
    let close = NewConversation { state: Some(State::Closed), ..Default::default() };
    let close = Command::UpdateConversation { conversation: other, change: close };
    world.apply(at(1), &API, close).unwrap();
    world.apply(at(1), &API, add(third, wanted())).unwrap();
    world.apply(at(2), &API, Command::RemoveConversation { conversation: third }).unwrap();
    world.apply(at(3), &API, add(sid, wanted())).unwrap();
}

#[test]
fn closed_conversations_do_not_count_against_an_identity() {
    let (mut world, sid, _, _) = inhabited();
    world.limits_mut().conversations_per_identity = 2;
    let (second, third) = (create(&mut world, None), create(&mut world, None));
    world.apply(at(1), &API, add(second, identity("bot"))).unwrap();
    let full = world.apply(at(1), &API, add(third, identity("bot")));
    assert_eq!(full, Err(Refusal::TooManyConversations));
    let close = NewConversation { state: Some(State::Closed), ..Default::default() };
    let close = Command::UpdateConversation { conversation: sid, change: close };
    world.apply(at(1), &API, close).unwrap();
    world.apply(at(1), &API, add(third, identity("bot"))).unwrap();
}

#[test]
fn an_incoming_message_makes_its_conversation_in_twilios_order() {
    let mut world = world();
    let inbound = sms("hello");
    let Route::Autocreate { service, settings } = world.route(&inbound) else {
        panic!("the messaging service makes conversations")
    };
    let asked = world.ask_autocreate(at(1), &inbound, service).unwrap();
    assert_eq!((asked.kind, asked.conversation), (EventKind::ConversationAdd, None));
    let amendment =
        command::Amendment { friendly_name: Some("amended".into()), ..Default::default() };
    let (sid, _) = world.autocreate(at(1), &inbound, (service, settings), amendment).unwrap();
    let events: Vec<EventKind> = drain(&mut world)
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::Hook(occurrence) => Some(occurrence.kind),
            _ => None,
        })
        .collect();
    assert_eq!(
        events,
        [EventKind::ConversationAdded, EventKind::ParticipantAdded, EventKind::MessageAdded]
    );
    let conversation = world.conversation(sid).unwrap();
    assert_eq!(conversation.friendly_name.as_deref(), Some("amended"));
    assert!(matches!(world.route(&inbound), Route::Existing(holder) if holder == sid));
}

#[test]
fn what_twilio_would_not_deliver_fails() {
    let mut world = world();
    let inbound = sms("hello");
    let route = (world.default_service(), None);
    world.hear(at(1), &inbound);
    let (sid, _) = world.autocreate(at(1), &inbound, route, command::Amendment::default()).unwrap();
    let answer = |world: &mut World, when, text: &str| {
        let Ok(Outcome::Message(_, message)) = world.apply(when, &API, say(sid, "bot", text))
        else {
            panic!("the message is stored")
        };
        let message = world.find_message(sid, message).unwrap().1;
        (message.receipts[0].status, message.receipts[0].error_code)
    };
    assert_eq!(answer(&mut world, at(2), "fine"), (DeliveryStatus::Sent, None));
    let long = "x".repeat(1601);
    assert_eq!(answer(&mut world, at(3), &long), (DeliveryStatus::Failed, Some(21617)));
    world.hear(at(4), &sms("Stop "));
    assert_eq!(answer(&mut world, at(5), "gone"), (DeliveryStatus::Failed, Some(21610)));
    world.hear(at(6), &sms("start"));
    assert_eq!(answer(&mut world, at(7), "back"), (DeliveryStatus::Sent, None));
    // WhatsApp: within 24 hours of the user's last message only.
    let (from, to) = (Pii::new("whatsapp:+15555550123"), Pii::new("whatsapp:+15555550100"));
    let inbound = Inbound::new(from, to, Some(Pii::new("hi"))).unwrap();
    world.hear(at(10), &inbound);
    let route = (world.default_service(), None);
    let (sid, _) =
        world.autocreate(at(10), &inbound, route, command::Amendment::default()).unwrap();
    let day = Duration::from_secs(24 * 3600);
    for (when, code) in [(at(10) + day, None), (at(11) + day, Some(63016))] {
        let Ok(Outcome::Message(_, message)) = world.apply(when, &API, say(sid, "bot", "x")) else {
            panic!("the message is stored")
        };
        let message = world.find_message(sid, message).unwrap().1;
        assert_eq!(message.receipts[0].error_code, code);
    }
}

#[test]
fn a_delivery_never_goes_back_and_ends_for_good() {
    use DeliveryStatus::{Delivered, Failed, Read, Sent, Undelivered};
    for first in [Sent, Delivered, Read, Failed, Undelivered] {
        for second in DeliveryStatus::ALL.iter().copied() {
            let mut world = world();
            let route = (world.default_service(), None);
            let amendment = command::Amendment::default();
            let (sid, _) = world.autocreate(at(1), &sms("hi"), route, amendment).unwrap();
            let Ok(Outcome::Message(_, message)) = world.apply(at(1), &API, say(sid, "bot", "x"))
            else {
                panic!("the message is stored")
            };
            let to = world.find_message(sid, message).unwrap().1.receipts[0].participant;
            let mut advance =
                |status| world.advance_delivery(at(2), (sid, message, to), (status, None)).unwrap();
            assert_eq!(advance(first), first != Sent);
            let moves = match (first, second) {
                (Sent, Sent) | (Delivered, Sent | Delivered) => false,
                (Sent | Delivered, _) => true,
                (Read | Failed | Undelivered, _) => false,
            };
            assert_eq!(advance(second), moves, "{first:?} then {second:?}");
        }
    }
}

#[test]
fn of_the_wide_scopes_one_fires() {
    let hook = |url: &str| HookSettings {
        pre_url: None,
        post_url: Some(url.into()),
        filters: EventKind::ALL.to_vec(),
        method: Some(HookMethod::Post),
    };
    for (rule, account, service, source, kind, fires) in [
        (ScopeRule::Documented, true, true, "SMS", EventKind::MessageAdded, Some("service")),
        (ScopeRule::Observed, true, true, "SMS", EventKind::MessageAdded, Some("account")),
        (ScopeRule::Observed, true, true, "SMS", EventKind::DeliveryUpdated, Some("service")),
        (ScopeRule::Observed, true, true, "API", EventKind::MessageAdded, Some("service")),
        (ScopeRule::Observed, false, true, "SMS", EventKind::MessageAdded, Some("service")),
        (ScopeRule::Documented, true, false, "SMS", EventKind::MessageAdded, Some("account")),
        (ScopeRule::Documented, false, false, "SMS", EventKind::MessageAdded, None),
        (ScopeRule::Documented, false, true, "API", EventKind::UserAdded, None),
        (ScopeRule::Documented, true, false, "API", EventKind::UserAdded, Some("account")),
    ] {
        let (mut world, sid, _, _) = inhabited();
        world.settings.scope_rule = rule;
        let of = Some(world.default_service());
        if account {
            world.set_hook_settings(None, hook("account")).unwrap();
        }
        if service {
            world.set_hook_settings(of, hook("service")).unwrap();
        }
        let occurrence =
            Occurrence { source, ..about(world.conversation(sid).unwrap(), kind, Fields::new()) };
        let targets = world.targets(&occurrence);
        let urls: Vec<&str> = targets.iter().map(|target| target.url.as_str()).collect();
        assert_eq!(urls, fires.into_iter().collect::<Vec<_>>(), "{rule:?} {source} {kind:?}");
    }
}

#[test]
fn a_conversation_has_five_webhooks_at_most_and_only_for_what_comes_after() {
    let (mut world, sid, _, _) = inhabited();
    let fields = |filters| HookFields {
        url: Some("http://x/".into()),
        filters: Some(filters),
        ..HookFields::default()
    };
    let pre =
        world.create_hook(at(1), sid, HookTarget::Webhook, fields(vec![EventKind::MessageAdd]));
    assert_eq!(pre.err(), Some(Refusal::HookFilterInvalid));
    let none = HookFields { url: None, ..fields(Vec::new()) };
    let none = world.create_hook(at(1), sid, HookTarget::Webhook, none);
    assert_eq!(none.err(), Some(Refusal::HookUrlMissing));
    for number in 0..6 {
        let filters = vec![EventKind::MessageAdded];
        let made = world.create_hook(at(1), sid, HookTarget::Webhook, fields(filters));
        assert_eq!(made.is_ok(), number < 5);
    }
    let keyword = HookFields { triggers: Some(vec!["Help".into()]), ..fields(Vec::new()) };
    let hook = world.conversation(sid).unwrap().hooks[0].sid;
    world.remove_hook(sid, hook).unwrap();
    world.create_hook(at(1), sid, HookTarget::Trigger, keyword).unwrap();
    drain(&mut world);
    for (text, count) in [("please help me", 5), ("hello", 4)] {
        world.apply(at(2), &API, say(sid, "bot", text)).unwrap();
        let told = drain(&mut world).into_iter().find_map(|effect| match effect {
            Effect::Hook(occurrence) if occurrence.kind == EventKind::MessageAdded => {
                Some(occurrence)
            }
            _ => None,
        });
        assert_eq!(world.targets(&told.unwrap()).len(), count, "{text}");
    }
}

#[test]
fn the_three_objects_are_told_before_the_item_that_leads_to_them() {
    let mut world = world();
    world.set_online(at(0), world.default_service(), "bot", true);
    drain(&mut world);
    let sid = create(&mut world, None);
    world.apply(at(1), &API, add(sid, identity("bot"))).unwrap();
    let kinds: Vec<EventType> = drain(&mut world)
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::Sync(emitted) => Some(emitted.event_type),
            _ => None,
        })
        .collect();
    // Roster first, then the item in the user's own map.
    assert_eq!(kinds, [EventType::MapItemAdded, EventType::MapItemAdded]);
    for (kind, suffix) in
        [(Kind::Document, "channel"), (Kind::List, "messages"), (Kind::Map, "roster")]
    {
        let name = format!("{sid}.{suffix}");
        assert!(world.sync().find(world.default_service(), kind, &name).is_some(), "{name}");
    }
}

#[test]
fn a_stored_world_is_the_same_when_read_again() {
    let (mut world, sid, _, _) = inhabited();
    world.apply(at(1), &API, add(sid, pair_of(PHONE, OURS))).unwrap();
    drain(&mut world);
    let stored = serde_json::to_string(&world).unwrap();
    let mut read: World = serde_json::from_str(&stored).unwrap();
    let value = |world: &World| serde_json::to_value(world).unwrap();
    assert_eq!(value(&read), value(&world));
    // And goes on as the first would have.
    let (one, other) = (create(&mut read, None), create(&mut world, None));
    assert_eq!(one, other);
    assert!(matches!(read.route(&sms("x")), Route::Existing(holder) if holder == sid));
}

#[test]
fn a_reset_forgets_all_but_the_settings() {
    let (mut world, sid, _, _) = inhabited();
    let service = world.default_service();
    let hooks = HookSettings { post_url: Some("http://x/".into()), ..HookSettings::default() };
    world.set_hook_settings(Some(service), hooks.clone()).unwrap();
    world.reset(at(9));
    assert!(world.conversation(sid).is_none() && world.users(service).is_empty());
    assert_eq!(world.default_service(), service);
    assert_eq!(world.hook_settings(Some(service)), Ok(&hooks));
    assert_ne!(create(&mut world, None), sid);
}

#[derive(Clone, Debug)]
enum Step {
    Say(u8),
    Edit(u8),
    Remove(u8),
    Add(u8),
    Leave(u8),
    Read(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0_u8..6, 0_u8..8).prop_map(|(kind, number)| match kind {
        0 => Step::Say(number),
        1 => Step::Edit(number),
        2 => Step::Remove(number),
        3 => Step::Add(number),
        4 => Step::Leave(number),
        _ => Step::Read(number),
    });
    prop::collection::vec(step, 1..80)
}

proptest! {
    #[test]
    fn a_client_that_applies_every_event_knows_what_the_server_knows(
        steps in steps(),
        joins_after in 0_usize..80,
    ) {
        let (mut world, sid, _, _) = inhabited();
        world.limits_mut().conversation_writes = usize::MAX;
        let names = {
            let conversation = world.conversation(sid).unwrap();
            [conversation.list.clone(), conversation.roster.clone()]
        };
        // A client that reads everything at some point and then only follows the events.
        let mut mirror: [BTreeMap<String, Value>; 2] = Default::default();
        let mut last = [0_i64; 2];
        for (number, step) in steps.iter().enumerate() {
            if number == joins_after.min(steps.len() - 1) {
                mirror = read_all(&world, sid);
                last = names.clone().map(|name| last_event(&world, &name));
            }
            take(&mut world, sid, step);
        }
        if joins_after < steps.len() {
            for (at, name) in names.iter().enumerate() {
                follow(&world, name, last[at], &mut mirror[at]);
            }
            prop_assert_eq!(&mirror, &read_all(&world, sid));
        }
        // Every message is in the list under its own index, and indexes only grow.
        let conversation = world.conversation(sid).unwrap();
        let list = &read_all(&world, sid)[0];
        prop_assert_eq!(list.len(), conversation.messages.len());
        for (index, message) in &conversation.messages {
            let key = format!("{index:020}");
            prop_assert_eq!(&list[&key]["sid"], &serde_json::json!(message.sid));
            prop_assert_eq!(message.index, *index);
        }
        let roster = &read_all(&world, sid)[1];
        prop_assert_eq!(roster.len(), conversation.participants.len());
    }
}

fn take(world: &mut World, sid: ConversationSid, step: &Step) {
    let conversation = world.conversation(sid).unwrap();
    let message = |number: u8| {
        conversation.messages.values().nth(usize::from(number)).map(|message| message.sid)
    };
    let participant =
        |number: u8| conversation.participant_by_identity(&format!("p{number}")).map(|one| one.sid);
    let command = match *step {
        Step::Say(number) => Some(say(sid, "bot", &format!("text {number}"))),
        Step::Edit(number) => message(number).map(|message| Command::UpdateMessage {
            conversation: sid,
            message,
            change: edit("edited"),
        }),
        Step::Remove(number) => {
            message(number).map(|message| Command::RemoveMessage { conversation: sid, message })
        }
        Step::Add(number) => Some(add(sid, identity(&format!("p{number}")))),
        Step::Leave(number) => participant(number)
            .map(|participant| Command::RemoveParticipant { conversation: sid, participant }),
        Step::Read(number) => participant(number).map(|participant| Command::UpdateParticipant {
            conversation: sid,
            participant,
            change: ParticipantChange {
                last_read: Some(LastRead { index: Some(u64::from(number)), at: None }),
                ..ParticipantChange::default()
            },
        }),
    };
    // Refusals (a participant twice) are part of the run.
    if let Some(command) = command {
        let _ = world.apply(at(1), &API, command);
    }
}

fn object<'w>(world: &'w World, name: &str) -> &'w sync::Object {
    [Kind::List, Kind::Map]
        .into_iter()
        .find_map(|kind| world.sync().find(world.default_service(), kind, name))
        .unwrap()
}

fn last_event(world: &World, name: &str) -> i64 {
    object(world, name).last_event_id()
}

fn read_all(world: &World, sid: ConversationSid) -> [BTreeMap<String, Value>; 2] {
    let conversation = world.conversation(sid).unwrap();
    [&conversation.list, &conversation.roster].map(|name| {
        let mut all = BTreeMap::new();
        let mut from = None;
        loop {
            let query = sync::ItemsQuery {
                from: from.clone(),
                page_size: 10,
                ..sync::ItemsQuery::default()
            };
            let page = world.sync().items(object(world, name), &query);
            for item in page["items"].as_array().unwrap() {
                all.insert(key_of(item, "index", "key"), item["data"].clone());
                let key = item.get("index").unwrap_or(&item["key"]);
                from = Some(key.as_str().map_or_else(|| key.to_string(), str::to_owned));
            }
            if page["meta"]["next_token"].is_null() {
                return all;
            }
        }
    })
}

fn follow(world: &World, name: &str, last: i64, mirror: &mut BTreeMap<String, Value>) {
    for logged in object(world, name).events_after(last) {
        let key = key_of(&logged.event, "item_index", "item_key");
        match logged.event_type {
            EventType::ListItemRemoved | EventType::MapItemRemoved => {
                mirror.remove(&key);
            }
            _ => {
                mirror.insert(key, logged.event["item_data"].clone());
            }
        }
    }
}

fn key_of(value: &Value, index: &str, key: &str) -> String {
    match value[index].as_u64() {
        Some(index) => format!("{index:020}"),
        None => value[key].as_str().unwrap().to_owned(),
    }
}

fn world() -> World {
    let settings = Settings {
        account: AccountSid::from_bytes([9; 16]),
        limits: Limits::default(),
        scope_rule: ScopeRule::Documented,
        autocreate_all: true,
    };
    World::new(settings, Ids::seeded(1), at(0))
}

/// A world with one conversation, the bot in it, and one message.
fn inhabited() -> (World, ConversationSid, ParticipantSid, MessageSid) {
    let mut world = world();
    let sid = create(&mut world, Some("one"));
    let Ok(Outcome::Participant(_, bot)) = world.apply(at(0), &API, add(sid, identity("bot")))
    else {
        panic!("the bot is added")
    };
    let Ok(Outcome::Message(_, message)) = world.apply(at(0), &API, say(sid, "bot", "first"))
    else {
        panic!("the message is stored")
    };
    (world, sid, bot, message)
}

fn create(world: &mut World, unique_name: Option<&str>) -> ConversationSid {
    let service = world.default_service();
    let new = NewConversation { unique_name: unique_name.map(str::to_owned), ..Default::default() };
    match world.apply(at(0), &API, Command::CreateConversation { service, new }) {
        Ok(Outcome::Conversation(sid)) => sid,
        other => panic!("a conversation is made: {other:?}"),
    }
}

fn add(conversation: ConversationSid, new: NewParticipant) -> Command {
    Command::AddParticipant { conversation, new, mutation: None }
}

fn identity(identity: &str) -> NewParticipant {
    NewParticipant { identity: Some(identity.to_owned()), ..NewParticipant::default() }
}

fn pair_of(address: &str, proxy: &str) -> NewParticipant {
    NewParticipant {
        address: Some(Pii::new(address)),
        proxy: Some(Pii::new(proxy)),
        ..NewParticipant::default()
    }
}

fn say(conversation: ConversationSid, author: &str, body: &str) -> Command {
    let new = NewMessage {
        author: Some(author.to_owned()),
        body: Some(body.to_owned()),
        ..NewMessage::default()
    };
    Command::CreateMessage { conversation, new, mutation: None }
}

fn edit(body: &str) -> MessageChange {
    MessageChange { body: Some(body.to_owned()), ..MessageChange::default() }
}

fn rename(name: &str) -> NewConversation {
    NewConversation { friendly_name: Some(name.to_owned()), ..NewConversation::default() }
}

fn sms(text: &str) -> Inbound {
    Inbound::new(Pii::new(PHONE), Pii::new(OURS), Some(Pii::new(text))).unwrap()
}

fn drain(world: &mut World) -> Vec<Effect> {
    std::iter::from_fn(|| world.poll()).collect()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}
