//! One list of promises for whoever writes to a bot, kept whatever kind of agent thinks: `claims` has them,
//! and each kind has one file with its peer, which does what it is told by the words that people write.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[allow(dead_code, reason = "the scenarios use the rest of it")]
#[path = "../scenarios/agent.rs"]
mod agent;
#[cfg(feature = "nats")]
mod bitbrat;
mod chatwoot;
#[allow(clippy::duplicate_mod, reason = "the servers of other kinds include it too")]
#[path = "../ci_tools/mod.rs"]
mod ci_tools;
mod claims;
mod echo;
mod http;
#[allow(clippy::duplicate_mod, reason = "the servers of other kinds include it too")]
#[path = "../kept/mod.rs"]
mod kept;
#[path = "../scenarios/many.rs"]
mod many;
#[allow(dead_code, reason = "the scenarios use the rest of it")]
#[path = "../scenarios/model.rs"]
mod model;
#[cfg(feature = "nats")]
#[path = "../nats_server/mod.rs"]
mod nats_server;
mod openai;
mod peer;
#[cfg(feature = "nats")]
#[allow(dead_code, reason = "the tests of that kind use the rest of it")]
#[path = "../bitbrat/platform.rs"]
mod platform;
#[path = "../ports/mod.rs"]
mod ports;
#[allow(dead_code, reason = "the scenarios use the rest of it")]
#[path = "../scenarios/rig.rs"]
mod rig;
#[cfg(feature = "sqs")]
mod sqs;
#[cfg(feature = "sqs")]
#[path = "../sqs_server/mod.rs"]
mod sqs_server;
mod stdio;
#[cfg(feature = "temporal")]
mod temporal;
#[cfg(feature = "temporal")]
#[path = "../temporal_server/mod.rs"]
mod temporal_server;

/// Makes a test of each promise that a kind of agent can be held to.
macro_rules! keeps {
    ($kind:ident: $peer:ty { $($claim:ident)* }) => {
        mod $kind {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $claim() {
                    crate::claims::$claim::<$peer>().await;
                }
            )*
        }
    };
}

mod kept_by {
    keeps! { echo: crate::echo::Echo { answers_in_order } }
    keeps! { http: crate::http::Http {
        answers_in_order is_told_when_its_answer_is_due says_nothing says_several_things is_slow_and_holds_up_nobody
        answers_late_and_once forgets_and_is_asked_again forgets_one_and_answers_the_next
        survives_our_restart dies_before_it_answers dies_after_it_answered
        talks_garbage is_away_and_comes_back
        thinks_about_a_thousand_people_at_once
    } }
    keeps! { chatwoot: crate::chatwoot::Chatwoot {
        answers_in_order says_nothing says_several_things is_slow_and_holds_up_nobody
        answers_late_and_once forgets_and_is_asked_again forgets_one_and_answers_the_next
        survives_our_restart dies_before_it_answers dies_after_it_answered
        talks_garbage is_away_and_comes_back is_killed_while_it_thinks
        thinks_about_a_thousand_people_at_once
    } }
    // A model answers at once, and what says nothing is a dead letter.
    keeps! { openai: crate::openai::Model {
        answers_in_order is_slow_and_holds_up_nobody dies_before_it_answers dies_after_it_answered
        talks_garbage is_away_and_comes_back thinks_about_a_thousand_people_at_once
    } }
    keeps! { stdio_stream: crate::stdio::Program<crate::stdio::Stream> {
        answers_in_order is_told_when_its_answer_is_due says_nothing says_several_things is_slow_and_holds_up_nobody
        answers_late_and_once forgets_and_is_asked_again forgets_one_and_answers_the_next
        survives_our_restart dies_before_it_answers dies_after_it_answered
        talks_garbage is_away_and_comes_back
    } }
    keeps! { stdio_spawn: crate::stdio::Program<crate::stdio::Spawn> {
        answers_in_order is_told_when_its_answer_is_due says_nothing says_several_things is_slow_and_holds_up_nobody
        answers_late_and_once forgets_and_is_asked_again forgets_one_and_answers_the_next
        survives_our_restart dies_before_it_answers dies_after_it_answered
        talks_garbage is_away_and_comes_back
    } }
    // What it says is one reply, and it says it at once.
    keeps! { stdio_acp: crate::stdio::Program<crate::stdio::Acp> {
        answers_in_order says_nothing is_slow_and_holds_up_nobody dies_before_it_answers
        dies_after_it_answered talks_garbage is_away_and_comes_back
    } }
    #[cfg(feature = "nats")]
    keeps! { bitbrat: crate::bitbrat::BitBrat {
        answers_in_order says_nothing says_several_things is_slow_and_holds_up_nobody
        answers_late_and_once survives_our_restart dies_before_it_answers dies_after_it_answered
        talks_garbage is_away_and_comes_back
    } }
    #[cfg(feature = "sqs")]
    keeps! { sqs: crate::sqs::Sqs {
        answers_in_order is_told_when_its_answer_is_due says_nothing says_several_things is_slow_and_holds_up_nobody
        answers_late_and_once
        survives_our_restart dies_before_it_answers dies_after_it_answered
        talks_garbage is_away_and_comes_back is_killed_while_it_thinks
        thinks_about_a_thousand_people_at_once
    } }
    // Who waits for a result has not taken the turn over.
    #[cfg(feature = "temporal")]
    keeps! { temporal: crate::temporal::Results {
        answers_in_order is_told_when_its_answer_is_due says_nothing says_several_things is_slow_and_holds_up_nobody
        dies_before_it_answers dies_after_it_answered talks_garbage is_away_and_comes_back
    } }
    #[cfg(feature = "temporal")]
    keeps! { temporal_by_activity: crate::temporal::Sends {
        is_told_when_its_answer_is_due says_nothing says_several_things is_slow_and_holds_up_nobody
        answers_late_and_once
        survives_our_restart dies_before_it_answers dies_after_it_answered
        talks_garbage
    } }
    #[cfg(feature = "temporal")]
    keeps! { temporal_by_thread: crate::temporal::Talks {
        answers_in_order is_told_when_its_answer_is_due says_nothing says_several_things is_slow_and_holds_up_nobody
        dies_before_it_answers dies_after_it_answered talks_garbage is_away_and_comes_back
    } }
}
