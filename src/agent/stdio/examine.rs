//! Whether the program can be started: with nothing to do, it ends by itself.

use std::time::Duration;

use super::program::Starting;
use crate::agent::kind::CHECK;
use crate::clock::Clock;
use crate::finding::Finding;

/// How long a program has to end that has nothing to do.
const END_WITHIN: Duration = Duration::from_secs(5);

/// Starts the program, closes its input at once, and judges how it ends.
pub(super) async fn program(starting: &Starting, clock: Clock) -> Finding {
    let mut program = match starting.start() {
        Ok(program) => program,
        Err(error) => {
            let found = format!("no program can be started: {error}");
            return Finding::fail(CHECK, found, "kind stdio needs /bin/sh, and room for a process");
        }
    };
    program.input = None;
    let is_well = tokio::select! {
        is_well = program.ended() => Some(is_well),
        () = clock.sleep(END_WITHIN) => None,
    };
    judge(is_well)
}

fn judge(is_well: Option<bool>) -> Finding {
    match is_well {
        Some(true) => Finding::ok(CHECK, "the program starts, and ends with its input".to_owned()),
        Some(false) => Finding::fail(
            CHECK,
            "the program ends with a failure as soon as it is started".to_owned(),
            "run CHIMEIN_STDIO_COMMAND by hand; it must end with 0 once its input ends",
        ),
        None => Finding::warn(
            CHECK,
            format!("the program still runs {} s after its input ended", END_WITHIN.as_secs()),
            "let it end when its input does; else it is killed when chimein stops",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_judged_by_how_it_ends() {
        for (is_well, verdict) in [(Some(true), "ok"), (Some(false), "FAIL"), (None, "warn")] {
            assert_eq!(judge(is_well).row()[0], verdict);
        }
    }
}
