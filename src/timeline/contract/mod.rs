//! Holds both engines to one behaviour. Waits are bounded and on what a reader sees.

mod claims;
#[cfg(feature = "nats")]
mod jetstream;
mod segments;

use std::time::Duration;

use super::Timeline;

/// How long records are kept and how large they become, unless a test says otherwise.
const BOUNDS: Bounds = Bounds { retention: Duration::from_secs(3600), bytes_max: 64 << 20 };

/// The bounds of a timeline.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) retention: Duration,
    pub(super) bytes_max: u64,
}

/// Opens timelines of one engine in one place.
pub(super) trait Harness {
    /// Makes an empty place.
    fn empty() -> Self;

    /// Opens the timeline there.
    async fn open(&self, bounds: Bounds) -> Timeline;
}

/// Runs every claim on an engine.
macro_rules! contract {
    ($harness:ty) => {
        $crate::timeline::contract::contract! { $harness:
            records_are_found_by_thread_and_by_message_in_order,
            a_reply_is_found_by_its_own_sid,
            a_reply_is_found_by_its_id,
            the_newest_of_all_are_given,
            a_message_of_a_bundle_is_found_by_its_turn_too,
            a_message_has_its_join_however_much_its_thread_went_on,
            without_a_cursor_the_newest_are_given,
            pages_go_on_where_they_ended,
            what_comes_later_is_behind_the_cursor,
            a_strange_cursor_is_refused,
            what_was_written_is_there_after_reopening,
            an_erased_thread_is_gone_and_others_stay,
            the_oldest_go_when_there_are_too_many,
            what_is_too_old_is_not_shown,
        }
    };
    ($harness:ty: $($claim:ident,)*) => {$(
        #[tokio::test]
        async fn $claim() {
            use $crate::timeline::contract::Harness as _;
            $crate::timeline::contract::claims::$claim(<$harness>::empty()).await;
        }
    )*};
}
use contract;
