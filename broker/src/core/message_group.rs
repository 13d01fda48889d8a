//! Message groups: what the headers `JMSXGroupID` and `JMSXGroupSeq` of a SEND say.

use super::excerpt::excerpt_of_bytes;

/// Bytes of a group's id: groups that have a consumer are kept in memory by it.
pub const GROUP_ID_BYTES_MAX: usize = 1_024;

/// The headers' values as sent.
#[derive(Debug, Clone, Copy, Default)]
pub struct GroupHeaders<'a> {
    /// `JMSXGroupID`.
    pub id: Option<&'a [u8]>,
    /// `JMSXGroupSeq`.
    pub seq: Option<&'a [u8]>,
}

/// The group of a message: all messages of one go to one consumer of the queue until it leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageGroup {
    /// `JMSXGroupID`, never empty.
    pub id: Box<[u8]>,
    /// `JMSXGroupSeq`, 0 where it is not there.
    pub seq: i64,
}

impl MessageGroup {
    /// Reads the headers' values; [`None`] without an id. An empty one is none, and a sequence without one is the
    /// application's.
    ///
    /// # Errors
    /// When the id is too long or the sequence no integer.
    pub fn parse(headers: GroupHeaders<'_>) -> Result<Option<Self>, GroupError> {
        let Some(id) = headers.id.filter(|id| !id.is_empty()) else {
            return Ok(None);
        };
        if id.len() > GROUP_ID_BYTES_MAX {
            return Err(GroupError::TooLong { bytes: id.len() });
        }
        let seq = match headers.seq {
            None => 0,
            Some(value) => integer(value).ok_or_else(|| GroupError::Sequence {
                value: excerpt_of_bytes(value),
            })?,
        };
        Ok(Some(Self { id: id.into(), seq }))
    }

    /// Whether this message is the last one of its group: its consumer gets it, and the next message of that id may
    /// go to another one. JMS providers say it with -1; ActiveMQ takes any negative number, and so does this.
    #[must_use]
    pub fn closes(&self) -> bool {
        self.seq < 0
    }
}

fn integer(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

/// Why a message has no group that it could have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// Over [`GROUP_ID_BYTES_MAX`].
    #[error("the header 'JMSXGroupID' has {bytes} bytes, at most {GROUP_ID_BYTES_MAX} are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// No integer.
    #[error("the header 'JMSXGroupSeq' must be an integer, -1 to close the group, not '{value}'")]
    Sequence {
        /// As written.
        value: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(id: Option<&[u8]>, seq: Option<&str>) -> Result<Option<MessageGroup>, GroupError> {
        let seq = seq.map(str::as_bytes);
        MessageGroup::parse(GroupHeaders { id, seq })
    }

    fn group(id: &str, seq: Option<&str>) -> Result<Option<(String, i64)>, GroupError> {
        let group = parse(Some(id.as_bytes()), seq)?;
        Ok(group.map(|group| (String::from_utf8_lossy(&group.id).into_owned(), group.seq)))
    }

    #[test]
    fn a_group_has_an_id_and_maybe_a_sequence() {
        assert_eq!(group("a", None), Ok(Some(("a".to_owned(), 0))));
        assert_eq!(group("a", Some("7")), Ok(Some(("a".to_owned(), 7))));
        assert_eq!(group("a", Some(" -1 ")), Ok(Some(("a".to_owned(), -1))));
        let bytes = parse(Some(b"\xff"), None).expect("well-formed");
        assert_eq!(bytes.expect("a group").id.as_ref(), b"\xff");
    }

    #[test]
    fn without_an_id_there_is_no_group_whatever_the_sequence() {
        assert_eq!(parse(None, Some("one")), Ok(None));
        assert_eq!(group("", Some("1")), Ok(None));
    }

    #[test]
    fn a_negative_sequence_closes_the_group() {
        for (seq, expected) in [
            (None, false),
            (Some("1"), false),
            (Some("-1"), true),
            (Some("-2"), true),
        ] {
            let group = parse(Some(b"a"), seq).expect("well-formed");
            assert_eq!(group.expect("a group").closes(), expected, "{seq:?}");
        }
    }

    #[test]
    fn what_is_no_group_is_refused() {
        let value = "one".to_owned();
        assert_eq!(group("a", Some("one")), Err(GroupError::Sequence { value }));
        assert!(group("a", Some("")).is_err());
        let long = "x".repeat(GROUP_ID_BYTES_MAX + 1);
        let bytes = 1_025;
        assert_eq!(group(&long, None), Err(GroupError::TooLong { bytes }));
        assert!(group(&long[1..], None).is_ok());
    }
}
