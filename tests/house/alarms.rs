//! The alarms and the dashboard ask for metrics, labels and words that there are; each alarm is tried, and
//! says what helps. That the rules ring is for `promtool` to show, by `prometheus.test.yaml`.

use std::collections::BTreeSet;

use chimein::telemetry::metrics::labels::{
    JobState, Queue, ReplyOutcome, RestOutcome, SocketState, TurnOutcome, WebhookOutcome,
};
use chimein::telemetry::metrics::table::{self, Kind, Metric};
use serde_json::Value;

use super::yaml::load;
use super::{assert_none, read};

const RULES: &str = "config/deploy/prometheus/chimein.rules.yaml";
const TRIED: &str = "tests/house/prometheus.test.yaml";
const DASHBOARD: &str = "config/deploy/grafana/chimein.json";
/// Labels that whoever scrapes puts beside ours, and that of a histogram.
const OF_THE_SCRAPE: [&str; 3] = ["instance", "job", "le"];

#[test]
fn alarms_and_dashboard_ask_for_what_there_is() {
    let mut findings = Vec::new();
    let rules = rules();
    let dashboard = dashboard();
    assert!(rules.len() >= 8 && dashboard.len() >= 20, "{} and {}", rules.len(), dashboard.len());
    let asked = rules.iter().map(|rule| rule["expr"].as_str().unwrap().to_owned());
    for query in asked.chain(dashboard) {
        findings.extend(faults(&query).into_iter().map(|fault| format!("{fault}: {query}")));
    }
    assert_none("a query asks for what there is not", &findings);
}

#[test]
fn a_query_for_what_there_is_not_is_seen() {
    for (query, fault) in [
        ("rate(chimein_turn_total[5m])", "no metric chimein_turn_total"),
        ("rate(chimein_turns_total_bucket[5m])", "no metric chimein_turns_total_bucket"),
        ("chimein_queue_jobs{outcome=\"dead\"}", "chimein_queue_jobs has no label outcome"),
        ("chimein_queue_jobs{state=~\"dead|gone\"}", "state is never gone"),
        ("sum by (road) (chimein_replies_total)", "no label road"),
    ] {
        assert!(faults(query).iter().any(|found| found == fault), "{query}: {:?}", faults(query));
    }
    let fine = "sum by (le) (rate(chimein_agent_seconds_bucket{instance=~\"a\"}[5m]))";
    assert_eq!(faults(fine), [""; 0]);
}

#[test]
fn every_alarm_is_tried_and_says_what_helps() {
    let tried = read(TRIED);
    let mut names = BTreeSet::new();
    for rule in rules() {
        let name = rule["alert"].as_str().unwrap().to_owned();
        assert!(tried.contains(&name), "{name} is not tried");
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["page", "ticket"].contains(&severity), "{name}: {severity}");
        for said in ["summary", "remedy"] {
            assert!(!rule["annotations"][said].as_str().unwrap().is_empty(), "{name}: {said}");
        }
        assert!(names.insert(name.clone()), "{name} twice");
    }
}

fn rules() -> Vec<Value> {
    let groups = load(RULES)["groups"].as_array().unwrap().clone();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

/// What the dashboard's panels ask for.
fn dashboard() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

/// What a query asks for that there is not.
fn faults(query: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for (at, _) in query.match_indices("chimein_") {
        let rest = &query[at..];
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        let Some(metric) = metric(name) else {
            faults.push(format!("no metric {name}"));
            continue;
        };
        let matchers = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let matchers = matchers.map_or("", |(matchers, _)| matchers);
        for matcher in matchers.split(", ").flat_map(|all| all.split(",")) {
            let Some((label, words)) = matcher.split_once('=') else { continue };
            let words = words.trim_start_matches('~').trim_matches('"');
            if OF_THE_SCRAPE.contains(&label) {
                continue;
            }
            if !metric.labels.contains(&label) {
                faults.push(format!("{name} has no label {label}"));
                continue;
            }
            let known = words_of(metric, label);
            let unknown = words.split('|').filter(|word| !known.contains(word));
            faults.extend(unknown.map(|word| format!("{label} is never {word}")));
        }
    }
    let labels: BTreeSet<&str> =
        table::ALL.iter().flat_map(|metric| metric.labels).copied().collect();
    for (_, rest) in query.match_indices(" by (").map(|(at, by)| query.split_at(at + by.len())) {
        for label in rest.split(')').next().unwrap().split(", ") {
            if !labels.contains(label) && !OF_THE_SCRAPE.contains(&label) {
                faults.push(format!("no label {label}"));
            }
        }
    }
    faults
}

fn metric(name: &str) -> Option<&'static Metric> {
    let of_a_histogram = ["_bucket", "_sum", "_count"];
    table::ALL.iter().find(|metric| match metric.kind {
        Kind::Counter | Kind::Gauge => metric.name == name,
        Kind::Histogram => {
            of_a_histogram.map(|end| format!("{}{end}", metric.name)).iter().any(|one| one == name)
        }
    })
}

/// The closed set that a metric's label is of.
fn words_of(metric: &Metric, label: &str) -> Vec<&'static str> {
    fn all<T: Copy>(of: &[T], word: fn(T) -> &'static str) -> Vec<&'static str> {
        of.iter().map(|one| word(*one)).collect()
    }
    match (metric.name, label) {
        ("chimein_webhook_requests_total", "outcome") => {
            all(WebhookOutcome::ALL, WebhookOutcome::as_str)
        }
        ("chimein_turns_total", "outcome") => all(TurnOutcome::ALL, TurnOutcome::as_str),
        ("chimein_replies_total", "outcome") => all(ReplyOutcome::ALL, ReplyOutcome::as_str),
        ("chimein_rest_requests_total", "outcome") => all(RestOutcome::ALL, RestOutcome::as_str),
        ("chimein_socket_state", "state") => all(SocketState::ALL, SocketState::as_str),
        ("chimein_queue_jobs", "state") => all(JobState::ALL, JobState::as_str),
        (_, "queue") => all(Queue::ALL, Queue::as_str),
        ("chimein_stage_seconds", "stage") => vec!["join", "turn", "send", "report"],
        _ => panic!("nobody knows the words of {label} of {}", metric.name),
    }
}
