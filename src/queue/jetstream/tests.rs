//! What the contract does not ask: several holders, a server that goes away, what is left behind.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::mpsc;

use super::record::{Moved, State};
use super::*;
use crate::queue::{Cause, Delivery, Queue, Store};
use crate::test_nats::{self, NatsServer};

mod disk;
mod outage;
mod replicas;
mod setup;
mod takeover;

/// The longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

const PARTITIONS: u16 = 2;

/// Holdings that a test gives and takes.
struct Dealt(mpsc::UnboundedReceiver<Change>, mpsc::UnboundedSender<u16>);

impl Holdings for Dealt {
    fn next(&mut self) -> BoxFuture<'_, Option<Change>> {
        self.0.recv().boxed()
    }

    fn released(&mut self, partition: u16) {
        // A test that does not wait for it has dropped the other end.
        let _ = self.1.send(partition);
    }
}

struct Flag(Arc<AtomicBool>);

impl HeldPartition for Flag {
    fn is_held(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// One instance, and the test's hand on what it holds.
struct Instance {
    store: Store,
    shared: Arc<Shared>,
    deal: mpsc::UnboundedSender<Change>,
    released: mpsc::UnboundedReceiver<u16>,
    is_held: Arc<AtomicBool>,
}

impl Instance {
    async fn open(server: &NatsServer) -> Self {
        Self::open_with(server, |_| {}).await
    }

    async fn open_with(server: &NatsServer, change: impl FnOnce(&mut Options)) -> Self {
        Self::open_on(connect(server).await, change).await
    }

    async fn open_on(client: Client, change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options { partitions: PARTITIONS, ..Options::new(client) };
        change(&mut options);
        let (deal, dealt) = mpsc::unbounded_channel();
        let (sender, released) = mpsc::unbounded_channel();
        let engine = JetStream::open(options, Box::new(Dealt(dealt, sender))).await.unwrap();
        let shared = Arc::clone(&engine.shared);
        let is_held = Arc::new(AtomicBool::new(true));
        Self { store: Store::on(engine), shared, deal, released, is_held }
    }

    /// Gives it all partitions, and waits until it works on them.
    async fn gains_all(&self) {
        for partition in 0..PARTITIONS {
            self.gains(partition).await;
        }
    }

    async fn gains(&self, partition: u16) {
        let held = Flag(Arc::clone(&self.is_held));
        self.deal.send(Change::Gained(partition, Box::new(held))).unwrap();
        let is_up = || self.shared.holding(partition).is_some_and(|it| it.book().is_caught_up());
        until(is_up).await;
    }

    /// Takes a partition from it, and waits until it has wound down.
    async fn yields(&mut self, partition: u16) {
        self.deal.send(Change::Yield(partition)).unwrap();
        assert_eq!(soon(self.released.recv()).await, Some(partition));
    }

    fn inbox(&self) -> Queue {
        self.store.queue(QueueName::Inbox)
    }

    fn outbox(&self) -> Queue {
        self.store.queue(QueueName::Outbox)
    }
}

async fn connect(server: &NatsServer) -> Client {
    connect_to(vec![server.url()]).await
}

async fn connect_to(urls: Vec<String>) -> Client {
    let options = async_nats::ConnectOptions::new()
        .request_timeout(Some(Duration::from_secs(3)))
        .reconnect_delay_callback(|_| Duration::from_millis(100));
    options.connect(urls).await.unwrap()
}

fn id(name: &str) -> JobId {
    JobId::digest("test", &[name.as_bytes()])
}

fn job(key: &str, name: &str) -> Append {
    Append {
        id: id(name),
        key: Key::new(key).unwrap(),
        position: None,
        not_before: None,
        payload: name.as_bytes().to_vec(),
    }
}

fn name(delivery: &Delivery) -> &str {
    std::str::from_utf8(delivery.payload()).unwrap()
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it never happened")
}

async fn until(mut is_so: impl FnMut() -> bool) {
    soon(async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

async fn next_is(queue: &Queue, wanted: &str) -> Delivery {
    let delivery = soon(queue.next()).await.unwrap();
    assert_eq!(name(&delivery), wanted);
    delivery
}

async fn nothing_is_due(queue: &Queue) {
    if let Ok(delivery) = tokio::time::timeout(Duration::from_millis(100), queue.next()).await {
        panic!("{} came", name(&delivery.unwrap()));
    }
}

#[tokio::test]
async fn what_is_past_its_retention_is_forgotten() {
    let server = NatsServer::start();
    let here = Instance::open_with(&server, |options| {
        (options.retention, options.dead_retention) = (Duration::ZERO, Duration::ZERO);
    })
    .await;
    here.gains_all().await;
    let queue = here.inbox();
    queue.append(vec![job("a", "done"), job("b", "dead"), job("c", "open")]).await.unwrap();
    for _ in 0..2 {
        let delivery = soon(queue.next()).await.unwrap();
        match name(&delivery) {
            "done" => delivery.ack().await.unwrap(),
            _ => delivery.dead(Cause::new("refused")).await.unwrap(),
        }
    }
    let holdings: Vec<_> = here.shared.holdings().values().cloned().collect();
    for holding in holdings {
        assert_eq!(maintenance::sweep(&here.shared, &holding, 1).await.unwrap(), 1);
    }
    for (key, name, is_there) in [("a", "done", false), ("b", "dead", false), ("c", "open", true)] {
        let subject = here.shared.subject((QueueName::Inbox, id(name)), &Key::new(key).unwrap());
        assert_eq!(here.shared.log.read(&subject).await.unwrap().is_some(), is_there, "{name}");
    }
    assert_eq!(queue.stats().await.unwrap().dead, 0);
    assert!(matches!(queue.show(id("dead")).await, Err(Error::NoDeadLetter { .. })));
}

#[tokio::test]
async fn payloads_that_are_not_kept_are_read_again() {
    let server = NatsServer::start();
    let here = Instance::open_with(&server, |options| options.bytes_in_memory = 0).await;
    here.gains_all().await;
    let queue = here.inbox();
    queue.append(["1", "2", "3", "4"].map(|name| job("a", name)).into()).await.unwrap();
    let first = next_is(&queue, "1").await;
    let along = first.absorb(2).await.unwrap();
    assert_eq!(along.iter().map(|it| it.payload.as_slice()).collect::<Vec<_>>(), [b"2", b"3"]);
    first.retry_in(Duration::ZERO, Cause::new("busy")).await.unwrap();
    for wanted in ["1", "2", "3", "4"] {
        next_is(&queue, wanted).await.ack().await.unwrap();
    }
}

#[tokio::test]
async fn marks_of_instances_rise_together() {
    let server = NatsServer::start();
    let (here, there) = (Instance::open(&server).await, Instance::open(&server).await);
    here.store.marks().raise("CH1", 7).await.unwrap();
    there.store.marks().raise("CH1", 5).await.unwrap();
    here.store.close().await;
    there.store.close().await;
    let again = Instance::open(&server).await;
    assert_eq!(again.store.marks().read("CH1").await.unwrap(), Some(7));
}
