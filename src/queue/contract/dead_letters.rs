//! Dead letters, counts, marks and documents.

use super::*;
use crate::queue::{Cursor, DeadCauses, Documents, Filter, JobState, JobStatus, LanesAsked, Page};

pub(super) async fn a_dead_letter_keeps_everything_and_frees_its_lane(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    queue.append(vec![job("a", "1"), job("a", "2")]).await.unwrap();
    next_is(&queue, "1").await.retry_in(Duration::ZERO, cause("busy", 7)).await.unwrap();
    next_is(&queue, "1").await.dead(cause("refused", 50_433)).await.unwrap();
    next_is(&queue, "2").await.ack().await.unwrap();
    store.close().await;
    let store = harness.open().await;
    let queue = inbox(&store);
    nothing_is_due(&queue).await;
    let letter = queue.show(id("1")).await.unwrap();
    assert_eq!(letter.payload, b"1");
    assert_eq!((letter.summary.id, letter.summary.key.as_str()), (id("1"), "a"));
    assert_eq!(letter.summary.attempts, 2);
    assert_eq!(letter.summary.cause, cause("refused", 50_433));
    assert!(letter.summary.died_at >= letter.summary.appended_at);
    let history: Vec<_> = letter.attempts.iter().map(|a| (a.number, a.cause.clone())).collect();
    assert_eq!(history, [(1, cause("busy", 7)), (2, cause("refused", 50_433))]);
    assert_eq!(append(&queue, job("a", "1")).await, Appended::Duplicate);
}

pub(super) async fn a_redriven_letter_starts_again_in_its_old_place(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    queue.append(vec![job("a", "1"), job("a", "2")]).await.unwrap();
    next_is(&queue, "1").await.retry_in(Duration::ZERO, cause("busy", 7)).await.unwrap();
    next_is(&queue, "1").await.dead(cause("refused", 8)).await.unwrap();
    queue.redrive(id("1")).await.unwrap();
    assert!(matches!(queue.redrive(id("1")).await, Err(Error::NoDeadLetter { .. })));
    let again = next_is(&queue, "1").await;
    assert_eq!((again.attempt(), again.redelivered()), (1, true));
    again.dead(cause("refused", 9)).await.unwrap();
    let letter = queue.show(id("1")).await.unwrap();
    let codes: Vec<_> = letter.attempts.iter().map(|a| (a.number, a.cause.code)).collect();
    assert_eq!(codes, [(1, Some(7)), (2, Some(8)), (3, Some(9))], "history goes on");
    queue.redrive(id("1")).await.unwrap();
    store.close().await;
    let store = harness.open().await;
    next_is(&inbox(&store), "1").await.ack().await.unwrap();
    next_is(&inbox(&store), "2").await.ack().await.unwrap();
    assert_eq!(inbox(&store).stats().await.unwrap().dead, 0);
}

pub(super) async fn a_dropped_letter_is_gone_but_its_id_is_known(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    append(&queue, job("a", "1")).await;
    assert!(matches!(queue.drop(id("1")).await, Err(Error::NoDeadLetter { .. })), "it is open");
    next_is(&queue, "1").await.dead(cause("refused", 8)).await.unwrap();
    assert!(matches!(
        store.queue(QueueName::Outbox).drop(id("1")).await,
        Err(Error::NoDeadLetter { queue: QueueName::Outbox, .. })
    ));
    queue.drop(id("1")).await.unwrap();
    for answer in [queue.show(id("1")).await.map(drop), queue.redrive(id("1")).await] {
        assert!(matches!(answer, Err(Error::NoDeadLetter { .. })));
    }
    assert_eq!(append(&queue, job("a", "1")).await, Appended::Duplicate);
    nothing_is_due(&queue).await;
}

