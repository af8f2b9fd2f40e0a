//! A thousand people who write at once, whatever kind of agent thinks: none of them waits for another one.
//!
//! An agent that thinks for a while is one that answers nobody before all have asked: whoever could not be
//! thought about beside the others would wait for ever. How long it takes is measured by `cargo bench --bench
//! waiting`, on a build for release.

use crate::rig::Rig;

/// How many people.
pub const PEOPLE: usize = 1000;

/// Lets everybody write this, lets the agent go on once it has been asked as often, and expects that each of them
/// has this answer and no other.
pub async fn are_thought_about_at_once(
    rig: &Rig,
    (text, answer): (&str, &str),
    asked: impl Fn() -> usize,
    let_go_on: impl FnOnce(),
) {
    let mut conversations = Vec::with_capacity(PEOPLE);
    for n in 0..PEOPLE {
        conversations.push(rig.sms(&format!("+1555{n:07}"), text).await);
    }
    rig.eventually("all have asked", |_| asked() >= PEOPLE).await;
    let_go_on();
    for conversation in &conversations {
        rig.eventually("an answer", |rig| !rig.replies(*conversation).is_empty()).await;
    }
    rig.settled().await;
    for conversation in conversations {
        assert_eq!(rig.replies(conversation), [answer]);
    }
}
