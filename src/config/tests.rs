//! Tests of layers, origins and problems over the whole of the settings.

use std::fs;

use secrecy::ExposeSecret;

use super::*;
use crate::agent::bitbrat::settings::BitBratSettings;
use crate::agent::kinds::load;

#[test]
fn the_environment_alone_is_enough() {
    let settings = load(None, &environment([])).into_settings().unwrap();
    let twilio = settings.twilio.unwrap();
    assert_eq!(twilio.account.auth_token.expose_secret(), "planted-auth-token");
    assert_eq!(twilio.conversations.unwrap().bot.name.as_str(), "bot");
    assert_eq!(settings.server.port.get(), 3_000);
    assert_eq!(settings.agent.kind.word(), "echo");
}

#[test]
fn later_layers_win_and_say_where_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chimein.toml");
    fs::write(&path, "[agent]\ntimeout = \"3m\"\nconcurrency = 5\n[server]\nport = 81\n").unwrap();
    let report = load(Some(&path), &environment([("CHIMEIN_AGENT_TIMEOUT", "4m"), ("PORT", "82")]));
    let origin = |key: &str| {
        let found = report.effective.iter().find(|effective| effective.key == key).unwrap();
        (found.shown.clone().unwrap(), found.origin.to_string())
    };
    assert_eq!(origin("agent.timeout"), pair("4m", "environment CHIMEIN_AGENT_TIMEOUT"));
    assert_eq!(origin("agent.concurrency"), pair("5", &format!("file {}", path.display())));
    assert_eq!(origin("agent.kind"), pair("echo", "default"));
    assert_eq!(origin("server.port"), pair("82", "environment PORT"));
    let settings = report.into_settings().unwrap();
    assert_eq!(settings.agent.timeout, std::time::Duration::from_secs(240));
}

#[test]
fn a_model_must_be_named_and_its_key_is_not_shown() {
    let report = load(
        None,
        &environment([("CHIMEIN_AGENT_KIND", "openai"), ("OPENAI_API_KEY", "sk-planted")]),
    );
    let key = report.effective.iter().find(|found| found.key == "openai.api_key").unwrap();
    assert_eq!(key.shown.as_deref(), Some(MASK));
    let problems: Vec<String> = report.problems().iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("openai.model (not set): is required"), "{problems:?}");
    let too_much = [
        ("CHIMEIN_AGENT_KIND", "openai"),
        ("CHIMEIN_OPENAI_MODEL", "m"),
        ("CHIMEIN_OPENAI_HISTORY_MESSAGES", "101"),
        ("CHIMEIN_OPENAI_HISTORY_CHARS", "200001"),
        ("CHIMEIN_OPENAI_TEMPERATURE", "3"),
        ("CHIMEIN_OPENAI_FIRST_TOKEN_TIMEOUT", "2h"),
    ];
    assert_eq!(load(None, &environment(too_much)).problems().len(), 4);
}

#[test]
fn the_service_port_goes_before_the_port() {
    let report = load(None, &environment([("SERVICE_PORT", "90"), ("PORT", "91")]));
    assert_eq!(report.into_settings().unwrap().server.port.get(), 90);
}

