//! Which conversations the sweep reads: those of which neither the socket nor an earlier read can have
//! told everything. Pure.
//!
//! | the identity's socket | the conversation has changed | it is read |
//! | --- | --- | --- |
//! | is off, lost or refused | or not | yes |
//! | does not hold the conversation, or is just being opened | since the sweep before | yes |
//! | holds it | later than what it told last, since the sweep before | yes |
//! | holds it | in the second of what it told last | some at a time |
//! | holds it | before that, or not | no |
//!
//! A listing dates changes to the second, so what the socket told last may not be all of its second.
//! Such a loss takes a socket that swallows events without breaking, and it ends with the next message
//! of the conversation; so a few conversations a sweep are read for it, the latest first, each once.

/// How many conversations are read a sweep for the second in which they changed last.
pub const THAT_SECOND_MAX: usize = 10;

/// Whether a change is one that is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Told {
    /// It is.
    Yes,
    /// One of the same second is.
    ThatSecond,
    /// It is not.
    No,
}

/// What is known of a conversation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Facts {
    /// Whether nothing is heard on its identity's socket, now and soon.
    pub is_deaf: bool,
    /// What the socket told of its last change; none if the socket does not hold it.
    pub told: Option<Told>,
    /// Whether it may have changed since the sweep before.
    pub has_changed: bool,
}

/// Whether a conversation is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReadDecision {
    /// It is not.
    Skip,
    /// It is one of those of which some are.
    Perhaps,
    /// It is.
    Read,
}

/// Decides about one conversation.
#[must_use]
pub const fn judge(facts: &Facts) -> ReadDecision {
    match facts {
        Facts { is_deaf: true, .. } => ReadDecision::Read,
        Facts { told: Some(Told::Yes), .. } => ReadDecision::Skip,
        Facts { told: Some(Told::ThatSecond), .. } => ReadDecision::Perhaps,
        Facts { told: Some(Told::No) | None, has_changed, .. } => {
            if *has_changed {
                ReadDecision::Read
            } else {
                ReadDecision::Skip
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_socket_cannot_have_told_is_read() {
        let (yes, that_second, no) = (Some(Told::Yes), Some(Told::ThatSecond), Some(Told::No));
        for (is_deaf, told, has_changed, reading) in [
            (true, None, false, ReadDecision::Read),
            (true, yes, false, ReadDecision::Read),
            (false, None, true, ReadDecision::Read),
            (false, None, false, ReadDecision::Skip),
            (false, no, true, ReadDecision::Read),
            (false, no, false, ReadDecision::Skip),
            (false, that_second, true, ReadDecision::Perhaps),
            (false, that_second, false, ReadDecision::Perhaps),
            (false, yes, true, ReadDecision::Skip),
            (false, yes, false, ReadDecision::Skip),
        ] {
            let facts = Facts { is_deaf, told, has_changed };
            assert_eq!(judge(&facts), reading, "{facts:?}");
        }
    }
}
