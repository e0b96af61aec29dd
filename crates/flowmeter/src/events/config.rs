//! What a formatter of events is told, and what it answers.

use std::fs::File;
use std::io;

use flowmeter_model::{Attributes, TimestampNs};
use flowmeter_otlp::EncoderConfig;
use thiserror::Error;

use super::problem::EventProblem;
use crate::formats::HumanStyle;

/// What events are formatted as.
#[derive(Clone, Copy, Debug)]
pub enum EventFormat {
    /// A tree for each workflow, and its summary.
    Human(HumanStyle),
    /// A trace document for each workflow, one a line.
    Json,
    /// OTLP/JSON lines, traces and logs each on their own.
    Otlp,
    /// The aggregated metrics of all of it.
    Metrics,
}

/// How events are formatted.
#[derive(Clone, Debug)]
pub struct EventFormatterConfig {
    /// As what.
    pub format: EventFormat,
    /// Seed of the ids that are made where the lines give none.
    pub id_seed: u64,
    /// Whether the first problem ends it.
    pub strict: bool,
    /// Whether somebody watches the lines come: then nothing waits for more of them.
    pub live: bool,
    /// What stands for times that OTLP wants and nobody gave.
    pub now: TimestampNs,
    /// The resource that OTLP lines name, unless the events bring their own.
    pub resource: Attributes,
    /// How OTLP lines are encoded. Default: the newest names, and all the content that the events have.
    pub encoder: EncoderConfig,
    /// Most spans that may be open at once. Default: 1,000,000.
    pub open_spans_max: usize,
    /// Most bytes of lines that open spans may hold on to. Default: 64 MB.
    pub held_bytes_max: usize,
    /// Most problems that are kept until somebody takes them; all are counted. Default: 100.
    pub problems_max: usize,
    /// Makes a temporary file, for what a document says last. Default: there is none, which is an error when one
    /// is needed.
    pub scratch: fn() -> io::Result<File>,
}

impl EventFormatterConfig {
    /// This format with the defaults for everything else.
    #[must_use]
    pub fn new(format: EventFormat) -> Self {
        Self {
            format,
            id_seed: 0,
            strict: false,
            live: false,
            now: TimestampNs(0),
            resource: Attributes::new(),
            encoder: EncoderConfig {
                content: true,
                ..EncoderConfig::default()
            },
            open_spans_max: 1_000_000,
            held_bytes_max: 64 << 20,
            problems_max: 100,
            scratch: || {
                Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "there is no place for temporary files",
                ))
            },
        }
    }
}

/// What formatting came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormatOutcome {
    /// Lines that were read, blank ones included.
    pub lines: u64,
    /// Events among them.
    pub events: u64,
    /// Problems, also those that were not kept.
    pub problem_count: u64,
    /// Problems that nobody has taken yet.
    pub problems: Vec<EventProblem>,
}

/// Why formatting could not go on.
#[derive(Debug, Error)]
pub enum FormatError {
    /// The output cannot be written.
    #[error("the formatted events cannot be written")]
    Output(#[from] io::Error),
    /// The input is no file of events but a saved trace.
    #[error("this is a saved trace, not a file of event lines; `flowmeter show` shows it")]
    IsTrace,
}

/// Whether to go on with the next lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum FormatStep {
    /// More lines are welcome.
    GoOn,
    /// The first problem ended it: nothing more is formatted.
    Stop,
}
