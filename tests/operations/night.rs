//! An operator who is woken at three in the morning and has the command line: from the alarm by the cause to the cure.
//!
//! Each walk goes by what is printed. The alarm's remedy names the first command, and what a command prints
//! names what helps; nothing is known besides.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::response::IntoResponse as _;
use chimein::emulator::state::model::Message;
use chimein::emulator::{self, Emulator, Received};
use chimein::twilio::sid::ConversationSid;
use secrecy::ExposeSecret as _;
use serde_json::Value;

use crate::child::{self, BOTS, NUMBER, Service};
use crate::receiver::{Receiver, SECRET};
use crate::rig::PHONE;
use crate::scripted_agent::Agent;

/// Misuse, and the doctor's word for what is broken.
const BROKEN: Option<i32> = Some(2);

const FINE: Option<i32> = Some(0);

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_is_down_leads_to_the_wrong_secret_and_a_new_one_opens_it() {
    let mut night = Night::begins(&[]).await;
    let right = night.emulator.credentials().api_secret.expose_secret().to_owned();
    night.service.set("TWILIO_API_SECRET", "of-a-key-that-somebody-has-deleted");
    night.starts(&[]).await;
    let alarm = night.told("socket_down", "firing").await;
    assert_eq!(alarm["severity"], "page");
    names(&alarm["remedy"], "chimein doctor");

    // Nobody waits: the webhook is a door of its own.
    let conversation = night.sms("hello").await;
    night.answered(conversation, 1).await;
    night.traces(conversation, "reply sent").await;

    let found = night.prints(BROKEN, &["doctor"]).await;
    let cause = row(&found, &["FAIL", "api-key "]);
    assert!(cause.contains("TWILIO_API_SECRET"), "{cause}");
    assert!(!found.contains("somebody-has-deleted"), "{found}");
    let why = night.prints(FINE, &["doctor", "--explain", "api-key"]).await;
    assert!(why.contains("the socket is refused"), "{why}");

    night.service.set("TWILIO_API_SECRET", &right);
    night.service.stop().await;
    night.starts(&[]).await;
    let control = night.emulator.control();
    let is_up = child::eventually(|| !control.connected().is_empty()).await;
    assert!(is_up, "{}", night.service.log_tail());
    let found = night.says(&["doctor"]).await.1;
    row(&found, &["ok", "api-key "]);
    row(&found, &["ok", "socket-token "]);
    night.sms("and again").await;
    night.answered(conversation, 2).await;
    night.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_lead_to_the_agents_mistake_and_are_redriven_once_it_is_mended() {
    let is_mended = Arc::new(AtomicBool::new(false));
    let mended = Arc::clone(&is_mended);
    let agent = Agent::start(move |_, _| match mended.load(Ordering::Relaxed) {
        true => r#"{"replies":["at last"]}"#.into_response(),
        false => r#"{"reply":"nobody understands this"}"#.into_response(),
    })
    .await;
    let by_http = [("CHIMEIN_AGENT_KIND", "http"), ("CHIMEIN_AGENT_URL", agent.url())];
    let mut night = Night::begins(&by_http).await;
    night.starts(&[]).await;
    let conversation = night.sms("hello").await;
    let alarm = night.told("dead_letters", "firing").await;
    assert_eq!(alarm["subject"], "inbox");
    for command in ["chimein dead-letters list", "chimein dead-letters redrive"] {
        names(&alarm["remedy"], command);
    }

    let listed = night.prints(FINE, &["dead-letters", "list"]).await;
    let letter = row(&listed, &["inbox/", &conversation.to_string()]);
    let letter = letter.split_whitespace().next().unwrap();
    let causes = night.prints(FINE, &["dead-letters", "causes"]).await;
    let cause = row(&causes, &["inbox", "agent_answer_malformed"]);
    assert!(cause.contains("mend it, then redrive"), "{cause}");
    let shown = night.prints(FINE, &["dead-letters", "show", letter]).await;
    assert!(shown.contains("replies"), "the detail names the field: {shown}");
    assert!(!shown.contains("5555550"), "{shown}");
    let queues = night.prints(FINE, &["queues"]).await;
    assert!(row(&queues, &["inbox"]).contains(" 1 "), "{queues}");

    is_mended.store(true, Ordering::Relaxed);
    let redrive = ["dead-letters", "redrive", "--all"];
    let asked = night.prints(BROKEN, &redrive).await;
    assert!(asked.contains("would redrive 1 dead letter; add --yes to do it"), "{asked}");
    let done = night.prints(FINE, &[&redrive[..], &["--yes"]].concat()).await;
    assert!(done.contains("1 dead letter redriven"), "{done}");
    night.answered(conversation, 1).await;
    night.told("dead_letters", "resolved").await;
    let causes = night.prints(FINE, &["dead-letters", "causes"]).await;
    assert!(causes.starts_with("no dead letters\n"), "{causes}");
    night.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_named_and_once_there_is_room_nothing_is_missing() {
    let Some(unshare) = unshare() else {
        println!("not checked: this machine gives no disk of one's own");
        return;
    };
    // What was refused meanwhile, the sweep finds.
    let mut night = Night::begins(&[("CHIMEIN_RECONCILE_INTERVAL", "1m")]).await;
    let folder = night.service.queue_path().parent().unwrap().join("disk");
    std::fs::create_dir(&folder).unwrap();
    night.service.set("CHIMEIN_QUEUE_PATH", &folder.join("chimein.db").display().to_string());
    let mount = r#"mount -t tmpfs -o size=48m none "$0" && exec "$@""#;
    let on_a_disk = [&unshare[..], &["sh", "-c", mount, folder.to_str().unwrap()]].concat();
    night.starts(&on_a_disk).await;
    let mut conversations = vec![night.sms("hello").await];
    night.answered(conversations[0], 1).await;

    // As it is seen from here.
    let disk = PathBuf::from(format!("/proc/{}/root{}", night.service.pid(), folder.display()));
    let ballast = disk.join("somebody-elses.log");
    fill(&ballast);
    let is_told = || night.find("store_failing", "firing").is_some();
    let mut phones = 0;
    while !child::within(Duration::from_millis(500), is_told).await {
        phones += 1;
        assert!(phones < 100, "a full disk takes it all: {}", night.service.log_tail());
        let phone = format!("+1555556{phones:04}");
        conversations.push(night.sms_of(&phone, &"much to say ".repeat(80)).await);
    }
    let alarm = night.told("store_failing", "firing").await;
    assert_eq!(alarm["severity"], "page");
    names(&alarm["remedy"], "chimein doctor");

    let place = disk.join("chimein.db").display().to_string();
    let mut doctor = night.service.command(&["doctor"]);
    let found = said(&doctor.env("CHIMEIN_QUEUE_PATH", place).output().await.unwrap());
    let cause = row(&found, &["FAIL", "store-disk"]);
    assert!(cause.contains("No space left") && cause.contains("make room"), "{cause}");

    std::fs::remove_file(&ballast).unwrap();
    night.told("store_failing", "resolved").await;
    for conversation in conversations {
        night.answered(conversation, 1).await;
    }
    night.prints(FINE, &["health"]).await;
    night.ends().await;
}

/// Twilio, the service that is called for, and whoever is woken.
struct Night {
    emulator: Emulator,
    service: Service,
    woken: Receiver,
}

impl Night {
    /// All is there, and the service does not run yet.
    async fn begins(extra: &[(&str, &str)]) -> Self {
        let options = emulator::Options { seed: Some(7), ..emulator::Options::default() };
        let emulator = Emulator::start(options).await.unwrap();
        let woken = Receiver::start().await;
        let listen = format!("127.0.0.1:{}", child::free_port());
        let own = [
            ("CHIMEIN_IDENTITY_POOL", ""),
            ("CHIMEIN_ADMIN_LISTEN", &*listen),
            ("CHIMEIN_ALARMS_URL", &*woken.url),
            ("CHIMEIN_ALARMS_SECRET", SECRET),
            ("CHIMEIN_ALARMS_INTERVAL", "1s"),
            ("CHIMEIN_ALARMS_HOLD", "0s"),
        ];
        let service = Service::of(&emulator, &[&own, extra].concat());
        Self { emulator, service, woken }
    }

    /// Starts the service by a program that becomes it, or plainly.
    async fn starts(&mut self, by: &[&str]) {
        match by {
            [] => self.service.start(&[]),
            by => self.service.start_by(by),
        }
        assert!(self.service.is_listening().await, "{}", self.service.log_tail());
    }

    async fn sms(&self, body: &str) -> ConversationSid {
        self.sms_of(PHONE, body).await
    }

    async fn sms_of(&self, phone: &str, body: &str) -> ConversationSid {
        match self.emulator.control().receive_sms(phone, NUMBER, body).await.unwrap() {
            Received::Stored { conversation, .. } => conversation,
            Received::Dropped => panic!("the message was dropped"),
        }
    }

    /// Waits until the bot has said so many things in a conversation.
    async fn answered(&self, conversation: ConversationSid, count: usize) {
        let control = self.emulator.control();
        let is_bot = |message: &Message| message.author == BOTS[0];
        let said = || control.messages(conversation).iter().filter(|one| is_bot(one)).count();
        assert!(child::eventually(|| said() >= count).await, "{}", self.service.log_tail());
        assert_eq!(said(), count, "once");
    }

    /// The newest notice of an alarm in a state. Its signature is checked by who takes it.
    fn find(&self, alarm: &str, state: &str) -> Option<Value> {
        self.woken.told().states(state).into_iter().rfind(|notice| notice["alarm"] == alarm)
    }

    /// Waits for it.
    async fn told(&self, alarm: &str, state: &str) -> Value {
        let is_told = child::eventually(|| self.find(alarm, state).is_some()).await;
        assert!(is_told, "{alarm} {state}: {}", self.service.log_tail());
        self.find(alarm, state).unwrap()
    }

    /// Runs a command with the service's own settings; gives its exit code and what it says.
    async fn says(&self, words: &[&str]) -> (Option<i32>, String) {
        let output = self.service.command(words).output().await.unwrap();
        (output.status.code(), said(&output))
    }

    /// Waits until a thread's trace says this: it is written a few times a second.
    async fn traces(&self, conversation: ConversationSid, words: &str) {
        let thread = conversation.to_string();
        let is_said = async { while !self.says(&["trace", &thread]).await.1.contains(words) {} };
        let waited = tokio::time::timeout(Duration::from_secs(60), is_said).await;
        assert!(waited.is_ok(), "the trace never says {words}: {}", self.service.log_tail());
    }

    /// As [`Night::says`], with the exit code that it has to have.
    async fn prints(&self, code: Option<i32>, words: &[&str]) -> String {
        let (found, told) = self.says(words).await;
        assert_eq!(found, code, "{words:?}: {told}");
        told
    }

    async fn ends(mut self) {
        self.service.stop().await;
        self.emulator.shutdown().await;
    }
}

fn said(output: &Output) -> String {
    String::from_utf8([&*output.stdout, &*output.stderr].concat()).unwrap()
}

/// The first line that has all these words.
fn row<'t>(table: &'t str, words: &[&str]) -> &'t str {
    let has_all = |line: &&str| words.iter().all(|word| line.contains(word));
    table.lines().find(has_all).unwrap_or_else(|| panic!("no line has {words:?}:\n{table}"))
}

/// What is told names the command to go on with.
fn names(told: &Value, command: &str) {
    assert!(told.as_str().is_some_and(|told| told.contains(command)), "{command}: {told}");
}

/// Writes a file until the disk below it takes not one page more.
fn fill(path: &Path) {
    let mut file: File = OpenOptions::new().create_new(true).write(true).open(path).unwrap();
    let page = [b'.'; 4 << 10];
    while file.write_all(&page).is_ok() {}
}

/// What makes a place for mounts of one's own, with the rights that this machine gives; none if it gives none.
fn unshare() -> Option<Vec<&'static str>> {
    let plain = vec!["unshare", "--mount"];
    let mapped = [&plain[..], &["--user", "--map-root-user"]].concat();
    [plain, mapped].into_iter().find(|unshare| {
        let mut tried = std::process::Command::new(unshare[0]);
        let mount = ["sh", "-c", "mount -t tmpfs none /mnt"];
        tried.args(&unshare[1..]).args(mount).output().is_ok_and(|tried| tried.status.success())
    })
}
