//! Search over everything that was written or said: what is asked, and what is found.
//!
//! Never returns a place that does not hold the text: candidates are verified.

use flowmeter_model::{SpanId, TimestampNs};
use smol_str::SmolStr;

use crate::{RunFilter, RunKey};

/// How the text is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SearchMode {
    /// Every word of it occurs in the same place, in any order and case; what stands in quotes occurs as a phrase, and
    /// so does what has marks instead of spaces between (`data-base`). Words are those of UAX #29. Scripts without spaces between words (Chinese, Japanese, Thai) match wherever the characters stand in a row.
    #[default]
    Words,
    /// Exactly this row of characters, also inside words, in any case.
    Substring,
}

/// What is looked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchQuery {
    /// The text.
    pub text: String,
    /// How it is meant.
    pub mode: SearchMode,
    /// Only in these runs.
    pub runs: RunFilter,
    /// Only in these places; none named: in all.
    pub places: Vec<SearchPlace>,
    /// At most so many hits, the newest first.
    pub limit: usize,
}

/// Where a text can stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SearchPlace {
    /// What a model was sent.
    Prompt,
    /// What a model answered.
    Response,
    /// A log line.
    Log,
    /// Why something failed.
    Error,
    /// An attribute, a parameter, a template's value.
    Attribute,
    /// A write to the shared store.
    Mutation,
}

impl SearchPlace {
    /// The name, as in JSON and in filters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Response => "response",
            Self::Log => "log",
            Self::Error => "error",
            Self::Attribute => "attribute",
            Self::Mutation => "mutation",
        }
    }

    /// The place of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        [
            Self::Prompt,
            Self::Response,
            Self::Log,
            Self::Error,
            Self::Attribute,
            Self::Mutation,
        ]
        .into_iter()
        .find(|place| place.as_str() == name)
    }
}

/// A place that holds the text: at most one for each span and place, and one for each log line.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchHit {
    /// The run.
    pub run: RunKey,
    /// Its workflow.
    pub workflow: SmolStr,
    /// The span.
    pub span_id: Option<SpanId>,
    /// The node (as in [`crate::SpanRow::node`]).
    pub node: SmolStr,
    /// When the span began, or the line was written.
    pub time: TimestampNs,
    /// What kind of place.
    pub place: SearchPlace,
    /// Its name, such as `gen_ai.output.messages`, `params.prompt` or `summary.text`.
    pub field: String,
    /// The text around the first occurrence, in one line of about 160 characters.
    pub context: String,
    /// The bytes of [`SearchHit::context`] that are what was found, first to last, in order.
    pub matches: Vec<(usize, usize)>,
}
