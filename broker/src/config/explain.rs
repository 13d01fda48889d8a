//! The policy of one destination, key by key, with where each value comes from.

use stompbox_store::DestinationKind;

use super::policies::Policies;
use super::policy::Policy;
use super::section::Section;

/// One key of a destination's policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The key.
    pub key: &'static str,
    /// Its value, as it is written in TOML.
    pub value: String,
    /// What says so.
    pub from: Source,
}

/// What says what a key of a policy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nothing: it is the default.
    Default,
    /// Section `[policy]`.
    Section,
    /// A table `[[destination]]`.
    Destination {
        /// Its `match`.
        pattern: String,
        /// Its `kind`.
        kind: Option<DestinationKind>,
    },
}

impl Setting {
    /// Its value for programs: durations and sizes are text with their unit.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let value = self.value.parse::<toml::Value>();
        match value {
            Ok(toml::Value::Boolean(flag)) => flag.into(),
            Ok(toml::Value::Integer(integer)) => integer.into(),
            Ok(toml::Value::Float(number)) => number.into(),
            Ok(toml::Value::String(text)) => text.into(),
            Ok(_) | Err(_) => self.value.as_str().into(),
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::Section => f.write_str("[policy]"),
            Source::Destination { pattern, kind } => {
                write!(f, "[[destination]] {pattern}")?;
                match kind {
                    Some(DestinationKind::Queue) => f.write_str(" (queue)"),
                    Some(DestinationKind::Topic) => f.write_str(" (topic)"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl Policies {
    /// The policy of a destination, as [`Policies::effective`] has it. What `[policy]` sets to its default counts as
    /// the default.
    #[must_use]
    pub fn explain(&self, kind: DestinationKind, name: &str) -> Vec<Setting> {
        let defaults = Policy::default().entries();
        let section = self.default_policy().entries();
        let effective = self.effective(kind, name).entries();
        let values = defaults.into_iter().zip(section).zip(effective);
        let mut settings: Vec<Setting> = values
            .map(|((default, section), effective)| Setting {
                key: effective.name,
                value: effective.value,
                from: if default.value == section.value {
                    Source::Default
                } else {
                    Source::Section
                },
            })
            .collect();
        for item in self.overrides_of(kind, name) {
            for given in Policy::given_entries(&item.given) {
                let found = settings
                    .iter_mut()
                    .find(|setting| setting.key == given.name);
                if let Some(setting) = found {
                    setting.from = Source::Destination {
                        pattern: item.pattern.to_string(),
                        kind: item.kind,
                    };
                }
            }
        }
        settings
    }
}
