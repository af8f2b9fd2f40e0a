//! One connection of the server's side of Twilsock: who is there, when its token ends, what each
//! frame is answered.
//!
//! Pure: frames and the time go in, outputs come out of [`Session::poll`]. Access tokens are checked
//! here with the API key's secret, which never leaves. Source: Twilsock protocol notes 2 and access
//! token protocol notes, read 2026-11-21.
//!
//! | state | init | update | message | other requests | close |
//! | --- | --- | --- | --- | --- | --- |
//! | awaiting init | open, or refused | refused | refused | acknowledged | ended |
//! | open | a new init | new token, or refused | handed on | acknowledged | ended |
//! | closing | nothing | nothing | nothing | nothing | ended |
//! | ended | nothing | nothing | nothing | nothing | nothing |

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use secrecy::SecretString;
use serde_json::json;

use crate::clock::{Moment, Timestamp};
use crate::emulator::defects::Defect;
use crate::emulator::state::ids::Ids;
use crate::pii::Pii;
use crate::realtime::twilsock::frame::{Frame, Header, HttpRequest, Method, Status};
use crate::twilio::access_token::{self, Grant};
use crate::twilio::sid::{AccountSid, ApiKeySid, ChatServiceSid};

/// What checks tokens.
#[derive(Clone, Debug)]
pub(in crate::emulator) struct TokenAuthority {
    pub(in crate::emulator) account: AccountSid,
    pub(in crate::emulator) key: ApiKeySid,
    pub(in crate::emulator) secret: SecretString,
    /// How long before its end a token is warned about.
    pub(in crate::emulator) warning: Duration,
    /// A mistake made on purpose.
    pub(in crate::emulator) defect: Option<Defect>,
}

/// What the driver is to do.
#[derive(Debug)]
pub(in crate::emulator) enum Output {
    /// Send a frame.
    Send(Box<Header>, Bytes),
    /// Note who is there.
    Identify { service: ChatServiceSid, identity: Pii, message_types: HashSet<String> },
    /// Note that somebody was refused.
    Refused { status: u16, code: u32 },
    /// Answer a proxied request.
    Request { id: String, request: Box<HttpRequest>, payload: Bytes },
    /// Close the socket now.
    HangUp(&'static str),
}

#[derive(Debug)]
enum State {
    AwaitingInit { until: Moment },
    Open(Box<OpenSession>),
    Closing { until: Moment },
    Ended,
}

#[derive(Debug)]
struct OpenSession {
    grant: Grant,
    expires: Moment,
    warn: Option<Moment>,
}

/// The session of one connection.
#[derive(Debug)]
pub(in crate::emulator) struct Session {
    state: State,
    authority: TokenAuthority,
    ids: Ids,
    outputs: VecDeque<Output>,
}

/// How long a client may take for its first frame, and for leaving once it was told to (assumed).
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a token lives that never runs out by mistake.
const ETERNITY: Duration = Duration::from_secs(24 * 3600);

/// A refusal of a token: status and code, with the text that goes with it.
struct SocketRefusal {
    code: u16,
    error_code: u32,
    text: &'static str,
}

impl Session {
    pub(in crate::emulator) fn new(authority: TokenAuthority, ids: Ids, now: Moment) -> Self {
        let state = State::AwaitingInit { until: now + PATIENCE };
        Self { state, authority, ids, outputs: VecDeque::new() }
    }

