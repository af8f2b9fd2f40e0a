//! Tests of the whole command against the emulator: what is set up, what is left, what breaks, what comes back.

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::emulator::faults::{Action, Fault, Place};
use crate::emulator::state::AddressFields;
use crate::emulator::state::messaging::{MessagingService, Number};
use crate::emulator::state::model::{Autocreation, AutocreationKind};
use crate::emulator::{self, Emulator, control};
use crate::test_ports::free_address;
use crate::twilio::rest::{SettingsDocument, SettingsForm, SettingsResource};
use crate::twilio::sid::{ChatServiceSid, MessagingServiceSid};

/// A number that makes conversations, one that does not, and a WhatsApp sender.
const TALKS: &str = "+15555550100";
const TEXTS: &str = "+15555550101";
const WHATSAPP: &str = "whatsapp:+15555550102";

/// A place of somebody else's, with a secret in it.
const FOREIGN: &str = "https://me:planted@else.example.com/hook?key=planted";

/// Where events and texts go once all is set up.
const EVENTS: &str = "https://bot.example.com/webhooks/twilio";
const SMS: &str = "https://bot.example.com/webhooks/twilio/sms#rc=3&rp=5xx,ct,rt";

const MESSAGING_SERVICE: MessagingServiceSid = MessagingServiceSid::from_bytes([7; 16]);

#[tokio::test]
async fn a_fresh_account_is_set_up_once_and_put_back_byte_for_byte() {
    let rig = Rig::start().await;
    let before = rig.snapshot().await;
    let outcome = rig.set_up(&["--yes"]).await.unwrap();
    assert_eq!(outcome.code, 0, "{}{}", outcome.output, outcome.complaint);
    assert!(outcome.output.contains("6 of 6 calls made"), "{}", outcome.output);
    assert!(outcome.output.contains("webhook-url"), "the doctor said nothing: {}", outcome.output);
    let set = rig.snapshot().await;
    for (pointer, wanted) in [
        ("/service webhooks/post_webhook_url", json!(EVENTS)),
        ("/account webhooks/post_webhook_url", json!(EVENTS)),
        ("/addresses/0/auto_creation/enabled", json!(true)),
        ("/addresses/0/auto_creation/conversation_service_sid", json!(rig.service().to_string())),
        ("/numbers/1/sms_url", json!(SMS)),
        ("/senders/0/webhook/callback_url", json!(SMS.replace("/sms", "/whatsapp"))),
        ("/messaging service/inbound_request_url", json!(SMS)),
    ] {
        assert_eq!(set.pointer(pointer), Some(&wanted), "{pointer}: {set:#}");
    }
    rig.keeps_nothing_planted();
    let outcome = rig.set_up(&["--yes"]).await.unwrap();
    assert_eq!((outcome.code, outcome.output.as_str()), (0, "nothing is to be changed\n"));
    let outcome = rig.set_up(&["--undo", "--yes"]).await.unwrap();
    assert_eq!(outcome.code, 0, "{}", outcome.output);
    assert_eq!(rig.snapshot().await.to_string(), before.to_string());
    let outcome = rig.set_up(&["--undo", "--yes"]).await.unwrap();
    assert!(outcome.output.contains("nothing to undo"), "{}", outcome.output);
    rig.stop().await;
}

#[tokio::test]
async fn each_misconfiguration_is_repaired_and_comes_back_with_undo() {
    let foreign = || Some(FOREIGN.to_owned());
    let wrongs: &[(&str, BreakIt)] = &[
        ("no post URL", |rig| rig.hooks(None, None)),
        ("another letter", |rig| rig.hooks(Some(&EVENTS.replace("bot", "Bot")), None)),
        ("a filter missing", |rig| rig.hooks(Some(EVENTS), Some("onMessageAdded"))),
        ("autocreation off", |rig| rig.address(|auto| auto.enabled = false)),
        ("another service", |rig| {
            rig.address(|auto| auto.service = Some(ChatServiceSid::from_bytes([9; 16])));
        }),
        ("a Studio flow", |rig| {
            rig.address(|auto| {
                auto.kind = AutocreationKind::Studio;
                auto.flow_sid = Some(format!("FW{}", "0".repeat(32)));
                auto.flow_retries = Some(2);
            });
        }),
        ("an application", |rig| {
            rig.number(TEXTS, |one| one.application = Some(format!("AP{}", "0".repeat(32))));
        }),
        ("two roads", |rig| rig.number(TALKS, |one| one.url = Some(SMS.to_owned()))),
        ("no overrides", |rig| {
            rig.number(TEXTS, |one| one.url = SMS.split('#').next().map(str::to_owned));
        }),
    ];
    let rig = Rig::start().await;
    rig.set_up(&["--yes"]).await.unwrap();
    let right = rig.snapshot().await;
    for (name, break_it) in wrongs {
        break_it(&rig);
        let wrong = rig.snapshot().await;
        assert_ne!(wrong, right, "{name}");
        let outcome = rig.set_up(&["--yes", "--take-over"]).await.unwrap();
        assert_eq!(outcome.code, 0, "{name}: {}", outcome.output);
        let outcome = rig.set_up(&["--yes"]).await.unwrap();
        assert_eq!(outcome.output, "nothing is to be changed\n", "{name}");
        let outcome = rig.set_up(&["--undo", "--yes"]).await.unwrap();
        assert_eq!(outcome.code, 0, "{name}: {}", outcome.output);
        assert_eq!(rig.snapshot().await.to_string(), wrong.to_string(), "{name}");
        rig.set_up(&["--yes", "--take-over"]).await.unwrap();
    }
    rig.number(TEXTS, |one| one.url = foreign());
    rig.keeps_nothing_planted();
    rig.stop().await;
}