pub(super) async fn a_job_is_found_with_its_state_and_the_time_of_its_append(
    harness: impl Harness,
) {
    let store = harness.open().await;
    let queue = inbox(&store);
    let key = |name: &str| Key::new(name).unwrap();
    assert_eq!(queue.find(id("1"), &key("a")).await.unwrap(), None);
    let now = Clock::start().wall();
    queue.append(vec![job("a", "1"), job("a", "2"), job("a", "3")]).await.unwrap();
    let first = queue.find(id("1"), &key("a")).await.unwrap().unwrap();
    let apart = first.appended_at.since(now).max(now.since(first.appended_at));
    assert!(apart < PATIENCE, "{first:?}");
    next_is(&queue, "1").await.ack().await.unwrap();
    next_is(&queue, "2").await.dead(cause("refused", 8)).await.unwrap();
    let out = next_is(&queue, "3").await;
    assert_eq!(append(&queue, job("a", "1")).await, Appended::Duplicate);
    for (name, state) in [("1", JobState::Done), ("2", JobState::Dead), ("3", JobState::Open)] {
        let found = queue.find(id(name), &key("a")).await.unwrap().unwrap();
        assert_eq!(found, JobStatus { state, ..first }, "{name}");
        let outbox = store.queue(QueueName::Outbox);
        assert_eq!(outbox.find(id(name), &key("a")).await.unwrap(), None, "of another queue");
    }
    drop(out);
    queue.drop(id("2")).await.unwrap();
    store.close().await;
    let store = harness.open().await;
    let dropped = inbox(&store).find(id("2"), &key("a")).await.unwrap().unwrap();
    assert_eq!(dropped, JobStatus { state: JobState::Done, ..first });
}

pub(super) async fn what_a_job_holds_is_seen_until_it_is_settled(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    let held = async |queue: &Queue, name: &str, lane: &str| {
        let payload = queue.payload(id(name), &Key::new(lane).unwrap()).await.unwrap();
        payload.map(|bytes| String::from_utf8(bytes).unwrap())
    };
    assert_eq!(held(&queue, "1", "a").await, None, "there never was one");
    queue.append(vec![job("a", "1"), job("a", "2")]).await.unwrap();
    assert_eq!(held(&queue, "2", "a").await.as_deref(), Some("2"), "it waits");
    let out = next_is(&queue, "1").await;
    assert_eq!(held(&queue, "1", "a").await.as_deref(), Some("1"), "it is out");
    assert_eq!(held(&queue, "1", "b").await, None, "another lane");
    assert_eq!(held(&store.queue(QueueName::Outbox), "1", "a").await, None, "another queue");
    out.ack().await.unwrap();
    assert_eq!(held(&queue, "1", "a").await, None, "it is settled");
    next_is(&queue, "2").await.dead(cause("refused", 8)).await.unwrap();
    assert_eq!(held(&queue, "2", "a").await.as_deref(), Some("2"), "it is dead");
    queue.drop(id("2")).await.unwrap();
    assert_eq!(held(&queue, "2", "a").await, None, "it is dropped");
}

pub(super) async fn a_long_history_keeps_its_start_and_its_end(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    append(&queue, job("a", "1")).await;
    for attempt in 1..=60 {
        let delivery = next_is(&queue, "1").await;
        assert_eq!(delivery.attempt(), attempt);
        if attempt < 60 {
            delivery.retry_in(Duration::ZERO, cause("busy", attempt)).await.unwrap();
        } else {
            delivery.dead(cause("busy", attempt)).await.unwrap();
        }
    }
    let letter = queue.show(id("1")).await.unwrap();
    let kept: Vec<_> = letter.attempts.iter().map(|attempt| attempt.number).collect();
    assert_eq!(kept, (1..=5).chain(16..=60).collect::<Vec<_>>());
    assert_eq!(letter.summary.attempts, 60);
}

