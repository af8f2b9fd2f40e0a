//! A kill while an agent thinks that is another process: of the service, of the agent, of what lies between
//! them. Whoever wrote has one answer, and the next one has his after it.

use std::path::Path;

use chimein::emulator::Incoming;

use crate::child::{self, NUMBER};
use crate::line::{Line, PATIENCE};

/// What is killed.
#[derive(Clone, Copy, Debug)]
enum Killed {
    Service,
    Agent,
    /// What lies between them.
    #[cfg(any(feature = "nats", feature = "sqs"))]
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

/// Lets a program go on that waits for a file in its folder, or not.
fn let_go_on(folder: &Path, may: bool) {
    let go = folder.join("go");
    if may {
        std::fs::write(go, "").unwrap();
    } else {
        let _there = std::fs::remove_file(go);
    }
}

/// Whether a line of JSON in a program's notes says that it has heard this of that one.
fn has_noted(folder: &Path, text: &str, of: Option<&str>) -> bool {
    let heard = std::fs::read_to_string(folder.join("heard")).unwrap_or_default();
    let line = serde_json::json!([text, of]);
    let mut lines = heard.lines().filter_map(|heard| serde_json::from_str(heard).ok());
    lines.any(|heard: serde_json::Value| heard == line)
}

/// Each kind of agent, and where it is killed while it thinks.
#[test]
fn no_kind_of_agent_is_left_alive() {
    let killed = [
        ("http", "agents.rs", "a_kill_while_an_agent_behind_a_url_thinks_costs_nobody_an_answer"),
        ("openai", "agents.rs", "a_kill_while_a_model_thinks_costs_nobody_an_answer"),
        ("chatwoot", "agents.rs", "a_kill_while_a_bot_of_chatwoot_thinks_costs_nobody_an_answer"),
        ("sqs", "agents.rs", "a_kill_while_a_consumer_of_queues_thinks_costs_nobody_an_answer"),
        ("bitbrat", "agents.rs", "a_kill_while_a_platform_thinks_costs_nobody_an_answer"),
        (
            "stdio",
            "programs.rs",
            "whoever_is_killed_a_program_with_all_turns_is_heard_once_and_in_order",
        ),
        ("temporal", "../temporal/kills.rs", "a_workflow_a_turn_outlives_every_kill"),
    ];
    for kind in chimein::agent::kinds::KINDS.iter().map(|kind| kind.declares().word) {
        // Nobody thinks there.
        if kind == "echo" {
            continue;
        }
        let (_, file, test) = killed.iter().find(|(known, ..)| *known == kind).expect(kind);
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crash").join(file);
        let source = std::fs::read_to_string(&file).unwrap();
        assert!(source.contains(&format!("async fn {test}()")), "{kind}: {}", file.display());
    }
}

mod behind_a_url {
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use super::{Killed, Line, Thinker, child, has_noted, is_answered_once};
    use crate::kept::Kept;

    const KILLS: [Killed; 2] = [Killed::Service, Killed::Agent];

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_kill_while_an_agent_behind_a_url_thinks_costs_nobody_an_answer() {
        let port = child::free_port();
        let url = format!("http://127.0.0.1:{port}/");
        survives(port, &[("CHIMEIN_AGENT_KIND", "http"), ("CHIMEIN_AGENT_URL", &url)]).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_kill_while_a_model_thinks_costs_nobody_an_answer() {
        let port = child::free_port();
        let url = format!("http://127.0.0.1:{port}/v1");
        let settings = [
            ("CHIMEIN_AGENT_KIND", "openai"),
            ("OPENAI_BASE_URL", url.as_str()),
            ("CHIMEIN_OPENAI_MODEL", "mock"),
            ("CHIMEIN_OPENAI_HISTORY_MESSAGES", "0"),
        ];
        survives(port, &settings).await;
    }

    async fn survives(port: u16, settings: &[(&str, &str)]) {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().to_owned();
        let kept = Kept::start(move || {
            let mut command = Command::new("python3");
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crash/thinker.py");
            command.arg(script).arg(port.to_string()).arg(&place);
            command
        });
        let mut line = Line::start(settings).await;
        let is_told_who = settings[0].1 == "http";
        let mut agent = Server { folder: folder.path().to_owned(), kept, is_told_who };
        is_answered_once(&mut line, &mut agent, &KILLS).await;
        line.emulator.shutdown().await;
    }

    struct Server {
        folder: PathBuf,
        kept: Kept,
        /// A model is told nobody's number.
        is_told_who: bool,
    }

    impl Thinker for Server {
        fn has_heard(&self, text: &str, of: &str) -> bool {
            has_noted(&self.folder, text, self.is_told_who.then_some(of))
        }

        fn let_go_on(&self, may: bool) {
            super::let_go_on(&self.folder, may);
            if !may {
                let _none_yet = std::fs::remove_file(self.folder.join("heard"));
            }
        }

        async fn is_killed(&mut self, _what: Killed) {
            self.kept.kill();
        }
    }
}

mod chatwoot {
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use serde_json::Value;

