//! Names of hosts.

use super::{Form, Scalar, quote};

/// What a name of the domain name system has at the most.
const NAME_BYTES_MAX: usize = 253;

/// Names of hosts, or none.
pub(in super::super) struct Hosts;

impl Form for Hosts {
    type Value = Vec<String>;

    fn read(&self, scalar: &Scalar) -> Option<Vec<String>> {
        match scalar {
            Scalar::Text(text) | Scalar::Bare(text) if text.is_empty() => Some(Vec::new()),
            Scalar::Text(text) | Scalar::Bare(text) => text.split(',').map(name).collect(),
            Scalar::List(items) => items.iter().map(|item| name(item.text()?)).collect(),
            Scalar::Integer(_) | Scalar::Float(_) | Scalar::Boolean(_) | Scalar::Other(_) => None,
        }
    }

    fn write(&self, value: &Vec<String>) -> String {
        let names: Vec<String> = value.iter().map(|name| quote(name)).collect();
        format!("[{}]", names.join(", "))
    }

    fn allowed(&self) -> String {
        "a list of names without port ([\"broker.example.org\"])".to_owned()
    }
}

fn name(text: &str) -> Option<String> {
    let text = text.trim();
    let is_part = |part: &str| {
        let mut bytes = part.bytes();
        !part.is_empty() && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let is_name = text.len() <= NAME_BYTES_MAX && text.split('.').all(is_part);
    is_name.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_a_list_or_from_text_and_anything_else_is_refused() {
        let bare = |text: &str| Hosts.read(&Scalar::Bare(text.to_owned()));
        for (text, expected) in [
            ("", Some(vec![])),
            ("broker", Some(vec!["broker"])),
            (
                "A.example, b-1.example",
                Some(vec!["a.example", "b-1.example"]),
            ),
            ("a.example:8161", None),
            ("http://a.example", None),
            ("*.example", None),
            ("a..b", None),
            ("a,", None),
        ] {
            let expected = expected.map(|names| names.into_iter().map(str::to_owned).collect());
            assert_eq!(bare(text), expected, "{text}");
        }
        assert_eq!(bare(&"a".repeat(254)), None);
        let list = Scalar::List(vec![Scalar::Text("a".to_owned()), Scalar::Integer(1)]);
        assert_eq!(Hosts.read(&list), None);
        assert_eq!(
            Hosts.write(&vec!["a".to_owned(), "b".to_owned()]),
            r#"["a", "b"]"#
        );
    }
}
