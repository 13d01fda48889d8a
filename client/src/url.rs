//! Addresses of brokers: one, or several of which one will do.

use std::fmt;
use std::time::Duration;

use crate::{ClientError, Reconnect};

const EXPECTED: &str = "expected stomp://HOST:PORT, stomps://, ws://, wss://, \
                        failover:(URL,URL)?OPTION=VALUE, or HOST:PORT";

/// Brokers in one list: more is a mistake.
const ADDRESSES_MAX: usize = 64;

/// How bytes get to a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Tcp,
    Tls,
    WebSocket,
    WebSocketTls,
}

impl Scheme {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "stomp" | "tcp" | "stomp+tcp" | "stomp+nio" => Self::Tcp,
            "stomps" | "ssl" | "tls" | "stomp+ssl" | "stomp+tls" | "stomp+nio+ssl" => Self::Tls,
            "ws" => Self::WebSocket,
            "wss" => Self::WebSocketTls,
            _ => return None,
        })
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "stomp",
            Self::Tls => "stomps",
            Self::WebSocket => "ws",
            Self::WebSocketTls => "wss",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Tcp => 61613,
            Self::Tls => 61614,
            Self::WebSocket => 80,
            Self::WebSocketTls => 443,
        }
    }
}

/// One broker.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) scheme: Scheme,
    /// A name or an IP address, the latter without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Of a WebSocket, with its slash.
    pub(crate) path: String,
    pub(crate) login: Option<(String, String)>,
    /// The header `host`, where it is not the host.
    pub(crate) virtual_host: Option<String>,
}

impl Address {
    /// As a socket wants it.
    pub(crate) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Without the login: addresses are logged.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.scheme.as_str();
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

/// What a URL says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// At least one.
    pub(crate) addresses: Vec<Address>,
    /// Options of a fail-over URL, over the defaults; [`None`] for a plain one.
    pub(crate) reconnect: Option<Reconnect>,
}

