//! The rules between settings, and the limits that a kind alone does not know.
//!
//! Pure. Each rule says which key breaks it and what would go wrong. A rule whose values are
//! missing or malformed is not judged: that problem has been told already.

use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU16, NonZeroU32, NonZeroUsize};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use super::agents::Declaration;
use super::kinds::{
    AgentKind, BaseUrl, HeaderField, HostPart, HttpUrl, Identities, Identity, Listen, Name,
    Networks, QueueEngine, RestAuth, SenderRates, Senders, Setting, Size, Sources,
    TemplateVariables, Timeout,
};
use super::reader::Reader;
use crate::net::authority::Hosts;
use crate::net::proxies::Proxy;
use crate::pii::Pii;
use crate::standard_webhooks::Secret;
use crate::telemetry::otlp;
use crate::thread::{HISTORY_CHARS_MAX, HISTORY_MESSAGES_MAX};
use crate::twilio::rest;

/// The largest answer of an agent that may be read: cut into parts, it still fits into the outbox.
pub(crate) const AGENT_RESPONSE_BYTES_MAX: usize = 512 << 10;

/// Notes every rule that the values break; those about Twilio only if it is on.
pub(super) fn check(reader: &mut Reader<'_>, kinds: &[Declaration], is_twilio_on: bool) {
    if is_twilio_on {
        check_twilio(reader);
    }
    check_messaging(reader);
    check_listeners(reader);
    check_agents(reader, kinds);
    check_alarms(reader);
    check_work(reader);
    check_nats(reader);
    check_proxies(reader);
    let headers = reader.value::<SecretString>("telemetry.otlp_headers");
    let headers = headers.map(|headers| otlp::are_headers(&headers));
    reader.rule("telemetry.otlp_headers", headers, "is not name=value, separated by commas");
    let timeout = reader.value("telemetry.otlp_timeout");
    let timeout =
        timeout.map(|Timeout(timeout): Timeout| (MILLISECOND..=minutes(5)).contains(&timeout));
    reader.rule("telemetry.otlp_timeout", timeout, "is not between 1ms and 5m");
    for key in [
        "twilio.connect_timeout",
        "twilio.request_timeout",
        "server.header_read_timeout",
        "server.body_read_timeout",
        "server.write_timeout",
        "realtime.connect_timeout",
    ] {
        within(reader, key, MILLISECOND..=minutes(5), "is not between 1ms and 5m");
    }
}

fn check_twilio(reader: &mut Reader<'_>) {
    // Source: protocol notes, access token: a token lives 24 h at most.
    let life = minutes(5)..=minutes(24 * 60);
    within(reader, "twilio.token_ttl", life, "is not between 5m and 24h");
    let smallest = reader.value("twilio.response_bytes_max").map(|size: Size| size.0 >= 64 << 10);
    reader.rule(
        "twilio.response_bytes_max",
        smallest,
        "is under 64KiB, less than one page of messages",
    );
    longer(
        reader,
        ["queue.lease", "twilio.request_timeout"],
        "is not longer than twilio.request_timeout, so a job would come again during its request",
    );
    check_conversations(reader);
    let name = reader.value::<Identity>("identity.name");
    check_region(reader);
    check_place(reader);
    let pool = reader.value::<Identities>("identity.pool");
    let is_unique = pool.map(|Identities(pool)| {
        let identities: Vec<&Identity> = name.iter().chain(&pool).collect();
        identities.iter().enumerate().all(|(at, one)| !identities[..at].contains(one))
    });
    reader.rule("identity.pool", is_unique, "names an identity twice, or identity.name again");
}

/// What conversations need, all of it or nothing.
const OF_CONVERSATIONS: [&str; 4] =
    ["twilio.api_key", "twilio.api_secret", "twilio.chat_service_sid", "identity.name"];

/// Whether there are numbers, which alone are enough to start.
pub(super) fn has_numbers(reader: &Reader<'_>) -> bool {
    ["messaging.phone_numbers", "messaging.whatsapp_numbers"].iter().any(|name| reader.is_set(name))
}

/// Whether the bot is to be in conversations: nothing else is there, or something of them is set.
pub(super) fn needs_conversations(reader: &Reader<'_>) -> bool {
    !has_numbers(reader) || OF_CONVERSATIONS.iter().any(|name| reader.is_set(name))
}