#[tokio::test]
async fn a_role_that_may_not_send_is_given_that_right() {
    let rig = Rig::start().await;
    rig.set_up(&["--yes"]).await.unwrap();
    let role = rig.role().await;
    let lesser = vec![("Permission".to_owned(), "leaveConversation".to_owned())];
    rig.rest().write_settings(&role, &SettingsForm::Fields(lesser)).await.unwrap();
    let outcome = rig.set_up(&["--yes"]).await.unwrap();
    assert_eq!(outcome.code, 0, "{}", outcome.output);
    let now = rig.rest().read_settings(&role).await.unwrap().unwrap();
    assert_eq!(now.at("permissions"), json!(["leaveConversation", "sendMessage"]));
    rig.set_up(&["--undo", "--yes"]).await.unwrap();
    let now = rig.rest().read_settings(&role).await.unwrap().unwrap();
    assert_eq!(now.at("permissions"), json!(["leaveConversation"]));
    rig.stop().await;
}

#[tokio::test]
async fn what_somebody_else_has_set_is_left_and_told_unless_it_may_be_taken_over() {
    let rig = Rig::start().await;
    rig.hooks(Some(FOREIGN), None);
    for number in [TALKS, TEXTS, WHATSAPP] {
        rig.number(number, |one| one.url = Some(FOREIGN.to_owned()));
    }
    let before = rig.snapshot().await;
    let outcome = rig.set_up(&["--yes"]).await.unwrap();
    assert_eq!(outcome.code, 1, "{}", outcome.output);
    let set = rig.snapshot().await;
    for pointer in [
        "/service webhooks",
        "/numbers/0/sms_url",
        "/numbers/1/sms_url",
        "/senders/0/webhook/callback_url",
    ] {
        assert_eq!(set.pointer(pointer), before.pointer(pointer), "{pointer}");
    }
    rig.set_up(&["--undo", "--yes"]).await.unwrap();
    let outcome = rig.set_up(&["--yes", "--take-over"]).await.unwrap();
    assert_eq!(outcome.code, 0, "{}", outcome.output);
    assert!(!rig.snapshot().await.to_string().contains("else.example.com"));
    rig.keeps_nothing_planted();
    rig.set_up(&["--undo", "--yes"]).await.unwrap();
    assert_eq!(rig.snapshot().await.to_string(), before.to_string());
    rig.stop().await;
}

#[tokio::test]
async fn without_a_yes_it_only_shows_and_shows_no_secret() {
    let rig = Rig::start().await;
    rig.hooks(Some(FOREIGN), None);
    rig.number(TEXTS, |one| one.url = Some(FOREIGN.to_owned()));
    let before = rig.snapshot().await;
    for (words, answer, code, told) in [
        (&["--take-over"][..], Confirmed::Nobody, 3, "add --yes"),
        (&["--take-over"], Confirmed::No, 3, "nothing was changed"),
        (&["--take-over", "--json"], Confirmed::Yes, 3, "add --yes"),
        (&["--take-over", "--print", "curl"], Confirmed::Yes, 0, ""),
        (&["--print", "curl"], Confirmed::Yes, 1, ""),
    ] {
        let outcome = rig.asked(words, answer).await.unwrap();
        assert_eq!(outcome.code, code, "{words:?}: {}", outcome.output);
        assert!(outcome.complaint.contains(told), "{words:?}: {}", outcome.complaint);
        for hidden in ["planted", "5555550", rig.token()] {
            let all = format!("{}{}", outcome.output, outcome.complaint);
            assert!(!all.contains(hidden), "{words:?} shows {hidden}: {all}");
        }
    }
    assert_eq!(rig.snapshot().await, before);
    assert!(!rig.kept().exists(), "old values were kept though nothing was changed");
    rig.stop().await;
}