#[test]
fn everything_that_is_wrong_comes_out_at_once() {
    let wrong = Environment::from_pairs([
        ("TWILIO_ACCOUNT_SID", "AC123"),
        ("TWILIO_IDENTITY", "bot"),
        ("CHIMEIN_AGENT_KIND", "telepathy"),
        ("CHIMEIN_AGENT_TIMOUT", "3m"),
        ("SERVICE_PORT", "0"),
        ("CHIMEIN_SERVER_SHUTDOWN_GRACE", "1m"),
    ]);
    let error = load(None, &wrong).into_settings().unwrap_err();
    insta::assert_snapshot!(error, @r"
    the settings have 10 problems:
      CHIMEIN_AGENT_TIMOUT (environment CHIMEIN_AGENT_TIMOUT): is no known setting; did you mean CHIMEIN_AGENT_TIMEOUT?
      twilio.account_sid (environment TWILIO_ACCOUNT_SID): is not AC and 32 hexadecimal digits; set TWILIO_ACCOUNT_SID, see `twilio.account_sid` in `chimein config --defaults`
      twilio.auth_token (not set): is required; set TWILIO_AUTH_TOKEN or TWILIO_AUTH_TOKEN_FILE
      twilio.api_key (not set): is required; set TWILIO_API_KEY, see `twilio.api_key` in `chimein config --defaults`
      twilio.api_secret (not set): is required; set TWILIO_API_SECRET or TWILIO_API_SECRET_FILE
      twilio.chat_service_sid (not set): is required; set TWILIO_CHAT_SERVICE_SID, see `twilio.chat_service_sid` in `chimein config --defaults`
      server.port (environment SERVICE_PORT): is not a whole number from 1 to 65535; set SERVICE_PORT or PORT, see `server.port` in `chimein config --defaults`
      agent.kind (environment CHIMEIN_AGENT_KIND): is not echo, http, openai, sqs, stdio, temporal, chatwoot or bitbrat; set CHIMEIN_AGENT_KIND, see `agent.kind` in `chimein config --defaults`
      webhook.public_url (not set): is required: without it a request that Twilio signed for another service of the account counts too (several hosts go into CHIMEIN_WEBHOOK_HOSTS, and CHIMEIN_WEBHOOK_ALLOW_UNKNOWN_HOST=true allows any); set CHIMEIN_WEBHOOK_PUBLIC_URL, see `webhook.public_url` in `chimein config --defaults`
      server.shutdown_grace (environment CHIMEIN_SERVER_SHUTDOWN_GRACE): is not between 1s and 10s; set CHIMEIN_SERVER_SHUTDOWN_GRACE, see `server.shutdown_grace` in `chimein config --defaults`
    ");
}

#[test]
fn nats_is_signed_in_to_in_one_way() {
    let user = [("CHIMEIN_NATS_USER", "bot"), ("CHIMEIN_NATS_PASSWORD", "planted")];
    for right in [&user[..], &[("CHIMEIN_NATS_TOKEN", "planted")], &[]] {
        let report = load(None, &environment(right.iter().copied()));
        assert!(report.into_settings().is_ok(), "{right:?}");
    }
    let both = user.into_iter().chain([("CHIMEIN_NATS_TOKEN", "planted")]);
    for (wrong, key) in [
        (both.collect::<Vec<_>>(), "nats.url"),
        (vec![("CHIMEIN_NATS_USER", "bot")], "nats.password"),
        (vec![("NATS_URL", "nats://bot:planted@localhost")], "nats.url"),
        (vec![("CHIMEIN_NATS_REPLICAS", "6")], "nats.replicas"),
        (vec![("CHIMEIN_NATS_PREFIX", "a.b")], "nats.prefix"),
    ] {
        let report = load(None, &environment(wrong));
        let [problem] = report.problems() else { panic!("{key}: {:?}", report.problems()) };
        assert_eq!(problem.key, key);
        assert!(!problem.to_string().contains("planted"), "{problem}");
    }
}

#[test]
#[cfg(feature = "nats")]
fn a_bus_that_is_not_spoken_is_refused_only_where_it_would_be_used() {
    for (variable, driver) in
        [("MESSAGE_BUS_DRIVER", "pubsub"), ("MESSAGE_BUS", "noop"), ("MESSAGE_BUS_DRIVER", "kafka")]
    {
        let used = [("CHIMEIN_AGENT_KIND", "bitbrat"), (variable, driver)];
        let report = load(None, &environment(used));
        let [problem] = report.problems() else { panic!("{driver}: {:?}", report.problems()) };
        assert_eq!(problem.key, "bitbrat.driver");
        assert!(problem.to_string().contains("is not nats"), "{problem}");
    }
    assert!(load(None, &environment([("MESSAGE_BUS_DRIVER", "pubsub")])).into_settings().is_ok());
    let right = [("CHIMEIN_AGENT_KIND", "bitbrat"), ("MESSAGE_BUS", "nats"), ("BUS_PREFIX", "")];
    let settings = load(None, &environment(right)).into_settings().unwrap();
    assert!(settings.kinds.get::<BitBratSettings>().unwrap().prefix.is_none());
}

#[test]
fn with_twilio_off_nothing_of_it_is_required_but_nothing_may_be_wrong() {
    let off = Environment::from_pairs([("TWILIO_ENABLED", "false")]);
    assert!(load(None, &off).into_settings().unwrap().twilio.is_none());
    let wrong = Environment::from_pairs([("TWILIO_ENABLED", "off"), ("TWILIO_API_KEY", "SKx")]);
    assert_eq!(load(None, &wrong).problems()[0].key, "twilio.api_key");
}

#[test]
fn what_twilio_calls_is_known_unless_that_is_waived_on_purpose() {
    let instead = |pairs: &[(&'static str, &'static str)]| {
        let bare = COMPLETE.into_iter().filter(|(name, _)| *name != "CHIMEIN_WEBHOOK_PUBLIC_URL");
        load(None, &Environment::from_pairs(bare.chain(pairs.iter().copied())))
    };
    for right in [
        &[("CHIMEIN_WEBHOOK_PUBLIC_URL", "https://bot.example.com")],
        &[("CHIMEIN_WEBHOOK_HOSTS", "bot.example.com,bot.example.org:8443")],
        &[("CHIMEIN_WEBHOOK_ALLOW_UNKNOWN_HOST", "true")],
        &[("TWILIO_ENABLED", "false")],
    ] {
        assert!(instead(right).into_settings().is_ok(), "{right:?}");
    }
    for (wrong, key) in [
        (&[][..], "webhook.public_url"),
        (&[("CHIMEIN_WEBHOOK_PUBLIC_URL", "")], "webhook.public_url"),
        (&[("CHIMEIN_WEBHOOK_PUBLIC_URL", "bot.example.com")], "webhook.public_url"),
        (&[("CHIMEIN_WEBHOOK_HOSTS", "")], "webhook.public_url"),
        (&[("CHIMEIN_WEBHOOK_HOSTS", "https://bot.example.com")], "webhook.hosts"),
        (&[("CHIMEIN_WEBHOOK_ALLOW_UNKNOWN_HOST", "false")], "webhook.public_url"),
    ] {
        let report = instead(wrong);
        let [problem] = report.problems() else { panic!("{wrong:?}: {:?}", report.problems()) };
        assert_eq!(problem.key, key);
    }
    let told = instead(&[]).into_settings().unwrap_err().to_string();
    for part in ["CHIMEIN_WEBHOOK_PUBLIC_URL", "another service of the account"] {
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn secrets_come_from_files_without_their_line_break() {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("token");
    fs::write(&secret, "from a file \n").unwrap();
    let mut pairs = COMPLETE.to_vec();
    pairs.retain(|(name, _)| *name != "TWILIO_AUTH_TOKEN");
    let path = secret.to_str().unwrap();
    pairs.push(("TWILIO_AUTH_TOKEN_FILE", path));
    let report = load(None, &Environment::from_pairs(pairs.clone()));
    assert!(report.effective.iter().any(|effective| {
        effective.origin == SettingOrigin::SecretFile("TWILIO_AUTH_TOKEN_FILE".to_owned())
    }));
    let twilio = report.into_settings().unwrap().twilio.unwrap();
    assert_eq!(twilio.account.auth_token.expose_secret(), "from a file");

    pairs.push(("TWILIO_AUTH_TOKEN", "directly"));
    let report = load(None, &Environment::from_pairs(pairs));
    assert!(matches!(report.problems(), [Problem { reason: Reason::SetTwice, .. }]));
}

#[test]
fn a_byte_order_mark_is_dropped_and_utf_16_is_named_and_refused() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let wide = |text: &str| -> Vec<u8> {
        let units = text.encode_utf16().flat_map(u16::to_le_bytes);
        [0xff, 0xfe].into_iter().chain(units).collect()
    };
    let settings = |secret: &Path, file: &Path| {
        let mut pairs = COMPLETE.to_vec();
        pairs.retain(|(name, _)| *name != "TWILIO_AUTH_TOKEN");
        pairs.push(("TWILIO_AUTH_TOKEN_FILE", secret.to_str().unwrap()));
        load(Some(file), &Environment::from_pairs(pairs))
    };
    let table = "[agent]\ntimeout = \"3m\"\n";
    let marked = place("marked", "\u{feff}planted\r\n".as_bytes());
    let table_marked = place("marked.toml", format!("\u{feff}{table}").as_bytes());
    let right = settings(&marked, &table_marked).into_settings().unwrap();
    let twilio = right.twilio.unwrap();
    assert_eq!(twilio.account.auth_token.expose_secret(), "planted");
    assert_eq!(right.agent.timeout, std::time::Duration::from_secs(180));

    let report = settings(&place("wide", &wide("planted")), &place("wide.toml", &wide(table)));
    let told: Vec<String> = report.problems().iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    for problem in &told {
        assert!(
            problem.contains("a file that is UTF-16, not UTF-8; save it as UTF-8"),
            "{problem}"
        );
        assert!(!problem.contains("planted"));
    }
}

#[test]
fn a_files_secret_key_can_point_to_another_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chimein.toml");
    fs::write(&path, "[agent]\nsecret_file = \"/nowhere/at/all\"\n").unwrap();
    let report = load(Some(&path), &environment([]));
    let [problem] = report.problems() else { panic!("{:?}", report.problems()) };
    assert_eq!(problem.key, "agent.secret");
    assert!(matches!(problem.reason, Reason::Unreadable(_)));
}

#[test]
fn unknown_names_in_a_file_are_named_with_the_nearest_known_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chimein.toml");
    fs::write(&path, "verbose = true\n[agent]\ntimout = \"3m\"\n[weather]\nsun = 1\n").unwrap();
    let report = load(Some(&path), &environment([]));
    let told: Vec<(&str, &str)> =
        report.problems().iter().map(|p| (p.key.as_str(), p.remedy.as_str())).collect();
    let lost = "remove it; `chimein config` lists the known ones";
    assert!(told.contains(&("agent.timout", "did you mean agent.timeout?")), "{told:?}");
    assert!(told.contains(&("verbose", lost)), "{told:?}");
    assert!(told.contains(&("weather.sun", lost)), "{told:?}");
}