/// Without numbers each of them is required by itself.
fn check_conversations(reader: &mut Reader<'_>) {
    let (has_numbers, needs) = (has_numbers(reader), needs_conversations(reader));
    for name in OF_CONVERSATIONS.into_iter().filter(|_| has_numbers && needs) {
        let is_set = reader.is_set(name);
        reader.rule(
            name,
            Some(is_set),
            "is required with the others that conversations need: set all of TWILIO_API_KEY, \
             TWILIO_API_SECRET, TWILIO_CHAT_SERVICE_SID and TWILIO_IDENTITY, or for numbers alone none",
        );
    }
    let auth = reader.value::<RestAuth>("twilio.rest_auth");
    reader.rule(
        "twilio.rest_auth",
        auth.map(|auth| needs || auth == RestAuth::Token),
        "is key, and numbers alone have none: let it be token",
    );
}

/// Numbers, their limits, and files.
fn check_messaging(reader: &mut Reader<'_>) {
    let interval = reader.value("messaging.sweep_interval");
    let is_kept = interval.map(|interval: Duration| {
        interval.is_zero() || (seconds(1)..=minutes(24 * 60)).contains(&interval)
    });
    reader.rule("messaging.sweep_interval", is_kept, "is neither 0s nor between 1s and 1d");
    let kept = minutes(30 * 24 * 60)..=minutes(3650 * 24 * 60);
    within(reader, "messaging.contact_retention", kept, "is not between 30d and 3650d");
    at_most(reader, "messaging.max_segments", 1_000, "is over 1000");
    at_most(reader, "messaging.daily_segments", 1_000_000, "is over 1000000");
    let segments = |name| reader.value::<NonZeroU32>(name);
    let pair = segments("messaging.daily_segments").zip(segments("messaging.max_segments"));
    reader.rule(
        "messaging.daily_segments",
        pair.map(|(daily, one)| daily >= one),
        "is under messaging.max_segments, so one reply could be too much for a day",
    );
    check_numbers(reader);
    let has_template = reader.is_set("whatsapp.template");
    let variables = reader.value::<TemplateVariables>("whatsapp.template_variables");
    let is_kept = variables.map(|_| has_template);
    reader.rule("whatsapp.template_variables", is_kept, "goes with whatsapp.template only");
    check_files(reader);
}

/// Files: how large they may be, and for how long a link counts.
fn check_files(reader: &mut Reader<'_>) {
    let largest = reader.value("media.max_bytes").map(|size: Size| size.0);
    let range = 1 << 10..=256 << 20;
    let is_kept = largest.map(|largest| range.contains(&largest));
    reader.rule("media.max_bytes", is_kept, "is not between 1KiB and 256MiB");
    let inline = reader.value("media.inline_bytes").map(|size: Size| size.0);
    let is_kept = inline.map(|inline| inline <= 8 << 20);
    reader.rule("media.inline_bytes", is_kept, "is over 8MiB, more than a turn should be");
    let is_kept = inline.zip(largest).map(|(inline, largest)| inline <= largest);
    reader.rule("media.inline_bytes", is_kept, "is over media.max_bytes");
    let lifetime = minutes(1)..=minutes(7 * 24 * 60);
    within(reader, "media.link_ttl", lifetime, "is not between 1m and 7d");
}

/// What is set for a number is set for one of ours; a messaging service may have further ones.
fn check_numbers(reader: &mut Reader<'_>) {
    let [phone, whatsapp] = ["messaging.phone_numbers", "messaging.whatsapp_numbers"]
        .map(|name| reader.value::<Senders>(name).unwrap_or_default());
    let has_service = reader.is_set("messaging.service_sid");
    let known = phone.with(&whatsapp);
    // Without its word a number of WhatsApp alone is nobody's, however that is set.
    let is_ours = |address: &Pii| {
        let on_whatsapp = Pii::from(format!("whatsapp:{}", address.reveal()));
        known.contains(address) || has_service && !known.contains(&on_whatsapp)
    };
    let rates = reader.value::<SenderRates>("messaging.sender_rates");
    let are_ours = rates.as_ref().map(|rates| rates.addresses().all(is_ours));
    let sources = reader.value::<Sources>("messaging.sources");
    let sources = sources.map(|sources| sources.addresses().all(is_ours));
    let broken = "names a number that is in neither messaging.phone_numbers nor \
         messaging.whatsapp_numbers (a number on WhatsApp begins with whatsapp:)";
    reader.rule("messaging.sender_rates", are_ours, broken);
    reader.rule("messaging.sources", sources, broken);
    let most = rates.map(|rates| rates.fastest().is_none_or(|rate| rate.get() <= 1_000));
    reader.rule("messaging.sender_rates", most, "has a rate over 1000");
}

