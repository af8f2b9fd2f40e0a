//! What is wrong is named.

use async_nats::jetstream::stream::{Config, RetentionPolicy, StorageType};

use super::*;

async fn open_error(server: &NatsServer, client: Client) -> String {
    let options = Options { partitions: PARTITIONS, ..Options::new(client) };
    let opened = soon(Store::open_jetstream(options, Everything::of(PARTITIONS))).await;
    let _ = server;
    let error = opened.expect_err("it is wrong");
    assert_eq!(error.retry() == crate::queue::Retry::No, matches!(error, Error::Unfit { .. }));
    Chain(&error).to_string()
}

#[tokio::test]
async fn a_stream_that_would_break_a_promise_is_refused_by_name() {
    let server = NatsServer::start();
    let client = connect(&server).await;
    let context = async_nats::jetstream::new(client.clone());
    let good = || Config {
        name: "chimein-jobs".into(),
        subjects: vec!["chimein.job.*.*.*".into()],
        max_messages_per_subject: 1,
        max_messages: -1,
        discard: async_nats::jetstream::stream::DiscardPolicy::New,
        storage: StorageType::File,
        num_replicas: 1,
        allow_direct: true,
        metadata: [("chimein-partitions".to_owned(), "2".to_owned())].into(),
        ..Config::default()
    };
    let cases: [(&str, Config); 7] = [
        ("subjects is", Config { subjects: vec!["chimein.>".into()], ..good() }),
        ("retention is WorkQueue", Config { retention: RetentionPolicy::WorkQueue, ..good() }),
        ("max_age is 3600s, wanted 0ns", Config { max_age: Duration::from_secs(3600), ..good() }),
        ("max_msgs_per_subject is 5, wanted 1", Config { max_messages_per_subject: 5, ..good() }),
        ("storage is Memory, wanted File", Config { storage: StorageType::Memory, ..good() }),
        ("allow_direct is false, wanted true", Config { allow_direct: false, ..good() }),
        (
            "number of partitions is 64, wanted 2",
            Config {
                metadata: [("chimein-partitions".to_owned(), "64".to_owned())].into(),
                ..good()
            },
        ),
    ];
    for (wanted, config) in cases {
        create_again(&context, config).await;
        let told = open_error(&server, client.clone()).await;
        assert!(told.contains("stream chimein-jobs") && told.contains(wanted), "{told}");
        context.delete_stream("chimein-jobs").await.unwrap();
    }
    create_again(&context, good()).await;
    let options = Options { partitions: PARTITIONS, ..Options::new(client) };
    Store::open_jetstream(options, Everything::of(PARTITIONS)).await.unwrap();
}

/// Makes a stream of a name that has just become free: the server may still be clearing its folder.
async fn create_again(context: &async_nats::jetstream::Context, config: Config) {
    let made = async {
        while let Err(error) = context.create_stream(config.clone()).await {
            assert!(error.to_string().contains("creating store"), "{error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), made).await.unwrap();
}

#[tokio::test]
async fn a_server_without_jetstream_is_named() {
    let server = NatsServer::start_plain(&test_nats::floor(), "");
    let told = open_error(&server, connect(&server).await).await;
    assert!(told.contains("JetStream is not enabled"), "{told}");
}

#[tokio::test]
async fn a_user_without_permission_is_told_which() {
    let rules = "authorization { users = [{ user: u, password: p, permissions: {\
                 publish: { deny: \"$JS.API.STREAM.CREATE.>\" } } }] }\n";
    let server = NatsServer::start_with(&test_nats::newest(), rules);
    let options = async_nats::ConnectOptions::with_user_and_password("u".into(), "p".into());
    let client = options.connect(server.url()).await.unwrap();
    let told = open_error(&server, client).await;
    assert!(told.contains("chimein-jobs") && told.contains("$JS.API.>"), "{told}");
}

#[tokio::test]
async fn a_prefix_that_is_no_name_is_refused() {
    let server = NatsServer::start();
    let options = Options { prefix: "a.b".into(), ..Options::new(connect(&server).await) };
    let opened = Store::open_jetstream(options, Everything::of(1)).await;
    assert!(matches!(opened, Err(Error::Invalid { .. })));
}

#[tokio::test]
async fn a_job_over_the_servers_limit_is_refused_with_the_setting_to_change() {
    let server = NatsServer::start_with(&test_nats::newest(), "max_payload: 100KB\n");
    let here = Instance::open(&server).await;
    let large = Append { payload: vec![0; 200_000], ..job("a", "1") };
    let refused = here.inbox().append(vec![large]).await.expect_err("it is too large");
    assert!(refused.to_string().contains("max_payload"), "{refused}");
}
