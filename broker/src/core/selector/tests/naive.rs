//! The language once more, written for nothing but to be right: a tree of its own, texts from it, and an evaluator that
//! takes whatever it needs by copying. Shares no code with what it checks.

use super::{JmsHeader, Truth};

/// An expression, of whatever type.
#[derive(Debug, Clone)]
pub(super) enum Tree {
    Integer(i64),
    Float(f64),
    Text(String),
    Boolean(bool),
    Name(String),
    Minus(Box<Tree>),
    /// `+ - * / %`
    Compute(char, Box<Tree>, Box<Tree>),
    /// `= <> < <= > >=`
    Compare(&'static str, Box<Tree>, Box<Tree>),
    Between(bool, Box<Tree>, Box<Tree>, Box<Tree>),
    In(bool, String, Vec<String>),
    Like(bool, String, String, Option<char>),
    IsNull(bool, String),
    Not(Box<Tree>),
    And(Box<Tree>, Box<Tree>),
    Or(Box<Tree>, Box<Tree>),
}

/// What a message has under a name.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Worth {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    /// A string of the selector.
    Literal(String),
    /// A string of the message.
    Header(String),
}

pub(super) type Message = Vec<(String, Worth)>;

/// The text of a tree: `spare` parentheses are put where there need be none, as its bits say.
pub(super) fn write(tree: &Tree, spare: &mut u64) -> String {
    let not = |negated: &bool| if *negated { " NOT" } else { "" };
    let quote = |text: &str| format!("'{}'", text.replace('\'', "''"));
    match tree {
        Tree::Integer(value) => value.to_string(),
        Tree::Float(value) => format!("{value:?}"),
        Tree::Text(value) => quote(value),
        Tree::Boolean(value) => value.to_string(),
        Tree::Name(name) => name.clone(),
        Tree::Minus(inner) => format!("- {}", within(inner, 6, spare)),
        Tree::Compute(sign @ ('+' | '-'), left, right) => {
            format!(
                "{} {sign} {}",
                within(left, 4, spare),
                within(right, 5, spare)
            )
        }
        Tree::Compute(sign, left, right) => {
            format!(
                "{} {sign} {}",
                within(left, 5, spare),
                within(right, 6, spare)
            )
        }
        Tree::Compare(sign, left, right) => {
            format!(
                "{} {sign} {}",
                within(left, 4, spare),
                within(right, 4, spare)
            )
        }
        Tree::Between(negated, value, low, high) => format!(
            "{}{} between {} And {}",
            within(value, 4, spare),
            not(negated),
            within(low, 4, spare),
            within(high, 4, spare)
        ),
        Tree::In(negated, name, members) => {
            let members: Vec<_> = members.iter().map(|member| quote(member)).collect();
            format!("{name}{} IN ({})", not(negated), members.join(", "))
        }
        Tree::Like(negated, name, pattern, escape) => {
            let escape = escape.map(|escape| format!(" escape {}", quote(&escape.to_string())));
            format!(
                "{name}{} LIKE {}{}",
                not(negated),
                quote(pattern),
                escape.unwrap_or_default()
            )
        }
        Tree::IsNull(negated, name) => format!("{name} IS{} NULL", not(negated)),
        Tree::Not(inner) => format!("NOT {}", within(inner, 2, spare)),
        Tree::And(left, right) => {
            format!("{} AND {}", within(left, 1, spare), within(right, 1, spare))
        }
        Tree::Or(left, right) => {
            format!("{} OR {}", within(left, 0, spare), within(right, 0, spare))
        }
    }
}

/// How tightly a tree holds together, from OR to what needs nothing around it.
fn strength(tree: &Tree) -> u8 {
    match tree {
        Tree::Or(..) => 0,
        Tree::And(..) => 1,
        Tree::Not(..) => 2,
        Tree::Compare(..)
        | Tree::Between(..)
        | Tree::In(..)
        | Tree::Like(..)
        | Tree::IsNull(..) => 3,
        Tree::Compute('+' | '-', ..) => 4,
        Tree::Compute(..) => 5,
        Tree::Minus(..) => 6,
        Tree::Integer(value) if *value < 0 => 6,
        Tree::Float(value) if value.is_sign_negative() => 6,
        _ => 7,
    }
}

fn within(tree: &Tree, needed: u8, spare: &mut u64) -> String {
    let is_spare = *spare & 1 == 1;
    *spare >>= 1;
    let text = write(tree, spare);
    if is_spare || strength(tree) < needed {
        format!("({text})")
    } else {
        text
    }
}

