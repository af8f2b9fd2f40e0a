//! The promises, each for any kind of agent.

use std::time::Duration;

use chimein::clock::{Clock, Timestamp};
use chimein::twilio::sid::ConversationSid;

use crate::many::are_thought_about_at_once;
use crate::peer::{Peer, rig, rig_with};
use crate::rig::{PHONE, Rig};

/// Somebody else's phone.
const OTHER: &str = "+15555550124";

/// What is asked is answered, each thing once and in order.
pub async fn answers_in_order<P: Peer>() {
    let peer = P::start().await;
    let rig = rig(&peer).await;
    let (mut conversation, mut expected) = (None, Vec::new());
    for text in ["hello", "and again", "bye"] {
        conversation = Some(rig.sms(PHONE, text).await);
        expected.push(text);
    }
    // An echo says it back as it is.
    let conversation = conversation.unwrap();
    rig.eventually("all is answered", |rig| rig.replies(conversation).len() >= 3).await;
    rig.settled().await;
    let said = rig.replies(conversation);
    let said: Vec<_> = said.iter().map(|text| text.trim_start_matches("re: ")).collect();
    assert_eq!(said, expected);
    rig.end().await;
}

/// Whoever gets a turn as a document is told until when its answer is waited for.
pub async fn is_told_when_its_answer_is_due<P: Peer>() {
    let peer = P::start().await;
    let rig = rig_with(&peer, peer.waiting("100s")).await;
    let clock = Clock::start();
    let at_first = clock.wall();
    let conversation = rig.sms(PHONE, "hello").await;
    // What watches for silence is a job that is left for as long.
    said(&rig, conversation, &["re: hello"]).await;
    let (turn, wait) = (peer.document("hello"), Duration::from_secs(100));
    let due = Timestamp::parse_rfc3339(turn["deadline"].as_str().unwrap()).unwrap();
    assert!(due >= at_first + wait && due <= clock.wall() + wait, "{due}");
    rig.end().await;
}

/// Who has nothing to say says nothing, and the next turn is answered.
pub async fn says_nothing<P: Peer>() {
    let peer = P::start().await;
    let rig = rig(&peer).await;
    rig.sms(PHONE, "nothing").await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["re: hello"]).await;
    rig.end().await;
}

/// Several things are said in their order.
pub async fn says_several_things<P: Peer>() {
    let peer = P::start().await;
    let rig = rig(&peer).await;
    let conversation = rig.sms(PHONE, "several").await;
    rig.expect(conversation, P::SEVERAL).await;
    rig.end().await;
}

/// A slow turn is answered in the end, and nobody else waits for it.
pub async fn is_slow_and_holds_up_nobody<P: Peer>() {
    let peer = P::start().await;
    let rig = rig(&peer).await;
    let conversation = rig.sms(PHONE, "slow").await;
    asked(&rig, &peer, "slow").await;
    let other = rig.sms(OTHER, "hello").await;
    said(&rig, other, &["re: hello"]).await;
    assert!(rig.replies(conversation).is_empty());
    peer.let_go_on();
    rig.expect(conversation, &["re: slow"]).await;
    rig.end().await;
}

/// What is said after the turn arrives, and once though it is said twice.
pub async fn answers_late_and_once<P: Peer>() {
    let peer = P::start().await;
    let rig = rig(&peer).await;
    let conversation = rig.sms(PHONE, "late").await;
    asked(&rig, &peer, "late").await;
    peer.say_later(&rig, "at last").await;
    peer.say_later(&rig, "at last").await;
    said(&rig, conversation, &["at last"]).await;
    rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["at last", "re: hello"]).await;
    rig.end().await;
}

/// A turn that was taken over and forgotten is asked again, and answered once.
pub async fn forgets_and_is_asked_again<P: Peer>() {
    let peer = P::start().await;
    let rig = rig_with(&peer, peer.patience()).await;
    let conversation = rig.sms(PHONE, "forget").await;
    said(&rig, conversation, &["re: forget"]).await;
    assert_eq!(peer.asked(), ["forget", "forget"]);
    rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["re: forget", "re: hello"]).await;
    rig.end().await;
}