/// A region is entered by an edge; which one, is known of some regions only.
fn check_region(reader: &mut Reader<'_>) {
    let region = reader.value::<HostPart>("twilio.region");
    let has_own = region.map(|region| rest::own_edge(region.as_str()).is_some());
    let is_given = |name| reader.value::<BaseUrl>(name).is_some();
    let is_led = reader.value::<HostPart>("twilio.edge").is_some()
        || is_given("twilio.conversations_base_url") && is_given("twilio.api_base_url");
    reader.rule(
        "twilio.region",
        has_own.map(|has_own| has_own || is_led),
        "is a region whose edge is not known (known are us1, ie1 and au1): set TWILIO_EDGE too",
    );
}

/// Twilio signs the place that it calls, so whoever may name that place may say what was signed.
fn check_place(reader: &mut Reader<'_>) {
    let is_known = reader.value::<BaseUrl>("webhook.public_url").is_some()
        || reader.value::<Hosts>("webhook.hosts").is_some_and(|hosts| !hosts.is_empty());
    let keys = ["webhook.public_url", "webhook.hosts"];
    let is_told = reader.problems.iter().any(|problem| keys.contains(&problem.key.as_str()));
    let is_waived: Option<bool> = reader.value("webhook.allow_unknown_host");
    reader.rule(
        "webhook.public_url",
        is_waived.map(|is_waived| is_known || is_told || is_waived),
        "is required: without it a request that Twilio signed for another service of the account \
         counts too (several hosts go into CHIMEIN_WEBHOOK_HOSTS, and \
         CHIMEIN_WEBHOOK_ALLOW_UNKNOWN_HOST=true allows any)",
    );
}

fn check_listeners(reader: &mut Reader<'_>) {
    let idle = MILLISECOND..=minutes(60);
    within(reader, "server.idle_timeout", idle, "is not between 1ms and 60m");
    let grace = seconds(1)..=seconds(10);
    within(reader, "server.shutdown_grace", grace, "is not between 1s and 10s");
    let server = reader.value::<IpAddr>("server.listen").zip(reader.value("server.port"));
    let apart = server.zip(reader.value::<Listen>("admin.listen")).map(|((ip, port), admin)| {
        let port: NonZeroU16 = port;
        match admin {
            Listen::Off => true,
            Listen::On(admin) => !overlap(admin, SocketAddr::new(ip, port.get())),
        }
    });
    reader.rule("admin.listen", apart, "is the place that the public listener has");
    let [acts, reads] =
        ["admin.debug_token", "admin.read_token"].map(|key| reader.value::<SecretString>(key));
    let is_less =
        reads.map(|reads| acts.is_some_and(|acts| acts.expose_secret() != reads.expose_secret()));
    reader.rule("admin.read_token", is_less, "goes with admin.debug_token only, and is another");
    let has_header = reader.value::<HeaderField>("admin.proxy_header").is_some();
    let proxies = reader.value("admin.proxies").map(|Networks(proxies)| !proxies.is_empty());
    let go_together = proxies.map(|has_proxies| has_proxies == has_header);
    reader.rule("admin.proxies", go_together, "goes with admin.proxy_header, neither alone");
    let body = reader
        .value("webhook.body_bytes_max")
        .map(|size: Size| (1 << 10..=1 << 20).contains(&size.0));
    reader.rule("webhook.body_bytes_max", body, "is not between 1KiB and 1MiB");
    // Source: webhooks, timeouts: Conversations waits 5 s for an answer.
    within(
        reader,
        "webhook.read_timeout",
        MILLISECOND..=Duration::from_millis(4_999),
        "is not under the 5s after which Twilio gives up",
    );
    within(
        reader,
        "webhook.answer_within",
        MILLISECOND..=Duration::from_millis(4_999),
        "is not under the 5s after which Twilio gives up",
    );
    longer(
        reader,
        ["webhook.answer_within", "webhook.read_timeout"],
        "is not longer than webhook.read_timeout, so a slow body would leave no time to store it",
    );
}

/// The alarms have somewhere to go, signed, and times that make sense.
fn check_alarms(reader: &mut Reader<'_>) {
    let has_url = reader.value::<HttpUrl>("alarms.url").is_some();
    let secret = reader.value::<SecretString>("alarms.secret");
    let is_signed = secret.as_ref().map_or(!has_url, |secret| Secret::parse(secret).is_ok());
    let broken = "is required with alarms.url, as whsec_ and 24 to 64 bytes in base64";
    reader.rule("alarms.secret", Some(is_signed), broken);
    within(reader, "alarms.interval", seconds(1)..=minutes(5), "is not between 1s and 5m");
    within(reader, "alarms.hold", Duration::ZERO..=minutes(60), "is over 1h");
    let day = minutes(60 * 24 * 30);
    within(reader, "alarms.repeat", minutes(1)..=day, "is not between 1m and 30d");
    within(reader, "alarms.queue_oldest", seconds(1)..=day, "is not between 1s and 30d");
}