#[test]
fn variables_of_kubernetes_and_of_others_are_let_be() {
    let links = |service: &str, port: &str| {
        let link = format!("tcp://10.0.0.7:{port}");
        [
            ("SERVICE_HOST".to_owned(), "10.0.0.7".to_owned()),
            ("SERVICE_PORT".to_owned(), port.to_owned()),
            ("SERVICE_PORT_HTTP".to_owned(), port.to_owned()),
            ("PORT".to_owned(), link.clone()),
            (format!("PORT_{port}_TCP"), link),
            (format!("PORT_{port}_TCP_PROTO"), "tcp".to_owned()),
            (format!("PORT_{port}_TCP_PORT"), port.to_owned()),
            (format!("PORT_{port}_TCP_ADDR"), "10.0.0.7".to_owned()),
        ]
        .map(|(name, value)| (format!("{service}_{name}"), value))
    };
    let services = ["CHIMEIN", "CHIMEIN_METRICS", "CHIMEIN_AGENT", "CHIMEIN_QUEUE_NATS", "SERVICE"];
    let pairs: Vec<(String, String)> =
        services.iter().flat_map(|service| links(service, "9464")).collect();
    let pairs = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let real = [("TWILIO_PHONE_NUMBER", "+15555550123"), ("CHIMEIN_AGENT_TIMEOUT", "3m")];
    let settings = load(None, &environment(pairs.chain(real))).into_settings().unwrap();
    assert_eq!(settings.agent.timeout, std::time::Duration::from_secs(180));
    // SERVICE_PORT is the link of the Service that is called service.
    assert_eq!(settings.server.port.get(), 3_000);
}

