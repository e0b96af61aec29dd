//! The pipeline over event lines of a file or of another program: the same flow as a live run's.
//!
//! Never holds more than a block of lines: a block is formatted and written before the next one is read.

use std::io::{Read, Write};
use std::sync::Arc;

use parking_lot::Mutex;

use super::flow::{self, Collected, ExportOutcome, PipelineError, StageError, Tracing};
use crate::events::{
    Block, EventFormatter, EventFormatterConfig, EventProblem, FormatError, FormatOutcome, FormatStep,
    LineBlocks,
};

/// Who wants to know how the formatting goes on.
pub trait FormatWatch: Send {
    /// Lines that something is wrong with, in their order.
    fn problems(&mut self, found: &[EventProblem]);

    /// So many bytes of the input have been read.
    fn read(&mut self, bytes: u64);
}

/// Why event lines could not be formatted to their end.
#[derive(Debug, thiserror::Error)]
pub enum FormatEventsError {
    /// The input cannot be read any further.
    #[error("the events cannot be read any further")]
    Input(#[source] std::io::Error),
    /// The output failed, or the input is no file of events.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The pipeline itself failed.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
}

/// Formats the event lines of `input` to `output`, through the tracing pipeline, in constant memory.
///
/// # Errors
/// [`FormatEventsError`]. Problems of single lines are no error: `watch` is told, and they are counted.
pub fn format_events(
    config: EventFormatterConfig,
    input: Box<dyn Read + Send>,
    output: Box<dyn Write + Send>,
    watch: Box<dyn FormatWatch>,
) -> Result<FormatOutcome, FormatEventsError> {
    let tracing = Arc::new(Mutex::new(LinesTracing {
        parts: Some((config, input, output)),
        work: None,
        block: Block::default(),
        stopped: false,
        watch,
        failure: None,
        outcome: FormatOutcome::default(),
    }));
    let ended = flow::run(&tracing);
    let mut tracing = tracing.lock();
    // What happened says more than where in the pipeline it did.
    if let Some(failure) = tracing.failure.take() {
        return Err(failure);
    }
    ended?;
    Ok(std::mem::take(&mut tracing.outcome))
}

type Output = Box<dyn Write + Send>;

/// What there is once the input is listened to.
struct Work {
    blocks: LineBlocks<Box<dyn Read + Send>>,
    formatter: EventFormatter<Output>,
}

/// The work of the pipeline's nodes on event lines.
struct LinesTracing {
    parts: Option<(EventFormatterConfig, Box<dyn Read + Send>, Output)>,
    work: Option<Work>,
    block: Block,
    /// The first problem ended it.
    stopped: bool,
    watch: Box<dyn FormatWatch>,
    failure: Option<FormatEventsError>,
    outcome: FormatOutcome,
}

impl LinesTracing {
    /// Keeps what happened for the caller; the flow is told that something did.
    fn fail(&mut self, failure: impl Into<FormatEventsError>) -> StageError {
        let failure = failure.into();
        let told = failure.to_string();
        self.failure = Some(failure);
        told.into()
    }

    /// Formats the block.
    fn take_block(&mut self) -> Result<(), StageError> {
        let Some(work) = &mut self.work else {
            return Ok(());
        };
        let step = work.formatter.take_block(&self.block);
        self.watch.problems(&work.formatter.take_problems());
        self.watch.read(work.blocks.read_bytes());
        self.block.lines.clear();
        self.block.then_too_long = false;
        match step {
            Ok(step) => {
                self.stopped = step == FormatStep::Stop;
                Ok(())
            }
            Err(error) => Err(self.fail(error)),
        }
    }
}

impl Tracing for LinesTracing {
    fn init(&mut self) -> Result<(), StageError> {
        Ok(())
    }

    fn configure_handlers(&mut self) -> Result<(), StageError> {
        if let Some((config, input, output)) = self.parts.take() {
            self.work = Some(Work {
                blocks: LineBlocks::new(input),
                formatter: EventFormatter::new(config, output),
            });
        }
        Ok(())
    }

    fn attach(&mut self) -> Result<(), StageError> {
        Ok(())
    }

    fn collect(&mut self) -> Result<Collected, StageError> {
        let Some(work) = self.work.as_mut().filter(|_| !self.stopped) else {
            return Ok(Collected::Ended);
        };
        match work.blocks.next_block(&mut self.block) {
            Ok(true) => Ok(Collected::BufferFull),
            Ok(false) => Ok(Collected::Ended),
            Err(error) => Err(self.fail(FormatEventsError::Input(error))),
        }
    }

    fn flush(&mut self) -> Result<(), StageError> {
        self.take_block()
    }

    fn aggregate(&mut self) -> Result<(), StageError> {
        // Figures are added up block by block, so that memory stays what it is; nothing is left of the last one.
        Ok(())
    }

    fn format(&mut self) -> Result<(), StageError> {
        let Some(work) = self.work.take() else {
            return Ok(());
        };
        match work.formatter.finish() {
            Ok((outcome, _)) => {
                self.watch.problems(&outcome.problems);
                self.outcome = outcome;
                Ok(())
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    fn export(&mut self) -> ExportOutcome {
        // The formatter has written everything: a failure would have ended the flow before.
        ExportOutcome::Success
    }
}

#[cfg(test)]
mod tests;
