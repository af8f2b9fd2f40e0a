//! Every block of commands of README, manual, guides and papers is run as it stands there: in a shell,
//! against a local Twilio, with nothing changed but what everybody has to fill in, and ports.
//!
//! A block that is not in the list below, or a row without its block, fails. What cannot be run here
//! names the test that runs or checks it. `src/cli` parses each of the program's commands besides, those
//! in the middle of a sentence too.

use std::fs;
use std::path::{Path, PathBuf};

use crate::place::{PHONE, Place, example_program, is_ready};

/// How a block of commands is shown to do what its page says.
#[derive(Clone, Copy)]
enum How {
    /// Ends by itself, and well.
    Ends,
    /// Runs until it is stopped, after it has said this.
    Says(&'static str),
    /// With these settings `chimein config` finds nothing wrong.
    Settings,
    /// With an account of a plain number, and `chimein serve` at its end if it has none: a person who
    /// writes `hello` hears this.
    Answers(&'static str),
    /// The same, in a conversation.
    Converses(&'static str),
    /// The first command is the local Twilio, which goes on running; the others ask something of it.
    AsksTwilio,
    /// The local Twilio, and the client's example that answers a text there.
    Example,
    /// Cannot be run here: why, and the test that has it.
    Elsewhere(&'static str, &'static str),
}

use How::{Answers, AsksTwilio, Converses, Elsewhere, Ends, Example, Says, Settings};

/// The pages with their blocks, and a test for each page.
macro_rules! pages {
    ($($test:ident $page:literal [$($how:expr),*])*) => {
        const PAGES: &[(&str, usize)] = &[$(($page, [$($how),*].len())),*];
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            run_all($page, &[$($how),*]).await;
        })*
    };
}

const NEWCOMER: &str = "tests/command_line/newcomer.rs::the_readme_alone_leads_from_the_demo_to_the_cure_of_a_dead_letter";
const GUIDE: &str = "tests/bitbrat/walk.rs::the_guide_leads_there_and_back_again";
const IMAGE: &str = "tests/house/deploy.rs::the_check_runs_the_image_as_the_page_says";
const LAMBDA: &str = "tests/sqs/lambda.rs::a_lambda_answers_in_order_and_what_it_fails_at_ends_among_the_dead_letters";
const WORKFLOW: &str = "tests/temporal/example.rs::the_example_answers_in_order";
const OLDER: &str =
    "tests/temporal/older.rs::the_workflow_of_the_older_system_runs_unchanged_and_texts_once";
const SETUP: &str =
    "tests/operations/setup.rs::a_fresh_account_is_set_up_by_one_command_and_everybody_is_answered";
const UNDO: &str =
    "src/cli/setup/tests.rs::a_fresh_account_is_set_up_once_and_put_back_byte_for_byte";
const GUIDE_TOOL: &str = "tests/house/guide.rs::every_command_of_the_guide_is_one_that_there_is";

pages! {
    the_commands_of_the_readme "README.md" [
        Elsewhere("they are one walk", NEWCOMER),
        Elsewhere("they are one walk", NEWCOMER),
        Elsewhere("they are one walk", NEWCOMER),
        Elsewhere("they are one walk", NEWCOMER),
        Elsewhere("they are one walk", NEWCOMER)
    ]
    the_commands_to_start_with "src/manual/start.md" [
        Ends,
        Says("Ctrl-C ends it"),
        Answers("You said: hello"),
        Elsewhere("there has to be a dead letter", NEWCOMER),
        Elsewhere("there has to be a dead letter", NEWCOMER)
    ]
    the_commands_about_chatwoot "src/manual/chatwoot.md" [Answers("You said: hello")]
    the_commands_about_deploying "src/manual/deploy.md" [Elsewhere("it needs an engine", IMAGE)]
    the_commands_about_the_emulator "src/manual/emulator.md" [AsksTwilio]
    the_commands_about_instances "src/manual/instances.md" [Settings]
    the_commands_about_the_library "src/manual/library.md" [Example]
    the_commands_about_numbers "src/manual/numbers.md" [Answers("hello")]
    the_commands_about_models "src/manual/openai.md" [Answers("You said: hello")]
    the_commands_about_routing "src/manual/routing.md" [Answers("You said: hello"), Settings]
    the_commands_about_queues_of_amazon "src/manual/sqs.md" [Elsewhere("it needs Amazon", LAMBDA)]
    the_commands_about_programs "src/manual/stdio.md" [Answers("You said: hello")]
    the_commands_about_workflows "src/manual/temporal.md" [
        Elsewhere("it needs a server of Temporal", WORKFLOW),
        Elsewhere("it needs a server of Temporal", OLDER)
    ]
    the_commands_about_setting_up "src/manual/setup.md" [
        Elsewhere("there has to be an account", SETUP),
        Elsewhere("there has to be something to undo", UNDO)
    ]
    the_commands_about_twilio "src/manual/twilio.md" [Converses("You said: hello")]
    the_commands_of_the_guide "src/manual/bitbrat.md" [
        Elsewhere("it needs a docker daemon", GUIDE_TOOL),
        Elsewhere("it needs the platform's repository", GUIDE_TOOL),
        Elsewhere("it needs the platform's tool", GUIDE_TOOL),
        Elsewhere("it needs the platform's tool", GUIDE_TOOL),
        Elsewhere("it needs the platform's bus", GUIDE),
        Elsewhere("it needs the platform's tool and bus", GUIDE),
        Elsewhere("it needs the platform's tool", GUIDE_TOOL),
        Elsewhere("it needs the platform's tool and bus", GUIDE),
        Elsewhere("it needs the platform's bus", GUIDE)
    ]
}

#[test]
fn no_page_with_commands_is_left_out() {
    for page in every_page() {
        let blocks = blocks(&page).len();
        let known = PAGES.iter().find(|(name, _)| *name == page).map_or(0, |(_, count)| *count);
        assert_eq!(blocks, known, "{page}: a block of commands that no row is about, or no more");
    }
    for (page, _) in PAGES {
        assert!(root().join(page).is_file(), "{page} is gone");
    }
}

#[test]
fn blocks_name_a_language_that_somebody_checks() {
    const KNOWN: &[&str] =
        &["Dockerfile", "http", "json", "python", "rust,no_run", "sh", "text", "toml", "yaml"];
    for page in every_page() {
        let text = read(&page);
        let fences = text.lines().filter_map(|line| line.trim_start().strip_prefix("```"));
        for language in fences.step_by(2) {
            assert!(KNOWN.contains(&language), "{page}: a block of {language:?}");
        }
    }
}

async fn run_all(page: &str, rows: &[How]) {
    let blocks = blocks(page);
    assert_eq!(blocks.len(), rows.len(), "{page}: a block that no row is about, or no more");
    for (block, how) in blocks.iter().zip(rows) {
        run(block, *how).await;
    }
}

async fn run(block: &str, how: How) {
    if let Some(missing) = missing_for(block) {
        assert!(std::env::var_os("CI").is_none(), "{missing} is missing for: {block}");
        println!("SKIPPED for want of {missing}: {block}");
        return;
    }
    match how {
        Ends => {
            let place = Place::new().await;
            place.starts(&place.filled(block)).ends_well().await;
            place.end().await;
        }
        Says(words) => {
            let place = Place::new().await;
            let mut running = place.starts(&place.filled(block));
            running.says(words).await;
            running.stop().await;
            place.end().await;
        }
        Settings => {
            let mut place = Place::new().await;
            place.set_number();
            place.starts(&format!("{}chimein config", place.filled(block))).ends_well().await;
            place.end().await;
        }
        Answers(words) => answers(block, words, false).await,
        Converses(words) => answers(block, words, true).await,
        AsksTwilio => asks_twilio(block).await,
        Example => example(block).await,
        Elsewhere(why, test) => {
            let (path, name) = test.split_once("::").unwrap();
            assert!(read(path).contains(&format!("fn {name}(")), "{why}, and {test} is gone");
        }
    }
}

/// A program that a block needs and that is not here.
pub fn missing_for(block: &str) -> Option<&'static str> {
    let is_here = |program: &str| {
        let found = format!("command -v {program}");
        let asked = std::process::Command::new("sh").args(["-c", &found]).output();
        asked.is_ok_and(|output| output.status.success())
    };
    if block.contains("--example") && !example_program().is_file() {
        return Some("the built example");
    }
    // The README's agent is in Python.
    let python = if block.contains("CHIMEIN_AGENT_URL") { "CHIMEIN_AGENT_URL" } else { "python3" };
    [(python, "python3"), ("curl ", "curl"), ("openssl ", "openssl")]
        .into_iter()
        .find(|(word, program)| block.contains(word) && !is_here(program))
        .map(|(_, program)| program)
}

