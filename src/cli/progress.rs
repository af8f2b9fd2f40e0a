//! How far long work has come: one line of a terminal that writes over itself, and nothing anywhere else.

use std::fmt;
use std::io::{self, IsTerminal as _, Stderr, Write};

/// What goes back to the line's start and takes away what stood there.
const BLANK: &str = "\r\x1b[K";

/// The line. Dropped, it is gone, so that what follows stands alone.
pub(super) struct Progress<W: Write = Stderr> {
    to: Option<W>,
}

impl Progress {
    /// On standard error, if a person reads it.
    pub(super) fn start() -> Self {
        let stderr = io::stderr();
        Self { to: stderr.is_terminal().then_some(stderr) }
    }
}

impl<W: Write> Progress<W> {
    /// Says how far it is. A terminal that does not take it is no reason to end the work.
    pub(super) fn tell(&mut self, how_far: fmt::Arguments<'_>) {
        if let Some(to) = &mut self.to {
            let is_told = write!(to, "{BLANK}{how_far}").and_then(|()| to.flush());
            if is_told.is_err() {
                self.to = None;
            }
        }
    }
}

impl<W: Write> Drop for Progress<W> {
    fn drop(&mut self) {
        if let Some(to) = &mut self.to {
            // Whoever would be told has gone.
            let _ = to.write_all(BLANK.as_bytes()).and_then(|()| to.flush());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_takes_the_place_of_the_one_before_and_none_stays() {
        let mut told = Vec::new();
        let mut progress = Progress { to: Some(&mut told) };
        progress.tell(format_args!("1 of 2"));
        progress.tell(format_args!("2 of 2"));
        drop(progress);
        assert_eq!(told, b"\r\x1b[K1 of 2\r\x1b[K2 of 2\r\x1b[K");
    }

    #[test]
    fn where_nobody_reads_nothing_is_said() {
        let mut progress = Progress::<Vec<u8>> { to: None };
        progress.tell(format_args!("1 of 2"));
        assert!(progress.to.is_none());
    }
}
