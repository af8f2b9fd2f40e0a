//! What kinds of agents bring to the settings: a word, and mostly keys of their own.
//!
//! No kind is named here. Each declares what it brings in its own folder, and whoever reads settings is
//! given the list of these declarations. What was read is found again by its type.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use super::key::Key;
use super::reader::Reader;
use super::section::Section;

/// The keys that a kind of agent has for itself.
pub trait AgentSettings: Section + Debug + Send + Sync + 'static {
    /// What the manual says of them, as TOML: see [`manual`](super::manual).
    const MANUAL: &'static str;

    /// Notes every rule that their values break; `is_chosen` says whether this kind is the one that thinks.
    fn check(reader: &mut Reader<'_>, is_chosen: bool);
}

/// What one kind of agent brings.
#[derive(Clone, Copy, Debug)]
pub struct Declaration {
    /// What `agent.kind` calls it.
    pub word: &'static str,
    pub(super) keys: &'static [Key],
    pub(super) manual: &'static str,
    pub(super) check: fn(&mut Reader<'_>, bool),
    pub(super) is_once: bool,
    read: Option<fn(&mut Reader<'_>) -> Option<Shared>>,
}

type Shared = Arc<dyn ReadSettings>;

/// What was read, whatever its type.
trait ReadSettings: Any + Debug + Send + Sync {}

impl<T: AgentSettings> ReadSettings for T {}

impl Declaration {
    /// Declares a kind that has nothing to set.
    #[must_use]
    pub const fn bare(word: &'static str) -> Self {
        Self { word, keys: &[], manual: "", check: |_, _| {}, is_once: false, read: None }
    }

    /// Declares a kind with keys of its own.
    #[must_use]
    pub const fn of<T: AgentSettings>(word: &'static str) -> Self {
        let (keys, manual, check) = (T::KEYS, T::MANUAL, T::check);
        Self { word, keys, manual, check, is_once: false, read: Some(shared::<T>) }
    }

    /// Says that there can be one agent of this kind alone, since two would take each other's replies.
    #[must_use]
    pub const fn once(self) -> Self {
        Self { is_once: true, ..self }
    }
}

fn shared<T: AgentSettings>(reader: &mut Reader<'_>) -> Option<Shared> {
    let read: Shared = Arc::new(T::read(reader)?);
    Some(read)
}

/// What the kinds of agents have for themselves, each found by its type.
#[derive(Clone, Debug)]
pub struct OfKinds(Vec<Shared>);

impl OfKinds {
    /// Reads the keys of all kinds, whichever is chosen.
    pub(super) fn read(kinds: &[Declaration], reader: &mut Reader<'_>) -> Option<Self> {
        let read: Vec<Option<Shared>> =
            kinds.iter().filter_map(|kind| kind.read).map(|read| read(reader)).collect();
        read.into_iter().collect::<Option<Vec<_>>>().map(Self)
    }

    /// What one kind has for itself; nothing if it was not declared when the settings were read.
    #[must_use]
    pub fn get<T: AgentSettings>(&self) -> Option<&T> {
        self.0.iter().find_map(|read| {
            let read: &dyn Any = &**read;
            read.downcast_ref()
        })
    }
}
