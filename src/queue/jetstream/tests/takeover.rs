//! Partitions that change hands.

use super::*;

/// A paused holder does not know that it is one no longer: what it settles late must change nothing.
#[tokio::test]
async fn a_late_settlement_after_a_takeover_is_fenced() {
    let server = NatsServer::start();
    let (old, new) = (Instance::open(&server).await, Instance::open(&server).await);
    old.gains_all().await;
    for how in ["ack", "retry", "dead", "append"] {
        old.inbox().append(vec![job(how, how)]).await.unwrap();
    }
    let mut late = Vec::new();
    for _ in 0..4 {
        late.push(soon(old.inbox().next()).await.unwrap());
    }
    new.gains_all().await;
    let mut again = Vec::new();
    for _ in 0..4 {
        let delivery = soon(new.inbox().next()).await.unwrap();
        assert!(delivery.redelivered(), "the former holder had it");
        again.push(delivery);
    }
    for delivery in late {
        let reply = vec![(QueueName::Outbox, job("r", "reply"))];
        let how = name(&delivery).to_owned();
        let answer = match how.as_str() {
            "ack" => delivery.ack().await,
            "retry" => delivery.retry_in(PATIENCE, Cause::new("late")).await,
            "dead" => delivery.dead(Cause::new("late")).await,
            _ => delivery.ack_and_append(reply).await.map(drop),
        };
        assert!(matches!(answer, Err(Error::LeaseLost { .. })), "{how}: {answer:?}");
    }
    assert_eq!(new.inbox().stats().await.unwrap().dead, 0);
    nothing_is_due(&new.outbox()).await;
    for delivery in again {
        delivery.ack().await.unwrap();
    }
    nothing_is_due(&new.inbox()).await;
}

#[tokio::test]
async fn who_holds_a_partition_no_longer_delivers_and_settles_nothing_of_it() {
    let server = NatsServer::start();
    let here = Instance::open(&server).await;
    here.gains_all().await;
    here.inbox().append(vec![job("a", "1"), job("b", "2")]).await.unwrap();
    let out = soon(here.inbox().next()).await.unwrap();
    here.is_held.store(false, Ordering::SeqCst);
    nothing_is_due(&here.inbox()).await;
    assert!(matches!(out.extend().await, Err(Error::LeaseLost { .. })));
    assert!(matches!(out.ack().await, Err(Error::LeaseLost { .. })));
    for partition in 0..PARTITIONS {
        here.deal.send(Change::Lost(partition)).unwrap();
    }
    until(|| here.shared.holdings().is_empty()).await;
}

#[tokio::test]
async fn who_loses_a_partition_hears_of_it_before_the_lease_is_extended() {
    let server = NatsServer::start();
    let here = Instance::open(&server).await;
    here.gains_all().await;
    here.inbox().append(vec![job("a", "1")]).await.unwrap();
    let out = soon(here.inbox().next()).await.unwrap();
    assert!(out.is_held());
    let (kept, extends) = (out.keep_alive(), here.shared.lease_time / 3);
    for partition in 0..PARTITIONS {
        here.deal.send(Change::Lost(partition)).unwrap();
    }
    let lost = tokio::time::timeout(extends, kept).await.expect("it was not told");
    assert!(matches!(lost, Error::LeaseLost { .. }));
    until(|| !out.is_held()).await;
}

