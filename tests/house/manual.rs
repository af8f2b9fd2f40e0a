//! The manual's pages on safety and on moving here: what they say has a test, and the test is there.

use super::{assert_none, read, root};

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
