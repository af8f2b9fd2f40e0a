//! What can be found on this machine: settings, store, listeners, the form of the public URL.
//!
//! I/O: binds the listeners' addresses for a moment, opens the store as the service would, and writes
//! on trial beside its place.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::net::TcpListener;

use super::disk;
use crate::agent::kinds;
use crate::app;
use crate::config::kinds::Listen;
use crate::config::settings::{Account, Queue, Twilio, Webhook};
use crate::config::{Problem, Settings};
use crate::files;
use crate::finding::{Finding, Verdict};
use crate::net::dial;
use crate::net::place::{is_private, place_of};
use crate::queue::embedded::Format;
use crate::queue::{self, Store, embedded};
use crate::telemetry::chain::Chain;
use crate::twilio::rest;

/// How long a proxy may take to take a connection.
const PROXY_TIMEOUT: Duration = Duration::from_secs(2);

/// Tells a problem of the settings.
pub(super) fn setting(problem: &Problem) -> Finding {
    let found = format!("{} ({}): {}", problem.key, problem.origin, problem.reason);
    Finding::fail("settings", found, problem.remedy.clone())
}

/// Checks that the disk below the store takes what the service writes.
pub(super) fn disk(settings: &Queue) -> Finding {
    let path = &settings.path;
    let bytes_max = u64::try_from(settings.bytes_max.0).unwrap_or(u64::MAX);
    disk::examine(nearest_folder(path), path, bytes_max)
}

/// Checks that the store can be opened and its disk written to; says also whether a service has it
/// open right now.
pub(super) async fn store(settings: &Queue) -> (Vec<Finding>, bool) {
    let path = &settings.path;
    let bytes_max = u64::try_from(settings.bytes_max.0).unwrap_or(u64::MAX);
    let disk = self::disk(settings);
    if !path.exists() {
        let is_usable = disk.verdict != Verdict::Fail;
        let store =
            is_usable.then(|| Finding::ok("store", format!("{} can be made", path.display())));
        return (store.into_iter().chain([disk]).collect(), false);
    }
    let options = embedded::Options {
        retention: settings.retention,
        dead_retention: settings.dead_retention,
        bytes_max,
        ..embedded::Options::new(path)
    };
    let rights = rights(path);
    let (store, is_running) = opened(options, path).await;
    (vec![store, rights, disk], is_running)
}

async fn opened(options: embedded::Options, path: &Path) -> (Finding, bool) {
    let shown = path.display();
    let opened = match embedded::format(path) {
        // Opening it would change it.
        Ok(Format { found, newest }) if found > 0 && found < newest => {
            let found = format!(
                "{shown} has format {found}; the service's start keeps a copy beside it and brings it to \
                 format {newest}"
            );
            return (Finding::ok("store", found), false);
        }
        Ok(_) => Store::open(options),
        Err(error) => Err(error),
    };
    match opened {
        Ok(store) => {
            store.close().await;
            (Finding::ok("store", format!("{shown} opens")), false)
        }
        Err(queue::Error::InUse { .. }) => {
            (Finding::ok("store", format!("{shown} is open in a running service")), true)
        }
        Err(error @ queue::Error::Newer { .. }) => {
            let remedy = "run the newer chimein, or restore a file from before; see `chimein manual operation`";
            (Finding::fail("store", Chain(&error).to_string(), remedy), false)
        }
        Err(error) => {
            let remedy = "put that right, or let CHIMEIN_QUEUE_PATH name another place";
            (Finding::fail("store", Chain(&error).to_string(), remedy), false)
        }
    }
}

/// Checks that nobody else may read what people wrote. Opening the store takes such rights away, so
/// this looks first.
fn rights(path: &Path) -> Finding {
    const CHECK: &str = "store-rights";
    let shown = path.display();
    match files::rights_of_others(path) {
        Ok(None) => Finding::ok(CHECK, format!("{shown} is for this user alone")),
        Ok(Some(mode)) => {
            let found = format!("{shown} has the mode {mode:03o}, so others have rights to it");
            let remedy = "the service takes them away at its start; set them to 600, and look who \
                          may have read what people wrote";
            Finding::warn(CHECK, found, remedy)
        }
        Err(error) => {
            let found = format!("the rights to {shown} cannot be seen: {error}");
            Finding::warn(CHECK, found, "let this user own the file and its directory")
        }
    }
}

/// The file's directory, or the nearest there is above it, in which it would be made.
fn nearest_folder(path: &Path) -> &Path {
    let ancestors = path.ancestors().skip(1);
    ancestors
        .map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
        .find(|folder| folder.exists())
        .unwrap_or(Path::new("/"))
}

/// Checks that the listeners' places are free, or taken by the service that runs already.
pub(super) async fn listeners(settings: &Settings, is_running: bool) -> Vec<Finding> {
    let server = SocketAddr::new(settings.server.listen, settings.server.port.get());
    let mut findings = vec![listener("server-listen", server, is_running).await];
    match settings.admin.listen {
        Listen::On(admin) => {
            findings.push(listener("admin-listen", admin, is_running).await);
        }
        Listen::Off => findings.push(Finding::warn(
            "admin-listen",
            "off: no metrics, and dead-letters and send cannot ask a running service".to_owned(),
            "set CHIMEIN_ADMIN_LISTEN, for instance to 127.0.0.1:9464",
        )),
    }
    findings.push(debug_token(settings));
    findings
}

