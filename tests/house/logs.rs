//! Log lines carry only fields that `telemetry::names` knows, and end in one constant sentence.

use chimein::telemetry::names::FIELDS;

use super::{assert_none, sources};

const MACROS: &[&str] = &[
    "error!(",
    "warn!(",
    "info!(",
    "debug!(",
    "trace!(",
    "error_span!(",
    "warn_span!(",
    "info_span!(",
    "debug_span!(",
    "trace_span!(",
];

#[test]
fn log_lines_carry_known_fields_only() {
    let mut findings = Vec::new();
    for source in sources("src") {
        let code: String = source.code().map(|line| format!("{line}\n")).collect();
        for call in calls(&code) {
            for field in fields(&call) {
                if !FIELDS.iter().any(|known| known.name == field) {
                    findings.push(format!("{}: {field}", source.path));
                }
            }
        }
    }
    assert_none("a log line has a field that telemetry/names.rs does not know", &findings);
}

#[test]
fn an_error_in_a_log_line_is_told_with_its_causes() {
    let mut findings = Vec::new();
    for source in sources("src") {
        let code: String = source.code().map(|line| format!("{line}\n")).collect();
        for call in calls(&code) {
            let bare = ["%error,", "%error.", "?error,"].iter().any(|bare| call.contains(bare));
            if bare {
                findings.push(format!("{}: {}", source.path, call.trim()));
            }
        }
    }
    assert_none("an error is logged without Chain, which tells its causes", &findings);
}

#[test]
fn fields_are_told_from_sentences() {
    let code = r#"tracing::warn!(
        target: "wire::twilsock",
        conversation_sid = %sid, %error, ?reason, status, elapsed_ms = f(a, b),
        "a sentence, with = and %commas",
    );"#;
    let call = calls(code).remove(0);
    assert_eq!(fields(&call), ["conversation_sid", "error", "reason", "status", "elapsed_ms"]);
}

/// What stands between the parentheses of each log call.
fn calls(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("tracing::") {
        let rest = &code[at + "tracing::".len()..];
        if let Some(name) = MACROS.iter().find(|name| rest.starts_with(**name)) {
            found.push(up_to_closing(&rest[name.len()..]));
        }
    }
    found
}

/// The text before the parenthesis that closes what is open at its start.
fn up_to_closing(text: &str) -> String {
    let (mut depth, mut is_quoted, mut escaped) = (0, false, false);
    let mut inside = String::new();
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if is_quoted => escaped = true,
            '"' => is_quoted = !is_quoted,
            '(' | '[' | '{' if !is_quoted => depth += 1,
            ')' if !is_quoted && depth == 0 => break,
            ')' | ']' | '}' if !is_quoted => depth -= 1,
            _ => {}
        }
        inside.push(c);
    }
    inside
}

/// The names of the fields of a log call.
fn fields(call: &str) -> Vec<String> {
    let mut arguments = vec![String::new()];
    let (mut depth, mut is_quoted, mut escaped) = (0, false, false);
    for c in call.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if is_quoted => escaped = true,
            '"' => is_quoted = !is_quoted,
            '(' | '[' | '{' if !is_quoted => depth += 1,
            ')' | ']' | '}' if !is_quoted => depth -= 1,
            ',' if !is_quoted && depth == 0 => {
                arguments.push(String::new());
                continue;
            }
            _ => {}
        }
        arguments.last_mut().unwrap().push(c);
    }
    let fields = arguments.iter().map(|argument| argument.trim()).filter(|argument| {
        let is_option = ["target:", "parent:", "name:"].iter().any(|o| argument.starts_with(o));
        !argument.is_empty() && !argument.starts_with('"') && !is_option
    });
    let name = |argument: &str| argument.split('=').next().unwrap().trim().to_owned();
    fields.map(|argument| name(argument.trim_start_matches(['%', '?']))).collect()
}
