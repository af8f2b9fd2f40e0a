//! Who may use whom, and what pure files do without.

use super::{Source, assert_none, sources};

/// The rooms from the top of the house to its ground; those of one level do not use each other.
const LEVELS: &[&[&str]] = &[
    &["cli"],
    &["app"],
    &["console"],
    &["admin"],
    &["agent", "alarms", "emulator", "pipeline", "webhook"],
    &["client"],
    &["channels"],
    &["media"],
    &["jobs"],
    &["queue", "realtime", "timeline"],
    &["cluster"],
    &["nats"],
    &["http"],
    &["config"],
    &["telemetry"],
    &["thread"],
    &["twilio"],
    &["concurrency", "net", "standard_webhooks"],
    &[
        "bounded_map",
        "bytes16",
        "clock",
        "derived_key",
        "fault_points",
        "files",
        "finding",
        "json",
        "manual",
        "pii",
        "recent",
        "text",
    ],
];

/// Uses that the design allows beside the order: the user, and the start of what is used.
const ALLOWED: &[(&str, &str)] = &[("pipeline", "agent")];

/// The parts that the emulator must not share with what it is there to test.
const NOT_FOR_THE_EMULATOR: &[&str] =
    &["crate::twilio::rest", "crate::realtime::", "crate::pipeline", "crate::queue"];

/// The rooms that may know that a thread is a conversation: whose channel it is, who speaks to Twilio about
/// it, who plays Twilio, and where threads are named.
const KNOW_CONVERSATIONS: &[&str] = &[
    "src/channels/conversations/",
    "src/emulator/",
    "src/realtime/",
    "src/thread/mod.rs",
    "src/twilio/",
];

/// The rooms that may know that a thread is of two who write to each other directly.
const KNOW_PAIRS: &[&str] = &["src/channels/direct/", "src/thread/mod.rs"];

/// What asks or says so.
const ASKS_FOR_PAIRS: &[&str] = &["Thread::Direct", "thread.pair()", "Thread::Conversation("];

/// Where NATS's own crate is used: its room, and the three that keep something there, each behind a trait or
/// a type of ours.
const KNOW_NATS: &[&str] = &[
    "src/nats/",
    "src/queue/jetstream/",
    "src/cluster/",
    "src/agent/bitbrat/",
    "src/timeline/jetstream.rs",
];

/// Names of folders that say nothing of what is in them.
const NO_NAMES: &[&str] = &[
    "common", "core", "engine", "helpers", "impl", "internal", "lib", "manager", "misc", "new",
    "old", "other", "shared", "stuff", "support", "things", "tools", "types", "util", "utils",
];

/// Files and folders that are pure by the design; so is every file whose doc says "Pure".
const PURE: &[&str] = &[
    "src/channels/conversations/policy/",
    "src/channels/segments.rs",
    "src/cluster/assignment.rs",
    "src/cluster/core.rs",
    "src/cluster/peers.rs",
    "src/cluster/records.rs",
    "src/emulator/state/",
    "src/json/",
    "src/pii.rs",
    "src/pipeline/policy/",
    "src/queue/lanes.rs",
    "src/realtime/conversations/",
    "src/realtime/sync/",
    "src/realtime/twilsock/frame.rs",
    "src/realtime/twilsock/session.rs",
    "src/thread/",
    "src/twilio/catalogue.rs",
    "src/twilio/events/",
    "src/twilio/form.rs",
    "src/twilio/sid.rs",
    "src/twilio/signature/",
];

/// What pure files do without: I/O, time, locks, channels, shared pointers.
const IMPURE: &[&str] = &[
    "tokio::",
    "axum::",
    "reqwest::",
    "rusqlite::",
    "hyper::",
    "std::fs",
    "std::net::Tcp",
    "std::thread",
    "crate::clock::Clock",
    "Instant::now",
    "SystemTime",
    "Arc<",
    "Arc::",
    "Mutex",
    "RwLock",
    "mpsc",
    "watch::",
    "rand::rng",
];

/// Where a clock begins: what stands alone, and the defaults of options, which whoever builds from them
/// replaces.
const CLOCKS: &[&str] = &[
    // Programs, and the library's way in.
    "src/app.rs",
    "src/cli/",
    "src/client.rs",
    "src/emulator/mod.rs",
    // Defaults.
    "src/cluster/mod.rs",
    "src/http/mod.rs",
    "src/queue/embedded/mod.rs",
    "src/queue/jetstream/mod.rs",
    "src/realtime/config.rs",
    // Stopwatches, and one that writes the time of day alone.
    "src/net/dial.rs",
    "src/queue/delivery.rs",
    "src/telemetry/log/json.rs",
];

