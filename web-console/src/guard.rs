//! What stands between a browser and the console: the checks of host and origin, and the security headers.
//!
//! The console listens where only its user should reach it, but that user's browser also runs other people's
//! pages. A page of `evil.example` whose name is re-bound to 127.0.0.1 would be same-origin with the console;
//! its requests still carry `Host: evil.example`, and that is refused. A page that only sends requests here, without
//! reading the answers, says so in `Origin` and `Sec-Fetch-Site`, and changes nothing.
//!
//! *Invariant*: every response carries the headers, refusals included.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::ApiError;

/// Nothing but our own files and our own API, no inline code, no string that becomes markup, no frames.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

const SECURITY_HEADERS: [(HeaderName, HeaderValue); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(CONTENT_SECURITY_POLICY),
    ),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// The hosts under which the console answers: any IP address, `localhost`, and the names given here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedHosts {
    names: Vec<String>,
}

impl AllowedHosts {
    /// Also answers under `name`, given without a port and compared without regard to case.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.names.push(name.into());
        self
    }

    fn allows(&self, authority: &str) -> bool {
        let Some(host) = host_of(authority) else {
            return false;
        };
        match host {
            Host::Address => true,
            Host::Name(name) => {
                name.eq_ignore_ascii_case("localhost")
                    || self
                        .names
                        .iter()
                        .any(|allowed| allowed.eq_ignore_ascii_case(name))
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Host<'a> {
    Address,
    Name(&'a str),
}

/// Splits `host[:port]`, or gives nothing when it is neither a name nor an address.
fn host_of(authority: &str) -> Option<Host<'_>> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let port_is_fine = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        let _address: Ipv6Addr = address.parse().ok()?;
        return port_is_fine.then_some(Host::Address);
    }
    let name = match authority.split_once(':') {
        Some((name, port)) if is_port(port) => name,
        Some(_) => return None,
        None => authority,
    };
    match name.parse::<Ipv4Addr>() {
        Ok(_address) => Some(Host::Address),
        Err(_not_an_address) => (!name.is_empty()).then_some(Host::Name(name)),
    }
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

/// Refuses a request whose host is not allowed, before any handler sees it.
pub(crate) async fn check_host(
    State(hosts): State<Arc<AllowedHosts>>,
    request: Request,
    next: Next,
) -> Response {
    match refusal(&hosts, request.uri(), request.headers()) {
        None => next.run(request).await,
        Some(error) => error.at(request.uri().path()),
    }
}

/// Both places that name the host must be allowed: `Host`, and the target when it is an absolute URI.
fn refusal(hosts: &AllowedHosts, target: &Uri, headers: &HeaderMap) -> Option<ApiError> {
    let mut named = headers.get_all(header::HOST).iter();
    let host = match (named.next().map(HeaderValue::to_str), named.next()) {
        (Some(Ok(host)), None) => host,
        _ => {
            let message = "the request must carry one Host header".to_owned();
            return Some(ApiError::HostNotAllowed(message));
        }
    };
    let target_is_fine = target
        .authority()
        .is_none_or(|authority| hosts.allows(authority.as_str()));
    if target_is_fine && hosts.allows(host) {
        return None;
    }
    Some(ApiError::HostNotAllowed(
        "the console does not answer under this host name, so that no other web site can reach it through \
         your browser; open it by IP address or as localhost"
            .to_owned(),
    ))
}

/// Refuses what changes something when a page of another site asks for it. Programs send neither header.
pub(crate) async fn check_origin(request: Request, next: Next) -> Response {
    if request.method().is_safe() || is_own(request.headers()) {
        return next.run(request).await;
    }
    ApiError::CrossOrigin.into_response()
}

/// Whether a request comes from the console's own page, or from no page at all. A browser that says whose page it is
/// knows it best: behind a proxy `Origin` and `Host` differ.
fn is_own(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(HeaderValue::to_str);
    if let Some(site) = text(HeaderName::from_static("sec-fetch-site")) {
        return matches!(site, Ok("same-origin" | "none"));
    }
    match (text(header::ORIGIN), text(header::HOST)) {
        (None, _) => true,
        (Some(Ok(origin)), Some(Ok(host))) => origin
            .split_once("://")
            .is_some_and(|(_scheme, authority)| authority.eq_ignore_ascii_case(host)),
        (Some(_), _) => false,
    }
}

/// Adds the headers, and forbids caching where the handler has not said otherwise.
pub(crate) async fn add_security_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.extend(SECURITY_HEADERS);
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::AllowedHosts;

    #[test]
    fn addresses_localhost_and_configured_names_are_allowed() {
        let hosts = AllowedHosts::default().with_name("Console.Example");
        for authority in [
            "127.0.0.1",
            "127.0.0.1:8161",
            "192.168.1.20:80",
            "[::1]",
            "[::1]:8161",
            "[fe80::1]:1",
            "localhost",
            "LOCALHOST:8161",
            "console.example",
            "console.example:443",
        ] {
            assert!(hosts.allows(authority), "{authority}");
        }
    }

    #[test]
    fn other_names_and_malformed_hosts_are_refused() {
        let hosts = AllowedHosts::default().with_name("console.example");
        for authority in [
            "",
            ":80",
            "evil.example",
            "localhost.evil.example",
            "evil.localhost",
            "127.0.0.1.evil.example",
            "127.0.0.1@evil.example",
            "localhost:evil",
            "localhost:99999",
            "[::1",
            "[::1]evil",
            "[evil.example]",
            "::1",
            "console.example.",
            "0x7f.1",
        ] {
            assert!(!hosts.allows(authority), "{authority}");
        }
    }
}
