//! The guide for a platform: its templates do to the platform what they are there for, and its commands
//! are ones that there are. `tests/bitbrat` walks the steps that need no platform.
//!
//! Source: BitBrat 0.33.3, `tools/brat/src`: `lb/urlmap/renderer.ts`, `context/generate-service-configs.ts`,
//! `orchestration/docker/environment-resolver.ts` and `port-manager.ts`, `oclif-commands`, read 2026-11-29.

use serde_json::Value;

use super::yaml::{keys, load, texts};
use super::{read, root};

const GUIDE: &str = "src/manual/bitbrat.md";
const OVERLAY: &str = "config/bitbrat/twilio-ingress.yaml";
const BALANCER: &str = "config/bitbrat/load-balancer.yaml";
const COMPOSE: &str = "config/bitbrat/twilio-ingress.compose.yaml";

/// The commands of the platform's tool that the guide may name.
const BRAT: &[&str] = &["config validate", "lb urlmap render", "bit deploy", "context create"];

#[test]
fn the_overlay_sets_nothing_that_another_service_reads() {
    let compose = read(COMPOSE);
    let overlay = load(OVERLAY);
    assert!(keys(&overlay).contains(&"TWILIO_INGRESS_HOST_PORT"), "the tool gives it any port");
    for key in keys(&overlay) {
        assert!(key.starts_with("TWILIO_INGRESS_") || key.starts_with("CHIMEIN_"), "{key}");
        assert!(compose.contains(&format!("${{{key}:-")), "{key} reaches nobody");
    }
}

#[test]
fn what_the_tool_makes_of_our_variables_bounds_nobody_else() {
    let service = &load("architecture.yaml")["services"]["twilio-ingress"];
    let env = texts(&service["env"]);
    // It would set any with MAX_ or LIMIT in it to 100, for all services.
    let is_bound =
        |name: &&&str| ["MAX_", "LIMIT", "TIMEOUT", "TTL"].iter().any(|x| name.contains(x));
    assert_eq!(env.iter().find(is_bound), None);
    assert_eq!(env.iter().find(|name| name.starts_with("PERSISTENCE_")), None);
}

#[test]
fn the_load_balancers_block_gives_the_rest_to_another_service() {
    let rendered = rendered(&load(BALANCER));
    assert_ne!(rendered.rest, "be-twilio-ingress");
    let ours: Vec<_> =
        rendered.rules.iter().filter(|(_, backend)| backend == "be-twilio-ingress").collect();
    assert_eq!(ours, [&("/webhooks/twilio".to_owned(), "be-twilio-ingress".to_owned())]);
    // Rules are tried in their order.
    let first = rendered.rules.iter().find(|(prefix, _)| "/webhooks/twilio".starts_with(&**prefix));
    assert_eq!(first.map(|(_, backend)| &**backend), Some("be-twilio-ingress"));
    let alone = self::rendered(&load("architecture.yaml"));
    assert_eq!(alone.rest, "be-twilio-ingress", "our own entry alone would take the whole domain");
}

#[test]
fn every_command_of_the_guide_is_one_that_there_is() {
    let commands = commands(&read(GUIDE));
    assert!(commands.len() > 10, "{commands:?}");
    for command in &commands {
        let words: Vec<&str> = command.split_whitespace().collect();
        match words[..] {
            ["npm", "run", "brat", "--", ..] => {
                let rest = words[4..].join(" ");
                assert!(BRAT.iter().any(|known| rest.starts_with(known)), "{command}");
            }
            ["cp", from, to] => {
                let from = from.trim_matches('"').strip_prefix("$CHIMEIN/").unwrap();
                assert!(root().join(from).is_file(), "{from}");
                assert!(to.ends_with('/'), "{to}");
            }
            ["docker", "build", ..] => assert!(root().join("Dockerfile").is_file()),
            ["grep", _, "url-map.yaml"] => {
                assert!(command.contains(&rendered(&load(BALANCER)).rest))
            }
            // `tests/bitbrat` runs them.
            ["curl" | "chimein", ..] => {}
            _ => panic!("{command} is checked by nobody"),
        }
    }
}

/// What the platform's renderer makes of a load balancer.
struct Rendered {
    /// Where everything goes that matches no rule.
    rest: String,
    /// The beginnings of paths and where they go, in order.
    rules: Vec<(String, String)>,
}

/// The first service that a rule names gets the rest; without one nobody does.
fn rendered(architecture: &Value) -> Rendered {
    let balancer = &architecture["cloudResources"]["resources"]["main-load-balancer"];
    let rules = balancer["routing"]["rules"].as_array().unwrap();
    let rules: Vec<_> = rules
        .iter()
        .map(|rule| {
            let prefix = rule["path_prefix"].as_str().unwrap().to_owned();
            (prefix, format!("be-{}", rule["service"].as_str().unwrap()))
        })
        .collect();
    let rest = rules.first().map_or("be-default".to_owned(), |(_, backend)| backend.clone());
    Rendered { rest, rules }
}

/// The lines of the guide's blocks of commands.
fn commands(guide: &str) -> Vec<String> {
    let mut is_block = false;
    let mut commands = Vec::new();
    for line in guide.lines().map(str::trim) {
        match line {
            "```sh" => is_block = true,
            "```" => is_block = false,
            command if is_block => commands.push(command.to_owned()),
            _ => {}
        }
    }
    commands
}