pub(super) async fn letters_are_listed_by_page_and_filter(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    for n in 0..7_u32 {
        let key = if n % 2 == 0 { "even" } else { "odd" };
        append(&queue, job(key, &n.to_string())).await;
        let class = if n < 3 { "early" } else { "late" };
        next(&queue).await.dead(cause(class, n)).await.unwrap();
    }
    let codes = async |filter: Filter, page: Page| -> (Vec<u32>, Option<Cursor>) {
        let list = queue.list(filter, page).await.unwrap();
        (list.letters.iter().filter_map(|letter| letter.cause.code).collect(), list.next)
    };
    let all = Filter::default();
    let (first, after) = codes(all.clone(), Page { after: None, limit: 4 }).await;
    assert_eq!(first, [0, 1, 2, 3]);
    let (rest, end) = codes(all.clone(), Page { after, limit: 4 }).await;
    assert_eq!((rest, end), (vec![4, 5, 6], None));
    let (exact, end) = codes(all, Page { after: None, limit: 7 }).await;
    assert_eq!((exact.len(), end), (7, None));
    let keys = Some(vec![Key::new("none").unwrap(), Key::new("odd").unwrap()]);
    let odd = codes(Filter { keys: keys.clone(), ..Filter::default() }, Page::default()).await.0;
    assert_eq!(odd, [1, 3, 5]);
    let both = Filter { keys, class: Some("late".into()), ..Filter::default() };
    assert_eq!(codes(both, Page::default()).await.0, [3, 5]);
    let before = Some(Timestamp::from_millis(0));
    let none = codes(Filter { before, ..Filter::default() }, Page::default()).await;
    assert_eq!(none, (Vec::new(), None));
    let since = before;
    let all_since = codes(Filter { since, ..Filter::default() }, Page::default()).await;
    assert_eq!(all_since.0.len(), 7);
    let one = codes(Filter { code: Some(4), ..Filter::default() }, Page::default()).await;
    assert_eq!(one.0, [4]);
    for limit in [0, Page::LIMIT_MAX + 1] {
        let page = Page { after: None, limit };
        let answer = queue.list(Filter::default(), page).await;
        assert!(matches!(answer, Err(Error::Invalid { .. })));
    }
}

pub(super) async fn keys_are_found_by_what_their_open_and_dead_jobs_hold(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    let found = async |beginning: &str| {
        let keys = queue.keys_holding(beginning, |payload| payload.starts_with(b"1")).await;
        keys.unwrap().iter().map(|key| key.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found("turn.").await, Vec::<String>::new());
    let in_an_hour = Some(Clock::start().wall() + Duration::from_secs(3600));
    let waits = |key: &str, n: u32| Append { not_before: in_an_hour, ..job(key, &n.to_string()) };
    append(&queue, job("turn.dead", "1")).await;
    next_is(&queue, "1").await.dead(cause("refused", 8)).await.unwrap();
    append(&queue, job("turn.done", "1000")).await;
    next_is(&queue, "1000").await.ack().await.unwrap();
    // More than are looked at in one go.
    for n in 200..270 {
        append(&queue, waits(&format!("turn.other{n}"), n)).await;
    }
    append(&queue, waits("turn.open", 10)).await;
    append(&queue, waits("Turn.open", 11)).await;
    append(&queue, waits("thread", 12)).await;
    assert_eq!(found("turn.").await, ["turn.dead", "turn.open"]);
    assert_eq!(found("t").await, ["thread", "turn.dead", "turn.open"]);
    store.close().await;
}

pub(super) async fn letters_are_counted_by_cause_up_to_a_bound(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    assert_eq!(
        queue.causes(Filter::default(), 10).await.unwrap(),
        DeadCauses { causes: Vec::new(), is_whole: true }
    );
    for n in 0..6_u32 {
        append(&queue, job("a", &n.to_string())).await;
        let why = if n < 4 { cause("refused", 7) } else { cause("refused", 8) };
        next(&queue).await.dead(why).await.unwrap();
    }
    append(&queue, job("b", "6")).await;
    next(&queue).await.dead(Cause::new("wordless")).await.unwrap();
    let counted = queue.causes(Filter::default(), 10).await.unwrap();
    let shown: Vec<_> =
        counted.causes.iter().map(|of| (of.class.as_str(), of.code, of.count)).collect();
    assert_eq!(shown, [("refused", Some(7), 4), ("refused", Some(8), 2), ("wordless", None, 1)]);
    assert!(counted.is_whole && counted.causes.iter().all(|of| of.oldest <= of.newest));
    let only = Filter { class: Some("refused".into()), code: Some(8), ..Filter::default() };
    assert_eq!(queue.causes(only, 2).await.unwrap().causes, counted.causes[1..2]);
    assert!(queue.causes(Filter::default(), 7).await.unwrap().is_whole);
    assert!(!queue.causes(Filter::default(), 6).await.unwrap().is_whole, "one more than was read");
    let elsewhere = store.queue(QueueName::Outbox).causes(Filter::default(), 10).await.unwrap();
    assert!(elsewhere.causes.is_empty());
}

pub(super) async fn the_lanes_that_have_waited_longest_are_told_first(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    assert!(queue.open_lanes(LanesAsked::Oldest(10)).await.unwrap().is_empty());
    for (key, name) in [("b", "1"), ("a", "2"), ("b", "3"), ("c", "4")] {
        append(&queue, job(key, name)).await;
    }
    let out = next_is(&queue, "1").await;
    let shown = async |asked| -> Vec<(String, u64, u64)> {
        let lanes = queue.open_lanes(asked).await.unwrap();
        assert!(lanes.iter().all(|lane| lane.oldest_age < PATIENCE));
        lanes.into_iter().map(|of| (of.key.as_str().to_owned(), of.waiting, of.out)).collect()
    };
    let [a, b, c] = [("a", 1, 0), ("b", 1, 1), ("c", 1, 0)]
        .map(|(key, waiting, out)| (key.to_owned(), waiting, out));
    let all = shown(LanesAsked::Oldest(10)).await;
    assert_eq!(all.len(), 3);
    assert!(all.contains(&a) && all.contains(&b) && all.contains(&c), "{all:?}");
    assert_eq!(shown(LanesAsked::Oldest(1)).await.len(), 1);
    let keys = ["c", "nobody"].map(|key| Key::new(key).unwrap()).to_vec();
    assert_eq!(shown(LanesAsked::Of(keys)).await, std::slice::from_ref(&c));
    out.ack().await.unwrap();
    next_is(&queue, "2").await.ack().await.unwrap();
    assert_eq!(shown(LanesAsked::Oldest(10)).await.len(), 2);
    let refused = queue.open_lanes(LanesAsked::Oldest(1001)).await;
    assert!(matches!(refused, Err(Error::Invalid { .. })));
}

pub(super) async fn counts_tell_the_states_apart(harness: impl Harness) {
    let store = harness.open().await;
    let queue = inbox(&store);
    assert_eq!(queue.stats().await.unwrap(), crate::queue::Stats::default());
    let later = Some(Clock::start().wall() + Duration::from_secs(3600));
    append(&queue, job("dead", "0")).await;
    next(&queue).await.dead(cause("refused", 8)).await.unwrap();
    append(&queue, job("out", "1")).await;
    let out = next_is(&queue, "1").await;
    let delayed = Append { not_before: later, ..job("later", "4") };
    queue.append(vec![job("out", "2"), job("b", "3"), delayed]).await.unwrap();
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.ready, stats.delayed, stats.leased, stats.dead), (2, 1, 1, 1));
    assert!(stats.oldest_age.is_some_and(|age| age < PATIENCE));
    out.ack().await.unwrap();
    assert_eq!(queue.stats().await.unwrap().leased, 0);
}

