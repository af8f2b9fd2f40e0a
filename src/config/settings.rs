//! The settings as types, one section after the other, and the order of their keys.
//!
//! Pure. Each line gives a key its type; its name and its environment variables follow from it. What a
//! key means is said once, in `manual.toml` beside this. What the kinds of agents have for themselves is in
//! their own folders.

use std::net::IpAddr;
use std::num::{NonZeroU16, NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::agents::{Declaration, OfKinds};
pub use super::every_agent::Agent;
use super::key::Key;
use super::kinds::{
    Addresses, AgentName, Attribute, BaseUrl, HeaderField, HostPart, HttpUrl, Identities, Identity,
    Keywords, Listen, Name, NatsUrls, Networks, Paths, People, Prefix, QueueEngine, Ratio, Rejoin,
    RestAuth, Schedule, SenderRates, Senders, Setting as _, Since, Size, SocketUrl, Source,
    Sources, TemplateVariables, Timeout, TurnStrategy, TurnsBegin, WhilePaused,
};
use super::reader::Reader;
use super::routing::{NamedAgent, Routing};
use super::rules;
use super::section::{Section, sections};
use crate::net::authority::Hosts;
use crate::net::proxies::{DirectHosts, Proxies, Proxy};
use crate::pii::Pii;
use crate::telemetry::log::{Format, Level};
use crate::twilio::sid::{AccountSid, ApiKeySid, ChatServiceSid, ContentSid, MessagingServiceSid};

sections! {
    /// Whether Twilio is on.
    Switch = "twilio" {
        /// Whether the service talks to Twilio at all.
        enabled: bool = "TWILIO_ENABLED";
    }
    /// The Twilio account and how it is reached.
    Account = "twilio" {
        /// The account that owns the conversations.
        account_sid: AccountSid = "TWILIO_ACCOUNT_SID";
        /// Checks webhook signatures; signs in to the REST API unless told otherwise.
        auth_token: SecretString = "TWILIO_AUTH_TOKEN";
        /// A second auth token that signatures may carry.
        auth_token_next: Option<SecretString> = "TWILIO_AUTH_TOKEN_NEXT";
        /// What signs in to the REST API.
        rest_auth: RestAuth;
        /// The region that the data lives in.
        region: Option<HostPart> = "TWILIO_REGION";
        /// The edge location that requests enter by.
        edge: Option<HostPart> = "TWILIO_EDGE";
        /// The Conversations API's place, instead of what region and edge give.
        conversations_base_url: Option<BaseUrl> = "TWILIO_CONVERSATIONS_BASE_URL";
        /// The account API's place, instead of what region and edge give.
        api_base_url: Option<BaseUrl> = "TWILIO_API_BASE_URL";
        /// The messaging API's place, instead of what region and edge give.
        messaging_base_url: Option<BaseUrl> = "TWILIO_MESSAGING_BASE_URL";
        /// The media service's place, instead of what the region gives.
        media_base_url: Option<BaseUrl> = "TWILIO_MEDIA_BASE_URL";
        /// The socket's place, instead of what the region gives.
        twilsock_url: Option<SocketUrl> = "TWILIO_TWILSOCK_URL";
        /// How long an access token is valid.
        token_ttl: Duration;
        /// How long a REST connection may take to set up.
        connect_timeout: Duration;
        /// How long a REST request may take.
        request_timeout: Duration;
        /// The largest REST answer that is read.
        response_bytes_max: Size;
        /// How many REST requests may be under way.
        requests_max: NonZeroUsize;
    }
    /// What conversations need of the account.
    ChatService = "twilio" {
        /// The key that access tokens are issued under.
        api_key: ApiKeySid = "TWILIO_API_KEY";
        /// Signs access tokens.
        api_secret: SecretString = "TWILIO_API_SECRET";
        /// The chat service that the conversations belong to.
        chat_service_sid: ChatServiceSid = "TWILIO_CHAT_SERVICE_SID";
    }
    /// Who the bot is.
    Bot = "identity" {
        /// The bot's identity.
        name: Identity = "TWILIO_IDENTITY";
        /// Further identities of the same bot.
        pool: Identities;
    }
    /// Messages that belong to no conversation.
    Messaging = "messaging" {
        /// Our numbers for SMS, and for RCS.
        phone_numbers: Senders = "TWILIO_PHONE_NUMBER";
        /// Our numbers for WhatsApp, with or without `whatsapp:`.
        whatsapp_numbers: Senders = "TWILIO_WHATSAPP_NUMBER";
        /// The messaging service that sends for them.
        service_sid: Option<MessagingServiceSid> = "TWILIO_MESSAGING_SERVICE_SID";
        /// Further paths that messages arrive at.
        paths: Paths;
        /// Time between two looks for messages that no webhook brought; none if it is zero.
        sweep_interval: Duration;
        /// How long an idle contact or thread is kept.
        contact_retention: Duration;
        /// Segments that one reply may have.
        max_segments: NonZeroU32;
        /// Segments that one thread may get in a day.
        daily_segments: NonZeroU32;
        /// Further words that end all messages to whoever sends them.
        opt_out_keywords: Keywords;
        /// Segments a second, for some numbers.
        sender_rates: SenderRates;
        /// Which road counts, for some numbers.
        sources: Sources;
    }
    /// What WhatsApp asks for besides.
    Whatsapp = "whatsapp" {
        /// The template that is sent once free text may be no more.
        template: Option<ContentSid>;
        /// Its variables.
        template_variables: Option<TemplateVariables>;
    }
    /// Files of messages.
    Media = "media" {
        /// The largest file that is passed on.
        max_bytes: Size;
        /// The largest file that a turn holds itself.
        inline_bytes: Size;
        /// How long a link to a file counts.
        link_ttl: Duration;
    }
    /// The public listener and the process.
    Server = "server" {
        /// The address listened on.
        listen: IpAddr;
        /// The port listened on.
        port: NonZeroU16 = "SERVICE_PORT", "PORT";
        /// The service's name in health answers and logs.
        name: Name;
        /// This instance's name among several.
        instance_id: Option<Name> = "INSTANCE_ID";
        /// Connections that one listener holds open.
        connections_max: NonZeroUsize;
        /// Connections that one address keeps once places are short.
        connections_per_address: NonZeroUsize;
        /// Whose addresses stand for many people.
        trusted_proxies: Networks;
        /// How long headers may take.
        header_read_timeout: Duration;
        /// How long a body may take in all.
        body_read_timeout: Duration;
        /// How long a client may take none of its answer.
        write_timeout: Duration;
        /// How long an idle connection is kept.
        idle_timeout: Duration;
        /// How long a stop may take.
        shutdown_grace: Duration;
    }
    /// The webhook.
    Webhook = "webhook" {
        /// How Twilio reaches this service.
        public_url: Option<BaseUrl>;
        /// The hosts that requests may name, where `public_url` is not set.
        hosts: Hosts;
        /// Whether they may name any.
        allow_unknown_host: bool;
        /// Whether forwarded headers may say how.
        trust_forwarded: bool;
        /// The largest body that is read.
        body_bytes_max: Size;
        /// How long a body may take.
        read_timeout: Duration;
        /// How long the answer may take.
        answer_within: Duration;
    }
    /// The queues.
    Queue = "queue" {
        /// What keeps them.
        engine: QueueEngine;
        /// The embedded engine's file.
        path: PathBuf;
        /// How long finished work is remembered.
        retention: Duration;
        /// How long a dead letter is kept.
        dead_retention: Duration;
        /// How large the file may become.
        bytes_max: Size;
        /// How long a silent worker keeps its job.
        lease: Duration;
    }
    /// The connection to NATS.
    Nats = "nats" {
        /// The servers.
        url: NatsUrls = "NATS_URL";
        /// Who signs in.
        user: Option<Name>;
        /// Their password.
        password: Option<SecretString>;
        /// Signs in alone.
        token: Option<SecretString>;
        /// Signs in alone.
        nkey_seed: Option<SecretString>;
        /// Signs in alone.
        creds_file: Option<PathBuf>;
        /// Whether TLS is demanded.
        tls: bool;
        /// What names of streams and buckets start with.
        prefix: Prefix;
        /// On how many servers everything is kept.
        replicas: NonZeroUsize;
    }
    /// What happened to each message.
    Timeline = "timeline" {
        /// Whether it is kept.
        enabled: bool;
        /// How long a record is kept.
        retention: Duration;
        /// How large all records together may become.
        bytes_max: Size;
    }
    /// Joining conversations.
    Join = "join" {
        /// Our addresses that the conversations run over; all if there are none.
        addresses: Addresses;
        /// What the conversations' attributes must say.
        attribute: Option<Attribute>;
        /// When the conversations must have been made.
        created_after: Option<Since>;
        /// Whether the bot comes back where somebody has removed it.
        rejoin: Rejoin;
        /// Waiting times between attempts.
        schedule: Schedule;
        /// How many at once.
        concurrency: NonZeroUsize;
    }
    /// Which messages get a turn, and when.
    Turns = "turns" {
        /// How turns are made of messages.
        strategy: TurnStrategy;
        /// How long a burst must be quiet to be over.
        quiet: Duration;
        /// How long the first message of a burst waits.
        longest_wait: Duration;
        /// How many messages a turn holds.
        burst_max: NonZeroU32;
        /// What becomes of messages while a person has the conversation.
        paused: WhilePaused;
        /// From where on messages are answered.
        begin: TurnsBegin;
        /// How old a message may be.
        stale_after: Duration;
        /// Whether words that the carrier answers get a turn.
        answer_keywords: bool;
        /// How long a webhook's message waits for the socket's.
        webhook_grace: Duration;
    }
    /// Sending replies.
    Send = "send" {
        /// Waiting times between attempts.
        schedule: Schedule;
        /// How many at once.
        concurrency: NonZeroUsize;
        /// Replies a second into one conversation.
        conversation_rate: NonZeroU32;
        /// Replies a second into the whole chat service.
        service_rate: Option<NonZeroU32>;
        /// Message segments a second from one of our numbers.
        sender_rate: Option<NonZeroU32>;
    }
    /// The socket.
    Realtime = "realtime" {
        /// Whether it is used.
        enabled: bool;
        /// How long it may take to set up.
        connect_timeout: Duration;
    }
    /// The sweep over all conversations.
    Reconcile = "reconcile" {
        /// Time between two sweeps.
        interval: Duration;
    }
    /// Leaving conversations to free their seats.
    Seats = "seats" {
        /// Whether closed ones are left.
        leave_closed: bool;
        /// How long without a message until one is left.
        leave_idle_after: Option<Duration>;
    }
    /// The guard against loops.
    Guard = "guard" {
        /// Turns a minute in one conversation.
        turns_per_minute: NonZeroU32;
    }
    /// The admin listener and the debug pages.
    Admin = "admin" {
        /// Where metrics are served.
        listen: Listen;
        /// What debug pages ask for.
        debug_token: Option<SecretString>;
        /// What lets somebody into the console who may look and no more.
        read_token: Option<SecretString>;
        /// The names by which the admin listener may be called, beside its addresses.
        hosts: Hosts;
        /// The header by which a proxy says who is signed in.
        proxy_header: Option<HeaderField>;
        /// Whose header is believed.
        proxies: Networks;
        /// Who of those may act.
        proxy_actors: People;
    }
    /// What is told when something is wrong.
    Alarms = "alarms" {
        /// Where it is told.
        url: Option<HttpUrl>;
        /// Signs what is told.
        secret: Option<SecretString>;
        /// How often is looked.
        interval: Duration;
        /// How long it has to last.
        hold: Duration;
        /// How often it is told again.
        repeat: Duration;
        /// Jobs that may wait in one queue.
        queue_depth: NonZeroU32;
        /// How long the oldest may wait.
        queue_oldest: Duration;
        /// Conversations of one identity.
        seats: NonZeroU32;
    }
    /// The log.
    Log = "log" {
        /// Which lines are shown.
        level: Level = "LOG_LEVEL";
        /// How they look.
        format: Format;
    }
    /// Traces.
    Telemetry = "telemetry" {
        /// Whether traces are sent.
        tracing: bool = "TRACING_ENABLED";
        /// The share of traces that is sent.
        sampler_ratio: Ratio = "TRACING_SAMPLER_RATIO";
        /// The collector's place; without one nothing is sent.
        otlp_endpoint: Option<BaseUrl> = "OTEL_EXPORTER_OTLP_ENDPOINT";
        /// Headers that the collector asks for.
        otlp_headers: Option<SecretString> = "OTEL_EXPORTER_OTLP_HEADERS";
        /// How long one batch may take.
        otlp_timeout: Timeout = "OTEL_EXPORTER_OTLP_TIMEOUT";
    }
    /// The proxies to the outside.
    ProxyServers = "proxy" {
        /// For https and wss.
        https: Option<Proxy> = "HTTPS_PROXY", "https_proxy";
        /// For http and ws.
        http: Option<Proxy> = "HTTP_PROXY", "http_proxy";
        /// For either that has none of its own.
        all: Option<Proxy> = "ALL_PROXY", "all_proxy";
        /// What is reached directly.
        no_proxy: DirectHosts = "NO_PROXY", "no_proxy";
    }
}

impl ProxyServers {
    /// Gives the one reading of them that all clients go by.
    #[must_use]
    pub fn proxies(&self) -> Proxies {
        let Self { https, http, all, no_proxy } = self.clone();
        Proxies::new(https, http, all, no_proxy)
    }
}

/// Twilio, when it is on.
#[derive(Clone, Debug)]
pub struct Twilio {
    /// The account and how it is reached.
    pub account: Account,
    /// What conversations need; none where the bot has numbers alone.
    pub conversations: Option<ConversationsAccount>,
}

/// What conversations need: these four together.
#[derive(Clone, Debug)]
pub struct ConversationsAccount {
    /// The key that access tokens are issued under.
    pub api_key: ApiKeySid,
    /// Signs access tokens.
    pub api_secret: SecretString,
    /// The chat service that the conversations belong to.
    pub chat_service_sid: ChatServiceSid,
    /// Who the bot is.
    pub bot: Bot,
}

impl Twilio {
    /// Reads the account, and what conversations need unless numbers do without.
    fn read(reader: &mut Reader<'_>, is_on: bool) -> Option<Self> {
        reader.needs_required(is_on);
        let account = Account::read(reader);
        let needs = rules::needs_conversations(reader);
        // Where numbers alone would do, what is missing is told by a rule.
        reader.needs_required(is_on && !rules::has_numbers(reader));
        let (service, bot) = (ChatService::read(reader), Bot::read(reader));
        reader.needs_required(true);
        let conversations = if needs {
            let ChatService { api_key, api_secret, chat_service_sid } = service?;
            Some(ConversationsAccount { api_key, api_secret, chat_service_sid, bot: bot? })
        } else {
            None
        };
        Some(Self { account: account?, conversations })
    }
}

impl Messaging {
    /// All addresses of ours, each once, behind the word of its channel if that is not SMS.
    #[must_use]
    pub fn addresses(&self) -> Vec<Pii> {
        self.phone_numbers.with(&self.whatsapp_numbers)
    }

    /// The road that counts for an address of ours, where one is usual that nobody has set another for.
    #[must_use]
    pub fn source(&self, address: &Pii, usual: Source) -> Source {
        self.sources.of(address).unwrap_or(usual)
    }
}

impl Settings {
    /// The road by which what is sent to an address of ours counts: where there are conversations, Twilio makes one of
    /// it, unless that is set otherwise.
    #[must_use]
    pub fn road(&self, address: &Pii) -> Source {
        let conversations = self.twilio.as_ref().and_then(|twilio| twilio.conversations.as_ref());
        let usual = conversations.map_or(Source::Direct, |_| Source::Conversations);
        self.messaging.source(address, usual)
    }

    /// The addresses of ours that are to make conversations, as far as the settings name them in full: those that the
    /// bot joins by, and numbers whose road that is.
    #[must_use]
    pub fn conversation_addresses(&self) -> Vec<Pii> {
        // A beginning of addresses, such as `whatsapp:`, names none.
        let whole = self.join.addresses.0.iter().filter_map(|item| Senders::parse(item));
        let joined = whole.flat_map(|senders| senders.0);
        let by_road = self.messaging.sources.addresses().cloned().chain(self.messaging.addresses());
        let by_road = by_road.filter(|one| self.road(one) == Source::Conversations);
        let mut all: Vec<Pii> = Vec::new();
        for address in joined.chain(by_road) {
            if self.messaging.sources.of(&address) != Some(Source::Direct)
                && !all.contains(&address)
            {
                all.push(address);
            }
        }
        all
    }
}

/// All settings, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Twilio, unless it is switched off.
    pub twilio: Option<Twilio>,
    /// Messages that belong to no conversation.
    pub messaging: Messaging,
    /// What WhatsApp asks for besides.
    pub whatsapp: Whatsapp,
    /// Files of messages.
    pub media: Media,
    /// The public listener and the process.
    pub server: Server,
    /// The webhook.
    pub webhook: Webhook,
    /// The queues.
    pub queue: Queue,
    /// The connection to NATS.
    pub nats: Nats,
    /// What happened to each message.
    pub timeline: Timeline,
    /// Joining conversations.
    pub join: Join,
    /// Which messages get a turn, and when.
    pub turns: Turns,
    /// The agent.
    pub agent: Agent,
    /// What the kinds of agents have for themselves.
    pub kinds: OfKinds,
    /// Agents by name, and the routes to them.
    pub routing: Routing,
    /// Sending replies.
    pub send: Send,
    /// The socket.
    pub realtime: Realtime,
    /// The sweep over all conversations.
    pub reconcile: Reconcile,
    /// Leaving conversations to free their seats.
    pub seats: Seats,
    /// The guard against loops.
    pub guard: Guard,
    /// The admin listener and the debug pages.
    pub admin: Admin,
    /// What is told when something is wrong.
    pub alarms: Alarms,
    /// The log.
    pub log: Log,
    /// Traces.
    pub telemetry: Telemetry,
    /// The proxies to the outside.
    pub proxy: ProxyServers,
}

