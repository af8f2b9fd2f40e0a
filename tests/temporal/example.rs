//! The example, as it is.

use crate::rig::{PHONE, Rig};
use crate::temporal_server::{TemporalServer, settings, worker};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_answers_in_order() {
    let server = TemporalServer::start().await;
    let address = [("TEMPORAL_ADDRESS", server.address())];
    let _worker = worker("examples/temporal/workflow.py", &[], &address);
    let settings = settings(&server, "Chat");
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let rig = Rig::start(&settings).await;
    rig.sms(PHONE, "one").await;
    let conversation = rig.sms(PHONE, "two").await;
    rig.expect(conversation, &["You said: one", "You said: two"]).await;
    rig.end().await;
}
