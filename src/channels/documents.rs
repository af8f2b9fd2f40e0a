//! What channels keep in the store: values by name, written as JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::jobs::encode;
use crate::json;
use crate::queue::{Documents, Error};

/// Reads a document; one that this release cannot read counts as missing, and says so.
pub(in crate::channels) async fn read<T: DeserializeOwned>(
    documents: &Documents,
    name: &str,
) -> Result<Option<T>, Error> {
    Ok(documents.read(name).await?.and_then(|bytes| decode(&bytes)))
}

/// Changes a document; gives what stands there then.
pub(in crate::channels) async fn update<T: DeserializeOwned + Serialize>(
    documents: &Documents,
    name: &str,
    change: impl Fn(Option<T>) -> Option<T> + Send,
) -> Result<Option<T>, Error> {
    let change =
        move |before: Option<&[u8]>| change(before.and_then(decode)).map(|after| encode(&after));
    Ok(documents.update(name, change).await?.and_then(|bytes| decode(&bytes)))
}

/// As [`update`], of a short-lived document that says whether it holds what somebody wrote.
pub(in crate::channels) async fn update_private<T: DeserializeOwned + Serialize>(
    documents: &Documents,
    name: &str,
    holds_text: impl Fn(&T) -> bool + Send,
    change: impl Fn(Option<T>) -> Option<T> + Send,
) -> Result<Option<T>, Error> {
    let change = move |before: Option<&[u8]>| {
        change(before.and_then(decode)).map(|after| (encode(&after), holds_text(&after)))
    };
    Ok(documents.update_private(name, change).await?.and_then(|bytes| decode(&bytes)))
}

/// Forgets documents by their names; says how many there were, or are if nothing is to be done.
pub(in crate::channels) async fn forget_all(
    documents: &Documents,
    names: impl IntoIterator<Item = String>,
    act: bool,
) -> Result<u64, Error> {
    let mut count = 0;
    for name in names {
        let is_there = if act {
            documents.forget(&name).await?
        } else {
            documents.read(&name).await?.is_some()
        };
        count += u64::from(is_there);
    }
    Ok(count)
}

/// Takes what was said, and to whom, out of short-lived documents whose names begin so: `without` gives what is left of one
/// that is meant. Says how many were, or are if nothing is to be done.
pub(in crate::channels) async fn forget_said<T: DeserializeOwned + Serialize>(
    documents: &Documents,
    (beginning, act): (&str, bool),
    without: impl Fn(T) -> Option<T> + Send + Sync,
) -> Result<u64, Error> {
    let (mut count, mut after) = (0, None);
    loop {
        let page = documents.list_short_lived(beginning, after).await?;
        for listed in &page.documents {
            let Ok(kept) = json::from_slice::<T>(&listed.value) else { continue };
            if without(kept).is_none() {
                continue;
            }
            count += 1;
            if act {
                let change = |before: Option<T>| without(before?);
                update_private(documents, &listed.name, |_| false, change).await?;
            }
        }
        let Some(next) = page.next else { return Ok(count) };
        after = Some(next);
    }
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let decoded = json::from_slice(bytes);
    if decoded.is_err() {
        // The error's own text can quote a number.
        tracing::error!(
            "what is known of a contact or reply was written by another release and cannot be read"
        );
    }
    decoded.ok()
}
