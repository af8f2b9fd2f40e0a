//! The book in virtual time: batches, late and broken results, renewals, and a model of the server.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::Value;

use super::*;

#[test]
fn the_first_wishes_go_soon_and_those_that_follow_are_gathered_for_a_tenth_of_a_second() {
    let mut rig = Rig::up();
    let one = rig.want("MP1");
    rig.pass(3);
    rig.want("ET1");
    assert!(rig.ask().is_none());
    rig.pass(2);
    let ask = rig.ask().unwrap();
    assert_eq!(objects(&ask), ["MP1", "ET1"]);
    let body: Value = serde_json::from_slice(&ask.body).unwrap();
    assert_eq!(body["action"], "establish");
    assert_eq!(body["requests"][0]["last_event_id"], -1);
    assert_eq!((&body["ttl_in_s"], &body["retried_requests"]), (&Value::from(-1), &Value::from(0)));
    rig.accept(&ask);

    rig.want("MP2");
    rig.pass(60);
    rig.want("ET2");
    // However often one of them breaks off, there are ten requests a second.
    assert_eq!(rig.book.established(rig.now, one, Some(ask.correlation_id), true), Verdict::Again);
    assert!(rig.ask().is_none());
    rig.pass(39);
    assert!(rig.ask().is_none());
    rig.pass(1);
    let ask = rig.ask().unwrap();
    assert_eq!(objects(&ask), ["MP2", "ET2", "MP1"]);
    rig.accept(&ask);

    rig.pass(200);
    rig.want("MP3");
    rig.pass(5);
    assert_eq!(objects(&rig.ask().unwrap()), ["MP3"]);
}

#[test]
fn the_first_batch_has_a_hundred_and_later_ones_what_the_server_allows() {
    let mut rig = Rig::up();
    for number in 0..1250 {
        rig.want(&format!("ES{number}"));
    }
    let first = rig.ask().expect("a full batch waits for nothing");
    assert_eq!(objects(&first).len(), 100);
    assert!(rig.ask().is_none(), "one at a time until the bound is known");
    rig.accept(&first);
    assert_eq!(objects(&rig.ask().unwrap()).len(), 1000);
    assert_eq!(objects(&rig.ask().unwrap()).len(), 150);
}

#[test]
fn an_object_without_a_result_is_asked_for_again_and_counted() {
    let mut rig = Rig::up();
    let (one, two) = (rig.want("ET1"), rig.want("ET2"));
    rig.pass(100);
    let ask = rig.ask().unwrap();
    rig.accept(&ask);
    assert_eq!(rig.establish(&ask, one), Verdict::Live);
    rig.pass(10_000);
    let again = rig.ask().unwrap();
    assert_eq!(objects(&again), ["ET2"]);
    assert_ne!(again.correlation_id, ask.correlation_id);
    let body: Value = serde_json::from_slice(&again.body).unwrap();
    assert_eq!(body["retried_requests"], 1);
    assert_eq!(rig.establish(&ask, two), Verdict::Stale, "the old request's result is late");
    assert_eq!(rig.establish(&again, two), Verdict::Live);
}

#[test]
fn a_result_may_overtake_the_answer_to_its_request() {
    let mut rig = Rig::up();
    let one = rig.want("ET1");
    rig.pass(100);
    let ask = rig.ask().unwrap();
    assert_eq!(rig.establish(&ask, one), Verdict::Live);
    rig.accept(&ask);
    rig.pass(60_000);
    assert!(rig.ask().is_none());
    assert_eq!(rig.book.pending(), 0);
}

#[test]
fn everything_is_renewed_when_its_time_is_over() {
    let mut rig = Rig::up();
    let one = rig.want("ET1");
    rig.pass(100);
    let ask = rig.ask().unwrap();
    rig.accept(&ask);
    rig.establish(&ask, one);
    rig.pass(86_400_000);
    let renewal = rig.ask().unwrap();
    let body: Value = serde_json::from_slice(&renewal.body).unwrap();
    assert_eq!(body["reason"], "ttl");
    assert_eq!(rig.establish(&renewal, one), Verdict::Live);
}

#[test]
fn interrupted_cancelled_and_failed_objects_come_back_and_missing_ones_are_gone() {
    let mut rig = Rig::up();
    let one = rig.want("MP1");
    rig.pass(100);
    let ask = rig.ask().unwrap();
    rig.accept(&ask);
    let correlation = Some(ask.correlation_id);
    assert_eq!(rig.book.established(rig.now, one, correlation, true), Verdict::Again);
    rig.book.reached(one, 41);
    rig.pass(100);
    let ask = rig.ask().unwrap();
    let body: Value = serde_json::from_slice(&ask.body).unwrap();
    assert_eq!(body["requests"][0]["last_event_id"], 41, "from where the replay broke off");
    rig.accept(&ask);
    rig.establish(&ask, one);
    assert_eq!(rig.book.canceled(rig.now, one, Some(1)), Verdict::Stale);
    assert_eq!(rig.book.canceled(rig.now, one, None), Verdict::Again, "of the server's own accord");
    rig.pass(100);
    let ask = rig.ask().unwrap();
    rig.accept(&ask);
    let correlation = Some(ask.correlation_id);
    assert_eq!(rig.book.failed(rig.now, one, correlation, 500), Verdict::Again);
    rig.pass(29_000);
    assert!(rig.ask().is_none(), "it rests");
    rig.pass(1_200);
    let ask = rig.ask().unwrap();
    let correlation = Some(ask.correlation_id);
    assert_eq!(rig.book.failed(rig.now, one, correlation, 404), Verdict::Gone);
}

