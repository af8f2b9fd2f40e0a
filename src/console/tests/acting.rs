//! Tests of the pages that act: dead letters, messages, threads, on a real store and a real timeline.

use std::sync::Mutex;

use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::admin::dead_letters::{DeadLetters, tests as letters};
use crate::admin::notes::Notes;
use crate::admin::replies::Failed;
use crate::admin::texts::KeptTexts;
use crate::admin::threads::{ThreadDirectory, ThreadSearch};
use crate::agent::later::{Batch, Outbox, OutboxError};
use crate::channels::KnownThreads;
use crate::channels::handover::{Handover, NotHandedOver, TakenThread};
use crate::clock::Timestamp;
use crate::console::workbench::Workbench;
use crate::jobs::lane;
use crate::pipeline::record::{reply_job, turn_id};
use crate::queue::{Append, DocumentCursor, QueueName, Store, embedded};
use crate::telemetry::journal::{Door, OperatorAct, Record, Stage, Via};
use crate::thread::{Medium, MessageId, Pair, Thread, ThreadId};
use crate::timeline::segments;

pub(super) const CONVERSATION: &str = "CHcccccccccccccccccccccccccccccccc";
pub(super) const MESSAGE: &str = "IM11111111111111111111111111111111";

#[tokio::test]
async fn letters_are_grouped_by_cause_with_what_helps() {
    let rig = Rig::open(None).await;
    let page = rig.get("/console/dead-letters").await;
    assert_eq!(page.status, 200);
    for shown in
        ["Redrive all 5", "two bots seemed to talk", "resume the thread", "dead 50400", "joins/"]
    {
        assert!(page.text.contains(shown), "{shown} in {}", page.text);
    }
    assert!(!page.text.contains("5555550123") && !page.text.contains("planted"), "{}", page.text);
    let page = rig.get("/console/dead-letters?queue=outbox&cause=dead%3A50400&age=1h").await;
    assert!(page.text.contains("Redrive all 2") && page.text.contains("selected"), "{}", page.text);
    let none = rig.get("/console/dead-letters?queue=reports").await;
    assert!(none.text.contains("Nothing is lost here"), "{}", none.text);
}

#[tokio::test]
async fn all_of_them_are_asked_about_with_their_number_and_no_more_are_touched() {
    let rig = Rig::open(None).await;
    let ask = rig.get("/console/dead-letters/all?act=drop&queue=outbox").await;
    assert!(ask.text.contains("Drop 2 dead letters?"), "{}", ask.text);
    let before = value_of(&ask.text, "before");
    let act = |expected: u8, before: &str| {
        format!("act=drop&queue=outbox&before={before}&expected={expected}")
    };
    let fewer = rig.act("/console/dead-letters/all", &act(1, &before)).await;
    assert_eq!(fewer.status, 409, "{}", fewer.text);
    assert!(fewer.text.contains("There are more by now"), "{}", fewer.text);
    // Nobody agreed to a number, or to a time.
    for body in [act(2, ""), format!("act=drop&queue=outbox&before={before}"), act(2, "planted")] {
        let refused = rig.act("/console/dead-letters/all", &body).await;
        assert_eq!(refused.status, 400, "{}", refused.text);
        assert!(!refused.text.contains("planted"));
    }
    assert_eq!(rig.dead().await, 5, "nothing was done");
    let done = rig.act("/console/dead-letters/all", &act(2, &before)).await;
    assert_eq!(done.status, 303, "{}", done.text);
    let place = done.headers[header::LOCATION].to_str().unwrap();
    assert!(rig.get(place).await.text.contains("2 dropped"), "{place}");
    assert_eq!(rig.dead().await, 3);
}

