//! Files: the trace document, event lines, or OpenTelemetry's file format, replaced in one step or appended to.
//!
//! Never leaves half a line in front of another one, and never writes into what another process is writing.

mod appended;
mod document;
mod lines;
mod otlp;
mod rotation;
mod stream;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowmeter_model::{Clock, SystemClock, TelemetryEvent};
use flowmeter_otlp::EncoderConfig;
use thiserror::Error;

use self::document::DocumentFile;
use self::lines::{Lines, LinesRules};
use self::otlp::OtlpFiles;
pub use self::rotation::Rotation;
use super::{Backend, Batch, Deadline, ExportError, RunEnding, RunIdentity};
use crate::events::write_event;

/// How much room for lines is kept from one batch to the next.
const BUFFER_BYTES_MAX: usize = 8 << 20;

/// What is written into the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// The agreed trace document: one JSON object, there when the run has ended.
    Json,
    /// Event lines: one JSON object a line, as things happen.
    JsonLines,
    /// OpenTelemetry's file format: OTLP/JSON, one export request a line, a file for each signal. `run.jsonl` stands
    /// for `run.traces.jsonl`, `run.logs.jsonl` and `run.metrics.jsonl`; `traces.jsonl` for itself, `logs.jsonl` and
    /// `metrics.jsonl`; a folder for these three in it. Metrics come when the run has ended.
    Otlp,
}

/// What becomes of what is in the file already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileMode {
    /// New lines come behind it. Several processes may append to one file.
    Append,
    /// It stays as it is until the run has ended, and is then replaced in one step.
    Replace,
}

/// When what was written has to be on the disk itself, and not only with the operating system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileSync {
    /// When the operating system likes: a kill of the process loses nothing, a power cut a few seconds.
    #[default]
    Never,
    /// When the run has ended.
    AtEnd,
    /// After every batch. Slow.
    EachBatch,
}

/// Where a [`FileBackend`] writes, and how.
#[derive(Clone, Debug)]
pub struct FileConfig {
    /// The file. Its folder is made if need be; symbolic links are followed. For lines it may be a named pipe or a
    /// device.
    pub path: PathBuf,
    /// What is written.
    pub format: FileFormat,
    /// What becomes of what is there already. Default: a document replaces, lines are appended.
    pub mode: FileMode,
    /// When a file that is appended to makes way for a new one. Default: never.
    pub rotation: Option<Rotation>,
    /// When it has to be on the disk. Default: [`FileSync::Never`].
    pub sync: FileSync,
    /// What [`FileFormat::Otlp`] writes beyond the bare telemetry. Default: as [`EncoderConfig`] has it, without
    /// content.
    pub otlp: EncoderConfig,
}

impl FileConfig {
    /// This format into this file, and the defaults.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, format: FileFormat) -> Self {
        let mode = match format {
            FileFormat::Json => FileMode::Replace,
            FileFormat::JsonLines | FileFormat::Otlp => FileMode::Append,
        };
        Self {
            path: path.into(),
            format,
            mode,
            rotation: None,
            sync: FileSync::default(),
            otlp: EncoderConfig::default(),
        }
    }

    fn check(&self) -> Result<(), InvalidFileConfig> {
        if self.path.as_os_str().is_empty() {
            return Err(InvalidFileConfig::NoPath);
        }
        if self.format == FileFormat::Json && self.mode == FileMode::Append {
            return Err(InvalidFileConfig::AppendedDocument);
        }
        let Some(rotation) = &self.rotation else {
            return Ok(());
        };
        if self.mode == FileMode::Replace {
            return Err(InvalidFileConfig::ReplacedRotation);
        }
        if rotation.bytes_max.is_none() && rotation.age_max.is_none() {
            return Err(InvalidFileConfig::UnlimitedRotation);
        }
        Ok(())
    }
}

/// What is wrong with the settings of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidFileConfig {
    /// There is no path.
    #[error("the telemetry file has no name; give one")]
    NoPath,
    /// One document behind another is no document.
    #[error("a JSON document cannot be appended to a file; let it replace the file, or write JSON Lines")]
    AppendedDocument,
    /// There is nothing to rotate.
    #[error("a file that every run replaces is not rotated; append to it, or leave the rotation out")]
    ReplacedRotation,
    /// It would never happen.
    #[error("the rotation of the telemetry file has neither a size nor an age; give one of them")]
    UnlimitedRotation,
}

