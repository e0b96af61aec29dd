//! What can be wrong with a line of events, in words that say what to do.
//!
//! Never decides whether the reading goes on: its caller does.

use std::fmt;

use thiserror::Error;

use super::fields::Shape;

/// The types of lines, as messages name them.
pub(super) const TYPES: &[&str] = &[
    "workflow_start",
    "node_start",
    "log",
    "node_end",
    "error",
    "custom",
    "workflow_end",
    "span_start",
    "span_end",
];

/// Longest quotation from a line, in characters.
const QUOTED_CHARS: usize = 60;

/// What is wrong with an event file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventProblem {
    /// The line, counted from 1.
    pub line: u64,
    /// What is wrong with it.
    pub kind: EventProblemKind,
}

impl fmt::Display for EventProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.kind)
    }
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EventProblemKind {
    /// It is no text.
    #[error("this line is not UTF-8: byte {byte} of it is wrong; the line is left out")]
    NotUtf8 {
        /// Which byte, counted from 1.
        byte: usize,
    },
    /// It is too long to be kept in memory.
    #[error("this line is longer than {limit_bytes} bytes and is left out")]
    TooLong {
        /// The limit.
        limit_bytes: usize,
    },
    /// It is no JSON object.
    #[error("this line is not valid JSON: {detail}; it is left out")]
    BrokenJson {
        /// What is wrong, and at which column.
        detail: String,
    },
    /// It does not say what it is.
    #[error("`type` is missing: an event line names one of {}", TYPES.join(", "))]
    MissingType,
    /// It says that it is something that there is not.
    #[error("unknown event type `{given}`{}; known are {}", suggestion(.nearest), TYPES.join(", "))]
    UnknownType {
        /// What it says.
        given: String,
        /// The type whose name is nearest, if one is near.
        nearest: Option<&'static str>,
    },
    /// A field has a value of another kind than it should; the line counts without it.
    #[error("`{field}` is {found}, where {wanted} is wanted; the line is taken without it")]
    WrongField {
        /// The field.
        field: &'static str,
        /// What it should be.
        wanted: &'static str,
        /// What it is.
        found: String,
    },
    /// A field that the line needs is not there.
    #[error("`{line_type}` lines need `{field}`, {wanted}")]
    MissingField {
        /// The line's type.
        line_type: &'static str,
        /// What is missing.
        field: &'static str,
        /// What it should be.
        wanted: &'static str,
    },
    /// A field is there more than once.
    #[error("`{field}` is given more than once; the last one counts")]
    GivenTwice {
        /// The field.
        field: &'static str,
    },
    /// The level of a log is none.
    #[error("`{given}` is no log level: trace, debug, info, warn or error is wanted; it is shown as INFO")]
    UnknownLevel {
        /// What it says.
        given: String,
    },
    /// The kind of a span is none.
    #[error(
        "`{given}` is no kind of span: run, node, attempt, batch_item, iteration, workflow, llm_call or custom is \
         wanted; it is taken as custom"
    )]
    UnknownKind {
        /// What it says.
        given: String,
    },
    /// Something ends that never began.
    #[error("unbalanced `{line_type}`: {what}; a `{needs}` line before this one is missing")]
    EndWithoutStart {
        /// The line's type.
        line_type: &'static str,
        /// What is not open.
        what: String,
        /// The line that is missing.
        needs: &'static str,
    },
    /// Something began that never ends.
    #[error("unbalanced `{line_type}`: {what} never ends; a `{needs}` line for it is missing")]
    NeverEnded {
        /// The line's type.
        line_type: &'static str,
        /// What began.
        what: String,
        /// The line that is missing.
        needs: &'static str,
    },
    /// Two open spans have the same id.
    #[error("`span_id` {id} is open already, since line {since}; both are shown")]
    IdInUse {
        /// The id.
        id: String,
        /// The line that opened it.
        since: u64,
    },
    /// More is open than is kept track of.
    #[error("more than {limit} spans are open at once; the line is left out")]
    TooManyOpen {
        /// The limit.
        limit: usize,
    },
    /// What open spans hold is more than is kept in memory.
    #[error("what the open spans hold exceeds {limit_bytes} bytes; the line is taken without its content")]
    TooMuchHeld {
        /// The limit.
        limit_bytes: usize,
    },
}

fn suggestion(nearest: &Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |name| format!(" (did you mean `{name}`?)"))
}

impl EventProblemKind {
    pub(super) fn unknown_type(given: &str) -> Self {
        let simple = given.to_ascii_lowercase().replace(['-', '.', ' '], "_");
        let nearest = TYPES
            .iter()
            .map(|name| (strsim::osa_distance(&simple, name), *name))
            .filter(|(distance, name)| *distance * 3 <= name.len().max(3))
            .min()
            .map(|(_, name)| name);
        Self::UnknownType {
            given: quoted(given),
            nearest,
        }
    }

    pub(super) fn broken_json(error: &serde_json::Error) -> Self {
        let whole = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let detail = whole.strip_suffix(&place).unwrap_or(&whole);
        let detail = match error.classify() {
            serde_json::error::Category::Eof => format!("it ends too early ({detail})"),
            _ => detail.to_owned(),
        };
        let detail = if error.column() > 0 && whole.ends_with(&place) {
            format!("{detail} at column {}", error.column())
        } else {
            detail
        };
        Self::BrokenJson { detail }
    }

    pub(super) fn wrong_field(field: &'static str, wanted: &'static str, shape: Shape, json: &str) -> Self {
        let found = match shape {
            Shape::Object | Shape::Array => shape.name().to_owned(),
            _ => quoted(json),
        };
        Self::WrongField { field, wanted, found }
    }
}

/// The beginning of a text from a line, fit for a message.
pub(super) fn quoted(text: &str) -> String {
    let mut chars = text.chars();
    let mut shown: String = chars
        .by_ref()
        .take(QUOTED_CHARS)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if chars.next().is_some() {
        shown.push('…');
    }
    crate::formats::wording::printable(&shown).into_owned()
}
