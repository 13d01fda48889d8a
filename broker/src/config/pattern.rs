//! Patterns of destination names, as ActiveMQ has them: `.` separates segments, `*` stands for one, `>` for the rest,
//! also none.

/// A pattern. Patterns are ordered by how specific they are: of two that match a name, the greater one says more
/// about it, in the first segment in which they differ.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pattern(Vec<Segment>);

/// Ordered from vague to specific. [`Segment::End`] makes `a` more specific than `a.>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Rest,
    Any,
    Literal(String),
    End,
}

impl Pattern {
    /// Reads a pattern; [`None`] if a segment is empty, `>` is not the last one, or a wildcard is only part of one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut segments = Vec::new();
        for part in text.split('.') {
            if segments.last() == Some(&Segment::Rest) {
                return None;
            }
            segments.push(match part {
                "" => return None,
                ">" => Segment::Rest,
                "*" => Segment::Any,
                mixed if mixed.contains(['*', '>', ',']) => return None,
                literal => Segment::Literal(literal.to_owned()),
            });
        }
        if segments.last() != Some(&Segment::Rest) {
            segments.push(Segment::End);
        }
        Some(Self(segments))
    }

    /// The name that it is, if it has no wildcard.
    pub(super) fn literal(&self) -> Option<String> {
        let is_wild = |segment: &Segment| matches!(segment, Segment::Rest | Segment::Any);
        (!self.0.iter().any(is_wild)).then(|| self.to_string())
    }

    /// A name that it matches, and that no pattern matches that speaks of other names only.
    pub(super) fn specimen(&self) -> String {
        // A control character: no destination and no literal of a sensible pattern has it.
        self.to_string().replace(['*', '>'], "\u{1}")
    }

    /// Whether it matches a name.
    pub(super) fn matches(&self, name: &str) -> bool {
        let mut parts = name.split('.');
        self.0.iter().all(|segment| match segment {
            Segment::Rest => true,
            Segment::Any => parts.next().is_some(),
            Segment::Literal(literal) => parts.next() == Some(literal),
            Segment::End => parts.next().is_none(),
        })
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, segment) in self.0.iter().enumerate() {
            let dot = if index == 0 { "" } else { "." };
            match segment {
                Segment::Rest => write!(f, "{dot}>")?,
                Segment::Any => write!(f, "{dot}*")?,
                Segment::Literal(literal) => write!(f, "{dot}{literal}")?,
                Segment::End => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).expect("a pattern")
    }

    #[test]
    fn patterns_match_as_in_activemq() {
        let cases = [
            (">", "a", true),
            (">", "a.b.c", true),
            ("a", "a", true),
            ("a", "a.b", false),
            ("a.>", "a", true),
            ("a.>", "a.b.c", true),
            ("a.>", "ab", false),
            ("a.*", "a", false),
            ("a.*", "a.b", true),
            ("a.*", "a.b.c", false),
            ("*.b", "a.b", true),
            ("a.*.c", "a.b.c", true),
            ("a.*.>", "a.b", true),
            ("a.*.>", "a", false),
        ];
        for (text, name, expected) in cases {
            assert_eq!(pattern(text).matches(name), expected, "{text} on {name}");
        }
    }

    #[test]
    fn malformed_patterns_are_refused() {
        for text in [
            "", ".", "a.", ".a", "a..b", ">.a", "a>", "a*", "a.b*", "a,b",
        ] {
            assert_eq!(Pattern::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_more_specific_pattern_is_the_greater_one() {
        let pairs = [
            (">", "*"),
            (">", "a.>"),
            ("*.b", "a.*"),
            ("*.b", "a.>"),
            ("a.>", "a.*"),
            ("a.>", "a.*.>"),
            ("a.*.>", "a.*"),
            ("a.*.>", "a.b.>"),
            ("a.b.>", "a.b"),
            ("a.*", "a.b"),
            ("a.>", "a"),
            ("*", "a"),
        ];
        for (vague, specific) in pairs {
            assert!(
                pattern(vague) < pattern(specific),
                "{vague} below {specific}"
            );
        }
    }

    #[test]
    fn a_pattern_is_written_as_it_was_read() {
        for text in [">", "a", "a.*.>", "*.b"] {
            assert_eq!(pattern(text).to_string(), text);
        }
    }
}
