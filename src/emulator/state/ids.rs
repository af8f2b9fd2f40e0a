//! Makes every identifier of the emulated Twilio from one seed.
//!
//! Pure: the same seed gives the same sids in the same order, so a failing run can be repeated. The
//! generator is SplitMix64; it is no source of secrets.

use serde::{Deserialize, Serialize};

use crate::twilio::sid::{
    AddressSid, ChatServiceSid, ConversationSid, DeliveryReceiptSid, MediaSid, MessageSid,
    MessagingServiceSid, ParticipantSid, RoleSid, UserSid, WebhookSid,
};

/// A seeded source of sids, frame ids and other names.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Ids {
    state: u64,
}

macro_rules! makers {
    ($($name:ident -> $sid:ty;)*) => {$(
        #[doc = concat!("Makes a new [`", stringify!($sid), "`].")]
        pub fn $name(&mut self) -> $sid {
            <$sid>::from_bytes(self.bytes())
        }
    )*};
}

impl Ids {
    /// Starts at a seed.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self { state: seed }
    }

    makers! {
        address -> AddressSid;
        chat_service -> ChatServiceSid;
        conversation -> ConversationSid;
        delivery_receipt -> DeliveryReceiptSid;
        media -> MediaSid;
        message -> MessageSid;
        messaging_service -> MessagingServiceSid;
        participant -> ParticipantSid;
        role -> RoleSid;
        user -> UserSid;
        webhook -> WebhookSid;
    }

    /// Makes a sid of a kind that has no type of its own, such as `ET`, `SM` or `RQ`.
    pub fn raw(&mut self, prefix: &str) -> String {
        let mut text = String::with_capacity(prefix.len() + 32);
        text.push_str(prefix);
        for byte in self.bytes() {
            text.push_str(&format!("{byte:02x}"));
        }
        text
    }

    /// Makes a UUID of version 4.
    pub fn uuid(&mut self) -> uuid::Uuid {
        uuid::Builder::from_random_bytes(self.bytes()).into_uuid()
    }

    /// Gives the next 16 bytes.
    pub fn bytes(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.next().to_be_bytes());
        bytes[8..].copy_from_slice(&self.next().to_be_bytes());
        bytes
    }

    /// Gives a number below `bound`, 0 if the bound is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or(0)
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn one_seed_gives_one_sequence_and_no_repeats() {
        let (mut one, mut other) = (Ids::seeded(7), Ids::seeded(7));
        let mut seen = HashSet::new();
        for _ in 0..1000 {
            let sid = one.conversation();
            assert_eq!(sid, other.conversation());
            assert!(seen.insert(sid));
        }
        assert_ne!(Ids::seeded(8).message(), Ids::seeded(7).message());
    }

    #[test]
    fn raw_sids_have_the_form_of_typed_ones() {
        let raw = Ids::seeded(1).raw("CH");
        assert_eq!(raw.parse(), Ok(Ids::seeded(1).conversation()));
    }
}