/// What the selector says, as a truth value.
pub(super) fn judge(tree: &Tree, message: &Message) -> Truth {
    let answer = match tree {
        Tree::And(left, right) => match (judge(left, message), judge(right, message)) {
            (Truth::False, _) | (_, Truth::False) => Some(false),
            (Truth::True, Truth::True) => Some(true),
            _ => None,
        },
        Tree::Or(left, right) => match (judge(left, message), judge(right, message)) {
            (Truth::True, _) | (_, Truth::True) => Some(true),
            (Truth::False, Truth::False) => Some(false),
            _ => None,
        },
        Tree::Not(inner) => match judge(inner, message) {
            Truth::True => Some(false),
            Truth::False => Some(true),
            Truth::Unknown => None,
        },
        Tree::Compare(sign, left, right) => {
            ask(sign, &worth(left, message), &worth(right, message))
        }
        Tree::Between(negated, value, low, high) => {
            let (value, low, high) = (
                worth(value, message),
                worth(low, message),
                worth(high, message),
            );
            match (negated, ask(">=", &value, &low), ask("<=", &value, &high)) {
                (false, Some(false), _) | (false, _, Some(false)) => Some(false),
                (false, Some(true), Some(true)) => Some(true),
                (false, _, _) => None,
                (true, _, _) => match (ask("<", &value, &low), ask(">", &value, &high)) {
                    (Some(true), _) | (_, Some(true)) => Some(true),
                    (Some(false), Some(false)) => Some(false),
                    _ => None,
                },
            }
        }
        Tree::In(negated, name, members) => match look_up(name, message) {
            Worth::Null => None,
            Worth::Header(text) => Some(members.contains(&text) != *negated),
            _ => Some(false),
        },
        Tree::Like(negated, name, pattern, escape) => match look_up(name, message) {
            Worth::Null => None,
            Worth::Header(text) => {
                let text: Vec<char> = text.chars().collect();
                let pattern: Vec<char> = pattern.chars().collect();
                Some(is_like(&text, &pattern, *escape) != *negated)
            }
            _ => Some(false),
        },
        Tree::IsNull(negated, name) => Some((look_up(name, message) == Worth::Null) != *negated),
        Tree::Boolean(value) => Some(*value),
        Tree::Name(name) => match look_up(name, message) {
            Worth::Null => None,
            Worth::Boolean(value) => Some(value),
            Worth::Header(text) => Some(text.to_lowercase() == "true"),
            _ => Some(false),
        },
        other => panic!("no condition: {other:?}"),
    };
    answer.map_or(Truth::Unknown, Truth::from)
}

fn look_up(name: &str, message: &Message) -> Worth {
    message
        .iter()
        .find(|(it, _)| it == name)
        .map_or(Worth::Null, |(_, worth)| worth.clone())
}

fn worth(tree: &Tree, message: &Message) -> Worth {
    match tree {
        Tree::Integer(value) => Worth::Integer(*value),
        Tree::Float(value) => Worth::Float(*value),
        Tree::Text(value) => Worth::Literal(value.clone()),
        Tree::Name(name) => look_up(name, message),
        Tree::Minus(inner) => match as_number(&worth(inner, message)) {
            Worth::Integer(value) => as_integer(-i128::from(value), -(value as f64)),
            Worth::Float(value) => Worth::Float(-value),
            _ => Worth::Null,
        },
        Tree::Compute(sign, left, right) => compute(
            *sign,
            &as_number(&worth(left, message)),
            &as_number(&worth(right, message)),
        ),
        condition => match judge(condition, message) {
            Truth::True => Worth::Boolean(true),
            Truth::False => Worth::Boolean(false),
            Truth::Unknown => Worth::Null,
        },
    }
}

fn as_integer(exact: i128, rounded: f64) -> Worth {
    i64::try_from(exact).map_or(Worth::Float(rounded), Worth::Integer)
}

fn as_number(worth: &Worth) -> Worth {
    let Worth::Header(text) = worth else {
        return match worth {
            Worth::Integer(_) | Worth::Float(_) => worth.clone(),
            _ => Worth::Null,
        };
    };
    if let Ok(value) = text.parse::<i64>() {
        return Worth::Integer(value);
    }
    let is_numeric = text
        .chars()
        .all(|character| character.is_ascii_digit() || "+-.eE".contains(character));
    match text.parse::<f64>() {
        Ok(value) if is_numeric && value.is_finite() => Worth::Float(value),
        _ => Worth::Null,
    }
}

