//! `chimein signature check`: says whether a request was signed by Twilio, and if not, why.
//!
//! For the day on which every webhook is answered 403. The auth token comes from the environment,
//! the request from arguments and a file. Exit code 0 means valid, 1 not valid, 2 misuse. Nothing that
//! is secret is printed: no token, no body, no query value.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use secrecy::SecretString;

use super::outcome::{MISUSE, chain, line};
use crate::config::{self, Environment};
use crate::text::printable;
use crate::twilio::signature::{self, Body, Keys, Request, is_callable, signed_url};

/// What `chimein signature` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks one request against TWILIO_AUTH_TOKEN and TWILIO_AUTH_TOKEN_NEXT.
    Check(Check),
}

/// What `chimein signature check` is told.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// The public URL that Twilio called, query included.
    #[arg(long, value_name = "URL")]
    url: String,
    /// The method.
    #[arg(long, default_value = "POST")]
    method: String,
    /// The content type, as it came.
    #[arg(long, value_name = "TYPE", default_value = "application/x-www-form-urlencoded")]
    content_type: String,
    /// The value of X-Twilio-Signature.
    #[arg(long, value_name = "TEXT")]
    signature: String,
    /// A file with the raw body, `-` for standard input; without it there is none.
    #[arg(long, value_name = "FILE")]
    body_file: Option<PathBuf>,
}

/// Says why the request could not be checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is nothing to check against.
    #[error(
        "no auth token: set TWILIO_AUTH_TOKEN, or TWILIO_AUTH_TOKEN_FILE to a file that holds it"
    )]
    NoToken,
    /// The URL cannot be one that Twilio called.
    #[error("the url must be http:// or https://, a host, and no control character or backslash")]
    Url,
    /// A file cannot be read.
    #[error("cannot read {}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A secret's file cannot be read.
    #[error("{} {reason}", .variable)]
    Secret {
        /// The variable that names the file.
        variable: String,
        /// Why.
        reason: config::Reason,
    },
    /// The body is larger than any that Twilio sends.
    #[error("the body is larger than {BODY_BYTES_MAX} bytes")]
    TooLarge,
}

/// The largest body that is read: far above what a webhook carries.
const BODY_BYTES_MAX: u64 = 1024 * 1024;

/// Runs the command.
#[must_use]
pub fn run(args: &Args, environment: &Environment) -> ExitCode {
    let Command::Check(check) = &args.command;
    match verdict(check, environment) {
        Ok(Ok(())) => {
            line(format_args!("valid"));
            ExitCode::SUCCESS
        }
        Ok(Err(reasons)) => {
            for reason in reasons {
                eprintln!("{}", printable(&reason));
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("chimein: {}", printable(&chain(&error)));
            ExitCode::from(MISUSE)
        }
    }
}

/// Checks the request; the inner error says why it is not valid, line by line.
fn verdict(check: &Check, environment: &Environment) -> Result<Result<(), Vec<String>>, Error> {
    let configured = check.url.trim();
    if !is_callable(configured) {
        return Err(Error::Url);
    }
    let mut auth_tokens = Vec::new();
    for name in ["TWILIO_AUTH_TOKEN", "TWILIO_AUTH_TOKEN_NEXT"] {
        auth_tokens.extend(secret(environment, name)?);
    }
    if auth_tokens.is_empty() {
        return Err(Error::NoToken);
    }
    let keys = Keys { auth_tokens, shared: vec![] };
    let body = match &check.body_file {
        Some(path) => body(path)?,
        None => Vec::new(),
    };
    let url = signed_url(configured);
    Ok(verify(check, &keys, &url, &body).map_err(|error| {
        let mut lines = vec![format!("not valid: {error}")];
        lines.extend(hints(check, &keys, &url, &body).map(str::to_owned));
        lines
    }))
}

fn verify(check: &Check, keys: &Keys, url: &str, body: &[u8]) -> Result<(), signature::Error> {
    let request = Request {
        url,
        body: Body::of(&check.method, Some(&check.content_type), body),
        signatures: &[check.signature.as_bytes()],
        settings: &[],
    };
    signature::verify(keys, &request)
}

/// Tries the mistakes that people make, and names the one that explains the signature.
fn hints<'h>(
    check: &'h Check,
    keys: &'h Keys,
    url: &'h str,
    body: &'h [u8],
) -> impl Iterator<Item = &'static str> + use<'h> {
    let (base, query) =
        url.split_once('?').map_or((url, None), |(base, query)| (base, Some(query)));
    let with_query = |base: &str| match query {
        Some(query) => format!("{base}?{query}"),
        None => base.to_owned(),
    };
    let other_scheme = match url.strip_prefix("https://") {
        Some(rest) => format!("http://{rest}"),
        None => url.replacen("http://", "https://", 1),
    };
    let other_slash = base.strip_suffix('/').map_or_else(|| format!("{base}/"), str::to_owned);
    let trimmed = body.trim_ascii_end();
    [
        (other_scheme, body, "it fits the url with the other scheme: a proxy ends TLS in between"),
        (
            with_query(&other_slash),
            body,
            "it fits the url with the slash at the path's end turned over",
        ),
        (base.to_owned(), body, "it fits the url without its query"),
        (url.to_owned(), trimmed, "it fits the body without the blank at the file's end"),
    ]
    .into_iter()
    .filter(|(url, body, _)| verify(check, keys, url, body).is_ok())
    .map(|(_, _, hint)| hint)
}