    use super::{Killed, Line, Thinker, child, is_answered_once};
    use crate::kept::Kept;

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
        let (script, place) = (script(), folder.path().to_owned());
        let kept = Kept::start(move || {
            let mut command = Command::new("python3");
            command.arg(&script).arg(port.to_string()).arg(TOKEN).arg(&place);
            command
        });
        let mut bot = Bot { folder: folder.path().to_owned(), kept };
        is_answered_once(&mut line, &mut bot, &[Killed::Service, Killed::Agent]).await;
        line.emulator.shutdown().await;
    }

    fn script() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agents/chatwoot_peer.py")
    }

    struct Bot {
        folder: PathBuf,
        kept: Kept,
    }

    impl Thinker for Bot {
        fn has_heard(&self, text: &str, of: &str) -> bool {
            let heard = std::fs::read_to_string(self.folder.join("heard")).unwrap_or_default();
            let mut events =
                heard.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            events.any(|event| event["content"] == text && event["sender"]["identifier"] == of)
        }

        fn let_go_on(&self, may: bool) {
            super::let_go_on(&self.folder, may);
        }

        async fn is_killed(&mut self, _what: Killed) {
            self.kept.kill();
        }
    }
}

#[cfg(feature = "sqs")]
mod sqs {
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use chimein::emulator::Incoming;

    use super::{Killed, Line, Thinker, child, has_noted, is_answered_once};
    use crate::child::NUMBER;
    use crate::kept::Kept;
    use crate::line::PATIENCE;
    use crate::sqs_server::{SqsServer, python, settings};

    const QUEUES: [&str; 2] = ["turns.fifo", "replies.fifo"];

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_kill_while_a_consumer_of_queues_thinks_costs_nobody_an_answer() {
        let (mut line, mut consumer, _folder) = start(&[]).await;
        let kills = [Killed::Service, Killed::Agent, Killed::Peer];
        is_answered_once(&mut line, &mut consumer, &kills).await;
        line.emulator.shutdown().await;
    }

