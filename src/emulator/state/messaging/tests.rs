//! Texts in a world: what is refused, what becomes of them and when, who is told.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::list::{Filter, Span, Start};
use super::{Draft, Extras, INBOUND, MessagingService, Number, Ring, STATUS, Text, TextFate};
use crate::clock::Timestamp;
use crate::emulator::state::ids::Ids;
use crate::emulator::state::limits::Limits;
use crate::emulator::state::{Effect, Inbound, ScopeRule, Settings, World};
use crate::pii::Pii;
use crate::twilio::messaging::MessageStatus;
use crate::twilio::sid::AccountSid;

const PHONE: &str = "+15555550123";
const OURS: &str = "+15555550100";
const WHATSAPP: &str = "whatsapp:+15555550123";
const OUR_WHATSAPP: &str = "whatsapp:+15555550100";
const TOLD: &str = "http://127.0.0.1:1/status?reply=1";

#[test]
fn an_sms_goes_its_way_and_its_callback_is_told_all_but_the_first() {
    let mut world = world();
    let text = send(&mut world, 0, (PHONE, OURS), "hi").unwrap();
    assert_eq!((text.status, text.segments), (MessageStatus::Queued, 1));
    assert!(text.sid.to_string().starts_with("SM"));
    assert!(rings(&mut world).is_empty());
    let mut seen = Vec::new();
    for _ in 0..10 {
        let Some(due) = world.deadline() else { break };
        world.tick(due);
        seen.push(world.messaging().find(text.sid).unwrap().status.as_str());
    }
    assert_eq!(seen, ["sending", "sent", "delivered"]);
    assert_eq!(told(&mut world), ["sent", "delivered"]);
    let done = world.messaging().find(text.sid).unwrap();
    assert!(done.has_arrived() && done.sent < Some(done.updated));
}

#[test]
fn whatsapp_reads_and_a_messaging_service_chooses_its_sender() {
    let mut world = world();
    let service = MessagingService::default();
    let service = world.set_messaging_service(service).unwrap();
    for address in [OURS, OUR_WHATSAPP] {
        let number =
            Number { address: address.into(), service: Some(service), ..Number::default() };
        world.set_number(number).unwrap();
    }
    hear(&mut world, 0, (WHATSAPP, OUR_WHATSAPP), "hello");
    rings(&mut world);
    let draft =
        Draft { from: None, service: Some(service.to_string()), ..draft((WHATSAPP, OURS), "hi") };
    let text = world.send_text(at(1), draft).unwrap();
    assert_eq!((text.status, &text.from), (MessageStatus::Accepted, &None));
    world.tick(at(60));
    assert_eq!(told(&mut world), ["queued", "sent", "delivered", "read"]);
    let text = world.messaging().find(text.sid).unwrap();
    assert_eq!(text.from.as_ref().map(Pii::reveal), Some(OUR_WHATSAPP));
}

#[test]
fn each_sender_has_its_pace_and_its_queue_its_end() {
    let mut world = world();
    let sids: Vec<_> = (0..3)
        .map(|n| send(&mut world, 0, (&format!("+1555555020{n}"), OURS), &"x".repeat(161)).unwrap())
        .map(|text| text.sid)
        .collect();
    world.tick(at(3600));
    let left: Vec<_> =
        sids.iter().map(|sid| world.messaging().find(*sid).unwrap().sent.unwrap()).collect();
    let step = Duration::from_millis(50);
    assert_eq!(left, [at(0) + step, at(2) + step, at(4) + step], "two segments take two seconds");
    let hour = Limits { sender_queue_hours: 1, ..Limits::default() };
    world.set_limits(hour);
    let long = "x".repeat(1530);
    let mut taken = 0;
    let refusal = loop {
        match send(&mut world, 4000, (PHONE, OURS), &long) {
            Ok(_) => taken += 1,
            Err(refusal) => break refusal,
        }
    };
    assert_eq!((taken, refusal.code(), refusal.status()), (361, 21611, 400));
    let service = world.default_messaging_service().to_string();
    let draft = Draft { service: Some(service), ..draft((PHONE, OURS), "too many") };
    let text = world.send_text(at(4000), draft).unwrap();
    world.tick(at(4001));
    let text = world.messaging().find(text.sid).unwrap();
    assert_eq!((text.status, text.error_code), (MessageStatus::Failed, Some(30001)));
}

