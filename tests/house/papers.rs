//! The documents beside the code say what the code does: README, manual, `architecture.yaml`, Dockerfile,
//! `.ci/run`. With `UPDATE=1` in the environment the manual's tables are written anew.

use std::fs;

use chimein::admin;
use chimein::agent::kinds::schema;
use chimein::config::kinds::{Paths, Setting};
use chimein::finding::checks;
use chimein::manual::PAGES;
use chimein::telemetry::metrics::table;
use chimein::webhook;

use super::yaml::{load, texts};
use super::{assert_none, files, read, root};

/// Sids that are no secrets but that the platform keeps with them.
const KEPT_WITH_SECRETS: &[&str] =
    &["TWILIO_ACCOUNT_SID", "TWILIO_API_KEY", "TWILIO_CHAT_SERVICE_SID"];

/// How long the README may be: what a newcomer reads in one go.
const README_BYTES_MAX: usize = 10_000;

/// A table of the manual that is made of something else.
struct Table {
    page: &'static str,
    start: &'static str,
    end: &'static str,
    text: String,
}

#[test]
fn the_manual_has_the_table_of_settings() {
    compare(&Table {
        page: "src/manual/configuration.md",
        start: "<!-- configuration table: written from config/default.toml by `UPDATE=1 cargo test --test house` -->\n",
        end: "<!-- end of the configuration table -->\n",
        text: schema().manual().markdown(),
    });
}

#[test]
fn the_file_of_defaults_is_the_whole_manual() {
    const HINT: &str = "# Written by `UPDATE=1 cargo test --test house` from src/config/manual.toml and \
                        src/agent/*/settings.toml.\n#\n";
    let expected = format!("{HINT}{}", schema().manual().text());
    if std::env::var_os("UPDATE").is_some() {
        fs::write(root().join("config/default.toml"), expected).unwrap();
    } else {
        let found = read("config/default.toml");
        assert_eq!(found, expected, "run UPDATE=1 cargo test --test house -- --test-threads=1");
    }
}

#[test]
fn the_manual_has_the_table_of_metrics() {
    compare(&Table {
        page: "src/manual/metrics.md",
        start: "<!-- metrics table: written from src/telemetry/metrics/table.rs by `UPDATE=1 cargo test --test house` -->\n",
        end: "<!-- end of the metrics table -->\n",
        text: table::markdown(),
    });
}

#[test]
fn the_manual_has_the_table_of_checks() {
    compare(&Table {
        page: "src/manual/operation.md",
        start: "<!-- checks table: written from src/finding/checks.rs by `UPDATE=1 cargo test --test house` -->\n",
        end: "<!-- end of the checks table -->\n",
        text: checks::markdown(),
    });
}

#[test]
fn the_manual_has_the_table_of_causes() {
    compare(&Table {
        page: "src/manual/operation.md",
        start: "<!-- causes table: written from src/admin/remedies.rs by `UPDATE=1 cargo test --test house` -->\n",
        end: "<!-- end of the causes table -->\n",
        text: admin::remedies::table(),
    });
}

#[test]
fn the_manual_has_the_emulators_table() {
    let page = read("src/emulator/coverage.md");
    let rows = page.lines().filter(|line| line.starts_with('|'));
    compare(&Table {
        page: "src/manual/emulator.md",
        start: "<!-- emulator table: written from src/emulator/coverage.md by `UPDATE=1 cargo test --test house` -->\n",
        end: "<!-- end of the emulator table -->\n",
        text: rows.map(|row| format!("{row}\n")).collect(),
    });
}

/// Compares a table with what it is made of, or writes it anew.
fn compare(table: &Table) {
    let page = read(table.page);
    let (before, rest) = page.split_once(table.start).expect("the table's start is marked");
    let (found, after) = rest.split_once(table.end).expect("the table's end is marked");
    let expected = format!("\n{}\n", table.text);
    if std::env::var_os("UPDATE").is_some() {
        let (start, end) = (table.start, table.end);
        fs::write(root().join(table.page), format!("{before}{start}{expected}{end}{after}"))
            .unwrap();
    } else {
        assert_eq!(found, expected, "run UPDATE=1 cargo test --test house -- --test-threads=1");
    }
}

