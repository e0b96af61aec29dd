//! Runs as lines of JSON, with nothing lost: `run_begin`, an event line for each span and log, `run_end`.
//!
//! Never holds more than one line.

use std::io::{self, Write};

use flowmeter::{write_log_line, write_open_span_line, write_span_line};
use flowmeter_model::{LogRecord, Span};
use flowmeter_store::RunDetail;
use serde::Serialize;

use super::RunWriter;
use super::records::{BeginLine, EndLine};

/// Writes `flowmeter.history/1`.
pub(crate) struct LinesWriter<'w> {
    output: &'w mut dyn Write,
}

impl<'w> LinesWriter<'w> {
    pub(crate) fn new(output: &'w mut dyn Write) -> Self {
        Self { output }
    }

    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut *self.output, line)?;
        self.output.write_all(b"\n")
    }
}

impl RunWriter for LinesWriter<'_> {
    fn begin(&mut self, run: &RunDetail) -> io::Result<()> {
        self.line(&BeginLine::of(run))
    }

    fn span(&mut self, run: &RunDetail, span: Span) -> io::Result<()> {
        write_span_line(self.output, &run.row.workflow, &span)
    }

    fn log(&mut self, run: &RunDetail, log: LogRecord) -> io::Result<()> {
        write_log_line(self.output, run.row.key.trace_id, &log)
    }

    fn end(&mut self, run: &RunDetail) -> io::Result<()> {
        for span in &run.open {
            write_open_span_line(self.output, &run.row.workflow, span)?;
        }
        match EndLine::of(run) {
            Some(line) => self.line(&line),
            None => Ok(()),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}
