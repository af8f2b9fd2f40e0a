//! SIGKILL in the middle of a turn: of the service, of the worker, of the server. Everybody is answered once, in
//! order.

use std::path::{Path, PathBuf};

use chimein::emulator::state::limits::Limits;
use chimein::emulator::state::messaging::Number;
use chimein::emulator::{self, Control, Emulator, Incoming};
use tempfile::TempDir;

use crate::child::{self, NUMBER, Service};
use crate::temporal_server::{Kept, TemporalServer, settings, worker};

const PHONE: &str = "+15555550123";
const TEXTS: [&str; 3] = ["one", "two", "three"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workflow_a_turn_outlives_every_kill() {
    Chat::start("ATurn", &[]).await.survives().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workflow_a_thread_that_is_updated_outlives_every_kill() {
    Chat::start("Updates", &[("CHIMEIN_TEMPORAL_MODE", "thread")]).await.survives().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workflow_a_thread_that_is_signalled_outlives_every_kill() {
    let more = [
        ("CHIMEIN_TEMPORAL_MODE", "thread"),
        ("CHIMEIN_TEMPORAL_REPLY", "activity"),
        ("CHIMEIN_TEMPORAL_ACTIVITY_TASK_QUEUE", "chimein"),
    ];
    Chat::start("Signals", &more).await.survives().await;
}

/// A number, the service as a process, a server, and a worker that thinks until it is let.
struct Chat {
    emulator: Emulator,
    control: Control,
    service: Service,
    server: TemporalServer,
    worker: Kept,
    folder: TempDir,
}

impl Chat {
    async fn start(workflow: &str, more: &[(&str, &str)]) -> Self {
        let server = TemporalServer::start().await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        let worker = worker("tests/temporal/slow.py", &[server.address(), path], &[]);
        let limits = Limits { long_code_rate: 1000, ..Limits::default() };
        let options = emulator::Options { seed: Some(7), limits, ..emulator::Options::default() };
        let emulator = Emulator::start(options).await.unwrap();
        let control = emulator.control();
        let usual = [
            ("TWILIO_PHONE_NUMBER", NUMBER),
            ("CHIMEIN_MESSAGING_SOURCES", "+15555550100=direct"),
            ("CHIMEIN_MESSAGING_SENDER_RATES", "+15555550100=1000"),
        ];
        let mut service = Service::of(&emulator, &[&usual[..], more].concat());
        for (name, value) in settings(&server, workflow) {
            service.set(name, &value);
        }
        let base = format!("http://127.0.0.1:{}", service.port());
        service.set("CHIMEIN_WEBHOOK_PUBLIC_URL", &base);
        control.set_number(Number::told_to(NUMBER, format!("{base}/webhooks/twilio/sms"))).unwrap();
        service.start(&[]);
        assert!(service.is_listening().await, "{}", service.log_tail());
        Self { emulator, control, service, server, worker, folder }
    }

    async fn survives(mut self) {
        for (nth, text) in TEXTS.iter().enumerate() {
            self.control.text(Incoming::new(PHONE, NUMBER, text)).await.unwrap();
            let stored = child::eventually(|| self.control.open_webhooks() == 0).await;
            assert!(stored, "text {nth} is not stored");
        }
        self.is_asked("one").await;
        self.service.kill().await;
        self.service.start(&[]);
        assert!(self.service.is_listening().await);
        self.server.kill();
        self.server.begin().await;
        self.worker.kill();
        std::fs::write(self.folder.path().join("go"), "").unwrap();
        let answered = child::eventually(|| self.said().len() >= TEXTS.len()).await;
        assert!(answered, "{:?}\n{}", self.said(), self.service.log_tail());
        let settled = child::eventually(|| self.service.open_jobs() == 0).await;
        assert!(settled, "{}", self.service.log_tail());
        assert_eq!(self.said(), TEXTS.map(|text| format!("re: {text}")));
        self.service.stop().await;
        assert_eq!(self.service.leftovers().await, (0, 0), "{}", self.service.log_tail());
        self.emulator.shutdown().await;
    }

    async fn is_asked(&self, text: &str) {
        let asked: PathBuf = self.folder.path().join("asked");
        let is_asked = |asked: &Path| {
            let lines = std::fs::read_to_string(asked).unwrap_or_default();
            lines.lines().any(|line| line == text)
        };
        let asked = child::eventually(|| is_asked(&asked)).await;
        assert!(asked, "{}", self.service.log_tail());
    }

    fn said(&self) -> Vec<String> {
        let texts = self.control.texts_to(PHONE).into_iter();
        texts.map(|text| text.body.into_revealed()).collect()
    }
}
