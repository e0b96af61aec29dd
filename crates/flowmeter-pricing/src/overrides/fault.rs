//! What can be wrong with a price file.
//!
//! Never without the place and what to write instead.

use thiserror::Error;

/// What is wrong with a price file, where, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PricingFileError {
    /// The text is no JSON.
    #[error(
        "line {line}, column {column}: this is no JSON: {reason}; check for a missing quote, brace or comma, or one comma too many"
    )]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What the parser found.
        reason: String,
    },
    /// The file holds something else than an object of models.
    #[error(
        "line {line}, column {column}: expected an object of models but found {found}; write it as {{\"my-model\": {{\"input\": 0.001, \"output\": 0.002}}}}"
    )]
    NotAnObject {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The kind of value found.
        found: &'static str,
    },
    /// A model's prices are no object.
    #[error(
        "line {line}, column {column}: the prices of `{model}` must be an object but are {found}; write {{\"input\": 0.001, \"output\": 0.002}}"
    )]
    ModelNotAnObject {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The model's key.
        model: String,
        /// The kind of value found.
        found: &'static str,
    },
    /// A model has no name.
    #[error(
        "line {line}, column {column}: a model's name is empty; write the name that the provider uses, such as \"gpt-4o\""
    )]
    EmptyName {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// A model, or a key of a model, stands twice.
    #[error(
        "line {line}, column {column}: `{name}` stands twice (upper and lower case are the same); remove one of the two"
    )]
    Duplicate {
        /// Line of the second one, from 1.
        line: usize,
        /// Column of the second one, from 1.
        column: usize,
        /// What stands twice.
        name: String,
    },
    /// A key that means nothing here.
    #[error(
        "line {line}, column {column}: `{model}` has the unknown key `{key}`; did you mean `{nearest}`? the keys are input, output, cache_read, cache_write, cache_write_1h, reasoning, input_audio, input_image, output_audio, output_image, web_search, request, max_output_tokens and unit"
    )]
    UnknownKey {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The model's key.
        model: String,
        /// The unknown key.
        key: String,
        /// The valid key most like it.
        nearest: &'static str,
    },
    /// A rate is no number.
    #[error(
        "line {line}, column {column}: `{key}` of `{model}` must be a number of dollars but is {found}; write it without quotes, such as 0.003"
    )]
    NotANumber {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The model's key.
        model: String,
        /// The rate's key.
        key: String,
        /// The kind of value found.
        found: &'static str,
    },
    /// Prices stand inside something else than their model.
    #[error(
        "line {line}, column {column}: `{key}` inside `{model}` is an object: models stand at the top level; write it as \"{model}/{key}\" there"
    )]
    Nested {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The outer key.
        model: String,
        /// The inner key.
        key: String,
    },
    /// A unit for the whole file, which there is none.
    #[error(
        "line {line}, column {column}: \"unit\" at the top level means nothing; write it into each model, beside its rates"
    )]
    UnitOfFile {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// The maximum output is no number of tokens.
    #[error(
        "line {line}, column {column}: `max_output_tokens` of `{model}` must be a whole number of tokens from 1, such as 8192"
    )]
    NotACount {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The model's key.
        model: String,
    },
    /// A rate is below zero.
    #[error("line {line}, column {column}: `{key}` of `{model}` is negative; write 0 for what costs nothing")]
    Negative {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The model's key.
        model: String,
        /// The rate's key.
        key: String,
    },
    /// A rate is beyond all bounds.
    #[error(
        "line {line}, column {column}: `{key}` of `{model}` is too large for a price; write dollars per 1,000 tokens, or per million with \"unit\": \"1M\""
    )]
    TooLarge {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The model's key.
        model: String,
        /// The rate's key.
        key: String,
    },
    /// The unit is none that is known.
    #[error(
        "line {line}, column {column}: the unit of `{model}` must be \"1K\" (dollars per 1,000 tokens, the default) or \"1M\" (per million)"
    )]
    UnknownUnit {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The model's key.
        model: String,
    },
    /// A model without any rate.
    #[error("line {line}, column {column}: `{model}` has no rate; write at least \"input\" and \"output\"")]
    NoRates {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The model's key.
        model: String,
    },
}

impl PricingFileError {
    /// Line and column, from 1.
    #[must_use]
    pub fn place(&self) -> (usize, usize) {
        match self {
            Self::Syntax { line, column, .. }
            | Self::NotAnObject { line, column, .. }
            | Self::ModelNotAnObject { line, column, .. }
            | Self::EmptyName { line, column }
            | Self::Duplicate { line, column, .. }
            | Self::UnknownKey { line, column, .. }
            | Self::NotANumber { line, column, .. }
            | Self::Nested { line, column, .. }
            | Self::UnitOfFile { line, column }
            | Self::NotACount { line, column, .. }
            | Self::Negative { line, column, .. }
            | Self::TooLarge { line, column, .. }
            | Self::UnknownUnit { line, column, .. }
            | Self::NoRates { line, column, .. } => (*line, *column),
        }
    }
}