#[tokio::test]
async fn chosen_ones_are_redriven_and_dropped_once_somebody_is_sure() {
    let rig = Rig::open(None).await;
    let page = rig.get("/console/dead-letters?queue=outbox").await;
    let chosen = value_of(&page.text, "letter");
    let redriven =
        rig.act("/console/dead-letters/chosen", &format!("act=redrive&letter={chosen}")).await;
    assert_eq!((redriven.status, rig.dead().await), (303, 4));
    let page = rig.get("/console/dead-letters?queue=inbox").await;
    let chosen = value_of(&page.text, "letter");
    let asked = rig.act("/console/dead-letters/chosen", &format!("act=drop&letter={chosen}")).await;
    assert!(asked.text.contains("Drop 1 dead letter?"), "{}", asked.text);
    assert_eq!(rig.dead().await, 4);
    let sure = format!("act=drop&sure=yes&letter={chosen}");
    assert_eq!(rig.act("/console/dead-letters/chosen", &sure).await.status, 303);
    assert_eq!(rig.dead().await, 3);
    assert_eq!(
        rig.act("/console/dead-letters/chosen", "act=drop&letter=planted").await.status,
        400
    );
}

#[tokio::test]
async fn a_text_is_shown_to_who_asks_and_that_is_noted() {
    let rig = Rig::open(None).await;
    let page = rig.get("/console/dead-letters?queue=inbox").await;
    let path = format!("/console/dead-letters/{}", value_of(&page.text, "letter"));
    let masked = rig.get(&path).await;
    assert!(masked.text.contains("+…23") && !masked.text.contains("planted"), "{}", masked.text);
    assert!(rig.acts().is_empty(), "looking is not noted");
    assert_eq!(rig.get(&format!("{path}/reveal")).await.status, 405, "no link shows it");
    let shown = rig.act(&format!("{path}/reveal"), "").await;
    assert!(shown.text.contains("planted") && shown.text.contains("noted"), "{}", shown.text);
    assert_eq!(rig.acts(), [OperatorAct::Revealed]);
    assert_eq!(rig.get("/console/dead-letters/inbox/ff").await.status, 400);
    let gone = format!("/console/dead-letters/inbox/{}", "f".repeat(32));
    assert_eq!(rig.get(&gone).await.status, 404);
}

#[tokio::test]
async fn forged_forms_other_origins_and_lookers_do_nothing() {
    let rig = Rig::open(Some("acts")).await;
    let (acts, reads) =
        (signed_in(&rig.router, "acts").await, signed_in(&rig.router, "reads").await);
    let page = get_page(&rig.router, "/console/dead-letters?queue=outbox", Some(&acts)).await;
    let (form, letter) = (form_of(&page.text), value_of(&page.text, "letter"));
    let looks = get_page(&rig.router, "/console/dead-letters?queue=outbox", Some(&reads)).await;
    assert!(looks.status == 200 && !looks.text.contains("checkbox"), "{}", looks.text);
    let own = form_of(&looks.text);
    let body = |form: &str| format!("form={form}&act=redrive&letter={letter}");
    for (cookie, body) in
        [(&acts, body("00")), (&acts, body(&own)), (&reads, body(&own)), (&reads, body(&form))]
    {
        let refused = send(&rig.router, "/console/dead-letters/chosen", Some(cookie), &body).await;
        assert_eq!(refused.status, 403, "{}", refused.text);
    }
    let foreign = Request::post("/console/dead-letters/chosen")
        .header(header::HOST, NEAR)
        .header(header::ORIGIN, "http://evil.example")
        .header(header::COOKIE, &acts)
        .body(Body::from(body(&form)));
    assert_eq!(ask(&rig.router, foreign.unwrap()).await.status, 403);
    assert_eq!(rig.dead().await, 5);
    let done = send(&rig.router, "/console/dead-letters/chosen", Some(&acts), &body(&form)).await;
    assert_eq!((done.status, rig.dead().await), (303, 4));
}

#[tokio::test]
async fn a_strange_or_huge_query_is_answered_and_not_repeated() {
    let rig = Rig::open(None).await;
    let huge = "planted".repeat(2_000);
    for path in [
        "/console/dead-letters?queue=planted".to_owned(),
        "/console/dead-letters?cause=dead%3Aplanted".to_owned(),
        "/console/dead-letters?age=planted".to_owned(),
        format!("/console/dead-letters?thread={huge}"),
        "/console/dead-letters/all?act=planted".to_owned(),
        "/console/messages/planted".to_owned(),
        "/console/threads/planted".to_owned(),
        "/console/threads?show=planted".to_owned(),
    ] {
        let refused = rig.get(&path).await;
        assert!((400..500).contains(&refused.status), "{path}: {}", refused.status);
        assert!(!refused.text.contains("plantedplanted"), "{}", refused.text);
    }
}

