//! A selector as canonical text: keywords in capitals, one blank between words, no parentheses but those that are needed.

use std::fmt::{Display, Formatter, Result, Write as _};

use super::Selector;
use super::expression::{Condition, Operand, Sense, level_of};
use super::identifier::{IdentifierIndex, Identifiers};
use super::number::Level;
use super::token::is_plain_name;

impl Display for Selector {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let mut printer = Printer {
            identifiers: &self.identifiers,
            out: f,
        };
        printer.condition(&self.root)
    }
}

struct Printer<'p, 'f> {
    identifiers: &'p Identifiers,
    out: &'p mut Formatter<'f>,
}

impl Printer<'_, '_> {
    fn condition(&mut self, condition: &Condition) -> Result {
        match condition {
            Condition::Constant(holds) => self.out.write_str(boolean(*holds)),
            Condition::Flag(identifier) => self.identifier(*identifier),
            Condition::Not(inner) => {
                self.out.write_str("NOT ")?;
                self.term(
                    inner,
                    matches!(**inner, Condition::And(_) | Condition::Or(_)),
                )
            }
            Condition::And(terms) => self.terms(terms, " AND "),
            Condition::Or(terms) => self.terms(terms, " OR "),
            Condition::Comparison {
                left,
                operator,
                right,
            } => {
                self.operand(left)?;
                write!(self.out, " {} ", operator.sign())?;
                self.operand(right)
            }
            Condition::Between {
                operand,
                low,
                high,
                sense,
            } => {
                self.operand(operand)?;
                self.out
                    .write_str(with_not(*sense, [" BETWEEN ", " NOT BETWEEN "]))?;
                self.operand(low)?;
                self.out.write_str(" AND ")?;
                self.operand(high)
            }
            Condition::In {
                identifier,
                members,
                sense,
            } => {
                self.identifier(*identifier)?;
                self.out
                    .write_str(with_not(*sense, [" IN (", " NOT IN ("]))?;
                for (index, member) in members.iter().enumerate() {
                    self.out.write_str(if index == 0 { "" } else { ", " })?;
                    self.quoted('\'', member)?;
                }
                self.out.write_str(")")
            }
            Condition::Like {
                identifier,
                pattern,
                sense,
            } => {
                self.identifier(*identifier)?;
                self.out
                    .write_str(with_not(*sense, [" LIKE ", " NOT LIKE "]))?;
                self.quoted('\'', pattern.text())?;
                let Some(escape) = pattern.escape() else {
                    return Ok(());
                };
                self.out.write_str(" ESCAPE ")?;
                self.quoted('\'', escape.encode_utf8(&mut [0; 4]))
            }
            Condition::IsNull { identifier, sense } => {
                self.identifier(*identifier)?;
                self.out
                    .write_str(with_not(*sense, [" IS NULL", " IS NOT NULL"]))
            }
        }
    }

    fn terms(&mut self, terms: &[Condition], separator: &str) -> Result {
        for (index, term) in terms.iter().enumerate() {
            self.out
                .write_str(if index == 0 { "" } else { separator })?;
            // AND within OR binds closer on its own; either within itself does not occur.
            self.term(term, matches!(term, Condition::Or(_)))?;
        }
        Ok(())
    }

    fn term(&mut self, condition: &Condition, in_parentheses: bool) -> Result {
        if !in_parentheses {
            return self.condition(condition);
        }
        self.out.write_char('(')?;
        self.condition(condition)?;
        self.out.write_char(')')
    }

    fn operand(&mut self, operand: &Operand) -> Result {
        match operand {
            Operand::Text(text) => self.quoted('\'', text),
            Operand::Number(number) => write!(self.out, "{number}"),
            Operand::Identifier(identifier) => self.identifier(*identifier),
            Operand::Condition(condition) => match **condition {
                Condition::Constant(holds) => self.out.write_str(boolean(holds)),
                // In parentheses alone it would be a value of any type.
                Condition::Flag(identifier) => {
                    self.out.write_str("(NOT NOT ")?;
                    self.identifier(identifier)?;
                    self.out.write_char(')')
                }
                _ => self.term(condition, true),
            },
            Operand::Negated(inner) => {
                // Two minus signs side by side would begin a comment.
                let is_negated = matches!(**inner, Operand::Negated(_));
                self.out.write_str(if is_negated { "- " } else { "-" })?;
                self.link(inner, matches!(**inner, Operand::Chain { .. }))
            }
            Operand::Chain { first, rest } => {
                let level = level_of(rest);
                let is_looser = |operand: &Operand| operand_level(operand) < level;
                self.link(first, operand_level(first).is_some() && is_looser(first))?;
                for (operator, operand) in rest {
                    write!(self.out, " {} ", operator.sign())?;
                    let inner = operand_level(operand);
                    self.link(operand, inner.is_some() && inner <= level)?;
                }
                Ok(())
            }
        }
    }

    fn link(&mut self, operand: &Operand, in_parentheses: bool) -> Result {
        if !in_parentheses {
            return self.operand(operand);
        }
        self.out.write_char('(')?;
        self.operand(operand)?;
        self.out.write_char(')')
    }

    fn identifier(&mut self, identifier: IdentifierIndex) -> Result {
        let name = self.identifiers.target(identifier).name();
        if is_plain_name(name) {
            self.out.write_str(name)
        } else {
            self.quoted('"', name)
        }
    }

    fn quoted(&mut self, quote: char, text: &str) -> Result {
        self.out.write_char(quote)?;
        for character in text.chars() {
            if character == quote {
                self.out.write_char(quote)?;
            }
            self.out.write_char(character)?;
        }
        self.out.write_char(quote)
    }
}

fn operand_level(operand: &Operand) -> Option<Level> {
    match operand {
        Operand::Chain { rest, .. } => level_of(rest),
        _ => None,
    }
}

fn with_not(sense: Sense, [affirmed, negated]: [&str; 2]) -> &str {
    match sense {
        Sense::Affirmed => affirmed,
        Sense::Negated => negated,
    }
}

fn boolean(value: bool) -> &'static str {
    if value { "TRUE" } else { "FALSE" }
}