/// Who sleeps without a clock: the clock itself, commands that wait for a person, and timers that are part
/// of a future polled by hand.
const SLEEPERS: &[&str] = &[
    "src/clock.rs",
    "src/cli/",
    "src/emulator/control/http.rs",
    "src/http/body.rs",
    "src/http/mod.rs",
];

/// What makes connections, or decides whom they trust and how they go.
const DIALLING: &[&str] = &[
    "Client::builder()",
    "ClientBuilder::new",
    "reqwest::Client::new",
    "reqwest::get",
    "reqwest::Proxy",
    "ClientConfig::builder",
    "default_provider().install_default",
    "TcpStream::connect",
    "connect_async",
    "TlsConnector",
];

#[test]
fn the_levels_are_the_order_of_the_library() {
    let library = super::read("src/lib.rs");
    let listed: Vec<&str> = library
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    assert_eq!(listed, LEVELS.concat());
}

#[test]
fn every_room_is_on_the_page_of_rooms() {
    let page = super::read("src/manual/rooms.md");
    let table = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('|').next());
    let named: Vec<&str> = table.flat_map(|cell| cell.split('`')).collect();
    let missing: Vec<String> = LEVELS
        .concat()
        .into_iter()
        .filter(|room| !named.contains(room))
        .map(str::to_owned)
        .collect();
    assert_none("a room is not on src/manual/rooms.md", &missing);
}

#[test]
fn a_room_uses_only_rooms_below_it() {
    let mut findings = Vec::new();
    for source in sources("src") {
        let Some(user) = room_of(&source.path) else { continue };
        for line in source.code() {
            for used in line.split("crate::").skip(1).flat_map(names) {
                if !may_use(user, &used) {
                    findings.push(format!("{}: {}", source.path, line.trim()));
                }
            }
        }
    }
    assert_none("a room uses one that is not below it", &findings);
}

#[test]
fn only_their_own_rooms_know_conversations_from_other_threads() {
    let mut findings = Vec::new();
    for source in sources("src") {
        let may = KNOW_CONVERSATIONS.iter().any(|room| source.path.starts_with(room));
        for line in source.code().filter(|line| !may && line.contains("ConversationSid")) {
            findings.push(format!("{}: {}", source.path, line.trim()));
        }
    }
    assert_none("a room outside of a conversation's names its sid", &findings);
}

#[test]
fn the_emulator_shares_nothing_with_what_it_tests() {
    let emulator = sources("src").into_iter().filter(|s| s.path.starts_with("src/emulator/"));
    let mut findings = Vec::new();
    for source in emulator {
        for line in source.code() {
            let is_shared = NOT_FOR_THE_EMULATOR.iter().any(|start| line.contains(start));
            if is_shared && !line.contains("crate::realtime::twilsock::frame") {
                findings.push(format!("{}: {}", source.path, line.trim()));
            }
        }
    }
    assert_none("the emulator uses a part that it is there to test", &findings);
}

#[test]
fn pure_files_know_no_time_no_io_and_no_locks() {
    let mut findings = Vec::new();
    for source in sources("src").iter().filter(|source| is_pure(source)) {
        for line in source.code() {
            // A text that never changes may be shared: it is a value.
            let line = line.replace("Arc<str>", "Text").replace("Arc::from(", "Text(");
            if let Some(word) = IMPURE.iter().find(|word| line.contains(**word)) {
                findings.push(format!("{} has {word}: {}", source.path, line.trim()));
            }
        }
    }
    assert_none("a pure file is not", &findings);
}

#[test]
fn connections_are_made_in_one_place() {
    let mut findings = Vec::new();
    for source in sources("src") {
        // `health` asks this machine without a runtime.
        let may = source.path.starts_with("src/net/") || source.path == "src/cli/health.rs";
        for line in source.code().filter(|_| !may) {
            if let Some(word) = DIALLING.iter().find(|word| line.contains(**word)) {
                findings.push(format!("{} has {word}: {}", source.path, line.trim()));
            }
        }
    }
    assert_none("a connection goes out past the one TLS configuration and the proxies", &findings);
}

