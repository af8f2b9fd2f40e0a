//! `chimein man`: prints the page of this command line for man.
//!
//! `chimein man | man -l -` shows it. A command's own page is asked for by its name.

use std::io;
use std::process::ExitCode;

use clap_mangen::Man;

use super::outcome;

/// What `chimein man` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The command whose page it is; without it the page of the whole program.
    command: Option<String>,
}

/// Says why there is no page.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such command.
    #[error("there is no command {0}; chimein help lists them")]
    NoCommand(String),
    /// The page could not be made.
    #[error("cannot make the page")]
    Page(#[source] io::Error),
    /// It could not be printed.
    #[error(transparent)]
    Print(#[from] outcome::Error),
}

/// Runs the command.
///
/// # Errors
///
/// If there is no such command, or standard output cannot be written to.
pub fn run(args: &Args, command: clap::Command) -> Result<ExitCode, Error> {
    Ok(outcome::print(&page(args.command.as_deref(), command)?)?)
}

fn page(name: Option<&str>, mut command: clap::Command) -> Result<Vec<u8>, Error> {
    command.build();
    let shown = match name {
        Some(name) => {
            let none = || Error::NoCommand(name.to_owned());
            command.find_subcommand(name).ok_or_else(none)?.clone()
        }
        None => command,
    };
    let mut page = Vec::new();
    Man::new(shown).render(&mut page).map_err(Error::Page)?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_has_a_page_and_a_typo_is_named() {
        let command = || clap::Command::new("chimein").subcommand(clap::Command::new("serve"));
        let page_of = |name| page(name, command()).map(|page| String::from_utf8(page).unwrap());
        assert!(page_of(None).unwrap().contains(".TH chimein 1"));
        assert!(page_of(Some("serve")).unwrap().contains("chimein serve"));
        let typo = page_of(Some("sreve")).unwrap_err();
        assert_eq!(typo.to_string(), "there is no command sreve; chimein help lists them");
    }
}
