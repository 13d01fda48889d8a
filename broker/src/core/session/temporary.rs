//! Temporary destinations of a connection: what it calls them, and the names under which others find them.

use std::collections::HashMap;
use std::sync::Arc;

use super::Session;
use super::output::Output;
use crate::core::destination::{
    Address, DestinationKind, DestinationName, NameError, SendTarget, TemporaryName,
};
use crate::core::message::Target;
use crate::core::port::{Refusal, Request};

/// A connection's own temporary destinations.
#[derive(Debug)]
pub(super) struct Temporaries {
    secret: u128,
    made: HashMap<TemporaryName, Arc<DestinationName>>,
    /// What the connection calls them.
    own_names: HashMap<Arc<DestinationName>, Box<str>>,
}

impl Temporaries {
    pub(super) fn new(secret: u128) -> Self {
        Self {
            secret,
            made: HashMap::new(),
            own_names: HashMap::new(),
        }
    }

    /// What the connection calls this destination, if it is its own.
    pub(super) fn own_name(&self, name: &DestinationName) -> Option<&str> {
        if !name.is_temporary() {
            return None;
        }
        self.own_names.get(name).map(|own| &**own)
    }

    fn insert(&mut self, own: &TemporaryName, made: &Arc<DestinationName>) {
        let kind = match own.kind() {
            DestinationKind::Queue => "queue",
            DestinationKind::Topic => "topic",
        };
        let wire = format!("/temp-{kind}/{}", own.name());
        self.own_names.insert(Arc::clone(made), wire.into());
        self.made.insert(own.clone(), Arc::clone(made));
    }
}

/// The ERROR of a name that is none.
pub(super) fn invalid(error: &NameError) -> Refusal {
    Refusal::new("destination is invalid", error.to_string())
}

impl Session {
    /// The temporary destination that the connection calls so, made if need be.
    pub(super) fn temporary(
        &mut self,
        own: &TemporaryName,
        output: &mut Output,
    ) -> Arc<DestinationName> {
        if let Some(made) = self.temporaries.made.get(own) {
            return Arc::clone(made);
        }
        let (secret, count) = (self.temporaries.secret, self.temporaries.made.len());
        let made = Arc::new(own.made_as(&format!("{}-{secret:032x}-{count}", self.name)));
        self.temporaries.insert(own, &made);
        output
            .requests
            .push(Request::MakeTemporary(Arc::clone(&made)));
        made
    }

    /// The destination of an address, a temporary one made if need be.
    pub(super) fn resolve(
        &mut self,
        address: &Address,
        output: &mut Output,
    ) -> Arc<DestinationName> {
        match address {
            Address::Named(name) => Arc::new(name.clone()),
            Address::Temporary(own) => self.temporary(own, output),
            Address::RemoteTemporary(remote) => Arc::new(remote.name().clone()),
        }
    }

    /// Where a SEND to this decoded text goes.
    pub(super) fn send_target(
        &mut self,
        text: &[u8],
        output: &mut Output,
    ) -> Result<Target, Refusal> {
        let target = SendTarget::parse(text).map_err(|error| invalid(&error))?;
        let mut names = Vec::with_capacity(target.addresses().len());
        for address in target.addresses() {
            let name = self.resolve(address, output);
            // A temporary one may be named as its owner does and as others do.
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(match names.pop() {
            Some(only) if names.is_empty() => Target::One(only),
            last => {
                names.extend(last);
                Target::Each(Arc::new(names))
            }
        })
    }
}
