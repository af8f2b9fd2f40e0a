//! Members on real servers.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream;
use tokio::runtime::Runtime;
use tokio_util::task::TaskTracker;

use super::{Change, Claim, Claims, Error, InstanceId, Membership, Options};
use crate::clock::{Clock, Moment};
use crate::nats::{self, Auth, ServerAddress};
use crate::test_nats::{NatsServer, programs};

/// Short enough for a test, long enough for a machine under load.
const HEARTBEAT: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(3);
/// How long anything may take before the test has failed.
const WAIT_MAX: Duration = Duration::from_secs(40);
const NAMES: usize = 16;

#[test]
fn names_are_shared_out_and_taken_over_on_every_server_version() {
    for program in programs() {
        let server = NatsServer::start_with(&program, "");
        let (mut one, mut two) = (Member::join(&server, "one"), Member::join(&server, "two"));
        wait("both have their share", || one.count() == NAMES / 2 && two.count() == NAMES / 2);
        let mut three = Member::join(&server, "three");
        wait("three shares", || {
            let counts = [one.count(), two.count(), three.count()];
            counts.iter().sum::<usize>() == NAMES && counts.iter().all(|count| *count >= 5)
        });
        assert_eq!(*one.membership.live().borrow(), 3);
        let clock = Clock::start();
        three.leave();
        wait("what was left is taken", || one.count() + two.count() == NAMES);
        let elapsed = clock.now().since(Moment::ORIGIN);
        assert!(elapsed < PATIENCE, "at once, took {elapsed:?}");
        let before = one.epochs();
        two.kill();
        wait("what a dead one held is taken over", || one.count() == NAMES);
        let after = one.epochs();
        assert!(before.iter().all(|(name, epoch)| after[name] >= *epoch));
        let holder = one.runtime().block_on(one.membership.holder("partition", "3"));
        assert_eq!(holder, InstanceId::parse("one"));
        assert_eq!(one.membership.held().len(), NAMES);
    }
}

#[test]
fn a_restarted_server_takes_nothing_away_for_long() {
    let mut server = NatsServer::start();
    let (mut one, mut two) = (Member::join(&server, "one"), Member::join(&server, "two"));
    wait("both have their share", || one.count() == NAMES / 2 && two.count() == NAMES / 2);
    server.kill();
    wait("nobody believes for long without it", || one.count() + two.count() == 0);
    server.begin();
    wait("both have their share again", || one.count() == NAMES / 2 && two.count() == NAMES / 2);
}

#[test]
fn a_member_that_stood_still_learns_that_it_was_taken_for_dead() {
    let server = NatsServer::start();
    let (mut one, mut two) = (Member::join(&server, "one"), Member::join(&server, "two"));
    wait("both have their share", || one.count() == NAMES / 2 && two.count() == NAMES / 2);
    let claims = two.membership.held();
    // One worker thread, and it is blocked: nothing of this member runs.
    two.runtime().spawn(async { std::thread::sleep(PATIENCE * 3) });
    wait("the other one takes over", || one.count() == NAMES);
    assert!(claims.iter().all(|(_, claim)| !claim.is_held()), "although its task hangs");
    wait("it joins anew", || one.count() == NAMES / 2 && two.count() == NAMES / 2);
    assert!(claims.iter().all(|(_, claim)| !claim.is_held()), "old claims stay void");
}

#[test]
fn what_is_wrong_with_the_bucket_is_named() {
    let runtime = Runtime::new().unwrap();
    let server = NatsServer::start_plain(&programs()[0], "");
    let error = runtime.block_on(join(&server.url(), "one")).unwrap_err();
    assert!(matches!(error, Error::NoJetStream(_)), "{error:?}");
    let server = NatsServer::start();
    let error = runtime.block_on(async {
        let client = connect(&server.url()).await;
        let bucket = "test-cluster".to_owned();
        let max_age = Duration::from_secs(60);
        let config = jetstream::kv::Config { bucket, max_age, ..Default::default() };
        jetstream::new(client).create_key_value(config).await.unwrap();
        join(&server.url(), "one").await.unwrap_err()
    });
    let told = error.to_string();
    assert!(told.contains("test-cluster has maximum age 60 s and must have none"), "{told}");
}

#[test]
fn dropped_claims_are_given_back() {
    let server = NatsServer::start();
    let (mut one, mut two) = (Member::join(&server, "one"), Member::join(&server, "two"));
    wait("both have their share", || one.count() == NAMES / 2 && two.count() == NAMES / 2);
    drop(two.claims.take());
    wait("the other one has all", || one.count() == NAMES);
    assert!(two.membership.held().is_empty());
}

/// A member with a runtime of its own, so that it can be killed.
struct Member {
    runtime: Option<Runtime>,
    membership: Membership,
    claims: Option<Claims>,
    held: BTreeMap<String, Claim>,
}

impl Member {
    fn join(server: &NatsServer, name: &str) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        let membership = runtime.block_on(join(&server.url(), name)).unwrap();
        let names = (0..NAMES).map(|n| n.to_string()).collect();
        let claims = membership.claim("partition", names);
        Self { runtime: Some(runtime), membership, claims: Some(claims), held: BTreeMap::new() }
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().unwrap()
    }

    /// How many names it holds, after what has happened.
    fn count(&mut self) -> usize {
        while let Some(claims) = &mut self.claims {
            let next = futures::FutureExt::now_or_never(claims.next());
            match next.flatten() {
                Some(Change::Gained(claim)) => {
                    self.held.insert(claim.name().to_owned(), claim);
                }
                Some(Change::Yield(name)) => {
                    self.held.remove(&name);
                    claims.released(&name);
                }
                Some(Change::Lost(name)) => {
                    self.held.remove(&name);
                }
                None => break,
            }
        }
        self.held.values().filter(|claim| claim.is_held()).count()
    }

    fn epochs(&self) -> BTreeMap<String, u64> {
        self.held.iter().map(|(name, claim)| (name.clone(), claim.epoch())).collect()
    }

    fn leave(&mut self) {
        self.runtime().block_on(self.membership.leave());
        assert!(self.held.values().all(|claim| !claim.is_held()));
    }

    fn kill(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn connect(url: &str) -> async_nats::Client {
    let servers = vec![ServerAddress::parse(url).unwrap()];
    let options = nats::Options { servers, auth: Auth::None, tls: None, name: "test".into() };
    nats::connect(options).await.unwrap()
}

async fn join(url: &str, name: &str) -> Result<Membership, Error> {
    let instance = InstanceId::parse(name).unwrap();
    let options = Options {
        heartbeat: HEARTBEAT,
        patience: PATIENCE,
        ..Options::new(instance, "test-cluster")
    };
    Membership::join(&connect(url).await, options, &TaskTracker::new()).await
}

fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let clock = Clock::start();
    while !is_so() {
        assert!(clock.now().since(Moment::ORIGIN) < WAIT_MAX, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
