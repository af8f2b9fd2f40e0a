//! The engine on NATS under the contract, on the oldest server that is supported and on the newest.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::{Harness, soon};
use crate::queue::jetstream::{Everything, JetStream, Options};
use crate::queue::{Store, jetstream};

use crate::test_nats::{self, NatsServer};

/// Partitions enough to have lanes meet and part.
const PARTITIONS: u16 = 4;

/// Room for the largest payload and the record around it.
const CONFIG: &str = "max_payload: 2MB\n";

/// One prefix on a server that tests share which run at the same time.
struct Place {
    server: Arc<NatsServer>,
    prefix: String,
}

impl Place {
    fn on(running: &Mutex<Weak<NatsServer>>, program: impl FnOnce() -> PathBuf) -> Self {
        let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
        let server = running.upgrade().unwrap_or_else(|| {
            let server = Arc::new(NatsServer::start_with(&program(), CONFIG));
            *running = Arc::downgrade(&server);
            server
        });
        Self { server, prefix: uuid::Uuid::new_v4().simple().to_string() }
    }

    async fn open(&self, lease: Duration) -> Store {
        let client = async_nats::connect(self.server.url()).await.unwrap();
        let options = jetstream::Options {
            prefix: self.prefix.clone(),
            partitions: PARTITIONS,
            lease,
            ..Options::new(client)
        };
        let engine = JetStream::open(options, Box::new(Everything::of(PARTITIONS))).await.unwrap();
        // What is appended before a partition is worked on counts as perhaps delivered before.
        soon(async {
            while engine.worked_on() < usize::from(PARTITIONS) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
        Store::on(engine)
    }
}

mod floor {
    use super::*;

    static RUNNING: Mutex<Weak<NatsServer>> = Mutex::new(Weak::new());

    struct Floor(Place);

    impl Harness for Floor {
        fn empty() -> Self {
            Self(Place::on(&RUNNING, test_nats::floor))
        }

        async fn open_leasing(&self, lease: Duration) -> Store {
            self.0.open(lease).await
        }
    }

    crate::queue::contract::contract!(Floor);
}

mod newest {
    use super::*;

    static RUNNING: Mutex<Weak<NatsServer>> = Mutex::new(Weak::new());

    struct Newest(Place);

    impl Harness for Newest {
        fn empty() -> Self {
            Self(Place::on(&RUNNING, test_nats::newest))
        }

        async fn open_leasing(&self, lease: Duration) -> Store {
            self.0.open(lease).await
        }
    }

    crate::queue::contract::contract!(Newest);
}