fn compute(sign: char, left: &Worth, right: &Worth) -> Worth {
    let approximate = |worth: &Worth| match worth {
        Worth::Integer(value) => Some(*value as f64),
        Worth::Float(value) => Some(*value),
        _ => None,
    };
    let (Some(a), Some(b)) = (approximate(left), approximate(right)) else {
        return Worth::Null;
    };
    let rounded = match sign {
        '+' => a + b,
        '-' => a - b,
        '*' => a * b,
        '/' => a / b,
        _ => a % b,
    };
    if let (Worth::Integer(a), Worth::Integer(b)) = (left, right) {
        let (a, b) = (i128::from(*a), i128::from(*b));
        match sign {
            '+' => return as_integer(a + b, rounded),
            '-' => return as_integer(a - b, rounded),
            '*' => return as_integer(a * b, rounded),
            '%' if b != 0 => return as_integer(a % b, rounded),
            _ => {}
        }
    }
    if rounded.is_finite() {
        Worth::Float(rounded)
    } else {
        Worth::Null
    }
}

fn ask(sign: &str, left: &Worth, right: &Worth) -> Option<bool> {
    if *left == Worth::Null || *right == Worth::Null {
        return None;
    }
    let is_string = |worth: &Worth| matches!(worth, Worth::Literal(_) | Worth::Header(_));
    let is_boolean = |worth: &Worth| matches!(worth, Worth::Boolean(_));
    let is_literal = |worth: &Worth| matches!(worth, Worth::Literal(_));
    if is_boolean(left) || is_boolean(right) {
        let as_boolean = |worth: &Worth| match worth {
            Worth::Boolean(value) => Some(*value),
            Worth::Header(text) => text.to_lowercase().parse().ok(),
            _ => None,
        };
        return Some(match (sign, as_boolean(left), as_boolean(right)) {
            ("=", Some(left), Some(right)) => left == right,
            ("<>", Some(left), Some(right)) => left != right,
            _ => false,
        });
    }
    if !is_literal(left) && !is_literal(right) {
        let difference = match (as_number(left), as_number(right)) {
            (Worth::Integer(left), Worth::Integer(right)) => {
                Some((i128::from(left) - i128::from(right)) as f64)
            }
            (Worth::Integer(left), Worth::Float(right)) => Some(if left as f64 == right {
                0.0
            } else {
                left as f64 - right
            }),
            (Worth::Float(left), Worth::Integer(right)) => Some(if left == right as f64 {
                0.0
            } else {
                left - right as f64
            }),
            (Worth::Float(left), Worth::Float(right)) => {
                Some(if left == right { 0.0 } else { left - right })
            }
            _ => None,
        };
        if let Some(difference) = difference {
            return Some(match sign {
                "=" => difference == 0.0,
                "<>" => difference != 0.0,
                "<" => difference < 0.0,
                "<=" => difference <= 0.0,
                ">" => difference > 0.0,
                _ => difference >= 0.0,
            });
        }
    }
    if is_string(left) && is_string(right) {
        let inner = |worth: &Worth| match worth {
            Worth::Literal(text) | Worth::Header(text) => text.clone(),
            _ => String::new(),
        };
        return Some(match sign {
            "=" => inner(left) == inner(right),
            "<>" => inner(left) != inner(right),
            _ => false,
        });
    }
    Some(false)
}

fn is_like(text: &[char], pattern: &[char], escape: Option<char>) -> bool {
    match pattern {
        [] => text.is_empty(),
        [mark, next, rest @ ..]
            if Some(*mark) == escape && (['_', '%'].contains(next) || next == mark) =>
        {
            text.first() == Some(next) && is_like(text.get(1..).unwrap_or_default(), rest, escape)
        }
        ['%', rest @ ..] => (0..=text.len())
            .any(|skipped| is_like(text.get(skipped..).unwrap_or_default(), rest, escape)),
        ['_', rest @ ..] => {
            !text.is_empty() && is_like(text.get(1..).unwrap_or_default(), rest, escape)
        }
        [character, rest @ ..] => {
            text.first() == Some(character)
                && is_like(text.get(1..).unwrap_or_default(), rest, escape)
        }
    }
}

/// Which JMS header a name is, for those that the random messages have.
pub(super) fn header_of(name: &str) -> Option<JmsHeader> {
    match name {
        "JMSPriority" => Some(JmsHeader::Priority),
        "JMSRedelivered" => Some(JmsHeader::Redelivered),
        "JMSType" => Some(JmsHeader::Type),
        _ => None,
    }
}