#[tokio::test]
async fn a_message_is_one_timeline() {
    let rig = Rig::open(None).await;
    rig.tell_a_story().await;
    let list = rig.get("/console/messages").await;
    assert!(list.text.contains("IM1111…1111") && list.text.contains("sent"), "{}", list.text);
    let page = rig.get(&format!("/console/messages/{MESSAGE}")).await;
    assert_eq!(page.status, 200);
    for shown in
        ["Answered in", "Agent answered", "Reply sent", "<rect", CONVERSATION, "with a person"]
    {
        let wanted = shown != "with a person";
        assert_eq!(page.text.contains(shown), wanted, "{shown} in {}", page.text);
    }
    for inline in [" style=", " onclick="] {
        assert!(!page.text.contains(inline));
    }
    let reply = rig.get(&format!("/console/messages/{}", Uuid::from_u128(7))).await;
    assert!(reply.text.contains("Reply sent"), "{}", reply.text);
    let unknown = rig.get(&format!("/console/messages/IM{}", "9".repeat(32))).await;
    assert!(unknown.status == 404 && unknown.text.contains("Nothing is known"), "{}", unknown.text);
    let found = rig.get(&format!("/console/messages?find={MESSAGE}")).await;
    assert_eq!(found.headers[header::LOCATION], format!("/console/messages/{MESSAGE}"));
}

#[tokio::test]
async fn what_waits_is_told_by_its_length_and_shown_to_who_asks() {
    let rig = Rig::open(None).await;
    rig.tell_a_story().await;
    let path = format!("/console/messages/{MESSAGE}");
    let nothing = rig.get(&path).await.text;
    assert!(nothing.contains("kept here no more") && !nothing.contains("/reveal"), "{nothing}");
    rig.keep_texts().await;
    let page = rig.get(&path).await;
    for shown in ["1 message of the person (20 characters)", "1 reply (21 characters)", "/reveal"] {
        assert!(page.text.contains(shown), "{shown} in {}", page.text);
    }
    assert!(!page.text.contains("planted") && rig.acts().is_empty(), "{}", page.text);
    assert_eq!(rig.get(&format!("{path}/reveal")).await.status, 405, "no link shows it");
    let shown = rig.act(&format!("{path}/reveal"), "").await;
    assert!(shown.text.contains("planted-open-message"), "{}", shown.text);
    assert!(shown.text.contains("&lt;b&gt;planted-reply"), "it is a text, and no page");
    assert!(!shown.text.contains("data-events"), "nothing takes it away while it is read");
    assert_eq!(rig.acts(), [OperatorAct::Revealed]);
    assert_eq!(rig.act("/console/messages/planted/reveal", "").await.status, 400);
    let unknown = format!("/console/messages/IM{}/reveal", "9".repeat(32));
    assert_eq!(rig.act(&unknown, "").await.status, 404);
}

#[tokio::test]
async fn threads_are_found_masked_and_never_by_a_whole_number() {
    let rig = Rig::open(None).await;
    rig.tell_a_story().await;
    let page = rig.get("/console/threads").await;
    assert!(page.text.contains("CHcccc…cccc") && page.text.contains("the bot"), "{}", page.text);
    let page = rig.get("/console/threads?find=0123").await;
    assert!(page.text.contains("sms +…23") && !page.text.contains("5555"), "{}", page.text);
    let whole = rig.get("/console/threads?find=%2B15555550123").await;
    assert!(
        whole.text.contains("last 6 digits") && !whole.text.contains("5550123"),
        "{}",
        whole.text
    );
}

