//! Where log lines go and how they look.
//!
//! Text for a terminal, one JSON object a line otherwise. Lines of other crates are shown from
//! `info` up only, whatever the level: at `debug` and `trace` they print URLs and frames. Our own
//! frames are logged at `trace` under targets `wire::*`, which must be asked for by name.

pub mod bitbrat;
mod json;
mod narrow;

use std::io::{self, IsTerminal};
use std::str::FromStr;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use self::narrow::Narrow;
use super::otlp::Spans;

/// How the log is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which lines are shown.
    pub level: Level,
    /// How they look.
    pub format: Format,
    /// Where they go.
    pub stream: Stream,
    /// Whether text on a terminal has colours; NO_COLOR switches them off.
    pub has_colours: bool,
    /// The name that JSON lines carry as `service`.
    pub service: String,
}

/// Which lines are shown: a word, or directives of `tracing-subscriber`'s `EnvFilter`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Level(String);

impl Level {
    /// Takes the text back out, as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The filter's directives: a word is a level for this program and caps other crates.
    fn directives(&self) -> String {
        match self.0.as_str() {
            level @ ("debug" | "trace") => format!("info,chimein={level},wire=off"),
            level @ ("off" | "error" | "warn" | "info") => format!("{level},wire=off"),
            directives => directives.to_owned(),
        }
    }
}

impl Default for Level {
    /// `info`.
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl FromStr for Level {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let word = text.to_ascii_lowercase();
        if matches!(word.as_str(), "off" | "error" | "warn" | "info" | "debug" | "trace") {
            return Ok(Self(word));
        }
        // A lone word would be taken for a target; it is a misspelled level.
        if text.is_empty() || !text.contains('=') {
            return Err(Error::Level { source: None });
        }
        match EnvFilter::builder().parse(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(source) => Err(Error::Level { source: Some(source) }),
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Format {
    /// Text if the stream is a terminal, else JSON.
    #[default]
    Auto,
    /// One line of text each, in colour on a terminal.
    Text,
    /// One JSON object a line.
    Json,
    /// One JSON object a line, named as the platform BitBrat names things.
    Bitbrat,
}

/// Where log lines go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stream {
    /// All to standard output; as JSON errors and warnings to standard error, as the platform's own programs do.
    Stdout,
    /// All to standard error, for commands whose output is something else.
    Stderr,
}

/// Says why the log could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The level is neither a word nor a directive.
    #[error("not a log level: wanted off, error, warn, info, debug, trace or filter directives")]
    Level {
        /// What the filter says about it.
        #[source]
        source: Option<tracing_subscriber::filter::ParseError>,
    },
    /// Something else has set up a log before.
    #[error("the log is set up already")]
    AlreadySetUp(#[source] tracing_subscriber::util::TryInitError),
}

/// Sets up the log of this process; call it once, before anything is logged. With `spans`, ended stages
/// go there as well.
///
/// # Errors
///
/// Fails if a log is set up already.
pub fn init(options: &Options, spans: Option<Spans>) -> Result<(), Error> {
    let is_terminal = match options.stream {
        Stream::Stdout => io::stdout().is_terminal(),
        Stream::Stderr => io::stderr().is_terminal(),
    };
    let as_json = match options.format {
        Format::Auto => !is_terminal,
        Format::Text => false,
        Format::Json | Format::Bitbrat => true,
    };
    let filter = EnvFilter::builder()
        .parse(options.level.directives())
        .map_err(|source| Error::Level { source: Some(source) })?;
    let registry = tracing_subscriber::registry().with(filter).with(spans);
    let is_reshaped = options.format == Format::Bitbrat;
    let done = if as_json {
        registry
            .with(json::Lines::new(options.service.clone(), is_reshaped, writer(options.stream)))
            .try_init()
    } else {
        let is_coloured = is_terminal && options.has_colours;
        let text = tracing_subscriber::fmt::layer().with_ansi(is_coloured);
        let text = text.with_writer(narrow_writer(options.stream));
        registry.with(text).try_init()
    };
    done.map_err(Error::AlreadySetUp)
}

fn writer(stream: Stream) -> BoxMakeWriter {
    match stream {
        Stream::Stdout => BoxMakeWriter::new(Split),
        Stream::Stderr => BoxMakeWriter::new(io::stderr),
    }
}

/// Chooses the stream by the line's level.
struct Split;

impl<'a> MakeWriter<'a> for Split {
    type Writer = Box<dyn io::Write>;

    fn make_writer(&'a self) -> Self::Writer {
        Box::new(io::stdout())
    }

    fn make_writer_for(&'a self, meta: &tracing::Metadata<'_>) -> Self::Writer {
        if *meta.level() <= tracing::Level::WARN {
            Box::new(io::stderr())
        } else {
            Box::new(io::stdout())
        }
    }
}

fn narrow_writer(stream: Stream) -> BoxMakeWriter {
    match stream {
        Stream::Stdout => BoxMakeWriter::new(|| Narrow(io::stdout())),
        Stream::Stderr => BoxMakeWriter::new(|| Narrow(io::stderr())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_words_or_directives_and_nothing_else() {
        for text in ["info", "INFO", " warn ", "off", "info,wire=trace", "chimein::queue=debug"] {
            assert!(text.parse::<Level>().is_ok(), "{text}");
        }
        for text in ["", "loud", "chimein=loud", "3"] {
            assert!(text.parse::<Level>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_word_never_opens_other_crates_or_the_wire() {
        for word in ["error", "info", "debug", "trace"] {
            let directives = word.parse::<Level>().unwrap().directives();
            assert!(directives.contains("wire=off"), "{directives}");
            let others = directives.split(',').next().unwrap();
            assert!(!["debug", "trace"].contains(&others), "{directives}");
        }
    }
}