#[test]
fn the_readme_is_short_and_leads_to_every_page() {
    let readme = read("README.md");
    assert!(readme.len() <= README_BYTES_MAX, "{} bytes, {README_BYTES_MAX} at most", readme.len());
    for page in PAGES {
        let link = format!("[`{0}`](src/manual/{0}.md)", page.topic);
        assert!(readme.contains(&link), "{} is not in the list", page.topic);
    }
    let pages = files(&root().join("src/manual"));
    let count = pages.iter().filter(|path| path.extension().is_some_and(|end| end == "md")).count();
    assert_eq!(count, PAGES.len(), "a page is in no list");
}

#[test]
fn the_architecture_names_the_variables_and_secrets_of_the_code() {
    let keys = schema().keys();
    let secrets = list("secrets");
    let mut expected: Vec<String> = schema().required_variables();
    expected.retain(|name| {
        KEPT_WITH_SECRETS.contains(&name.as_str())
            || keys.iter().any(|key| key.secret && key.variables().contains(name))
    });
    assert_eq!(secrets, expected);

    let architecture = load("architecture.yaml");
    let shared = texts(&architecture["defaults"]["services"]["env"]);
    let env: Vec<String> =
        list("env").into_iter().chain(shared.into_iter().map(str::to_owned)).collect();
    let required = schema().required_variables();
    for name in required.iter().filter(|name| !secrets.contains(name)) {
        assert!(env.contains(name), "{name} is required and not listed");
    }
    for name in env {
        let key = keys.iter().find(|key| key.variables().contains(&name));
        assert!(key.is_some_and(|key| !key.secret), "{name} is no variable of the code");
    }
}

#[test]
fn the_architecture_names_the_paths_of_the_code() {
    let architecture = load("architecture.yaml");
    let health = texts(&architecture["defaults"]["services"]["health"]);
    let mut named: Vec<String> = health.into_iter().map(str::to_owned).collect();
    named.extend(list("paths"));
    named.push("/".to_owned());
    named.sort();
    let mut served: Vec<String> =
        admin::PUBLIC_PATHS.iter().chain(admin::DEBUG_PATHS).map(|&path| path.to_owned()).collect();
    served.extend([webhook::ROUTE, webhook::TEXT_STATUS_ROUTE].map(str::to_owned));
    served.extend(webhook::TEXT_ROUTES.map(str::to_owned));
    let late = "/v1/conversations/{conversation}/replies";
    assert!(read("src/agent/later.rs").contains(late), "late replies come in elsewhere");
    served.push(late.to_owned());
    served.push(chimein::media::door::ROUTE.to_owned());
    served.sort();
    assert_eq!(named, served);
}

#[test]
fn the_admin_api_is_told_of_whole() {
    let document: serde_json::Value =
        serde_json::from_str(chimein::admin::operate::OPENAPI).unwrap();
    let told = document["paths"].as_object().unwrap();
    // A page for whatever platform is asked for, of which the known ones are told.
    const OPEN: &[&str] = &["/webhooks/{platform}", "/_debug/{platform}"];
    let mut findings = Vec::new();
    for source in super::sources("src/admin").iter().filter(|source| !source.is_test()) {
        let code: Vec<&str> = source.code().collect();
        for route in code.join("\n").split(".route(").skip(1) {
            let Some(path) = route.trim_start().strip_prefix('"') else { continue };
            let path = path.split('"').next().unwrap_or_default();
            if !told.contains_key(path) && !OPEN.contains(&path) {
                findings.push(format!("{}: {path}", source.path));
            }
        }
    }
    assert_none("a route of the admin listener is not in src/admin/openapi.json", &findings);
    let text = document.to_string();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap_or_default();
        assert!(document["components"]["schemas"].get(name).is_some(), "{name} is not there");
    }
}

