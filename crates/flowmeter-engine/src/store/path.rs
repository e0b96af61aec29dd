//! Paths into the store: `key.name[0].name`.
//!
//! Never resolves anything: it only says what a text means.

use thiserror::Error;

/// One step of a path behind its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathSegment {
    /// A member of an object.
    Name(String),
    /// An element of an array.
    Index(usize),
}

/// A key and the way inside its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorePath {
    key: String,
    rest: Vec<PathSegment>,
}

/// Why a path cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("store path `{path}`: {problem}")]
pub struct InvalidStorePath {
    path: String,
    problem: String,
}

impl InvalidStorePath {
    pub(super) fn new(path: &str, problem: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            problem: problem.into(),
        }
    }
}

impl StorePath {
    /// Reads `key`, `key.name`, `key[0]`, `key.name[0].name`.
    ///
    /// # Errors
    /// [`InvalidStorePath`] for an empty name, an index that is no number, or an unclosed bracket.
    pub fn parse(path: &str) -> Result<Self, InvalidStorePath> {
        let mut key = None;
        let mut rest = Vec::new();
        for part in path.split('.') {
            let (name, mut brackets) = match part.find('[') {
                Some(open) => part.split_at(open),
                None => (part, ""),
            };
            if name.is_empty() {
                return Err(InvalidStorePath::new(path, "a name is missing between the dots"));
            }
            match key {
                None => key = Some(name.to_owned()),
                Some(_) => rest.push(PathSegment::Name(name.to_owned())),
            }
            while let Some(inside) = brackets.strip_prefix('[') {
                let (index, after) = inside
                    .split_once(']')
                    .ok_or_else(|| InvalidStorePath::new(path, "a bracket is not closed"))?;
                let index = index
                    .parse()
                    .map_err(|_| InvalidStorePath::new(path, format!("`{index}` is no array index")))?;
                rest.push(PathSegment::Index(index));
                brackets = after;
            }
            if !brackets.is_empty() {
                return Err(InvalidStorePath::new(
                    path,
                    format!("`{brackets}` follows a bracket"),
                ));
            }
        }
        Ok(Self {
            key: key.unwrap_or_default(),
            rest,
        })
    }

    /// The key in the namespace.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The way inside the value; empty for the whole value.
    #[must_use]
    pub fn rest(&self) -> &[PathSegment] {
        &self.rest
    }
}
