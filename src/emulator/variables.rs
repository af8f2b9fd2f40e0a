//! The environment that leads a service to an emulator. None of the values needs quotes in a shell.

use secrecy::ExposeSecret as _;

use super::Emulator;

impl Emulator {
    /// The variables that lead a service with conversations here.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        [self.account_variables(), self.conversation_variables()].concat()
    }

    /// The account and where it is reached: enough for plain numbers.
    #[must_use]
    pub fn account_variables(&self) -> Vec<(&'static str, String)> {
        let (urls, credentials) = (self.urls(), self.credentials());
        vec![
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
    #[must_use]
    pub fn conversation_variables(&self) -> Vec<(&'static str, String)> {
        let credentials = self.credentials();
        vec![
            ("TWILIO_API_KEY", credentials.api_key.to_string()),
            ("TWILIO_API_SECRET", credentials.api_secret.expose_secret().to_owned()),
            ("TWILIO_CHAT_SERVICE_SID", credentials.service_sid.to_string()),
        ]
    }
}
