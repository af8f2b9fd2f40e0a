//! What is planted, and the search for it.

/// Is part of every planted text and secret.
pub const MARK: &str = "pl4nted";
/// A phone, in digits that are nowhere by chance.
pub const PHONE: &str = "+15558675309";
/// The number that it writes to.
pub const NUMBER: &str = "+15554448822";
/// A text that the agent answers.
pub const FRIENDLY: &str = "pl4nted-friendly-text";
/// A text that the agent refuses.
pub const FAILING: &str = "pl4nted-failing-text";
/// A text to which the agent answers nonsense.
pub const BREAKING: &str = "pl4nted-breaking-text";
/// What the agent says.
pub const AGENT_REPLY: &str = "pl4nted-reply";
/// The account's auth token.
pub const AUTH_TOKEN: &str = "pl4nted-auth-token";
/// The API key's secret.
pub const API_SECRET: &str = "pl4nted-api-secret";
/// The operator's token.
pub const ADMIN_TOKEN: &str = "pl4nted-admin-token";
/// Signs the turns: "pl4nted-secret-of-the-agent!" in base64.
pub const AGENT_SECRET: &str = "whsec_cGw0bnRlZC1zZWNyZXQtb2YtdGhlLWFnZW50IQ==";

/// Whatever must not be seen: the mark, the numbers, the agent's secret in its written form, and the
/// beginning of every access token and of basic authentication with the planted account.
const NEEDLES: [&str; 6] =
    [MARK, "5558675309", "5554448822", "cGw0bnRlZC", "eyJ", "authorization: basic"];

/// Gives the needle that is in a text.
pub fn found_in(text: &str) -> Option<&'static str> {
    let text_lower = text.to_ascii_lowercase();
    NEEDLES
        .into_iter()
        .find(|needle| text.contains(needle) || text_lower.contains(&needle.to_ascii_lowercase()))
}

/// Fails if anything planted is in a text.
pub fn assert_clean(place: &str, text: &str) {
    if let Some(needle) = found_in(text) {
        let line = text.lines().find(|line| found_in(line).is_some()).unwrap_or(text);
        panic!("{place} shows {needle:?}: {line}");
    }
}
