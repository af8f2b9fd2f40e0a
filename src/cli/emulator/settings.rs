//! The settings that lead a service to an emulator. None of the values needs quotes in a shell.

use secrecy::ExposeSecret as _;

use crate::emulator::Emulator;

/// The account and where it is reached.
pub fn account(emulator: &Emulator) -> [(&'static str, String); 7] {
    let (urls, credentials) = (emulator.urls(), emulator.credentials());
    [
        ("TWILIO_ACCOUNT_SID", credentials.account_sid.to_string()),
        ("TWILIO_AUTH_TOKEN", credentials.auth_token.expose_secret().to_owned()),
        ("TWILIO_CONVERSATIONS_BASE_URL", urls.conversations.to_string()),
        ("TWILIO_API_BASE_URL", urls.api.to_string()),
        ("TWILIO_MESSAGING_BASE_URL", urls.api.to_string()),
        ("TWILIO_MEDIA_BASE_URL", urls.api.to_string()),
        ("TWILIO_TWILSOCK_URL", urls.twilsock.to_string()),
    ]
}

/// What conversations need besides.
pub fn conversations(emulator: &Emulator) -> [(&'static str, String); 3] {
    let credentials = emulator.credentials();
    [
        ("TWILIO_API_KEY", credentials.api_key.to_string()),
        ("TWILIO_API_SECRET", credentials.api_secret.expose_secret().to_owned()),
        ("TWILIO_CHAT_SERVICE_SID", credentials.service_sid.to_string()),
    ]
}
