//! A server that refuses the client, by its token or by a close code: when it is asked again.

use super::*;

#[test]
fn refused_tokens_are_replaced_with_growing_delays() {
    let mut rig = Rig::new();
    rig.give(In::Start);
    let mut waited = Vec::new();
    for round in 1..=5u32 {
        rig.give(In::FreshToken);
        while matches!(rig.session.phase(), Phase::Waiting | Phase::Refused) {
            let before = rig.now;
            rig.sleep();
            waited.push(rig.now.since(before));
            if rig.session.phase() == Phase::AwaitingToken {
                rig.give(In::FreshToken);
            }
        }
        rig.give(In::Opened);
        rig.answer_last(401, Some(20101), "");
        let reason = DisconnectReason::Denied { code: 401, error_code: Some(20101) };
        let denied = Down { reason, is_fatal: round == 3 };
        assert_eq!(rig.downs.last(), Some(&denied));
        assert_eq!(rig.session.is_refused(), round >= 3, "after {round}");
    }
    assert!(waited.windows(2).all(|pair| pair[0] < pair[1]), "{waited:?}");
}

#[test]
fn a_refused_client_opens_again_after_30_s_growing_to_5_min() {
    type Refuse = fn(&mut Rig);
    let refusals: [(&str, Refuse); 4] = [
        ("406", |rig| rig.close(406, "")),
        ("417", |rig| rig.close(417, "")),
        ("406 once it is up", |rig| {
            rig.answer_last(200, None, "");
            rig.close(406, "");
        }),
        ("a wrong secret", |rig| rig.answer_last(401, Some(20101), "")),
    ];
    for (name, refuse) in refusals {
        let mut rig = Rig::refused_by(refuse);
        for wanted in [30, 60, 120, 240, 300, 300, 300_u128] {
            assert_eq!(rig.session.phase(), Phase::Refused, "{name}");
            let delay = rig.session.deadline().unwrap().since(rig.now).as_millis();
            assert!((wanted * 800..=wanted * 1200).contains(&delay), "{name}: {wanted}: {delay}");
            rig.sleep();
            rig.opened_with_a_token();
            refuse(&mut rig);
        }
        rig.sleep();
        rig.opened_with_a_token();
        assert!(rig.session.is_refused(), "{name}: it is not known yet to be over");
        rig.answer_last(200, None, "");
        assert!(!rig.session.is_refused(), "{name}");
    }
}

#[test]
fn a_refusal_is_told_once_until_the_client_was_taken() {
    let mut rig = Rig::refused_by(|rig| rig.close(417, ""));
    let told = |rig: &Rig| rig.downs.iter().filter(|down| down.is_fatal).count();
    let reason = DisconnectReason::Refused { code: 417 };
    assert_eq!(rig.downs.last(), Some(&Down { reason, is_fatal: true }));
    for _ in 0..3 {
        rig.sleep();
        rig.opened_with_a_token();
        rig.close(417, "");
    }
    assert_eq!(told(&rig), 1);
    rig.sleep();
    rig.up();
    rig.close(417, "");
    assert_eq!(told(&rig), 2);
}

#[test]
fn only_a_connection_that_lasted_makes_the_pauses_of_a_refused_client_short_again() {
    let mut rig = Rig::refused_by(|rig| rig.close(406, ""));
    rig.sleep();
    rig.up();
    rig.now = rig.now + Options::default().healthy_after;
    let conn = rig.conn;
    rig.handle(Input::Heard(conn));
    rig.close(406, "");
    assert!(rig.session.deadline().unwrap().since(rig.now) <= Duration::from_secs(36));
}

#[test]
fn a_lost_network_is_not_taken_for_a_refusal() {
    let mut rig = Rig::refused_by(|rig| rig.close(406, ""));
    rig.sleep();
    rig.give(In::Lost);
    assert_eq!((rig.session.phase(), rig.session.is_refused()), (Phase::Waiting, false));
    let delay = rig.session.deadline().unwrap().since(rig.now);
    assert!(delay <= Duration::from_secs(2), "{delay:?}: it comes back as after any loss");
}

#[test]
fn a_refused_client_keeps_no_request_waiting_and_starts_as_new() {
    let mut rig = Rig::in_phase(Phase::Initialising);
    let mut header = Header::acknowledgement(rig.written.last().unwrap().id.clone());
    header.continuation_token = Some("ct-1".into());
    rig.frame(Frame { header, payload: Bytes::new() });
    rig.close(417, "");
    let denied = RequestError::NotSent(NotSent::Denied);
    rig.request("refused");
    rig.sleep();
    rig.request("connecting");
    rig.give(In::Opened);
    rig.request("initialising");
    assert_eq!(
        rig.answers,
        ["refused", "connecting", "initialising"].map(|r| (r, Err(denied.clone())))
    );
    assert!(rig.written.last().unwrap().continuation_token.is_none());
}
