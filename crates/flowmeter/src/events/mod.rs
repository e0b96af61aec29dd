//! Event lines, one JSON object a line: written while a run goes on, and read from any program that writes them.
//!
//! The shape is agreed; more fields stand beside it, so that a stream of ours loses nothing. Never decides where
//! lines come from and where they go.

mod blocks;
mod config;
mod content;
mod fields;
mod formatter;
mod line;
mod nesting;
mod out;
mod parse;
mod problem;
mod scan;
mod spans;
mod state;
mod wire;
mod words;
mod write;

pub use blocks::{Block, LINE_BYTES_MAX, LineBlocks};
pub use config::{EventFormat, EventFormatterConfig, FormatError, FormatOutcome, FormatStep};
pub use formatter::EventFormatter;
pub(crate) use nesting::Tally;
pub use problem::{EventProblem, EventProblemKind};
pub use wire::{InvalidEventLine, read_event};
pub use write::{write_event, write_log_line, write_open_span_line, write_span_line};

#[cfg(test)]
mod tests;
