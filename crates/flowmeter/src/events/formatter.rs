//! Formats event lines while they come: nesting by ids or by order, problems reported, memory constant.
//!
//! Synchronous and without any input of its own: whoever reads hands blocks or lines in. Never asks for the time or
//! for randomness, and never prints.

use std::io::Write;

use super::blocks::Block;
use super::config::{EventFormatterConfig, FormatError, FormatOutcome, FormatStep};
use super::fields::{Field, Fields, Shape};
use super::line::Line;
use super::out::Out;
use super::parse::parse;
use super::problem::{EventProblem, EventProblemKind};
use super::state::State;

/// How far into the input a trace is told from events.
const FIRST_LINES: u64 = 64;

/// Types of the lines that `flowmeter export` writes around the events of each run.
const FRAMES: [&str; 2] = ["run_begin", "run_end"];

/// Formats event lines, one after the other.
pub struct EventFormatter<W> {
    out: Out<W>,
    state: State,
    fields: Fields,
}

impl<W: Write> EventFormatter<W> {
    /// Formats to `output`.
    pub fn new(config: EventFormatterConfig, output: W) -> Self {
        Self {
            out: Out::new(output),
            state: State::new(config),
            fields: Fields::default(),
        }
    }

    /// Takes the lines of a block.
    ///
    /// # Errors
    /// [`FormatError`] when the output fails, or when the input is a saved trace.
    pub fn take_block(&mut self, block: &Block) -> Result<FormatStep, FormatError> {
        let bytes = match block.lines.strip_prefix(b"\xef\xbb\xbf") {
            Some(rest) if self.state.lines == 0 => rest,
            _ => &block.lines,
        };
        match std::str::from_utf8(bytes) {
            Ok(text) => {
                let mut start = 0;
                for end in memchr::memchr_iter(b'\n', bytes) {
                    // A newline is no part of another character.
                    self.line(text.get(start..end).unwrap_or_default())?;
                    start = end + 1;
                }
                if let Some(rest) = text.get(start..).filter(|rest| !rest.is_empty()) {
                    self.line(rest)?;
                }
            }
            Err(_) => {
                for line in bytes.split_inclusive(|byte| *byte == b'\n') {
                    self.bytes(line.strip_suffix(b"\n").unwrap_or(line))?;
                }
            }
        }
        if block.then_too_long {
            self.state.lines += 1;
            let limit_bytes = super::blocks::LINE_BYTES_MAX;
            let number = self.state.lines;
            self.state
                .report(number, EventProblemKind::TooLong { limit_bytes });
        }
        if self.state.config.live && !self.state.stopped {
            self.state.format.pause(&mut self.out.buffer);
        }
        self.out.flush()?;
        Ok(self.step())
    }

    fn step(&self) -> FormatStep {
        if self.state.stopped {
            FormatStep::Stop
        } else {
            FormatStep::GoOn
        }
    }

    fn bytes(&mut self, line: &[u8]) -> Result<(), FormatError> {
        match std::str::from_utf8(line) {
            Ok(text) => self.line(text),
            Err(error) => {
                if !self.state.stopped {
                    self.state.lines += 1;
                    let byte = error.valid_up_to() + 1;
                    let number = self.state.lines;
                    self.state.report(number, EventProblemKind::NotUtf8 { byte });
                }
                Ok(())
            }
        }
    }

    /// Takes one line, without its newline.
    ///
    /// # Errors
    /// [`FormatError`] when the output fails, or when the input is a saved trace.
    pub fn take_line(&mut self, text: &str) -> Result<FormatStep, FormatError> {
        self.line(text)?;
        Ok(self.step())
    }

    fn line(&mut self, text: &str) -> Result<(), FormatError> {
        if self.state.stopped {
            return Ok(());
        }
        self.state.lines += 1;
        let number = self.state.lines;
        if let Err(error) = parse(text, &mut self.fields) {
            if is_blank(text) {
                return Ok(());
            }
            if number <= FIRST_LINES && self.state.events == 0 && looks_like_trace(text) {
                return Err(FormatError::IsTrace);
            }
            self.state.report(number, EventProblemKind::broken_json(&error));
            return Ok(());
        }
        let line = Line {
            text,
            fields: &self.fields,
            number,
        };
        if line.place(Field::Type).is_none() && is_trace(&line) {
            return Err(FormatError::IsTrace);
        }
        if is_frame(&line) {
            return Ok(());
        }
        self.state.take(&line, &mut self.out)?;
        self.out.relieve()?;
        Ok(())
    }

    /// Takes the problems that were found since the last time.
    pub fn take_problems(&mut self) -> Vec<EventProblem> {
        std::mem::take(&mut self.state.problems)
    }

    /// How many problems there were.
    pub fn problem_count(&self) -> u64 {
        self.state.problem_count
    }

    /// Closes what is open, and says what it all came to.
    ///
    /// # Errors
    /// [`FormatError::Output`].
    pub fn finish(mut self) -> Result<(FormatOutcome, W), FormatError> {
        self.state.finish(&mut self.out)?;
        self.out.flush()?;
        let outcome = FormatOutcome {
            lines: self.state.lines,
            events: self.state.events,
            problem_count: self.state.problem_count,
            problems: self.state.problems,
        };
        Ok((outcome, self.out.into_output()))
    }
}

fn is_blank(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
}

/// Whether the line only says where a run of an exported history begins or ends: what is between says the same.
fn is_frame(line: &Line<'_>) -> bool {
    line.place(Field::Type)
        .is_some_and(|place| FRAMES.contains(&place.text(line.text)))
}

/// Whether the line is a trace document, or the first line of an unfinished one.
fn is_trace(line: &Line<'_>) -> bool {
    let names_format = line
        .place(Field::Format)
        .is_some_and(|place| place.text(line.text).starts_with("flowmeter.trace/"));
    names_format
        || line
            .place(Field::Spans)
            .is_some_and(|place| place.shape == Shape::Array)
}

/// Whether the line is part of a trace document of several lines.
fn looks_like_trace(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with("\"spans\"") || text.starts_with("\"format\": \"flowmeter.trace/") || {
        text.starts_with('{') && text.contains("\"spans\":[")
    }
}
