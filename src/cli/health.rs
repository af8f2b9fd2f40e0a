//! `chimein health`: asks the service on this machine whether it is well.
//!
//! A container's health check without curl: `GET /healthz`, then `GET /readyz` for the one word that
//! says that nothing can be stored, each step with a time limit. Exit code 0 means that the process
//! answers 200 and stores what it is given, 1 anything else: what Twilio refuses, or a socket that is
//! down, is no reason to replace a container. The operator's listener is asked, which no stranger's
//! connections fill; the public one where that is off, or a port is given. Of the settings it needs
//! these addresses only, so nothing else that may be wrong with them gets in its way. In a container that
//! was started for a local Twilio, that one is asked.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::admin::STORE_FAILING;
use crate::agent::kinds;
use crate::cli::needed::{MalformedSetting, setting};
use crate::cli::outcome::line;
use crate::config::Environment;
use crate::config::kinds::Listen;

/// What `chimein health` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file; without it the one that CHIMEIN_CONFIG names.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The service's port, instead of the one in the settings.
    #[arg(long)]
    port: Option<u16>,
    /// Asks for readiness instead of health.
    #[arg(long)]
    ready: bool,
    /// Milliseconds until the service counts as unwell.
    #[arg(long, value_name = "MS", default_value_t = 3_000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    timeout_ms: u64,
}

/// Says why the service counts as unwell.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The settings do not say where the service listens.
    #[error(transparent)]
    Setting(#[from] MalformedSetting),
    /// The local Twilio's port is not known.
    #[error(
        "the local Twilio listens on a port that the system chose; start it with a port of its own, \
         as --listen 0.0.0.0:8080"
    )]
    AnyPort,
    /// Nothing usable came back.
    #[error("no answer from {address}")]
    NoAnswer {
        /// Where the service should listen.
        address: SocketAddr,
        /// What happened on the way.
        #[source]
        source: io::Error,
    },
    /// The service answered, but not that it is well.
    #[error("{address}{path} answered {status}")]
    Unwell {
        /// Where the service listens.
        address: SocketAddr,
        /// What was asked.
        path: &'static str,
        /// The status line's code.
        status: u16,
    },
    /// The service answers, but cannot write its store.
    #[error(
        "the service at {address} cannot write its store; its log says why, and chimein doctor"
    )]
    StoreFailing {
        /// Where the service listens.
        address: SocketAddr,
    },
}

/// Bytes of the answer that are read at most; a page of health is a tenth of that.
const ANSWER_BYTES_MAX: u64 = 8_192;

/// Runs the command; `emulator` is where this container's local Twilio is, if it was started for one.
///
/// # Errors
///
/// Fails if the service cannot be reached in time, does not answer 200 or cannot store anything.
pub fn run(
    args: &Args,
    environment: &Environment,
    emulator: Option<SocketAddr>,
) -> Result<ExitCode, Error> {
    let emulator = emulator.filter(|_| args.port.is_none());
    let address = match emulator {
        Some(emulator) if emulator.port() == 0 => return Err(Error::AnyPort),
        Some(emulator) => from_here(emulator),
        None => address(args, environment)?,
    };
    let limit = Duration::from_millis(args.timeout_ms);
    let asked =
        |path| ask(address, path, limit).map_err(|source| Error::NoAnswer { address, source });
    let path = if args.ready && emulator.is_none() { "/readyz" } else { "/healthz" };
    let (status, _) = asked(path)?;
    if status != 200 {
        return Err(Error::Unwell { address, path, status });
    }
    if !args.ready && emulator.is_none() && lacks_store(&asked("/readyz")?.1) {
        return Err(Error::StoreFailing { address });
    }
    line(format_args!("ok"));
    Ok(ExitCode::SUCCESS)
}

/// Whether a page of readiness says that nothing can be stored.
fn lacks_store(answer: &str) -> bool {
    answer.contains(&format!("\"{STORE_FAILING}\""))
}

/// Where the service is reached from its own machine.
fn address(args: &Args, environment: &Environment) -> Result<SocketAddr, Error> {
    let report = kinds::load(args.config.as_deref(), environment);
    let malformed = |key| MalformedSetting { key };
    let address = match (args.port, setting(&report, "admin.listen")?) {
        (None, Listen::On(address)) => address,
        (port, Listen::On(_) | Listen::Off) => {
            let ip = report.value("server.listen").ok_or(malformed("server.listen"))?;
            let port = port.or_else(|| report.value("server.port"));
            SocketAddr::new(ip, port.ok_or(malformed("server.port"))?)
        }
    };
    Ok(from_here(address))
}

/// An address that is listened on, as it is reached from its own machine.
fn from_here(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Asks once and gives the status code and the whole answer.
fn ask(address: SocketAddr, path: &str, limit: Duration) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    let status = status_of(&answer).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
    Ok((status, String::from_utf8_lossy(&answer).into_owned()))
}

