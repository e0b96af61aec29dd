//! Headers of OTLP requests, as environment variables write them: `key1=value1,key2=value2`.
//!
//! Never shows a value: headers are where keys travel.

use std::fmt;

use http::{HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

/// Header names with their values, each name once.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct OtlpHeaders(Vec<(HeaderName, HeaderValue)>);

impl OtlpHeaders {
    /// No headers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a header, in place of an earlier one of this name.
    ///
    /// # Errors
    /// What is wrong with the name or the value; the value is not repeated.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let parsed = HeaderName::try_from(name).map_err(|_| format!("`{name}` is no header name"))?;
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| format!("the value of `{name}` has characters that no header may have"))?;
        value.set_sensitive(true);
        match self.0.iter_mut().find(|(present, _)| *present == parsed) {
            Some((_, slot)) => *slot = value,
            None => self.0.push((parsed, value)),
        }
        Ok(())
    }

    /// Reads a list; what is wrong in it is left out and told, without its value.
    /// Source: OTLP exporter specification, specifying headers via environment variables: the format of W3C
    /// baggage without metadata, names and values percent-encoded.
    #[must_use]
    pub fn parse(text: &str) -> (Self, Vec<String>) {
        let mut headers = Self::new();
        let mut problems = Vec::new();
        for (index, member) in text.split(',').enumerate() {
            if member.trim().is_empty() {
                continue;
            }
            let Some((name, value)) = member.split_once('=') else {
                problems.push(format!("entry {} has no `=`", index + 1));
                continue;
            };
            if let Err(problem) = headers.set(&decoded(name), &decoded(value)) {
                problems.push(problem);
            }
        }
        (headers, problems)
    }

    /// These headers with `others` on top.
    pub(super) fn overlay(&mut self, others: &Self) {
        for (name, value) in &others.0 {
            match self.0.iter_mut().find(|(present, _)| present == name) {
                Some((_, slot)) => slot.clone_from(value),
                None => self.0.push((name.clone(), value.clone())),
            }
        }
    }

    /// All of them, in the order in which they were set.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Names alone.
impl fmt::Debug for OtlpHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

/// A text without the white space around it and without its percent-encoding.
pub(super) fn decoded(text: &str) -> String {
    percent_decode_str(text.trim()).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests;
