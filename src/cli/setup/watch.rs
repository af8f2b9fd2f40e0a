//! What a running service is asked to look at: what setup would change. Reads only.
//!
//! It looks when the console wishes, and no oftener than each ten seconds. What could not be looked at is told as a
//! sentence. Ends with whoever waits for it. Time enters through the clock.

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use super::call::SetupCall;
use super::plan::{Left, Plan};
use crate::clock::Clock;
use crate::console::plans::{Plans, ShownCall, ShownLeft, ShownPlan};
use crate::telemetry::chain::Chain;

/// How long it is between two looks at least: whoever wishes again and again asks Twilio no oftener.
const PAUSE_MIN: Duration = Duration::from_secs(10);

/// How long a look may take in all.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// Looks as often as is wished for.
///
/// # Cancel safety
///
/// It can be dropped at any time.
pub(super) async fn look_again<E: Error>(
    shown: &Plans,
    clock: Clock,
    look: impl AsyncFn() -> Result<Plan, E>,
) -> Infallible {
    loop {
        shown.wished().await;
        let seen = match tokio::time::timeout(LOOK_TIMEOUT, look()).await {
            Ok(Ok(plan)) => Ok(of(&plan)),
            Ok(Err(error)) => {
                // Told to who wished for it; the chain is for the log.
                tracing::warn!(error = %Chain(&error), "what setup would change could not be looked at");
                Err(error.to_string())
            }
            Err(_) => Err("Twilio's API took more than 10 s to answer".to_owned()),
        };
        shown.note(clock.wall(), seen);
        clock.sleep(PAUSE_MIN).await;
    }
}

fn of(plan: &Plan) -> ShownPlan {
    let call = |call: &SetupCall| ShownCall {
        what: call.name.clone(),
        request: call.request(),
        why: call.why.clone(),
        fields: call.changes().map(|field| field.shown()).collect(),
    };
    let left = |left: &Left| {
        let Left { what, found, remedy } = left.clone();
        ShownLeft { what, found, remedy }
    };
    ShownPlan {
        calls: plan.calls.iter().map(call).collect(),
        left: plan.left.iter().map(left).collect(),
    }
}