#[test]
fn no_further_path_takes_the_place_of_what_is_served() {
    let paths = admin::PUBLIC_PATHS.iter().chain(admin::DEBUG_PATHS);
    for path in paths.chain(&["/v1/conversations/CH/replies"]) {
        assert!(<Paths as Setting>::parse(path).is_none(), "{path}");
    }
}

#[test]
#[cfg(feature = "nats")]
fn the_architecture_names_the_topics_of_the_code() {
    use chimein::agent::bitbrat::names::{DEAD_LETTER, EGRESS, INGRESS, SNAPSHOT};

    use super::yaml::keys;

    let architecture = load("architecture.yaml");
    let (key, topics) = ("twilio-ingress", &architecture["messaging"]["topics"]);
    let of_service = &architecture["services"][key]["topics"];
    let own = format!("{EGRESS}.{key}");
    for (list, role, expected) in [
        ("publishes", "producers", &[INGRESS, SNAPSHOT, DEAD_LETTER][..]),
        ("consumes", "consumers", &[&own, EGRESS]),
    ] {
        assert_eq!(texts(&of_service[list]), expected);
        for topic in expected {
            assert!(texts(&topics[topic][role]).contains(&key), "{topic} lacks us as {role}");
        }
    }
    assert_eq!(keys(topics).len(), 5, "a topic that is not ours is listed");
    let keys = schema().keys();
    let prefix = keys.iter().find(|known| known.name == "bitbrat.prefix").unwrap();
    assert_eq!(
        prefix.variables(),
        [architecture["messaging"]["config"]["prefix"].as_str().unwrap()]
    );
}

