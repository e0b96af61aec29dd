//! Follows a trace while it is being written, and reads on from where it stopped.
//!
//! Never misses the end: the lines that were open when the document took their place are read to their end. Never
//! waits: whoever follows says when to look again.

use std::fs::{self, File};
use std::io::{self, BufReader, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use flowmeter_model::{SpanKind, TelemetryEvent, TimestampNs, TraceId};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::reader::{LineRead, ReadError, TraceDocument, read_header, read_lines};
use super::sequence::Sequence;
use super::wire::HeaderLine;
use super::writer::metrics_so_far;

/// How much is read at a time.
const READ_BYTES_MAX: usize = 4 << 20;
/// The longest line that is kept while its end is awaited.
const LINE_BYTES_MAX: usize = 256 << 20;

/// What has become of a trace that is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceProgress {
    /// There was more than is read at a time: look again at once.
    Behind,
    /// Everything is read that has been written so far.
    UpToDate,
    /// The run has ended and its document is there.
    Completed,
    /// The file was removed: as that of a run that ended well and is not kept, or by somebody.
    Removed,
    /// Another run writes to the same file.
    Overwritten,
}

/// A trace that is being written, or was when its process was stopped.
pub struct TraceFollower {
    path: PathBuf,
    file: File,
    header: HeaderLine<'static>,
    read: u64,
    /// The beginning of a line whose end is not there yet.
    half: Vec<u8>,
    /// The line is too long to be kept: what follows is passed over.
    skips_line: bool,
    sequence: Sequence,
    broken_lines: usize,
}

impl TraceFollower {
    /// Opens the trace at `path`. `None` when the run has ended and its document is there.
    ///
    /// # Errors
    /// [`ReadError`] when there is no such file, or when it is no trace.
    pub fn open(path: &Path) -> Result<Option<Self>, ReadError> {
        let file = File::open(path).map_err(|source| ReadError::Open {
            path: path.to_owned(),
            source,
        })?;
        let mut reader = BufReader::new(&file);
        let Some(header) = read_header(&mut reader, path)? else {
            return Ok(None);
        };
        let read = reader.stream_position().map_err(|source| ReadError::Open {
            path: path.to_owned(),
            source,
        })?;
        Ok(Some(Self {
            path: path.to_owned(),
            header,
            read,
            half: Vec::new(),
            skips_line: false,
            sequence: Sequence::default(),
            broken_lines: 0,
            file,
        }))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The run.
    #[must_use]
    pub fn trace_id(&self) -> TraceId {
        self.header.trace_id
    }

    /// The workflow's name.
    #[must_use]
    pub fn workflow(&self) -> &str {
        &self.header.workflow
    }

    /// When the run began.
    #[must_use]
    pub fn started(&self) -> TimestampNs {
        self.header.start_time
    }

    /// The process that writes it, or did.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.header.pid
    }

    /// Whether the whole trace is kept.
    #[must_use]
    pub fn sampled(&self) -> bool {
        self.header.sampled
    }

    /// Lines that could not be read.
    #[must_use]
    pub fn broken_lines(&self) -> usize {
        self.broken_lines
    }

    /// Whether somebody is writing it, by the lock on it; `None` where the file system has no locks.
    #[must_use]
    pub fn is_being_written(&self) -> Option<bool> {
        match flock(&self.file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => {
                let _given_back_with_the_file = flock(&self.file, FlockOperation::Unlock);
                Some(false)
            }
            Err(Errno::WOULDBLOCK) => Some(true),
            Err(_) => None,
        }
    }

    /// Adds what was written since the last look to `events`, in the order in which it happened.
    ///
    /// # Errors
    /// [`ReadError::Open`] when it can be read no longer.
    pub fn poll(&mut self, events: &mut Vec<TelemetryEvent>) -> Result<TraceProgress, ReadError> {
        let path = self.path.clone();
        let failed = |source| ReadError::Open {
            path: path.clone(),
            source,
        };
        // First where the file stands, then what is in it: everything is written before the file is replaced.
        let progress = self.progress().map_err(failed)?;
        let mut lines = Vec::new();
        let is_behind = self.read_on(&mut lines).map_err(failed)?;
        let is_last = !is_behind && progress != TraceProgress::UpToDate;
        if is_last && !self.half.is_empty() {
            self.half.clear();
            self.broken_lines += 1;
        }
        self.sequence.order(lines, self.header.trace_id, is_last, events);
        Ok(if is_behind {
            TraceProgress::Behind
        } else {
            progress
        })
    }

