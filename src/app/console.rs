//! The console, made of the settings and what runs, and the gate before the admin listener.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::HeaderName;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::alarms;
use super::health::Health;
use crate::admin;
use crate::admin::access::HostGate;
use crate::alarms::teller::Witness;
use crate::config::Settings;
use crate::console::lookout::Lookout;
use crate::console::parts::{Console, Options};
use crate::console::proxy_login::ProxyLogin;
use crate::console::workbench::Workbench;
use crate::jobs::recorder::Recorder;

/// The pages of the admin listener, the console's beside the others.
pub fn pages(
    (settings, listen): (&Settings, Option<SocketAddr>),
    pages: Arc<admin::Options>,
    (health, recorder, workbench): (&Arc<Health>, &Recorder, Option<&Workbench>),
    (tasks, stops): (&TaskTracker, [&CancellationToken; 2]),
) -> Router {
    let Some(listen) = listen else { return Router::new() };
    let [listeners, workers] = stops;
    let witness: Arc<dyn Witness> = Arc::<Health>::clone(health);
    let lookout = Lookout::new(witness, recorder.clone(), alarms::thresholds(settings));
    tasks.spawn(lookout.clone().run(workers.clone()));
    let console = Console::new(Options {
        pages: Arc::clone(&pages),
        listen,
        read_token: settings.admin.read_token.clone(),
        proxy_login: proxy_login(settings),
        lookout,
        findings: health.findings().clone(),
        plans: health.plans().clone(),
        workbench: workbench.cloned(),
        recorder: recorder.clone(),
        stop: listeners.clone(),
    });
    admin::private(pages, listen).merge(crate::console::router(console))
}

/// What is believed of which proxies.
fn proxy_login(settings: &Settings) -> Option<ProxyLogin> {
    let admin = &settings.admin;
    let header = admin.proxy_header.as_ref()?;
    Some(ProxyLogin {
        header: HeaderName::from_bytes(header.as_str().as_bytes()).ok()?,
        proxies: admin.proxies.0.clone(),
        may_act: admin.proxy_actors.0.clone(),
    })
}

/// Who may call the admin listener at all, by which names.
pub fn gate(settings: &Settings) -> HostGate {
    let admin = &settings.admin;
    let tokens = admin.debug_token.iter().chain(&admin.read_token).cloned().collect();
    HostGate::new(admin.hosts.clone(), tokens)
}