#[test]
fn a_failed_request_is_made_again_with_growing_delays() {
    let mut rig = Rig::up();
    rig.want("ET1");
    rig.pass(100);
    let mut last = Duration::ZERO;
    for _ in 0..6 {
        let ask = rig.ask().unwrap();
        let id = ask.correlation_id;
        rig.book.answered(rig.now, id, Some((503, b"")), &mut rig.random);
        assert!(rig.ask().is_none());
        let delay = rig.book.deadline().unwrap().since(rig.now);
        assert!(delay > last, "{delay:?}");
        last = delay;
        rig.now = rig.now + delay;
    }
}

#[test]
fn a_forgotten_object_is_cancelled_and_its_place_used_again() {
    let mut rig = Rig::up();
    let one = rig.want("ET1");
    rig.pass(100);
    let ask = rig.ask().unwrap();
    rig.accept(&ask);
    rig.establish(&ask, one);
    rig.book.forget(one);
    assert!(rig.book.find("ET1").is_none());
    let cancel = rig.ask().unwrap();
    assert!(!cancel.establishes);
    let body: Value = serde_json::from_slice(&cancel.body).unwrap();
    assert_eq!(body["action"], "cancel");
    assert!(body["requests"][0].get("last_event_id").is_none());
    assert_eq!(rig.want("ET2"), one);
    assert_eq!(rig.book.sid(one), Some("ET2"));
}

#[test]
fn a_new_connection_asks_for_everything_again() {
    let mut rig = Rig::up();
    let one = rig.want("ET1");
    rig.pass(100);
    let ask = rig.ask().unwrap();
    rig.accept(&ask);
    rig.establish(&ask, one);
    rig.book.connection_down();
    assert!(rig.ask().is_none() && rig.book.deadline().is_none());
    rig.book.connection_up(rig.now);
    assert_eq!(objects(&rig.ask().unwrap()), ["ET1"]);
}

proptest! {
    /// Whatever the server does, everything wanted is live in the end, and no object is in two
    /// requests at once.
    #[test]
    fn everything_wanted_becomes_live(
        steps in proptest::collection::vec((0u8..9, 0usize..12, 0u64..20_000), 0..120),
    ) {
        let mut rig = Rig::up();
        let mut wanted = BTreeSet::new();
        let mut asks: Vec<Ask> = Vec::new();
        for (step, pick, millis) in steps {
            let sid = format!("ET{pick}");
            match step {
                0 | 1 => { rig.want(&sid); wanted.insert(sid); }
                2 => if let Some((id, ())) = rig.book.find(&sid) {
                    rig.book.forget(id);
                    wanted.remove(&sid);
                },
                3 => { rig.book.connection_down(); rig.book.connection_up(rig.now); asks.clear(); }
                4 => if let Some(ask) = asks.get(pick % asks.len().max(1)).cloned() {
                    rig.accept(&ask);
                },
                5 | 6 => if let Some(ask) = asks.get(pick % asks.len().max(1)).cloned() {
                    for sid in objects(&ask) {
                        if let Some((id, ())) = rig.book.find(&sid) {
                            if millis % 3 == 0 {
                                rig.book.established(rig.now, id, Some(ask.correlation_id), true);
                            } else {
                                rig.establish(&ask, id);
                            }
                        }
                    }
                },
                7 => if let Some(ask) = asks.get(pick % asks.len().max(1)) {
                    let id = ask.correlation_id;
                    rig.book.answered(rig.now, id, None, &mut rig.random);
                },
                _ => rig.pass(millis),
            }
            while let Some(ask) = rig.ask() {
                if ask.establishes {
                    asks.push(ask);
                }
            }
        }
        for _ in 0..20 {
            rig.pass(70_000);
            while let Some(ask) = rig.ask() {
                if ask.establishes {
                    rig.accept(&ask);
                    for sid in objects(&ask) {
                        let (id, ()) = rig.book.find(&sid).expect("wanted");
                        rig.establish(&ask, id);
                    }
                }
            }
            // A request that was never answered holds its place until the connection ends.
            rig.book.connection_up(rig.now);
        }
        while let Some(ask) = rig.ask() {
            rig.accept(&ask);
            for sid in objects(&ask) {
                let (id, ()) = rig.book.find(&sid).expect("wanted");
                prop_assert_eq!(rig.establish(&ask, id), Verdict::Live);
            }
        }
        prop_assert_eq!(rig.book.pending(), 0);
        for sid in wanted {
            prop_assert!(rig.book.find(&sid).is_some());
        }
    }
}

struct Rig {
    book: Book<()>,
    now: Moment,
    random: Random,
}

impl Rig {
    fn up() -> Self {
        let mut book = Book::new(1);
        book.connection_up(Moment::ORIGIN);
        Self { book, now: Moment::ORIGIN, random: Random::new(3) }
    }

    fn want(&mut self, sid: &str) -> ObjectId {
        self.book.want(self.now, sid, Kind::Map, -1, ())
    }

    fn ask(&mut self) -> Option<Ask> {
        self.book.next_request(self.now)
    }

    fn pass(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
    }

    /// The server's HTTP answer, as recorded.
    fn accept(&mut self, ask: &Ask) {
        let reply = br#"{"estimated_delivery_in_ms":10000,"max_batch_size":1000,"ttl_in_s":86400}"#;
        self.book.answered(self.now, ask.correlation_id, Some((202, reply)), &mut self.random);
    }

    fn establish(&mut self, ask: &Ask, id: ObjectId) -> Verdict {
        self.book.established(self.now, id, Some(ask.correlation_id), false)
    }
}

fn objects(ask: &Ask) -> Vec<String> {
    let body: Value = serde_json::from_slice(&ask.body).unwrap();
    let requests = body["requests"].as_array().unwrap();
    requests.iter().map(|wish| wish["object_sid"].as_str().unwrap().to_owned()).collect()
}
