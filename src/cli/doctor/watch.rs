//! What a running service looks at by itself: the cheap checks, some time after the start and then hourly.
//!
//! Cheap are those of this machine and five reads of Twilio's API; neither the store nor a listener is touched,
//! since the service has both, and nobody's URL is probed. What is new is logged with its remedy, once; how many
//! findings there are is a metric, and the console shows them and may wish for another look. Ends with whoever waits for it. Time enters through the clock.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use super::{Error, local, remote};
use crate::clock::Clock;
use crate::config::Settings;
use crate::config::kinds::QueueEngine;
use crate::console::findings::Findings;
use crate::finding::{Finding, Verdict};
use crate::telemetry::chain::Chain;
use crate::telemetry::metrics::Metrics;

/// How long after the start the first look is: the start has enough to do, and who restarts again and again
/// does not ask Twilio each time.
const FIRST_AFTER: Duration = Duration::from_secs(30);

/// How long it is between two looks.
const EVERY: Duration = Duration::from_secs(60 * 60);

/// How long it is at least: whoever wishes for a look again and again asks Twilio no oftener.
const PAUSE_MIN: Duration = Duration::from_secs(10);

/// How long a look may take in all.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// Looks again and again.
///
/// # Cancel safety
///
/// It can be dropped at any time.
pub(in crate::cli) async fn watch(
    settings: &Settings,
    (metrics, shown): (&Metrics, &Findings),
    clock: Clock,
) -> Infallible {
    let mut told = ToldFindings::default();
    let mut pause = FIRST_AFTER;
    loop {
        clock.sleep(pause.min(PAUSE_MIN)).await;
        tokio::select! {
            () = clock.sleep(pause.saturating_sub(PAUSE_MIN)) => {}
            () = shown.wished() => {}
        }
        pause = EVERY;
        match tokio::time::timeout(LOOK_TIMEOUT, look(settings, clock)).await {
            Ok(Ok(findings)) => {
                for verdict in [Verdict::Warn, Verdict::Fail, Verdict::Unchecked] {
                    let count = findings.iter().filter(|one| one.verdict == verdict).count();
                    metrics.findings(verdict.as_str(), count);
                }
                log(told.news(&findings));
                shown.note(clock.wall(), findings);
            }
            Ok(Err(error)) => {
                tracing::warn!(error = %Chain(&error), "the set-up could not be looked at");
            }
            Err(_) => tracing::debug!("a look at the set-up took too long and was left"),
        }
    }
}

/// Makes the cheap checks.
async fn look(settings: &Settings, clock: Clock) -> Result<Vec<Finding>, Error> {
    let mut findings = vec![local::debug_token(settings)];
    if settings.queue.engine == QueueEngine::Embedded {
        findings.push(local::disk(&settings.queue));
    }
    if let Some(twilio) = &settings.twilio {
        findings.push(local::public_url(&settings.webhook));
        findings.push(local::rotation(&twilio.account));
        findings.push(local::region(&twilio.account));
        findings.extend(remote::glance(settings, twilio, clock).await?);
    }
    Ok(findings)
}

/// What was told already.
#[derive(Default)]
struct ToldFindings(BTreeMap<&'static str, String>);

impl ToldFindings {
    /// Gives what is new among the findings, and forgets what is mended.
    fn news<'f>(&mut self, findings: &'f [Finding]) -> Vec<&'f Finding> {
        let is_wrong = |one: &&Finding| matches!(one.verdict, Verdict::Warn | Verdict::Fail);
        let is_known = |one: &&Finding| self.0.get(one.check) == Some(&one.found);
        let news = findings.iter().filter(is_wrong).filter(|one| !is_known(one)).collect();
        let kept = findings.iter().filter(is_wrong).map(|one| (one.check, one.found.clone()));
        self.0 = kept.collect();
        news
    }
}

fn log(news: Vec<&Finding>) {
    for Finding { check, found, remedy, .. } in news {
        tracing::warn!(
            check,
            reason = %format_args!("{found}; {remedy}"),
            "the doctor found something"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_told_again_only_after_it_was_mended() {
        let warn = |found: &str| Finding::warn("balance", found.to_owned(), "add funds");
        let ok = || Finding::ok("balance", "25".to_owned());
        let unseen = Finding::unchecked("alerts", "403".to_owned(), "sign in");
        let mut told = ToldFindings::default();
        for (finding, count) in [
            (warn("-1"), 1),
            (warn("-1"), 0),
            (warn("-2"), 1),
            (ok(), 0),
            (unseen, 0),
            (warn("-2"), 1),
        ] {
            assert_eq!(told.news(std::slice::from_ref(&finding)).len(), count, "{finding:?}");
        }
    }
}