/// The rules of all kinds of agents; some are judged only where their kind is chosen.
fn check_agents(reader: &mut Reader<'_>, kinds: &[Declaration]) {
    check_agent(reader);
    let chosen = reader.value::<AgentKind>("agent.kind").map(AgentKind::word);
    for kind in kinds {
        (kind.check)(reader, chosen == Some(kind.word));
    }
}

/// What every agent has, by name or not.
pub(super) fn check_agent(reader: &mut Reader<'_>) {
    let secret = reader.value::<SecretString>("agent.secret");
    let secret = secret.map(|secret| Secret::parse(&secret).is_ok());
    reader.rule("agent.secret", secret, "is not whsec_ and 24 to 64 bytes in base64");
    within(reader, "agent.timeout", seconds(1)..=minutes(60), "is not between 1s and 1h");
    let answer = reader
        .value("agent.response_bytes_max")
        .map(|size: Size| (1 << 10..=AGENT_RESPONSE_BYTES_MAX).contains(&size.0));
    reader.rule("agent.response_bytes_max", answer, "is not between 1KiB and 512KiB");
    if reader.is_of_one() {
        let pair = reader.value::<Duration>("turns.stale_after");
        let pair = pair.zip(reader.value::<Duration>("agent.timeout"));
        let broken =
            "is not shorter than turns.stale_after, so one slow turn would make the next one stale";
        return reader.rule("agent.timeout", pair.map(|(stale, turn)| stale > turn), broken);
    }
    longer(
        reader,
        ["turns.stale_after", "agent.timeout"],
        "is not longer than agent.timeout, so one slow turn would make the next one stale",
    );
}

fn check_work(reader: &mut Reader<'_>) {
    within(
        reader,
        "turns.webhook_grace",
        Duration::ZERO..=seconds(10),
        "is over 10s, which a person would notice",
    );
    let quiet = MILLISECOND * 10..=minutes(1);
    within(reader, "turns.quiet", quiet, "is not between 10ms and 1m");
    let longest = Duration::ZERO..=minutes(5);
    within(reader, "turns.longest_wait", longest, "is over 5m, which a person would not wait");
    longer(
        reader,
        ["turns.longest_wait", "turns.quiet"],
        "is not longer than turns.quiet, so every burst would end at its first message",
    );
    at_most(reader, "turns.burst_max", 99, "is over the 99 that a delivery takes along");
    longer(
        reader,
        ["queue.retention", "turns.stale_after"],
        "is not longer than turns.stale_after, so a late duplicate would be answered again",
    );
    let kept = minutes(24 * 60)..=Duration::MAX;
    within(reader, "queue.dead_retention", kept, "is under 1d, less than a night's sleep");
    let room = reader.value("queue.bytes_max").map(|size: Size| size.0 >= 64 << 20);
    reader.rule("queue.bytes_max", room, "is under 64MiB");
    let kept = minutes(60)..=Duration::MAX;
    within(reader, "timeline.retention", kept, "is under 1h, gone before anybody looks");
    let room = reader.value("timeline.bytes_max").map(|size: Size| size.0 >= 1 << 20);
    reader.rule("timeline.bytes_max", room, "is under 1MiB");
    within(reader, "queue.lease", seconds(5)..=minutes(60), "is not between 5s and 1h");
    // Source: Conversations limits: 30 writes a second per conversation.
    at_most(reader, "send.conversation_rate", 30, "is over the 30 a second that Twilio takes");
    for (key, limit, broken) in
        [("send.service_rate", 10_000, "is over 10000"), ("send.sender_rate", 1000, "is over 1000")]
    {
        let rate = reader.value(key).flatten();
        let is_kept = rate.is_none_or(|rate: NonZeroU32| rate.get() <= limit);
        reader.rule(key, Some(is_kept), broken);
    }
    let rest = minutes(1)..=Duration::MAX;
    let broken = "is under 1m, which would spend the account's request rate";
    within(reader, "reconcile.interval", rest, broken);
    let idle = minutes(60)..=Duration::MAX;
    within(reader, "seats.leave_idle_after", idle, "is under 1h, in the middle of a conversation");
}

