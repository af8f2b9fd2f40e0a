//! The compose file for the platform says what the code, the image and `architecture.yaml` say.

use std::time::Duration;

use chimein::agent::kinds;
use chimein::config::kinds::Setting;
use chimein::config::{Environment, Settings};
use serde_json::Value;

use super::yaml::{keys, load, texts};
use super::{read, variables};

const FILE: &str = "config/bitbrat/twilio-ingress.compose.yaml";

/// What only the file itself reads.
const OF_THE_FILE: &[&str] =
    &["TWILIO_INGRESS_IMAGE", "TWILIO_INGRESS_ENABLED", "TWILIO_INGRESS_HOST_PORT"];

#[test]
fn every_variable_of_the_compose_file_is_one_of_the_code() {
    let variables = variables();
    for variable in keys(&service()["environment"]) {
        assert!(variables.iter().any(|known| known == variable), "{variable}");
    }
    for (variable, _) in asked(&read(FILE)) {
        let is_known = variables.contains(&variable) || OF_THE_FILE.contains(&&*variable);
        assert!(is_known, "{variable}");
    }
}

#[test]
fn the_compose_file_makes_settings_that_start() {
    let settings = settings();
    let mounts = texts(&service()["volumes"]).into_iter().map(str::to_owned).collect::<Vec<_>>();
    let [mount] = &mounts[..] else { panic!("{mounts:?}") };
    let (volume, target) = mount.split_once(':').unwrap();
    assert!(settings.queue.path.starts_with(target), "the queue's file is not in the volume");
    assert!(keys(&load(FILE)["volumes"]).contains(&volume), "{volume} is not declared");
    assert!(read("Dockerfile").contains(&format!("VOLUME {target}\n")));
    assert_eq!(settings.server.name.as_str(), "twilio-ingress");
    assert!(settings.twilio.is_some(), "it is off, unless told otherwise");

    let port = settings.server.port.get();
    let service = service();
    let published = texts(&service["ports"]);
    assert!(published.iter().all(|one| one.ends_with(&format!(":{port}"))), "{published:?}");
    let architecture = load("architecture.yaml");
    assert_eq!(architecture["services"]["twilio-ingress"]["port"], port);
    assert!(read("Dockerfile").contains(&format!("EXPOSE {port}\n")));
}

#[test]
fn the_compose_file_is_of_the_platforms_network_and_waits_for_its_bus() {
    let (file, service) = (load(FILE), service());
    assert_eq!(file["networks"]["bitbrat-network"]["external"], true);
    let aliases = &service["networks"]["bitbrat-network"]["aliases"];
    assert_eq!(texts(aliases), ["twilio-ingress.bitbrat.local"]);
    assert_eq!(texts(&service["env_file"]), [".env.brat"]);
    assert_eq!(service["depends_on"]["nats"]["condition"], "service_healthy");
    // The platform's tool merges maps and replaces lists.
    assert!(service["environment"].is_object());

    let command = texts(&service["healthcheck"]["test"]).join(r#"", ""#);
    assert!(read("Dockerfile").contains(&command.replacen(r#"CMD", "#, "CMD [", 1)), "{command}");
    let patience = service["stop_grace_period"].as_str().and_then(<Duration as Setting>::parse);
    assert!(patience > Some(settings().server.shutdown_grace), "it is killed while it stops");
}

#[test]
fn a_container_has_no_rights_that_it_does_not_need() {
    let folder = super::root().join("config");
    let files = super::files(&folder);
    let is_compose = |path: &&std::path::PathBuf| path.to_string_lossy().ends_with("compose.yaml");
    let files: Vec<_> = files.iter().filter(is_compose).collect();
    assert!(!files.is_empty());
    for file in files {
        let file = file.strip_prefix(super::root()).unwrap().to_str().unwrap();
        let services = &load(file)["services"];
        for name in keys(services) {
            let service = &services[name];
            assert_eq!(service["read_only"], true, "{file}: {name}");
            assert_eq!(texts(&service["cap_drop"]), ["ALL"], "{file}: {name}");
            let options = texts(&service["security_opt"]);
            assert!(options.contains(&"no-new-privileges:true"), "{file}: {name}");
        }
    }
}

#[test]
fn the_guide_names_only_what_there_is() {
    let guide = read("src/manual/bitbrat.md");
    let variables = variables();
    let words = guide.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
    for word in words.filter(|word| word.starts_with("CHIMEIN_") || word.starts_with("TWILIO_")) {
        let is_known = variables.iter().any(|known| known == word) || OF_THE_FILE.contains(&word);
        assert!(is_known, "{word}");
    }
}

fn service() -> Value {
    load(FILE)["services"]["twilio-ingress"].clone()
}

/// The settings that the file makes, with whatever is required from elsewhere.
fn settings() -> Settings {
    let service = service();
    let given = service["environment"].as_object().unwrap().iter();
    let given = given.map(|(name, value)| (name.clone(), filled_in(value.as_str().unwrap())));
    let given: Vec<(String, String)> = given.filter(|(_, value)| !value.is_empty()).collect();
    let entries = kinds::schema().manual().entries();
    let required = kinds::schema().required_variables().into_iter().map(|name| {
        let entry = entries.iter().find(|entry| entry.environment == name).unwrap();
        let prefix =
            ["AC", "SK", "IS"].iter().find(|sid| entry.meaning.contains(&format!("({sid}…)")));
        (name, prefix.map_or("planted".to_owned(), |sid| format!("{sid}{}", "0".repeat(32))))
    });
    // The guide has it set; there is no default that could be right.
    let public = ("CHIMEIN_WEBHOOK_PUBLIC_URL", "https://api.bitbrat.ai");
    let public = std::iter::once((public.0.to_owned(), public.1.to_owned()));
    let pairs: Vec<(String, String)> = required.chain(public).chain(given).collect();
    let pairs = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    kinds::load(None, &Environment::from_pairs(pairs)).into_settings().unwrap()
}

/// A value with its defaults in the place of variables.
fn filled_in(value: &str) -> String {
    let mut filled = value.to_owned();
    for (variable, default) in asked(value) {
        filled = filled.replace(&format!("${{{variable}:-{default}}}"), &default);
    }
    filled
}

/// Each `${VARIABLE:-default}` of a text.
fn asked(text: &str) -> Vec<(String, String)> {
    let asked = text.split("${").skip(1).map(|rest| rest.split_once('}').expect("it ends").0);
    asked
        .map(|one| {
            let (variable, default) = one.split_once(":-").expect("each has a default");
            (variable.to_owned(), default.to_owned())
        })
        .collect()
}
