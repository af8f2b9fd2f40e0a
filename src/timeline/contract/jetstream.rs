//! The stream under the contract, on the oldest server that is supported and on the newest.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::{Bounds, Harness};
use crate::test_nats::{self, NatsServer};
use crate::timeline::{Timeline, jetstream};

/// One prefix on a server that tests share which run at the same time.
struct Place {
    server: Arc<NatsServer>,
    prefix: String,
}

impl Place {
    fn on(running: &Mutex<Weak<NatsServer>>, program: impl FnOnce() -> PathBuf) -> Self {
        let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
        let server = running.upgrade().unwrap_or_else(|| {
            let server = Arc::new(NatsServer::start_with(&program(), ""));
            *running = Arc::downgrade(&server);
            server
        });
        Self { server, prefix: uuid::Uuid::new_v4().simple().to_string() }
    }

    async fn open(&self, Bounds { retention, bytes_max }: Bounds) -> Timeline {
        let client = async_nats::connect(self.server.url()).await.unwrap();
        let prefix = self.prefix.clone();
        let options = jetstream::Options { prefix, replicas: 1, retention, bytes_max };
        jetstream::open(client, options).await.unwrap()
    }
}

/// Makes a harness of a server's program.
macro_rules! harness {
    ($room:ident, $name:ident, $program:path) => {
        mod $room {
            use super::*;

            static RUNNING: Mutex<Weak<NatsServer>> = Mutex::new(Weak::new());

            struct $name(Place);

            impl Harness for $name {
                fn empty() -> Self {
                    Self(Place::on(&RUNNING, $program))
                }

                async fn open(&self, bounds: Bounds) -> Timeline {
                    self.0.open(bounds).await
                }
            }

            crate::timeline::contract::contract!($name);
        }
    };
}

harness!(floor, Floor, test_nats::floor);
harness!(newest, Newest, test_nats::newest);
