//! The session in virtual time: every state with every input, and hours of trouble in milliseconds.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::realtime::twilsock::frame::{HttpRequest, Limits, decode};
use crate::realtime::twilsock::requests::Answer;

#[test]
fn every_pair_is_decided() {
    use Phase::{
        AwaitingToken, Connected, Connecting, Idle, Initialising, Refused, ShutDown, Updating,
        Waiting,
    };
    // The order of the columns is that of `INPUTS`.
    let table = [
        (Idle, [AwaitingToken, Idle, Idle, Idle, Idle, Idle, Idle, Idle, ShutDown]),
        (
            AwaitingToken,
            [
                AwaitingToken,
                Connecting,
                AwaitingToken,
                AwaitingToken,
                AwaitingToken,
                AwaitingToken,
                AwaitingToken,
                AwaitingToken,
                ShutDown,
            ],
        ),
        (
            Waiting,
            [Waiting, Waiting, Waiting, Waiting, Waiting, Waiting, Waiting, Connecting, ShutDown],
        ),
        (
            Connecting,
            [
                Connecting,
                Connecting,
                Connecting,
                Initialising,
                Waiting,
                Connecting,
                Connecting,
                Waiting,
                ShutDown,
            ],
        ),
        (
            Initialising,
            [
                Initialising,
                Initialising,
                Initialising,
                Initialising,
                Waiting,
                Initialising,
                Initialising,
                Waiting,
                ShutDown,
            ],
        ),
        (
            Connected,
            [
                Connected, Updating, Connected, Connected, Waiting, Connected, Connected, Waiting,
                ShutDown,
            ],
        ),
        (
            Updating,
            [
                Updating, Updating, Updating, Updating, Waiting, Updating, Updating, Waiting,
                ShutDown,
            ],
        ),
        (
            Refused,
            [
                Refused, Connecting, Refused, Refused, Refused, Refused, Refused, Connecting,
                ShutDown,
            ],
        ),
        (ShutDown, [ShutDown; 9]),
    ];
    for (phase, wanted) in table {
        for (input, wanted) in INPUTS.into_iter().zip(wanted) {
            let mut rig = Rig::in_phase(phase);
            assert_eq!(rig.session.phase(), phase);
            rig.give(input);
            // A peer is probed and counts as healthy before its time is over.
            for _ in 0..2 {
                if matches!(input, In::Tick) && rig.session.phase() == phase {
                    rig.give(input);
                }
            }
            assert_eq!(rig.session.phase(), wanted, "{phase:?} with {input:?}");
        }
    }
}

#[test]
fn every_close_code_has_its_end() {
    for (code, wanted) in [
        (308, Phase::Waiting),
        (401, Phase::AwaitingToken),
        (406, Phase::Refused),
        (410, Phase::AwaitingToken),
        (417, Phase::Refused),
        (500, Phase::Waiting),
        (0, Phase::Waiting),
    ] {
        for phase in [Phase::Initialising, Phase::Connected, Phase::Updating] {
            let mut rig = Rig::in_phase(phase);
            rig.close(code, "");
            assert_eq!(rig.session.phase(), wanted, "{code} in {phase:?}");
            assert!(rig.written.last().is_some(), "the close is answered before the socket goes");
        }
    }
}

#[test]
fn a_new_token_is_taken_right_after_410() {
    let mut rig = Rig::in_phase(Phase::Connected);
    rig.close(410, "");
    rig.give(In::Token);
    assert_eq!(rig.session.phase(), Phase::Connecting);
    rig.up();
    assert_eq!(rig.session.phase(), Phase::Connected);
}

#[test]
fn the_servers_hint_sets_the_delay() {
    let mut rig = Rig::in_phase(Phase::Connected);
    let hint = r#"{"backoff_policy":{"reconnect_min_ms":5000,"reconnect_max_ms":9000}}"#;
    rig.close(308, hint);
    let delay = rig.session.deadline().unwrap().since(rig.now);
    assert!((4000..=6000).contains(&delay.as_millis()), "{delay:?}");
}

#[test]
fn a_dead_but_open_socket_is_noticed_within_50_s() {
    let mut rig = Rig::in_phase(Phase::Connected);
    let start = rig.now;
    rig.probes = 0;
    while rig.session.phase() == Phase::Connected {
        rig.sleep();
    }
    assert!(rig.now.since(start) <= Duration::from_secs(50), "{:?}", rig.now.since(start));
    assert_eq!(rig.probes, 1, "it was asked before it was given up");
    assert_eq!(rig.downs.last(), Some(&Down { reason: DisconnectReason::Silent, is_fatal: false }));
}

