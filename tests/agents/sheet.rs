//! Which promises each kind of agent is held to, and why it is not held to the others: a hole has a name here, or
//! this fails.

use std::collections::BTreeSet;

use chimein::agent::kinds::KINDS;

use crate::kept_by::SHEETS;

/// What is known of one way to think.
pub struct Sheet {
    /// Its name among the tests.
    pub name: &'static str,
    /// Its kind, as the settings call it.
    pub kind: &'static str,
    /// The claims that it is held to.
    pub kept: &'static [&'static str],
    /// The claims that make no sense for it.
    pub excepted: &'static [(&'static str, Why)],
}

/// Why a claim makes no sense for a kind.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[allow(dead_code, reason = "some kinds are part of some builds alone")]
pub enum Why {
    /// What was said is repeated as it is: there is no peer that could do anything else.
    NobodyThinks,
    /// Its protocol has one answer to a request, and nothing that comes after it.
    AnswersAtOnce,
    /// Its protocol has words of its own for a turn.
    GetsNoDocument,
    /// A turn is a process of its own: a thousand of them are no promise.
    IsAProcessATurn,
    /// Its workflows run beside each other: which of two turns ends first is for them to say.
    TurnsRunSideBySide,
    /// A thousand workflows are more than a development server begins while a test waits; `cargo bench --bench
    /// waiting` has them.
    MeasuredByABench,
}

/// The names of all claims, by their source.
fn claims() -> BTreeSet<&'static str> {
    let lines = include_str!("claims.rs").lines();
    let named =
        lines.filter_map(|line| line.strip_prefix("pub async fn ")?.split_once("<P: Peer>"));
    named.map(|(name, _)| name).collect()
}

/// Whether a kind is part of this build.
fn is_built(kind: &str) -> bool {
    match kind {
        "bitbrat" => cfg!(feature = "nats"),
        "sqs" => cfg!(feature = "sqs"),
        "temporal" => cfg!(feature = "temporal"),
        _ => true,
    }
}

#[test]
fn every_kind_of_agent_keeps_every_claim_or_says_why_it_makes_no_sense() {
    let claims = claims();
    assert!(claims.len() > 10, "{claims:?}");
    for Sheet { name, kept, excepted, .. } in SHEETS {
        let told: Vec<_> = kept.iter().copied().chain(excepted.iter().map(|(no, _)| *no)).collect();
        let distinct: BTreeSet<_> = told.iter().copied().collect();
        assert_eq!(distinct, claims, "{name}");
        assert_eq!(told.len(), distinct.len(), "{name} says one of them twice");
    }
    for kind in KINDS.iter().map(|kind| kind.declares().word).filter(|kind| is_built(kind)) {
        assert!(SHEETS.iter().any(|sheet| sheet.kind == kind), "{kind} is held to nothing");
    }
}
