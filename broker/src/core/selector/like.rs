//! The patterns of LIKE: `_` is one character, `%` any number of them.
//!
//! A pattern is cut at its `%`. Its front and its back are matched where they must stand, each stretch between them is
//! looked for once, from where the one before it ended: the leftmost place is always right, so nothing is tried again.
//! *Invariant*: matching takes time in proportion to the text plus the pattern.
//!
//! A character is a byte that does not continue one, with those behind it that do: UTF-8's, and whole also where a peer
//! sent something else.

use memchr::memmem;

use super::STRETCH_MAX;

/// A stretch between two `%` has a `_` and more than [`STRETCH_MAX`] characters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct StretchTooLong;

/// A pattern, as it was written and as it is matched.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    text: Box<str>,
    escape: Option<char>,
    front: Stretch,
    floating: Option<Floating>,
}

/// What comes behind the first `%`.
#[derive(Debug, Clone)]
struct Floating {
    middle: Vec<Search>,
    back: Stretch,
}

/// A part without `%`, matched where it stands.
#[derive(Debug, Clone)]
struct Stretch(Vec<Piece>);

#[derive(Debug, Clone)]
enum Piece {
    Bytes(Box<[u8]>),
    Any,
}

/// A part without `%` that may stand anywhere.
#[derive(Debug, Clone)]
enum Search {
    Needle(Box<[u8]>),
    Masks(Masks),
}

/// A stretch with `_`. Each of its places is a bit; a character's mask tells where it may stand.
#[derive(Debug, Clone)]
struct Masks {
    /// The bits of all `_`.
    any: u64,
    /// The masks of the characters that are named, in order.
    named: Vec<(u32, u64)>,
    /// The bit of the last place.
    last: u64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Item {
    Character(char),
    AnyOne,
    AnyRun,
}

/// The rest follows from these.
impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, self.escape) == (&other.text, other.escape)
    }
}

impl Pattern {
    pub(super) fn new(text: Box<str>, escape: Option<char>) -> Result<Self, StretchTooLong> {
        let items = items(&text, escape);
        let mut parts = items.split(|item| *item == Item::AnyRun);
        let front = Stretch::new(parts.next().unwrap_or_default());
        let floating = match parts.next_back() {
            None => None,
            Some(back) => Some(Floating {
                middle: parts
                    .filter(|part| !part.is_empty())
                    .map(Search::new)
                    .collect::<Result<_, _>>()?,
                back: Stretch::new(back),
            }),
        };
        Ok(Self {
            text,
            escape,
            front,
            floating,
        })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn escape(&self) -> Option<char> {
        self.escape
    }

    pub(super) fn matches(&self, text: &[u8]) -> bool {
        self.rest_of_match(text).is_some()
    }

    fn rest_of_match(&self, text: &[u8]) -> Option<()> {
        let rest = self.front.strip_front(text)?;
        let Some(floating) = &self.floating else {
            return rest.is_empty().then_some(());
        };
        let between = floating.back.strip_back(rest)?;
        let mut searches = floating.middle.iter();
        searches
            .try_fold(between, |rest, search| search.behind(rest))
            .map(|_| ())
    }
}

/// The escape character makes the next one literal if that is `_`, `%` or itself; else it is a character as any other.
fn items(text: &str, escape: Option<char>) -> Vec<Item> {
    let mut items = Vec::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if Some(character) == escape
            && let Some(literal) =
                characters.next_if(|&next| matches!(next, '_' | '%') || next == character)
        {
            items.push(Item::Character(literal));
            continue;
        }
        items.push(match character {
            '_' => Item::AnyOne,
            '%' => Item::AnyRun,
            other => Item::Character(other),
        });
    }
    items
}

fn bytes_of(items: &[Item]) -> Box<[u8]> {
    let characters = items.iter().filter_map(|item| match item {
        Item::Character(character) => Some(*character),
        Item::AnyOne | Item::AnyRun => None,
    });
    characters.collect::<String>().into_bytes().into()
}

