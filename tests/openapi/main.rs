//! The emulator's REST answers against Twilio's own API definitions, over real HTTP.
//!
//! Every operation that the coverage list names is asked at least once, and every answer has the
//! shape that the definition gives it. In strict mode a misspelt form field is refused, and none that
//! the definition has.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../coverage/mod.rs"]
mod coverage;
mod definition;
mod tour;
mod twilio;

use std::collections::BTreeSet;

use chimein::emulator::Options;
use chimein::emulator::state::limits::Limits;

use crate::coverage::Coverage;
use crate::twilio::Twilio;

#[tokio::test]
async fn every_answer_has_the_shape_that_the_definition_gives_it() {
    let mut twilio = Twilio::start(options()).await;
    tour::take(&mut twilio).await;
    let covered: BTreeSet<String> = Coverage::load().operations();
    let never: Vec<_> = covered.difference(&twilio.asked).collect();
    assert!(never.is_empty(), "in the coverage list, but never asked: {never:?}");
    let unlisted: Vec<_> = twilio.asked.difference(&covered).collect();
    assert!(unlisted.is_empty(), "asked, but not in the coverage list: {unlisted:?}");
    assert!(twilio.problems.is_empty(), "{}", twilio.problems.join("\n"));
    twilio.emulator.shutdown().await;
}

#[test]
fn every_operation_in_the_coverage_list_is_in_a_definition() {
    let definitions = twilio::definitions();
    let known: BTreeSet<String> = definitions
        .iter()
        .flat_map(|definition| definition.operations())
        .map(|(_, _, operation)| operation.id().to_owned())
        .collect();
    let unknown: Vec<_> = Coverage::load().operations().difference(&known).cloned().collect();
    assert!(unknown.is_empty(), "no such operation: {unknown:?}");
}

#[tokio::test]
async fn strict_mode_refuses_a_misspelt_field_and_none_of_the_definitions() {
    let mut twilio = Twilio::start(Options { strict: true, ..options() }).await;
    let paths = tour::take(&mut twilio).await;
    assert!(twilio.problems.is_empty(), "strict mode: {}", twilio.problems.join("\n"));
    let mut wrong = Vec::new();
    for (path, operation) in paths {
        let found = twilio::find(&twilio.definitions, "POST", &path).unwrap();
        let (status, body) = twilio.send("POST", &path, &[(MISSPELT, "x")]).await;
        let body = body.unwrap_or_default();
        if (status, body["code"].as_u64()) != (400, Some(20001)) {
            wrong.push(format!("{operation} takes a misspelt field: {status} {body}"));
        }
        let refusal = body["message"].as_str().unwrap_or_default().to_owned();
        for name in found.form().keys() {
            let (_, body) = twilio.send("POST", &path, &[(name, "x")]).await;
            let body = body.unwrap_or_default();
            if body["message"] == refusal.replace(MISSPELT, name) {
                wrong.push(format!("{operation} does not know {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    twilio.emulator.shutdown().await;
}

/// A field that no resource has.
const MISSPELT: &str = "Freindly.Name";

/// Without the limits on writes a second, which the tour passes.
fn options() -> Options {
    let limits =
        Limits { conversation_writes: usize::MAX, service_writes: usize::MAX, ..Limits::default() };
    Options { seed: Some(7), limits, ..Options::default() }
}