/// Reads the code of a status line: `HTTP/1.1 200 OK`.
fn status_of(answer: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(answer.get(..12)?).ok()?;
    text.strip_prefix("HTTP/1.")?.get(2..)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn status_lines_are_read_and_junk_is_not() {
        for (answer, status) in [
            ("HTTP/1.1 200 OK\r\n", Some(200)),
            ("HTTP/1.0 503 Service Unavailable\r\n", Some(503)),
            ("HTTP/1.1 20", None),
            ("SSH-2.0-OpenSSH_9.2", None),
            ("", None),
        ] {
            assert_eq!(status_of(answer.as_bytes()), status, "{answer}");
        }
    }

    #[test]
    fn the_address_is_the_services_own_as_seen_from_its_machine() {
        let off = ("CHIMEIN_ADMIN_LISTEN", "off");
        for (pairs, address) in [
            (vec![], Some("127.0.0.1:9464")),
            (vec![("CHIMEIN_ADMIN_LISTEN", "0.0.0.0:9000")], Some("127.0.0.1:9000")),
            (vec![("CHIMEIN_ADMIN_LISTEN", "[::]:9000"), ("PORT", "http")], Some("[::1]:9000")),
            (vec![("CHIMEIN_ADMIN_LISTEN", "10.0.0.7:9000")], Some("10.0.0.7:9000")),
            (vec![("CHIMEIN_ADMIN_LISTEN", "here")], None),
            (vec![off], Some("127.0.0.1:3000")),
            (vec![off, ("PORT", "8080")], Some("127.0.0.1:8080")),
            (vec![off, ("SERVICE_PORT", "9090"), ("PORT", "8080")], Some("127.0.0.1:9090")),
            (vec![off, ("CHIMEIN_SERVER_LISTEN", "::")], Some("[::1]:3000")),
            (vec![off, ("CHIMEIN_SERVER_LISTEN", "10.0.0.7")], Some("10.0.0.7:3000")),
            (vec![off, ("PORT", "0")], None),
            (vec![off, ("PORT", "http")], None),
        ] {
            let environment = Environment::from_pairs(pairs.clone());
            let args = Args { config: None, port: None, ready: false, timeout_ms: 1 };
            let found = super::address(&args, &environment).ok().map(|found| found.to_string());
            assert_eq!(found.as_deref(), address, "{pairs:?}");
        }
    }

    #[test]
    fn a_service_that_is_well_exits_zero_though_it_may_not_be_ready() {
        for readiness in [r#"{"ready":true,"reasons":[]}"#, r#"{"reasons":["twilio_refuses"]}"#] {
            let port = answer([WELL.to_owned(), format!("{UNREADY}{readiness}")]);
            assert!(run(&args(port), &Environment::default(), None).is_ok(), "{readiness}");
        }
    }

    #[test]
    fn a_service_that_can_store_nothing_is_unwell() {
        let reasons = r#"{"ready":false,"reasons":["store_failing"]}"#;
        let port = answer([WELL.to_owned(), format!("{UNREADY}{reasons}")]);
        let error = run(&args(port), &Environment::default(), None).unwrap_err();
        assert!(matches!(error, Error::StoreFailing { .. }), "{error}");
    }

    #[test]
    fn a_service_that_is_unwell_fails_with_its_status() {
        let port = answer([UNREADY.to_owned()]);
        let error = run(&args(port), &Environment::default(), None).unwrap_err();
        assert!(matches!(error, Error::Unwell { status: 503, .. }), "{error}");
    }

    #[test]
    fn a_service_that_is_not_there_fails() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let error = run(&args(port), &Environment::default(), None).unwrap_err();
        assert!(matches!(error, Error::NoAnswer { .. }), "{error}");
    }

    #[test]
    fn a_local_twilio_is_asked_alone_and_by_a_port_that_is_known() {
        let (args, nothing) = (Args { port: None, ..args(0) }, Environment::default());
        // It is asked once: a second question would get no answer.
        let port = answer([WELL.to_owned()]);
        let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        assert!(run(&args, &nothing, Some(everywhere)).is_ok());
        let error = run(&args, &nothing, Some(everywhere)).unwrap_err();
        assert!(matches!(error, Error::NoAnswer { .. }), "{error}");
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let error = run(&args, &nothing, Some(any)).unwrap_err();
        assert!(error.to_string().contains("--listen 0.0.0.0:8080"), "{error}");
    }

    fn args(port: u16) -> Args {
        Args { config: None, port: Some(port), ready: false, timeout_ms: 5_000 }
    }

    const WELL: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    const UNREADY: &str = "HTTP/1.1 503 Service Unavailable\r\n\r\n";

    /// Gives the answers, each on a connection of its own.
    fn answer<const N: usize>(answers: [String; N]) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let _ = std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 256];
                let _ = stream.read(&mut request).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        port
    }
}
