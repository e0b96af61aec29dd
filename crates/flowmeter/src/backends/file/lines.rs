//! Lines on their way to a file, a pipe or a device: what could not be written waits, up to a bound.
//!
//! Never reorders lines, and never hands on a part of one.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flowmeter_model::{Clock, TraceId};

use super::appended::AppendedFile;
use super::rotation::Rotation;
use super::stream::Stream;
use super::{FileMode, FileSync};
use crate::backends::{Deadline, ExportError};

/// How much may wait for a disk that is full or a pipe that nobody reads.
const WAITING_BYTES_MAX: usize = 4 << 20;
/// How long another process, or the reader of a pipe, is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// The same where nothing new is to be written.
const PATIENCE_BETWEEN: Duration = Duration::from_millis(100);

/// How lines are written.
pub(super) struct LinesRules {
    pub(super) mode: FileMode,
    pub(super) rotation: Option<Rotation>,
    pub(super) sync: FileSync,
}

/// How much of some lines was written; what is left begins with a line.
pub(super) struct Written {
    pub(super) bytes: usize,
    pub(super) outcome: io::Result<()>,
}

/// The lines of one file.
pub(super) struct Lines {
    /// As it was asked for, in messages.
    path: PathBuf,
    sink: Sink,
    /// Where the lines go when all are written.
    replaces: Option<PathBuf>,
    sync: FileSync,
    /// Whole lines that could not be written yet.
    waiting: Vec<u8>,
    /// Lines that were too many to wait.
    lost: u64,
}

enum Sink {
    File(AppendedFile),
    Stream(Stream),
}

impl Sink {
    /// Whether a line was begun that is still to be ended.
    fn is_in_a_line(&self) -> bool {
        matches!(self, Self::Stream(stream) if stream.is_in_a_line())
    }

    fn write(&mut self, lines: &[u8], patience: Duration) -> Written {
        match self {
            Self::File(file) => file.write(lines, patience),
            Self::Stream(stream) => stream.write(lines, patience),
        }
    }
}

impl Lines {
    /// Opens what is at `path`, or makes a file there.
    pub(super) fn create(
        path: &Path,
        rules: LinesRules,
        trace_id: TraceId,
        clock: Arc<dyn Clock>,
        deadline: Deadline,
    ) -> Result<Self, ExportError> {
        let mut replaces = None;
        let sink = match kind_of(path)? {
            Kind::Stream { is_pipe } => Sink::Stream(Stream::new(path.to_owned(), is_pipe, deadline)),
            Kind::File(target) => {
                let written = match rules.mode {
                    FileMode::Append => target,
                    FileMode::Replace => {
                        let beside = beside(&target, trace_id, "partial");
                        replaces = Some(target);
                        beside
                    }
                };
                let each_batch = rules.sync == FileSync::EachBatch;
                let mut file = AppendedFile::new(written, rules.rotation, each_batch, clock, deadline);
                file.open().map_err(|error| failed(path, error))?;
                Sink::File(file)
            }
        };
        Ok(Self {
            path: path.to_owned(),
            sink,
            replaces,
            sync: rules.sync,
            waiting: Vec::new(),
            lost: 0,
        })
    }

    /// Writes whole lines. What cannot be written waits for the next call.
    pub(super) fn write(&mut self, lines: &[u8]) -> Result<(), ExportError> {
        let outcome = match self.write_waiting(PATIENCE) {
            Ok(()) => self.sink.write(lines, PATIENCE),
            Err(error) => Written {
                bytes: 0,
                outcome: Err(error),
            },
        };
        self.wait(&lines[outcome.bytes..]);
        outcome.outcome.map_err(|error| failed(&self.path, error))
    }

    /// Writes what waits.
    pub(super) fn retry(&mut self) -> Result<(), ExportError> {
        self.write_waiting(PATIENCE_BETWEEN)
            .map_err(|error| failed(&self.path, error))
    }

    fn write_waiting(&mut self, patience: Duration) -> io::Result<()> {
        if self.waiting.is_empty() && !self.sink.is_in_a_line() {
            return Ok(());
        }
        let written = self.sink.write(&self.waiting, patience);
        self.waiting.drain(..written.bytes);
        if self.waiting.is_empty() {
            self.waiting = Vec::new();
        }
        written.outcome
    }

    /// Keeps the lines for which there is room.
    fn wait(&mut self, lines: &[u8]) {
        for line in lines_of(lines) {
            if self.waiting.len() + line.len() <= WAITING_BYTES_MAX {
                self.waiting.extend_from_slice(line);
            } else {
                self.lost += 1;
            }
        }
    }

    #[cfg(test)]
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting.len()
    }

    /// The last try; then the file gets its name.
    pub(super) fn finish(mut self) -> Result<(), ExportError> {
        let written = self.write_waiting(PATIENCE);
        let left = lines_of(&self.waiting).count() as u64 + self.lost;
        if left > 0 {
            let message = format!("{left} lines could not be written to {}", self.path.display());
            return Err(match written {
                Ok(()) => ExportError::new(message),
                Err(error) => ExportError::new(message).with_source(error),
            });
        }
        let Sink::File(file) = self.sink else {
            return Ok(());
        };
        let mut outcome = written;
        if self.sync != FileSync::Never {
            outcome = outcome.and(file.sync());
        }
        if let Some(target) = &self.replaces {
            outcome = outcome.and_then(|()| replace(file.path(), target, self.sync));
        }
        outcome.map_err(|error| failed(&self.path, error))
    }
}

fn failed(path: &Path, source: io::Error) -> ExportError {
    ExportError::new(format!("{} could not be written", path.display())).with_source(source)
}

fn lines_of(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
}

/// Gives a file that is complete its name, in one step.
pub(super) fn replace(from: &Path, to: &Path, sync: FileSync) -> io::Result<()> {
    fs::rename(from, to)?;
    if sync == FileSync::Never {
        return Ok(());
    }
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// A file beside the one that is meant: nobody else's run has this name.
pub(super) fn beside(target: &Path, trace_id: TraceId, what: &str) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(format!(".{trace_id}.{what}"));
    PathBuf::from(name)
}

/// What can be written to.
pub(super) enum Kind {
    /// A file, links followed; it may not be there yet.
    File(PathBuf),
    /// A pipe or a device.
    Stream { is_pipe: bool },
}

pub(super) fn kind_of(path: &Path) -> Result<Kind, ExportError> {
    let refused = |why: &str| ExportError::new(format!("{} {why}", path.display()));
    let found = match fs::metadata(path) {
        Ok(found) => found.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Kind::File(path.to_owned())),
        Err(error) => return Err(failed(path, error)),
    };
    if found.is_fifo() || found.is_char_device() {
        let is_pipe = found.is_fifo();
        return Ok(Kind::Stream { is_pipe });
    }
    if !found.is_file() {
        return Err(refused(
            "is neither a file nor a pipe nor a device; name another place",
        ));
    }
    // Behind /dev/stdout the process writes at a place of its own: one would overwrite the other.
    if path.starts_with("/dev") || path.starts_with("/proc") {
        return Err(refused(
            "leads to a file that is open already; name that file itself",
        ));
    }
    Ok(Kind::File(
        fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()),
    ))
}
