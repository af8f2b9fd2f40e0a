//! The doors of messages that belong to no conversation: every answer, and what the intake was given.

use uuid::Uuid;

use super::*;
use crate::twilio::messaging::{Inbound, MessageStatus, StatusUpdate};

const SMS: &str = "/webhooks/twilio/sms";
const TWIML: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Response></Response>"#;

#[tokio::test]
async fn a_signed_text_is_stored_before_it_is_answered_with_silence() {
    let rig = TextRig::new();
    for (path, sid) in
        [(SMS, "SM"), ("/webhooks/twilio/whatsapp", "MM"), ("/sms", "SM"), ("/old/hook.php", "MM")]
    {
        let (status, headers, body) = rig.ask(post(path, &text(sid))).await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, TWIML), "{path}");
        assert_eq!(headers["content-type"], "text/xml; charset=utf-8");
        assert_eq!(headers["content-length"], TWIML.len().to_string());
        let (inbound, meta) = rig.intake.texts.lock().unwrap().pop().unwrap();
        assert_eq!(inbound.sid.to_string(), format!("{sid}{H}"));
        assert_eq!(inbound.body.unwrap().reveal(), "hello");
        assert_eq!(meta.idempotency_token.as_deref(), Some("a-token"));
    }
    assert!(rig.counted("accepted", "text"));
}

#[tokio::test]
async fn a_text_is_taken_by_get_and_as_json_too() {
    let rig = TextRig::new();
    let path = format!("{SMS}?{}", text("SM"));
    let signature = sign(&format!("{PLACE}{path}"), signature::Body::None);
    let request =
        Request::get(path).header(signature::HEADER, signature).body(Body::empty()).unwrap();
    assert_eq!(rig.ask(request).await.0, StatusCode::OK);
    let body = format!(
        r#"{{"MessageSid":"MM{H}","AccountSid":"AC{H}","From":"+15555550123","To":"+15555550100","NumMedia":1,"MediaUrl0":"https://api.twilio.com/0"}}"#
    );
    let url = url_with_body_hash(&format!("{PLACE}{SMS}"), body.as_bytes());
    let request = Request::post(url.strip_prefix(PLACE).unwrap())
        .header("content-type", "application/json")
        .header(signature::HEADER, sign(&url, signature::Body::Other(body.as_bytes())))
        .body(Body::from(body))
        .unwrap();
    let (status, _, answer) = rig.ask(request).await;
    assert_eq!((status, answer.as_str()), (StatusCode::OK, TWIML));
    let texts = rig.intake.texts.lock().unwrap();
    assert_eq!(texts.iter().map(|(text, _)| text.media.len()).collect::<Vec<_>>(), [0, 1]);
}

#[tokio::test]
async fn states_are_told_in_any_order_with_the_reply_of_the_query() {
    let rig = TextRig::new();
    let reply = Uuid::from_u128(7);
    let path = |query: &str| format!("{TEXT_STATUS_ROUTE}{query}");
    let base = PublicBase::new(PLACE);
    let own = base.status_callback(reply);
    let own = own.strip_prefix(PLACE).unwrap();
    for (path, word) in [
        (own.to_owned(), "delivered"),
        (own.to_owned(), "sent"),
        (path("?reply=nobody"), "read"),
        (path(""), "levitating"),
    ] {
        let (status, headers, body) = rig.ask(post(&path, &state(word))).await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, TWIML), "{path}");
        assert_eq!(headers["content-type"], "text/xml; charset=utf-8");
    }
    let told = rig.intake.states.lock().unwrap().clone();
    let told: Vec<_> = told.into_iter().map(|(update, reply)| (update.status, reply)).collect();
    let wanted = [
        (Some(MessageStatus::Delivered), Some(reply)),
        (Some(MessageStatus::Sent), Some(reply)),
        (Some(MessageStatus::Read), None),
        (None, None),
    ];
    assert_eq!(told, wanted);
    assert!(rig.counted("accepted", "status") && !rig.counted("accepted", "text"));
}

