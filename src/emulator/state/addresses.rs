//! Address configurations: which numbers make conversations of incoming messages.
//!
//! Pure.

use super::World;
use super::model::{Address, Autocreation};
use super::refusal::Refusal;
use crate::clock::Timestamp;
use crate::twilio::sid::AddressSid;

/// An address configuration to be made or changed; what is absent stays.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the fields are those of Twilio's resource")]
pub struct AddressFields {
    pub channel: Option<String>,
    pub address: Option<String>,
    pub friendly_name: Option<String>,
    pub country: Option<String>,
    pub autocreation: Option<Autocreation>,
}

impl World {
    /// An address configuration by sid or address.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn find_address(&self, sid_or_address: &str) -> Result<&Address, Refusal> {
        let sid = sid_or_address.parse::<AddressSid>().ok();
        self.addresses
            .values()
            .find(|one| Some(one.sid) == sid || one.address == sid_or_address)
            .ok_or(Refusal::NotFound)
    }

    /// The address configurations, oldest first.
    pub fn addresses(&self) -> impl Iterator<Item = (u64, &Address)> {
        self.addresses.iter().map(|(seq, address)| (*seq, address))
    }

    /// Makes an address configuration.
    ///
    /// # Errors
    ///
    /// If a field is missing, or the address has one.
    pub fn create_address(
        &mut self,
        at: Timestamp,
        fields: AddressFields,
    ) -> Result<&Address, Refusal> {
        let channel = fields.channel.ok_or(Refusal::ParameterMissing("Type"))?;
        let address = fields.address.ok_or(Refusal::ParameterMissing("Address"))?;
        if self.find_address(&address).is_ok() {
            return Err(Refusal::AddressExists);
        }
        let (sid, seq) = (self.ids.address(), self.seq());
        Ok(self.addresses.entry(seq).or_insert(Address {
            sid,
            seq,
            channel,
            address,
            friendly_name: fields.friendly_name,
            country: fields.country,
            autocreation: fields.autocreation.unwrap_or_default(),
            created: at,
            updated: at,
        }))
    }

    /// Changes an address configuration.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn update_address(
        &mut self,
        at: Timestamp,
        sid_or_address: &str,
        fields: AddressFields,
    ) -> Result<&Address, Refusal> {
        let seq = self.find_address(sid_or_address)?.seq;
        let address = self.addresses.get_mut(&seq).ok_or(Refusal::NotFound)?;
        address.friendly_name = fields.friendly_name.or(address.friendly_name.take());
        if let Some(autocreation) = fields.autocreation {
            address.autocreation = autocreation;
        }
        address.updated = at;
        Ok(address)
    }

    /// Removes an address configuration.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn remove_address(&mut self, sid_or_address: &str) -> Result<(), Refusal> {
        let seq = self.find_address(sid_or_address)?.seq;
        self.addresses.remove(&seq).map(|_| ()).ok_or(Refusal::NotFound)
    }
}
