//! What runs the service elsewhere says what the code says: systemd's unit, compose files, Kubernetes manifests.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use chimein::agent::kinds;
use chimein::config::kinds::{QueueEngine, Setting as _};
use chimein::config::{Environment, Settings};
use serde_json::Value;

use super::yaml::{keys, load, load_all, texts};
use super::{read, variables};

const EXAMPLE: &str = "config/deploy/chimein.env";
const UNIT: &str = "config/deploy/systemd/chimein.service";
const COMPOSE: [&str; 2] = ["config/deploy/one.compose.yaml", "config/deploy/three.compose.yaml"];
const KUBERNETES: [&str; 2] =
    ["config/deploy/kubernetes/one.yaml", "config/deploy/kubernetes/nats.yaml"];

#[test]
fn every_file_makes_settings_that_start() {
    let unit = value_of(UNIT, "Environment=");
    let unit = unit.iter().map(|line| line.split_once('=').unwrap());
    let unit = unit.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let composed = COMPOSE.map(|file| {
        let environment = load(file)["services"]["chimein"]["environment"].clone();
        let environment = environment.as_object().unwrap().iter();
        environment.map(|(name, value)| (name.clone(), text(value))).collect()
    });
    let clustered = KUBERNETES.map(|file| {
        let container = container(&workload(file));
        let variables = container["env"].as_array().unwrap().iter();
        variables.map(|one| (text(&one["name"]), text(&one["value"]))).collect()
    });
    let [one, three] = composed;
    let [pod, pods] = clustered;
    for (settings, is_shared) in
        [(unit, false), (one, false), (three, true), (pod, false), (pods, true)]
    {
        let own: Vec<(String, String)> = settings;
        assert!(!own.is_empty());
        let settings = settings_of(&own);
        assert_eq!(settings.queue.engine == QueueEngine::Nats, is_shared, "{own:?}");
        assert!(settings.twilio.is_some());
    }
}

#[test]
fn the_example_names_only_what_there_is() {
    let known = variables();
    for name in example().keys() {
        assert!(known.contains(name), "{name}");
    }
}

#[test]
fn a_stop_is_waited_for_and_the_store_is_where_it_may_write() {
    let grace = settings_of(&[]).server.shutdown_grace;
    let [stop] = &value_of(UNIT, "TimeoutStopSec=")[..] else { panic!("one time to stop") };
    assert!(Duration::from_secs(stop.parse().unwrap()) > grace);
    let [folder] = &value_of(UNIT, "StateDirectory=")[..] else { panic!("one folder") };
    let place = format!("Environment=CHIMEIN_QUEUE_PATH=/var/lib/{folder}/");
    assert!(read(UNIT).contains(&place), "{place}");

    for file in COMPOSE {
        let service = load(file)["services"]["chimein"].clone();
        let patience = service["stop_grace_period"].as_str().and_then(Duration::parse);
        assert!(patience > Some(grace), "{file}");
        assert_eq!(texts(&service["healthcheck"]["test"]), ["CMD", "chimein", "health"]);
        if let [mount] = texts(&service["volumes"])[..] {
            let (volume, target) = mount.split_once(':').unwrap();
            assert!(keys(&load(file)["volumes"]).contains(&volume), "{file}: {volume}");
            let path = text(&service["environment"]["CHIMEIN_QUEUE_PATH"]);
            assert!(path.starts_with(&format!("{target}/")), "{file}: {path}");
        }
    }
}

#[test]
fn the_manifests_fit_together() {
    let port = settings_of(&[]).server.port.get();
    for file in KUBERNETES {
        let (documents, workload) = (load_all(file), workload(file));
        let labels = &workload["spec"]["template"]["metadata"]["labels"];
        for document in &documents {
            let selector = &document["spec"]["selector"];
            let selector = selector.get("matchLabels").unwrap_or(selector);
            assert_eq!(selector, labels, "{file}: {}", document["kind"]);
        }
        let (pod, container) = (&workload["spec"]["template"]["spec"], container(&workload));
        let [named] = &container["ports"].as_array().unwrap()[..] else { panic!("{file}") };
        assert_eq!((&named["name"], &named["containerPort"]), (&"http".into(), &port.into()));
        let service = documents.iter().find(|one| one["kind"] == "Service").unwrap();
        assert_eq!(service["spec"]["ports"][0]["targetPort"], "http");
        let probe = &container["readinessProbe"]["exec"]["command"];
        assert_eq!(texts(probe), ["chimein", "health"], "{file}");
        assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/healthz");
        assert_eq!(pod["enableServiceLinks"], false, "{file}");
        let grace = settings_of(&[]).server.shutdown_grace.as_secs();
        assert!(pod["terminationGracePeriodSeconds"].as_u64() > Some(grace), "{file}");

        assert_eq!(pod["securityContext"]["runAsUser"], 10001, "the image's user");
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        let rights = &container["securityContext"];
        assert_eq!(rights["allowPrivilegeEscalation"], false);
        assert_eq!(rights["readOnlyRootFilesystem"], true);
        assert_eq!(texts(&rights["capabilities"]["drop"]), ["ALL"]);

        let volumes = pod["volumes"].as_array().into_iter().flatten();
        let claims = workload["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten();
        let volumes = volumes.map(|one| text(&one["name"]));
        let volumes = volumes.chain(claims.map(|one| text(&one["metadata"]["name"])));
        let volumes: Vec<String> = volumes.collect();
        for mount in container["volumeMounts"].as_array().unwrap() {
            assert!(volumes.contains(&text(&mount["name"])), "{file}: {mount}");
        }
        let is_one = workload["spec"]["replicas"] == 1;
        assert_eq!(is_one, workload["kind"] == "StatefulSet", "a file is one instance's");
    }
}

/// systemd reads the unit itself, with our program in its place.
#[test]
fn systemd_takes_the_unit() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let unit = folder.path().join("chimein.service");
    let text = read(UNIT).replace("/usr/local/bin/chimein", env!("CARGO_BIN_EXE_chimein"));
    std::fs::write(&unit, text).unwrap();
    let verified = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit).output();
    let verified = match verified {
        Ok(verified) => verified,
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "systemd-analyze: {error}");
            println!("not checked: systemd-analyze is not on this machine");
            return;
        }
    };
    let told = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && !told.contains("chimein.service"), "{told}");
}

