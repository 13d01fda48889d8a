//! The id by which a repeated SEND is known: the header `_AMQ_DUPL_ID`, or `x-dedup-id`.

/// Bytes of an id: a destination keeps its last ones.
pub const DUPLICATE_ID_BYTES_MAX: usize = 255;

/// An id, compared byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DuplicateId(Box<[u8]>);

impl DuplicateId {
    /// Reads the values of `_AMQ_DUPL_ID` and `x-dedup-id`; [`None`] without either. An empty one is none.
    ///
    /// # Errors
    /// When they differ, or are too long.
    pub fn parse(
        amq_dupl_id: Option<&[u8]>,
        x_dedup_id: Option<&[u8]>,
    ) -> Result<Option<Self>, DuplicateIdError> {
        let given = |id: Option<&'_ [u8]>| id.filter(|id| !id.is_empty()).map(<[u8]>::to_vec);
        let id = match (given(amq_dupl_id), given(x_dedup_id)) {
            (Some(id), Some(other)) if id != other => return Err(DuplicateIdError::Two),
            (Some(id), _) | (None, Some(id)) => id,
            (None, None) => return Ok(None),
        };
        if id.len() > DUPLICATE_ID_BYTES_MAX {
            return Err(DuplicateIdError::TooLong { bytes: id.len() });
        }
        Ok(Some(Self(id.into_boxed_slice())))
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Why a SEND has no id that it could be known by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DuplicateIdError {
    /// Both headers, with two values.
    #[error("the headers '_AMQ_DUPL_ID' and 'x-dedup-id' differ: send one of them")]
    Two,
    /// Over [`DUPLICATE_ID_BYTES_MAX`].
    #[error(
        "the id for duplicate detection has {bytes} bytes, at most {DUPLICATE_ID_BYTES_MAX} are allowed"
    )]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(a: Option<&str>, b: Option<&str>) -> Result<Option<Vec<u8>>, DuplicateIdError> {
        let id = DuplicateId::parse(a.map(str::as_bytes), b.map(str::as_bytes))?;
        Ok(id.map(|id| id.as_bytes().to_vec()))
    }

    #[test]
    fn either_header_gives_the_id() {
        let id = || Ok(Some(b"order-7".to_vec()));
        assert_eq!(parse(Some("order-7"), None), id());
        assert_eq!(parse(None, Some("order-7")), id());
        assert_eq!(parse(Some("order-7"), Some("order-7")), id());
        assert_eq!(parse(Some(""), Some("order-7")), id());
    }

    #[test]
    fn without_a_value_there_is_no_id() {
        assert_eq!(parse(None, None), Ok(None));
        assert_eq!(parse(Some(""), Some("")), Ok(None));
    }

    #[test]
    fn two_ids_and_long_ones_are_refused() {
        assert_eq!(parse(Some("a"), Some("b")), Err(DuplicateIdError::Two));
        let long = "x".repeat(256);
        assert_eq!(
            parse(Some(&long), None),
            Err(DuplicateIdError::TooLong { bytes: 256 })
        );
        assert!(parse(Some(&long[1..]), None).is_ok());
    }
}
