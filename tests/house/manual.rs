//! What the pages say is there: the tests that they cite, the targets of cargo, the files, the variables, what
//! their links lead to.

use std::fs;
use std::path::Path;

use toml::Value;
use url::Url;

use super::{assert_none, files, read, root, sources, variables};

#[test]
fn every_sentence_about_safety_has_a_test_that_exists() {
    let page = read("src/manual/security.md");
    let mut findings = Vec::new();
    for sentence in page.split("\n- ").skip(1) {
        let sentence = sentence.split("\n\n").next().unwrap_or_default();
        findings.extend(not_shown(sentence));
    }
    assert_none("a sentence about safety is not shown", &findings);
}

#[test]
fn every_row_about_what_was_there_before_has_a_test_that_exists() {
    let mut findings = Vec::new();
    for page in ["temporal", "lambda", "celery"] {
        let page = read(&format!("src/manual/{page}.md"));
        let (_, rows) = page.split_once("| shown by |\n| --- | --- | --- |\n").unwrap();
        for row in rows.lines().take_while(|line| line.starts_with('|')) {
            findings.extend(not_shown(row));
        }
    }
    assert_none("what does a thing here is not shown", &findings);
}

/// What is missing of the tests that a sentence cites.
fn not_shown(sentence: &str) -> Vec<String> {
    let tests: Vec<&str> = cited(sentence).collect();
    if tests.is_empty() {
        return vec![format!("no test: {sentence}")];
    }
    tests.into_iter().filter(|test| !is_there(test)).map(str::to_owned).collect()
}

/// The tests that a sentence cites: a file's path, `::`, the test's name.
fn cited(sentence: &str) -> impl Iterator<Item = &str> {
    sentence.split('`').skip(1).step_by(2).filter(|code| code.contains(".rs::"))
}

fn is_there(test: &str) -> bool {
    let Some((path, name)) = test.split_once("::") else { return false };
    root().join(path).is_file() && read(path).contains(&format!("fn {name}("))
}

#[test]
fn what_is_kept_is_said_with_its_settings_in_one_table() {
    let page = read("src/manual/operation.md");
    let (_, table) =
        page.split_once("| how long | setting |\n| --- | --- | --- | --- |\n").unwrap();
    let rows: Vec<&str> = table.lines().take_while(|line| line.starts_with('|')).collect();
    let settings = |row: &str| {
        let cell = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default().to_owned();
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut section = String::new();
    let mut known = Vec::new();
    for line in read("config/default.toml").lines() {
        if let Some(name) = line.strip_prefix('[') {
            name.trim_end_matches(']').clone_into(&mut section);
        } else if let Some((key, _)) = line.trim_start_matches('#').split_once(" = ") {
            known.push(format!("{section}.{key}"));
        }
    }
    let told: Vec<String> = rows.iter().flat_map(|row| settings(row)).collect();
    let strange = told.iter().filter(|setting| !known.contains(setting));
    let mut findings: Vec<_> = strange.map(|setting| format!("no setting: {setting}")).collect();
    let of_keeping = known.iter().filter(|key| key.ends_with("retention"));
    let missing = of_keeping.filter(|key| !told.contains(key));
    findings.extend(missing.map(|key| format!("not in the table: {key}")));
    assert_none("what is kept and for how long is not said", &findings);
    assert!(rows.len() > 8 && told.len() > 5, "the table was not found whole");
}

#[test]
fn what_the_pages_tell_cargo_to_run_is_there() {
    let manifest: Value = toml::from_str(&read("Cargo.toml")).unwrap();
    let named = |list: &str, name: &str| {
        let targets = manifest[list].as_array().unwrap();
        targets.iter().any(|target| target["name"].as_str() == Some(name))
    };
    let mut findings = Vec::new();
    for (page, text) in pages() {
        let commands = text.split(['`', '\n']).filter(|code| code.contains("cargo "));
        for command in commands {
            let words: Vec<&str> = command.split_whitespace().collect();
            for pair in words.windows(2) {
                let is_there = match pair[0] {
                    "--bench" => named("bench", pair[1]),
                    "--test" => named("test", pair[1]),
                    "--example" => named("example", pair[1]),
                    "--features" => manifest["features"].get(pair[1]).is_some(),
                    _ => true,
                };
                if !is_there {
                    findings.push(format!("{page}: {command}"));
                }
            }
        }
    }
    assert_none("cargo has no such target", &findings);
}

#[test]
fn the_files_that_the_pages_name_are_there() {
    const FOLDERS: &[&str] = &[".ci/", ".github/", "config/", "examples/", "src/", "tests/"];
    let mut findings = Vec::new();
    for (page, text) in pages() {
        for code in text.split('`').skip(1).step_by(2) {
            let path = code.split([' ', ':', '*']).next().unwrap_or_default();
            if FOLDERS.iter().any(|folder| path.starts_with(folder)) && !root().join(path).exists()
            {
                findings.push(format!("{page}: {code}"));
            }
        }
    }
    assert_none("a file is not there", &findings);
}

#[test]
fn the_variables_that_the_pages_name_are_read() {
    // Those of benches and tests stand where they are read, those of the platform in its files.
    let mut readers: Vec<String> = [sources("src"), sources("tests")]
        .into_iter()
        .flatten()
        .filter(|source| !source.path.starts_with("tests/house/"))
        .map(|source| source.text)
        .collect();
    readers.extend(["twilio-ingress.compose.yaml", "twilio-ingress.yaml"].map(|file| {
        read(&format!("config/bitbrat/{file}")).replace(['$', '{', '}', ' ', ':'], "\"")
    }));
    let known = variables();
    let mut findings = Vec::new();
    for (page, text) in pages() {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '*');
        let ours = |word: &&str| word.starts_with("CHIMEIN_") || word.starts_with("TWILIO_");
        for word in words.filter(ours).filter(|word| !word.ends_with(['_', '*'])) {
            let is_known =
                known.iter().any(|name| name == word.trim_end_matches("_FILE") || name == word);
            let is_known = is_known || is_of_several(word, &known);
            let literal = format!("\"{word}\"");
            if !is_known && !readers.iter().any(|text| text.contains(&literal)) {
                findings.push(format!("{page}: {word}"));
            }
        }
    }
    assert_none("nobody reads a variable", &findings);
}

