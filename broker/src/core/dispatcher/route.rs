//! Configured routes: what is sent to one destination goes to others, too or instead (`[[route]]`).
//!
//! A route is followed when a SEND is, before anything is put anywhere, so that all copies are one unit. *Invariant*: what
//! a route names is there from the start and never goes. Dead letters and what returns are not sent, and follow no
//! route.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use stompbox_store::MessageNumber;

use super::entry::{Durability, Entry};
use super::property::{Place as SeenAt, Seen};
use super::publish::Places;
use super::{Dispatcher, Place};
use crate::config::Route;
use crate::core::clock::Now;
use crate::core::destination::{DestinationKind, DestinationName};
use crate::core::message::Publication;
use crate::core::port::Refusal;
use crate::core::selector::Selector;

/// Some of what is sent to a destination.
#[derive(Debug)]
struct Branch {
    selector: Option<Arc<Selector>>,
    to: Vec<Place>,
}

/// What becomes of what is sent to a destination.
#[derive(Debug)]
struct Fork {
    name: Arc<DestinationName>,
    forward_only: bool,
    branches: Vec<Branch>,
}

/// All routes, by where they begin.
#[derive(Debug, Default)]
pub(super) struct Routes {
    by_source: FxHashMap<Place, Fork>,
}

impl Dispatcher {
    /// Makes what routes name. Comes before the first turn.
    pub(super) fn lay_routes(&mut self, now: Now) {
        for route in self.settings.policies.routes().to_vec() {
            let Route {
                from,
                to,
                selector,
                forward_only,
            } = route;
            let name = Arc::new(from);
            let from = self.made(&name, now);
            let to = to.into_iter().map(|name| self.made(&Arc::new(name), now));
            let to = to.collect();
            let fork = self.routes.by_source.entry(from).or_insert_with(|| Fork {
                name,
                forward_only,
                branches: Vec::new(),
            });
            fork.branches.push(Branch { selector, to });
        }
    }

    fn made(&mut self, name: &Arc<DestinationName>, now: Now) -> Place {
        match name.kind() {
            DestinationKind::Queue => Place::Queue(self.ensure_queue(name, now)),
            DestinationKind::Topic => Place::Topic(self.ensure_topic(name)),
        }
    }

    /// Where a message goes: the destinations that it names, made if need be, and where routes lead from there.
    pub(super) fn routed(
        &mut self,
        publication: &Publication,
        now: Now,
    ) -> Result<Places, Refusal> {
        let places = self.places(&publication.target, now)?;
        Ok(self.forward(places, publication))
    }

    /// Where a message goes that is sent to these. No place twice.
    pub(super) fn forward(&self, places: Places, publication: &Publication) -> Places {
        let routes = &self.routes.by_source;
        if routes.is_empty() || !places.iter().any(|place| routes.contains_key(place)) {
            return places;
        }
        let entry = Entry::new(
            MessageNumber(self.last_sequence.next().0),
            Arc::clone(&publication.message),
            publication.mode,
            publication.expires_ms,
            Durability::Volatile,
        );
        // There are no circles: this comes to an end. In the order in which it is met.
        let mut met = places;
        let mut through = Places::new();
        let mut index = 0;
        while let Some(place) = met.get(index).copied() {
            index += 1;
            let Some(fork) = routes.get(&place) else {
                continue;
            };
            if fork.forward_only {
                through.push(place);
            }
            for to in self.taken(fork, &entry) {
                if !met.contains(to) {
                    met.push(*to);
                }
            }
        }
        met.retain(|place| !through.contains(place));
        met
    }

    fn taken<'f>(&self, fork: &'f Fork, entry: &Entry) -> impl Iterator<Item = &'f Place> {
        let place = SeenAt {
            destination: &fork.name,
            instance: &self.instance,
        };
        let taken = fork.branches.iter().filter(|branch| {
            let selector = branch.selector.as_ref();
            selector.is_none_or(|selector| selector.matches(&Seen { entry, place }))
        });
        let taken: Vec<_> = taken.collect();
        taken.into_iter().flat_map(|branch| &branch.to)
    }
}
