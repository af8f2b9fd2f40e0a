//! The example: a Lambda, called as AWS calls it.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::Setting;
use crate::rig::PHONE;
use crate::sqs_server::python;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lambda_answers_in_order_and_what_it_fails_at_ends_among_the_dead_letters() {
    let setting = Setting::fifo(&[]).await;
    let lambda = Lambda::start(&setting);
    let conversation = setting.rig.sms(PHONE, "one").await;
    setting.rig.sms(PHONE, "two").await;
    // Not of ours: it fails at this each time.
    setting.server.send(&setting.turns, "somebody", "no turn").await;
    setting.rig.sms(PHONE, "three").await;
    let expected = ["You said: one", "You said: two", "You said: three"];
    setting.rig.expect(conversation, &expected).await;
    let dead = setting.server.url_of("dead-turns.fifo").await;
    setting.until_depth(&dead, 1).await;
    setting.until_depth(&setting.turns, 0).await;
    assert_eq!(setting.server.receive(&dead, 0).await[0].body, "no turn");
    drop(lambda);
    setting.rig.end().await;
}

/// The handler and what calls it; gone when dropped.
struct Lambda(Child);

impl Lambda {
    fn start(setting: &Setting) -> Self {
        let home = Path::new(env!("CARGO_MANIFEST_DIR"));
        let child = Command::new(python())
            .arg(home.join("tests/sqs/poller.py"))
            .arg(home.join("examples/sqs/handler.py"))
            .arg(&setting.turns)
            .env("REPLY_QUEUE_URL", &setting.replies)
            .env("AWS_ENDPOINT_URL_SQS", setting.server.url())
            .env("AWS_REGION", "us-east-1")
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Lambda {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
