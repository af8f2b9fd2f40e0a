//! What a command says and how it ends, as a value, so that tests can look at it.

use std::fmt;
use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;

use crate::telemetry::chain::Chain;
use crate::text::printable;

/// The exit code for misuse: wrong arguments, or settings that do not fit together.
pub(super) const MISUSE: u8 = 2;

/// The end of a command that could do its work.
#[derive(Debug)]
pub(super) struct Outcome {
    /// For standard output.
    pub(super) output: String,
    /// For standard error.
    pub(super) complaint: String,
    /// For the caller's `$?`.
    pub(super) code: u8,
    /// Words that have a colour at the beginning of a line on a terminal.
    pub(super) colours: Colours,
}

/// Words with their colours, as the number of an escape sequence.
pub(super) type Colours = &'static [(&'static str, &'static str)];

impl Outcome {
    /// All went well.
    pub(super) const fn done(output: String) -> Self {
        Self { output, complaint: String::new(), code: 0, colours: &[] }
    }

    /// Adds a line for standard error.
    pub(super) fn with_note(mut self, note: &str) -> Self {
        self.complaint.push_str(note);
        self.complaint.push('\n');
        self
    }

    /// Ends with another code.
    pub(super) const fn with_code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// Gives words a colour wherever a line begins with one, on a terminal alone.
    pub(super) const fn painted(mut self, colours: Colours) -> Self {
        self.colours = colours;
        self
    }

    /// Prints it as a terminal may show it and gives the exit code.
    pub(super) fn tell(self) -> io::Result<ExitCode> {
        let shown = printable(&self.output);
        if io::stdout().is_terminal() {
            write_out(paint(&shown, self.colours).as_bytes())?;
        } else {
            write_out(shown.as_bytes())?;
        }
        io::stderr().write_all(printable(&self.complaint).as_bytes())?;
        Ok(ExitCode::from(self.code))
    }
}

/// Puts the colours in; only the first word of a line has one.
fn paint(text: &str, colours: Colours) -> String {
    let paint = |line: &str| {
        let found = colours.iter().find_map(|(word, colour)| {
            let rest = line.strip_prefix(word)?;
            rest.starts_with([' ', '\n']).then(|| format!("\u{1b}[{colour}m{word}\u{1b}[0m{rest}"))
        });
        found.unwrap_or_else(|| line.to_owned())
    };
    text.split_inclusive('\n').map(paint).collect()
}

/// Why a command could not begin, or not say how it went.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The runtime could not be made.
    #[error("the runtime could not be started")]
    Runtime(#[source] io::Error),
    /// Standard output did not take what there was to say.
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
}

/// Does the work of a command that asks and waits, and tells how it went.
///
/// # Errors
///
/// The work's own, or [`Error`].
pub(super) fn run<E: From<Error>>(
    work: impl Future<Output = Result<Outcome, E>>,
) -> Result<ExitCode, E> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.map_err(Error::Runtime)?.block_on(work)?;
    outcome.tell().map_err(|error| Error::Output(error).into())
}

/// Prints a text as it is, for a command that has nothing else to do.
///
/// # Errors
///
/// [`Error::Output`] if standard output cannot be written to. One that is closed early, as a pager does, is no
/// failure.
pub(super) fn print(text: &[u8]) -> Result<ExitCode, Error> {
    write_out(text).map_err(Error::Output)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes to standard output. One that is closed early, as a pager does, is no failure.
pub(super) fn write_out(text: &[u8]) -> io::Result<()> {
    match io::stdout().write_all(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// What somebody said to a question.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Confirmed {
    /// It is to be done.
    Yes,
    /// It is not.
    No,
    /// There is no terminal on which to ask.
    Nobody,
}

/// Asks on the terminal; what is not said to be wanted is not.
pub(super) fn confirm(question: &str) -> Confirmed {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Confirmed::Nobody;
    }
    eprint!("{}. Do it? [y/N] ", printable(question));
    let mut line = String::new();
    match io::stdin().read_line(&mut line) {
        Ok(_) if matches!(line.trim(), "y" | "Y" | "yes") => Confirmed::Yes,
        Ok(_) | Err(_) => Confirmed::No,
    }
}

/// Prints a line while something goes on, if anybody is there to read it.
pub(super) fn line(text: fmt::Arguments<'_>) {
    if let Err(error) = write_out(format!("{text}\n").as_bytes()) {
        tracing::debug!(error = %Chain(&error), "standard output takes nothing");
    }
}

/// Writes an error and all its sources on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    Chain(error).to_string()
}

/// Lays out rows under a header, without lines, as all commands do. On a terminal cells are wrapped to its width.
pub(super) fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    table_within(terminal_width(), header, rows)
}

/// The same within so many columns, if there is a bound.
fn table_within<const N: usize>(
    width: Option<u16>,
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header);
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    for row in rows {
        table.add_row(row.map(one_line));
    }
    // Each cell has a blank before it.
    let line = |line: String| format!("{}\n", line.strip_prefix(' ').unwrap_or(&line).trim_end());
    table.lines().map(line).collect()
}

/// How many columns the terminal has that standard output goes to, if it is one that says so.
fn terminal_width() -> Option<u16> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0).then_some(size.ws_col)
}

/// Writes a value as JSON for programs.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).expect("text, numbers and lists are always JSON") + "\n"
}

/// Keeps a cell from changing the terminal or the row.
fn one_line(cell: String) -> String {
    printable(&cell.replace('\n', " ")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_fits_the_terminal_and_loses_no_word() {
        let long =
            "one word after another that no terminal of sixty columns has room for in a line";
        let rows = || [["FAIL".to_owned(), long.to_owned(), "mend it, then look again".to_owned()]];
        let header = ["verdict", "found", "remedy"];
        let shown = table_within(Some(60), header, rows());
        assert!(shown.lines().all(|line| line.chars().count() <= 60), "{shown}");
        for word in long.split(' ') {
            assert!(shown.contains(word), "{word}: {shown}");
        }
        assert!(shown.lines().count() > 2, "{shown}");
        // For a program each row is a line, however long.
        assert_eq!(table_within(None, header, rows()).lines().count(), 2);
    }

    #[test]
    fn only_a_lines_first_word_has_a_colour() {
        let painted = paint("ok  all ok\nokay\n  ok\n", &[("ok", "32")]);
        assert_eq!(painted, "\u{1b}[32mok\u{1b}[0m  all ok\nokay\n  ok\n");
        assert_eq!(paint("ok\n", &[]), "ok\n");
    }

    #[test]
    fn cells_stay_in_their_row() {
        let rows = [["a".to_owned(), "b\n\u{1b}[31mc".to_owned()]];
        let shown = table(["one", "two"], rows);
        assert_eq!(shown.lines().count(), 2, "{shown}");
        assert!(!shown.contains('\u{1b}'), "{shown}");
    }
}