#[test]
fn any_sign_of_life_keeps_the_connection() {
    let mut rig = Rig::in_phase(Phase::Connected);
    rig.life = Duration::from_secs(48 * 3600);
    for _ in 0..100 {
        rig.now = rig.now + Duration::from_secs(44);
        let conn = rig.conn;
        rig.handle(Input::Heard(conn));
        assert_eq!(rig.session.phase(), Phase::Connected);
    }
}

#[test]
fn only_a_connection_that_lasted_resets_the_backoff() {
    let mut rig = Rig::in_phase(Phase::Connected);
    let mut last = Duration::ZERO;
    for _ in 0..4 {
        rig.give(In::Lost);
        let delay = rig.session.deadline().unwrap().since(rig.now);
        assert!(delay > last, "{delay:?} after {last:?}");
        last = delay;
        rig.sleep();
        rig.up();
    }
    rig.now = rig.now + Options::default().healthy_after;
    let conn = rig.conn;
    rig.handle(Input::Heard(conn));
    rig.give(In::Lost);
    assert!(rig.session.deadline().unwrap().since(rig.now) < Duration::from_millis(1300));
}

#[test]
fn tokens_are_renewed_by_timer_and_by_warning_for_days() {
    let mut rig = Rig::in_phase(Phase::Connected);
    let wishes = rig.wishes;
    let end = rig.now + Duration::from_secs(48 * 3600);
    while rig.now < end {
        rig.live_until_wish(end);
        if rig.now >= end {
            break;
        }
        rig.give(In::FreshToken);
        assert_eq!(rig.session.phase(), Phase::Updating);
        rig.answer_last(200, None, "");
        assert_eq!(rig.session.phase(), Phase::Connected);
    }
    // A token lives an hour and is renewed five minutes before: 52 in two days.
    assert_eq!(rig.wishes - wishes, 52);
    rig.warn();
    assert_eq!(rig.wishes - wishes, 53);
    assert!(rig.downs.is_empty(), "{:?}", rig.downs);
}

#[test]
fn a_token_that_ran_out_offline_is_not_used() {
    let mut rig = Rig::in_phase(Phase::Connected);
    rig.give(In::Lost);
    // The provider is asked meanwhile and has nothing; then the token is over.
    rig.now = rig.now + Duration::from_secs(2 * 3600);
    rig.handle(Input::Tick);
    assert_eq!(rig.session.phase(), Phase::AwaitingToken);
    rig.give(In::TokenFailed);
    let wishes = rig.wishes;
    rig.sleep();
    assert_eq!(rig.wishes, wishes + 1, "it asks again");
    rig.give(In::Token);
    assert_eq!(rig.session.phase(), Phase::Connecting);
}

#[test]
fn init_failures_wait_and_try_again() {
    let hint = r#"{"backoff_policy":{"reconnect_min_ms":7000}}"#;
    for (code, payload, least) in [(429, hint, 5600), (500, "", 800), (503, "", 800)] {
        let mut rig = Rig::in_phase(Phase::Initialising);
        rig.answer_last(code, None, payload);
        assert_eq!(rig.session.phase(), Phase::Waiting);
        let delay = rig.session.deadline().unwrap().since(rig.now).as_millis();
        assert!(delay >= least, "{code}: {delay}");
        rig.sleep();
        rig.up();
    }
}

#[test]
fn requests_wait_for_the_connection_and_die_with_it() {
    let mut rig = Rig::in_phase(Phase::Connecting);
    rig.request("queued");
    rig.up();
    rig.request("sent");
    rig.give(In::Lost);
    assert_eq!(
        rig.answers,
        [("queued", Err(RequestError::Lost)), ("sent", Err(RequestError::Lost))]
    );
    rig.answers.clear();
    rig.request("later");
    rig.give(In::Shutdown);
    let shut_down = RequestError::NotSent(NotSent::ShutDown);
    assert_eq!(rig.answers, [("later", Err(shut_down.clone()))]);
    rig.answers.clear();
    rig.request("too late");
    assert_eq!(rig.answers, [("too late", Err(shut_down))]);
}

#[test]
fn every_frame_but_a_reply_is_acknowledged_first() {
    let mut rig = Rig::in_phase(Phase::Connected);
    rig.written.clear();
    for method in ["ping", "notification", "bye", "message"] {
        let header = Header::new(Method::from(method), "their-id");
        rig.frame(Frame { header, payload: Bytes::new() });
    }
    assert_eq!(rig.written.len(), 4);
    for header in &rig.written {
        assert_eq!((&header.method, header.id.as_str()), (&Method::Reply, "their-id"));
    }
    rig.frame(Frame { header: Header::acknowledgement("x"), payload: Bytes::new() });
    assert_eq!(rig.written.len(), 4);
}

