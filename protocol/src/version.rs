//! Protocol versions and their negotiation.

use std::fmt;

/// A version of STOMP. Ordered: a later one is greater.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// STOMP 1.0: no escapes, header values trimmed, no heart-beats.
    V1_0,
    /// STOMP 1.1: escapes `\n`, `\c`, `\\`; lines end in LF only.
    V1_1,
    /// STOMP 1.2: also the escape `\r`, and CRLF as line end.
    V1_2,
}

impl Version {
    /// Every version, latest first.
    const DESCENDING: [Self; 3] = [Self::V1_2, Self::V1_1, Self::V1_0];

    /// As written in `accept-version` and `version` headers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
        }
    }

    /// The highest version that both sides know, from the value of CONNECT's `accept-version`.
    ///
    /// A client that sends none speaks 1.0 (STOMP 1.2 §Protocol Negotiation). `None` means that
    /// nothing in the list is known here.
    pub fn negotiate(accept_version: Option<&[u8]>) -> Option<Self> {
        let Some(list) = accept_version else {
            return Some(Self::V1_0);
        };
        let offers = |version: Self| {
            list.split(|&byte| byte == b',')
                .any(|offer| offer.trim_ascii() == version.as_str().as_bytes())
        };
        Self::DESCENDING
            .into_iter()
            .find(|&version| offers(version))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn the_highest_common_version_is_chosen() {
        let check = |accept: Option<&str>, expected: Option<Version>| {
            assert_eq!(
                Version::negotiate(accept.map(str::as_bytes)),
                expected,
                "{accept:?}"
            );
        };
        check(None, Some(Version::V1_0));
        check(Some("1.0"), Some(Version::V1_0));
        check(Some("1.0,1.1,1.2"), Some(Version::V1_2));
        check(Some("1.2,1.0"), Some(Version::V1_2));
        check(Some("1.1, 1.0"), Some(Version::V1_1));
        check(Some("1.1,1.3,2.0"), Some(Version::V1_1));
        check(Some("2.0"), None);
        check(Some(""), None);
        check(Some("1.20"), None);
    }
}
