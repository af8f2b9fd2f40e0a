//! What must hold of any bytes as a message of the socket.

use bytes::Bytes;
use chimein::realtime::twilsock::frame::{Decoder, Limits, decode};

/// Reads bytes whole and in two pieces: both readers agree on the first frame.
pub fn agree(bytes: &[u8], split: usize) {
    let limits = Limits { header_bytes_max: 4096, payload_bytes_max: 4096 };
    let whole = decode(&Bytes::copy_from_slice(bytes), &limits);
    let mut decoder = Decoder::new(limits);
    let mut first = None;
    for piece in [&bytes[..split], &bytes[split..]] {
        decoder.push(piece);
        while let Some(next) = decoder.next_frame() {
            first.get_or_insert(next);
        }
    }
    let _ = decoder.end_of_message();
    if let (Ok(whole), Some(first)) = (whole, first) {
        assert_eq!(Ok(whole), first);
    }
}