#[tokio::test]
async fn whatever_breaks_half_way_is_gone_on_with_or_undone() {
    let answer = |status, code| Action::Answer { status, code, retry_after: None };
    for (skip, action) in [
        (0, answer(403, Some(20403))),
        (1, answer(429, Some(20429))),
        (2, answer(503, None)),
        (3, Action::BreakBefore),
        (4, Action::Intercept { status: 403 }),
    ] {
        let rig = Rig::start().await;
        let before = rig.snapshot().await;
        rig.fault(skip, action.clone());
        let error = rig.set_up(&["--yes"]).await.unwrap_err();
        let told = outcome::chain(&error);
        assert!(told.contains(&format!("{skip} of 6 calls done")), "{action:?}: {told}");
        assert!(told.contains("POST ") && told.contains("--undo"), "{told}");
        assert!(!told.contains("5555550") && !told.contains(rig.token()), "{told}");
        // Back from half-way, and forth again by a run that goes on.
        rig.set_up(&["--undo", "--yes"]).await.unwrap();
        assert_eq!(rig.snapshot().await.to_string(), before.to_string(), "{action:?}");
        rig.fault(skip, action.clone());
        rig.set_up(&["--yes"]).await.unwrap_err();
        let outcome = rig.set_up(&["--yes"]).await.unwrap();
        assert!(
            outcome.output.contains(&format!("{0} of {0} calls", 6 - skip)),
            "{}",
            outcome.output
        );
        rig.set_up(&["--undo", "--yes"]).await.unwrap();
        assert_eq!(rig.snapshot().await.to_string(), before.to_string(), "{action:?}");
        rig.stop().await;
    }
}

#[tokio::test]
async fn a_lost_answer_is_looked_for_and_written_once() {
    for action in
        [Action::BreakAfter, Action::CutOff, Action::AnswerAfter { status: 503, code: None }]
    {
        let rig = Rig::start().await;
        let before = rig.snapshot().await;
        let place = Place::Rest { method: Some("POST".to_owned()), path: None };
        let action_each = action.clone();
        rig.add(Fault {
            id: 0,
            place,
            action: action_each,
            times: Some(6),
            skip: 0,
            percent: None,
        });
        let outcome = rig.set_up(&["--yes"]).await.unwrap();
        assert!(outcome.output.contains("6 of 6"), "{action:?}: {}", outcome.output);
        let addresses = rig.snapshot().await["addresses"].as_array().unwrap().len();
        assert_eq!(addresses, 1, "{action:?}");
        rig.fault(0, action.clone());
        rig.set_up(&["--undo", "--yes"]).await.unwrap();
        assert_eq!(rig.snapshot().await.to_string(), before.to_string(), "{action:?}");
        rig.stop().await;
    }
}

#[tokio::test]
async fn an_undo_that_breaks_is_gone_on_with() {
    let rig = Rig::start().await;
    let before = rig.snapshot().await;
    rig.set_up(&["--yes"]).await.unwrap();
    rig.fault(2, Action::Answer { status: 403, code: Some(20403), retry_after: None });
    rig.set_up(&["--undo", "--yes"]).await.unwrap_err();
    assert_ne!(rig.snapshot().await, before);
    rig.set_up(&["--undo", "--yes"]).await.unwrap();
    assert_eq!(rig.snapshot().await.to_string(), before.to_string());
    rig.stop().await;
}

#[tokio::test]
async fn an_undo_leaves_what_somebody_has_changed_meanwhile_and_names_it() {
    let rig = Rig::start().await;
    let before = rig.snapshot().await;
    rig.set_up(&["--yes"]).await.unwrap();
    rig.number(TEXTS, |one| one.url = Some("https://meanwhile.example.com/".to_owned()));
    let outcome = rig.set_up(&["--undo", "--yes", "--json"]).await.unwrap();
    assert_eq!(outcome.code, 1, "{}", outcome.output);
    assert!(outcome.output.contains("has changed SmsUrl"), "{}", outcome.output);
    let now = rig.snapshot().await;
    assert_eq!(now["numbers"][1]["sms_url"], "https://meanwhile.example.com/");
    assert_eq!(now["service webhooks"], before["service webhooks"]);
    rig.set_up(&["--undo", "--yes", "--take-over"]).await.unwrap();
    assert_eq!(rig.snapshot().await.to_string(), before.to_string());
    rig.stop().await;
}