    fn progress(&self) -> io::Result<TraceProgress> {
        let own = self.file.metadata()?;
        let there = match fs::metadata(&self.path) {
            Ok(there) => there,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(TraceProgress::Removed),
            Err(error) => return Err(error),
        };
        if (there.dev(), there.ino()) != (own.dev(), own.ino()) {
            return Ok(TraceProgress::Completed);
        }
        if own.len() < self.read {
            return Ok(TraceProgress::Overwritten);
        }
        Ok(TraceProgress::UpToDate)
    }

    /// Reads what is there, up to a limit; says whether there is more.
    fn read_on(&mut self, lines: &mut Vec<LineRead>) -> io::Result<bool> {
        let left = self.file.metadata()?.len().saturating_sub(self.read);
        let mut bytes = vec![0; usize::try_from(left).unwrap_or(usize::MAX).min(READ_BYTES_MAX)];
        let mut count = 0;
        while count < bytes.len() {
            match self.file.read_at(&mut bytes[count..], self.read) {
                Ok(0) => break,
                Ok(more) => {
                    count += more;
                    self.read += more as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        for piece in bytes[..count].split_inclusive(|byte| *byte == b'\n') {
            self.take(piece, lines);
        }
        Ok(count == READ_BYTES_MAX)
    }

    fn take(&mut self, piece: &[u8], lines: &mut Vec<LineRead>) {
        let is_whole = piece.ends_with(b"\n");
        if self.skips_line || self.half.len() + piece.len() > LINE_BYTES_MAX {
            self.broken_lines += usize::from(!self.skips_line);
            self.skips_line = !is_whole;
            self.half = Vec::new();
            return;
        }
        if !is_whole {
            self.half.extend_from_slice(piece);
            return;
        }
        let read = if self.half.is_empty() {
            LineRead::parse(piece, self.header.trace_id)
        } else {
            self.half.extend_from_slice(piece);
            let read = LineRead::parse(&self.half, self.header.trace_id);
            self.half.clear();
            self.half.shrink_to(READ_BYTES_MAX);
            read
        };
        match read {
            Ok(line) => lines.push(line),
            Err(_) => self.broken_lines += 1,
        }
    }

    /// Reads all of it from the beginning, also when the file was removed. A run that was seen to end is finished.
    ///
    /// # Errors
    /// [`ReadError::Open`] when it can be read no longer.
    pub fn read_whole(&self) -> Result<TraceDocument, ReadError> {
        let failed = |source| ReadError::Open {
            path: self.path.clone(),
            source,
        };
        let mut reader = BufReader::new(&self.file);
        reader.seek(SeekFrom::Start(0)).map_err(failed)?;
        let Some(header) = read_header(&mut reader, &self.path)? else {
            return Err(ReadError::NoTrace {
                path: self.path.clone(),
                problem: "another run has written to it".to_owned(),
            });
        };
        let mut trace = read_lines(reader, &header).map_err(failed)?;
        let root = trace
            .spans
            .iter()
            .find(|span| span.kind == SpanKind::Run && span.end.is_some());
        if let Some(root) = root {
            (trace.status, trace.error) = (root.status, root.error.clone());
            trace.metrics = Some(metrics_so_far(&trace));
        }
        Ok(trace)
    }
}

impl TraceDocument {
    /// What happened in the run, in its order: the beginnings and ends of spans, and logs.
    #[must_use]
    pub fn into_events(self) -> Vec<TelemetryEvent> {
        let trace_id = self
            .spans
            .first()
            .map(|span| span.trace_id)
            .or_else(|| TraceId::parse(&self.trace_id).ok())
            .unwrap_or_else(super::reader::placeholder_trace);
        let spans = self.spans.into_iter().map(|span| {
            if span.end.is_some() {
                LineRead::Ended(span)
            } else {
                LineRead::Open(span)
            }
        });
        let lines = spans.chain(self.logs.into_iter().map(LineRead::Log)).collect();
        let mut events = Vec::new();
        Sequence::default().order(lines, trace_id, true, &mut events);
        events
    }
}

#[cfg(test)]
mod tests;
