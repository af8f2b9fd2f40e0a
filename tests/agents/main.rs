//! One list of promises for whoever writes to a bot, kept whatever kind of agent thinks: `claims` has them,
//! each kind has one file
//! with its peer, which does what it is told by the words that people write, and `sheet` knows of each kind which
//! claims it keeps and why it cannot be held to the others.

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
mod sheet;
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

/// Makes a test of each promise that a kind of agent is held to, and its sheet, which has the others too.
macro_rules! keeps {
    ($name:ident: $kind:literal, $peer:ty { $($claim:ident)* } $($why:ident { $($not:ident)* })*) => {
        pub mod $name {
            pub const SHEET: crate::sheet::Sheet = crate::sheet::Sheet {
                name: stringify!($name),
                kind: $kind,
                kept: &[$(stringify!($claim)),*],
                excepted: &[$($((stringify!($not), crate::sheet::Why::$why),)*)*],
            };
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
    /// All that are part of this build.
    pub const SHEETS: &[crate::sheet::Sheet] = &[
        echo::SHEET,
        http::SHEET,
        chatwoot::SHEET,
        openai::SHEET,
        stdio_stream::SHEET,
        stdio_spawn::SHEET,
        stdio_acp::SHEET,
        #[cfg(feature = "nats")]
        bitbrat::SHEET,
        #[cfg(feature = "sqs")]
        sqs::SHEET,
        #[cfg(feature = "temporal")]
        temporal::SHEET,
        #[cfg(feature = "temporal")]
        temporal_by_activity::SHEET,
        #[cfg(feature = "temporal")]
        temporal_by_thread::SHEET,
    ];

    keeps! { echo: "echo", crate::echo::Echo { answers_in_order }
        NobodyThinks {
            is_told_when_its_answer_is_due says_nothing says_several_things
            is_slow_and_holds_up_nobody answers_late_and_once forgets_and_is_asked_again
            forgets_one_and_answers_the_next survives_our_restart dies_before_it_answers
            dies_after_it_answered talks_garbage is_away_and_comes_back is_killed_while_it_thinks
            thinks_about_a_thousand_people_at_once
        }
    }
    keeps! { http: "http", crate::http::Http {
        answers_in_order is_told_when_its_answer_is_due says_nothing says_several_things
        is_slow_and_holds_up_nobody answers_late_and_once forgets_and_is_asked_again
        forgets_one_and_answers_the_next survives_our_restart dies_before_it_answers
        dies_after_it_answered talks_garbage is_away_and_comes_back is_killed_while_it_thinks
        thinks_about_a_thousand_people_at_once
    } }
    keeps! { chatwoot: "chatwoot", crate::chatwoot::Chatwoot {
        answers_in_order says_nothing says_several_things is_slow_and_holds_up_nobody
        answers_late_and_once forgets_and_is_asked_again forgets_one_and_answers_the_next
        survives_our_restart dies_before_it_answers dies_after_it_answered talks_garbage
        is_away_and_comes_back is_killed_while_it_thinks thinks_about_a_thousand_people_at_once
    } GetsNoDocument { is_told_when_its_answer_is_due } }
    keeps! { openai: "openai", crate::openai::Model {
        answers_in_order says_nothing says_several_things is_slow_and_holds_up_nobody
        dies_before_it_answers dies_after_it_answered talks_garbage is_away_and_comes_back
        is_killed_while_it_thinks thinks_about_a_thousand_people_at_once
    } AnswersAtOnce {
        answers_late_and_once forgets_and_is_asked_again forgets_one_and_answers_the_next
        survives_our_restart
    } GetsNoDocument { is_told_when_its_answer_is_due } }
    keeps! { stdio_stream: "stdio", crate::stdio::Program<crate::stdio::Stream> {
        answers_in_order is_told_when_its_answer_is_due says_nothing says_several_things
        is_slow_and_holds_up_nobody answers_late_and_once forgets_and_is_asked_again
        forgets_one_and_answers_the_next survives_our_restart dies_before_it_answers
        dies_after_it_answered talks_garbage is_away_and_comes_back is_killed_while_it_thinks
        thinks_about_a_thousand_people_at_once
    } }
    keeps! { stdio_spawn: "stdio", crate::stdio::Program<crate::stdio::Spawn> {
        answers_in_order is_told_when_its_answer_is_due says_nothing says_several_things
        is_slow_and_holds_up_nobody answers_late_and_once forgets_and_is_asked_again
        forgets_one_and_answers_the_next survives_our_restart dies_before_it_answers
        dies_after_it_answered talks_garbage is_away_and_comes_back is_killed_while_it_thinks
    } IsAProcessATurn { thinks_about_a_thousand_people_at_once } }
    keeps! { stdio_acp: "stdio", crate::stdio::Program<crate::stdio::Acp> {
        answers_in_order says_nothing says_several_things is_slow_and_holds_up_nobody
        dies_before_it_answers dies_after_it_answered talks_garbage is_away_and_comes_back
        is_killed_while_it_thinks thinks_about_a_thousand_people_at_once
    } AnswersAtOnce {
        answers_late_and_once forgets_and_is_asked_again forgets_one_and_answers_the_next
        survives_our_restart
    } GetsNoDocument { is_told_when_its_answer_is_due } }
    #[cfg(feature = "nats")]
    keeps! { bitbrat: "bitbrat", crate::bitbrat::BitBrat {
        answers_in_order says_nothing says_several_things is_slow_and_holds_up_nobody
        answers_late_and_once forgets_and_is_asked_again forgets_one_and_answers_the_next
        survives_our_restart dies_before_it_answers dies_after_it_answered talks_garbage
        is_away_and_comes_back is_killed_while_it_thinks thinks_about_a_thousand_people_at_once
    } GetsNoDocument { is_told_when_its_answer_is_due } }
    #[cfg(feature = "sqs")]
    keeps! { sqs: "sqs", crate::sqs::Sqs {
        answers_in_order is_told_when_its_answer_is_due says_nothing says_several_things
        is_slow_and_holds_up_nobody answers_late_and_once forgets_and_is_asked_again
        forgets_one_and_answers_the_next survives_our_restart dies_before_it_answers
        dies_after_it_answered talks_garbage is_away_and_comes_back is_killed_while_it_thinks
        thinks_about_a_thousand_people_at_once
    } }
    // Who waits for a result has not taken the turn over.
    #[cfg(feature = "temporal")]
    keeps! { temporal: "temporal", crate::temporal::Results {
        answers_in_order is_told_when_its_answer_is_due says_nothing says_several_things
        is_slow_and_holds_up_nobody dies_before_it_answers dies_after_it_answered talks_garbage
        is_away_and_comes_back is_killed_while_it_thinks
    } AnswersAtOnce {
        answers_late_and_once forgets_and_is_asked_again forgets_one_and_answers_the_next
        survives_our_restart
    } MeasuredByABench { thinks_about_a_thousand_people_at_once } }
    #[cfg(feature = "temporal")]
    keeps! { temporal_by_activity: "temporal", crate::temporal::Sends {
        is_told_when_its_answer_is_due says_nothing says_several_things
        is_slow_and_holds_up_nobody answers_late_and_once forgets_and_is_asked_again
        forgets_one_and_answers_the_next survives_our_restart dies_before_it_answers
        dies_after_it_answered talks_garbage is_killed_while_it_thinks
    } TurnsRunSideBySide { answers_in_order is_away_and_comes_back }
      MeasuredByABench { thinks_about_a_thousand_people_at_once } }
    #[cfg(feature = "temporal")]
    keeps! { temporal_by_thread: "temporal", crate::temporal::Talks {
        answers_in_order is_told_when_its_answer_is_due says_nothing says_several_things
        is_slow_and_holds_up_nobody dies_before_it_answers dies_after_it_answered talks_garbage
        is_away_and_comes_back is_killed_while_it_thinks
    } AnswersAtOnce {
        answers_late_and_once forgets_and_is_asked_again forgets_one_and_answers_the_next
        survives_our_restart
    } MeasuredByABench { thinks_about_a_thousand_people_at_once } }
}
