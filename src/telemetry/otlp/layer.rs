//! The layer of the log that sees stages begin and end.
//!
//! Only spans named [`trace::SPAN`] count, and of those the ones whose trace is known at their end and
//! sampled. It offers what has ended to a channel and never waits. Time enters through the [`Clock`].

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;
use uuid::Uuid;

use super::span::{Ended, is_sampled};
use crate::clock::{Clock, Moment, Timestamp};
use crate::telemetry::trace::{self, TraceId};

/// Turns ended stages into spans for the exporter.
pub struct Spans {
    sender: mpsc::Sender<Ended>,
    dropped: Arc<AtomicU64>,
    ratio: f64,
    clock: Clock,
}

impl Spans {
    pub(super) const fn new(
        sender: mpsc::Sender<Ended>,
        dropped: Arc<AtomicU64>,
        ratio: f64,
        clock: Clock,
    ) -> Self {
        Self { sender, dropped, ratio, clock }
    }

    fn end(&self, open: Open) {
        let Some(trace) = open.trace.filter(|trace| is_sampled(*trace, self.ratio)) else { return };
        let took = self.clock.now().since(open.began_moment);
        let (id, _) = Uuid::new_v4().as_u64_pair();
        let ended = Ended {
            trace,
            id,
            stage: open.stage,
            began: open.began,
            took_nanos: u64::try_from(took.as_nanos()).unwrap_or(u64::MAX),
            conversation: open.conversation,
            message: open.message,
            trouble: open.trouble,
        };
        if self.sender.try_send(ended).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<S> Layer<S> for Spans
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.metadata().name() != trace::SPAN {
            return;
        }
        let Some(span) = context.span(id) else { return };
        let mut open = Open::at(self.clock.wall(), self.clock.now());
        attributes.record(&mut open);
        span.extensions_mut().insert(open);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(open) = span.extensions_mut().get_mut::<Open>() {
            values.record(open);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if *event.metadata().level() > Level::WARN {
            return;
        }
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(open) = span.extensions_mut().get_mut::<Open>() {
                if open.trouble.is_none() {
                    let mut sentence = Sentence::default();
                    event.record(&mut sentence);
                    open.trouble = Some(sentence.0);
                }
                return;
            }
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let open = context.span(&id).and_then(|span| span.extensions_mut().remove::<Open>());
        if let Some(open) = open {
            self.end(open);
        }
    }
}

impl fmt::Debug for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spans").field("ratio", &self.ratio).finish_non_exhaustive()
    }
}

/// A stage that has not ended.
struct Open {
    began: Timestamp,
    began_moment: Moment,
    stage: String,
    trace: Option<TraceId>,
    conversation: Option<String>,
    message: Option<String>,
    trouble: Option<String>,
}

impl Open {
    const fn at(began: Timestamp, began_moment: Moment) -> Self {
        Self {
            began,
            began_moment,
            stage: String::new(),
            trace: None,
            conversation: None,
            message: None,
            trouble: None,
        }
    }

    fn put(&mut self, field: &Field, text: String) {
        match field.name() {
            "stage" => self.stage = text,
            "trace_id" => self.trace = text.parse().ok(),
            "conversation_sid" => self.conversation = Some(text),
            "message_sid" => self.message = Some(text),
            _ => {}
        }
    }
}

impl Visit for Open {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

/// The constant sentence of a log line.
#[derive(Default)]
struct Sentence(String);

impl Visit for Sentence {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}
