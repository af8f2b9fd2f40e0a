//! The variables that Kubernetes sets in every container for every Service of its namespace.
//!
//! Decides which variables are such links and so nobody's settings. Pure. A Service `chimein-metrics`
//! brings `CHIMEIN_METRICS_SERVICE_HOST`, `…_SERVICE_PORT`, `…_SERVICE_PORT_<NAME>`, `…_PORT`,
//! `…_PORT_9464_TCP` and of the last `…_PROTO`, `…_PORT` and `…_ADDR`. Name and value must both be of
//! that shape, so that a mistyped setting is still told.
//! Source: Kubernetes, Service, "Environment variables", read 2026-11-21.

use std::net::IpAddr;

/// The protocols that a Service can have.
const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];

/// Whether a variable is a link to a Service.
pub(super) fn is_service_link(name: &str, value: &str) -> bool {
    let value = value.trim();
    if name.ends_with("_SERVICE_HOST") {
        return is_address(value);
    }
    if name.ends_with("_SERVICE_PORT") || name.contains("_SERVICE_PORT_") {
        return is_port(value);
    }
    if name.ends_with("_PORT") && is_link(value) {
        return true;
    }
    let parts: Vec<&str> = name.rsplit('_').take(4).collect();
    match parts[..] {
        [protocol, port, "PORT", ..] if is_of(protocol, port) => is_link(value),
        ["PROTO", protocol, port, "PORT"] if is_of(protocol, port) => {
            PROTOCOLS.iter().any(|known| known.eq_ignore_ascii_case(value))
        }
        ["PORT", protocol, port, "PORT"] if is_of(protocol, port) => is_port(value),
        ["ADDR", protocol, port, "PORT"] if is_of(protocol, port) => is_address(value),
        _ => false,
    }
}

/// Whether a value is a link as a Service's `…_PORT` has it: `tcp://10.0.0.7:9464`.
pub(super) fn is_link(value: &str) -> bool {
    let Some((protocol, rest)) = value.trim().split_once("://") else { return false };
    let Some((address, port)) = rest.rsplit_once(':') else { return false };
    let address = address.trim_start_matches('[').trim_end_matches(']');
    PROTOCOLS.iter().any(|known| known.eq_ignore_ascii_case(protocol))
        && is_address(address)
        && is_port(port)
}

fn is_of(protocol: &str, port: &str) -> bool {
    PROTOCOLS.contains(&protocol) && is_port(port)
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

fn is_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_told_from_settings_by_name_and_value() {
        for (name, value, is_a_link) in [
            ("CHIMEIN_SERVICE_HOST", "10.0.0.7", true),
            ("CHIMEIN_SERVICE_PORT", "3000", true),
            ("CHIMEIN_SERVICE_PORT_HTTP", "3000", true),
            ("CHIMEIN_PORT", "tcp://10.0.0.7:3000", true),
            ("CHIMEIN_PORT_3000_TCP", "tcp://10.0.0.7:3000", true),
            ("CHIMEIN_PORT_3000_TCP_PROTO", "tcp", true),
            ("CHIMEIN_PORT_3000_TCP_PORT", "3000", true),
            ("CHIMEIN_PORT_3000_TCP_ADDR", "10.0.0.7", true),
            ("CHIMEIN_METRICS_SERVICE_HOST", "10.0.0.7", true),
            ("CHIMEIN_METRICS_SERVICE_PORT", "9464", true),
            ("CHIMEIN_METRICS_SERVICE_PORT_PROM_HTTP", "9464", true),
            ("CHIMEIN_METRICS_PORT", "tcp://10.0.0.7:9464", true),
            ("CHIMEIN_METRICS_PORT", " udp://10.0.0.7:9464 ", true),
            ("CHIMEIN_METRICS_PORT", "tcp://[fd00::7]:9464", true),
            ("CHIMEIN_METRICS_PORT_9464_UDP", "udp://10.0.0.7:9464", true),
            ("CHIMEIN_METRICS_PORT_9464_UDP_PROTO", "udp", true),
            ("CHIMEIN_METRICS_PORT_9464_SCTP_PORT", "9464", true),
            ("CHIMEIN_METRICS_PORT_9464_TCP_ADDR", "fd00::7", true),
            ("CHIMEIN_AGENT_BLUE_SERVICE_HOST", "10.0.0.7", true),
            // What a person may have meant as a setting.
            ("CHIMEIN_PORT", "3000", false),
            ("CHIMEIN_METRICS_PORT", "9464", false),
            ("CHIMEIN_METRICS_PORT", "http://10.0.0.7:9464", false),
            ("CHIMEIN_METRICS_PORT", "tcp://metrics:9464", false),
            ("CHIMEIN_METRICS_PORT_9464_TCP_ADDR", "metrics", false),
            ("CHIMEIN_METRICS_PORT_LAST_TCP", "tcp://10.0.0.7:9464", false),
            ("CHIMEIN_METRICS_PORT_9464_HTTP", "tcp://10.0.0.7:9464", false),
            ("CHIMEIN_SERVICE_HOST", "localhost", false),
            ("CHIMEIN_SERVER_LISTEN", "10.0.0.7", false),
            ("CHIMEIN_AGENT_URL", "tcp://10.0.0.7:9464", false),
            ("CHIMEIN_SERVER_ADDR", "10.0.0.7", false),
        ] {
            assert_eq!(is_service_link(name, value), is_a_link, "{name}={value}");
        }
    }
}