/// Reads a URL; `reconnect` is what its options change.
pub(crate) fn parse(url: &str, reconnect: &Reconnect) -> Result<Target, ClientError> {
    let wrong = |reason: String| ClientError::InvalidUrl {
        url: without_login(url),
        reason,
    };
    let Some(list) = url.strip_prefix("failover:") else {
        let address = address(url).map_err(wrong)?;
        return Ok(Target {
            addresses: vec![address],
            reconnect: None,
        });
    };
    let list = list.strip_prefix("//").unwrap_or(list);
    let (members, query) = match list.strip_prefix('(') {
        Some(inner) => inner
            .split_once(')')
            .ok_or_else(|| wrong("a closing parenthesis is missing".to_owned()))?,
        None => (list, ""),
    };
    let addresses = members
        .split(',')
        .map(|member| address(member.trim()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(wrong)?;
    if addresses.len() > ADDRESSES_MAX {
        return Err(wrong(format!("more than {ADDRESSES_MAX} addresses")));
    }
    let reconnect = options(query, reconnect.clone()).map_err(wrong)?;
    Ok(Target {
        addresses,
        reconnect: Some(reconnect),
    })
}

/// Errors are printed; passwords should not be.
pub(crate) fn without_login(url: &str) -> String {
    match (url.rfind('@'), url.find("://")) {
        (Some(at), Some(scheme)) if at > scheme => {
            format!("{}://..{}", &url[..scheme], &url[at..])
        }
        _ => url.to_owned(),
    }
}

fn address(text: &str) -> Result<Address, String> {
    let (scheme, rest) = match text.split_once("://") {
        Some((name, rest)) => {
            let scheme = Scheme::parse(name)
                .ok_or_else(|| format!("there is no scheme {name:?}; {EXPECTED}"))?;
            (scheme, rest)
        }
        None => (Scheme::Tcp, text),
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let (login, authority) = match authority.rsplit_once('@') {
        Some((login, authority)) => (Some(login_of(login)?), authority),
        None => (None, authority),
    };
    let (host, port) = host_and_port(authority, scheme.default_port())?;
    let is_web = matches!(scheme, Scheme::WebSocket | Scheme::WebSocketTls);
    if !is_web && !matches!(path, "" | "/") {
        return Err(format!("a path is for ws:// and wss:// only; {EXPECTED}"));
    }
    let path = match (is_web, path) {
        (false, _) => "",
        (true, "") => "/",
        (true, path) => path,
    };
    Ok(Address {
        scheme,
        host,
        port,
        path: path.to_owned(),
        login,
        virtual_host: virtual_host(query)?,
    })
}

fn host_and_port(authority: &str, default: u16) -> Result<(String, u16), String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest
                .split_once(']')
                .ok_or_else(|| "a closing bracket is missing".to_owned())?;
            (host, port.strip_prefix(':'))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() {
        return Err(format!("the host is missing; {EXPECTED}"));
    }
    let port = match port {
        Some(text) => text
            .parse()
            .map_err(|_| format!("{text:?} is no port; an IPv6 address stands in brackets"))?,
        None => default,
    };
    Ok((host.to_owned(), port))
}

fn login_of(text: &str) -> Result<(String, String), String> {
    let (name, secret) = text.split_once(':').unwrap_or((text, ""));
    Ok((decode(name)?, decode(secret)?))
}

fn virtual_host(query: &str) -> Result<Option<String>, String> {
    let mut host = None;
    for (name, value) in pairs(query) {
        match name {
            "host" => host = Some(decode(value)?),
            _ => {
                return Err(format!(
                    "there is no option {name:?} of an address, only host"
                ));
            }
        }
    }
    Ok(host)
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Undoes percent-encoding.
fn decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        let code = digit().zip(digit()).map(|(high, low)| high * 16 + low);
        let code = code.and_then(|code| u8::try_from(code).ok());
        bytes.push(code.ok_or_else(|| "a % stands before two hexadecimal digits".to_owned())?);
    }
    String::from_utf8(bytes).map_err(|_| "what is percent-encoded is not UTF-8".to_owned())
}

/// The options of a fail-over list, under ActiveMQ's names.
fn options(query: &str, mut reconnect: Reconnect) -> Result<Reconnect, String> {
    let query = query.strip_prefix('?').unwrap_or(query);
    for (name, value) in pairs(query) {
        let wrong = || format!("{name}={value} is not understood");
        let count = || -> Result<Option<u32>, String> {
            let count: i64 = value.parse().map_err(|_| wrong())?;
            // -1, as ActiveMQ has it: without end.
            Ok(u32::try_from(count).ok())
        };
        let milliseconds = || {
            value
                .parse()
                .map(Duration::from_millis)
                .map_err(|_| wrong())
        };
        reconnect = match name {
            "randomize" => reconnect.randomize(value.parse().map_err(|_| wrong())?),
            "initialReconnectDelay" => reconnect.initial_delay(milliseconds()?),
            "maxReconnectDelay" => reconnect.longest_delay(milliseconds()?),
            "maxReconnectAttempts" => reconnect.attempts(count()?),
            "startupMaxReconnectAttempts" => reconnect.first_attempts(count()?),
            _ => {
                return Err(format!(
                    "there is no option {name:?}; there are randomize, initialReconnectDelay, \
                     maxReconnectDelay, maxReconnectAttempts and startupMaxReconnectAttempts"
                ));
            }
        };
    }
    Ok(reconnect)
}

#[cfg(test)]
mod tests {
    use super::{Scheme, parse};
    use crate::{ClientError, Reconnect};
    use std::time::Duration;

    fn shown(url: &str) -> Vec<String> {
        let target = parse(url, &Reconnect::default()).expect(url);
        target.addresses.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_address_may_leave_out_what_is_usual() {
        for (url, expected) in [
            ("broker", "stomp://broker:61613"),
            ("broker:1", "stomp://broker:1"),
            ("[::1]", "stomp://[::1]:61613"),
            ("[::1]:7", "stomp://[::1]:7"),
            ("stomp://broker", "stomp://broker:61613"),
            ("tcp://broker:2/", "stomp://broker:2"),
            ("stomp+ssl://broker", "stomps://broker:61614"),
            ("stomps://broker:3", "stomps://broker:3"),
            ("ws://broker", "ws://broker:80/"),
            ("wss://broker:15674/ws", "wss://broker:15674/ws"),
            ("failover:stomp://a", "stomp://a:61613"),
        ] {
            assert_eq!(shown(url), [expected], "{url}");
        }
    }

    #[test]
    fn a_fail_over_list_has_members_and_options() {
        let url = "failover:(stomp://a:1, stomps://b:2)?randomize=false&maxReconnectDelay=500\
                   &initialReconnectDelay=20&maxReconnectAttempts=7&startupMaxReconnectAttempts=-1";
        assert_eq!(shown(url), ["stomp://a:1", "stomps://b:2"]);
        let reconnect = parse(url, &Reconnect::default()).expect("a URL").reconnect;
        let expected = Reconnect::default()
            .randomize(false)
            .longest_delay(Duration::from_millis(500))
            .initial_delay(Duration::from_millis(20))
            .attempts(Some(7))
            .first_attempts(None);
        assert_eq!(reconnect, Some(expected));
        assert_eq!(
            shown("failover://(a,b)"),
            ["stomp://a:61613", "stomp://b:61613"]
        );
    }

    #[test]
    fn a_login_and_a_virtual_host_are_decoded_and_not_shown() {
        let url = "stomp://us%65r:p%40ss@broker:1?host=%2F";
        let target = parse(url, &Reconnect::default()).expect("a URL");
        let address = &target.addresses[0];
        assert_eq!(address.scheme, Scheme::Tcp);
        assert_eq!(address.login, Some(("user".to_owned(), "p@ss".to_owned())));
        assert_eq!(address.virtual_host.as_deref(), Some("/"));
        assert_eq!(format!("{address:?}"), "Address(stomp://broker:1)");
        let error = parse("stomp://user:secret@:1", &Reconnect::default()).expect_err("no host");
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said() {
        for (url, reason) in [
            ("http://broker", "scheme"),
            ("", "host is missing"),
            ("::1", "host is missing"),
            ("fe80::1", "brackets"),
            ("broker:x", "port"),
            ("broker:99999", "port"),
            ("stomp://broker/path", "path"),
            ("stomp://broker?x=1", "option"),
            ("stomp://u%zz@broker", "hexadecimal"),
            ("stomp://u%ff@broker", "UTF-8"),
            ("[::1", "bracket"),
            ("failover:(a", "parenthesis"),
            ("failover:(a)?x=1", "there are randomize"),
            ("failover:(a)?randomize=2", "not understood"),
        ] {
            let error = parse(url, &Reconnect::default()).expect_err(url);
            assert!(
                matches!(&error, ClientError::InvalidUrl { reason: said, .. } if said.contains(reason)),
                "{url}: {error}"
            );
        }
    }
}
