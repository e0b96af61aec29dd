//! Runs out of the history and into it: as lines, as OTLP, as Parquet.
//!
//! Runs go out one after another, span by span, and come in likewise: memory does not grow with their number. Never
//! decides which runs are meant.

pub(crate) mod import;
pub(crate) mod kinds;
mod lines_in;
mod lines_out;
mod otlp_in;
mod otlp_out;
mod parquet_out;
pub(crate) mod prices;
mod records;
mod trace_in;

use std::io;
use std::ops::ControlFlow;

use anyhow::{Context, Result};
use flowmeter_model::{LogRecord, Span};
use flowmeter_store::{LogFilter, RunDetail, RunKey, Store};

pub(crate) use lines_out::LinesWriter;
pub(crate) use otlp_out::{OtlpForm, OtlpWriter};
pub(crate) use parquet_out::ParquetWriter;

/// The format of the lines that hold runs, with its version.
pub(crate) const HISTORY_FORMAT: &str = "flowmeter.history/1";

/// A form that runs are written in.
pub(crate) trait RunWriter {
    /// A run begins; its spans and logs follow.
    ///
    /// # Errors
    /// Whatever the output fails with.
    fn begin(&mut self, run: &RunDetail) -> io::Result<()>;

    /// A span of the run that ended.
    ///
    /// # Errors
    /// Whatever the output fails with.
    fn span(&mut self, run: &RunDetail, span: Span) -> io::Result<()>;

    /// A log line of the run.
    ///
    /// # Errors
    /// Whatever the output fails with.
    fn log(&mut self, run: &RunDetail, log: LogRecord) -> io::Result<()>;

    /// Whether it takes log lines at all.
    fn takes_logs(&self) -> bool {
        true
    }

    /// All of the run was written.
    ///
    /// # Errors
    /// Whatever the output fails with.
    fn end(&mut self, run: &RunDetail) -> io::Result<()>;

    /// There are no more runs.
    ///
    /// # Errors
    /// Whatever the output fails with.
    fn finish(&mut self) -> io::Result<()>;
}

/// How much was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) runs: u64,
    pub(crate) spans: u64,
    pub(crate) logs: u64,
}

/// Writes these runs. `told` hears after each.
///
/// # Errors
/// When the history cannot be read, and whatever the output fails with.
pub(crate) fn write_runs(
    store: &dyn Store,
    runs: &[RunKey],
    writer: &mut dyn RunWriter,
    mut told: impl FnMut(&Written),
) -> Result<Written> {
    let mut written = Written::default();
    for key in runs {
        // One that was forgotten in the meantime is not there.
        let Some(run) = store.run(key)? else { continue };
        writer.begin(&run)?;
        let mut outcome = Ok(());
        store
            .spans(key, &mut |span| {
                written.spans += 1;
                go_on(&mut outcome, writer.span(&run, span))
            })
            .with_context(|| format!("the spans of run {key} cannot be read"))?;
        outcome?;
        if writer.takes_logs() {
            let mut outcome = Ok(());
            let filter = LogFilter {
                run: Some(*key),
                ..LogFilter::default()
            };
            store
                .logs(&filter, &mut |log| {
                    written.logs += 1;
                    go_on(&mut outcome, writer.log(&run, log.record))
                })
                .with_context(|| format!("the logs of run {key} cannot be read"))?;
            outcome?;
        }
        writer.end(&run)?;
        written.runs += 1;
        told(&written);
    }
    writer.finish()?;
    Ok(written)
}

fn go_on(outcome: &mut io::Result<()>, step: io::Result<()>) -> ControlFlow<()> {
    match step {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            *outcome = Err(error);
            ControlFlow::Break(())
        }
    }
}

#[cfg(test)]
mod tests;