fn check_nats(reader: &mut Reader<'_>) {
    let engine = reader.value::<QueueEngine>("queue.engine");
    let is_built = engine.map(|engine| engine == QueueEngine::Embedded || cfg!(feature = "nats"));
    reader.rule(
        "queue.engine",
        is_built,
        "is nats, and this chimein was built without it: build it with the cargo feature nats",
    );
    let has_user = reader.value::<Name>("nats.user").is_some();
    let is_secret = |name| reader.value::<SecretString>(name).is_some();
    let has_password = is_secret("nats.password");
    let others = [
        is_secret("nats.token"),
        is_secret("nats.nkey_seed"),
        reader.value::<PathBuf>("nats.creds_file").is_some(),
    ];
    let ways = usize::from(has_user || has_password)
        + others.iter().map(|is_set| usize::from(*is_set)).sum::<usize>();
    reader.rule("nats.password", Some(has_user == has_password), "goes with nats.user only");
    reader.rule(
        "nats.url",
        Some(ways <= 1),
        "has more than one way to sign in: keep one of user and password, token, nkey seed and \
         credentials file",
    );
    let replicas = reader.value("nats.replicas").map(|count: NonZeroUsize| count.get() <= 5);
    reader.rule("nats.replicas", replicas, "is over the 5 servers that JetStream can use");
}

/// A proxy that would be asked must speak HTTP.
fn check_proxies(reader: &mut Reader<'_>) {
    let proxy = |reader: &Reader<'_>, name| reader.value::<Proxy>(name);
    let is_all_used =
        ["proxy.https", "proxy.http"].iter().any(|name| proxy(reader, name).is_none());
    for (name, is_used) in [("proxy.https", true), ("proxy.http", true), ("proxy.all", is_all_used)]
    {
        let is_spoken = proxy(reader, name).map(|proxy| !is_used || proxy.is_http());
        reader.rule(name, is_spoken, "is a SOCKS proxy; only HTTP proxies are spoken to (CONNECT)");
    }
}

/// Whether one listener would take the other's place.
fn overlap(left: SocketAddr, right: SocketAddr) -> bool {
    let shares_address =
        left.ip() == right.ip() || left.ip().is_unspecified() || right.ip().is_unspecified();
    left.port() == right.port() && shares_address
}

/// Requires that a key's duration is within a range.
pub fn within(
    reader: &mut Reader<'_>,
    key: &'static str,
    range: RangeInclusive<Duration>,
    broken: &'static str,
) {
    let is_kept = reader.value(key).map(|value: Duration| range.contains(&value));
    reader.rule(key, is_kept, broken);
}

/// How long an agent may say nothing to a turn that it has taken: a second to a day, or nobody watches.
pub fn silence(reader: &mut Reader<'_>, key: &'static str) {
    let day = Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);
    let silence = reader.value(key);
    let is_kept = silence.map(|silence: Duration| silence.is_zero() || day.contains(&silence));
    reader.rule(key, is_kept, "is neither 0s nor between 1s and 1d");
}

/// Requires a value of the kind of agent that is chosen.
pub fn required<T: Setting>(
    reader: &mut Reader<'_>,
    key: &'static str,
    is_chosen: bool,
    broken: &'static str,
) {
    let is_kept = !is_chosen || reader.value::<T>(key).is_some();
    reader.rule(key, Some(is_kept), broken);
}

/// Requires that what an agent is told of what was said before has its bounds: the key of how many messages, and
/// the key of how many characters.
pub fn history(reader: &mut Reader<'_>, [messages, chars]: [&'static str; 2]) {
    let few = |most: usize| move |count: usize| count <= most;
    let is_kept = reader.value(messages).map(few(HISTORY_MESSAGES_MAX));
    reader.rule(messages, is_kept, "is over 100");
    let is_kept = reader.value(chars).map(few(HISTORY_CHARS_MAX));
    reader.rule(chars, is_kept, "is over 200000");
}

/// Requires that the first key's duration is longer than the second one's.
pub fn longer(reader: &mut Reader<'_>, [long, short]: [&'static str; 2], broken: &'static str) {
    let pair = reader.value::<Duration>(long).zip(reader.value::<Duration>(short));
    reader.rule(long, pair.map(|(long, short)| long > short), broken);
}

/// Requires that a key's number is no larger than a limit.
pub fn at_most(reader: &mut Reader<'_>, key: &'static str, limit: u32, broken: &'static str) {
    let is_kept = reader.value(key).map(|value: NonZeroU32| value.get() <= limit);
    reader.rule(key, is_kept, broken);
}

const MILLISECOND: Duration = Duration::from_millis(1);

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}
