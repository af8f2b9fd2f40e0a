//! The layer of the log that sees stages begin and end.
//!
//! Only spans named [`trace::SPAN`] count, and of those the ones whose trace is known at their end. A
//! stage within another of the same trace has that one for its parent. What has ended is handed to the
//! SDK, which never waits. Time enters through the [`Clock`].

use std::cell::Cell;
use std::fmt;
use std::time::{Duration, SystemTime};

use opentelemetry::KeyValue;
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _,
    TraceFlags, TraceId as OtelTraceId, TraceState, Tracer as _,
};
use opentelemetry_sdk::trace::{IdGenerator, SdkTracer};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};
use uuid::Uuid;

use crate::clock::{Clock, Moment, Timestamp};
use crate::telemetry::trace::{self, TraceId};

thread_local! {
    /// The ids of the span that this thread is about to hand to the SDK.
    static NEXT: Cell<(OtelTraceId, SpanId)> =
        const { Cell::new((OtelTraceId::INVALID, SpanId::INVALID)) };
}

/// Gives the SDK our ids: a trace's follows from the message, a span's is known before its end.
#[derive(Debug)]
pub(super) struct TraceIds;

impl IdGenerator for TraceIds {
    fn new_trace_id(&self) -> OtelTraceId {
        NEXT.get().0
    }

    fn new_span_id(&self) -> SpanId {
        NEXT.get().1
    }
}

/// Turns ended stages into spans for the exporter.
pub struct Spans {
    tracer: SdkTracer,
    clock: Clock,
}

impl Spans {
    pub(super) const fn new(tracer: SdkTracer, clock: Clock) -> Self {
        Self { tracer, clock }
    }

    fn end(&self, open: OpenStage, trace: TraceId, parent: Option<SpanId>) {
        let trace = OtelTraceId::from_bytes(*trace.as_bytes());
        NEXT.set((trace, open.id));
        let parent = parent.map(|id| {
            SpanContext::new(trace, id, TraceFlags::SAMPLED, false, TraceState::default())
        });
        let context = parent.map_or_else(opentelemetry::Context::new, |parent| {
            opentelemetry::Context::new().with_remote_span_context(parent)
        });
        let kind = if open.stage == trace::WEBHOOK { SpanKind::Server } else { SpanKind::Consumer };
        let sids = [
            ("chimein.conversation_sid", open.conversation),
            ("chimein.message_sid", open.message),
        ];
        let sids = sids.into_iter().filter_map(|(key, sid)| Some(KeyValue::new(key, sid?)));
        let began = system_time(open.began);
        let builder = SpanBuilder::from_name(open.stage)
            .with_kind(kind)
            .with_start_time(began)
            .with_attributes(sids);
        let mut span = self.tracer.build_with_context(builder, &context);
        if let Some(trouble) = open.trouble {
            span.set_status(Status::error(trouble));
        }
        span.end_with_timestamp(began + self.clock.now().since(open.began_moment));
    }
}

fn system_time(at: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(at.as_millis()).unwrap_or(0))
}

/// Finds the stage around one, if it is of the same trace.
fn parent<'a, S: LookupSpan<'a>>(span: &SpanRef<'a, S>, trace: TraceId) -> Option<SpanId> {
    span.scope().skip(1).find_map(|around| {
        let extensions = around.extensions();
        let open = extensions.get::<OpenStage>()?;
        (open.trace == Some(trace)).then_some(open.id)
    })
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
        let mut open = OpenStage::at(self.clock.wall(), self.clock.now());
        attributes.record(&mut open);
        span.extensions_mut().insert(open);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(open) = span.extensions_mut().get_mut::<OpenStage>() {
            values.record(open);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if *event.metadata().level() > Level::WARN {
            return;
        }
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(open) = span.extensions_mut().get_mut::<OpenStage>() {
                if open.trouble.is_none() {
                    let mut sentence = LineSentence::default();
                    event.record(&mut sentence);
                    open.trouble = Some(sentence.0);
                }
                return;
            }
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(open) = span.extensions_mut().remove::<OpenStage>() else { return };
        if let Some(trace) = open.trace {
            self.end(open, trace, parent(&span, trace));
        }
    }
}

impl fmt::Debug for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spans").finish_non_exhaustive()
    }
}

/// A stage that has not ended.
struct OpenStage {
    id: SpanId,
    began: Timestamp,
    began_moment: Moment,
    stage: String,
    trace: Option<TraceId>,
    conversation: Option<String>,
    message: Option<String>,
    trouble: Option<String>,
}

impl OpenStage {
    fn at(began: Timestamp, began_moment: Moment) -> Self {
        let (id, _) = Uuid::new_v4().as_u64_pair();
        Self {
            id: SpanId::from(id),
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

impl Visit for OpenStage {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

/// The constant sentence of a log line.
#[derive(Default)]
struct LineSentence(String);

impl Visit for LineSentence {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}
