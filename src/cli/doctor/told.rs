//! How findings are told: a table for people, JSON for programs, an exit code, an explanation. Pure.

use serde_json::{Value, json};

use crate::cli::outcome::{self, MISUSE, Outcome};
use crate::finding::checks::{self, CHECKS, Entry};
use crate::finding::{Finding, Verdict};
use crate::text::nearest;

/// The exit code where all is fine but for warnings.
const WARNED: u8 = 1;

/// The exit code where something is broken.
const BROKEN: u8 = 2;

/// The exit code where nothing is known to be broken, and somewhere nobody could look.
const UNSEEN: u8 = 3;

/// How verdicts look at the beginning of a line: bold red, yellow, green, cyan.
const COLOURS: &[(&str, &str)] = &[
    (Verdict::Fail.shown(), "1;31"),
    (Verdict::Warn.shown(), "33"),
    (Verdict::Ok.shown(), "32"),
    (Verdict::Unchecked.shown(), "36"),
];

/// Tells all findings.
pub(super) fn told(findings: &[Finding], as_json: bool, has_colours: bool) -> Outcome {
    let code = code(findings);
    if as_json {
        let findings: Vec<Value> = findings.iter().map(whole).collect();
        let is_fit = code != BROKEN;
        let output = outcome::json(&json!({ "fit": is_fit, "code": code, "findings": findings }));
        return Outcome::done(output).with_code(code);
    }
    let header = ["verdict", "check", "found", "remedy"];
    let output = outcome::table(header, findings.iter().map(Finding::row));
    let outcome = Outcome::done(output).with_code(code);
    if has_colours { outcome.painted(COLOURS) } else { outcome }
}

/// The worst that was found decides; what nobody could look at is worse than a warning, since it may be worse.
fn code(findings: &[Finding]) -> u8 {
    let has = |verdict| findings.iter().any(|finding| finding.verdict == verdict);
    let codes = [(Verdict::Fail, BROKEN), (Verdict::Unchecked, UNSEEN), (Verdict::Warn, WARNED)];
    codes.into_iter().find(|(verdict, _)| has(*verdict)).map_or(0, |(_, code)| code)
}

/// A finding with all that is known of its check.
fn whole(finding: &Finding) -> Value {
    let check = checks::of(finding.check);
    let text = |field: fn(&Entry) -> &str| check.map(field);
    json!({
        "id": finding.check,
        "verdict": finding.verdict.as_str(),
        "call": text(|check| check.call),
        "found": finding.found,
        "expected": text(|check| check.expected),
        "consequence": text(|check| check.consequence),
        "remedy": finding.remedy,
    })
}

/// Explains a check; an unknown id names the near one.
pub(super) fn explained(id: &str) -> Outcome {
    let Some(Entry { id, call, expected, consequence, remedy }) = checks::of(id) else {
        let near = nearest(id, CHECKS.iter().map(|check| check.id));
        let hint = match near {
            Some(near) => format!("did you mean {near}?"),
            None => "`chimein manual operation` has the list".to_owned(),
        };
        let complaint = format!("chimein: there is no check {id}; {hint}");
        return Outcome::done(String::new()).with_note(&complaint).with_code(MISUSE);
    };
    Outcome::done(format!(
        "{id}\n\nlooks at   {call}\nexpects    {expected}\notherwise  {consequence}\nto mend    {remedy}\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_decides_the_exit_code() {
        let ok = || Finding::ok("clock", String::new());
        let warn = || Finding::warn("clock", String::new(), "");
        let fail = || Finding::fail("clock", String::new(), "");
        let unseen = || Finding::unchecked("clock", String::new(), "");
        for (findings, wanted) in [
            (vec![], 0),
            (vec![ok()], 0),
            (vec![ok(), warn()], 1),
            (vec![warn(), fail(), unseen()], 2),
            (vec![warn(), unseen(), ok()], 3),
        ] {
            assert_eq!(code(&findings), wanted, "{findings:?}");
        }
    }

    #[test]
    fn json_has_all_that_a_check_is() {
        let finding = Finding::unchecked("balance", "403".to_owned(), "sign in");
        let told: Value = serde_json::from_str(&told(&[finding], true, true).output).unwrap();
        assert_eq!((&told["code"], &told["fit"]), (&json!(3), &json!(true)));
        let found = &told["findings"][0];
        assert_eq!(found["verdict"], "not_checked");
        for field in ["id", "call", "found", "expected", "consequence", "remedy"] {
            assert!(found[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {found}");
        }
    }

    #[test]
    fn a_check_is_explained_and_a_mistyped_one_named() {
        let explained_check = explained("webhook-filters");
        assert!(explained_check.output.contains("onMessageAdded"), "{}", explained_check.output);
        let mistyped = explained("webhook-filter");
        assert_eq!(mistyped.code, MISUSE);
        assert!(mistyped.complaint.contains("did you mean webhook-filters"), "{mistyped:?}");
        assert!(explained("tea").complaint.contains("chimein manual operation"));
    }
}
