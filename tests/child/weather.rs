//! The faults that a storm is made of: what goes wrong at Twilio and on the way, in percent.

use chimein::emulator::Control;
use chimein::emulator::faults::{Action, Fault, Place};

/// Everything goes wrong often.
pub fn storm(control: &Control) {
    blow(control, 1);
}

/// Everything goes wrong, half as often as in a storm.
pub fn rain(control: &Control) {
    blow(control, 2);
}

/// Lets faults happen until they are cleared; their chance comes from the emulator's seed.
fn blow(control: &Control, divisor: u64) {
    for (place, action, percent) in faults() {
        let percent = percent.div_ceil(divisor);
        let fault = Fault { id: 0, place, action, times: None, skip: 0, percent: Some(percent) };
        control.add_fault(fault).unwrap();
    }
}

fn faults() -> Vec<(Place, Action, u64)> {
    let webhook = || Place::Webhook { event_type: None };
    let rest = || Place::Rest { method: None, path: None };
    let socket = || Place::SocketRequest { method: Some("POST".into()), path: None };
    vec![
        (webhook(), Action::Lose, 8),
        (webhook(), Action::Duplicate, 10),
        (webhook(), Action::Swap, 8),
        (webhook(), Action::Delay { ms: 150 }, 5),
        (Place::SocketEvent { event_type: None }, Action::Duplicate, 3),
        (rest(), refusal(429, 20429), 3),
        (rest(), refusal(503, 20503), 3),
        (rest(), Action::AnswerAfter { status: 500, code: Some(20500) }, 3),
        (rest(), Action::BreakBefore, 2),
        (rest(), Action::BreakAfter, 3),
        (socket(), refusal(429, 50063), 2),
        (socket(), refusal(503, 20503), 2),
        (socket(), Action::AnswerAfter { status: 500, code: Some(20500) }, 2),
        (socket(), Action::BreakBefore, 1),
        (socket(), Action::BreakAfter, 2),
        (Place::SocketOpen, refusal(503, 20503), 10),
        (Place::SocketInit, Action::BreakBefore, 5),
        (Place::Replay, Action::Interrupt, 3),
    ]
}

const fn refusal(status: u16, code: u32) -> Action {
    Action::Answer { status, code: Some(code), retry_after: None }
}