#[test]
fn what_is_moved_by_hand_waits_for_its_own_next_step() {
    let mut world = world();
    hear(&mut world, 0, (WHATSAPP, OUR_WHATSAPP), "hello");
    let text = send(&mut world, 0, (WHATSAPP, OUR_WHATSAPP), "hi").unwrap();
    let status = |world: &World| world.messaging().find(text.sid).unwrap().status;
    let step = Duration::from_millis(50);
    world.tick(at(0) + step);
    assert_eq!(status(&world), MessageStatus::Sent);
    let by_hand = at(0) + step + step / 2;
    assert!(world.move_text(by_hand, text.sid, (MessageStatus::Delivered, None)).unwrap());
    world.tick(at(0) + step * 2);
    assert_eq!(status(&world), MessageStatus::Delivered, "it would have been delivered now");
    world.tick(by_hand + step);
    assert_eq!(status(&world), MessageStatus::Read);
    let late = send(&mut world, 10, (PHONE, OURS), "first").unwrap();
    let text = send(&mut world, 10, (PHONE, OURS), "its turn comes later").unwrap();
    assert!(world.move_text(at(10), text.sid, (MessageStatus::Failed, Some(30005))).unwrap());
    world.remove_text(late.sid).unwrap();
    assert_eq!(world.deadline(), None, "nothing waits for what is over or gone");
    let service = Some(world.default_messaging_service().to_string());
    let draft = Draft { service, ..draft((PHONE, OURS), "put into the queue by hand") };
    let text = world.send_text(at(20), draft).unwrap();
    assert_eq!(text.status, MessageStatus::Accepted);
    assert!(world.move_text(at(20), text.sid, (MessageStatus::Queued, None)).unwrap());
    world.tick(at(30));
    let text = world.messaging().find(text.sid).unwrap();
    assert_eq!(text.status, MessageStatus::Delivered, "it leaves by itself all the same");
}

#[test]
fn an_hour_at_the_senders_limit_is_never_refused() {
    let mut world = world();
    let numbers = [(OURS, 1), ("+18005550100", 3), ("12345", 100), (OUR_WHATSAPP, 80)];
    for (ours, rate) in numbers {
        let theirs = if ours == OUR_WHATSAPP { WHATSAPP } else { PHONE };
        hear(&mut world, 0, (theirs, ours), "hello");
        let seconds = 3600 / rate;
        for second in 0..seconds {
            for _ in 0..rate {
                send(&mut world, second, (theirs, ours), "at the limit").unwrap();
            }
            world.tick(at(second));
            while world.poll().is_some() {}
        }
        world.tick(at(seconds + 2));
        let last = world.messaging().texts().next_back().unwrap();
        assert!(last.sent.unwrap().since(at(seconds - 1)) < Duration::from_secs(2), "{rate}");
    }
}