/// `.ci/image` builds and runs it; the engine that is at hand there is another, with the same words.
#[test]
fn the_check_runs_the_image_as_the_page_says() {
    let (page, check) = (read("src/manual/deploy.md"), read(".ci/image"));
    let run = page.lines().find_map(|line| line.strip_prefix("docker run ")).unwrap();
    let (options, command) = run.split_once(" chimein:latest ").unwrap();
    for option in options.split("--").map(str::trim).filter(|option| !option.is_empty()) {
        assert!(check.contains(&format!("--{option}")), "--{option}");
    }
    assert!(check.contains(command), "{command}");
    assert!(page.contains("docker build --tag chimein:latest .\n"));
    assert!(read(".ci/run").contains("\n.ci/image || "), "nobody builds it");
}

#[test]
fn an_image_with_an_agents_program_is_made_as_ours_is() {
    let (page, ours) = (read("src/manual/deploy.md"), read("Dockerfile"));
    let (_, block) = page.split_once("```Dockerfile\n").unwrap();
    let block = block.split("```").next().unwrap();
    let copied =
        block.lines().find(|line| line.starts_with("COPY --from=chimein:latest ")).unwrap();
    let program = copied.split_whitespace().nth(2).unwrap();
    assert!(
        ours.contains(&format!("/image{program}\n")) || ours.contains(&format!("/image{program} "))
    );
    for line in ["VOLUME /data", "USER 10001:10001"] {
        assert!(
            block.contains(&format!("{line}\n")) && ours.contains(&format!("{line}\n")),
            "{line}"
        );
    }
    let variables = variables();
    let set = block.split_whitespace().filter_map(|word| word.split_once('='));
    let set: Vec<_> = set.filter(|(name, _)| name.starts_with("CHIMEIN_")).collect();
    assert!(!set.is_empty());
    for (name, _) in set {
        assert!(variables.iter().any(|known| known == name), "{name}");
    }
    assert!(block.contains("CHIMEIN_QUEUE_PATH=/data/"), "the queue is not in the volume");
}

/// What the example and a file of its own make, where what is to be filled in is.
fn settings_of(own: &[(String, String)]) -> Settings {
    let filled = [
        ("TWILIO_ACCOUNT_SID", format!("AC{}", "0".repeat(32))),
        ("TWILIO_AUTH_TOKEN", "planted".to_owned()),
        ("CHIMEIN_WEBHOOK_PUBLIC_URL", "https://bot.example.com".to_owned()),
        ("TWILIO_PHONE_NUMBER", "+15555550100".to_owned()),
        ("CHIMEIN_AGENT_URL", "http://127.0.0.1:9000/".to_owned()),
        ("CHIMEIN_AGENT_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned()),
    ];
    let mut all = example();
    for (name, value) in filled {
        assert!(all.insert(name.to_owned(), value).is_some(), "{name} is not in the example");
    }
    all.extend(own.iter().cloned());
    let report = kinds::load(None, &Environment::from_pairs(all));
    assert_eq!(report.problems().len(), 0, "{:?}", report.problems());
    report.into_settings().unwrap()
}

/// The lines of the example that set something.
fn example() -> BTreeMap<String, String> {
    let example = read(EXAMPLE);
    let lines = example.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lines = lines.map(|line| line.split_once('=').expect("NAME=value"));
    lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// What stands behind each line of a file that begins so.
fn value_of(file: &str, start: &str) -> Vec<String> {
    let text = read(file);
    text.lines().filter_map(|line| line.strip_prefix(start)).map(str::to_owned).collect()
}

/// The document that makes pods.
fn workload(file: &str) -> Value {
    let makes = |document: &Value| !document["spec"]["template"].is_null();
    load_all(file).into_iter().find(makes).unwrap_or_else(|| panic!("{file} makes no pods"))
}

fn container(workload: &Value) -> Value {
    let containers = workload["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    let [container] = &containers[..] else { panic!("one container") };
    container.clone()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}
