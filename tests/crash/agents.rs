//! A kill while an agent thinks that is another process: of the service, of the agent, of what lies between
//! them. Whoever wrote has one answer, and the next one has his after it.

use chimein::emulator::Incoming;

use crate::child::{self, NUMBER};
use crate::line::{Line, PATIENCE};

/// What is killed.
#[derive(Clone, Copy, Debug)]
enum Killed {
    Service,
    Agent,
    /// What lies between them.
    #[cfg(feature = "sqs")]
    Peer,
}

/// An agent that thinks about "slow" until it is let, and answers all else at once.
trait Thinker {
    fn has_heard(&self, text: &str, of: &str) -> bool;
    /// Lets it go on, or not.
    fn let_go_on(&self, may: bool);
    async fn is_killed(&mut self, what: Killed);
}

async fn is_answered_once(line: &mut Line, agent: &mut impl Thinker, kills: &[Killed]) {
    for (nth, what) in kills.iter().enumerate() {
        let phone = format!("+1555555{nth:04}");
        agent.let_go_on(false);
        line.service.start(&[]);
        assert!(line.service.is_listening().await);
        let _texted = line.control.text(Incoming::new(&phone, NUMBER, "slow")).await;
        let heard = child::within(PATIENCE, || agent.has_heard("slow", &phone)).await;
        assert!(heard, "{what:?}\n{}", line.service.log_tail());
        if matches!(what, Killed::Service) {
            line.service.kill().await;
            line.service.start(&[]);
            assert!(line.service.is_listening().await);
        } else {
            agent.is_killed(*what).await;
        }
        let _texted = line.control.text(Incoming::new(&phone, NUMBER, "two")).await;
        agent.let_go_on(true);
        let said = || line.control.texts_to(&phone);
        let answered = child::within(PATIENCE, || said().len() >= 2).await;
        assert!(answered, "{what:?}: {}\n{}", said().len(), line.service.log_tail());
        assert_eq!(line.settled().await, Some(0), "{what:?}\n{}", line.service.log_tail());
        line.service.stop().await;
        let said: Vec<_> = said().into_iter().map(|text| text.body.into_revealed()).collect();
        assert_eq!(said, ["re: slow", "re: two"], "{what:?}");
    }
}

mod chatwoot {
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, Stdio};

    use serde_json::Value;

    use super::{Killed, Line, Thinker, child, is_answered_once};

    const TOKEN: &str = "token-of-the-bot-1234567";

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_kill_while_a_bot_of_chatwoot_thinks_costs_nobody_an_answer() {
        let folder = tempfile::tempdir().unwrap();
        let port = child::free_port();
        let url = format!("http://127.0.0.1:{port}/");
        let settings = [
            ("CHIMEIN_AGENT_KIND", "chatwoot"),
            ("CHIMEIN_CHATWOOT_URL", url.as_str()),
            ("CHIMEIN_CHATWOOT_TOKEN", TOKEN),
            ("CHIMEIN_CHATWOOT_ANSWER_WITHIN", "0s"),
        ];
        let mut line = Line::start(&settings).await;
        let base = format!("http://127.0.0.1:{}", line.service.port());
        std::fs::write(folder.path().join("service"), base).unwrap();
        let mut bot = Bot { folder: folder.path().to_owned(), port, child: None };
        bot.begin();
        is_answered_once(&mut line, &mut bot, &[Killed::Service, Killed::Agent]).await;
        line.emulator.shutdown().await;
    }

    struct Bot {
        folder: PathBuf,
        port: u16,
        child: Option<Child>,
    }

    impl Bot {
        fn begin(&mut self) {
            let home = Path::new(env!("CARGO_MANIFEST_DIR"));
            let mut command = Command::new("python3");
            command.arg(home.join("tests/agents/chatwoot_peer.py"));
            command.arg(self.port.to_string()).arg(TOKEN).arg(&self.folder);
            self.child = Some(command.stdin(Stdio::piped()).spawn().unwrap());
        }

        fn end(&mut self) {
            if let Some(mut child) = self.child.take() {
                let _ended = child.kill();
                let _status = child.wait();
            }
        }
    }

    impl Drop for Bot {
        fn drop(&mut self) {
            self.end();
        }
    }

    impl Thinker for Bot {
        fn has_heard(&self, text: &str, of: &str) -> bool {
            let heard = std::fs::read_to_string(self.folder.join("heard")).unwrap_or_default();
            let mut events =
                heard.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            events.any(|event| event["content"] == text && event["sender"]["identifier"] == of)
        }

        fn let_go_on(&self, may: bool) {
            let go = self.folder.join("go");
            if may {
                std::fs::write(go, "").unwrap();
            } else {
                let _there = std::fs::remove_file(go);
            }
        }

        async fn is_killed(&mut self, _what: Killed) {
            self.end();
            self.begin();
        }
    }
}