pub(super) async fn a_key_is_open_from_its_append_until_its_last_job_is_settled(
    harness: impl Harness,
) {
    let store = harness.open().await;
    let (queue, outbox) = (inbox(&store), store.queue(QueueName::Outbox));
    let [a, b] = ["a", "b"].map(|key| Key::new(key).unwrap());
    let is_open = |queue: &Queue, key: &Key| queue.may_be_open(key);
    assert!(!is_open(&queue, &a), "nothing was appended");
    let later = Some(Clock::start().wall() + Duration::from_secs(3600));
    append(&queue, job("a", "1")).await;
    append(&queue, Append { not_before: later, ..job("b", "2") }).await;
    assert!(is_open(&queue, &a) && is_open(&queue, &b), "waiting for a consumer or a time");
    assert!(!is_open(&outbox, &a), "queues are apart");
    let out = next_is(&queue, "1").await;
    assert!(is_open(&queue, &a), "it is out");
    out.ack_and_append(vec![(QueueName::Outbox, job("a", "3"))]).await.unwrap();
    assert!(!is_open(&queue, &a));
    assert!(is_open(&outbox, &a), "what came of it is");
    next_is(&outbox, "3").await.dead(cause("refused", 8)).await.unwrap();
    assert!(!is_open(&outbox, &a), "a dead letter is not");
    outbox.redrive(id("3")).await.unwrap();
    assert!(is_open(&outbox, &a), "until it is redriven");
    store.close().await;
    let store = harness.open().await;
    assert!(store.queue(QueueName::Outbox).may_be_open(&a), "what was open is so after reopen");
    assert!(inbox(&store).may_be_open(&b));
}

