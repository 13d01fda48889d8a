//! The environment: `STOMPBOX_STORE_DATA` sets `store.data`.

use super::error::Origin;
use super::form::Scalar;
use super::given::{Given, SectionName};
use super::suggestion::nearest;

/// What all our variables begin with.
const PREFIX: &str = "STOMPBOX_";

/// Names the configuration file.
const FILE: &str = "STOMPBOX_CONFIG";

/// The file that the environment names.
pub(super) fn file(variables: &[(String, String)]) -> Option<&str> {
    let named = variables.iter().find(|(variable, _)| variable == FILE);
    named
        .map(|(_, path)| path.as_str())
        .filter(|path| !path.is_empty())
}

/// Reads our variables into `given`. A variable of no section of ours is somebody else's and left alone.
pub(super) fn read(variables: &[(String, String)], given: &mut Given) {
    for (variable, value) in variables {
        let Some((section, key)) = split(variable) else {
            continue;
        };
        let origin = Origin::Environment {
            variable: variable.clone(),
        };
        if section.keys().contains(&key.as_str()) {
            given.set(section, &key, &Scalar::Bare(value.clone()), origin);
        } else if !is_service_link(&key) {
            given.refuse(origin, String::new(), unknown(section, &key));
        }
    }
}

/// The section and the key that a variable is about.
fn split(variable: &str) -> Option<(SectionName, String)> {
    let (section, key) = variable.strip_prefix(PREFIX)?.split_once('_')?;
    Some((
        SectionName::parse(&section.to_ascii_lowercase())?,
        key.to_ascii_lowercase(),
    ))
}

/// Kubernetes tells every container about the services beside it: one named `stompbox-console` becomes
/// `STOMPBOX_CONSOLE_SERVICE_HOST`, `STOMPBOX_CONSOLE_PORT_8161_TCP` and so on.
fn is_service_link(key: &str) -> bool {
    key == "port"
        || key == "service_host"
        || key.starts_with("service_port")
        || key.starts_with("port_")
}

fn unknown(section: SectionName, key: &str) -> String {
    let variable = |key: &str| format!("{PREFIX}{}_{key}", section.as_str()).to_ascii_uppercase();
    if let Some(similar) = nearest(key, section.keys().iter().copied()) {
        return format!("unknown variable; did you mean {}?", variable(similar));
    }
    let known: Vec<String> = section.keys().iter().map(|key| variable(key)).collect();
    format!("unknown variable; allowed are {}", known.join(", "))
}