#[tokio::test]
async fn a_thread_changes_hands_and_hears_the_operator_once() {
    let rig = Rig::open(None).await;
    rig.tell_a_story().await;
    let path = format!("/console/threads/{CONVERSATION}");
    let page = rig.get(&path).await;
    assert!(
        page.text.contains("Give to a person") && page.text.contains("Reply sent"),
        "{}",
        page.text
    );
    assert_eq!(rig.act(&format!("{path}/pause"), "").await.status, 303);
    assert_eq!(*rig.hands.0.lock().unwrap(), [CONVERSATION.parse().unwrap()]);
    assert!(rig.get(&path).await.text.contains("Give back to the bot"));
    assert_eq!(rig.act(&format!("{path}/resume"), "").await.status, 303);
    assert_eq!(rig.acts(), [OperatorAct::Paused, OperatorAct::Resumed]);

    let key = value_of(&page.text, "key");
    let said = format!("key={key}&body=We+are+on+it.");
    for _ in 0..2 {
        assert_eq!(rig.act(&format!("{path}/say"), &said).await.status, 303);
    }
    let keys: Vec<_> = rig.said.0.lock().unwrap().iter().map(|batch| batch.key.clone()).collect();
    assert_eq!(keys, [key.clone(), key], "the same one counts once");
    for body in ["body=x", "key=planted&body=x", "key=00000000-0000-0000-0000-000000000007&body=+"]
    {
        assert_eq!(rig.act(&format!("{path}/say"), body).await.status, 400, "{body}");
    }
    let long = format!("key={}&body={}", Uuid::from_u128(8), "x".repeat(8_001));
    assert_eq!(rig.act(&format!("{path}/say"), &long).await.status, 400);
    assert_eq!(rig.get(&format!("{path}/pause")).await.status, 405, "no link does it");
}

/// Gives threads to people, and back.
#[derive(Default)]
struct ManyHands(Mutex<Vec<ThreadId>>);

impl Handover for ManyHands {
    fn set(&self, thread: ThreadId, is_paused: bool) -> BoxFuture<'_, Result<(), NotHandedOver>> {
        let mut all = self.0.lock().unwrap();
        all.retain(|known| *known != thread);
        all.extend(is_paused.then_some(thread));
        std::future::ready(Ok(())).boxed()
    }

    fn paused(&self, count: usize) -> BoxFuture<'_, Vec<TakenThread>> {
        let since = Timestamp::from_millis(1_795_009_600_000);
        let all = self.0.lock().unwrap();
        let taken = all.iter().map(|&thread| TakenThread { thread, since });
        std::future::ready(taken.take(count).collect()).boxed()
    }
}

/// Takes what is said.
#[derive(Default)]
struct Heard(Mutex<Vec<Batch>>);

impl Outbox for Heard {
    fn put(&self, batch: Batch) -> BoxFuture<'_, Result<usize, OutboxError>> {
        self.0.lock().unwrap().push(batch);
        std::future::ready(Ok(1)).boxed()
    }
}

/// Knows one pair of addresses, and every conversation.
struct Known;

impl ThreadDirectory for Known {
    fn thread(&self, id: ThreadId) -> BoxFuture<'_, Result<Option<Thread>, Failed>> {
        std::future::ready(Ok(Thread::named(id))).boxed()
    }

    fn ending<'a>(
        &'a self,
        digits: &'a str,
        _: Option<DocumentCursor>,
    ) -> BoxFuture<'a, Result<KnownThreads, Failed>> {
        let pair = Pair {
            medium: Medium::Sms,
            ours: "+15555550100".into(),
            theirs: "+15555550123".into(),
        };
        let fits = pair.theirs.reveal().ends_with(digits);
        let threads = fits.then(|| (pair.into(), Timestamp::from_millis(5))).into_iter().collect();
        std::future::ready(Ok(KnownThreads { threads, next: None })).boxed()
    }
}

pub(super) struct Rig {
    pub(super) router: Router,
    store: Store,
    journal: Journal,
    threads: ThreadSearch,
    hands: Arc<ManyHands>,
    said: Arc<Heard>,
    _place: TempDir,
}

