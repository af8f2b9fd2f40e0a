//! The settings of an agent that the house has never seen: read, shown, explained and judged as its own.

use std::sync::Arc;

use chimein::agent::kind::{Kind as _, Making};
use chimein::agent::kinds::KINDS;
use chimein::clock::Clock;
use chimein::config::{Environment, MASK, Report, Schema};
use chimein::net::tls;
use chimein::queue::{Store, embedded};
use chimein::telemetry::metrics::Metrics;

use crate::agent::{Kind, Loud};
use crate::{House, Rules};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_that_brings_settings_is_made_of_them() {
    let house = House::around(
        (made(&[("CHIMEIN_LOUD_MARK", "-1")]).await, Arc::default()),
        Rules::default(),
    )
    .await;
    house.write(1, 0, "one").await;
    house.expect(1, &["ONE-1"]).await;
    house.stop().await;
    let house = House::around((made(&[]).await, Arc::new(Loud::default())), Rules::default()).await;
    house.write(1, 0, "one").await;
    house.expect(1, &["ONEloud"]).await;
    house.stop().await;
}

#[test]
fn its_settings_are_shown_explained_and_judged_as_all_are() {
    let report = load(&[("CHIMEIN_LOUD_MARK", "x"), ("LOUD_KEY", "planted")]);
    assert!(report.problems().is_empty(), "{:?}", report.problems());
    let shown = |key: &str| report.effective.iter().find(|one| one.key == key).unwrap();
    assert_eq!(shown("loud.mark").shown.as_deref(), Some("x"));
    assert_eq!(shown("loud.mark").origin.to_string(), "environment CHIMEIN_LOUD_MARK");
    assert_eq!(shown("loud.key").shown.as_deref(), Some(MASK));
    assert!(!format!("{:?}", report.into_settings().unwrap()).contains("planted"));
    let entries = schema().manual().entries();
    let entry = entries.iter().find(|entry| entry.name == "loud.mark").unwrap();
    assert_eq!(entry.meaning, "What everything ends in that it says.");
    for (given, told) in [
        (("CHIMEIN_LOUD_MARC", "x"), "did you mean CHIMEIN_LOUD_MARK?"),
        (("CHIMEIN_LOUD_MARK", "quiet"), "loud.mark (environment CHIMEIN_LOUD_MARK): is quiet"),
        (("CHIMEIN_LOUD_MARK", "a b"), "loud.mark (environment CHIMEIN_LOUD_MARK): is not 1 to 63"),
        (
            ("CHIMEIN_AGENT_KIND", "shy"),
            "is not echo, http, openai, sqs, stdio, temporal, chatwoot, bitbrat or loud",
        ),
    ] {
        let report = load(&[given]);
        let [problem] = report.problems() else { panic!("{:?}", report.problems()) };
        assert!(problem.to_string().contains(told), "{problem}");
    }
}

/// All keys that there are, those of the new kind among them.
fn schema() -> Schema {
    let known = KINDS.iter().map(|kind| kind.declares());
    Schema::of(known.chain([Kind.declares()]).collect())
}

fn load(given: &[(&str, &str)]) -> Report {
    let sid = |letters: &str| format!("{letters}{}", "0".repeat(32));
    let mut pairs = vec![
        ("TWILIO_ACCOUNT_SID", sid("AC")),
        ("TWILIO_AUTH_TOKEN", "planted-token".to_owned()),
        ("TWILIO_PHONE_NUMBER", "+15555550100".to_owned()),
        ("CHIMEIN_WEBHOOK_PUBLIC_URL", "https://bot.example.com".to_owned()),
        ("CHIMEIN_AGENT_KIND", "loud".to_owned()),
    ];
    pairs.extend(given.iter().map(|(name, value)| (*name, (*value).to_owned())));
    schema().load(None, &Environment::from_pairs(pairs))
}

async fn made(given: &[(&str, &str)]) -> Arc<dyn chimein::agent::Agent> {
    let settings = load(given).into_settings().unwrap();
    let twilio = settings.twilio.as_ref().unwrap();
    let ((tls, _), metrics) = (tls::client_config().unwrap(), Metrics::new());
    let (tls, clock) = (&tls, Clock::start());
    let place = tempfile::tempdir().unwrap();
    let options = embedded::Options::new(place.path().join("queue.db"));
    let store = Store::open(options).unwrap();
    let (documents, metrics) = (&store.documents(), &metrics);
    let making = Making { settings: &settings, twilio, tls, metrics, documents, clock };
    let made = Kind.make(making).await.unwrap();
    store.close().await;
    made
}