#[test]
fn the_continuation_token_comes_back_in_the_next_init() {
    let mut rig = Rig::in_phase(Phase::Initialising);
    let mut header = Header::acknowledgement(rig.written.last().unwrap().id.clone());
    header.continuation_token = Some("ct-1".into());
    rig.frame(Frame { header, payload: Bytes::new() });
    rig.give(In::Lost);
    rig.sleep();
    rig.give(In::Opened);
    let init = rig.written.last().unwrap();
    assert_eq!(init.continuation_token.as_ref().map(FrameSecret::expose), Some("ct-1"));
}

proptest! {
    /// Whatever comes in whatever order: no panic, at most one connection, every request answered
    /// once, and a deadline wherever the session waits for time.
    #[test]
    fn no_order_of_inputs_breaks_it(
        steps in proptest::collection::vec((0usize..16, 0u64..60_000), 0..200),
    ) {
        let mut rig = Rig::new();
        let mut asked = 0usize;
        for (step, millis) in steps {
            rig.now = rig.now + Duration::from_millis(millis);
            match step {
                0 => rig.give(In::Start),
                1 | 2 => rig.give(In::FreshToken),
                3 => rig.give(In::TokenFailed),
                4 | 5 => rig.give(In::Opened),
                6 => rig.give(In::Lost),
                7 => rig.close([308, 401, 406, 410, 417, 500][usize::try_from(millis).unwrap() % 6], ""),
                8 | 9 => rig.answer_last(200, None, ""),
                10 => rig.answer_last([401, 429, 500][usize::try_from(millis).unwrap() % 3], None, ""),
                11 => rig.warn(),
                12 => rig.handle(Input::Renew),
                13 => { asked += 1; rig.request("r"); }
                14 => rig.give(In::Ping),
                _ => rig.give(In::Tick),
            }
            if matches!(rig.session.phase(), Phase::Waiting | Phase::Refused) {
                prop_assert!(rig.session.deadline().is_some());
            }
        }
        rig.give(In::Shutdown);
        prop_assert_eq!(rig.answers.len(), asked);
    }
}

/// The columns of the table.
const INPUTS: [In; 9] = [
    In::Start,
    In::Token,
    In::TokenFailed,
    In::Opened,
    In::Lost,
    In::Ping,
    In::Renew,
    In::Tick,
    In::Shutdown,
];

#[derive(Clone, Copy, Debug)]
enum In {
    Start,
    Token,
    FreshToken,
    TokenFailed,
    Opened,
    Lost,
    Ping,
    Renew,
    /// At the state's own deadline.
    Tick,
    Shutdown,
}

/// A session and what came out of it.
struct Rig {
    session: Session<&'static str>,
    now: Moment,
    conn: ConnId,
    written: Vec<Header>,
    answers: Vec<(&'static str, Result<(), RequestError>)>,
    downs: Vec<Down>,
    wishes: usize,
    probes: usize,
    tokens: u32,
    life: Duration,
}

impl Rig {
    fn new() -> Self {
        Self {
            session: Session::new(Options::default(), 42),
            now: Moment::ORIGIN,
            conn: ConnId(0),
            written: Vec::new(),
            answers: Vec::new(),
            downs: Vec::new(),
            wishes: 0,
            probes: 0,
            tokens: 0,
            life: Duration::from_secs(3600),
        }
    }

    fn in_phase(phase: Phase) -> Self {
        let mut rig = Self::new();
        let steps: &[In] = match phase {
            Phase::Idle => &[],
            Phase::AwaitingToken => &[In::Start],
            Phase::Waiting => &[In::Start, In::Token, In::Lost],
            Phase::Connecting => &[In::Start, In::Token],
            Phase::Initialising => &[In::Start, In::Token, In::Opened],
            Phase::Connected | Phase::Updating | Phase::Refused => &[In::Start, In::Token],
            Phase::ShutDown => &[In::Shutdown],
        };
        for step in steps {
            rig.give(*step);
        }
        match phase {
            Phase::Connected => rig.up(),
            Phase::Updating => {
                rig.up();
                rig.give(In::FreshToken);
            }
            Phase::Refused => {
                rig.up();
                rig.close(406, "");
            }
            Phase::Idle
            | Phase::AwaitingToken
            | Phase::Waiting
            | Phase::Connecting
            | Phase::Initialising
            | Phase::ShutDown => {}
        }
        rig
    }