    /// The server that is killed forgets its queues, which Amazon's does not.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn queues_that_lose_what_they_hold_cost_nobody_an_answer_where_turns_are_asked_again() {
        let more = [("CHIMEIN_SQS_ANSWER_WITHIN", "10s"), ("CHIMEIN_SQS_ASK_AGAIN", "true")];
        let (mut line, mut consumer, _folder) = start(&more).await;
        let phone = "+15555550900";
        line.service.start(&[]);
        assert!(line.service.is_listening().await);
        let _texted = line.control.text(Incoming::new(phone, NUMBER, "slow")).await;
        let heard = child::within(PATIENCE, || consumer.has_heard("slow", phone)).await;
        assert!(heard, "{}", line.service.log_tail());
        consumer.kept.end();
        consumer.server.kill();
        consumer.server.begin().await;
        queues(&consumer.server).await;
        consumer.let_go_on(true);
        consumer.kept.begin();
        for (said, text) in [(1, "two"), (2, "three")] {
            let answered = || line.control.texts_to(phone).len() >= said;
            assert!(child::within(PATIENCE, answered).await, "{}", line.service.log_tail());
            let _texted = line.control.text(Incoming::new(phone, NUMBER, text)).await;
        }
        let said = || line.control.texts_to(phone);
        assert!(child::within(PATIENCE, || said().len() >= 3).await, "{}", line.service.log_tail());
        assert_eq!(line.settled().await, Some(0), "{}", line.service.log_tail());
        line.service.stop().await;
        let said: Vec<_> = said().into_iter().map(|text| text.body.into_revealed()).collect();
        assert_eq!(said, ["re: slow", "re: two", "re: three"]);
        line.emulator.shutdown().await;
    }

    async fn start(more: &[(&str, &str)]) -> (Line, Consumer, tempfile::TempDir) {
        let server = SqsServer::start().await;
        let queues = queues(&server).await;
        let settings = settings(&server, &queues[0], &queues[1]);
        let own = settings.iter().map(|(name, value)| (*name, value.as_str()));
        let line = Line::start(&own.chain(more.iter().copied()).collect::<Vec<_>>()).await;
        let folder = tempfile::tempdir().unwrap();
        let (place, url) = (folder.path().to_owned(), server.url());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crash/consumer.py");
        let kept = Kept::start(move || {
            let mut command = Command::new(python());
            command.arg(&script).arg(&place).args(&queues).env("AWS_ENDPOINT_URL_SQS", &url);
            command.env("AWS_DEFAULT_REGION", "us-east-1").env("AWS_ACCESS_KEY_ID", "test");
            command.env("AWS_SECRET_ACCESS_KEY", "test");
            command
        });
        (line, Consumer { folder: folder.path().to_owned(), server, kept }, folder)
    }

    async fn queues(server: &SqsServer) -> [String; 2] {
        [
            server.queue_with_dead_letters(QUEUES[0], 100).await,
            server.queue_with_dead_letters(QUEUES[1], 100).await,
        ]
    }

    struct Consumer {
        folder: PathBuf,
        server: SqsServer,
        kept: Kept,
    }

    impl Thinker for Consumer {
        fn has_heard(&self, text: &str, of: &str) -> bool {
            has_noted(&self.folder, text, Some(of))
        }

        fn let_go_on(&self, may: bool) {
            super::let_go_on(&self.folder, may);
        }

        async fn is_killed(&mut self, what: Killed) {
            if let Killed::Peer = what {
                // It writes down what it holds only as it stops; Amazon's loses nothing.
                self.server.stop().await;
                self.server.begin().await;
            } else {
                self.kept.kill();
            }
        }
    }
}

#[cfg(feature = "nats")]
mod bitbrat {
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use super::{Killed, Line, Thinker, has_noted, is_answered_once};
    use crate::kept::Kept;
    use crate::nats_server::NatsServer;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_kill_while_a_platform_thinks_costs_nobody_an_answer() {
        let server = NatsServer::start();
        let url = server.url();
        let settings = [
            ("CHIMEIN_AGENT_KIND", "bitbrat"),
            ("NATS_URL", url.as_str()),
            ("BUS_PREFIX", "local."),
        ];
        let mut line = Line::start(&settings).await;
        let folder = tempfile::tempdir().unwrap();
        let (place, port) = (folder.path().to_owned(), server.port());
        let kept = Kept::start(move || {
            let mut command = Command::new("python3");
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crash/bus_platform.py");
            command.arg(script).arg(port.to_string()).arg(&place);
            command
        });
        let mut platform = Platform { folder: folder.path().to_owned(), server, kept };
        let kills = [Killed::Service, Killed::Agent, Killed::Peer];
        is_answered_once(&mut line, &mut platform, &kills).await;
        line.emulator.shutdown().await;
    }

    struct Platform {
        folder: PathBuf,
        server: NatsServer,
        kept: Kept,
    }

    impl Thinker for Platform {
        fn has_heard(&self, text: &str, of: &str) -> bool {
            has_noted(&self.folder, text, Some(of))
        }

        fn let_go_on(&self, may: bool) {
            super::let_go_on(&self.folder, may);
        }

        async fn is_killed(&mut self, what: Killed) {
            if let Killed::Peer = what {
                self.server.kill();
                self.server.begin();
            } else {
                self.kept.kill();
            }
        }
    }
}
