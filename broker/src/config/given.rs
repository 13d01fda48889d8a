//! What was given, key by key, from wherever it came: the step between text and [`Config`].

use std::collections::BTreeMap;

use stompbox_store::DestinationKind;

use super::error::{ConfigError, Origin, Problem};
use super::form::{Refusal, Scalar};
use super::pattern::Pattern;
use super::policies::{Override, Policies};
use super::policy::{Policy, PolicyGiven};
use super::route::{self, Route, RouteGiven};
use super::section::Section;
use super::suggestion::nearest;
use super::{Config, ConsoleConfig, Limits, LogConfig, StompConfig, StoreConfig};

/// The name of a section that is written once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SectionName {
    Stomp,
    Console,
    Store,
    Limits,
    Policy,
    Log,
}

impl SectionName {
    /// All of them, in the order of the sample file.
    pub(super) const ALL: [Self; 6] = [
        Self::Stomp,
        Self::Console,
        Self::Store,
        Self::Limits,
        Self::Policy,
        Self::Log,
    ];

    /// The name in the file.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Stomp => "stomp",
            Self::Console => "console",
            Self::Store => "store",
            Self::Limits => "limits",
            Self::Policy => "policy",
            Self::Log => "log",
        }
    }

    /// The section of this name.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|section| section.as_str() == text)
    }

    /// The keys in it.
    pub(super) fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Stomp => StompConfig::KEYS,
            Self::Console => ConsoleConfig::KEYS,
            Self::Store => StoreConfig::KEYS,
            Self::Limits => Limits::KEYS,
            Self::Policy => Policy::KEYS,
            Self::Log => LogConfig::KEYS,
        }
    }
}

/// A table `[[destination]]` and the line where it begins.
#[derive(Debug)]
pub(super) struct DestinationGiven {
    /// Which names it is about.
    pub(super) pattern: Pattern,
    /// Which kind it is about.
    pub(super) kind: Option<DestinationKind>,
    /// What it sets.
    pub(super) policy: PolicyGiven,
    /// Where it stands.
    pub(super) origin: Origin,
}

/// Everything that was given so far, and everything that was wrong with it.
#[derive(Debug, Default)]
pub(super) struct Given {
    stomp: <StompConfig as Section>::Given,
    console: <ConsoleConfig as Section>::Given,
    store: <StoreConfig as Section>::Given,
    limits: <Limits as Section>::Given,
    policy: PolicyGiven,
    log: <LogConfig as Section>::Given,
    destinations: Vec<DestinationGiven>,
    routes: Vec<(Route, Origin)>,
    origins: BTreeMap<(SectionName, String), Origin>,
    problems: Vec<Problem>,
}

impl Given {
    /// Sets a key; what was set before is overruled.
    pub(super) fn set(&mut self, section: SectionName, key: &str, value: &Scalar, origin: Origin) {
        let result = match section {
            SectionName::Stomp => StompConfig::set(&mut self.stomp, key, value),
            SectionName::Console => ConsoleConfig::set(&mut self.console, key, value),
            SectionName::Store => StoreConfig::set(&mut self.store, key, value),
            SectionName::Limits => Limits::set(&mut self.limits, key, value),
            SectionName::Policy => Policy::set(&mut self.policy, key, value),
            SectionName::Log => LogConfig::set(&mut self.log, key, value),
        };
        match result {
            Ok(()) => {
                self.origins.insert((section, key.to_owned()), origin);
            }
            Err(refusal) => {
                let text = refusal_text(refusal, key, section.keys(), Some(section));
                self.refuse(origin, format!("{}.{key}", section.as_str()), text);
            }
        }
    }

    /// Adds a table `[[destination]]`.
    pub(super) fn add_destination(&mut self, destination: DestinationGiven) {
        let same = |other: &&DestinationGiven| {
            other.pattern == destination.pattern && other.kind == destination.kind
        };
        if let Some(first) = self.destinations.iter().find(same) {
            let text = format!(
                "`{}` has a table already, at {}",
                first.pattern, first.origin
            );
            self.refuse(destination.origin, "destination.match".to_owned(), text);
            return;
        }
        self.destinations.push(destination);
    }