    /// As often as it takes until it counts as a refusal.
    fn refused_by(refuse: impl Fn(&mut Self)) -> Self {
        let mut rig = Self::new();
        rig.give(In::Start);
        while rig.session.phase() != Phase::Refused {
            if rig.session.phase() == Phase::Waiting {
                rig.sleep();
            }
            rig.opened_with_a_token();
            refuse(&mut rig);
        }
        rig
    }

    /// Has a connection open, with a fresh token if one is wanted.
    fn opened_with_a_token(&mut self) {
        if self.session.phase() == Phase::AwaitingToken {
            self.give(In::FreshToken);
        }
        self.give(In::Opened);
    }

    fn give(&mut self, input: In) {
        let conn = self.conn;
        match input {
            In::Start => self.handle(Input::Start),
            In::Token | In::FreshToken => {
                self.tokens += 1;
                let jwt = format!("jwt-{}", self.tokens).into();
                self.handle(Input::Token(Token { jwt, valid_for: self.life }));
            }
            In::TokenFailed => self.handle(Input::TokenFailed),
            In::Opened => self.handle(Input::Opened(conn)),
            In::Lost => self.handle(Input::Lost(conn)),
            In::Ping => {
                let header = Header::new(Method::Ping, "ping");
                self.frame(Frame { header, payload: Bytes::new() });
            }
            In::Renew => self.handle(Input::Renew),
            In::Tick => {
                if let Some(at) = self.session.deadline() {
                    self.now = self.now.max(at);
                }
                self.handle(Input::Tick);
            }
            In::Shutdown => self.handle(Input::Shutdown),
        }
    }

    fn handle(&mut self, input: Input<&'static str>) {
        self.session.handle(self.now, input);
        while let Some(output) = self.session.poll() {
            match output {
                Output::Connect(conn) => self.conn = conn,
                Output::Write(conn, bytes) => {
                    assert_eq!(conn, self.conn, "written to the present connection only");
                    self.written.push(decode(&bytes, &Limits::default()).unwrap().header);
                }
                Output::Probe(_) => self.probes += 1,
                Output::Disconnect(conn) => assert_eq!(conn, self.conn),
                Output::WantToken => self.wishes += 1,
                Output::Up | Output::Notified { .. } => {}
                Output::Down(down) => self.downs.push(down),
                Output::Answered(tag, result) => {
                    self.answers.push((tag, result.map(|_: Answer| ())));
                }
            }
        }
    }

    /// Opens the connection and answers `init`.
    fn up(&mut self) {
        self.give(In::Opened);
        self.answer_last(200, None, "");
    }

    /// Answers the last frame that was written.
    fn answer_last(&mut self, code: u16, error_code: Option<u32>, payload: &str) {
        let Some(last) = self.written.last() else { return };
        let mut header = Header::acknowledgement(last.id.clone());
        header.status = Some(Status { error_code, ..Status::new(code, "") });
        self.frame(Frame { header, payload: Bytes::copy_from_slice(payload.as_bytes()) });
    }

    fn close(&mut self, code: u16, payload: &str) {
        let mut header = Header::new(Method::Close, "close");
        header.status = Some(Status::new(code, ""));
        self.frame(Frame { header, payload: Bytes::copy_from_slice(payload.as_bytes()) });
    }

    fn warn(&mut self) {
        let mut header = Header::new(Method::ClientUpdate, "warning");
        header.client_update_type = Some("token_about_to_expire".to_owned());
        self.frame(Frame { header, payload: Bytes::new() });
    }

    fn frame(&mut self, frame: Frame) {
        let conn = self.conn;
        self.handle(Input::Frame(conn, Box::new(frame)));
    }

    fn request(&mut self, tag: &'static str) {
        let request = Request { http: HttpRequest::default(), body: Bytes::new() };
        self.handle(Input::Request(tag, request));
    }

    /// Lets time pass to the next deadline.
    fn sleep(&mut self) {
        self.now = self.session.deadline().expect("there is something to wait for");
        self.handle(Input::Tick);
    }

    /// Lets a lively connection go on until a token is wanted.
    fn live_until_wish(&mut self, end: Moment) {
        let wishes = self.wishes;
        while self.wishes == wishes && self.now < end {
            let conn = self.conn;
            self.now = self
                .session
                .deadline()
                .expect("a watchdog")
                .min(self.now + Duration::from_secs(20));
            self.handle(Input::Heard(conn));
        }
    }
}

mod refused;
