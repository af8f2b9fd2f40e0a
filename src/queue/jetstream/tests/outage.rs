//! A server that goes away in the middle.

use std::collections::HashMap;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_unmarked_comes_twice_when_the_server_restarts() {
    let mut server = NatsServer::start();
    let here = Instance::open(&server).await;
    keeps_all(&here, async || {
        server.kill();
        server.begin();
    })
    .await;
}

/// Appends and works while something happens twice, and sees that every job came, and none twice
/// unmarked.
pub(super) async fn keeps_all(here: &Instance, mut happens: impl AsyncFnMut()) {
    const JOBS: usize = 120;
    here.gains_all().await;
    let producer = tokio::spawn({
        let queue = here.inbox();
        async move {
            for n in 0..JOBS {
                let job = job(&format!("k{}", n % 6), &n.to_string());
                // Whatever was refused is appended again, as a webhook is sent again.
                while queue.append(vec![job.clone()]).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    });
    let seen: Arc<std::sync::Mutex<Vec<(usize, bool)>>> = Arc::default();
    let consumer = tokio::spawn({
        let (queue, seen) = (here.inbox(), Arc::clone(&seen));
        async move {
            loop {
                match queue.next().await {
                    Ok(delivery) => {
                        let number = name(&delivery).parse().unwrap();
                        seen.lock().unwrap().push((number, delivery.redelivered()));
                        // What is not acknowledged comes again.
                        let _ = delivery.ack().await;
                    }
                    Err(Error::Closed) => return,
                    Err(_) => {}
                }
            }
        }
    });
    for stop in [20, 60] {
        until(|| seen.lock().unwrap().len() >= stop).await;
        happens().await;
    }
    soon(producer).await.unwrap();
    soon(async {
        // While the server is away nobody can say.
        while !matches!(here.inbox().stats().await, Ok(stats) if stats.oldest_age.is_none())
            || seen.lock().unwrap().len() < JOBS
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    here.store.close().await;
    soon(consumer).await.unwrap();
    let mut first: HashMap<usize, usize> = HashMap::new();
    for (number, redelivered) in seen.lock().unwrap().iter() {
        *first.entry(*number).or_default() += usize::from(!redelivered);
    }
    assert_eq!(first.len(), JOBS, "each job came");
    assert!(first.values().all(|&times| times <= 1), "twice unmarked: {first:?}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_refuses_appends_in_bounded_time() {
    let server = NatsServer::start();
    let here = Instance::open(&server).await;
    here.gains_all().await;
    here.inbox().append(vec![job("a", "1")]).await.unwrap();
    let out = next_is(&here.inbox(), "1").await;
    server.freeze();
    let mut name = String::new();
    let refused = soon(async {
        // It takes a moment until it is frozen.
        for n in 2.. {
            name = n.to_string();
            if let Err(error) = here.inbox().append(vec![job("b", &name)]).await {
                return error;
            }
        }
        unreachable!("numbers do not end")
    })
    .await;
    assert!(matches!(refused, Error::Away { .. }), "{refused:?}");
    assert!(matches!(soon(out.ack()).await, Err(Error::Away { .. })));
    server.thaw();
    soon(async { while here.inbox().append(vec![job("b", &name)]).await.is_err() {} }).await;
    // The acknowledgement may have been stored or not: if it was not, the job comes again, marked.
    let mut came = Vec::new();
    while came.last() != Some(&name) {
        let delivery = soon(here.inbox().next()).await.unwrap();
        let this = self::name(&delivery).to_owned();
        assert!(this != "1" || delivery.redelivered());
        delivery.ack().await.unwrap();
        came.push(this);
    }
    came.retain(|name| name != "1");
    let last: u32 = name.parse().unwrap();
    assert_eq!(came, (2..=last).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_server_without_room_is_trouble_until_it_has_some_again() {
    let config = "jetstream { store_dir: \"STORE\", max_file_store: 4MB }\n";
    let server = NatsServer::start_plain(&test_nats::floor(), config);
    let here = Instance::open(&server).await;
    here.gains_all().await;
    let large = |n: u32| Append { payload: vec![b'x'; 200_000], ..job("a", &n.to_string()) };
    let refused = soon(async {
        for n in 0.. {
            if let Err(error) = here.inbox().append(vec![large(n)]).await {
                return error;
            }
        }
        unreachable!("numbers do not end")
    })
    .await;
    assert!(matches!(refused, Error::Full { .. }), "{refused:?}");
    assert!(here.store.is_failing());
    let stream = here.shared.log.stream().clone();
    stream.purge().await.unwrap();
    until(|| !here.store.is_failing()).await;
}
