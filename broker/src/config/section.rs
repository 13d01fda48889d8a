//! The declaration of a section: one list of keys from which everything else about them is made.

use super::form::{Refusal, Scalar};

/// One key as the sample file, the documentation and `stompbox config show` present it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The key without its section.
    pub(super) name: &'static str,
    /// The lines of its documentation.
    pub(super) doc: &'static [&'static str],
    /// What may be written.
    pub(super) allowed: String,
    /// The value in TOML.
    pub(super) value: String,
}

/// A group of keys, with their defaults.
pub(super) trait Section: Default {
    /// The same keys, each set or not.
    type Given: Clone + std::fmt::Debug + Default + PartialEq;

    /// What the section is about, line by line.
    const ABOUT: &'static [&'static str];

    /// The names of the keys, in the order of their declaration.
    const KEYS: &'static [&'static str];

    /// Sets one key in `given`.
    fn set(given: &mut Self::Given, key: &str, value: &Scalar) -> Result<(), Refusal>;

    /// Takes over what is set in `given`.
    fn overlay(&mut self, given: &Self::Given);

    /// Every key with its value.
    fn entries(&self) -> Vec<Entry>;

    /// The keys that are set in `given`, with their values.
    fn given_entries(given: &Self::Given) -> Vec<Entry>;
}

/// Declares a section: `pub key: Type = default, form;` with the documentation that users read.
///
/// It makes the public struct, its `Default`, a second struct in which every key is optional, and the [`Section`]
/// between them. A macro, because a key that had to be named in four places would sooner or later be wrong in one.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        pub struct $Section:ident, given $Given:ident {
            $(
                $(#[doc = $doc:literal])+
                pub $field:ident: $Value:ty = $default:expr, $form:expr;
            )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq)]
        pub struct $Section {
            $(
                $(#[doc = $doc])+
                #[doc = ""]
                #[doc = concat!("Default: `", stringify!($default), "`.")]
                pub $field: $Value,
            )+
        }

        impl Default for $Section {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        /// The keys of the section, each set or not.
        #[derive(Debug, Clone, Default, PartialEq)]
        pub(super) struct $Given {
            $(pub(super) $field: Option<$Value>,)+
        }

        impl $crate::config::section::Section for $Section {
            type Given = $Given;

            const ABOUT: &'static [&'static str] = &[$($about,)+];

            const KEYS: &'static [&'static str] = &[$(stringify!($field),)+];

            fn set(
                given: &mut $Given,
                key: &str,
                value: &$crate::config::form::Scalar,
            ) -> Result<(), $crate::config::form::Refusal> {
                match key {
                    $(stringify!($field) => {
                        given.$field = Some($crate::config::form::read(&$form, value)?);
                        Ok(())
                    })+
                    _ => Err($crate::config::form::Refusal::UnknownKey),
                }
            }

            fn overlay(&mut self, given: &$Given) {
                $(if let Some(value) = &given.$field {
                    self.$field = value.clone();
                })+
            }

            fn entries(&self) -> Vec<$crate::config::section::Entry> {
                vec![$($crate::config::section::Entry {
                    name: stringify!($field),
                    doc: &[$($doc,)+],
                    allowed: $crate::config::form::Form::allowed(&$form),
                    value: $crate::config::form::Form::write(&$form, &self.$field),
                },)+]
            }

            fn given_entries(given: &$Given) -> Vec<$crate::config::section::Entry> {
                let mut section = Self::default();
                section.overlay(given);
                let set = [$(given.$field.is_some(),)+];
                let entries = section.entries().into_iter().zip(set);
                entries.filter_map(|(entry, is_set)| is_set.then_some(entry)).collect()
            }
        }
    };
}

pub(super) use section;
