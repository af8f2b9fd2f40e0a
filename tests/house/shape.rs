//! The sizes of files and functions, module docs, and what the sources must not hold.

use super::{Source, assert_none, sources};

/// The most lines of code that a file may have.
const FILE_LINES_MAX: usize = 500;

/// The most lines of code of a module's tests, tables of cases included.
const TEST_LINES_MAX: usize = 600;

/// The most lines of a test that walks a whole table of transitions.
const WALK_LINES_MAX: usize = 100;

/// The most lines that a function may have, its signature included.
const FUNCTION_LINES_MAX: usize = 70;

#[test]
fn every_file_opens_with_what_it_is_about() {
    let mut findings = Vec::new();
    for source in [sources("src"), sources("tests"), sources("examples")].concat_all() {
        let is_library = source.path == "src/lib.rs";
        if !is_library && source.module_doc().is_empty() {
            findings.push(source.path);
        }
    }
    assert_none("a file has no module doc", &findings);
}

#[test]
fn files_do_not_outgrow_their_subject() {
    let mut findings = Vec::new();
    for source in [sources("src"), sources("tests"), sources("examples")].concat_all() {
        let lines = source.text.lines().map(str::trim);
        let all = lines.filter(|line| !line.is_empty() && !line.starts_with("//")).count();
        // A module's tests at its end are a part of their own.
        let production = source.code().count();
        if production > FILE_LINES_MAX || all - production > TEST_LINES_MAX {
            findings.push(format!("{}: {production} and {}", source.path, all - production));
        }
    }
    assert_none("a file is too long", &findings);
}

#[test]
fn functions_fit_on_a_page() {
    let mut findings = Vec::new();
    for source in [sources("src"), sources("tests"), sources("examples")].concat_all() {
        for (name, lines) in functions(&source.text) {
            let is_walk = source.is_test() && name.starts_with("every_");
            if lines > if is_walk { WALK_LINES_MAX } else { FUNCTION_LINES_MAX } {
                findings.push(format!("{}: {name} has {lines}", source.path));
            }
        }
    }
    assert_none("a function is too long", &findings);
}

#[test]
fn only_the_command_line_prints() {
    let mut findings = Vec::new();
    for source in sources("src") {
        let prints =
            source.code().any(|line| line.contains("print!(") || line.contains("println!("));
        if prints && !source.path.starts_with("src/cli/") {
            findings.push(source.path);
        }
    }
    assert_none("a room other than cli prints", &findings);
}

#[test]
fn nothing_is_decided_by_bare_words() {
    let mut findings = Vec::new();
    for source in sources("src") {
        // The queue takes any class of a cause; whoever works on it has them in one enum.
        let is_queue = source.path.starts_with("src/queue/");
        for line in source.code() {
            if line.contains("Option<Option<") || line.contains("Cause::new(") && !is_queue {
                findings.push(format!("{}: {}", source.path, line.trim()));
            }
        }
    }
    assert_none("a class is a bare word, or a nothing is one of two", &findings);
}

#[test]
fn no_part_reaches_through_anothers_fields() {
    const PARTS: &[&str] = &["admin", "agent", "channels", "jobs", "pipeline", "webhook"];
    let mut findings = Vec::new();
    for source in sources("src") {
        let room = source.path.trim_start_matches("src/").split('/').next().unwrap_or_default();
        for line in source.code().filter(|_| PARTS.contains(&room)) {
            // What is plain values, or one with its owner, holds no parts; the recorder is the pen that all
            // write with.
            let plain = [
                "0", "kept", "limits", "of", "options", "program", "recorder", "reply", "settings",
                "state",
            ]
            .map(|field| format!("self.{field}."));
            if hops(line) > 1 && !plain.iter().any(|values| line.contains(values.as_str())) {
                findings.push(format!("{}: {}", source.path, line.trim()));
            }
        }
    }
    assert_none("a part reaches through the fields of another", &findings);
}

/// Through how many fields of its own a line calls something.
fn hops(line: &str) -> usize {
    let chains = line.split("self.").skip(1).map(|chain| {
        let end = chain.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '.');
        let (path, rest) = chain.split_at(end.unwrap_or(chain.len()));
        if rest.starts_with('(') { path.matches('.').count() } else { 0 }
    });
    chains.max().unwrap_or(0)
}

#[test]
fn no_test_is_switched_off() {
    let mut findings = Vec::new();
    for source in [sources("src"), sources("tests"), sources("examples")].concat_all() {
        if source.text.lines().any(|line| line.trim().starts_with("#[ignore")) {
            findings.push(source.path);
        }
    }
    assert_none("a test is ignored", &findings);
}

#[test]
fn the_sizes_of_functions_are_counted_right() {
    let text = "impl A {\n    fn one() {\n        2\n    }\n\n    fn none();\n}\n\nfn long(\n    a: u8,\n) {\n}\nconst fn short() {}\n";
    let counted: Vec<(String, usize)> = functions(text);
    let counted: Vec<(&str, usize)> = counted.iter().map(|(n, l)| (n.as_str(), *l)).collect();
    assert_eq!(counted, [("one", 3), ("long", 4), ("short", 1)]);
}

/// The functions of a formatted file with the number of their lines.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        let indent = &line[..line.len() - trimmed.len()];
        let Some(name) = name_of_function(trimmed) else { continue };
        let closing = format!("{indent}}}");
        let end = lines[start..].iter().position(|line| {
            let is_whole = line.ends_with('}') && line.starts_with(indent) && line.contains(" {");
            *line == closing
                || line.ends_with(';') && line.starts_with(&format!("{indent})"))
                || std::ptr::eq(*line, lines[start]) && (line.ends_with(';') || is_whole)
        });
        let end = end.unwrap_or(0) + start;
        if !lines[end].ends_with(';') {
            found.push((name.to_owned(), end - start + 1));
        }
    }
    found
}

fn name_of_function(line: &str) -> Option<&str> {
    let mut rest = line;
    for word in ["pub ", "pub(crate) ", "pub(super) ", "const ", "async "] {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    let name = rest.strip_prefix("fn ")?;
    // A macro's function has no name of its own.
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').filter(|end| *end > 0)?;
    Some(&name[..end])
}

/// Joins lists of sources.
trait ConcatAll {
    fn concat_all(self) -> Vec<Source>;
}

impl<const N: usize> ConcatAll for [Vec<Source>; N] {
    fn concat_all(self) -> Vec<Source> {
        self.into_iter().flatten().collect()
    }
}