#[cfg(feature = "sqs")]
mod sqs {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use serde_json::json;
    use tokio::sync::RwLock;
    use tokio::task::JoinHandle;

    use super::{Killed, Line, Thinker, is_answered_once};
    use crate::sqs_server::{Received, SqsServer, settings};

    const QUEUES: [&str; 2] = ["turns.fifo", "replies.fifo"];
    /// How long what a consumer has received stays its own.
    const OURS_SECS: u32 = 2;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_kill_while_a_consumer_of_queues_thinks_costs_nobody_an_answer() {
        let server = SqsServer::start().await;
        let queues = queues(&server).await;
        let settings = settings(&server, &queues[0], &queues[1]);
        let settings: Vec<_> =
            settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut line = Line::start(&settings).await;
        let shared = Shared {
            server: Arc::new(RwLock::new(server)),
            queues,
            heard: Arc::default(),
            may: Arc::default(),
        };
        let mut consumer = Consumer { running: shared.begin(), shared };
        let kills = [Killed::Service, Killed::Agent, Killed::Peer];
        is_answered_once(&mut line, &mut consumer, &kills).await;
        line.emulator.shutdown().await;
    }

    async fn queues(server: &SqsServer) -> [String; 2] {
        [
            server.queue_with_dead_letters(QUEUES[0], 100).await,
            server.queue_with_dead_letters(QUEUES[1], 100).await,
        ]
    }

    #[derive(Clone)]
    struct Shared {
        server: Arc<RwLock<SqsServer>>,
        queues: [String; 2],
        heard: Arc<Mutex<Vec<(String, String)>>>,
        may: Arc<AtomicBool>,
    }

    struct Consumer {
        shared: Shared,
        running: JoinHandle<()>,
    }

    impl Shared {
        fn begin(&self) -> JoinHandle<()> {
            tokio::spawn(self.clone().consume())
        }

        async fn consume(self) {
            loop {
                let server = self.server.read().await;
                for received in server.receive_hidden(&self.queues[0], 1, OURS_SECS).await {
                    self.answer(&server, &received).await;
                }
                drop(server);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }

        /// Leaves what it must not answer yet; that comes again.
        async fn answer(&self, server: &SqsServer, received: &Received) {
            let turn = received.json();
            let text = turn["messages"][0]["body"].as_str().unwrap();
            let of = turn["messages"][0]["author"].as_str().unwrap();
            self.heard.lock().unwrap().push((text.to_owned(), of.to_owned()));
            if text == "slow" && !self.may.load(Ordering::Relaxed) {
                return;
            }
            let letter = json!({"turn": turn["id"], "thread": turn["thread"], "replies": [format!("re: {text}")]});
            let group = turn["thread"].as_str().unwrap();
            server.send(&self.queues[1], group, &letter.to_string()).await;
            server.delete(&self.queues[0], received).await;
        }
    }

    impl Drop for Consumer {
        fn drop(&mut self) {
            self.running.abort();
        }
    }

    impl Thinker for Consumer {
        fn has_heard(&self, text: &str, of: &str) -> bool {
            let heard = self.shared.heard.lock().unwrap();
            heard.iter().any(|(said, by)| said == text && by == of)
        }

        fn let_go_on(&self, may: bool) {
            self.shared.may.store(may, Ordering::Relaxed);
        }

        async fn is_killed(&mut self, what: Killed) {
            if let Killed::Peer = what {
                let mut server = self.shared.server.write().await;
                // It writes down what it holds only as it stops; Amazon's loses nothing.
                server.stop().await;
                server.begin().await;
            } else {
                self.running.abort();
                self.running = self.shared.begin();
            }
        }
    }
}
