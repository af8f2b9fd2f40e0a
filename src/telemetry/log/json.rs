//! Log lines as JSON, with BitBrat's keys.
//!
//! `ts`, `service`, `level`, `severity`, `msg`, `target`, then the fields of the spans around the
//! line and its own; the format `bitbrat` reshapes the result. A field whose name promises a secret is masked, however it got there.
//! Source: BitBrat 0.33.3, its logger: keys, level words, and the list of masked names.

use std::fmt;
use std::io::Write;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::bitbrat;
use crate::clock::Clock;

/// Writes each event as one JSON object on a line of its own.
pub(super) struct Lines {
    service: String,
    is_reshaped: bool,
    clock: Clock,
    writer: BoxMakeWriter,
}

impl Lines {
    /// Makes the layer; a reshaped one writes the format `bitbrat`.
    pub(super) fn new(service: String, is_reshaped: bool, writer: BoxMakeWriter) -> Self {
        Self { service, is_reshaped, clock: Clock::start(), writer }
    }

    fn line(&self, level: Level, target: &str, spans: &[LineFields], own: LineFields) -> Value {
        let mut line = Map::new();
        let mut put = |key: &str, value: Value| drop(line.insert(key.to_owned(), value));
        put("ts", self.clock.wall().to_string().into());
        put("service", self.service.as_str().into());
        let (word, severity) = words(level);
        put("level", word.into());
        put("severity", severity.into());
        put("msg", own.message.into());
        put("target", target.into());
        for fields in spans {
            line.extend(fields.values.clone());
        }
        line.extend(own.values);
        if self.is_reshaped {
            bitbrat::reshape(&mut line);
        }
        Value::Object(line)
    }
}

impl<S> Layer<S> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = LineFields::default();
        attributes.record(&mut fields);
        span.extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<LineFields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut own = LineFields::default();
        event.record(&mut own);
        let spans: Vec<LineFields> = context
            .event_scope(event)
            .into_iter()
            .flatten()
            .filter_map(|span| span.extensions().get::<LineFields>().cloned())
            .collect();
        let metadata = event.metadata();
        // Outer spans first, so that the inner ones win.
        let spans: Vec<LineFields> = spans.into_iter().rev().collect();
        let mut text = self.line(*metadata.level(), metadata.target(), &spans, own).to_string();
        text.push('\n');
        // A log that cannot be written has nowhere to say so.
        let _ = self.writer.make_writer_for(metadata).write_all(text.as_bytes());
    }
}

/// The fields of one event or span.
#[derive(Clone, Default)]
struct LineFields {
    message: String,
    values: Map<String, Value>,
}

impl LineFields {
    fn put(&mut self, field: &Field, value: Value) {
        let value = if promises_a_secret(field.name()) { MASK.into() } else { value };
        self.values.insert(field.name().to_owned(), value);
    }
}

impl Visit for LineFields {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" {
            self.message = text;
        } else {
            self.put(field, text.into());
        }
    }
}

const MASK: &str = "***REDACTED***";

/// Whether a field's name says that its value is nobody's business.
fn promises_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["token", "secret", "password", "authorization", "cookie", "api_key", "signature"]
        .iter()
        .any(|word| name.contains(word))
}

/// BitBrat's two words for a level.
fn words(level: Level) -> (&'static str, &'static str) {
    match level {
        Level::ERROR => ("error", "ERROR"),
        Level::WARN => ("warn", "WARNING"),
        Level::INFO => ("info", "INFO"),
        Level::DEBUG => ("debug", "DEBUG"),
        Level::TRACE => ("trace", "DEBUG"),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn a_line_has_bitbrats_keys_and_the_fields_of_its_spans() {
        let line = logged(|| {
            let outer = tracing::info_span!("outer", conn_id = 7, attempt = 1);
            let _outer = outer.enter();
            let inner = tracing::info_span!("inner", attempt = 2);
            let _inner = inner.enter();
            tracing::warn!(retry_in_ms = 250_u64, reason = %"busy", "join failed");
        });
        assert_eq!(line["service"], "chimein");
        assert_eq!(line["level"], "warn");
        assert_eq!(line["severity"], "WARNING");
        assert_eq!(line["msg"], "join failed");
        assert_eq!(line["conn_id"], 7);
        assert_eq!(line["attempt"], 2);
        assert_eq!(line["retry_in_ms"], 250);
        assert_eq!(line["reason"], "busy");
        let ts = line["ts"].as_str().unwrap();
        assert!(crate::clock::Timestamp::parse_rfc3339(ts).is_some(), "{ts}");
    }

    #[test]
    fn fields_that_promise_a_secret_are_masked() {
        let line = logged(|| {
            tracing::info!(auth_token = "planted", signature = %"planted", status = 200, "done");
        });
        assert!(!line.to_string().contains("planted"), "{line}");
        assert_eq!(line["status"], 200);
    }

    #[test]
    fn values_recorded_later_are_shown() {
        let line = logged(|| {
            let span = tracing::info_span!("call", status = tracing::field::Empty);
            let _entered = span.enter();
            span.record("status", 429);
            tracing::info!("done");
        });
        assert_eq!(line["status"], 429);
    }

    fn logged(work: impl FnOnce()) -> Value {
        let written = Written::default();
        let sink = written.clone();
        let lines =
            Lines::new("chimein".to_owned(), false, BoxMakeWriter::new(move || sink.clone()));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), work);
        let bytes = written.0.lock().unwrap().clone();
        assert!(bytes.ends_with(b"\n"));
        serde_json::from_slice(&bytes).unwrap()
    }

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
