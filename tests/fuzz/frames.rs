//! What must hold of any bytes as a message of the socket.

use bytes::Bytes;
use chimein::realtime::twilsock::frame::{Limits, decode, encode};

/// Reads bytes as a message: a frame that is read keeps to the limits, and written again it is read as
/// the same.
pub fn hold(bytes: &[u8]) {
    let limits = Limits { header_bytes_max: 4096, payload_bytes_max: 4096 };
    let Ok(frame) = decode(&Bytes::copy_from_slice(bytes), &limits) else { return };
    assert!(frame.payload.len() <= limits.payload_bytes_max);
    let again = decode(&encode(&frame.header, &frame.payload), &Limits::default());
    let again = again.map(|again| (again.header.method, again.header.id, again.payload));
    assert_eq!(again, Ok((frame.header.method, frame.header.id, frame.payload)));
}
