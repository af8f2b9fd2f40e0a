//! In which of two text formats the metrics are shown. Pure.
//!
//! Collectors ask for OpenMetrics by name and get it. Everybody else, browsers and `curl` among them,
//! gets Prometheus's plain text, which is shown and not offered as a download.
//! Source: OpenMetrics 1.0, "Overall Structure"; Prometheus, "Exposition formats"; read 2026-11-29.

use super::table::{self, Kind};

/// A text format of metrics.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// Prometheus's plain text, 0.0.4.
    Plain,
}

/// The type of OpenMetrics without its parameters.
const OPEN_METRICS: &str = "application/openmetrics-text";

impl Format {
    /// Chooses by what the request's `Accept` says: OpenMetrics if it is named and liked at least as
    /// well as plain text.
    #[must_use]
    pub fn wanted(accept: &str) -> Self {
        let weight = |wanted: &str| {
            let ranges = accept.split(',').filter_map(range);
            ranges.filter(|(kind, _)| kind == wanted).map(|(_, weight)| weight).fold(0.0, f32::max)
        };
        let open_metrics = weight(OPEN_METRICS);
        if open_metrics > 0.0 && open_metrics >= weight("text/plain") {
            Self::OpenMetrics
        } else {
            Self::Plain
        }
    }

    /// The value of the answer's `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// Writes a page of OpenMetrics in this format.
    pub(super) fn write(self, open_metrics: String) -> String {
        match self {
            Self::OpenMetrics => open_metrics,
            Self::Plain => open_metrics.lines().filter_map(plain_line).collect(),
        }
    }
}

/// A media range without its parameters, and its weight; none if the weight is no number.
fn range(text: &str) -> Option<(String, f32)> {
    let mut parts = text.split(';').map(str::trim);
    let kind = parts.next()?.to_ascii_lowercase();
    let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
    Some((kind, weight.map_or(Some(1.0), |weight| weight.parse().ok())?))
}

/// A line in plain text: there a counter is described under its whole name, and nothing marks the end.
fn plain_line(line: &str) -> Option<String> {
    if line == "# EOF" || line.starts_with("# UNIT ") {
        return None;
    }
    let described = ["# HELP ", "# TYPE "].iter().find_map(|mark| {
        let (name, rest) = line.strip_prefix(mark)?.split_once(' ')?;
        let is_counter = table::ALL.iter().any(|metric| {
            metric.kind == Kind::Counter && metric.name.strip_suffix("_total") == Some(name)
        });
        is_counter.then(|| format!("{mark}{name}_total {rest}\n"))
    });
    Some(described.unwrap_or_else(|| format!("{line}\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_names_openmetrics_gets_it_and_everybody_else_gets_plain_text() {
        for (who, accept, expected) in [
            ("nobody in particular", "", Format::Plain),
            ("curl", "*/*", Format::Plain),
            (
                "a browser",
                "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
                Format::Plain,
            ),
            (
                "Prometheus 2",
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            (
                "Prometheus 3",
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            (
                "Prometheus that was told so",
                "text/plain;version=0.0.4;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1",
                Format::Plain,
            ),
            ("old Prometheus", "text/plain;version=0.0.4;q=0.3,*/*;q=0.1", Format::Plain),
            ("who refuses it", "application/openmetrics-text;q=0, text/plain", Format::Plain),
            ("who shouts", "Application/OpenMetrics-Text ; Q=0.5", Format::OpenMetrics),
            ("who cannot count", "application/openmetrics-text;q=much", Format::Plain),
        ] {
            assert_eq!(Format::wanted(accept), expected, "{who}");
        }
    }
}