/// Whether a variable is one that an agent by name or a route has.
fn is_of_several(word: &str, known: &[String]) -> bool {
    let of_route = ["AGENT", "ADDRESS", "CHANNEL", "ATTRIBUTE", "KEYWORD", "FALLBACK"];
    let route = word.strip_prefix("CHIMEIN_ROUTES_").and_then(|rest| rest.split_once('_'));
    if let Some((number, key)) = route {
        return number.parse::<u8>().is_ok() && of_route.contains(&key);
    }
    let Some(rest) = word.strip_prefix("CHIMEIN_AGENTS_") else { return false };
    let is_end = |name: &String| {
        let key = name.trim_start_matches("CHIMEIN_").split_once('_').map_or("", |(_, key)| key);
        rest.ends_with(&format!("_{key}"))
    };
    rest.starts_with("<NAME>_") || known.iter().any(is_end)
}

#[test]
fn every_link_leads_somewhere() {
    let mut findings = Vec::new();
    for (page, text) in pages() {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let is_there = if link.contains(':') {
                // Whether a host answers is not ours to say.
                Url::parse(link).is_ok_and(|url| url.scheme() == "https" && url.has_host())
            } else if path.is_empty() {
                has(&text, heading)
            } else {
                let target = root().join(Path::new(&page).parent().unwrap()).join(path);
                let has_heading = || has(&fs::read_to_string(&target).unwrap_or_default(), heading);
                target.exists() && (heading.is_empty() || has_heading())
            };
            if !is_there {
                findings.push(format!("{page}: {link}"));
            }
        }
    }
    assert_none("a link leads nowhere", &findings);
}

/// Whether a page has a heading of this anchor, as Markdown's viewers make them.
fn has(page: &str, anchor: &str) -> bool {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| line.trim_start_matches('#').trim().to_lowercase()).any(|heading| {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>() == anchor
    })
}

/// Every page that somebody may read: its path below the package, and its text.
fn pages() -> Vec<(String, String)> {
    let folders =
        [".github", "config", "examples", "src", "tests"].map(|folder| root().join(folder));
    let below = folders.iter().flat_map(|folder| files(folder));
    let all = below.chain(["README.md", "CHANGELOG.md"].map(|page| root().join(page)));
    all.filter(|path| path.extension().is_some_and(|end| end == "md"))
        .map(|path| path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned())
        .map(|path| (path.clone(), read(&path)))
        .collect()
}
