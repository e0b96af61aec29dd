//! Templates: `${node.key}` in texts, read once and resolved against the shared store.
//!
//! [`parse`] says what a text means, [`resolve`] finds the values, [`render`] writes them into texts.
//! Nothing here knows of node types or of the file a template stands in.

mod params;
mod parse;
mod render;
mod resolve;

#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::Value;
use smol_str::SmolStr;

pub(crate) use params::ParamTemplates;
pub use parse::InvalidTemplate;
pub use render::render_value;
pub(crate) use render::spaced_json;
pub(crate) use resolve::{NodeNames, Resolver, kind_of, parse_container};

/// A text with templates in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    pub(crate) parts: Vec<Part>,
}

/// A piece of a text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    /// Stands for itself.
    Text(String),
    /// Stands for a value.
    Expression(Expression),
}

/// What stands between `${` and `}`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Expression {
    /// The alternatives: the first one that leads somewhere counts.
    pub(crate) operands: Vec<Operand>,
    /// As written, `${` and `}` included.
    pub(crate) written: String,
    /// Where it begins in its text, in bytes.
    pub(crate) offset: usize,
}

/// One alternative of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operand {
    /// The way to a value.
    Path(Path),
    /// A value.
    Literal(Value),
}

/// The way to a value: at least one segment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Path {
    pub(crate) segments: Vec<Segment>,
}

/// One step of a path: a name, and the index behind it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Segment {
    pub(crate) name: SmolStr,
    pub(crate) index: Option<Index>,
}

/// What stands in brackets.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Index {
    /// `[0]`
    Number(usize),
    /// `[${static.path}]`
    Path(Path),
}

impl Path {
    /// The name of the node, input or variable it begins with.
    pub(crate) fn root(&self) -> &Segment {
        &self.segments[0]
    }
}

impl Expression {
    /// All paths in it, those in brackets included.
    pub(crate) fn paths(&self) -> Vec<&Path> {
        let mut paths = Vec::new();
        for operand in &self.operands {
            if let Operand::Path(path) = operand {
                paths.push(path);
                paths.extend(path.segments.iter().filter_map(|segment| match &segment.index {
                    Some(Index::Path(inner)) => Some(inner),
                    _ => None,
                }));
            }
        }
        paths
    }
}

impl Template {
    /// Reads a text.
    ///
    /// # Errors
    /// Everything in it that looks like a template and is none.
    pub fn parse(text: &str) -> Result<Self, Vec<InvalidTemplate>> {
        let (template, problems) = parse::parse(text);
        if problems.is_empty() {
            Ok(template)
        } else {
            Err(problems)
        }
    }

    /// Reads what of a text can be read, and everything that is wrong with the rest.
    pub(crate) fn parse_partly(text: &str) -> (Self, Vec<InvalidTemplate>) {
        parse::parse(text)
    }

    /// Whether the text holds a `${` at all, escaped or not.
    #[must_use]
    pub fn is_in(text: &str) -> bool {
        text.contains("${")
    }

    /// The expressions in it, in order.
    pub(crate) fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.parts.iter().filter_map(|part| match part {
            Part::Expression(expression) => Some(expression),
            Part::Text(_) => None,
        })
    }

    /// The expression, where it is the whole text.
    pub(crate) fn whole(&self) -> Option<&Expression> {
        match &self.parts[..] {
            [Part::Expression(expression)] => Some(expression),
            _ => None,
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.segments.iter().enumerate() {
            if position > 0 {
                f.write_str(".")?;
            }
            f.write_str(&segment.name)?;
            match &segment.index {
                Some(Index::Number(number)) => write!(f, "[{number}]")?,
                Some(Index::Path(path)) => write!(f, "[${{{path}}}]")?,
                None => {}
            }
        }
        Ok(())
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Text(text) => f.write_str(&text.replace("${", "$${"))?,
                Part::Expression(expression) => f.write_str(&expression.written)?,
            }
        }
        Ok(())
    }
}