impl Rig {
    /// Opens the console over a store with five dead letters.
    pub(super) async fn open(token: Option<&str>) -> Self {
        let place = TempDir::new().unwrap();
        let clock = Clock::start();
        let store = Store::open(embedded::Options::new(place.path().join("queue.db"))).unwrap();
        letters::bury(&store).await;
        let timeline = segments::open(segments::Options {
            folder: place.path().join("timeline"),
            retention: Duration::from_secs(3_600),
            bytes_max: 1 << 20,
            clock,
        });
        let (hands, said) = (Arc::<ManyHands>::default(), Arc::<Heard>::default());
        let journal = Journal::new(64);
        let notes = Notes { journal: journal.clone(), clock };
        let threads = ThreadSearch {
            directory: Arc::new(Known),
            handover: Arc::<ManyHands>::clone(&hands),
            store: store.clone(),
            timeline: Some(timeline),
            clock,
        };
        let bench = Workbench {
            dead_letters: DeadLetters::new(store.clone(), clock).noting(notes.clone()),
            threads: threads.clone(),
            texts: KeptTexts::new(store.clone(), notes.clone()),
            outbox: Arc::<Heard>::clone(&said),
            notes,
        };
        let router = with_bench(token, (NEAR, Some(bench)), CancellationToken::new());
        Self { router, store, journal, threads, hands, said, _place: place }
    }

    pub(super) async fn get(&self, path: &str) -> super::Read {
        get_page(&self.router, path, None).await
    }

    /// Sends a form as a page of ours does.
    async fn act(&self, path: &str, body: &str) -> super::Read {
        let form = form_of(&self.get(&format!("/console/threads/{CONVERSATION}")).await.text);
        send(&self.router, path, None, &format!("form={form}&{body}")).await
    }

    /// Has the message and a reply to it wait.
    async fn keep_texts(&self) {
        let (thread, message): (ThreadId, MessageId) =
            (CONVERSATION.parse().unwrap(), MESSAGE.parse().unwrap());
        let place = json!({"conversation": CONVERSATION});
        let thread_shown = serde_json::to_value(Thread::named(thread).unwrap()).unwrap_or(place);
        let said = json!({"v": "2", "thread": thread_shown, "at": 5, "message": {
            "sid": MESSAGE, "index": 1, "author": "+15555550123", "body": "planted-open-message",
            "participant": null, "created": null}});
        let reply = json!({"v": "1", "id": Uuid::from_u128(7), "thread": thread_shown, "turn": MESSAGE,
            "reply": {"body": "<b>planted-reply</b>!"}, "at": 6});
        for (queue, id, payload) in [
            (QueueName::Inbox, turn_id(message), said),
            (QueueName::Outbox, reply_job(message, 0), reply),
        ] {
            let append = Append {
                id,
                key: lane(thread),
                position: None,
                not_before: None,
                payload: payload.to_string().into(),
            };
            self.store.queue(queue).append(vec![append]).await.unwrap();
        }
    }

    async fn dead(&self) -> u64 {
        let mut dead = 0;
        for queue in crate::queue::QueueName::ALL {
            dead += self.store.queue(queue).stats().await.unwrap().dead;
        }
        dead
    }

    /// What is noted that an operator did.
    fn acts(&self) -> Vec<OperatorAct> {
        let records = self.journal.recent(CONVERSATION.parse::<ThreadId>().unwrap());
        let acts = records.iter().filter_map(|record| match record.stage {
            Stage::Operator { act } => Some(act),
            _ => None,
        });
        acts.collect()
    }

    /// Has a message answered.
    pub(super) async fn tell_a_story(&self) {
        let thread: ThreadId = CONVERSATION.parse().unwrap();
        let message: MessageId = MESSAGE.parse().unwrap();
        let start = self.threads.clock.wall().as_millis() - 5_000;
        let of = |at, reply_id, stage| Record {
            at: Timestamp::from_millis(start + at),
            thread,
            message: Some(message),
            reply_id,
            stage,
        };
        let reply = Some(Uuid::from_u128(7));
        let records = vec![
            of(0, None, Stage::MessageSeen { door: Door::Webhook }),
            of(10, None, Stage::TurnStarted),
            of(2_000, None, Stage::AgentAnswered { replies: 1 }),
            of(2_001, reply, Stage::ReplyStored),
            of(2_300, reply, Stage::ReplySent { via: Via::Socket, reply: None }),
        ];
        self.threads.timeline.as_ref().unwrap().told(records).await.unwrap();
    }
}

/// The value of a hidden field or a box, the first of its name.
fn value_of(page: &str, name: &str) -> String {
    let (_, rest) =
        page.split_once(&format!("name=\"{name}\" value=\"")).expect("it is on the page");
    rest.split('"').next().unwrap().to_owned()
}
