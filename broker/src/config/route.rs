//! Tables `[[route]]`: what is sent to one destination goes to others, too or instead.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::error::Origin;
use super::form::{Refusal, Scalar};
use crate::core::destination::{DestinationName, is_reserved};
use crate::core::selector::Selector;

/// The keys of a table.
pub(super) const KEYS: [&str; 4] = ["from", "to", "selector", "forward_only"];

/// Where what is sent to a destination goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// What it is sent to.
    pub from: DestinationName,
    /// Where copies go; never none.
    pub to: Vec<DestinationName>,
    /// Which messages; none is all.
    pub selector: Option<Arc<Selector>>,
    /// Whether they go there instead.
    pub forward_only: bool,
}

/// A table `[[route]]` and the line where it begins.
#[derive(Debug)]
pub(super) struct RouteGiven {
    pub(super) from: Option<DestinationName>,
    pub(super) to: Vec<DestinationName>,
    pub(super) selector: Option<Arc<Selector>>,
    pub(super) forward_only: Option<bool>,
    pub(super) origin: Origin,
}

impl RouteGiven {
    /// Nothing yet.
    pub(super) fn new(origin: Origin) -> Self {
        Self {
            from: None,
            to: Vec::new(),
            selector: None,
            forward_only: None,
            origin,
        }
    }

    /// Sets one key.
    pub(super) fn set(&mut self, key: &str, value: &Scalar) -> Result<(), Refusal> {
        match key {
            "from" => self.from = Some(name(value)?),
            "to" => {
                let items = match value {
                    Scalar::List(items) if !items.is_empty() => items.as_slice(),
                    single => std::slice::from_ref(single),
                };
                self.to = items.iter().map(name).collect::<Result<_, _>>()?;
            }
            "selector" => self.selector = selector(value)?,
            "forward_only" => match value {
                Scalar::Boolean(flag) => self.forward_only = Some(*flag),
                _ => return Err(refused(value, "true or false")),
            },
            _ => return Err(Refusal::UnknownKey),
        }
        Ok(())
    }

    /// The route, or what is missing.
    pub(super) fn finish(self) -> Result<Route, (Origin, &'static str)> {
        match self.from {
            None => Err((self.origin, "from")),
            Some(_) if self.to.is_empty() => Err((self.origin, "to")),
            Some(from) => Ok(Route {
                from,
                to: self.to,
                selector: self.selector,
                forward_only: self.forward_only.unwrap_or(true),
            }),
        }
    }
}

fn refused(value: &Scalar, allowed: &str) -> Refusal {
    Refusal::Value {
        given: value.to_string(),
        allowed: allowed.to_owned(),
    }
}

fn name(value: &Scalar) -> Result<DestinationName, Refusal> {
    let parsed = value
        .text()
        .map(|text| DestinationName::parse(text.as_bytes()));
    match parsed {
        Some(Ok(name)) if is_reserved(&name) => Err(refused(
            value,
            "a destination that messages lie in, not one of the broker's own: an advisory topic, a name that asks for \
             statistics, or the topic that manages the schedule",
        )),
        Some(Ok(name)) => Ok(name),
        Some(Err(_)) | None => Err(refused(
            value,
            "a destination (\"/queue/NAME\", \"/topic/NAME\"), without wildcards",
        )),
    }
}

fn selector(value: &Scalar) -> Result<Option<Arc<Selector>>, Refusal> {
    let Some(text) = value.text() else {
        return Err(refused(value, "a selector"));
    };
    match Selector::parse(text) {
        Ok(selector) => Ok(selector.map(Arc::new)),
        Err(error) => Err(refused(value, &format!("a selector ({error})"))),
    }
}

/// What is wrong with routes together, each with the destination whose routes are to blame.
pub(super) fn contradictions(routes: &[Route]) -> Vec<(&DestinationName, String)> {
    let mut by_source: BTreeMap<&DestinationName, Vec<&Route>> = BTreeMap::new();
    for route in routes {
        by_source.entry(&route.from).or_default().push(route);
    }
    let mut found = Vec::new();
    for (from, routes) in &by_source {
        let first = routes[0].forward_only;
        if routes.iter().any(|route| route.forward_only != first) {
            let text = format!("the routes from {from} do not agree about forward_only");
            found.push((*from, text));
        }
    }
    if let Some(path) = cycle(&by_source) {
        let names: Vec<&str> = path.iter().map(|name| name.wire()).collect();
        let text = format!(
            "messages would go round in a circle: {}",
            names.join(" -> ")
        );
        found.push((path[0], text));
    }
    found
}

/// A way from a destination back to it.
fn cycle<'a>(
    by_source: &BTreeMap<&'a DestinationName, Vec<&'a Route>>,
) -> Option<Vec<&'a DestinationName>> {
    let mut done: BTreeSet<&DestinationName> = BTreeSet::new();
    for start in by_source.keys() {
        // The way so far, each with what is still to be tried from there.
        let mut way = vec![(*start, next_of(by_source, start))];
        while let Some((here, untried)) = way.last_mut() {
            let Some(next) = untried.pop() else {
                done.insert(*here);
                way.pop();
                continue;
            };
            if let Some(begin) = way.iter().position(|(passed, _)| *passed == next) {
                let mut circle: Vec<_> = way[begin..].iter().map(|(name, _)| *name).collect();
                circle.push(next);
                return Some(circle);
            }
            if !done.contains(next) {
                way.push((next, next_of(by_source, next)));
            }
        }
    }
    None
}

fn next_of<'a>(
    by_source: &BTreeMap<&'a DestinationName, Vec<&'a Route>>,
    from: &DestinationName,
) -> Vec<&'a DestinationName> {
    let routes = by_source.get(from).into_iter().flatten();
    routes.flat_map(|route| &route.to).collect()
}