/// Runs a service, writes to it, and waits for its words.
async fn answers(block: &str, words: &str, is_conversation: bool) {
    let mut place = Place::new().await;
    if !block.contains("TWILIO_ACCOUNT_SID=") {
        place.set_number();
    }
    if block.contains("OPENAI_API_KEY") {
        place.starts_model().await;
    }
    let agent = block.contains("CHIMEIN_AGENT_URL").then(|| place.starts_agent(&agent_of_readme()));
    place.leads_here(is_conversation);
    let end = if block.contains("chimein serve") { "" } else { "chimein serve" };
    let mut running = place.starts(&format!("{}{end}", place.filled(block)));
    is_ready(&place, &mut running).await;
    place.somebody_writes("hello").await;
    running.until("answered", |_| place.said().contains(&words.to_owned())).await;
    running.stop().await;
    if let Some(agent) = agent {
        agent.stop().await;
    }
    place.end().await;
}

async fn asks_twilio(block: &str) {
    let place = Place::new().await;
    let block = place.filled(block);
    let (emulator, rest) = block.split_once('\n').unwrap();
    let mut running = place.starts(emulator);
    running.says("control_url").await;
    let info: serde_json::Value = serde_json::from_str(&running.out()).unwrap();
    let control = info["control_url"].as_str().unwrap();
    let said = place.starts(&format!("CONTROL_URL={control}\n{rest}")).ends_well().await;
    assert!(!said.contains("\"error\""), "{said}");
    let texts = place.starts(&format!("curl -fs '{control}texts'")).ends_well().await;
    assert!(texts.contains(PHONE), "{texts}");
    running.stop().await;
    place.end().await;
}

