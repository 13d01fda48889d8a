//! Addresses to listen on.

use std::net::SocketAddr;

use super::{Form, Scalar, quote};

/// One address or several.
pub(in super::super) struct Addresses;

impl Form for Addresses {
    type Value = Vec<SocketAddr>;

    fn read(&self, scalar: &Scalar) -> Option<Vec<SocketAddr>> {
        let addresses: Vec<SocketAddr> = match scalar {
            Scalar::Text(text) | Scalar::Bare(text) => {
                text.split(',').map(parse_address).collect::<Option<_>>()?
            }
            Scalar::List(items) => items
                .iter()
                .map(|item| item.text().and_then(parse_address))
                .collect::<Option<_>>()?,
            Scalar::Integer(_) | Scalar::Float(_) | Scalar::Boolean(_) | Scalar::Other(_) => {
                return None;
            }
        };
        (!addresses.is_empty()).then_some(addresses)
    }

    fn write(&self, value: &Vec<SocketAddr>) -> String {
        let addresses: Vec<String> = value
            .iter()
            .map(|address| quote(&address.to_string()))
            .collect();
        match addresses.as_slice() {
            [single] => single.clone(),
            several => format!("[{}]", several.join(", ")),
        }
    }

    fn allowed(&self) -> String {
        "an address (\"127.0.0.1:61613\", \"[::1]:61613\", \"0.0.0.0:61613\") or a list of them"
            .to_owned()
    }
}

/// One address, or none.
pub(in super::super) struct AddressOrNone;

impl Form for AddressOrNone {
    type Value = Option<SocketAddr>;

    fn read(&self, scalar: &Scalar) -> Option<Option<SocketAddr>> {
        match scalar.text()? {
            "none" => Some(None),
            text => parse_address(text).map(Some),
        }
    }

    fn write(&self, value: &Option<SocketAddr>) -> String {
        value.map_or_else(|| quote("none"), |address| quote(&address.to_string()))
    }

    fn allowed(&self) -> String {
        "an address (\"127.0.0.1:8161\", \"[::1]:8161\") or \"none\"".to_owned()
    }
}

fn parse_address(text: &str) -> Option<SocketAddr> {
    text.trim().parse().ok()
}