    /// Gives what is to be done next.
    pub(in crate::emulator) fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Session::tick`] is due.
    pub(in crate::emulator) fn deadline(&self) -> Option<Moment> {
        match &self.state {
            State::AwaitingInit { until } | State::Closing { until } => Some(*until),
            State::Open(open) => {
                Some(open.warn.map_or(open.expires, |warn| warn.min(open.expires)))
            }
            State::Ended => None,
        }
    }

    /// Lets the time do its work.
    pub(in crate::emulator) fn tick(&mut self, now: Moment) {
        match &mut self.state {
            State::AwaitingInit { until } | State::Closing { until } if now >= *until => {
                self.state = State::Ended;
                self.outputs.push_back(Output::HangUp("the client took too long"));
            }
            State::Open(open) if now >= open.expires => {
                let status = status(410, "TOKEN_EXPIRED", "Token expired", 51207);
                self.close(now, status, Bytes::new());
            }
            State::Open(open) if open.warn.is_some_and(|warn| now >= warn) => self.warn(),
            State::AwaitingInit { .. } | State::Open(_) | State::Closing { .. } | State::Ended => {}
        }
    }

    /// Warns that the token runs out, as the time or a fault demands.
    pub(in crate::emulator) fn warn(&mut self) {
        let State::Open(open) = &mut self.state else { return };
        open.warn = None;
        let left = self.authority.warning.as_millis();
        let header = Header {
            client_update_type: Some("token_about_to_expire".to_owned()),
            client_update_message: Some(format!(
                "Your token is about to expire. Time left: less than {left} ms"
            )),
            ..Header::new(Method::ClientUpdate, self.ids.raw("TM"))
        };
        self.send(header);
    }

    /// Sends a ping.
    pub(in crate::emulator) fn ping(&mut self) {
        if matches!(self.state, State::Open(_)) {
            let header = Header::new(Method::Ping, self.ids.raw("TM"));
            self.send(header);
        }
    }

    /// Tells the client to go, and why.
    pub(in crate::emulator) fn close(&mut self, now: Moment, status: Status, payload: Bytes) {
        if matches!(self.state, State::Closing { .. } | State::Ended) {
            return;
        }
        let payload_type = (!payload.is_empty()).then(|| "application/json".to_owned());
        let id = self.ids.raw("TM");
        let header =
            Header { payload_type, status: Some(status), ..Header::new(Method::Close, id) };
        self.outputs.push_back(Output::Send(Box::new(header), payload));
        self.state = State::Closing { until: now + PATIENCE };
    }

    /// Takes a frame from the client.
    pub(in crate::emulator) fn frame(&mut self, now: Moment, wall: Timestamp, frame: Frame) {
        let Frame { header, payload } = frame;
        if matches!(self.state, State::Closing { .. } | State::Ended) {
            if header.method == Method::Close {
                self.end();
            }
            return;
        }
        match &header.method {
            Method::Init => self.init(now, wall, &header),
            Method::Update => self.update(now, wall, &header),
            Method::Message => self.message(header, payload),
            Method::Close => self.end(),
            Method::Reply | Method::Telemetry => {}
            Method::Notification
            | Method::ClientUpdate
            | Method::Ping
            | Method::PutNotificationCtx
            | Method::DeleteNotificationCtx
            | Method::Other(_) => self.send(Header::acknowledgement(header.id)),
        }
    }

    fn end(&mut self) {
        self.state = State::Ended;
        self.outputs.push_back(Output::HangUp("the client closed"));
    }

    fn init(&mut self, now: Moment, wall: Timestamp, header: &Header) {
        let token = header.token.as_ref().map(|token| token.expose()).unwrap_or_default();
        let grant = match self.authority.check(token, wall) {
            Ok(grant) => grant,
            Err(refusal) => return self.refuse(now, header, &refusal),
        };
        let registrations = header.registrations.clone().unwrap_or_default();
        let echoed: Vec<_> = registrations
            .iter()
            .map(|registration| {
                json!({
                    "notification_ctx_id": self.ids.uuid().to_string(),
                    "type": registration.kind,
                    "product": registration.product,
                    "message_types": registration.message_types,
                })
            })
            .collect();
        let continuation = continuation_token(&grant);
        let status = match header.continuation_token.as_ref().map(|token| token.expose()) {
            Some(token) if token == continuation => json!({"reissued": false}),
            Some(_) => reissued("DIFFERENT_IDENTITY", "Continuation token is of another identity"),
            None => reissued("MISSING", "Continuation token is not provided"),
        };
        let wanted = header.capabilities.clone().unwrap_or_default();
        let granted = ["client_update", "offline_storage"]
            .into_iter()
            .map(str::to_owned)
            .filter(|name| wanted.is_empty() || wanted.contains(name));
        let reply = Header {
            status: Some(Status::ok()),
            capabilities: Some(granted.collect()),
            continuation_token: Some(continuation.into()),
            continuation_token_status: Some(status),
            offline_storage: Some(json!({
                "ip_messaging": {"storage_id": storage_id(&grant)},
            })),
            init_registrations: Some(echoed.into()),
            ..Header::new(Method::Reply, header.id.clone())
        };
        self.outputs.push_back(Output::Identify {
            service: grant.service_sid,
            identity: grant.identity.clone(),
            message_types: registrations
                .into_iter()
                .flat_map(|registration| registration.message_types)
                .collect(),
        });
        self.send(reply);
        self.open(now, wall, grant);
    }

    fn update(&mut self, now: Moment, wall: Timestamp, header: &Header) {
        let State::Open(open) = &self.state else {
            return self.refuse(now, header, &NOT_INITIALISED);
        };
        let token = header.token.as_ref().map(|token| token.expose()).unwrap_or_default();
        let grant = match self.authority.check(token, wall) {
            Ok(grant) => grant,
            Err(refusal) => return self.refuse(now, header, &refusal),
        };
        if grant.identity != open.grant.identity || grant.service_sid != open.grant.service_sid {
            return self.refuse(now, header, &OTHER_IDENTITY);
        }
        let id = header.id.clone();
        self.send(Header { status: Some(Status::ok()), ..Header::new(Method::Reply, id) });
        self.open(now, wall, grant);
    }

    fn message(&mut self, header: Header, payload: Bytes) {
        let State::Open(_) = &self.state else {
            let status = status(401, "UNAUTHORIZED", "Not initialized", 20101);
            self.send(Header { status: Some(status), ..Header::new(Method::Reply, header.id) });
            return;
        };
        match header.http_request {
            Some(request) => self.outputs.push_back(Output::Request {
                id: header.id,
                request: Box::new(request),
                payload,
            }),
            None => self.send(Header {
                status: Some(Status::new(400, "BAD_REQUEST")),
                ..Header::new(Method::Reply, header.id)
            }),
        }
    }

    fn open(&mut self, now: Moment, wall: Timestamp, grant: Grant) {
        let left = match self.authority.defect {
            Some(Defect::EternalTokens) => ETERNITY,
            Some(_) | None => grant.expires.since(wall),
        };
        // A token that lives shorter than the warning is warned about at once.
        // Source: access token protocol notes, "Warning time", guess.
        let warn = now + left.saturating_sub(self.authority.warning);
        let warn = (self.authority.defect != Some(Defect::NoTokenWarning)).then_some(warn);
        let open = OpenSession { grant, expires: now + left, warn };
        self.state = State::Open(Box::new(open));
    }

    fn refuse(&mut self, now: Moment, header: &Header, refusal: &SocketRefusal) {
        let SocketRefusal { code, error_code, text } = *refusal;
        let name = if code == 403 { "FORBIDDEN" } else { "UNAUTHORIZED" };
        let status = status(code, name, text, error_code);
        let id = header.id.clone();
        self.send(Header { status: Some(status), ..Header::new(Method::Reply, id) });
        self.outputs.push_back(Output::Refused { status: code, code: error_code });
        self.state = State::Closing { until: now + PATIENCE };
    }

    fn send(&mut self, header: Header) {
        self.outputs.push_back(Output::Send(Box::new(header), Bytes::new()));
    }
}

/// Source: access token protocol notes, "What the server checks", read 2026-11-21.
const OTHER_IDENTITY: SocketRefusal = SocketRefusal {
    code: 401,
    error_code: 51215,
    text: "Can't update token, new token was issued for other identity/instance/product.",
};
const NOT_INITIALISED: SocketRefusal =
    SocketRefusal { code: 401, error_code: 20101, text: "Invalid Access Token" };

impl TokenAuthority {
    fn check(&self, token: &str, wall: Timestamp) -> Result<Grant, SocketRefusal> {
        let is_eternal = self.defect == Some(Defect::EternalTokens);
        let wall = if is_eternal { Timestamp::from_millis(0) } else { wall };
        let secret_of = |key| (key == self.key).then(|| self.secret.clone());
        let invalid = NOT_INITIALISED;
        match access_token::verify(token, wall, secret_of) {
            Ok(grant) if grant.account_sid == self.account => Ok(grant),
            Ok(_) => Err(invalid),
            Err(access_token::Error::Expired(_)) => Err(SocketRefusal {
                code: 401,
                error_code: 20104,
                text: "Access Token expired or expiration date invalid",
            }),
            Err(access_token::Error::NoIdentity | access_token::Error::NoService) => {
                Err(SocketRefusal {
                    code: 403,
                    error_code: 20106,
                    text: "Invalid Access Token grants",
                })
            }
            Err(_) => Err(invalid),
        }
    }
}

fn status(code: u16, name: &str, description: &str, error_code: u32) -> Status {
    Status {
        description: Some(description.to_owned()),
        error_code: Some(error_code),
        ..Status::new(code, name)
    }
}

fn reissued(reason: &str, message: &str) -> serde_json::Value {
    json!({"reissued": true, "reissue_reason": reason, "reissue_message": message})
}

/// Opaque to clients; one per identity here. Source: Twilsock protocol notes 2.1, read 2026-11-21.
fn continuation_token(grant: &Grant) -> String {
    let inside = json!({
        "format": "rtd-ct-1",
        "grants": {"identity": grant.identity.reveal(), "service_sid": grant.service_sid},
    });
    format!("{}.emulated", STANDARD.encode(inside.to_string()))
}

fn storage_id(grant: &Grant) -> String {
    use sha2::Digest as _;
    let name = format!("{}/{}", grant.service_sid, grant.identity.reveal());
    sha2::Sha256::digest(name.as_bytes())[..20].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::twilsock::frame::Registration;

    const HOUR: Duration = Duration::from_secs(3600);
    const WALL: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    enum At {
        AwaitingInit,
        Open,
        Closing,
        Ended,
    }

    #[test]
    fn every_frame_in_every_state_does_what_the_table_says() {
        use At::{AwaitingInit, Closing, Ended, Open};
        let methods = [
            (Method::Init, [Open, Open, Closing, Ended]),
            (Method::Update, [Closing, Open, Closing, Ended]),
            (Method::Message, [AwaitingInit, Open, Closing, Ended]),
            (Method::Ping, [AwaitingInit, Open, Closing, Ended]),
            (Method::PutNotificationCtx, [AwaitingInit, Open, Closing, Ended]),
            (Method::Other("unknown".into()), [AwaitingInit, Open, Closing, Ended]),
            (Method::Telemetry, [AwaitingInit, Open, Closing, Ended]),
            (Method::Reply, [AwaitingInit, Open, Closing, Ended]),
            (Method::Close, [Ended, Ended, Ended, Ended]),
        ];
        for (method, afters) in methods {
            for (before, after) in [AwaitingInit, Open, Closing, Ended].into_iter().zip(afters) {
                let mut session = session_at(before);
                let header = Header {
                    token: Some(token("bot", HOUR).into()),
                    http_request: Some(HttpRequest::default()),
                    ..Header::new(method.clone(), "TM1")
                };
                session.frame(Moment::ORIGIN, WALL, frame(header));
                assert_eq!(at(&session), after, "{method:?} in {before:?}");
                let silent = matches!(before, Closing | Ended)
                    || matches!(method, Method::Telemetry | Method::Reply);
                let outputs = drain(&mut session);
                let hangs_up = outputs.iter().any(|one| matches!(one, Output::HangUp(_)));
                assert_eq!(hangs_up, method == Method::Close, "{method:?} in {before:?}");
                if silent && method != Method::Close {
                    assert!(outputs.is_empty(), "{method:?} in {before:?}: {outputs:?}");
                }
            }
        }
    }

    #[test]
    fn a_token_is_warned_about_once_and_ends_the_session() {
        let mut session = session_at(At::Open);
        assert_eq!(session.deadline(), Some(Moment::ORIGIN + (HOUR - WARNING)));
        session.tick(Moment::ORIGIN);
        assert!(drain(&mut session).is_empty());
        session.tick(Moment::ORIGIN + (HOUR - WARNING));
        session.tick(Moment::ORIGIN + (HOUR - WARNING));
        assert_eq!(methods(&drain(&mut session)), ["client_update"]);
        assert_eq!(session.deadline(), Some(Moment::ORIGIN + HOUR));
        session.tick(Moment::ORIGIN + HOUR);
        assert_eq!(methods(&drain(&mut session)), ["close"]);
        assert_eq!(at(&session), At::Closing);
        let patience = session.deadline().unwrap();
        session.tick(patience);
        assert!(matches!(drain(&mut session)[..], [Output::HangUp(_)]));
        assert_eq!(session.deadline(), None);
    }

    #[test]
    fn a_new_token_moves_the_end_and_only_for_the_same_identity() {
        let mut session = session_at(At::Open);
        let mut update = |token: String| {
            let header = Header { token: Some(token.into()), ..Header::new(Method::Update, "TM2") };
            session.frame(Moment::ORIGIN, WALL, frame(header));
            (session.deadline(), codes(&drain(&mut session)))
        };
        let end = Moment::ORIGIN + (HOUR * 2 - WARNING);
        assert_eq!(update(token("bot", HOUR * 2)), (Some(end), vec![(200, None)]));
        let (_, refused) = update(token("other", HOUR));
        assert_eq!(refused, [(401, Some(51215))]);
    }

    #[test]
    fn a_continuation_token_is_kept_for_its_identity_only() {
        let init = |identity: &str, continuation: Option<String>| {
            let mut session = session_at(At::AwaitingInit);
            let header = Header {
                token: Some(token(identity, HOUR).into()),
                continuation_token: continuation.map(Into::into),
                registrations: Some(vec![Registration::default()]),
                ..Header::new(Method::Init, "TM3")
            };
            session.frame(Moment::ORIGIN, WALL, frame(header));
            let reply = drain(&mut session).into_iter().find_map(|output| match output {
                Output::Send(header, _) => Some(header),
                _ => None,
            });
            let reply = reply.unwrap();
            let given = reply.continuation_token.as_ref().unwrap().expose().to_owned();
            (given, reply.continuation_token_status.unwrap())
        };
        let (first, status) = init("bot", None);
        assert_eq!(status["reissue_reason"], "MISSING");
        assert_eq!(init("bot", Some(first.clone())), (first.clone(), json!({"reissued": false})));
        assert_eq!(init("other", Some(first)).1["reissue_reason"], "DIFFERENT_IDENTITY");
    }

    #[test]
    fn bad_tokens_are_told_apart() {
        let foreign = TokenAuthority { account: AccountSid::from_bytes([8; 16]), ..authority() };
        for (authority, token, code) in [
            (authority(), String::new(), 20101),
            (authority(), "x.y.z".to_owned(), 20101),
            (foreign, token("bot", HOUR), 20101),
            (authority(), token("", HOUR), 20106),
        ] {
            let mut session = Session::new(authority, Ids::seeded(1), Moment::ORIGIN);
            let header = Header { token: Some(token.into()), ..Header::new(Method::Init, "TM4") };
            session.frame(Moment::ORIGIN, WALL, frame(header));
            assert_eq!(codes(&drain(&mut session))[0].1, Some(code));
            assert_eq!(at(&session), At::Closing);
        }
        let mut session = session_at(At::AwaitingInit);
        let header =
            Header { token: Some(token("bot", HOUR).into()), ..Header::new(Method::Init, "TM5") };
        session.frame(Moment::ORIGIN, WALL + HOUR * 2, frame(header));
        assert_eq!(codes(&drain(&mut session)), [(401, Some(20104))]);
    }

    const WARNING: Duration = Duration::from_secs(240);

    fn authority() -> TokenAuthority {
        TokenAuthority {
            account: AccountSid::from_bytes([1; 16]),
            key: ApiKeySid::from_bytes([2; 16]),
            secret: SecretString::from("secret".to_owned()),
            warning: WARNING,
            defect: None,
        }
    }

    fn token(identity: &str, lifetime: Duration) -> String {
        use secrecy::ExposeSecret as _;
        let TokenAuthority { account, key, secret, .. } = authority();
        let request = access_token::Request {
            account_sid: account,
            key_sid: key,
            service_sid: ChatServiceSid::from_bytes([3; 16]),
            identity: identity.to_owned(),
            lifetime,
            region: None,
        };
        access_token::mint(&request, &secret, WALL).unwrap().jwt.expose_secret().to_owned()
    }

    fn session_at(state: At) -> Session {
        let mut session = Session::new(authority(), Ids::seeded(1), Moment::ORIGIN);
        if state != At::AwaitingInit {
            let token = Some(token("bot", HOUR).into());
            let header = Header { token, ..Header::new(Method::Init, "TM0") };
            session.frame(Moment::ORIGIN, WALL, frame(header));
        }
        match state {
            At::AwaitingInit | At::Open => {}
            At::Closing => session.close(Moment::ORIGIN, Status::ok(), Bytes::new()),
            At::Ended => {
                session.frame(Moment::ORIGIN, WALL, frame(Header::new(Method::Close, "TM0")));
            }
        }
        drain(&mut session);
        session
    }

    fn at(session: &Session) -> At {
        match session.state {
            State::AwaitingInit { .. } => At::AwaitingInit,
            State::Open(_) => At::Open,
            State::Closing { .. } => At::Closing,
            State::Ended => At::Ended,
        }
    }

    fn frame(header: Header) -> Frame {
        Frame { header, payload: Bytes::new() }
    }

    fn drain(session: &mut Session) -> Vec<Output> {
        std::iter::from_fn(|| session.poll()).collect()
    }

    fn methods(outputs: &[Output]) -> Vec<&str> {
        outputs
            .iter()
            .filter_map(|output| match output {
                Output::Send(header, _) => Some(header.method.as_str()),
                _ => None,
            })
            .collect()
    }

    fn codes(outputs: &[Output]) -> Vec<(u16, Option<u32>)> {
        outputs
            .iter()
            .filter_map(|output| match output {
                Output::Send(header, _) => header.status.as_ref(),
                _ => None,
            })
            .map(|status| (status.code, status.error_code))
            .collect()
    }
}