#[test]
fn one_clock_is_handed_down_and_slept_by() {
    let (mut starts, mut sleeps) = (Vec::new(), Vec::new());
    for source in sources("src") {
        let may = |roots: &[&str]| roots.iter().any(|root| source.path.starts_with(root));
        for line in source.code() {
            let found = format!("{}: {}", source.path, line.trim());
            if line.contains("Clock::start()") && !may(CLOCKS) {
                starts.push(found);
            } else if line.contains("tokio::time::sleep") && !may(SLEEPERS) {
                sleeps.push(found);
            }
        }
    }
    assert_none(
        "a clock of its own is started, whose moments nobody else's can be held against",
        &starts,
    );
    assert_none("a driver sleeps past the clock", &sleeps);
}

#[test]
fn the_environment_is_read_in_one_place() {
    let mut findings = Vec::new();
    for source in sources("src") {
        let reads = source.code().any(|line| line.contains("env::var"));
        if reads && source.path != "src/config/environment.rs" {
            findings.push(source.path);
        }
    }
    assert_none("the process environment is read outside config", &findings);
}

/// The rooms named at the start of what follows `crate::`: one, or a group in braces.
fn names(used: &str) -> Vec<String> {
    let is_group = used.starts_with('{');
    let parts = used.trim_start_matches('{').split(',').take(if is_group { usize::MAX } else { 1 });
    parts
        .map(|part| part.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
        .collect()
}

fn room_of(path: &str) -> Option<&str> {
    let room = path.strip_prefix("src/")?.split('/').next()?.trim_end_matches(".rs");
    (!["lib", "main"].contains(&room)).then_some(room)
}

fn level_of(room: &str) -> Option<usize> {
    LEVELS.iter().position(|level| level.contains(&room))
}

fn may_use(user: &str, used: &str) -> bool {
    // The emulator's one look upwards is held in check by a test of its own.
    let is_allowed = ALLOWED.contains(&(user, used));
    let is_below = level_of(user)
        .zip(level_of(used))
        .is_some_and(|(user_level, used_level)| user_level < used_level);
    user == used || is_allowed || is_below
}

fn is_pure(source: &Source) -> bool {
    let says_so = source.module_doc().split(". ").any(|sentence| {
        let sentence = sentence.trim_end_matches('.');
        sentence == "Pure" || sentence.starts_with("Pure: ") || sentence.starts_with("Pure but ")
    });
    PURE.iter().any(|path| source.path.starts_with(path)) || says_so
}

#[test]
fn no_room_but_its_channels_asks_which_thread_it_is() {
    let mut findings = Vec::new();
    for source in sources("src") {
        let knows = [KNOW_PAIRS, KNOW_CONVERSATIONS].concat();
        if knows.iter().any(|room| source.path.starts_with(room)) {
            continue;
        }
        for line in source.code().filter(|line| ASKS_FOR_PAIRS.iter().any(|ask| line.contains(ask)))
        {
            findings.push(format!("{}: {}", source.path, line.trim()));
        }
    }
    assert_none("a room asks which thread it is", &findings);
}

#[test]
fn nats_is_known_where_something_is_kept_there() {
    let findings: Vec<String> = sources("src")
        .into_iter()
        .filter(|source| !KNOW_NATS.iter().any(|room| source.path.starts_with(room)))
        .filter(|source| source.code().any(|line| line.contains("async_nats")))
        .map(|source| source.path)
        .collect();
    assert_none("a room uses the crate of NATS", &findings);
}

#[test]
fn a_folders_name_says_what_is_in_it_and_its_first_line_does_too() {
    let mut findings = Vec::new();
    for source in sources("src") {
        let folders: Vec<&str> = source.path.split('/').skip(1).collect();
        let Some((_, folders)) = folders.split_last() else { continue };
        let is_word = |name: &&str| {
            let letters = name.bytes().all(|letter| letter.is_ascii_lowercase() || letter == b'_');
            letters && !NO_NAMES.contains(name)
        };
        findings.extend(
            folders
                .iter()
                .filter(|name| !is_word(name))
                .map(|name| format!("{}: {name}", source.path)),
        );
        let has_doc = source.text.starts_with("//! ") || source.text.starts_with("#![doc");
        if !has_doc && !source.path.ends_with("tests.rs") {
            findings.push(format!("{}: no line that says what it is", source.path));
        }
    }
    assert_none("a stranger cannot guess what is where", &findings);
}