/// A turn that was taken over and forgotten is asked again, though the next one is answered as it is asked.
pub async fn forgets_one_and_answers_the_next<P: Peer>() {
    let peer = P::start().await;
    let rig = rig_with(&peer, peer.patience()).await;
    let conversation = rig.sms(PHONE, "forget").await;
    asked(&rig, &peer, "forget").await;
    rig.sms(PHONE, "hello").await;
    said(&rig, conversation, &["re: hello", "re: forget"]).await;
    rig.expect(conversation, &["re: hello", "re: forget"]).await;
    rig.end().await;
}

/// A turn that was taken over is answered though the service was started anew meanwhile.
pub async fn survives_our_restart<P: Peer>() {
    let peer = P::start().await;
    let mut rig = rig(&peer).await;
    let conversation = rig.sms(PHONE, "late").await;
    asked(&rig, &peer, "late").await;
    rig.settled().await;
    rig.stop_service().await;
    rig.start_service().await;
    peer.meets(&rig);
    peer.say_later(&rig, "at last").await;
    rig.expect(conversation, &["at last"]).await;
    rig.end().await;
}

/// A turn over which the agent dies is asked again, and answered once.
pub async fn dies_before_it_answers<P: Peer>() {
    dies::<P>("die before").await;
}

/// A turn whose answer the agent has given, and died, is answered once.
pub async fn dies_after_it_answered<P: Peer>() {
    dies::<P>("die after").await;
}

async fn dies<P: Peer>(text: &str) {
    let peer = P::start().await;
    let rig = rig(&peer).await;
    let conversation = rig.sms(PHONE, text).await;
    let answer = format!("re: {text}");
    said(&rig, conversation, &[answer.as_str()]).await;
    if text == "die before" || P::IS_ASKED_AFTER_ITS_ANSWER {
        rig.eventually("it is asked again", |_| peer.asked().len() >= 2).await;
    }
    rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &[answer.as_str(), "re: hello"]).await;
    rig.end().await;
}

/// What nobody understands reaches nobody, and the next turn is answered.
pub async fn talks_garbage<P: Peer>() {
    let peer = P::start().await;
    let rig = rig(&peer).await;
    rig.sms(PHONE, "garbage").await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["re: hello"]).await;
    rig.end().await;
}

/// What people write while the agent is away is answered once it is back, in order.
pub async fn is_away_and_comes_back<P: Peer>() {
    let mut peer = P::start().await;
    let rig = rig(&peer).await;
    let conversation = rig.sms(PHONE, "before").await;
    said(&rig, conversation, &["re: before"]).await;
    rig.settled().await;
    peer.go_away().await;
    rig.sms(PHONE, "one").await;
    rig.sms(PHONE, "two").await;
    let other = rig.sms(OTHER, "three").await;
    peer.come_back().await;
    said(&rig, conversation, &["re: before", "re: one", "re: two"]).await;
    rig.expect(other, &["re: three"]).await;
    assert_eq!(rig.replies(conversation).len(), 3);
    rig.end().await;
}

/// What it was thinking about when it was killed is answered once it is back, once, and in order.
pub async fn is_killed_while_it_thinks<P: Peer>() {
    let mut peer = P::start().await;
    let rig = rig(&peer).await;
    let conversation = rig.sms(PHONE, "slow").await;
    asked(&rig, &peer, "slow").await;
    peer.go_away().await;
    peer.come_back().await;
    peer.let_go_on();
    said(&rig, conversation, &["re: slow"]).await;
    rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["re: slow", "re: hello"]).await;
    rig.end().await;
}

/// A thousand people who write at once are thought about at once, with nothing set but where it is and, where that
/// has a bound, how much room there is.
pub async fn thinks_about_a_thousand_people_at_once<P: Peer>() {
    let peer = P::start().await;
    let rig = rig_with(&peer, peer.room()).await;
    let asked = || peer.asked().len();
    are_thought_about_at_once(&rig, ("slow", "re: slow"), asked, || peer.let_go_on()).await;
    rig.end().await;
}

/// Waits until a peer was asked a text.
async fn asked(rig: &Rig, peer: &impl Peer, text: &str) {
    let is_asked = |_: &Rig| peer.asked().iter().any(|asked| asked == text);
    rig.eventually("it is asked", is_asked).await;
}

/// Waits until these things were said, whatever else there is to do.
async fn said(rig: &Rig, conversation: ConversationSid, texts: &[&str]) {
    rig.eventually(&format!("it says {texts:?}"), |rig| rig.replies(conversation) == texts).await;
}
