//! A newcomer with the README alone: the demo, an agent of one's own, real settings, the first dead letter
//! and its cure. Prints what each step took; `--nocapture` shows it.

use std::time::Duration;

use chimein::clock::{Clock, Moment};

use crate::pages::{agent_of_readme, blocks, missing_for, program_of_readme};
use crate::place::{PHONE, Place, Running, is_ready};

/// What the README's agent says, and the field that newcomers write for it.
const RIGHT: &str = r#"{"replies": texts}"#;
const WRONG: &str = r#"{"replies": [{"message": text} for text in texts]}"#;
/// How long a step may take on a busy machine, without the building.
const STEP_MAX: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_readme_alone_leads_from_the_demo_to_the_cure_of_a_dead_letter() {
    let blocks = blocks("README.md");
    let [demo, dev, program, real, cure] = &blocks[..] else { panic!("{blocks:?}") };
    if let Some(missing) = missing_for("python3 curl ") {
        assert!(std::env::var_os("CI").is_none(), "{missing} is missing");
        println!("SKIPPED for want of {missing}: the newcomer's walk");
        return;
    }
    let place = Place::new().await;
    let mut steps = Steps(Clock::start());
    sees_the_demo_answer(&place, demo).await;
    steps.done("the demo answers an SMS");

    let agent = agent_of_readme();
    place.writes("agent.py", &agent);
    talks_to_an_agent(&place, dev).await;
    steps.done("an agent of one's own answers");

    place.writes("program.py", &program_of_readme());
    talks_to_an_agent(&place, program).await;
    steps.done("a program of one's own answers");

    place.leads_here(false);
    let running = place.starts("exec python3 agent.py");
    let mut service = place.starts(&place.filled(real));
    is_ready(&place, &mut service).await;
    place.somebody_writes("hello").await;
    said(&place, &mut service, &["You said: hello"]).await;
    steps.done("a service with real settings answers");

    running.stop().await;
    place.writes("agent.py", &agent.replace(RIGHT, WRONG));
    let running = place.starts("exec python3 agent.py");
    place.somebody_writes("one").await;
    let (list, redrive) = cure.split_once('\n').unwrap();
    let listed = lists_a_letter(&place, list).await;
    // It says in words what is wrong, and not a word of the text.
    assert!(listed.contains("message") && listed.contains("body"), "{listed}");
    steps.done("a mistake is found among the dead letters");

    running.stop().await;
    place.writes("agent.py", &agent);
    let running = place.starts("exec python3 agent.py");
    let redriven = place.starts(redrive).ends_well().await;
    assert_eq!(redriven, "1 dead letter redriven\n");
    said(&place, &mut service, &["You said: hello", "You said: one"]).await;
    let listed = place.starts(list).ends_well().await;
    assert_eq!(listed, "no dead letters\n");
    steps.done("its cure: the person is answered, once");
    service.stop().await;
    running.stop().await;
    place.end().await;
}

/// Prints how long each step took.
struct Steps(Clock);

impl Steps {
    fn done(&mut self, step: &str) {
        let took = self.0.now().since(Moment::ORIGIN);
        println!("{:>6} ms  {step}", took.as_millis());
        assert!(took < STEP_MAX, "{step}: {took:?}");
        self.0 = Clock::start();
    }
}

async fn sees_the_demo_answer(place: &Place, demo: &str) {
    let mut running = place.starts(demo);
    running.says("Ctrl-C ends it").await;
    types_and_hears(place, &running, r#""author": ?"bot""#).await;
    running.stop().await;
}

async fn talks_to_an_agent(place: &Place, dev: &str) {
    let mut running = place.starts(&place.filled(dev));
    running.says("Ctrl-C ends it").await;
    types_and_hears(place, &running, "You said: hello").await;
    running.says("reply sent").await;
    running.stop().await;
}

/// Types on the page with the phones, by what the page itself calls, and waits for the bot's words.
async fn types_and_hears(place: &Place, running: &Running, words: &str) {
    let out = running.out();
    let page = out.lines().find_map(|line| line.trim().strip_prefix("phones ")).unwrap().trim();
    let text = format!(r#"{{"from": "{PHONE}", "to": "+15555550100", "body": "hello"}}"#);
    let post = "curl -fs -H 'content-type: application/json'";
    place.starts(&format!("{post} '{page}_emulator/inbound' -d '{text}'")).ends_well().await;
    let said = format!("curl -fs '{page}_emulator/dump' | grep -E '{words}'");
    let look = format!("until {said}; do sleep 0.05; done");
    place.starts(&look).ends_well().await;
}

/// Waits until this and nothing else was said to the phone.
async fn said(place: &Place, service: &mut Running, words: &[&str]) {
    service.until("answered", |_| place.said().len() >= words.len()).await;
    assert_eq!(place.said(), words);
}

/// Asks for the dead letters until there is one.
async fn lists_a_letter(place: &Place, list: &str) -> String {
    let look = format!("until {list} | grep agent_answer_malformed; do sleep 0.05; done");
    place.starts(&look).ends_well().await
}
