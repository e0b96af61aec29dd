//! A newer price file that the user fetched: its format, its prices, and what it changes.
//!
//! Never fetches anything and never stores anything: the text is handed in.

use genai_prices::Calculator;
use rustc_hash::FxHashMap;
use smol_str::SmolStr;
use thiserror::Error;

use crate::edition::Edition;

mod points;

/// Which price file a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PriceFileFormat {
    /// The list of providers that genai-prices publishes.
    GenaiPrices,
    /// LiteLLM's `model_prices_and_context_window.json`.
    Litellm,
}

/// Why a price file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RefreshError {
    /// The text is no JSON.
    #[error("line {line}, column {column}: this is no JSON: {reason}; fetch the file again")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What the parser found.
        reason: String,
    },
    /// The text is JSON but no price file.
    #[error("{0}; give a price file of genai-prices or LiteLLM's model_prices_and_context_window.json")]
    Unknown(String),
    /// The text is a price file with a mistake in it.
    #[error("the price file is invalid: {0}; fetch the file again")]
    Invalid(String),
}

/// The text of a newer price file and the name under which its prices are explained.
#[derive(Clone, Debug)]
pub struct RefreshedPrices {
    text: String,
    source: SmolStr,
}

impl RefreshedPrices {
    /// Keeps the text as it is; nothing is decoded yet. `source` is what explanations name, such as
    /// `genai-prices file of 2026-11-20`.
    #[must_use]
    pub fn new(text: String, source: &str) -> Self {
        Self {
            text,
            source: SmolStr::new(source),
        }
    }

    /// Decodes the text.
    pub(crate) fn decode(&self) -> Result<Edition, RefreshError> {
        decode_genai(&self.text, self.source.clone())
    }
}

fn decode_genai(text: &str, source: SmolStr) -> Result<Edition, RefreshError> {
    let calculator = Calculator::from_json(text).map_err(|error| RefreshError::Invalid(error.to_string()))?;
    let points = points::of(text);
    Ok(Edition::fetched(
        calculator,
        source,
        points.sizes,
        points.day_seconds,
        FxHashMap::default(),
    ))
}