/// Writes the telemetry of a run to a file.
pub struct FileBackend {
    config: FileConfig,
    clock: Arc<dyn Clock>,
    place: Option<Place>,
}

/// The files of a run that goes on.
enum Place {
    Document(Box<DocumentFile>),
    Events { lines: Box<Lines>, text: Vec<u8> },
    Otlp(Box<OtlpFiles>),
}

impl FileBackend {
    /// A backend with these settings. Nothing is opened before the run begins.
    ///
    /// # Errors
    /// [`InvalidFileConfig`] when the settings contradict each other.
    pub fn new(config: FileConfig) -> Result<Self, InvalidFileConfig> {
        config.check()?;
        Ok(Self {
            config,
            clock: Arc::new(SystemClock),
            place: None,
        })
    }

    /// Takes the time for rotation from this clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    fn open(&self, run: &Arc<RunIdentity>, deadline: &Deadline) -> Result<Place, ExportError> {
        match self.config.format {
            FileFormat::Json => Ok(Place::Document(Box::new(DocumentFile::create(
                &self.config.path,
                run,
                self.config.sync,
                Arc::clone(&self.clock),
                deadline.clone(),
            )?))),
            FileFormat::JsonLines => Ok(Place::Events {
                lines: Box::new(self.lines(&self.config.path, run, deadline)?),
                text: Vec::new(),
            }),
            FileFormat::Otlp => Ok(Place::Otlp(Box::new(OtlpFiles::create(
                &self.config.path,
                &self.config.otlp,
                run,
                |path| self.lines(path, run, deadline),
            )?))),
        }
    }

    fn lines(&self, path: &Path, run: &RunIdentity, deadline: &Deadline) -> Result<Lines, ExportError> {
        let rules = LinesRules {
            mode: self.config.mode,
            rotation: self.config.rotation.clone(),
            sync: self.config.sync,
        };
        Lines::create(
            path,
            rules,
            run.trace_id,
            Arc::clone(&self.clock),
            deadline.clone(),
        )
    }
}

impl Backend for FileBackend {
    fn name(&self) -> &str {
        "file"
    }

    fn begin(&mut self, run: &Arc<RunIdentity>, deadline: &Deadline) -> Result<(), ExportError> {
        self.place = Some(self.open(run, deadline)?);
        Ok(())
    }

    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        let place = match self.place.take() {
            Some(place) => place,
            None => self.open(&batch.run, &Deadline::default())?,
        };
        match self.place.insert(place) {
            Place::Document(document) => document.write(&batch.events),
            Place::Otlp(files) => files.write(&batch.events),
            Place::Events { lines, text } => {
                let encoded = encode_events(&batch.run, &batch.events, text);
                let outcome = encoded.and(lines.write(text));
                text.clear();
                text.shrink_to(BUFFER_BYTES_MAX);
                outcome
            }
        }
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        match &mut self.place {
            Some(Place::Document(document)) => document.flush(),
            Some(Place::Events { lines, .. }) => lines.retry(),
            Some(Place::Otlp(files)) => files.flush(),
            None => Ok(()),
        }
    }

    fn finish(&mut self, ending: &RunEnding) -> Result<(), ExportError> {
        match self.place.take() {
            Some(Place::Document(document)) => document.finish(ending),
            Some(Place::Events { lines, .. }) => lines.finish(),
            Some(Place::Otlp(files)) => files.finish(ending),
            None => Ok(()),
        }
    }
}

fn encode_events(
    run: &RunIdentity,
    events: &[TelemetryEvent],
    text: &mut Vec<u8>,
) -> Result<(), ExportError> {
    let mut outcome = Ok(());
    for event in events {
        let whole = text.len();
        if let Err(error) = write_event(text, run, event) {
            // A line that cannot be said must not spoil the next one.
            text.truncate(whole);
            outcome = Err(ExportError::new("an event could not be put into a line").with_source(error));
        }
    }
    outcome
}

#[cfg(test)]
mod tests;
