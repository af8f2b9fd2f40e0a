//! Streams with three replicas, one of which dies.

use async_nats::jetstream::{self, stream};

use super::*;
use crate::test_nats::{free_port, newest};

const REPLICAS: usize = 3;

/// Three servers that keep the same.
struct Cluster(Vec<NatsServer>);

impl Cluster {
    /// Starts them, and waits until they take a stream with a replica on each.
    async fn start() -> Self {
        let ports: Vec<_> = (0..REPLICAS).map(|_| free_port()).collect();
        let routes: Vec<_> = ports.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        let server = |(number, port): (usize, &u16)| {
            let config = format!(
                "server_name: n{number}\njetstream {{ store_dir: \"STORE\" }}\n\
                 cluster {{ name: c, listen: \"127.0.0.1:{port}\", routes: {routes:?} }}\n"
            );
            NatsServer::start_plain(&newest(), &config)
        };
        let cluster = Self(ports.iter().enumerate().map(server).collect());
        let context = jetstream::new(cluster.client().await);
        let probe = stream::Config {
            name: "probe".into(),
            num_replicas: REPLICAS,
            ..stream::Config::default()
        };
        soon(async { while context.create_stream(probe.clone()).await.is_err() {} }).await;
        cluster
    }

    async fn client(&self) -> Client {
        connect_to(self.0.iter().map(NatsServer::url).collect()).await
    }

    /// The server that leads the stream of jobs, once there is one.
    async fn leader(&mut self, context: &jetstream::Context) -> &mut NatsServer {
        let name = soon(async {
            loop {
                let info = match context.get_stream("chimein-jobs").await {
                    Ok(stream) => stream.cached_info().clone(),
                    Err(_) => continue,
                };
                if let Some(leader) = info.cluster.and_then(|cluster| cluster.leader) {
                    return leader;
                }
            }
        })
        .await;
        let number: usize = name.trim_start_matches('n').parse().unwrap();
        &mut self.0[number]
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_unmarked_comes_twice_when_the_leader_dies() {
    let mut cluster = Cluster::start().await;
    let client = cluster.client().await;
    let context = jetstream::new(client.clone());
    let here = Instance::open_on(client, |options| options.replicas = REPLICAS).await;
    outage::keeps_all(&here, async || {
        let leader = cluster.leader(&context).await;
        leader.kill();
        leader.begin();
    })
    .await;
}
