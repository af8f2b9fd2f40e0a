//! The one list of all checks: what each looks at, what it expects, what follows if that is not so. Pure.
//!
//! The doctor's explanations, its JSON and the manual's table are made of it. An id never changes.

use std::fmt::Write as _;

/// A check, as it is the same for everybody.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Its id: small letters and hyphens.
    pub id: &'static str,
    /// What is asked, of whom.
    pub call: &'static str,
    /// What is expected.
    pub expected: &'static str,
    /// What follows if it is not so.
    pub consequence: &'static str,
    /// How it is mended in general; a finding may know better.
    pub remedy: &'static str,
}

macro_rules! checks {
    ($($id:literal: $call:literal, $expected:literal, $consequence:literal, $remedy:literal;)*) => {
        /// All checks, in the order of the walk: this machine, the account, conversations, numbers, the way here.
        pub const CHECKS: &[Entry] = &[$(Entry {
            id: $id,
            call: $call,
            expected: $expected,
            consequence: $consequence,
            remedy: $remedy,
        }),*];
    };
}

checks! {
    "settings": "the environment and the configuration file", "each key has a value that it can have",
        "the service does not start", "`chimein config` shows every value with its origin";
    "store": "the queue's file, or its NATS servers", "it opens, and its format is known",
        "no message can be kept, so webhooks are refused", "let CHIMEIN_QUEUE_PATH or NATS_URL name a place that works";
    "store-rights": "the mode of the queue's file", "nobody but this user has rights to it",
        "others can read what people wrote", "chmod 600";
    "store-disk": "64 KiB written beside the queue's file, and the free space", "room for what the queue may grow",
        "webhooks are refused once the disk is full", "make room, or lower CHIMEIN_QUEUE_BYTES_MAX";
    "server-listen": "the public listener's address, bound for a moment", "it is free, or taken by the running service",
        "the service does not start", "stop what listens there, or set another PORT";
    "admin-listen": "the admin listener's address, bound for a moment", "it is on, and free or taken by the running service",
        "no metrics, and no command can ask the service", "set CHIMEIN_ADMIN_LISTEN";
    "debug-pages": "CHIMEIN_ADMIN_DEBUG_TOKEN and where the pages listen", "a token wherever others can come",
        "pages and commands are refused to those who need them", "set CHIMEIN_ADMIN_DEBUG_TOKEN to a long random text";
    "region-edge": "TWILIO_REGION and TWILIO_EDGE", "an edge with a region",
        "the region's own edge is taken; hosts of a region alone ended in April 2026", "name the edge in TWILIO_EDGE";
    "proxies": "HTTPS_PROXY and its like, and a connection to the proxy", "the proxy takes connections",
        "nothing reaches Twilio", "check the proxy's host and port, or NO_PROXY";
    "token-rotation": "TWILIO_AUTH_TOKEN_NEXT", "it is unset when no rotation is under way",
        "two tokens can sign webhooks", "make it TWILIO_AUTH_TOKEN once Twilio has, and unset it";
    "agent": "a ping of the agent, or what its kind has", "it answers",
        "messages wait for an answer", "start the agent, and check its settings";
    "agent-secret": "two pings: signed well, and forged", "204 to the one, 401 to the other",
        "turns are refused, or anybody can talk to the agent", "one CHIMEIN_AGENT_SECRET here and there";
    "bus": "the platform's bus and who takes its topics", "somebody takes each topic",
        "messages wait on the bus", "check NATS_URL, BUS_PREFIX and that the platform runs";
    "twilio": "TWILIO_ENABLED", "it is on",
        "no message is answered", "set TWILIO_ENABLED=true";
    "twilio-reach": "GET of the Conversations API's base", "any answer",
        "nothing can be sent", "check network, DNS, proxy and firewall";
    "clock": "the Date of Twilio's answer", "within 5 s of this machine's clock",
        "from 60 s on tokens are refused", "let the clock be set by NTP";
    "credentials": "GET api /Accounts/{AC}.json", "200",
        "every request is refused", "check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN";
    "account-status": "the account's `status`", "active",
        "Twilio takes no message", "look at billing in the console";
    "account-type": "the account's `type`", "Full",
        "only verified numbers are written to", "upgrade the account, or verify the numbers";
    "balance": "GET api /Accounts/{AC}/Balance.json", "more than nothing",
        "Twilio suspends the account", "add funds";
    "api-key": "GET of the service's webhooks, signed in with the key", "200",
        "the socket is refused", "check TWILIO_API_KEY, TWILIO_API_SECRET and TWILIO_REGION";
    "api-key-policy": "GET iam /v1/Keys/{SK}", "no `policy`",
        "a restricted key signs no access tokens, so the socket is refused", "make a standard key";
    "alerts": "GET monitor /v1/Alerts of 24 hours", "none that names our URL",
        "events were lost on the way here", "11200 and 11205: answer in time; 12300: the answer's type";
    "chat-service": "GET of the service's webhooks", "the account has the service",
        "no conversation is found", "set TWILIO_CHAT_SERVICE_SID";
    "default-service": "GET /Configuration `default_chat_service_sid`", "our service",
        "conversations that name no service are made elsewhere", "name the service wherever conversations are made";
    "closed-timer": "GET /Configuration `default_closed_timer`", "none, or an hour and more",
        "conversations are closed for good while people talk", "raise DefaultClosedTimer";
    "webhook-url": "GET /Services/{IS}/Configuration/Webhooks `post_webhook_url`", "our URL, letter by letter",
        "events come by the sweep alone, late", "set PostWebhookUrl";
    "webhook-method": "the service's `method`", "POST",
        "texts stand in URLs, and so in logs on the way", "set Method to POST";
    "webhook-filters": "the service's `filters`", "onConversationAdded, onMessageAdded; onDeliveryUpdated is wished for",
        "events that are missing come by the sweep alone", "add them to Filters";
    "pre-webhook": "the service's `pre_webhook_url`", "none",
        "people's messages wait for whoever has that URL", "clear PreWebhookUrl";
    "account-webhooks": "GET /Configuration/Webhooks `post_webhook_url`", "none, or our URL",
        "another program hears the same events and may answer too", "clear it, or set our URL";
    "role-permissions": "the service's role for participants, and its `permissions`", "sendMessage",
        "replies are refused with 50107", "add the permission to the role";
    "reachability": "GET /Services/{IS}/Configuration `reachability_enabled`", "as wanted: nothing here needs it",
        "people do not see whether the bot is online", "set ReachabilityEnabled to true if that is wanted";
    "seats": "GET /ParticipantConversations of each identity", "800 of 1,000 at most",
        "the bot can join no conversation", "add an identity to CHIMEIN_IDENTITY_POOL, or leave idle ones";
    "conversation-webhooks": "GET /Conversations/{CH}/Webhooks of the newest", "no Studio flow, and fewer than five",
        "a flow answers beside the bot", "delete the conversation's webhook";
    "address-missing": "GET /Configuration/Addresses", "each address that the bot answers is there",
        "what is sent to it makes no conversation", "let the number autocreate conversations";
    "address-disabled": "an address' `auto_creation.enabled`", "true",
        "what is sent to it makes no conversation", "set AutoCreation.Enabled";
    "address-service": "an address' `auto_creation.conversation_service_sid`", "our service",
        "conversations are made where the bot does not listen", "set AutoCreation.ConversationServiceSid";
    "address-type": "an address' `auto_creation.type`", "default, or webhook with our URL",
        "a Studio flow answers beside the bot", "set AutoCreation.Type to default";
    "source-twice": "what makes conversations of a number, and the number's own webhook", "one road for each",
        "each message comes twice", "one source per address: CHIMEIN_MESSAGING_SOURCES";
    "messaging-service": "GET messaging /v1/Services/{MG}", "it leads here, or to its numbers' own webhooks",
        "messages go elsewhere or nowhere", "set its InboundRequestUrl";
    "number-missing": "GET api /IncomingPhoneNumbers.json?PhoneNumber=", "the account has the number",
        "Twilio refuses to send from it", "check TWILIO_PHONE_NUMBER";
    "number-capabilities": "the number's `capabilities.sms`", "true",
        "it can neither get nor send texts", "take a number with SMS";
    "number-webhook": "the number's `sms_url`", "our URL",
        "messages go elsewhere", "set the number's A message comes in";
    "number-application": "the number's `sms_application_sid`", "none",
        "the application's URL counts, and the number's does not", "take the application out of the number";
    "whatsapp-sender": "GET messaging /v2/Channels/Senders", "our sender is there and ONLINE",
        "nothing comes or goes by WhatsApp", "look at the sender in the console";
    "whatsapp-quality": "the sender's `quality_rating`", "HIGH or MEDIUM",
        "WhatsApp lowers the limit of messages", "send what people want";
    "whatsapp-webhook": "the sender's `webhook.callback_url`", "our URL",
        "messages go elsewhere", "set the sender's webhook";
    "template": "GET content /v1/Content/{HX}/ApprovalRequests", "approved",
        "nobody is written to after 24 hours", "submit the template, or name another one";
    "public-url": "CHIMEIN_WEBHOOK_PUBLIC_URL", "https, a public host without an underscore",
        "Twilio cannot call it", "set what Twilio calls, such as `https://bot.example.com`";
    "url-reach": "POST of our public URL", "an answer",
        "no webhook arrives", "check DNS, certificate, tunnel and firewall";
    "url-signed": "the same, signed with our token", "2xx within a second",
        "webhooks are refused", "let proxies pass host and path as they are; check TWILIO_AUTH_TOKEN";
    "url-forged": "the same, signed with a token that nobody has", "403",
        "anybody can write in people's names", "let nothing answer before the service";
    "socket-token": "a token for the bot, signed with the API secret, shown at the socket", "it is let in",
        "messages come by webhook alone", "take a standard key with its own secret, of this account and region";
    "socket": "the WebSocket's address, and the upgrade", "it opens",
        "messages come by webhook alone", "let proxies and firewalls pass WebSockets";
}

/// Finds a check.
#[must_use]
pub fn of(id: &str) -> Option<&'static Entry> {
    CHECKS.iter().find(|check| check.id == id)
}

/// Writes the checks as a table in Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut table = String::from(
        "| check | what is asked | expected | otherwise | what helps |\n| --- | --- | --- | --- | --- |\n",
    );
    for Entry { id, call, expected, consequence, remedy } in CHECKS {
        // Writing to a String does not fail.
        let _ = writeln!(table, "| `{id}` | {call} | {expected} | {consequence} | {remedy} |");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stable_words_said_once() {
        assert!(CHECKS.len() >= 30, "{}", CHECKS.len());
        for (at, check) in CHECKS.iter().enumerate() {
            let is_kebab = check.id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
            assert!(is_kebab, "{}", check.id);
            assert!(CHECKS[at + 1..].iter().all(|other| other.id != check.id), "{}", check.id);
            let all = [check.call, check.expected, check.consequence, check.remedy];
            assert!(all.iter().all(|text| !text.is_empty() && !text.contains('|')), "{check:?}");
            assert_eq!(of(check.id), Some(check));
        }
        assert_eq!(markdown().lines().count(), CHECKS.len() + 2);
    }
}
