//! A composite: names separated by commas, each by itself, in their order, repeats once.

use super::error::NameError;

/// Names in one composite.
pub const COMPOSITE_NAMES_MAX: usize = 64;

/// Reads each name of a list. Spaces around a name are no part of it, as in ActiveMQ: `a, b` is `a,b`.
pub(super) fn parse<T: PartialEq>(
    text: &str,
    parse_one: impl Fn(&str) -> Result<T, NameError>,
) -> Result<Box<[T]>, NameError> {
    let count = text.bytes().filter(|byte| *byte == b',').count() + 1;
    if count > COMPOSITE_NAMES_MAX {
        return Err(NameError::TooMany { count });
    }
    let mut list = Vec::with_capacity(count);
    for (index, part) in text.split(',').enumerate() {
        let item = parse_one(part.trim_matches(' '))
            .map_err(|error| error.in_list_of(count, index + 1))?;
        if !list.contains(&item) {
            list.push(item);
        }
    }
    Ok(list.into_boxed_slice())
}