/// Every key in the order of the manual, where the kinds of agents follow on the agent.
pub(super) fn keys(kinds: &[Declaration]) -> Vec<Key> {
    const BEFORE: &[&[Key]] = &[
        Switch::KEYS,
        Account::KEYS,
        ChatService::KEYS,
        Bot::KEYS,
        Messaging::KEYS,
        Whatsapp::KEYS,
        Media::KEYS,
        Server::KEYS,
        Webhook::KEYS,
        Queue::KEYS,
        Nats::KEYS,
        Timeline::KEYS,
        Join::KEYS,
        Turns::KEYS,
        Agent::KEYS,
    ];
    const AFTER: &[&[Key]] = &[
        Send::KEYS,
        Realtime::KEYS,
        Reconcile::KEYS,
        Seats::KEYS,
        Guard::KEYS,
        Admin::KEYS,
        Alarms::KEYS,
        Log::KEYS,
        Telemetry::KEYS,
        ProxyServers::KEYS,
    ];
    let of_kinds: Vec<&[Key]> = kinds.iter().map(|kind| kind.keys).collect();
    [BEFORE, &of_kinds, AFTER].concat().concat()
}

impl Settings {
    /// The settings as each of the agents has them: its own in the place of the plain section's.
    #[must_use]
    pub fn of_agents(&self) -> Vec<(AgentName, Self)> {
        let plain = self.routing.has_plain.then(|| (AgentName::plain(), self.clone()));
        let named = |named: &NamedAgent| {
            let NamedAgent { name, agent, kinds } = named.clone();
            (name, Self { agent, kinds, ..self.clone() })
        };
        plain.into_iter().chain(self.routing.agents.iter().map(named)).collect()
    }