pub(super) async fn marks_only_rise_and_survive_reopen(harness: impl Harness) {
    let store = harness.open().await;
    let marks = store.marks();
    assert_eq!(marks.read("CH1").await.unwrap(), None);
    for (raised, read) in [(5, 5), (3, 5), (8, 8)] {
        marks.raise("CH1", raised).await.unwrap();
        assert_eq!(marks.read("CH1").await.unwrap(), Some(read));
    }
    marks.raise("CH2", 0).await.unwrap();
    store.close().await;
    assert!(matches!(marks.raise("CH1", 9).await, Err(Error::Closed)));
    let store = harness.open().await;
    let marks = store.marks();
    assert_eq!(marks.read("CH1").await.unwrap(), Some(8));
    assert_eq!(marks.read("CH2").await.unwrap(), Some(0));
    marks.raise("CH1", 7).await.unwrap();
    store.close().await;
    assert_eq!(harness.open().await.marks().read("CH1").await.unwrap(), Some(8));
}

pub(super) async fn marks_have_bounds(harness: impl Harness) {
    let store = harness.open().await;
    for (name, value) in [("", 1), ("n".repeat(256).as_str(), 1), ("CH1", u64::MAX)] {
        let answer = store.marks().raise(name, value).await;
        assert!(matches!(answer, Err(Error::Invalid { .. })));
    }
}

pub(super) async fn documents_are_replaced_whole_and_survive_reopen(harness: impl Harness) {
    let store = harness.open().await;
    let documents = store.documents();
    assert_eq!(documents.read("a name of any kind*>").await.unwrap(), None);
    let replace = |value: &'static [u8]| move |_: Option<&[u8]>| Some(value.to_vec());
    for value in [&b"first"[..], b"second", b""] {
        let after = documents.update("a name of any kind*>", replace(value)).await.unwrap();
        assert_eq!(after.as_deref(), Some(value));
    }
    documents.update("other", replace(b"kept")).await.unwrap();
    let unchanged = documents.update("other", |_| None).await.unwrap();
    assert_eq!(unchanged.as_deref(), Some(&b"kept"[..]));
    for (name, value) in [("", 1), ("n".repeat(256).as_str(), 1), ("long", (64 << 10) + 1)] {
        let answer = documents.update(name, |_| Some(vec![0; value])).await;
        assert!(matches!(answer, Err(Error::Invalid { .. })));
    }
    store.close().await;
    let documents = harness.open().await.documents();
    assert_eq!(documents.read("other").await.unwrap().as_deref(), Some(&b"kept"[..]));
}

pub(super) async fn a_private_document_is_one_whatever_it_holds(harness: impl Harness) {
    let store = harness.open().await;
    let documents = store.documents();
    let write = async |text: &'static [u8], is_private: bool| {
        let change = move |_: Option<&[u8]>| Some((text.to_vec(), is_private));
        documents.update_private("~one", change).await.unwrap()
    };
    for (text, is_private) in [
        (&b"their words"[..], true),
        (b"more", true),
        (b"", false),
        (b"x", false),
        (b"again", true),
    ] {
        assert_eq!(write(text, is_private).await.as_deref(), Some(text));
        assert_eq!(documents.read("~one").await.unwrap().as_deref(), Some(text));
        let unchanged = documents.update("~one", |_| None).await.unwrap();
        assert_eq!(unchanged.as_deref(), Some(text));
    }
    let refused = documents.update_private("one", |_| Some((Vec::new(), true))).await;
    assert!(matches!(refused, Err(Error::Invalid { .. })));
    store.close().await;
    let documents = harness.open().await.documents();
    assert_eq!(documents.read("~one").await.unwrap().as_deref(), Some(&b"again"[..]));
    // Written as any other it is one like any other.
    let plain = documents.update("~one", |_| Some(b"plain".to_vec())).await.unwrap();
    assert_eq!(plain, documents.read("~one").await.unwrap());
    assert_eq!(plain.as_deref(), Some(&b"plain"[..]));
}