#[test]
fn what_twilio_would_not_take_is_refused_by_its_code() {
    let mut world = world();
    let code =
        |world: &mut World, pair, body| send(world, 0, pair, body).map_err(|no| no.code()).err();
    for (pair, body, wanted) in [
        ((PHONE, OURS), "x", None),
        (("5555", OURS), "x", Some(21211)),
        (("rcs:agent", "rcs:other"), "x", Some(21211)),
        (("12 34", OURS), "x", Some(21211)),
        (("whatsapp:me", OUR_WHATSAPP), "x", Some(21211)),
        ((PHONE, "us"), "x", Some(21212)),
        ((PHONE, OUR_WHATSAPP), "x", Some(21910)),
        ((OURS, OURS), "x", Some(21266)),
        ((PHONE, OURS), "", Some(21602)),
    ] {
        assert_eq!(code(&mut world, pair, body), wanted, "{pair:?}");
    }
    world.set_number(Number { address: "+15555550199".into(), ..Number::default() }).unwrap();
    assert_eq!(code(&mut world, (PHONE, OURS), "x"), Some(21659));
    assert_eq!(code(&mut world, (WHATSAPP, OUR_WHATSAPP), "x"), Some(63007));
    assert_eq!(code(&mut world, (PHONE, "+15555550199"), "x"), None);
}

#[test]
fn an_opt_out_counts_for_every_channel_of_a_phone_and_every_number_of_a_service() {
    let mut world = world();
    let service = MessagingService { advanced_opt_out: true, ..MessagingService::default() };
    let service = world.set_messaging_service(service).unwrap();
    for address in [OURS, "+15555550101", "rcs:agent", OUR_WHATSAPP] {
        let url = Some("http://127.0.0.1:1/in".to_owned());
        let number =
            Number { address: address.into(), url, service: Some(service), ..Number::default() };
        world.set_number(number).unwrap();
    }
    let refused = |world: &mut World, pair| send(world, 1, pair, "x").map_err(|no| no.code()).err();
    hear(&mut world, 0, (PHONE, OURS), "Stop.");
    let ring = rings(&mut world).remove(0);
    assert_eq!(field(&ring, "OptOutType"), Some("STOP"));
    for pair in [(PHONE, OURS), (PHONE, "+15555550101"), ("rcs:+15555550123", "rcs:agent")] {
        assert_eq!(refused(&mut world, pair), Some(21610), "{pair:?}");
    }
    hear(&mut world, 0, (WHATSAPP, OUR_WHATSAPP), "hello");
    assert_eq!(refused(&mut world, (WHATSAPP, OUR_WHATSAPP)), None, "WhatsApp's is its own");
    hear(&mut world, 0, ("rcs:+15555550123", "rcs:agent"), "START");
    assert_eq!(refused(&mut world, (PHONE, "+15555550101")), None);
    hear(&mut world, 0, (WHATSAPP, OUR_WHATSAPP), "STOP");
    assert_eq!(refused(&mut world, (WHATSAPP, OUR_WHATSAPP)), Some(21610));
    let by_service =
        Draft { from: None, service: Some(service.to_string()), ..draft((WHATSAPP, OURS), "x") };
    let text = world.send_text(at(1), by_service).unwrap();
    world.tick(at(2));
    assert_eq!(world.messaging().find(text.sid).unwrap().error_code, Some(21610), "later");
}

#[test]
fn a_word_is_answered_where_that_is_wanted() {
    let mut world = world();
    world.set_limits(Limits { keyword_answers: true, ..Limits::default() });
    for (second, word) in [(0, "STOP"), (10, "help"), (20, "Start"), (30, "hello")] {
        hear(&mut world, second, (PHONE, OURS), word);
        world.tick(at(second + 5));
    }
    let answers = world.messaging().texts().filter(|text| !text.is_inbound());
    let answers: Vec<_> =
        answers.map(|text| (text.has_arrived(), text.direction.as_str())).collect();
    assert_eq!(answers, [(true, "outbound-reply"); 3]);
}

#[test]
fn webhooks_that_answer_each_other_are_cut() {
    let mut world = world();
    for second in 0..20 {
        let reply = Draft { is_reply: true, ..draft((PHONE, OURS), "you too") };
        world.send_text(at(second), reply).unwrap();
    }
    world.tick(at(100));
    let codes = world.messaging().texts().map(|text| text.error_code);
    assert_eq!(codes.filter(|code| *code == Some(14107)).count(), 5);
    send(&mut world, 101, (PHONE, OURS), "by the API").unwrap();
    world.tick(at(200));
    assert!(world.messaging().texts().next_back().unwrap().has_arrived());
}

