//! The faults that a storm is made of: what goes wrong at Twilio and on the way, in percent.

use chimein::emulator::Control;
use chimein::emulator::faults::{Action, Fault, Place};

/// Everything goes wrong often; a connection lives for some thirty replies.
pub fn storm(control: &Control) {
    let breaks = [(Action::BreakBefore, 1), (Action::BreakAfter, 2)];
    let breaks = breaks.map(|(action, percent)| (socket(), action, percent));
    blow(control, faults().into_iter().chain(breaks), 1);
}

/// Everything goes wrong, half as often as in a storm. Connections break in gusts only: a share of
/// a busy socket's replies would keep it down most of the time, and try the webhooks alone.
pub fn rain(control: &Control) {
    blow(control, faults(), 2);
}

/// Breaks the connection under the next reply that goes over a socket, before it arrived and, the
/// other time, after.
pub fn gust(control: &Control, number: u32) {
    let action = if number.is_multiple_of(2) { Action::BreakBefore } else { Action::BreakAfter };
    let fault = Fault { id: 0, place: socket(), action, times: Some(1), skip: 0, percent: None };
    control.add_fault(fault).unwrap();
}

/// Lets faults happen until they are cleared; their chance comes from the emulator's seed.
fn blow(control: &Control, faults: impl IntoIterator<Item = (Place, Action, u64)>, divisor: u64) {
    for (place, action, percent) in faults {
        let percent = percent.div_ceil(divisor);
        let fault = Fault { id: 0, place, action, times: None, skip: 0, percent: Some(percent) };
        control.add_fault(fault).unwrap();
    }
}

fn faults() -> Vec<(Place, Action, u64)> {
    let webhook = || Place::Webhook { event_type: None };
    let rest = || Place::Rest { method: None, path: None };
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
        (Place::SocketOpen, refusal(503, 20503), 10),
        (Place::SocketInit, Action::BreakBefore, 5),
        (Place::Replay, Action::Interrupt, 3),
    ]
}

/// Where a reply goes over a socket.
fn socket() -> Place {
    Place::SocketRequest { method: Some("POST".into()), path: None }
}

const fn refusal(status: u16, code: u32) -> Action {
    Action::Answer { status, code: Some(code), retry_after: None }
}
