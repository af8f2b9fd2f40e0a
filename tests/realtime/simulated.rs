//! Hours over a bad link in virtual time: every message once, in order, whatever breaks.

use std::collections::BTreeMap;
use std::time::Duration;

use chimein::realtime::Event;
use chimein::realtime::conversations::core::Input;

use super::link::{Link, Weather};
use super::server::{Server, conversation};

#[test]
fn in_any_weather_every_message_comes_once_and_in_order() {
    let calm = Weather::default();
    let breaking = Weather { breaks: 30, ..calm };
    let silent = Weather { silences: 10, ..calm };
    let untidy = Weather { losses: 100, doubles: 100, swaps: 100, ..calm };
    let all = Weather { breaks: 20, losses: 100, doubles: 100, swaps: 100, silences: 5, ..calm };
    for weather in [calm, breaking, silent, untidy, all] {
        for seed in 0..6 {
            storm(weather, seed, 1000);
            // With hardly any replay the client has to read instead.
            storm(weather, seed, 3);
        }
    }
}

#[test]
fn an_owner_that_sleeps_gets_everything_when_it_wakes() {
    let mut link = Link::new(server(3, 1000), Weather::default(), 5);
    link.run(Duration::from_secs(30));
    link.taking = false;
    for _ in 0..300 {
        let number = link.below(3);
        let frames = link.server.store(number, "while asleep").1;
        link.push(frames);
        link.run(Duration::from_millis(100));
    }
    assert!(link.core.events_waiting() <= 70, "{}", link.core.events_waiting());
    link.taking = true;
    link.run(Duration::from_secs(60));
    check(&link);
}

#[test]
fn a_warm_start_of_a_thousand_seats_takes_few_requests() {
    let mut link = Link::new(server(1000, 1000), Weather::default(), 1);
    link.run(Duration::from_secs(300));
    let cold = link.server.requests;
    let resume = link.core.resume();
    assert_eq!(resume.seats(), 1000);
    let Link { mut server, .. } = link;
    server.requests = 0;
    let missed = server.store(77, "while away").0;
    let options = super::link::options();
    let mut link = Link::new(server, Weather::default(), 2);
    link.core = chimein::realtime::conversations::core::Core::new(options, Some(resume), 2, 1);
    for number in 0..1000 {
        let last = link.server.stored(number).into_iter().rfind(|index| *index != missed);
        link.handled.insert(conversation(number), last.unwrap_or(0));
    }
    link.core.handle(link.now, Input::Start);
    link.events.clear();
    link.run(Duration::from_secs(60));
    let warm = link.server.requests;
    assert!(warm <= 100, "warm {warm}, cold {cold}");
    let messages: Vec<_> = link.events.iter().filter_map(message).collect();
    assert_eq!(messages, [(77, missed)]);
}

#[test]
fn a_seat_that_was_lost_between_two_clients_is_told() {
    let mut link = Link::new(server(3, 1000), Weather::default(), 4);
    link.run(Duration::from_secs(30));
    let resume = link.core.resume();
    assert_eq!(resume.seats(), 3);
    // Another life of the server, in which the bot sits in two of them.
    let mut link = Link::new(server(2, 1000), Weather::default(), 5);
    let options = super::link::options();
    link.core = chimein::realtime::conversations::core::Core::new(options, Some(resume), 5, 1);
    link.core.handle(link.now, Input::Start);
    link.events.clear();
    link.run(Duration::from_secs(60));
    let left = |event: &Event| match event {
        Event::Left { conversation } => Some(*conversation),
        _ => None,
    };
    let left: Vec<_> = link.events.iter().filter_map(left).collect();
    assert_eq!(left, [conversation(2)]);
}

