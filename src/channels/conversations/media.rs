//! A message's files, as each door says them, as the agent is told them. Pure.

use crate::realtime;
use crate::thread::Media;
use crate::twilio::{events, rest};

impl From<events::Media> for Media {
    fn from(media: events::Media) -> Self {
        let events::Media { sid, filename, content_type, size } = media;
        Self { sid: Some(sid), url: None, content_type, filename, size }
    }
}

impl From<realtime::Media> for Media {
    /// The category is left out: it says where Twilio keeps the file, which its sid says too.
    fn from(media: realtime::Media) -> Self {
        let realtime::Media { sid, content_type, size, filename, category: _ } = media;
        Self { sid: Some(sid), url: None, content_type, filename, size }
    }
}

impl From<rest::Media> for Media {
    fn from(media: rest::Media) -> Self {
        let rest::Media { sid, size, content_type, filename } = media;
        Self { sid: Some(sid), url: None, content_type, filename, size }
    }
}