#[tokio::test]
async fn what_may_not_be_read_is_told_and_the_rest_is_set_up() {
    let rig = Rig::start().await;
    let place = Place::Rest { method: Some("GET".to_owned()), path: Some("/Senders".to_owned()) };
    let action = Action::Answer { status: 403, code: Some(20403), retry_after: None };
    rig.add(Fault { id: 0, place, action, times: None, skip: 0, percent: None });
    let outcome = rig.set_up(&["--yes", "--json"]).await.unwrap();
    assert_eq!(outcome.code, 1, "{}", outcome.output);
    assert!(outcome.output.contains("could not be looked at"), "{}", outcome.output);
    assert_eq!(
        rig.snapshot_without_senders().await["service webhooks"]["post_webhook_url"],
        EVENTS
    );
    rig.stop().await;
}

#[tokio::test]
async fn what_is_not_said_is_told_before_anything_is_asked() {
    let rig = Rig::start().await;
    for (instead, told) in [
        (("TWILIO_ENABLED", "false"), "TWILIO_ENABLED"),
        (("CHIMEIN_WEBHOOK_PUBLIC_URL", ""), "settings are wrong"),
        (("CHIMEIN_MESSAGING_SOURCES", "+15555550100=direct"), "one of the two"),
    ] {
        let args = args(&["--yes", "--address", TALKS]);
        let environment = rig.environment(&[instead]);
        let desk = Desk { say: &|_| {}, ask: &|_| Confirmed::Yes };
        let error = set_up(&args, &environment, desk).await.unwrap_err();
        assert!(outcome::chain(&error).contains(told), "{}", outcome::chain(&error));
    }
    rig.stop().await;
}

/// The command's arguments, as clap reads them.
fn args(words: &[&str]) -> Args {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }
    use clap::Parser as _;
    Line::try_parse_from(std::iter::once(&"setup").chain(words)).unwrap().args
}

/// Makes something of an account wrong.
type BreakIt = fn(&Rig);

/// An emulated account, and a place for a store.
struct Rig {
    emulator: Emulator,
    place: TempDir,
}

impl Rig {
    /// An account with numbers and nothing set up.
    async fn start() -> Self {
        let numbers = [TALKS, TEXTS, WHATSAPP]
            .map(|address| Number { address: address.into(), ..Number::default() });
        let options = emulator::Options {
            numbers: numbers.to_vec(),
            autocreate_all: false,
            ..emulator::Options::default()
        };
        let emulator = Emulator::start(options).await.unwrap();
        let service = MessagingService { sid: Some(MESSAGING_SERVICE), ..Default::default() };
        emulator.control().set_messaging_service(service).unwrap();
        Self { emulator, place: TempDir::new().unwrap() }
    }

    fn service(&self) -> ChatServiceSid {
        self.emulator.credentials().service_sid
    }

    fn token(&self) -> &str {
        self.emulator.credentials().auth_token.expose_secret()
    }

    fn kept(&self) -> PathBuf {
        kept::place(&self.place.path().join("queue.db"))
    }

    fn keeps_nothing_planted(&self) {
        let text = std::fs::read_to_string(self.kept()).unwrap();
        for hidden in ["planted", "5555550", self.token()] {
            assert!(!text.contains(hidden), "the old values hold {hidden}: {text}");
        }
    }

    fn environment(&self, instead: &[(&str, &str)]) -> Environment {
        let mut pairs = self.emulator.variables();
        pairs.extend([
            ("TWILIO_IDENTITY", "bot".to_owned()),
            ("TWILIO_PHONE_NUMBER", TEXTS.to_owned()),
            ("TWILIO_WHATSAPP_NUMBER", WHATSAPP.to_owned()),
            ("CHIMEIN_MESSAGING_SOURCES", format!("{TEXTS}=direct,{WHATSAPP}=direct")),
            ("TWILIO_MESSAGING_SERVICE_SID", MESSAGING_SERVICE.to_string()),
            ("CHIMEIN_WEBHOOK_PUBLIC_URL", "https://bot.example.com".to_owned()),
            // Nobody: the name of our public URL is for a proxy to look up, and there is none.
            ("https_proxy", format!("http://{}", free_address())),
            ("CHIMEIN_SERVER_LISTEN", "127.0.0.1".to_owned()),
            ("SERVICE_PORT", free_address().port().to_string()),
            ("CHIMEIN_ADMIN_LISTEN", free_address().to_string()),
            ("CHIMEIN_QUEUE_PATH", self.place.path().join("queue.db").display().to_string()),
        ]);
        pairs.retain(|(name, _)| instead.iter().all(|(other, _)| other != name));
        let instead = instead.iter().map(|(name, value)| (*name, (*value).to_owned()));
        Environment::from_pairs(pairs.into_iter().chain(instead))
    }

