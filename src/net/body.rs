//! The body of an answer, read up to a bound.

use reqwest::Response;

/// Why reading stopped.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// There was more than is read.
    #[error("the answer is larger than what is read")]
    TooLarge,
    /// What the transport said.
    #[error("the connection broke")]
    Connection(#[source] reqwest::Error),
}

/// Reads a body that is not larger than `bytes_max`.
///
/// # Errors
///
/// If it is larger, or breaks off.
///
/// # Cancel safety
///
/// Dropping it ends the connection and loses what was read.
pub async fn whole(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, Broken> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(Broken::Connection)? {
        if body.len().saturating_add(piece.len()) > bytes_max {
            return Err(Broken::TooLarge);
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}