    /// Adds a table `[[route]]`.
    pub(super) fn add_route(&mut self, route: RouteGiven) {
        let origin = route.origin.clone();
        match route.finish() {
            Ok(route) => self.routes.push((route, origin)),
            Err((origin, key)) => {
                self.refuse(origin, "route".to_owned(), format!("{key} is missing"));
            }
        }
    }

    /// Notes that something is wrong.
    pub(super) fn refuse(&mut self, origin: Origin, key: String, text: String) {
        self.problems.push(Problem {
            origin: Some(origin),
            key,
            text,
        });
    }

    /// The configuration, if nothing is wrong.
    pub(super) fn finish(mut self) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        config.stomp.overlay(&self.stomp);
        config.console.overlay(&self.console);
        config.store.overlay(&self.store);
        config.limits.overlay(&self.limits);
        config.log.overlay(&self.log);
        let mut policy = Policy::default();
        policy.overlay(&self.policy);
        let overrides = self.destinations.iter().map(|destination| Override {
            pattern: destination.pattern.clone(),
            kind: destination.kind,
            given: destination.policy.clone(),
        });
        let routes = self.routes.iter().map(|(route, _)| route.clone()).collect();
        config.policies = Policies::new(policy, overrides.collect(), routes);
        self.find_contradictions(&config);
        if self.problems.is_empty() {
            Ok(config)
        } else {
            // The file from top to bottom; within it the parser does not keep the order.
            self.problems.sort_by_key(|problem| problem.line());
            Err(ConfigError::Invalid {
                problems: self.problems,
            })
        }
    }

    fn find_contradictions(&mut self, config: &Config) {
        self.blame(SectionName::Limits, config.limits.contradictions());
        self.blame(SectionName::Stomp, config.listener_contradictions());
        for (from, text) in route::contradictions(config.policies.routes()) {
            let to_blame = self.routes.iter().find(|(route, _)| route.from == *from);
            if let Some((_, origin)) = to_blame {
                self.refuse(origin.clone(), "route".to_owned(), text);
            }
        }
        let mut by_default = config.policies.default_policy().contradictions();
        by_default.extend(self.policy.contradiction());
        if !by_default.is_empty() {
            // Overrides would only repeat it.
            self.blame(SectionName::Policy, by_default);
            return;
        }
        for destination in std::mem::take(&mut self.destinations) {
            let mut found = config
                .policies
                .contradictions(&destination.pattern, destination.kind);
            found.extend(destination.policy.contradiction());
            for contradiction in found {
                let key = format!("destination.{}", contradiction.keys[0]);
                self.refuse(destination.origin.clone(), key, contradiction.text);
            }
        }
    }

    /// Blames each contradiction on the first of its keys that somebody has set.
    fn blame(&mut self, section: SectionName, contradictions: Vec<Contradiction>) {
        for Contradiction { keys, text } in contradictions {
            let set = |key: &&str| self.origins.get(&(section, (*key).to_owned())).cloned();
            let origin = keys.iter().find_map(set);
            let key = format!("{}.{}", section.as_str(), keys[0]);
            self.problems.push(Problem { origin, key, text });
        }
    }
}

/// Two keys, each right alone and wrong together.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Contradiction {
    /// The key that is named, and the one that it is measured by.
    pub(super) keys: [&'static str; 2],
    /// What is wrong.
    pub(super) text: String,
}

/// Says what is wrong with a key or its value; `section` is where it was looked for, if that can be elsewhere.
pub(super) fn refusal_text(
    refusal: Refusal,
    key: &str,
    known: &[&'static str],
    section: Option<SectionName>,
) -> String {
    match refusal {
        Refusal::Value { given, allowed } => {
            format!("{given} is not allowed here; allowed is {allowed}")
        }
        Refusal::UnknownKey => {
            if let Some(similar) = nearest(key, known.iter().copied()) {
                return format!("unknown key; did you mean `{similar}`?");
            }
            let elsewhere =
                |other: &SectionName| Some(*other) != section && other.keys().contains(&key);
            match SectionName::ALL.into_iter().find(elsewhere) {
                Some(other) => format!("unknown key here; it belongs to [{}]", other.as_str()),
                None => format!("unknown key; allowed are {}", known.join(", ")),
            }
        }
    }
}