    async fn set_up(&self, words: &[&str]) -> Result<Outcome, Error> {
        self.asked(words, Confirmed::Nobody).await
    }

    async fn asked(&self, words: &[&str], answer: Confirmed) -> Result<Outcome, Error> {
        let mut words = words.to_vec();
        if !words.contains(&"--undo") {
            words.extend(["--address", TALKS]);
        }
        let said = std::cell::RefCell::new(String::new());
        let desk = Desk { say: &|text| said.borrow_mut().push_str(text), ask: &|_| answer };
        let outcome = set_up(&args(&words), &self.environment(&[]), desk).await?;
        Ok(Outcome { output: said.into_inner() + &outcome.output, ..outcome })
    }

    fn rest(&self) -> rest::Client {
        SetupBench::open(&args(&[]), &self.environment(&[])).unwrap().rest
    }

    /// The role that whoever is added to a conversation has.
    async fn role(&self) -> SettingsResource {
        let service = self.service();
        let configuration = SettingsResource::service(service);
        let configuration = self.rest().read_settings(&configuration).await.unwrap().unwrap();
        let role = configuration.text("default_conversation_role_sid").unwrap();
        SettingsResource::role(service, &role)
    }

    /// Everything that setup may write, as Twilio shows it, but for the times of changes.
    async fn snapshot(&self) -> Value {
        let mut all = self.snapshot_without_senders().await;
        let senders = self.rest().list_senders("whatsapp").all(100).await.unwrap();
        all["senders"] = senders.into_iter().map(plain).collect();
        all
    }

    async fn snapshot_without_senders(&self) -> Value {
        let (rest, service) = (self.rest(), self.service());
        let mut all = json!({});
        for (name, resource) in [
            ("service webhooks", SettingsResource::service_webhooks(service)),
            ("account webhooks", SettingsResource::account_webhooks()),
            ("role", self.role().await),
            ("messaging service", SettingsResource::messaging_service(MESSAGING_SERVICE)),
        ] {
            all[name] = plain(rest.read_settings(&resource).await.unwrap().unwrap());
        }
        let numbers = SettingsResource::numbers();
        let numbers =
            rest.list_settings(&numbers, "incoming_phone_numbers").all(100).await.unwrap();
        all["numbers"] = numbers.into_iter().map(plain).collect();
        all["addresses"] =
            account::addresses(&rest).await.unwrap().into_iter().map(plain).collect();
        all
    }

    /// Sets where the service's events go, and which.
    fn hooks(&self, url: Option<&str>, filter: Option<&str>) {
        let filters = filter.map(|word| vec![serde_json::from_value(json!(word)).unwrap()]);
        let post_url = url.map(str::to_owned);
        let hooks = control::Webhook { post_url, filters, ..Default::default() };
        self.emulator.control().set_webhook(hooks);
    }

    /// Changes the configuration of the address that talks.
    fn address(&self, change: impl FnOnce(&mut Autocreation)) {
        let service = Some(self.emulator.credentials().service_sid);
        let mut auto = Autocreation { enabled: true, service, ..Autocreation::default() };
        change(&mut auto);
        let fields = AddressFields { autocreation: Some(auto), ..AddressFields::default() };
        self.emulator.control().reconfigure_address(TALKS, fields).unwrap();
    }

    /// Changes a number or a sender.
    fn number(&self, address: &str, change: impl FnOnce(&mut Number)) {
        let control = self.emulator.control();
        let numbers = control.numbers();
        let mut number = numbers.into_iter().find(|one| one.address.reveal() == address).unwrap();
        change(&mut number);
        control.set_number(number).unwrap();
    }

    /// Lets the write after so many go wrong.
    fn fault(&self, skip: u64, action: Action) {
        let place = Place::Rest { method: Some("POST".to_owned()), path: None };
        self.add(Fault { id: 0, place, action, times: Some(1), skip, percent: None });
    }

    fn add(&self, fault: Fault) {
        self.emulator.control().add_fault(fault).unwrap();
    }

    async fn stop(self) {
        self.emulator.shutdown().await;
    }
}

/// A resource without when it was changed.
fn plain(document: SettingsDocument) -> Value {
    let mut fields = document.0;
    fields.remove("date_updated");
    Value::Object(fields)
}
