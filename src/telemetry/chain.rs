//! An error with its causes on one line, for log lines and the command line.
//!
//! Pure. Errors keep their causes as sources and do not repeat them; this is where they are put
//! together again.

use std::error::Error;
use std::fmt;

/// Shows an error and all its sources, separated by colons.
#[derive(Clone, Copy)]
pub struct Chain<'a>(pub &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            // Errors of others have their cause in their own words too.
            let text = cause.to_string();
            if !said.ends_with(&text) {
                write!(f, ": {text}")?;
            }
            said = text;
            source = cause.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the file")]
    struct Outer(#[source] std::io::Error);

    #[derive(Debug, thiserror::Error)]
    #[error("IO error: {0}")]
    struct Telling(#[source] std::io::Error);

    #[test]
    fn a_cause_that_was_told_is_not_told_again() {
        let error = Telling(std::io::Error::other("disk on fire"));
        assert_eq!(Chain(&error).to_string(), "IO error: disk on fire");
    }

    #[test]
    fn a_chain_names_every_cause() {
        let error = Outer(std::io::Error::other("disk on fire"));
        assert_eq!(Chain(&error).to_string(), "cannot read the file: disk on fire");
        let Outer(cause) = &error;
        assert_eq!(Chain(cause).to_string(), "disk on fire");
    }
}
