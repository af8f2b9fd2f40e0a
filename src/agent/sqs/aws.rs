//! The official SDK over our own HTTP client: one TLS configuration, our proxies, and nothing that the SDK
//! repeats by itself, since turns have a schedule and the reply queue is asked for ever.
//!
//! Credentials enter here: those of the settings, else what the SDK's usual chain finds.

use std::fmt;

use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::config::http::{HttpRequest, HttpResponse};
use aws_sdk_sqs::config::{Credentials, HttpClient, RuntimeComponents};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::result::ConnectorError;
use bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::net::body::{self, Broken};

/// The largest answer that is read: ten messages of a mebibyte, each of whose bytes may be escaped.
const ANSWER_BYTES_MAX: usize = 32 << 20;

/// How SQS is reached and who asks.
#[derive(Clone, Debug, Default)]
pub struct SqsAccess {
    /// Where it is instead of the region's own place.
    pub endpoint: Option<Url>,
    /// The region, if the settings say it.
    pub region: Option<String>,
    /// The key that requests are signed with; without one the usual chain finds it.
    pub keys: Option<AwsKey>,
}

/// A key of the settings.
#[derive(Clone, Debug)]
pub struct AwsKey {
    /// Its id.
    pub id: SecretString,
    /// Its secret.
    pub secret: SecretString,
    /// The token of a session, if it is for one.
    pub session: Option<SecretString>,
}

/// Makes what clients are made of.
pub(super) async fn configuration(access: &SqsAccess, http: reqwest::Client) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(OurClient(http))
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Some(endpoint) = &access.endpoint {
        loader = loader.endpoint_url(endpoint.as_str());
    }
    if let Some(region) = &access.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(AwsKey { id, secret, session }) = &access.keys {
        let session = session.as_ref().map(|token| token.expose_secret().to_owned());
        let keys = (id.expose_secret(), secret.expose_secret());
        loader = loader
            .credentials_provider(Credentials::new(keys.0, keys.1, session, None, "settings"));
    }
    loader.load().await
}

/// The region that a queue's URL names: `https://sqs.eu-central-1.amazonaws.com/…`. Pure.
/// Source: Amazon SQS endpoints and quotas, read 2026-11-30.
pub(super) fn region_of(queue: &Url) -> Option<&str> {
    let host = queue.host_str()?;
    let (service, rest) = host.split_once('.')?;
    let (region, domain) = rest.split_once('.')?;
    let is_aws = matches!(service, "sqs" | "sqs-fips") && domain.starts_with("amazonaws.com");
    is_aws.then_some(region)
}

/// Lets the SDK use our client.
#[derive(Clone)]
struct OurClient(reqwest::Client);

impl fmt::Debug for OurClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OurClient")
    }
}

impl HttpClient for OurClient {
    fn http_connector(
        &self,
        _settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for OurClient {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move { exchange(&client, request).await })
    }
}

async fn exchange(
    client: &reqwest::Client,
    request: HttpRequest,
) -> Result<HttpResponse, ConnectorError> {
    let Some(body) = request.body().bytes().map(Bytes::copy_from_slice) else {
        return Err(ConnectorError::user("a body that is no text is never sent".into()));
    };
    let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
    let request = reqwest::Request::try_from(request.map(|_| body)).map_err(failed)?;
    let response = client.execute(request).await.map_err(failed)?;
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let body = body::whole(response, ANSWER_BYTES_MAX).await.map_err(|broken| match broken {
        Broken::TooLarge => ConnectorError::other(Box::new(broken), None),
        Broken::Connection(error) => failed(error),
    })?;
    answer(status, &headers, body.into())
        .map_err(|error| ConnectorError::other(Box::new(error), None))
}

fn answer(
    status: u16,
    headers: &reqwest::header::HeaderMap,
    body: Bytes,
) -> Result<HttpResponse, aws_smithy_runtime_api::http::HttpError> {
    let mut response = HttpResponse::new(status.try_into()?, body.into());
    for (name, value) in headers {
        // What is no text is nothing that the SDK asks for.
        if let Ok(value) = value.to_str() {
            response.headers_mut().try_append(name.as_str().to_owned(), value.to_owned())?;
        }
    }
    Ok(response)
}

fn failed(error: reqwest::Error) -> ConnectorError {
    let error = error.without_url();
    if error.is_timeout() {
        ConnectorError::timeout(Box::new(error))
    } else {
        ConnectorError::io(Box::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_of_amazon_names_its_region() {
        for (url, region) in [
            ("https://sqs.eu-central-1.amazonaws.com/123456789012/turns", Some("eu-central-1")),
            ("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/turns", Some("cn-north-1")),
            ("https://sqs-fips.us-east-1.amazonaws.com/1/turns.fifo", Some("us-east-1")),
            ("http://localhost:4566/000000000000/turns", None),
            ("http://sqs.us-east-1.localhost.localstack.cloud:4566/0/turns", None),
            ("https://queue.example.com/1/turns", None),
        ] {
            assert_eq!(region_of(&Url::parse(url).unwrap()), region, "{url}");
        }
    }

    #[test]
    fn a_key_is_not_printed() {
        let secret = |text: &str| SecretString::from(text.to_owned());
        let keys = Some(AwsKey {
            id: secret("planted-id"),
            secret: secret("planted-secret"),
            session: Some(secret("planted-token")),
        });
        let printed = format!("{:?}", SqsAccess { keys, ..SqsAccess::default() });
        assert!(!printed.contains("planted"), "{printed}");
    }
}