#[tokio::test]
async fn a_job_that_another_instance_stored_counts_once_its_append_is_answered() {
    let server = NatsServer::start();
    let (here, there) = (Instance::open(&server).await, Instance::open(&server).await);
    here.gains_all().await;
    for round in 0..50 {
        let (key, first, second) =
            (format!("k{round}"), format!("{round}.1"), format!("{round}.2"));
        let at = |position, name: &str| Append { position: Some(position), ..job(&key, name) };
        here.inbox().append(vec![at(2, &second)]).await.unwrap();
        let out = next_is(&here.inbox(), &second).await;
        there.inbox().append(vec![at(1, &first)]).await.unwrap();
        let answers = here.inbox().append(vec![at(1, &first)]).await.unwrap();
        assert_eq!(answers, [crate::queue::Appended::Duplicate]);
        let (first_key, first_id) = (Key::new(key.as_str()).unwrap(), id(&first));
        let subject = here.shared.subject((QueueName::Inbox, first_id), &first_key);
        let (rev, _) = here.shared.log.read(&subject).await.unwrap().unwrap();
        let holding = here.shared.holding(here.shared.partition_of(&first_key)).unwrap();
        assert_eq!(holding.stored(), rev, "the order waits until this is read");
        assert!(out.overtaken().await.unwrap(), "in round {round}");
        drop(out);
        next_is(&here.inbox(), &first).await.ack().await.unwrap();
        next_is(&here.inbox(), &second).await.ack().await.unwrap();
    }
}

#[tokio::test]
async fn a_sync_brings_what_another_instance_stored_before() {
    let server = NatsServer::start();
    let (here, there) = (Instance::open(&server).await, Instance::open(&server).await);
    here.gains_all().await;
    for round in 0..50 {
        let (key, name) = (format!("k{round}"), round.to_string());
        there.inbox().append(vec![job(&key, &name)]).await.unwrap();
        let key = Key::new(key).unwrap();
        here.inbox().sync(&key).await.unwrap();
        assert!(here.inbox().may_be_open(&key), "in round {round}");
        there.inbox().sync(&key).await.unwrap();
    }
}

/// Jobs by key, as consumers of both instances acknowledged them.
type Seen = Arc<std::sync::Mutex<Vec<(String, usize)>>>;

