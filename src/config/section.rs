//! Sections of settings as types: a line a key, from which its name and its variables follow.
//!
//! Pure. The house's own sections are written with it, and those of the kinds of agents.

use super::key::Key;
use super::reader::Reader;

/// Keys that are read together, into one type.
pub trait Section: Sized {
    /// The keys, in the order of the manual.
    const KEYS: &'static [Key];

    /// Reads every key before it gives up for want of one.
    fn read(reader: &mut Reader<'_>) -> Option<Self>;
}

/// Makes types of sections: each key's name, its kind of value, and its variables where others rely on them.
macro_rules! sections {
    ($(
        $(#[$doc:meta])*
        $section:ident = $name:literal {
            $($(#[$field_doc:meta])* $field:ident: $kind:ty $(= $($variable:literal),+)?;)*
        }
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $section {
            $($(#[$field_doc])* pub $field: $kind,)*
        }

        impl $crate::config::Section for $section {
            const KEYS: &'static [$crate::config::Key] = &[$($crate::config::Key::of::<$kind>(
                concat!($name, ".", stringify!($field)),
                &[$($($variable),+)?],
            )),*];

            fn read(reader: &mut $crate::config::Reader<'_>) -> Option<Self> {
                let mut keys = <Self as $crate::config::Section>::KEYS.iter();
                $(let $field = keys.next().and_then(|key| reader.read(key));)*
                Some(Self { $($field: $field?),* })
            }
        }
    )*};
}

pub(crate) use sections;