/// Checks that those who should see the debug pages and metrics can.
pub(super) fn debug_token(settings: &Settings) -> Finding {
    const CHECK: &str = "debug-pages";
    let remedy = "set CHIMEIN_ADMIN_DEBUG_TOKEN to a long random text";
    if settings.admin.debug_token.is_some() {
        return Finding::ok(CHECK, "debug pages and operator's routes ask for it".to_owned());
    }
    let is_far = match settings.admin.listen {
        Listen::On(admin) => !admin.ip().to_canonical().is_loopback(),
        Listen::Off => false,
    };
    if is_far {
        let found = "none: admin.listen is no loopback address, so metrics, debug pages, dead-letters \
                     and send are refused";
        return Finding::warn(CHECK, found.to_owned(), remedy);
    }
    if kinds::platform(settings).is_some() {
        let port = settings.server.port.get();
        let found = format!("none: the platform's tools are refused at /_debug on port {port}");
        return Finding::warn(CHECK, found, remedy);
    }
    Finding::ok(CHECK, "none: metrics and debug pages are for this machine alone".to_owned())
}

async fn listener(check: &'static str, address: SocketAddr, is_running: bool) -> Finding {
    match TcpListener::bind(address).await {
        Ok(_) if is_running => Finding::warn(
            check,
            format!("{address} is free, though a service has the store open"),
            "see whether that service runs with these settings",
        ),
        Ok(_) => Finding::ok(check, format!("{address} is free")),
        Err(error) if is_running && error.kind() == io::ErrorKind::AddrInUse => {
            Finding::ok(check, format!("{address} is taken, as the running service would"))
        }
        Err(error) => Finding::fail(
            check,
            format!("{address} cannot be listened on: {error}"),
            "stop what listens there, or set another address or port",
        ),
    }
}

/// Checks that the hosts of a region are named as they will be.
/// Source: API domain migration guide, read 2026-11-21.
pub(super) fn region(account: &Account) -> Finding {
    const CHECK: &str = "region-edge";
    let region = account.region.as_ref().map(|name| name.as_str());
    let edge = account.edge.as_ref().map(|name| name.as_str());
    match (region, edge) {
        (None, None) => Finding::ok(CHECK, "the default ones".to_owned()),
        (None, Some(edge)) => Finding::ok(CHECK, format!("us1 by {edge}")),
        (Some(region), Some(edge)) => Finding::ok(CHECK, format!("{region} by {edge}")),
        (Some(region), None) => {
            let own = rest::own_edge(region).unwrap_or("one of its own");
            let found = format!("{region} without an edge; it is entered by {own}");
            Finding::warn(CHECK, found, format!("set TWILIO_EDGE={own}"))
        }
    }
}

/// Checks that no rotation of the auth token was forgotten.
pub(super) fn rotation(account: &Account) -> Finding {
    const CHECK: &str = "token-rotation";
    match account.auth_token_next {
        None => Finding::ok(CHECK, "none is under way".to_owned()),
        Some(_) => Finding::warn(
            CHECK,
            "TWILIO_AUTH_TOKEN_NEXT is set, so two tokens can sign webhooks".to_owned(),
            "promote the token at Twilio, make it TWILIO_AUTH_TOKEN, and unset TWILIO_AUTH_TOKEN_NEXT",
        ),
    }
}

/// Checks that the proxy that leads to Twilio takes connections.
pub(super) async fn proxies(all: &Settings, twilio: &Twilio) -> Finding {
    const CHECK: &str = "proxies";
    let proxies = all.proxy.proxies();
    let options = app::rest_options(twilio, proxies.clone());
    let Some(proxy) = proxies.of(&options.conversations_base_url) else {
        return Finding::ok(CHECK, "none: Twilio is reached directly".to_owned());
    };
    let connecting = dial::is_listened_on(proxy);
    let remedy = "check the host and port of HTTPS_PROXY, or name Twilio's hosts in NO_PROXY";
    match tokio::time::timeout(PROXY_TIMEOUT, connecting).await {
        Ok(Ok(())) => Finding::ok(CHECK, format!("{proxy} takes connections")),
        Ok(Err(error)) => Finding::fail(CHECK, format!("{proxy} takes none: {error}"), remedy),
        Err(_) => {
            let found = format!("{proxy} takes none in {} s", PROXY_TIMEOUT.as_secs());
            Finding::fail(CHECK, found, remedy)
        }
    }
}

/// Checks that Twilio could reach the public URL at all.
pub(super) fn public_url(settings: &Webhook) -> Finding {
    const CHECK: &str = "public-url";
    let remedy =
        "set CHIMEIN_WEBHOOK_PUBLIC_URL to what Twilio calls, such as https://bot.example.com";
    let Some(base) = &settings.public_url else {
        return match settings.hosts.is_empty() {
            false => Finding::ok(CHECK, "not set: one of webhook.hosts is called".to_owned()),
            true => Finding::warn(
                CHECK,
                "not set, and allow_unknown_host is on: a request that Twilio signed for another \
                 service of the account, and that somebody has seen, counts as one for this bot"
                    .to_owned(),
                remedy,
            ),
        };
    };
    let url = base.url();
    let shown = place_of(url);
    if is_private(url) {
        return Finding::warn(CHECK, format!("{shown} is not reachable from the internet"), remedy);
    }
    if url.host_str().is_some_and(|host| host.contains('_')) {
        // Source: Error 11200 and its like, hosts with an underscore, read 2026-11-21.
        let found = format!("{shown} has an underscore in its host, which Twilio does not call");
        return Finding::fail(CHECK, found, remedy);
    }
    if url.scheme() != "https" {
        return Finding::warn(CHECK, format!("{shown} is not encrypted"), "use https");
    }
    Finding::ok(CHECK, shown)
}
