//! Ports for programs that a test starts, kills and starts again.
//!
//! They lie below those that the system gives to outgoing connections, so that one stays free while
//! its program is down. A UDP socket of the same number, kept until this process ends, tells every
//! other test process that the port is somebody's.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Mutex;

/// The first port that is given.
const FIRST: u16 = 10_000;
/// How many there are to be given; Linux gives outgoing connections those from 32,768 on.
const COUNT: u16 = 22_000;

/// An address of this machine where nobody listens.
#[allow(dead_code, reason = "some of the binaries that include this need ports alone")]
pub fn free_address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, free_port()).into()
}

/// A port that nobody has; none is given twice.
pub fn free_port() -> u16 {
    static OURS: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());
    // Processes begin to look at different places, so that most find one at once.
    let start = u16::try_from(std::process::id() * 53 % u32::from(COUNT)).unwrap();
    let mut ours = OURS.lock().unwrap();
    for port in (0..COUNT).map(|n| FIRST + (start + n) % COUNT) {
        let Ok(claim) = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)) else { continue };
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            ours.push(claim);
            return port;
        }
    }
    panic!("no port is free");
}