#[test]
fn the_image_runs_what_there_is() {
    let dockerfile = read("Dockerfile");
    for line in dockerfile.lines().filter(|line| line.starts_with("COPY ")) {
        let is_from_build = line.contains("--from=");
        let sources = line.split_whitespace().skip(1);
        let mut sources: Vec<&str> = sources.filter(|word| !word.starts_with("--")).collect();
        let _ = sources.pop();
        for source in sources.iter().filter(|_| !is_from_build) {
            assert!(root().join(source).exists(), "{line}");
        }
    }
    assert!(dockerfile.contains(r#"CMD ["chimein", "health"]"#));
    // Nobody's shell, and nobody's setuid program.
    assert!(
        dockerfile.contains("\nFROM scratch AS service\n") && dockerfile.contains("+crt-static")
    );
    assert!(dockerfile.contains("\nUSER 10001:10001\n"), "not a numeric user of no rights");
    let version = rust_version();
    assert!(dockerfile.contains("ARG RUST_IMAGE=rust:1."), "the image that builds is Rust's own");
    assert!(builder_minor(&dockerfile) >= version, "the image builds with a Rust too old");
}

#[test]
fn whoever_builds_an_image_can_name_by_digest_what_it_starts_from() {
    let dockerfile = read("Dockerfile");
    // Nothing is in `scratch` that a tag could move.
    let is_built_on = |line: &&str| line.starts_with("FROM ") && !line.starts_with("FROM scratch ");
    for line in dockerfile.lines().filter(is_built_on) {
        let name = line.split_whitespace().nth(1).unwrap();
        // Whoever builds for release gives another, with its digest.
        let name = name.trim_start_matches("${").trim_end_matches('}');
        let default = dockerfile
            .lines()
            .find_map(|line| line.strip_prefix("ARG ")?.strip_prefix(name)?.strip_prefix('='));
        let image = default.unwrap_or_else(|| panic!("{name} cannot be pinned by digest"));
        assert!(image.contains(':') && !image.ends_with("latest"), "{image} is not pinned");
    }
}

/// The rules of the registry that a package would be refused by.
/// Source: The Cargo Book, The Manifest Format, read 2026-11-30.
#[test]
fn the_package_can_be_published() {
    let manifest: toml::Value = toml::from_str(&read("Cargo.toml")).unwrap();
    let package = &manifest["package"];
    assert!(package.get("publish").is_none(), "publishing is switched off");
    for field in ["description", "license", "readme", "rust-version", "documentation"] {
        assert!(package[field].as_str().is_some_and(|text| !text.is_empty()), "{field}");
    }
    let keywords = package["keywords"].as_array().unwrap();
    assert!(keywords.len() <= 5 && package["categories"].as_array().unwrap().len() <= 5);
    for keyword in keywords.iter().map(|keyword| keyword.as_str().unwrap()) {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-+".contains(c);
        assert!(keyword.len() <= 20 && keyword.chars().all(is_plain), "{keyword}");
    }
    for (name, wanted) in manifest["dependencies"].as_table().unwrap() {
        let version = wanted.get("version").unwrap_or(wanted);
        assert!(version.is_str(), "{name} has no version, so nobody else could build it");
    }
    // What is left out is needed by no build and no test.
    let left_out = package["exclude"].as_array().unwrap();
    assert!(left_out.iter().all(|path| path.as_str().unwrap().starts_with('.')), "{left_out:?}");
    let builds = |line: &str| line.ends_with("cargo package --locked") && !line.starts_with('#');
    assert!(read(".ci/run").lines().any(builds), "nobody builds the package");
}

#[test]
fn the_top_level_is_as_agreed() {
    let agreed = [
        "CHANGELOG.md",
        "Cargo.lock",
        "Cargo.toml",
        "Dockerfile",
        "LICENSE",
        "README.md",
        "architecture.yaml",
        "config",
        "examples",
        "src",
        "tests",
    ];
    let mut found: Vec<String> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.') && !["target", "data"].contains(&name.as_str()))
        .collect();
    found.sort();
    assert_eq!(found, agreed);
}

#[test]
fn the_check_runs_files_that_exist_and_names_no_host() {
    let check = read(".ci/run");
    assert!(check.contains("--config config/deny.toml"));
    assert!(root().join("config/deny.toml").exists());
    assert!(check.contains("\ncargo test\n"), "cargo test exactly as the README says it");
    assert!(check.contains(r#"RUSTDOCFLAGS="-D warnings" cargo doc"#), "warnings are denied");
    assert!(!check.contains("://"), "a host is named");
}

#[test]
fn no_file_speaks_of_one_machine_or_of_a_registrys_host() {
    let mut findings = Vec::new();
    let folders = ["src", "tests", "config", "examples", ".ci"].map(|folder| root().join(folder));
    let papers = ["README.md", "CHANGELOG.md", "Cargo.toml", "Dockerfile", "architecture.yaml"];
    let papers = papers.map(|paper| root().join(paper));
    for path in folders.iter().flat_map(|folder| files(folder)).chain(papers) {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        // Put together here, so that this file does not hold them itself.
        for word in [
            concat!("/wo", "rk/"),
            concat!("/ro", "ot/"),
            concat!("py", "pi.org"),
            concat!("registry.", "npmjs"),
            concat!("index.", "crates.io"),
        ] {
            if text.contains(word) {
                findings.push(format!("{}: {word}", path.display()));
            }
        }
    }
    assert_none("a path of one machine, or the host of a registry", &findings);
}

/// A list of the service in `architecture.yaml`.
fn list(name: &str) -> Vec<String> {
    let service = &load("architecture.yaml")["services"]["twilio-ingress"];
    texts(&service[name]).into_iter().map(str::to_owned).collect()
}

/// The minor version of Rust that the package asks for.
fn rust_version() -> u32 {
    let manifest = read("Cargo.toml");
    let line = manifest.lines().find(|line| line.starts_with("rust-version")).unwrap();
    line.split('"').nth(1).unwrap().split('.').nth(1).unwrap().parse().unwrap()
}

fn builder_minor(dockerfile: &str) -> u32 {
    let (_, rest) = dockerfile.split_once("ARG RUST_IMAGE=rust:1.").unwrap();
    rest.split('.').next().unwrap().parse().unwrap()
}