/// A secret from a variable, or from the file that `NAME_FILE` names.
fn secret(environment: &Environment, name: &str) -> Result<Option<SecretString>, Error> {
    if let Some(value) = environment.get(name) {
        return Ok(Some(SecretString::from(value.trim().to_owned())));
    }
    let variable = format!("{name}_FILE");
    let Some(path) = environment.get(&variable) else { return Ok(None) };
    let text = config::read_secret(Path::new(path.trim()))
        .map_err(|reason| Error::Secret { variable, reason })?;
    Ok(Some(SecretString::from(text.trim().to_owned())))
}

fn body(path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let reader: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path).map_err(failed)?)
    };
    reader.take(BODY_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > BODY_BYTES_MAX) {
        return Err(Error::TooLarge);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::config::kinds::{BaseUrl, Setting as _};
    use crate::webhook;
    use tempfile::NamedTempFile;

    #[test]
    fn the_vendors_worked_example_is_valid_and_with_another_token_is_not() {
        let body = file(EXAMPLE.as_bytes());
        let check = check("https://example.com/myapp.php?foo=1&bar=2", body.path());
        assert_eq!(verdict(&check, &token("12345")).unwrap(), Ok(()));
        let reasons = verdict(&check, &token("54321")).unwrap().unwrap_err();
        assert_eq!(
            reasons,
            ["not valid: no match with 1 key(s) of the auth token over \
              https://example.com/myapp.php?foo=…&bar=…, \
              https://example.com:443/myapp.php?foo=…&bar=…"]
        );
    }

    #[test]
    fn the_next_token_and_a_token_file_count_too() {
        let body = file(EXAMPLE.as_bytes());
        let check = check("https://example.com/myapp.php?foo=1&bar=2", body.path());
        let next = [("TWILIO_AUTH_TOKEN", "old"), ("TWILIO_AUTH_TOKEN_NEXT", "12345")];
        assert_eq!(verdict(&check, &Environment::from_pairs(next)).unwrap(), Ok(()));
        let held = file(b"12345\n");
        let path = held.path().to_str().unwrap();
        let from_file = Environment::from_pairs([("TWILIO_AUTH_TOKEN_FILE", path)]);
        assert_eq!(verdict(&check, &from_file).unwrap(), Ok(()));
    }

    #[test]
    fn common_mistakes_are_named() {
        let good = file(EXAMPLE.as_bytes());
        let edited = file(format!("{EXAMPLE}\n").as_bytes());
        for (url, body, word) in [
            ("http://example.com/myapp.php?foo=1&bar=2", &good, "scheme"),
            ("https://example.com/myapp.php/?foo=1&bar=2", &good, "slash"),
            ("https://example.com/myapp.php?foo=1&bar=2", &edited, "blank"),
        ] {
            let reasons = verdict(&check(url, body.path()), &token("12345")).unwrap().unwrap_err();
            assert!(reasons.len() == 2 && reasons[1].contains(word), "{reasons:?}");
        }
    }

    #[test]
    fn the_command_and_the_service_give_the_same_verdict_on_one_url() {
        let body = file(EXAMPLE.as_bytes());
        let secret = SecretString::from("12345".to_owned());
        let sign = |url: &str| {
            signature::sign(
                &secret,
                signature::Algorithm::HmacSha1,
                url,
                Body::Form(EXAMPLE.as_bytes()),
            )
        };
        for (base, rewritten) in [
            ("https://Bot.Example.com", "https://bot.example.com"),
            ("https://h/a b", "https://h/a%20b"),
            ("https://h/x/../y", "https://h/y"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
            ("https://h:443/p/", "https://h/P"),
        ] {
            let typed = BaseUrl::parse(base).unwrap();
            let typed = typed.as_typed().trim_end_matches('/');
            for (signed, is_valid) in [(typed, true), (rewritten, false)] {
                let signature = sign(&format!("{signed}{}", webhook::ROUTE));
                let called = format!("{typed}{}", webhook::ROUTE);
                let service = webhook::PublicBase::new(base);
                assert_eq!(service.called(webhook::ROUTE), called);
                let check = Check { signature, ..check(&called, body.path()) };
                let verdict = verdict(&check, &token("12345")).unwrap();
                assert_eq!(verdict.is_ok(), is_valid, "{signed} for {base}");
            }
        }
    }

    #[test]
    fn misuse_is_told_apart_from_a_wrong_signature() {
        let body = file(b"");
        let none = Environment::default();
        assert!(matches!(verdict(&check("https://h/", body.path()), &none), Err(Error::NoToken)));
        assert!(matches!(verdict(&check("h/p", body.path()), &token("t")), Err(Error::Url)));
        let gone = check("https://h/", Path::new("/no/such/file"));
        assert!(matches!(verdict(&gone, &token("t")), Err(Error::File { .. })));
        let large = file(&vec![b'x'; 1024 * 1024 + 1]);
        let large = check("https://h/", large.path());
        assert!(matches!(verdict(&large, &token("t")), Err(Error::TooLarge)));
    }

    const EXAMPLE: &str = "CallSid=CA1234567890ABCDE&Caller=%2B14158675310&Digits=1234\
                           &From=%2B14158675310&To=%2B18005551212";

    fn check(url: &str, body: &Path) -> Check {
        Check {
            url: url.to_owned(),
            method: "POST".to_owned(),
            content_type: "application/x-www-form-urlencoded".to_owned(),
            signature: "L/OH5YylLD5NRKLltdqwSvS0BnU=".to_owned(),
            body_file: Some(body.to_owned()),
        }
    }

    fn token(text: &str) -> Environment {
        Environment::from_pairs([("TWILIO_AUTH_TOKEN", text)])
    }

    fn file(bytes: &[u8]) -> NamedTempFile {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }
}