async fn example(block: &str) {
    let place = Place::new().await;
    let mut running = place.starts(&place.filled(block));
    running
        .until("the emulator tells where it is", |_| place.file("twilio.json").ends_with('\n'))
        .await;
    let info: serde_json::Value = serde_json::from_str(&place.file("twilio.json")).unwrap();
    let control = info["control_url"].as_str().unwrap();
    let text = format!(r#"{{"from": "{PHONE}", "to": "+15555550100", "body": "hello"}}"#);
    let post = "curl -fs -H 'content-type: application/json'";
    place.starts(&format!("{post} '{control}inbound' -d '{text}'")).ends_well().await;
    let look = format!("until curl -fs '{control}dump' | grep 'echo: hello'; do sleep 0.05; done");
    place.starts(&look).ends_well().await;
    running.stop().await;
    place.end().await;
}

/// The agent that the README shows.
pub fn agent_of_readme() -> String {
    of_language(&read("README.md"), "python").remove(0)
}

/// The program that the README shows beside it.
pub fn program_of_readme() -> String {
    of_language(&read("README.md"), "python").remove(1)
}

/// A page's blocks of commands.
pub fn blocks(page: &str) -> Vec<String> {
    of_language(&read(page), "sh")
}

/// The blocks of a language, without the indentation of the list that they are in.
fn of_language(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}");
    let (mut blocks, mut indent) = (Vec::<String>::new(), None);
    for line in page.lines() {
        match indent {
            None if line.trim() == fence => {
                indent = Some(line.len() - line.trim_start().len());
                blocks.push(String::new());
            }
            Some(_) if line.trim() == "```" => indent = None,
            Some(indent) => {
                let block = blocks.last_mut().unwrap();
                block.push_str(line.get(indent..).unwrap_or_default());
                block.push('\n');
            }
            None => {}
        }
    }
    blocks
}

/// Every page of the repository that somebody may read, but not those of other people's packages.
fn every_page() -> Vec<String> {
    fn below(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let is_other = ["target", "node_modules", ".venv", ".git", "data"].contains(&name);
            if path.is_dir() && !is_other {
                below(&path, found);
            } else if path.extension().is_some_and(|end| end == "md") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    below(root(), &mut found);
    let name = |path: PathBuf| path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
    found.into_iter().map(name).collect()
}

fn read(page: &str) -> String {
    fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
