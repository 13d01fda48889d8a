//! Which policy a destination has: the default, then every override whose pattern matches, the most specific last.

use std::time::Duration;

use stompbox_store::DestinationKind;

use super::choice::WhenFull;
use super::given::Contradiction;
use super::pattern::Pattern;
use super::policy::{Policy, PolicyGiven};
use super::route::Route;
use super::section::Section;
use crate::core::destination::DestinationName;

/// The default policy and its overrides.
///
/// *Invariants.* Overrides are in the order in which they apply. What [`Policies::effective`] returns is free of
/// contradictions: those that one override makes are refused at load, those that only several make together (`a.*`
/// and `*.b` on `a.b`) are settled in favour of the maximum.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Policies {
    default: Policy,
    overrides: Vec<Override>,
    routes: Vec<Route>,
}

/// A table `[[destination]]`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Override {
    /// Which names it is about.
    pub(super) pattern: Pattern,
    /// Which kind it is about; both if it does not say.
    pub(super) kind: Option<DestinationKind>,
    /// What it sets.
    pub(super) given: PolicyGiven,
}

impl Policies {
    /// Puts the overrides in the order in which they apply.
    pub(super) fn new(default: Policy, mut overrides: Vec<Override>, routes: Vec<Route>) -> Self {
        overrides.sort_by(|a, b| {
            a.pattern
                .cmp(&b.pattern)
                .then_with(|| a.kind.is_some().cmp(&b.kind.is_some()))
        });
        Self {
            default,
            overrides,
            routes,
        }
    }

    /// The policy of a destination: the default, then every `[[destination]]` that matches merged over it, the most
    /// specific winning. It is worth keeping: each call walks all overrides.
    #[must_use]
    pub fn effective(&self, kind: DestinationKind, name: &str) -> Policy {
        let mut policy = self.merged(kind, name);
        policy.keep_to_maxima();
        policy
    }

    fn merged(&self, kind: DestinationKind, name: &str) -> Policy {
        let mut policy = self.default.clone();
        for item in self.overrides_of(kind, name) {
            policy.overlay(&item.given);
        }
        policy
    }

    /// The overrides that match a destination, in the order in which they apply.
    pub(super) fn overrides_of<'a>(
        &'a self,
        kind: DestinationKind,
        name: &'a str,
    ) -> impl Iterator<Item = &'a Override> {
        self.overrides.iter().filter(move |item| {
            item.kind.is_none_or(|own| own == kind) && item.pattern.matches(name)
        })
    }

    /// What contradicts itself in the policy of the destinations that are `pattern`'s own.
    pub(super) fn contradictions(
        &self,
        pattern: &Pattern,
        kind: Option<DestinationKind>,
    ) -> Vec<Contradiction> {
        let kind = kind.unwrap_or(DestinationKind::Queue);
        self.merged(kind, &pattern.specimen()).contradictions()
    }

    /// Whether some queue may refuse what is too much.
    #[must_use]
    pub fn may_reject(&self) -> bool {
        let given = self.overrides.iter().map(|item| item.given.when_full);
        let default = Some(self.default.when_full);
        given
            .chain([default])
            .any(|when_full| when_full == Some(WhenFull::Reject))
    }

    /// The destinations that are declared: a `[[destination]]` with a `kind` and no wildcard.
    pub fn declared(&self) -> impl Iterator<Item = DestinationName> + '_ {
        self.overrides.iter().filter_map(|item| {
            let name = item.pattern.literal()?;
            Some(DestinationName::new(item.kind?, &name))
        })
    }

    /// The shortest `ack_timeout` of any destination; none if all are off.
    #[must_use]
    pub fn shortest_ack_timeout(&self) -> Option<Duration> {
        let given = self
            .overrides
            .iter()
            .filter_map(|item| item.given.ack_timeout);
        let all = given.chain([self.default.ack_timeout]);
        all.filter(|timeout| !timeout.is_zero()).min()
    }

    /// The shortest `remove_unused_after` of any destination; none if all are off.
    #[must_use]
    pub fn shortest_remove_unused_after(&self) -> Option<Duration> {
        let given = self
            .overrides
            .iter()
            .filter_map(|item| item.given.remove_unused_after);
        let all = given.chain([self.default.remove_unused_after]);
        all.filter(|after| !after.is_zero()).min()
    }

    /// Whether a destination is declared, or part of a route.
    #[must_use]
    pub fn declares(&self, name: &DestinationName) -> bool {
        let mut routes = self.routes.iter();
        self.declared().any(|declared| declared == *name)
            || routes.any(|route| route.from == *name || route.to.contains(name))
    }

    /// Where what is sent to some destinations goes.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The policy of a destination that no override matches.
    #[must_use]
    pub fn default_policy(&self) -> &Policy {
        &self.default
    }

    /// The overrides, in the order in which they apply.
    pub(super) fn overrides(&self) -> &[Override] {
        &self.overrides
    }
}
