//! Whether the model server is there, takes our key and knows our model: the cheapest question it has.
//!
//! `GET {base}/models` thinks nothing and costs nothing. [`judge`] is pure.

use reqwest::header::AUTHORIZATION;
use serde_json::Value;

use super::ask::authorization;
use super::options::Options;
use super::problem::{self, Problem};
use crate::json;
use crate::net::body::whole;

/// The most of the list that is read.
const LIST_BYTES_MAX: usize = 1 << 20;

/// What the server said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Health {
    /// It takes the key and lists the model.
    Ready,
    /// It takes the key, or wants none, and does not list the model.
    Unlisted,
    /// It refuses us.
    Refused {
        /// Its status.
        status: u16,
        /// What to change.
        remedy: &'static str,
    },
    /// It cannot be asked this: nothing is known.
    NotChecked {
        /// Its status.
        status: u16,
    },
    /// It answers as one that is not well.
    Ill {
        /// Its status.
        status: u16,
    },
}

impl Options {
    /// The model's name.
    pub(super) fn model(&self) -> &str {
        &self.style.model
    }

    /// Asks the server which models it has.
    ///
    /// # Errors
    ///
    /// If it does not answer.
    pub(super) async fn health(&self, client: &reqwest::Client) -> Result<Health, reqwest::Error> {
        let mut request = client.get(format!("{}/models", self.base_url));
        if let Some(value) = authorization(self.key.as_ref()) {
            request = request.header(AUTHORIZATION, value);
        }
        let response = request.send().await.map_err(reqwest::Error::without_url)?;
        let status = response.status().as_u16();
        let body = whole(response, LIST_BYTES_MAX).await.unwrap_or_default();
        Ok(judge(status, &body, self.model()))
    }
}

/// Judges an answer to the question.
fn judge(status: u16, body: &[u8], model: &str) -> Health {
    match status {
        200..=299 => {
            let list: Option<Value> = json::from_slice(body).ok();
            let models = list.as_ref().and_then(|list| list.get("data")).and_then(Value::as_array);
            let is_it = |listed: &Value| listed.get("id").and_then(Value::as_str) == Some(model);
            match models {
                Some(models) if models.iter().any(is_it) => Health::Ready,
                Some(_) => Health::Unlisted,
                None => Health::NotChecked { status },
            }
        }
        // A server may do without this question.
        404 | 405 | 501 => Health::NotChecked { status },
        _ => match problem::of_answer(status, body) {
            Problem::Configuration(remedy) => Health::Refused { status, remedy: remedy.as_str() },
            Problem::Overflow | Problem::Filtered | Problem::Status(_) => Health::Ill { status },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::problem::Remedy;
    use super::*;

    #[test]
    fn a_server_is_judged_by_its_list_of_models() {
        let list = r#"{"object":"list","data":[{"id":"gpt-5-mini","object":"model"}]}"#;
        for (status, body, expected) in [
            (200, list, Health::Ready),
            (200, r#"{"object":"list","data":[]}"#, Health::Unlisted),
            (200, "<html></html>", Health::NotChecked { status: 200 }),
            (404, "{}", Health::NotChecked { status: 404 }),
            (401, "{}", Health::Refused { status: 401, remedy: Remedy::Key.as_str() }),
            (302, "", Health::Refused { status: 302, remedy: Remedy::Place.as_str() }),
            (503, "", Health::Ill { status: 503 }),
        ] {
            assert_eq!(judge(status, body.as_bytes(), "gpt-5-mini"), expected, "{status} {body}");
        }
    }
}