fn consume(queue: Queue, seen: &Seen, tasks: &mut tokio::task::JoinSet<()>) {
    let seen = Arc::clone(seen);
    tasks.spawn(async move {
        loop {
            let delivery = match queue.next().await {
                Ok(delivery) => delivery,
                Err(Error::Closed) => return,
                Err(_) => continue,
            };
            let key = delivery.key().as_str().to_owned();
            let number = name(&delivery).split('.').next_back().unwrap().parse().unwrap();
            // Between the acknowledgement and the note nothing of the lane can be noted: it is noted
            // first, and taken back if another holder has it.
            seen.lock().unwrap().push((key.clone(), number));
            if delivery.ack().await.is_err() {
                let mut seen = seen.lock().unwrap();
                let at = seen.iter().rposition(|it| *it == (key.clone(), number)).unwrap();
                seen.remove(at);
            }
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_is_kept_and_nothing_is_done_twice_while_partitions_change_hands() {
    const KEYS: usize = 8;
    const ROUNDS: usize = 30;
    let server = NatsServer::start();
    let (mut left, mut right) = (Instance::open(&server).await, Instance::open(&server).await);
    left.gains_all().await;
    let (seen, mut tasks) = (Seen::default(), tokio::task::JoinSet::new());
    for queue in [left.inbox(), left.inbox(), right.inbox(), right.inbox()] {
        consume(queue, &seen, &mut tasks);
    }
    for round in 0..ROUNDS {
        let jobs = (0..KEYS).map(|key| job(&format!("k{key}"), &format!("k{key}.{round}")));
        let by = if round % 2 == 0 { left.inbox() } else { right.inbox() };
        by.append(jobs.collect()).await.unwrap();
        match round {
            7 => {
                left.yields(0).await;
                right.gains(0).await;
            }
            14 => {
                left.yields(1).await;
                right.gains(1).await;
            }
            21 => {
                right.yields(0).await;
                left.gains(0).await;
            }
            _ => {}
        }
    }
    until(|| seen.lock().unwrap().len() >= KEYS * ROUNDS).await;
    left.store.close().await;
    right.store.close().await;
    while tasks.join_next().await.is_some() {}
    let seen = seen.lock().unwrap();
    for key in 0..KEYS {
        let key = format!("k{key}");
        let of: Vec<_> = seen.iter().filter(|(of, _)| *of == key).map(|(_, n)| *n).collect();
        assert_eq!(of, (0..ROUNDS).collect::<Vec<_>>(), "{key}");
    }
}

/// The server has the decision, and the holder died before it was carried out.
#[tokio::test]
async fn a_decision_that_was_not_carried_out_is_by_the_next_holder() {
    let server = NatsServer::start();
    let (old, new) = (Instance::open(&server).await, Instance::open(&server).await);
    old.inbox().append(vec![job("a", "1"), job("a", "2"), job("a", "3")]).await.unwrap();
    let subject = old.shared.subject((QueueName::Inbox, id("1")), &Key::new("a").unwrap());
    let (rev, record) = old.shared.log.read(&subject).await.unwrap().unwrap();
    let appends = vec![(QueueName::Outbox, job("a", "reply"))];
    let moved = State::Moved(Moved { appends, along: vec![id("2")] });
    let moved = record.then(rev, moved, old.shared.by());
    assert!(matches!(old.shared.log.swap(&subject, rev, &moved).await, Ok(log::Swap::Done(_))));
    new.gains_all().await;
    next_is(&new.outbox(), "reply").await.ack().await.unwrap();
    next_is(&new.inbox(), "3").await.ack().await.unwrap();
    nothing_is_due(&new.inbox()).await;
    assert_eq!(new.inbox().append(vec![job("a", "2")]).await.unwrap(), [Appended::Duplicate]);
}

#[tokio::test]
async fn letters_are_shown_and_redriven_by_who_does_not_hold_them() {
    let server = NatsServer::start();
    let (here, there) = (Instance::open(&server).await, Instance::open(&server).await);
    here.gains_all().await;
    there.inbox().append(vec![job("a", "1"), job("a", "2")]).await.unwrap();
    for wanted in ["1", "2"] {
        next_is(&here.inbox(), wanted).await.dead(Cause::new("refused")).await.unwrap();
    }
    assert_eq!(there.inbox().show(id("1")).await.unwrap().payload, b"1");
    there.inbox().redrive(id("1")).await.unwrap();
    there.inbox().drop(id("2")).await.unwrap();
    assert_eq!(there.inbox().stats().await.unwrap().dead, 0);
    let again = next_is(&here.inbox(), "1").await;
    assert!(again.redelivered());
    again.ack().await.unwrap();
    nothing_is_due(&here.inbox()).await;
}

#[tokio::test]
async fn a_takeover_reads_from_the_floor_on_and_misses_nothing() {
    let server = NatsServer::start();
    let (mut old, new) = (Instance::open(&server).await, Instance::open(&server).await);
    old.gains_all().await;
    for n in 0..20 {
        old.inbox().append(vec![job("a", &n.to_string())]).await.unwrap();
        if n != 10 {
            soon(old.inbox().next()).await.unwrap().ack().await.unwrap();
        } else {
            let delivery = soon(old.inbox().next()).await.unwrap();
            delivery.dead(Cause::new("refused")).await.unwrap();
        }
    }
    old.inbox().append(vec![job("a", "waits")]).await.unwrap();
    let partition = old.shared.partition_of(&Key::new("a").unwrap());
    let holding = old.shared.holding(partition).unwrap();
    maintenance::raise_floor(&old.shared, &holding, &mut Default::default()).await.unwrap();
    let floor = new.shared.marks.floor(new.shared.created, partition).await.unwrap();
    assert!(floor > 20, "{floor}");
    old.yields(partition).await;
    new.gains(partition).await;
    let delivery = next_is(&new.inbox(), "waits").await;
    assert!(delivery.redelivered());
    delivery.ack().await.unwrap();
    new.inbox().redrive(id("10")).await.unwrap();
    next_is(&new.inbox(), "10").await.ack().await.unwrap();
}