#[tokio::test]
async fn what_a_request_tells_of_counts_more_than_its_path() {
    let rig = TextRig::new();
    assert_eq!(rig.ask(post(SMS, &state("delivered"))).await.0, StatusCode::OK);
    assert!(rig.intake.texts.lock().unwrap().is_empty(), "our own message is nobody's answer");
    assert_eq!(rig.intake.states.lock().unwrap().len(), 1);
    let came_in = format!("{}&SmsStatus=received", text("SM"));
    assert_eq!(rig.ask(post(TEXT_STATUS_ROUTE, &came_in)).await.0, StatusCode::OK);
    let odd = format!("{}&SmsStatus=levitating", text("SM"));
    assert_eq!(rig.ask(post(SMS, &odd)).await.0, StatusCode::OK);
    assert_eq!(rig.intake.texts.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_text_that_is_not_stored_is_never_acknowledged() {
    let rig = TextRig { intake: TextRecorder::new(Mood::Failing), ..TextRig::new() };
    for request in [post(SMS, &text("SM")), post(TEXT_STATUS_ROUTE, &state("sent"))] {
        let (status, headers, body) = rig.ask(request).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!((headers["content-type"].as_bytes(), body.as_str()), (JSON, UNAVAILABLE));
    }
    assert!(rig.counted("unavailable", "text") && rig.counted("unavailable", "status"));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_holds_no_text_up_for_long() {
    let rig = TextRig { intake: TextRecorder::new(Mood::Hanging), ..TextRig::new() };
    let clock = Clock::start();
    let (status, ..) = rig.ask(post(SMS, &text("SM"))).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(clock.now().since(crate::clock::Moment::ORIGIN) < Duration::from_secs(5));
}

#[tokio::test]
async fn every_refusal_of_a_text_is_json_and_nothing_that_twilio_would_send_on() {
    let rig = TextRig::new();
    let mut unsigned = post(SMS, &text("SM"));
    let _ = unsigned.headers_mut().remove(signature::HEADER);
    let other = text("SM").replace(&format!("AC{H}"), &format!("AC{OTHER}"));
    let large = format!("{}&x={}", text("SM"), "x".repeat(64 * 1024));
    let put = Request::put(SMS).body(Body::empty()).unwrap();
    for (request, status, body, outcome) in [
        (unsigned, 403, r#"{"error":"invalid_signature"}"#, "bad_signature"),
        (post(SMS, &other), 403, r#"{"error":"wrong_account"}"#, "wrong_account"),
        (post(SMS, &large), 413, r#"{"error":"too_large"}"#, "too_large"),
        (put, 405, r#"{"error":"method_not_allowed"}"#, "wrong_method"),
        (
            post(SMS, &text("SM").replace("From=", "Nobody=")),
            400,
            r#"{"error":"malformed","field":"From"}"#,
            "malformed",
        ),
        (post(SMS, &text("IM")), 400, r#"{"error":"malformed","field":"MessageSid"}"#, "malformed"),
    ] {
        let (found, headers, answer) = rig.ask(request).await;
        assert_eq!((found.as_u16(), answer.as_str()), (status, body));
        assert_eq!(headers["content-type"].as_bytes(), JSON, "{body}");
        assert!(rig.counted(outcome, "text"), "{outcome}");
    }
    let silent = post(TEXT_STATUS_ROUTE, &format!("MessageSid=SM{H}&AccountSid=AC{H}"));
    let (status, _, answer) = rig.ask(silent).await;
    let wanted = r#"{"error":"malformed","field":"MessageStatus"}"#;
    assert_eq!((status.as_u16(), answer.as_str()), (400, wanted));
    assert!(rig.intake.texts.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_door_without_anybody_behind_it_says_what_is_missing() {
    let none = Intakes::default();
    let rig = TextRig::new();
    let needs = |name: &str| (404, format!(r#"{{"error":"not_configured","needs":"{name}"}}"#));
    for (path, body, answer, kind) in [
        (SMS, text("SM"), needs("TWILIO_PHONE_NUMBER"), "text"),
        (TEXT_STATUS_ROUTE, state("sent"), needs("TWILIO_PHONE_NUMBER"), "status"),
        (ROUTE, form("onMessageAdded"), needs("TWILIO_CHAT_SERVICE_SID"), "onMessageAdded"),
    ] {
        let (status, headers, found) = rig.ask_of(none.clone(), post(path, &body)).await;
        assert_eq!((status.as_u16(), found), answer, "{path}");
        assert_eq!(headers["content-type"].as_bytes(), JSON);
        assert!(rig.counted("not_configured", kind), "{kind}");
        let unsigned = Request::post(path).header("content-type", FORM).body(Body::from(body));
        let (status, ..) = rig.ask_of(none.clone(), unsigned.unwrap()).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "a stranger is told nothing");
    }
    // Refusing it would drop somebody's message.
    let (status, _, found) = rig.ask_of(none, post(ROUTE, &form("onMessageAdd"))).await;
    assert_eq!((status.as_u16(), found.as_str()), (200, "{}"));
}

const PLACE: &str = "https://bot.example.com";
const JSON: &[u8] = b"application/json";
const UNAVAILABLE: &str = r#"{"error":"unavailable"}"#;

fn text(sid: &str) -> String {
    format!("MessageSid={sid}{H}&AccountSid=AC{H}&From=%2B15555550123&To=%2B15555550100&Body=hello")
}

fn state(word: &str) -> String {
    format!("MessageSid=SM{H}&AccountSid=AC{H}&MessageStatus={word}&SmsStatus={word}")
}

/// A signed form; the path may have a query.
fn post(path: &str, body: &str) -> Request<Body> {
    let signature = sign(&format!("{PLACE}{path}"), signature::Body::Form(body.as_bytes()));
    Request::post(path)
        .header("content-type", FORM)
        .header(signature::HEADER, signature)
        .header("i-twilio-idempotency-token", "a-token")
        .body(Body::from(body.to_owned()))
        .unwrap()
}

/// The room with an intake of texts that remembers.
struct TextRig {
    options: Options,
    intake: Arc<TextRecorder>,
    metrics: Metrics,
}

impl TextRig {
    fn new() -> Self {
        let Rig { mut options, metrics, .. } = Rig::new();
        // One of them is served already, another one twice.
        options.text_paths =
            [SMS, "/sms", "/sms", ROUTE, "/old/hook.php"].map(str::to_owned).into();
        Self { options, intake: TextRecorder::new(Mood::Storing), metrics }
    }

    async fn ask(&self, request: Request<Body>) -> (StatusCode, HeaderMap, String) {
        let texts: Arc<dyn TextIntake> = Arc::<TextRecorder>::clone(&self.intake);
        self.ask_of(Intakes { conversations: None, texts: Some(texts) }, request).await
    }

    async fn ask_of(
        &self,
        intakes: Intakes,
        request: Request<Body>,
    ) -> (StatusCode, HeaderMap, String) {
        let (options, metrics) = (self.options.clone(), self.metrics.clone());
        let router = router(options, intakes, metrics, Clock::start());
        let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
        let bytes = axum::body::to_bytes(body, 4096).await.unwrap();
        (parts.status, parts.headers, String::from_utf8(bytes.to_vec()).unwrap())
    }

    fn counted(&self, outcome: &str, event_type: &str) -> bool {
        counted(&self.metrics, outcome, event_type)
    }
}

struct TextRecorder {
    mood: Mood,
    texts: Mutex<Vec<(Inbound, Meta)>>,
    states: Mutex<Vec<(StatusUpdate, Option<Uuid>)>>,
}

impl TextRecorder {
    fn new(mood: Mood) -> Arc<Self> {
        Arc::new(Self { mood, texts: Mutex::default(), states: Mutex::default() })
    }
}

impl TextIntake for TextRecorder {
    fn text(&self, inbound: Inbound, meta: Meta) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async {
            self.mood.show().await?;
            self.texts.lock().unwrap().push((inbound, meta));
            Ok(())
        })
    }

    fn status(
        &self,
        update: StatusUpdate,
        reply: Option<Uuid>,
        _meta: Meta,
    ) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move {
            self.mood.show().await?;
            self.states.lock().unwrap().push((update, reply));
            Ok(())
        })
    }
}