impl Stretch {
    fn new(items: &[Item]) -> Self {
        let alike = |left: &Item, right: &Item| *left != Item::AnyOne && *right != Item::AnyOne;
        let pieces = items.chunk_by(alike).map(|chunk| match chunk {
            [Item::AnyOne] => Piece::Any,
            named => Piece::Bytes(bytes_of(named)),
        });
        Self(pieces.collect())
    }

    fn strip_front<'t>(&self, text: &'t [u8]) -> Option<&'t [u8]> {
        self.0.iter().try_fold(text, |rest, piece| match piece {
            Piece::Bytes(bytes) => rest.strip_prefix(&**bytes),
            Piece::Any => split_first(rest).map(|(_, rest)| rest),
        })
    }

    fn strip_back<'t>(&self, text: &'t [u8]) -> Option<&'t [u8]> {
        self.0
            .iter()
            .rev()
            .try_fold(text, |rest, piece| match piece {
                Piece::Bytes(bytes) => rest.strip_suffix(&**bytes),
                Piece::Any => without_last(rest),
            })
    }
}

impl Search {
    fn new(items: &[Item]) -> Result<Self, StretchTooLong> {
        if !items.contains(&Item::AnyOne) {
            return Ok(Self::Needle(bytes_of(items)));
        }
        if items.len() > STRETCH_MAX {
            return Err(StretchTooLong);
        }
        Ok(Self::Masks(Masks::new(items)))
    }

    /// What comes behind the leftmost place of it.
    fn behind<'t>(&self, text: &'t [u8]) -> Option<&'t [u8]> {
        match self {
            Self::Needle(needle) => {
                let place = memmem::find(text, needle)?;
                text.get(place + needle.len()..)
            }
            Self::Masks(masks) => masks.behind(text),
        }
    }
}

impl Masks {
    fn new(items: &[Item]) -> Self {
        let mut places: Vec<(Item, u64)> = Vec::new();
        let (mut any, mut bit) = (0, 0);
        for (place, item) in items.iter().enumerate() {
            bit = 1_u64 << place;
            match item {
                Item::AnyOne | Item::AnyRun => any |= bit,
                Item::Character(_) => places.push((*item, bit)),
            }
        }
        let mut named: Vec<(u32, u64)> = Vec::new();
        for (item, bit) in places {
            let Some(key) = key(&bytes_of(&[item])) else {
                continue;
            };
            match named.binary_search_by_key(&key, |(key, _)| *key) {
                Ok(found) => named[found].1 |= bit,
                Err(gap) => named.insert(gap, (key, any | bit)),
            }
        }
        Self {
            any,
            named,
            last: bit,
        }
    }

    fn behind<'t>(&self, text: &'t [u8]) -> Option<&'t [u8]> {
        let mut rest = text;
        // The bit of a place is set if what was read last may be the stretch up to that place.
        let mut reached = 0_u64;
        while let Some((character, behind)) = split_first(rest) {
            rest = behind;
            reached = (reached << 1 | 1) & self.mask(character);
            if reached & self.last != 0 {
                return Some(rest);
            }
        }
        None
    }

    fn mask(&self, character: &[u8]) -> u64 {
        let named = |key| self.named.binary_search_by_key(&key, |(key, _)| *key);
        match key(character).map(named) {
            Some(Ok(found)) => self.named[found].1,
            Some(Err(_)) | None => self.any,
        }
    }
}

/// A character as a number; those that are longer than UTF-8 has them are none.
fn key(character: &[u8]) -> Option<u32> {
    (character.len() <= 4).then(|| {
        character
            .iter()
            .fold(0, |key, octet| key << 8 | u32::from(*octet))
    })
}

fn continues(octet: u8) -> bool {
    octet & 0b1100_0000 == 0b1000_0000
}

/// The first character, and what comes behind it.
fn split_first(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, behind) = text.split_first()?;
    let mut continued = 0;
    while behind.get(continued).is_some_and(|octet| continues(*octet)) {
        continued += 1;
    }
    Some(text.split_at(1 + continued))
}

fn without_last(text: &[u8]) -> Option<&[u8]> {
    let begin = text.iter().rposition(|octet| !continues(*octet));
    match begin {
        Some(begin) => text.get(..begin),
        // Nothing but continuations: one character.
        None => (!text.is_empty()).then_some(&[]),
    }
}