#[test]
fn a_link_in_a_settings_variable_counts_as_not_set() {
    let link = ("SERVICE_PORT", "tcp://10.0.0.9:80");
    let port = |pairs: &[(&'static str, &'static str)]| {
        let settings = load(None, &environment(pairs.iter().copied())).into_settings();
        settings.unwrap().server.port.get()
    };
    assert_eq!(port(&[link]), 3_000);
    assert_eq!(port(&[link, ("PORT", "81")]), 81);
    assert_eq!(port(&[("SERVICE_PORT", "82"), ("PORT", "tcp://10.0.0.9:80")]), 82);
    // Where no port belongs, it is a mistake.
    let wrong = [("CHIMEIN_AGENT_URL", "tcp://10.0.0.9:80")];
    assert_eq!(load(None, &environment(wrong)).problems().len(), 1);
}

#[test]
fn a_mistyped_setting_is_told_beside_kubernetes() {
    let report = load(None, &environment([("CHIMEIN_PORT", "3000")]));
    let [problem] = report.problems() else { panic!("{:?}", report.problems()) };
    assert!(matches!(problem.reason, Reason::Unknown), "{problem}");
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_a_problem_that_quotes_nothing() {
    let report = load(Some(Path::new("/nowhere/chimein.toml")), &environment([]));
    assert!(matches!(report.problems(), [Problem { reason: Reason::Unreadable(_), .. }]));

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chimein.toml");
    fs::write(&path, "[twilio]\n\nauth_token = planted-secret\n").unwrap();
    let report = load(None, &environment([(FILE_VARIABLE, path.to_str().unwrap())]));
    let [problem] = report.problems() else { panic!("{:?}", report.problems()) };
    assert!(matches!(problem.reason, Reason::NotToml { line: 3 }), "{problem:?}");
    assert!(!format!("{problem} {problem:?}").contains("planted"));
}

#[test]
fn every_rule_can_be_broken() {
    for (variable, value, key) in [
        ("CHIMEIN_TWILIO_TOKEN_TTL", "25h", "twilio.token_ttl"),
        ("CHIMEIN_TWILIO_CONNECT_TIMEOUT", "0s", "twilio.connect_timeout"),
        ("CHIMEIN_TWILIO_REQUEST_TIMEOUT", "0ms", "twilio.request_timeout"),
        ("CHIMEIN_TWILIO_REQUEST_TIMEOUT", "2m", "queue.lease"),
        ("CHIMEIN_TWILIO_RESPONSE_BYTES_MAX", "1KiB", "twilio.response_bytes_max"),
        ("CHIMEIN_IDENTITY_POOL", "bot-2, bot", "identity.pool"),
        ("CHIMEIN_SERVER_SHUTDOWN_GRACE", "11s", "server.shutdown_grace"),
        ("CHIMEIN_SERVER_HEADER_READ_TIMEOUT", "0s", "server.header_read_timeout"),
        ("CHIMEIN_SERVER_BODY_READ_TIMEOUT", "0s", "server.body_read_timeout"),
        ("CHIMEIN_SERVER_WRITE_TIMEOUT", "6m", "server.write_timeout"),
        ("CHIMEIN_SERVER_IDLE_TIMEOUT", "2h", "server.idle_timeout"),
        ("CHIMEIN_ADMIN_LISTEN", "127.0.0.1:3000", "admin.listen"),
        ("CHIMEIN_WEBHOOK_BODY_BYTES_MAX", "2MiB", "webhook.body_bytes_max"),
        ("CHIMEIN_WEBHOOK_READ_TIMEOUT", "5s", "webhook.read_timeout"),
        ("CHIMEIN_WEBHOOK_ANSWER_WITHIN", "5s", "webhook.answer_within"),
        ("CHIMEIN_WEBHOOK_ANSWER_WITHIN", "2s", "webhook.answer_within"),
        ("CHIMEIN_QUEUE_DEAD_RETENTION", "1h", "queue.dead_retention"),
        ("CHIMEIN_QUEUE_BYTES_MAX", "1MiB", "queue.bytes_max"),
        ("CHIMEIN_TIMELINE_RETENTION", "1m", "timeline.retention"),
        ("CHIMEIN_TIMELINE_BYTES_MAX", "1KiB", "timeline.bytes_max"),
        ("CHIMEIN_AGENT_KIND", "http", "agent.url"),
        ("CHIMEIN_BITBRAT_ANSWER_WITHIN", "25h", "bitbrat.answer_within"),
        ("CHIMEIN_AGENT_SECRET", "short", "agent.secret"),
        ("CHIMEIN_AGENT_SECRET", "whsec_c2hvcnQ=", "agent.secret"),
        ("CHIMEIN_ALARMS_URL", "https://alarms.example.com/", "alarms.secret"),
        ("CHIMEIN_ALARMS_SECRET", "short", "alarms.secret"),
        ("CHIMEIN_ALARMS_INTERVAL", "500ms", "alarms.interval"),
        ("CHIMEIN_ALARMS_HOLD", "2h", "alarms.hold"),
        ("CHIMEIN_ALARMS_REPEAT", "10s", "alarms.repeat"),
        ("CHIMEIN_ALARMS_QUEUE_OLDEST", "0s", "alarms.queue_oldest"),
        ("CHIMEIN_AGENT_TIMEOUT", "0s", "agent.timeout"),
        ("CHIMEIN_AGENT_RESPONSE_BYTES_MAX", "1B", "agent.response_bytes_max"),
        ("CHIMEIN_AGENT_RESPONSE_BYTES_MAX", "513KiB", "agent.response_bytes_max"),
        ("CHIMEIN_TURNS_QUIET", "2m", "turns.quiet"),
        ("CHIMEIN_TURNS_LONGEST_WAIT", "2s", "turns.longest_wait"),
        ("CHIMEIN_TURNS_LONGEST_WAIT", "6m", "turns.longest_wait"),
        ("CHIMEIN_TURNS_BURST_MAX", "100", "turns.burst_max"),
        ("CHIMEIN_TURNS_STALE_AFTER", "1m", "turns.stale_after"),
        ("CHIMEIN_TURNS_WEBHOOK_GRACE", "1m", "turns.webhook_grace"),
        ("CHIMEIN_QUEUE_RETENTION", "30m", "queue.retention"),
        ("CHIMEIN_QUEUE_LEASE", "1s", "queue.lease"),
        ("CHIMEIN_SEND_CONVERSATION_RATE", "31", "send.conversation_rate"),
        ("CHIMEIN_SEND_SERVICE_RATE", "10001", "send.service_rate"),
        ("CHIMEIN_REALTIME_CONNECT_TIMEOUT", "6m", "realtime.connect_timeout"),
        ("CHIMEIN_RECONCILE_INTERVAL", "1s", "reconcile.interval"),
        ("CHIMEIN_MESSAGING_SWEEP_INTERVAL", "10ms", "messaging.sweep_interval"),
        ("CHIMEIN_MESSAGING_CONTACT_RETENTION", "29d", "messaging.contact_retention"),
        ("CHIMEIN_MESSAGING_MAX_SEGMENTS", "1001", "messaging.max_segments"),
        ("CHIMEIN_MESSAGING_DAILY_SEGMENTS", "1000001", "messaging.daily_segments"),
        ("CHIMEIN_MESSAGING_DAILY_SEGMENTS", "9", "messaging.daily_segments"),
        ("CHIMEIN_MESSAGING_SENDER_RATES", "+15555550100=1", "messaging.sender_rates"),
        ("CHIMEIN_MESSAGING_SOURCES", "+15555550100=direct", "messaging.sources"),
        ("CHIMEIN_WHATSAPP_TEMPLATE_VARIABLES", "{}", "whatsapp.template_variables"),
        ("CHIMEIN_MEDIA_MAX_BYTES", "512B", "media.max_bytes"),
        ("CHIMEIN_MEDIA_INLINE_BYTES", "9MiB", "media.inline_bytes"),
        ("CHIMEIN_MEDIA_LINK_TTL", "59s", "media.link_ttl"),
        ("CHIMEIN_SEATS_LEAVE_IDLE_AFTER", "59m", "seats.leave_idle_after"),
    ] {
        let report = load(None, &environment([(variable, value)]));
        let broken = report
            .problems()
            .iter()
            .any(|problem| problem.key == key && matches!(problem.reason, Reason::Rule(_)));
        assert!(broken, "{variable}={value}: {:?}", report.problems());
    }
}

#[test]
fn a_number_alone_is_enough_and_conversations_are_whole_or_not_there() {
    let without = |left_out: &[&str], more: &[(&'static str, &'static str)]| {
        let kept = COMPLETE.into_iter().filter(|(name, _)| !left_out.contains(name));
        load(None, &Environment::from_pairs(kept.chain(more.iter().copied())))
    };
    let four =
        ["TWILIO_API_KEY", "TWILIO_API_SECRET", "TWILIO_CHAT_SERVICE_SID", "TWILIO_IDENTITY"];
    for number in
        [("TWILIO_PHONE_NUMBER", "+15555550100"), ("TWILIO_WHATSAPP_NUMBER", "+15555550100")]
    {
        let settings = without(&four, &[number]).into_settings().unwrap();
        assert!(settings.twilio.unwrap().conversations.is_none(), "{number:?}");
        assert_eq!(settings.messaging.addresses().len(), 1);
        let both = without(&[], &[number]).into_settings().unwrap();
        assert!(both.twilio.unwrap().conversations.is_some());
    }
    let number = ("TWILIO_PHONE_NUMBER", "+15555550100");
    let report = without(&four[..2], &[number]);
    let told: Vec<_> = report.problems().iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(told, ["twilio.api_key", "twilio.api_secret"]);
    for problem in report.problems() {
        let told = problem.to_string();
        assert!(four.iter().all(|name| told.contains(name)), "{told}");
    }
    // Without a number they are required as ever.
    assert_eq!(without(&four, &[]).problems().len(), 4);
    let key = without(&four, &[number, ("CHIMEIN_TWILIO_REST_AUTH", "key")]);
    assert_eq!(key.problems()[0].key, "twilio.rest_auth");
}

#[test]
fn numbers_are_shown_masked_and_what_is_set_for_them_is_found() {
    let report = load(
        None,
        &environment([
            ("TWILIO_PHONE_NUMBER", "+1 (555) 555-0100,whatsapp:+15555550101"),
            ("TWILIO_WHATSAPP_NUMBER", "whatsapp:+15555550101, +15555550102"),
            ("CHIMEIN_MESSAGING_SENDER_RATES", "+15555550100=3,whatsapp:+15555550102=80"),
            ("CHIMEIN_MESSAGING_SOURCES", "+15555550100=direct"),
        ]),
    );
    let shown = |key: &str| {
        let found = report.effective.iter().find(|effective| effective.key == key).unwrap();
        found.shown.clone().unwrap()
    };
    assert_eq!(shown("messaging.phone_numbers"), "+…00,whatsapp:+…01");
    assert_eq!(shown("messaging.sender_rates"), "+…00=3,whatsapp:+…02=80");
    assert_eq!(shown("messaging.sources"), "+…00=direct");
    let views = format!("{report:?}");
    let settings = report.into_settings().unwrap();
    assert!(!format!("{views} {settings:#?}").contains("55555501"));
    let addresses = settings.messaging.addresses();
    let addresses: Vec<_> = addresses.iter().map(|address| address.reveal()).collect();
    assert_eq!(addresses, ["+15555550100", "whatsapp:+15555550101", "whatsapp:+15555550102"]);
    assert_eq!(settings.messaging.sweep_interval, std::time::Duration::from_secs(60));
    // Those of a messaging service are not all named.
    let service = [
        ("TWILIO_MESSAGING_SERVICE_SID", "MG00112233445566778899aabbccddeeff"),
        ("CHIMEIN_MESSAGING_SENDER_RATES", "+15555550100=3"),
    ];
    assert!(load(None, &environment(service)).into_settings().is_ok());
    // Something set for the bare number of a sender of WhatsApp would have no effect.
    let [service, rate] = service;
    let whatsapp = ("TWILIO_WHATSAPP_NUMBER", "+15555550100");
    let prefixed = ("TWILIO_WHATSAPP_NUMBER", "whatsapp:+15555550100");
    for given in [
        vec![whatsapp, rate],
        vec![whatsapp, rate, service],
        vec![prefixed, rate],
        vec![prefixed, rate, service],
    ] {
        let report = load(None, &environment(given));
        let told = report.problems().iter().map(ToString::to_string).collect::<String>();
        assert!(told.contains("a number on WhatsApp begins with whatsapp:"), "{told}");
    }
}

#[test]
fn a_region_needs_an_edge_only_where_its_own_is_not_known() {
    let bases = [
        ("TWILIO_CONVERSATIONS_BASE_URL", "https://conversations.example.com"),
        ("TWILIO_API_BASE_URL", "https://api.example.com"),
    ];
    let region = |name| [("TWILIO_REGION", name)];
    for right in [
        region("us1").to_vec(),
        region("ie1").to_vec(),
        region("au1").to_vec(),
        [&region("jp1")[..], &[("TWILIO_EDGE", "tokyo")]].concat(),
        [&region("jp1")[..], &bases].concat(),
        vec![("TWILIO_EDGE", "sydney")],
    ] {
        let report = load(None, &environment(right.iter().copied()));
        assert!(report.problems().is_empty(), "{right:?}: {:?}", report.problems());
    }
    for wrong in [region("jp1").to_vec(), [&region("jp1")[..], &bases[..1]].concat()] {
        let report = load(None, &environment(wrong.iter().copied()));
        let [problem] = report.problems() else { panic!("{:?}", report.problems()) };
        assert_eq!(problem.key, "twilio.region");
        assert!(problem.to_string().contains("set TWILIO_EDGE too"), "{problem}");
    }
}

#[test]
fn proxies_are_read_in_either_case_and_the_upper_one_wins() {
    let chosen = |pairs: &[(&'static str, &'static str)], url: &str| {
        let report = load(None, &environment(pairs.iter().copied()));
        let early = report.proxies().clone();
        let proxies = report.into_settings().unwrap().proxy.proxies();
        assert_eq!(early, proxies, "{pairs:?}");
        proxies.of(&url.parse().unwrap()).map(ToString::to_string)
    };
    let (https, http) = ("wss://tsock.us1.twilio.com/", "http://agent.example.com/");
    let socks = ("all_proxy", "socks5://socks.test:1080");
    for (pairs, secure, plain) in [
        (vec![], None, None),
        (vec![("HTTPS_PROXY", "http://a.test:1")], Some("a.test:1"), None),
        (vec![("https_proxy", "a.test:1")], Some("a.test:1"), None),
        (vec![("HTTPS_PROXY", "a.test:1"), ("https_proxy", "b.test:2")], Some("a.test:1"), None),
        (vec![("HTTPS_PROXY", " "), ("https_proxy", "b.test:2")], Some("b.test:2"), None),
        (vec![("http_proxy", "c.test:3")], None, Some("c.test:3")),
        (vec![("ALL_PROXY", "d.test:4")], Some("d.test:4"), Some("d.test:4")),
        (
            vec![("all_proxy", "d.test:4"), ("HTTP_PROXY", "c.test:3")],
            Some("d.test:4"),
            Some("c.test:3"),
        ),
        (vec![("ALL_PROXY", "d.test:4"), ("no_proxy", ".twilio.com")], None, Some("d.test:4")),
        (vec![("ALL_PROXY", "d.test:4"), ("NO_PROXY", "*")], None, None),
        // One that nobody would ask may be of any kind.
        (
            vec![socks, ("https_proxy", "a.test:1"), ("http_proxy", "c.test:3")],
            Some("a.test:1"),
            Some("c.test:3"),
        ),
    ] {
        assert_eq!(chosen(&pairs, https).as_deref(), secure, "{pairs:?}");
        assert_eq!(chosen(&pairs, http).as_deref(), plain, "{pairs:?}");
    }
}

#[test]
fn a_proxy_that_is_not_spoken_to_is_refused_and_not_repeated() {
    for (variable, value, key, told) in [
        ("HTTPS_PROXY", "socks5://planted:planted@socks.test:1080", "proxy.https", "SOCKS"),
        ("http_proxy", "socks5h://planted@socks.test", "proxy.http", "SOCKS"),
        ("ALL_PROXY", "socks4://planted.test", "proxy.all", "SOCKS"),
        ("HTTPS_PROXY", "ftp://planted:planted@proxy.test", "proxy.https", "the URL of a proxy"),
        ("ALL_PROXY", "http://", "proxy.all", "the URL of a proxy"),
    ] {
        let report = load(None, &environment([(variable, value)]));
        let [problem] = report.problems() else { panic!("{:?}", report.problems()) };
        assert_eq!(problem.key, key);
        assert!(problem.to_string().contains(told), "{problem}");
        assert!(!format!("{report:?}{problem}").contains("planted:planted"), "{report:?}");
    }
    let right = environment([("HTTPS_PROXY", "http://planted:planted@proxy.test:3128")]);
    let report = load(None, &right);
    let views = format!("{report:?}") + &format!("{:?}", report.into_settings().unwrap());
    assert!(!views.contains("planted:planted"), "{views}");
}

#[test]
fn no_view_of_the_settings_shows_a_secret() {
    let report = load(
        None,
        &environment([
            ("TWILIO_AUTH_TOKEN_NEXT", "planted-next"),
            ("CHIMEIN_AGENT_KIND", "http"),
            ("CHIMEIN_AGENT_URL", "https://agent.example.com/turns?from=+15555550123&k=planted"),
            ("CHIMEIN_AGENT_SECRET", "whsec_plantedplantedplantedplantedplantedA"),
            ("CHIMEIN_ADMIN_DEBUG_TOKEN", "planted-debug-token"),
            ("CHIMEIN_ALARMS_URL", "https://alarms.example.com/chimein?k=planted"),
            ("CHIMEIN_ALARMS_SECRET", "whsec_plantedplantedplantedplantedplantedA"),
        ]),
    );
    let mut views = format!("{report:?} {:#?}", report.effective);
    views.push_str(&format!("{:#?}", report.into_settings().unwrap()));
    for planted in ["planted", "15555550123"] {
        assert!(!views.contains(planted), "{planted}");
    }
    // A secret in the wrong place is not repeated either.
    let misplaced = [
        ("CHIMEIN_AGENT_URL", "https://planted:planted@example.com/"),
        ("TWILIO_ACCOUNT_SID", "planted"),
    ];
    let report = load(None, &environment(misplaced));
    let views = format!("{report:?}") + &report.into_settings().unwrap_err().to_string();
    assert!(!views.contains("planted"), "{views}");
}

const COMPLETE: [(&str, &str); 7] = [
    ("TWILIO_ACCOUNT_SID", "AC00112233445566778899aabbccddeeff"),
    ("TWILIO_AUTH_TOKEN", "planted-auth-token"),
    ("TWILIO_API_KEY", "SK00112233445566778899aabbccddeeff"),
    ("TWILIO_API_SECRET", "planted-api-secret"),
    ("TWILIO_CHAT_SERVICE_SID", "IS00112233445566778899aabbccddeeff"),
    ("TWILIO_IDENTITY", "bot"),
    ("CHIMEIN_WEBHOOK_PUBLIC_URL", "https://bot.example.com"),
];

/// A complete environment with some variables set otherwise.
fn environment<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Environment {
    Environment::from_pairs(COMPLETE.into_iter().chain(pairs))
}

fn pair(value: &str, origin: &str) -> (String, String) {
    (value.to_owned(), origin.to_owned())
}
