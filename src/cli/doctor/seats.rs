//! How many conversations the bot's identities sit in, and what else the newest of these are told to.

use futures::future::join_all;

use super::asking::{Asking, unseen};
use crate::finding::Finding;
use crate::twilio::events::ConversationState;
use crate::twilio::rest::{self, ConversationWebhook, ParticipantConversation};

/// How many conversations an identity can be in. Source: Conversations limits, read 2026-11-21.
const SEATS_MAX: usize = 1_000;

/// From how many on it is worth a word.
const SEATS_NOTED: usize = 800;

/// How many identities are looked at: each costs up to twenty requests.
const IDENTITIES_LOOKED_AT: usize = 2;

/// How many conversations are asked for webhooks of their own.
const CONVERSATIONS_LOOKED_AT: usize = 3;

/// How many webhooks a conversation can have. Source: Error 50361, read 2026-11-21.
const WEBHOOKS_MAX: usize = 5;

/// Counts the seats and looks at the newest conversations.
pub(super) async fn examine(asking: &Asking<'_>) -> Vec<Finding> {
    let Some(conversations) = &asking.twilio.conversations else { return Vec::new() };
    let bot = &conversations.bot;
    let identities = std::iter::once(&bot.name).chain(&bot.pool.0).map(|name| name.as_str());
    let (mut findings, mut newest) = (Vec::new(), Vec::new());
    let counts = identities
        .take(IDENTITIES_LOOKED_AT)
        .map(async |identity| (identity, count(&asking.rest, identity).await));
    for (identity, count) in join_all(counts).await {
        match count {
            Ok(open) => {
                findings.push(judge(identity, open.len()));
                newest.extend(open);
            }
            Err(error) => findings.push(unseen("seats", &error)),
        }
    }
    newest.truncate(CONVERSATIONS_LOOKED_AT);
    findings.push(webhooks(&asking.rest, &newest).await);
    findings
}

/// The conversations of an identity that take a seat; no more than it takes to judge them.
async fn count(
    rest: &rest::Client,
    identity: &str,
) -> Result<Vec<ParticipantConversation>, rest::Error> {
    let mut pages = rest.participant_conversations(identity);
    let mut open = Vec::new();
    while open.len() <= SEATS_NOTED
        && let Some(page) = pages.next().await?
    {
        let holds = page
            .into_iter()
            .filter(|one| one.conversation_state != Some(ConversationState::Closed));
        open.extend(holds);
    }
    Ok(open)
}

fn judge(identity: &str, taken: usize) -> Finding {
    const CHECK: &str = "seats";
    if taken <= SEATS_NOTED {
        return Finding::ok(CHECK, format!("{identity}: {taken} of {SEATS_MAX}"));
    }
    Finding::warn(
        CHECK,
        format!("{identity}: more than {SEATS_NOTED} of {SEATS_MAX} are taken"),
        "add an identity to CHIMEIN_IDENTITY_POOL, or let idle conversations be left: CHIMEIN_SEATS_LEAVE_IDLE_AFTER",
    )
}

async fn webhooks(rest: &rest::Client, newest: &[ParticipantConversation]) -> Finding {
    const CHECK: &str = "conversation-webhooks";
    let all = newest
        .iter()
        .map(async |one| (one, rest.conversation_webhooks(one.conversation_sid).await));
    for (one, hooks) in join_all(all).await {
        match hooks {
            Ok(hooks) => {
                if let Some(finding) = trouble(&one.conversation_sid.to_string(), &hooks) {
                    return finding;
                }
            }
            // It may have been removed meanwhile.
            Err(error) if error.status() == Some(404) => {}
            Err(error) => return unseen(CHECK, &error),
        }
    }
    Finding::ok(CHECK, format!("nothing foreign in {} of the bot's conversations", newest.len()))
}

fn trouble(conversation: &str, hooks: &[ConversationWebhook]) -> Option<Finding> {
    const CHECK: &str = "conversation-webhooks";
    let flow = hooks.iter().find(|hook| hook.target.as_deref() == Some("studio"));
    if let Some(flow) = flow {
        let found = format!(
            "{conversation} has a Studio flow ({}), which answers beside the bot",
            flow.sid
        );
        let remedy =
            "delete the conversation's webhook, and let its address autocreate with type default";
        return Some(Finding::warn(CHECK, found, remedy));
    }
    (hooks.len() >= WEBHOOKS_MAX).then(|| {
        let found = format!("{conversation} has {} of {WEBHOOKS_MAX}", hooks.len());
        Finding::warn(CHECK, found, "delete what is no longer used")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Verdict;

    #[test]
    fn seats_are_told_of_while_there_is_time() {
        for (taken, verdict) in [(0, Verdict::Ok), (800, Verdict::Ok), (801, Verdict::Warn)] {
            assert_eq!(judge("bot", taken).verdict, verdict, "{taken}");
        }
    }
}