#[test]
fn free_text_reaches_whatsapp_for_a_day_by_number_and_by_id() {
    let id = "whatsapp:US.13491208655302741918";
    let template = format!("HX{}", "1".repeat(32));
    for (said, theirs, hours, fails) in [
        (None, WHATSAPP, 0, true),
        (Some(WHATSAPP), WHATSAPP, 23, false),
        (Some(WHATSAPP), WHATSAPP, 25, true),
        (Some(id), id, 1, false),
        (Some(WHATSAPP), id, 1, false),
    ] {
        let mut world = world();
        if let Some(from) = said {
            let mut inbound = inbound((from, OUR_WHATSAPP), "hello");
            inbound.extras.user_id = Some("US.13491208655302741918".into());
            world.hear(at(0), &inbound);
        }
        let now = hours * 3600;
        let text = send(&mut world, now, (theirs, OUR_WHATSAPP), "hi").unwrap();
        world.tick(at(now + 10));
        let code = world.messaging().find(text.sid).unwrap().error_code;
        assert_eq!(code, fails.then_some(63016), "{said:?} {theirs} after {hours}");
        let draft = Draft {
            content_sid: Some(template.clone()),
            content_variables: Some(r#"{"1":"you"}"#.into()),
            ..draft((theirs, OUR_WHATSAPP), "")
        };
        world.set_template(&template, "Hello {{1}}".into()).unwrap();
        let text = world.send_text(at(now + 10), draft).unwrap();
        assert_eq!(text.body.reveal(), "Hello you");
        world.tick(at(now + 20));
        assert!(world.messaging().find(text.sid).unwrap().has_arrived(), "a template always goes");
    }
}

#[test]
fn a_fault_decides_what_becomes_of_a_text() {
    for (fate, told_wanted, code) in [
        (TextFate::Arrives, vec!["sent", "delivered"], None),
        (TextFate::Fails(30008), vec!["failed"], Some(30008)),
        (TextFate::Strays(30003), vec!["sent", "undelivered"], Some(30003)),
        (TextFate::Fades, vec!["sent"], None),
        (TextFate::Waits, vec![], None),
        (TextFate::Lags(90_000), vec!["sent"], None),
    ] {
        let mut world = world();
        let text = world.send_text(at(0), Draft { fate, ..draft((PHONE, OURS), "x") }).unwrap();
        world.tick(at(60));
        assert_eq!(told(&mut world), told_wanted, "{fate:?}");
        assert_eq!(world.messaging().find(text.sid).unwrap().error_code, code);
        let moved = world.move_text(at(61), text.sid, (MessageStatus::Queued, None)).unwrap();
        assert!(!moved, "never back");
    }
}

#[test]
fn a_scheduled_text_waits_can_be_taken_back_and_one_may_wait_too_long() {
    let mut world = world();
    let service = world.default_messaging_service().to_string();
    let later = |world: &mut World| {
        let service = Some(service.clone());
        let draft = Draft { service, send_at: Some(at(100)), ..draft((PHONE, OURS), "x") };
        world.send_text(at(0), draft).unwrap().sid
    };
    let (one, other) = (later(&mut world), later(&mut world));
    world.tick(at(99));
    assert_eq!(world.messaging().find(one).unwrap().status, MessageStatus::Scheduled);
    world.cancel_text(at(99), other).unwrap();
    world.tick(at(110));
    assert!(world.messaging().find(one).unwrap().has_arrived());
    assert_eq!(world.messaging().find(other).unwrap().status, MessageStatus::Canceled);
    assert_eq!(world.cancel_text(at(111), one).unwrap_err().code(), 30409);
    let hasty = |n: i64| Draft { validity_s: Some(3), ..draft((PHONE, OURS), &n.to_string()) };
    let sids: Vec<_> = (0..6).map(|n| world.send_text(at(200), hasty(n)).unwrap().sid).collect();
    world.tick(at(300));
    let codes = sids.iter().map(|sid| world.messaging().find(*sid).unwrap().error_code);
    assert_eq!(codes.collect::<Vec<_>>(), [None, None, None, None, Some(30036), Some(30036)]);
}

#[test]
fn a_phones_text_is_kept_and_told_with_all_that_comes_with_it() {
    let mut world = world();
    world.set_messaging_url(Some("http://127.0.0.1:1/in#rc=3".into()));
    let extras: Extras = serde_json::from_value(serde_json::json!({
        "profile_name": "Ada",
        "user_id": "US.1349",
        "button": {"text": "Yes", "payload": "yes-1"},
        "location": {"latitude": "52.1", "longitude": "5.2", "label": "Home"},
        "referral": {"source_id": "ad-1", "click_id": "c-1"},
        "fields": {"Novelty": "1"},
    }))
    .unwrap();
    let inbound = Inbound { extras, ..inbound((WHATSAPP, OUR_WHATSAPP), "hello") };
    let (sid, is_told) = world.take_text(at(1), &inbound);
    assert!(is_told);
    let ring = rings(&mut world).remove(0);
    assert_eq!((ring.event, ring.text), (INBOUND, sid));
    for (name, value) in [
        ("MessageSid", sid.to_string().as_str()),
        ("SmsMessageSid", &sid.to_string()),
        ("From", WHATSAPP),
        ("To", OUR_WHATSAPP),
        ("Body", "hello"),
        ("NumMedia", "0"),
        ("SmsStatus", "received"),
        ("WaId", "15555550123"),
        ("ProfileName", "Ada"),
        ("ExternalUserIdentifier", "US.1349"),
        ("ButtonPayload", "yes-1"),
        ("Latitude", "52.1"),
        ("Label", "Home"),
        ("ReferralCtwaClid", "c-1"),
        ("Novelty", "1"),
    ] {
        assert_eq!(field(&ring, name), Some(value), "{name}");
    }
    assert_eq!(field(&ring, "ReferralBody"), None);
    let by_id = self::inbound(("whatsapp:US.1349", OUR_WHATSAPP), "hidden");
    world.take_text(at(2), &by_id);
    let ring = rings(&mut world).remove(0);
    assert_eq!(field(&ring, "ExternalUserIdentifier"), Some("US.1349"));
    assert_eq!(field(&ring, "WaId"), None);
}

#[test]
fn the_list_is_cut_into_pages_that_nothing_new_moves() {
    let mut world = world();
    for second in 0..5 {
        send(&mut world, second, (PHONE, OURS), &second.to_string()).unwrap();
        hear(&mut world, second, (PHONE, OURS), "and back");
    }
    let filter = Filter { to: Some(PHONE.into()), ..Filter::default() };
    let page = |world: &World, start| {
        let page = filter.page(world.messaging().texts().rev(), start, 2);
        let bodies: Vec<_> = page.texts.iter().map(|text| text.body.reveal().to_owned()).collect();
        let sids: Vec<_> = page.texts.iter().map(|text| text.sid).collect();
        (bodies, sids, page.has_previous, page.has_next)
    };
    let (bodies, sids, has_previous, has_next) = page(&world, Start::Newest);
    assert_eq!((bodies, has_previous, has_next), (vec!["4".into(), "3".into()], false, true));
    send(&mut world, 9, (PHONE, OURS), "new").unwrap();
    let (bodies, second, ..) = page(&world, Start::After(sids[1]));
    assert_eq!(bodies, ["2", "1"]);
    let (bodies, _, has_previous, has_next) = page(&world, Start::After(second[1]));
    assert_eq!((bodies, has_previous, has_next), (vec!["0".into()], true, false));
    assert_eq!(page(&world, Start::Before(second[0])).1, sids);
    for token in [Start::After(sids[0]), Start::Before(sids[0])] {
        assert_eq!(Start::parse(&token.token().unwrap()), Some(token));
    }
}

#[test]
fn the_list_knows_days_and_seconds() {
    let mut world = world();
    for day in 0..3 {
        send(&mut world, day * 86_400 + 30, (PHONE, OURS), &day.to_string()).unwrap();
    }
    let second = Span::parse("1970-01-02T00:00:30Z");
    let day = Span::parse("1970-01-02");
    assert!(second.is_some() && day.is_some() && Span::parse("yesterday").is_none());
    for (filter, wanted) in [
        (Filter { on: day, ..Filter::default() }, "1"),
        (Filter { on: second, ..Filter::default() }, "1"),
        (Filter { until: day, ..Filter::default() }, "10"),
        (Filter { since: day, ..Filter::default() }, "21"),
        (Filter { since: second, until: second, ..Filter::default() }, "1"),
    ] {
        let page = filter.page(world.messaging().texts().rev(), Start::Newest, 50);
        let bodies: String = page.texts.iter().map(|text| text.body.reveal()).collect();
        assert_eq!(bodies, wanted, "{filter:?}");
    }
}

#[test]
fn texts_are_bounded_and_survive_a_snapshot() {
    let mut world = world();
    world.set_limits(Limits { plain_messages: 3, ..Limits::default() });
    for n in 0..5 {
        send(&mut world, n, (PHONE, OURS), &n.to_string()).unwrap();
    }
    let bodies = |world: &World| {
        let texts = world.messaging().texts();
        texts.map(|text| text.body.reveal().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(bodies(&world), ["2", "3", "4"]);
    let kept = serde_json::to_string(&world).unwrap();
    let mut again: World = serde_json::from_str(&kept).unwrap();
    assert_eq!(bodies(&again), bodies(&world));
    again.tick(at(60));
    assert!(again.messaging().texts().all(Text::has_arrived));
    again.set_number(Number { address: OURS.into(), ..Number::default() }).unwrap();
    again.reset(at(61));
    assert_eq!((bodies(&again).len(), again.messaging().numbers().count()), (0, 1));
}

/// Something that happens to a world of texts.
#[derive(Clone, Debug)]
enum Step {
    Send { whatsapp: bool, by_service: bool, fate: TextFate, later: bool },
    Hear { whatsapp: bool, body: &'static str },
    Move { text: prop::sample::Index, status: MessageStatus },
    Cancel { text: prop::sample::Index },
    Pass { ms: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    let fates = [
        TextFate::Arrives,
        TextFate::Fails(30008),
        TextFate::Strays(30003),
        TextFate::Fades,
        TextFate::Waits,
    ];
    let words = ["hello", "STOP", "START"];
    prop_oneof![
        4 => (any::<bool>(), any::<bool>(), prop::sample::select(fates.to_vec()), any::<bool>())
            .prop_map(|(whatsapp, by_service, fate, later)| {
                Step::Send { whatsapp, by_service, fate, later }
            }),
        1 => (any::<bool>(), prop::sample::select(words.to_vec()))
            .prop_map(|(whatsapp, body)| Step::Hear { whatsapp, body }),
        1 => (any::<prop::sample::Index>(), prop::sample::select(&MessageStatus::ALL[..]))
            .prop_map(|(text, status)| Step::Move { text, status }),
        1 => any::<prop::sample::Index>().prop_map(|text| Step::Cancel { text }),
        4 => (0_i64..5000).prop_map(|ms| Step::Pass { ms }),
    ]
}

proptest! {
    /// Whatever happens, each text goes forward only, is told each status once, and all come to rest.
    #[test]
    fn no_text_goes_back_and_all_come_to_rest(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = world();
        let service = world.default_messaging_service().to_string();
        let (mut now, mut sids, mut told) = (0, Vec::new(), BTreeMap::<_, Vec<u8>>::new());
        for step in steps.into_iter().chain([Step::Pass { ms: 48 * 3_600_000 }]) {
            let at = Timestamp::from_millis(now);
            let pair = |whatsapp| if whatsapp { (WHATSAPP, OUR_WHATSAPP) } else { (PHONE, OURS) };
            match step {
                Step::Send { whatsapp, by_service, fate, later } => {
                    let service = (by_service || later).then(|| service.clone());
                    let send_at = later.then(|| at + Duration::from_secs(3));
                    let draft = Draft { service, send_at, fate, ..draft(pair(whatsapp), "x") };
                    sids.extend(world.send_text(at, draft).map(|text| text.sid));
                }
                Step::Hear { whatsapp, body } => {
                    let inbound = inbound(pair(whatsapp), body);
                    world.hear(at, &inbound);
                }
                Step::Move { text, status } if !sids.is_empty() => {
                    let moved = world.move_text(at, *text.get(&sids), (status, None));
                    let is_ours = !matches!(status, MessageStatus::Receiving | MessageStatus::Received);
                    prop_assert_eq!(moved.is_ok(), is_ours);
                }
                Step::Cancel { text } if !sids.is_empty() => {
                    let _ = world.cancel_text(at, *text.get(&sids));
                }
                Step::Move { .. } | Step::Cancel { .. } => {}
                Step::Pass { ms } => {
                    now += ms;
                    world.tick(Timestamp::from_millis(now));
                }
            }
            for ring in rings(&mut world) {
                let status = MessageStatus::parse(field(&ring, "MessageStatus").unwrap());
                told.entry(ring.text.to_string()).or_default().push(status.unwrap().rank());
            }
        }
        for (sid, ranks) in told {
            prop_assert!(ranks.is_sorted_by(|a, b| a < b), "{sid}: {ranks:?}");
        }
        prop_assert_eq!(world.deadline(), None);
    }
}

fn world() -> World {
    let settings = Settings {
        account: AccountSid::from_bytes([9; 16]),
        limits: Limits::default(),
        scope_rule: ScopeRule::Documented,
        autocreate_all: false,
    };
    let mut world = World::new(settings, Ids::seeded(1), at(0));
    world.set_messaging(Duration::from_millis(50), "http://127.0.0.1:1/");
    world
}

fn draft((theirs, ours): (&str, &str), body: &str) -> Draft {
    Draft {
        to: Some(theirs.into()),
        from: Some(ours.into()),
        body: body.into(),
        callback: Some(TOLD.into()),
        ..Draft::default()
    }
}

fn send(
    world: &mut World,
    second: i64,
    pair: (&str, &str),
    body: &str,
) -> Result<Text, crate::emulator::state::refusal::Refusal> {
    world.send_text(at(second), draft(pair, body))
}

fn inbound((theirs, ours): (&str, &str), body: &str) -> Inbound {
    Inbound::new(theirs.into(), ours.into(), Some(body.into())).unwrap()
}

fn hear(world: &mut World, second: i64, pair: (&str, &str), body: &str) {
    let inbound = inbound(pair, body);
    world.hear(at(second), &inbound);
    world.take_text(at(second), &inbound);
}

fn rings(world: &mut World) -> Vec<Ring> {
    let effects = std::iter::from_fn(|| world.poll());
    effects
        .filter_map(|effect| match effect {
            Effect::Ring(ring) => Some(ring),
            _ => None,
        })
        .collect()
}

/// The statuses that the callback was told, by the message's own URL.
fn told(world: &mut World) -> Vec<String> {
    let status = |ring: Ring| {
        assert_eq!((ring.event, ring.target.url.as_str()), (STATUS, TOLD));
        field(&ring, "MessageStatus").unwrap().to_owned()
    };
    rings(world).into_iter().map(status).collect()
}

fn field<'r>(ring: &'r Ring, name: &str) -> Option<&'r str> {
    ring.fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.reveal())
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}