    /// Reads every section and checks the rules between them, whatever problems there are.
    pub(super) fn read(reader: &mut Reader<'_>, kinds: &[Declaration]) -> Option<Self> {
        let switch = Switch::read(reader);
        let is_on = switch.as_ref().is_some_and(|switch| switch.enabled);
        let twilio = Twilio::read(reader, is_on);
        let messaging = Messaging::read(reader);
        let whatsapp = Whatsapp::read(reader);
        let media = Media::read(reader);
        let server = Server::read(reader);
        let webhook = Webhook::read(reader);
        let queue = Queue::read(reader);
        let nats = Nats::read(reader);
        let timeline = Timeline::read(reader);
        let join = Join::read(reader);
        let turns = Turns::read(reader);
        let agent = Agent::read(reader);
        let of_kinds = OfKinds::read(kinds, reader);
        let routing = Routing::read(reader, kinds);
        let send = Send::read(reader);
        let realtime = Realtime::read(reader);
        let reconcile = Reconcile::read(reader);
        let seats = Seats::read(reader);
        let guard = Guard::read(reader);
        let admin = Admin::read(reader);
        let alarms = Alarms::read(reader);
        let log = Log::read(reader);
        let telemetry = Telemetry::read(reader);
        let proxy = ProxyServers::read(reader);
        rules::check(reader, kinds, is_on);
        Some(Self {
            twilio: if switch?.enabled { Some(twilio?) } else { None },
            messaging: messaging?,
            whatsapp: whatsapp?,
            media: media?,
            server: server?,
            webhook: webhook?,
            queue: queue?,
            nats: nats?,
            timeline: timeline?,
            join: join?,
            turns: turns?,
            agent: agent?,
            kinds: of_kinds?,
            routing: routing?,
            send: send?,
            realtime: realtime?,
            reconcile: reconcile?,
            seats: seats?,
            guard: guard?,
            admin: admin?,
            alarms: alarms?,
            log: log?,
            telemetry: telemetry?,
            proxy: proxy?,
        })
    }
}
