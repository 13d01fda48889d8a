//! The known word that somebody may have meant.

/// The nearest of `known` to `word`, if it is near enough to be a slip of the hand.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let reach = (word.len() / 3).clamp(1, 4);
    let near = |candidate: &'a str| (distance(word, candidate), candidate);
    let (distance, candidate) = known
        .into_iter()
        .map(near)
        .min_by_key(|(distance, _)| *distance)?;
    (distance <= reach).then_some(candidate)
}

/// How many letters must be put in, taken out or exchanged to make one word the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (index, letter) in a.chars().enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        for (other, above) in b.iter().zip(row.iter_mut().skip(1)) {
            let exchanged = diagonal + usize::from(letter != *other);
            diagonal = *above;
            left = exchanged.min(left + 1).min(diagonal + 1);
            *above = left;
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_changed_letters() {
        let cases = [
            ("", "", 0),
            ("a", "", 1),
            ("", "ab", 2),
            ("kitten", "sitting", 3),
            ("data", "dtaa", 2),
        ];
        for (a, b, expected) in cases {
            assert_eq!(distance(a, b), expected, "{a} to {b}");
        }
    }

    #[test]
    fn only_a_slip_of_the_hand_is_mended() {
        let known = ["listen", "linger", "keep_alive"];
        assert_eq!(nearest("lisen", known), Some("listen"));
        assert_eq!(nearest("keepalive", known), Some("keep_alive"));
        assert_eq!(nearest("colour", known), None);
    }
}
