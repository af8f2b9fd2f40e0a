//! How far each conversation has been read, kept in the store for the realtime client.

use futures::future::BoxFuture;

use crate::queue::Marks;
use crate::realtime::{WatermarkError, Watermarks};
use crate::twilio::sid::ConversationSid;

/// Watermarks in the store.
pub struct KeptWatermarks(pub Marks);

impl Watermarks for KeptWatermarks {
    fn load(
        &self,
        conversation: ConversationSid,
    ) -> BoxFuture<'_, Result<Option<u64>, WatermarkError>> {
        Box::pin(async move {
            let read = self.0.read(&conversation.to_string()).await;
            read.map_err(|error| WatermarkError(Box::new(error)))
        })
    }
}
