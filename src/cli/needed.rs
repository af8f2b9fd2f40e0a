//! Settings that a command cannot do without, read from what may be seen of all of them: the command needs no more,
//! and works where others are malformed.

use crate::config::Report;
use crate::config::kinds::Setting;

/// Says which one is malformed.
#[derive(Debug, thiserror::Error)]
#[error("the setting {key} is malformed; `chimein config` says why")]
pub struct MalformedSetting {
    /// The key's name.
    pub(super) key: &'static str,
}

/// Reads one.
///
/// # Errors
///
/// If it is malformed.
pub(super) fn setting<T: Setting>(
    report: &Report,
    key: &'static str,
) -> Result<T, MalformedSetting> {
    let effective = report.effective.iter().find(|effective| effective.key == key);
    let text = effective.and_then(|effective| effective.shown.as_deref());
    text.and_then(|text| T::parse(text.trim())).ok_or(MalformedSetting { key })
}