#[test]
fn what_changed_before_a_conversation_is_opened_anew_is_told() {
    let mut link = Link::new(server(1, 1000), Weather::default(), 3);
    link.run(Duration::from_secs(30));
    link.events.clear();
    let frames = link.server.replace_document(0);
    assert!(!frames.is_empty());
    link.push(frames);
    link.run(Duration::from_secs(30));
    let topic = |event: &Event| match event {
        Event::ConversationUpdated { details, .. } => details.attributes.clone(),
        _ => None,
    };
    let topics: Vec<_> = link.events.iter().filter_map(topic).collect();
    assert_eq!(topics, [r#"{"topic":1}"#.into()]);
}

/// More conversations than one page of the user's list has, whose readings overlap.
#[test]
fn no_seat_is_lost_when_the_list_is_read_again_while_it_is_read() {
    const MANY: usize = 350;
    let calm = Weather::default();
    let weather = Weather { losses: 200, doubles: 100, swaps: 100, slowness: 400, ..calm };
    for seed in 0..6 {
        let mut link = Link::new(server(MANY, 1000), weather, seed);
        let mut all = MANY;
        for _ in 0..60 {
            let frames = link.server.add_conversation();
            link.push(frames);
            all += 1;
            link.run(Duration::from_millis(400));
        }
        link.weather = Weather::default();
        link.run(Duration::from_secs(300));
        for number in 0..all {
            let frames = link.server.store(number, "last").1;
            link.push(frames);
        }
        link.run(Duration::from_secs(300));
        let left = link.events.iter().filter(|event| matches!(event, Event::Left { .. })).count();
        assert_eq!(left, 0, "nobody took a seat away, seed {seed}");
        check_seats(&link, all);
    }
}

/// Conversations that are there from the start.
const SEATS: usize = 3;

fn storm(weather: Weather, seed: u64, kept: usize) {
    let mut link = Link::new(server(SEATS, kept), weather, seed);
    for step in 0..150 {
        match link.below(20) {
            0 => {
                let frames = link.server.add_conversation();
                link.push(frames);
            }
            1 => {
                let number = link.below(SEATS);
                let index = link.server.stored(number).first().copied();
                let frames = index.map(|index| link.server.edit(number, index));
                link.push(frames.unwrap_or_default());
            }
            _ => {
                let number = link.below(SEATS);
                let frames = link.server.store(number, &format!("step {step}")).1;
                link.push(frames);
            }
        }
        let pause = link.below(2000);
        link.run(Duration::from_millis(u64::try_from(pause).unwrap_or(0)));
    }
    // Then the weather clears, and a last message shows that there was a loss before it.
    link.weather = Weather::default();
    link.run(Duration::from_secs(300));
    for number in 0..SEATS {
        let frames = link.server.store(number, "last").1;
        link.push(frames);
    }
    link.run(Duration::from_secs(300));
    check(&link);
}

/// Every conversation's messages were told once, in order.
fn check(link: &Link<Server>) {
    check_seats(link, SEATS);
}

fn check_seats(link: &Link<Server>, seats: usize) {
    let mut told: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    for (number, index) in link.events.iter().filter_map(message) {
        told.entry(number).or_default().push(index);
    }
    for number in 0..seats {
        let known = link.events.iter().any(|event| {
            matches!(event, Event::Joined { conversation: sid, .. } if *sid == conversation(number))
        });
        assert!(known, "the seat was told of");
        let told = told.remove(&number).unwrap_or_default();
        assert_eq!(told, link.server.stored(number), "conversation {number}");
    }
    assert!(told.values().all(|told| told.is_sorted()), "{told:?}");
}

fn message(event: &Event) -> Option<(usize, u64)> {
    match event {
        Event::MessageAdded(message) => {
            let number = u128::from_be_bytes(*message.conversation.as_bytes());
            Some((usize::try_from(number).unwrap_or(usize::MAX), message.index))
        }
        _ => None,
    }
}

fn server(conversations: usize, kept: usize) -> Server {
    let mut server = Server::new(kept);
    for number in 0..conversations {
        drop(server.add_conversation());
        drop(server.store(number, "the first message"));
    }
    server
}