pub(super) async fn what_holds_what_somebody_wrote_is_listed_and_forgotten(harness: impl Harness) {
    let store = harness.open().await;
    let documents = store.documents();
    for n in 0..300 {
        let change = move |_: Option<&[u8]>| Some((b"their words".to_vec(), true));
        documents.update_private(&format!("~one/{n}"), change).await.unwrap();
    }
    // It says nothing any more, and may hold an address.
    documents.update("~one/arrived", |_| Some(b"their number".to_vec())).await.unwrap();
    documents.update("~other/1", |_| Some(b"ids".to_vec())).await.unwrap();
    documents.update("lasting", |_| Some(b"ids".to_vec())).await.unwrap();
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = documents.list_short_lived("~one/", after).await.unwrap();
        listed.extend(page.documents.into_iter().map(|one| (one.name, one.value)));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    listed.sort_unstable();
    let mut wanted: Vec<_> =
        (0..300).map(|n| (format!("~one/{n}"), b"their words".to_vec())).collect();
    wanted.push(("~one/arrived".to_owned(), b"their number".to_vec()));
    wanted.sort_unstable();
    assert_eq!(listed, wanted);
    for name in ["~one/7", "lasting"] {
        assert!(documents.forget(name).await.unwrap(), "{name}");
        assert_eq!(documents.read(name).await.unwrap(), None, "{name}");
        assert!(!documents.forget(name).await.unwrap(), "{name} is gone");
    }
}

pub(super) async fn a_document_that_many_change_loses_no_change(harness: impl Harness) {
    let store = harness.open().await;
    let add = |before: Option<&[u8]>| {
        let count = before.map_or(0, |value| value[0]);
        Some(vec![count + 1])
    };
    let writers = (0..8).map(|_| {
        let documents = store.documents();
        async move {
            for _ in 0..4 {
                // Whoever is always too late comes again.
                while let Err(error) = documents.update("count", add).await {
                    assert!(matches!(error, Error::Contended), "{error}");
                }
            }
        }
    });
    soon(futures::future::join_all(writers)).await;
    assert_eq!(store.documents().read("count").await.unwrap().as_deref(), Some(&[32][..]));
}

pub(super) async fn documents_are_listed_by_page_and_removed_unless_they_were_written(
    harness: impl Harness,
) {
    let store = harness.open().await;
    let documents = store.documents();
    let many = usize::try_from(Documents::PAGE_MAX).unwrap() + 10;
    let write = async |name: &str, value: &[u8]| {
        documents.update(name, |_| Some(value.to_vec())).await.unwrap();
    };
    for n in 0..many {
        write(&format!("thread/{n:04}"), b"1").await;
    }
    for name in ["thread", "threads/1", "contact/1", "~thread/1", "contact/é*"] {
        write(name, b"other").await;
    }
    let all = async |beginning: &str| {
        let (mut found, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            let page = documents.list(beginning, after).await.unwrap();
            assert!(page.documents.len() <= usize::try_from(Documents::PAGE_MAX).unwrap());
            found.extend(page.documents);
            pages += 1;
            after = match page.next {
                Some(next) => Some(next),
                None => return (found, pages),
            };
        }
    };
    let (threads, pages) = all("thread/").await;
    let mut names: Vec<_> = threads.iter().map(|one| one.name.clone()).collect();
    names.sort_unstable();
    let expected: Vec<_> = (0..many).map(|n| format!("thread/{n:04}")).collect();
    assert_eq!((names, pages > 1), (expected, true));
    let (contacts, _) = all("contact/").await;
    let mut names: Vec<_> = contacts.iter().map(|one| one.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["contact/1", "contact/é*"]);
    assert_eq!(contacts[0].value, b"other");
    let now = Clock::start().wall();
    assert!(contacts.iter().all(|one| now.since(one.changed) < PATIENCE));

    write("contact/1", b"news").await;
    for listed in &contacts {
        let is_gone = documents.remove(listed).await.unwrap();
        assert_eq!(is_gone, listed.name != "contact/1", "{listed:?}");
        assert!(!documents.remove(listed).await.unwrap(), "once");
    }
    assert_eq!(documents.read("contact/1").await.unwrap().as_deref(), Some(&b"news"[..]));
    assert_eq!(documents.read("contact/é*").await.unwrap(), None);
    write("contact/é*", b"back").await;
    assert_eq!(documents.read("contact/é*").await.unwrap().as_deref(), Some(&b"back"[..]));
    store.close().await;
    let documents = harness.open().await.documents();
    assert_eq!(documents.read("contact/é*").await.unwrap().as_deref(), Some(&b"back"[..]));
}
