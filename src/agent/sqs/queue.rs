//! One queue, as the SDK speaks to it: every call has its time, and nothing is decided here.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{BuildError, ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
    MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName,
};

use super::error::{Error, NO_QUEUE};
use super::facts::{Facts, Letters, Redrive, Role};
use super::queued_turn::QueuedTurn;
use crate::agent::matter::Matter;
use crate::pii::Pii;

/// The most messages of one call. Source: Amazon SQS message quotas, batches, read 2026-11-30.
pub(super) const BATCH: i32 = 10;
/// How long a call may take that waits for nothing.
const WITHIN: Duration = Duration::from_secs(10);

/// A queue.
pub(super) struct SqsQueue {
    client: Client,
    url: String,
    role: Role,
}

/// A message that came.
pub(super) struct QueueMessage {
    /// What the queue calls it.
    pub(super) id: String,
    /// What it is deleted by, this time.
    pub(super) receipt: String,
    /// What it says.
    pub(super) body: Pii,
    /// How often it was received, this time included.
    pub(super) receives: u32,
}

impl SqsQueue {
    /// A queue at its URL.
    pub(super) const fn new(client: Client, url: String, role: Role) -> Self {
        Self { client, url, role }
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or_default()
    }

    /// What it is for.
    pub(super) const fn role(&self) -> Role {
        self.role
    }

    /// Sends a turn. A FIFO queue keeps the order of a thread and takes a turn once in five minutes; of a
    /// standard queue the group makes a fair one.
    /// Source: Amazon SQS Developer Guide, Fair queues; `SendMessage`, read 2026-11-30.
    pub(super) async fn send(&self, queued: QueuedTurn) -> Result<(), Error> {
        let QueuedTurn { turn, thread, once, body } = queued;
        let text = |value: String| {
            MessageAttributeValue::builder().data_type("String").string_value(value).build()
        };
        let turn = text(turn.to_string()).map_err(unfinished("take a turn"))?;
        let is_fifo = self.name().ends_with(".fifo");
        let request = self
            .client
            .send_message()
            .queue_url(&self.url)
            .message_body(body)
            .message_attributes("turn_id", turn)
            .message_group_id(thread.to_string())
            .set_message_deduplication_id(is_fifo.then_some(once));
        in_time("take a turn", WITHIN, request.send()).await.map(drop)
    }

    /// Receives what is there, or what comes while it waits. Ours until `visible_after`.
    ///
    /// # Cancel safety
    ///
    /// What was received and is dropped comes again.
    pub(super) async fn receive(
        &self,
        wait: Duration,
        visible_after: Duration,
    ) -> Result<Vec<QueueMessage>, Error> {
        let request = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(BATCH)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .wait_time_seconds(seconds(wait))
            .visibility_timeout(seconds(visible_after));
        let received = in_time("give replies", wait + WITHIN, request.send()).await?;
        let messages = received.messages.unwrap_or_default().into_iter();
        let came = messages.filter_map(|message| {
            let count = MessageSystemAttributeName::ApproximateReceiveCount;
            let receives = message.attributes.as_ref().and_then(|known| known.get(&count));
            Some(QueueMessage {
                receives: receives.and_then(|count| count.parse().ok()).unwrap_or(1),
                id: message.message_id.unwrap_or_default(),
                receipt: message.receipt_handle?,
                body: message.body.unwrap_or_default().into(),
            })
        });
        Ok(came.collect())
    }

    /// Deletes messages that are done; gives how many were not.
    pub(super) async fn delete(&self, receipts: &[String]) -> Result<usize, Error> {
        const DOING: &str = "delete replies";
        let entries = receipts.iter().enumerate().map(|(at, receipt)| {
            let entry = DeleteMessageBatchRequestEntry::builder();
            entry.id(at.to_string()).receipt_handle(receipt).build()
        });
        let entries: Result<Vec<_>, _> = entries.collect();
        let entries = entries.map_err(unfinished(DOING))?;
        let request = self.client.delete_message_batch().queue_url(&self.url);
        let answer = in_time(DOING, WITHIN, request.set_entries(Some(entries)).send()).await?;
        Ok(answer.failed.len())
    }

    /// Says when messages are to be seen again that are not deleted until then.
    pub(super) async fn keep(&self, receipts: &[String], time: Duration) -> Result<(), Error> {
        const DOING: &str = "keep replies for us";
        let entries = receipts.iter().enumerate().map(|(at, receipt)| {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder();
            let entry = entry.id(at.to_string()).receipt_handle(receipt);
            entry.visibility_timeout(seconds(time)).build()
        });
        let entries: Result<Vec<_>, _> = entries.collect();
        let entries = entries.map_err(unfinished(DOING))?;
        let request = self.client.change_message_visibility_batch().queue_url(&self.url);
        in_time(DOING, WITHIN, request.set_entries(Some(entries)).send()).await.map(drop)
    }

    /// Asks what the queue is.
    pub(super) async fn facts(&self) -> Result<Facts, Error> {
        let request = self
            .client
            .get_queue_attributes()
            .queue_url(&self.url)
            .attribute_names(QueueAttributeName::All);
        let answer = in_time("say what it is", WITHIN, request.send()).await?;
        Ok(Facts::of(&answer.attributes.unwrap_or_default()))
    }

    /// Looks at a dead-letter queue.
    pub(super) async fn letters(&self, redrive: &Redrive) -> Letters {
        match self.held(redrive).await {
            Ok(count) => Letters::Hold(count),
            Err(error) if error.matter() == Matter::Configuration(NO_QUEUE) => Letters::Missing,
            Err(_) => Letters::Unseen,
        }
    }

    async fn held(&self, redrive: &Redrive) -> Result<u64, Error> {
        let request = self
            .client
            .get_queue_url()
            .queue_name(&redrive.name)
            .queue_owner_aws_account_id(&redrive.account);
        let place = in_time("name a dead-letter queue", WITHIN, request.send()).await?;
        let count = QueueAttributeName::ApproximateNumberOfMessages;
        let request = self
            .client
            .get_queue_attributes()
            .set_queue_url(place.queue_url)
            .attribute_names(count.clone());
        let answer = in_time("count dead letters", WITHIN, request.send()).await?;
        let held = answer.attributes.unwrap_or_default();
        Ok(held.get(&count).and_then(|text| text.parse().ok()).unwrap_or(0))
    }
}

async fn in_time<T, E>(
    doing: &'static str,
    limit: Duration,
    work: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
) -> Result<T, Error>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match tokio::time::timeout(limit, work).await {
        Ok(answer) => answer.map_err(|error| Error::of(doing, error)),
        Err(_) => Err(Error::Silent { doing, limit }),
    }
}

fn unfinished(doing: &'static str) -> impl FnOnce(BuildError) -> Error {
    move |source| Error::Unreachable { doing, source: Box::new(source) }
}

fn seconds(time: Duration) -> i32 {
    i32::try_from(time.as_secs()).unwrap_or(i32::MAX)
}
