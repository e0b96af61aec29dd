//! Writes a trace: a line for each span and log as it ends, and at the end the document in their place.
//!
//! Never holds more than a buffer: the document is copied from the lines.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use flowmeter_model::{LogRecord, Span, SpanKind, SpanStatus};
use rustix::fs::{FlockOperation, flock};
use serde::Serialize;
use serde_json::{Value, json};

use super::wire::{FORMAT, HeaderLine, LOG_PREFIX, LogWire, OpenLine, SPAN_PREFIX, SpanWire};
use super::{KeepTrace, TraceDocument, TraceEnding, TraceFileError, TraceHeader, reduce};
use crate::metrics::milliseconds;
use crate::recorder::DropCounts;

const BUFFER_BYTES: usize = 64 * 1024;

/// A trace that is being written.
pub(crate) struct TraceFile {
    path: PathBuf,
    header: TraceHeader,
    keep: KeepTrace,
    /// A device takes the lines and is never replaced by a document.
    is_device: bool,
    lines: BufWriter<File>,
}

/// The file behind `path`, symbolic links followed, and whether it is a device. What is neither a file nor a
/// device is refused: a pipe that nobody reads would hold the run up for ever.
fn resolve(path: PathBuf) -> Result<(PathBuf, bool), TraceFileError> {
    let Ok(found) = fs::metadata(&path) else {
        return Ok((path, false));
    };
    if found.is_file() {
        return Ok((fs::canonicalize(&path).unwrap_or(path), false));
    }
    #[cfg(unix)]
    if std::os::unix::fs::FileTypeExt::is_char_device(&found.file_type()) {
        return Ok((path, true));
    }
    Err(TraceFileError::NoFile { path })
}

impl TraceFile {
    /// Makes the file, and its folder if need be, and writes the header.
    pub(crate) fn create(
        path: PathBuf,
        header: &TraceHeader,
        keep: KeepTrace,
    ) -> Result<Self, TraceFileError> {
        let (path, is_device) = resolve(path)?;
        let create = |path: &Path| {
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                fs::create_dir_all(folder)?;
            }
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(true);
            // Prompts and values are nobody else's business.
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            options.open(path)
        };
        let file = create(&path).map_err(|source| TraceFileError::Create {
            path: path.clone(),
            source,
        })?;
        let mut file = Self {
            path,
            header: header.clone(),
            keep,
            is_device,
            lines: BufWriter::with_capacity(BUFFER_BYTES, file),
        };
        // Whoever follows the trace sees by the lock that it is being written: it goes with the process. Without
        // one, the process's number has to do.
        let _not_locked = flock(file.lines.get_ref(), FlockOperation::NonBlockingLockExclusive);
        file.write_line(TraceLine::Header(header))?;
        file.flush()?;
        Ok(file)
    }

    fn failed(&self, source: io::Error) -> TraceFileError {
        TraceFileError::Write {
            path: self.path.clone(),
            source,
        }
    }

    fn write_line(&mut self, line: TraceLine<'_>) -> Result<(), TraceFileError> {
        line.write(&mut self.lines).map_err(|source| self.failed(source))
    }

    pub(crate) fn write_span(&mut self, span: &Span) -> Result<(), TraceFileError> {
        self.write_line(TraceLine::Span(span))
    }

    pub(crate) fn write_open_span(&mut self, span: &Span) -> Result<(), TraceFileError> {
        self.write_line(TraceLine::Open(span))
    }

    pub(crate) fn write_log(&mut self, record: &LogRecord) -> Result<(), TraceFileError> {
        self.write_line(TraceLine::Log(record))
    }

    /// Hands what was written to the operating system: a kill of the process loses none of it.
    pub(crate) fn flush(&mut self) -> Result<(), TraceFileError> {
        self.lines.flush().map_err(|source| self.failed(source))
    }

    /// Replaces the lines by the document, in one step; says where it is. A trace that is not to be kept goes.
    pub(crate) fn finish(
        mut self,
        ending: &TraceEnding,
        dropped: DropCounts,
    ) -> Result<Option<PathBuf>, TraceFileError> {
        if self.is_device {
            return self.flush().map(|()| None);
        }
        let path = self.path.clone();
        if self.keep == KeepTrace::UnlessOk && ending.status == SpanStatus::Ok {
            // Whoever follows the trace has it open and reads on.
            let _nobody_else_will_miss_it = self.flush();
            return match fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => Err(self.failed(source)),
                _ => Ok(None),
            };
        }
        self.flush()?;
        let mut beside = path.clone().into_os_string();
        beside.push(format!(".{}.partial", std::process::id()));
        let beside = PathBuf::from(beside);
        // The lock on the lines is held until the document is there.
        let replaced = self
            .write_document(&beside, ending, dropped)
            .and_then(|_locked| fs::rename(&beside, &path));
        replaced.map_err(|source| {
            let _ = fs::remove_file(&beside);
            TraceFileError::Complete {
                path: path.clone(),
                source,
            }
        })?;
        Ok(Some(path))
    }

    fn write_document(self, target: &Path, ending: &TraceEnding, dropped: DropCounts) -> io::Result<File> {
        let mut lines = self.lines.into_inner().map_err(io::IntoInnerError::into_error)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut document = BufWriter::with_capacity(BUFFER_BYTES, options.open(target)?);
        write_document(&mut lines, &self.header, ending, dropped, &mut document)?;
        document.flush()?;
        Ok(lines)
    }
}

/// One line of a trace that is being written.
pub(crate) enum TraceLine<'a> {
    /// The first one.
    Header(&'a TraceHeader),
    /// A span that ended.
    Span(&'a Span),
    /// A span that goes on.
    Open(&'a Span),
    /// A log.
    Log(&'a LogRecord),
}

impl TraceLine<'_> {
    /// Writes the line with its end.
    pub(crate) fn write(&self, output: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Header(header) => {
                let line = HeaderLine {
                    format: FORMAT.into(),
                    trace_id: header.trace_id,
                    workflow: header.workflow.as_str().into(),
                    start_time: header.started,
                    pid: std::process::id(),
                    sampled: header.sampled,
                };
                serde_json::to_writer(&mut *output, &line)?;
            }
            Self::Span(span) => serde_json::to_writer(&mut *output, &SpanWire::of(span))?,
            Self::Open(span) => {
                let open = SpanWire::of(span);
                serde_json::to_writer(&mut *output, &OpenLine { open })?;
            }
            Self::Log(record) => serde_json::to_writer(&mut *output, &LogWire::of(record))?,
        }
        output.write_all(b"\n")
    }
}

/// Writes the document that the lines make.
pub(crate) fn write_document(
    lines: &mut File,
    header: &TraceHeader,
    ending: &TraceEnding,
    dropped: DropCounts,
    document: &mut impl Write,
) -> io::Result<()> {
    write!(
        document,
        "{{\"format\":{},\"trace_id\":\"{}\",\"workflow\":{},\"start_time\":{},\"status\":\"{}\"",
        json!(FORMAT),
        header.trace_id,
        json!(header.workflow.as_str()),
        header.started.0,
        ending.status.as_str()
    )?;
    if let Some(error) = &ending.error {
        write!(document, ",\"error\":{}", json!(error))?;
    }
    if !ending.sampled {
        document.write_all(b",\"sampled\":false")?;
    }
    match ending.reduced_to {
        None => {
            document.write_all(b",\"spans\":[")?;
            copy_lines(lines, SPAN_PREFIX, document)?;
            document.write_all(b"],\"logs\":[")?;
            copy_lines(lines, LOG_PREFIX, document)?;
            document.write_all(b"]")?;
        }
        Some(root) => reduce::write_minimal(lines, header.trace_id, root, document)?,
    }
    write!(document, ",\"metrics\":{}}}", metrics_of(ending, dropped))?;
    document.write_all(b"\n")
}

fn metrics_of(ending: &TraceEnding, dropped: DropCounts) -> Value {
    let mut metrics = ending.metrics.trace_json();
    if dropped.total() > 0 {
        metrics.insert("dropped".to_owned(), dropped.to_json());
    }
    Value::Object(metrics)
}

/// Writes `trace` as the agreed JSON document. One of a run that did not finish says so: its `status` is
/// `unfinished`, and its metrics count what had ended.
///
/// # Errors
/// Whatever `output` fails with.
pub fn write_trace_json(trace: &TraceDocument, output: &mut dyn Write) -> io::Result<()> {
    let spans: Vec<SpanWire<'_>> = trace.spans.iter().map(SpanWire::of).collect();
    let logs: Vec<LogWire<'_>> = trace.logs.iter().map(LogWire::of).collect();
    let status = trace.status.map_or("unfinished", SpanStatus::as_str);
    let document = DocumentOut {
        format: FORMAT,
        trace_id: &trace.trace_id,
        workflow: trace.workflow.as_deref(),
        start_time: trace.started.map(|started| started.0),
        status: if trace.is_finished() && trace.status.is_none() {
            None
        } else {
            Some(status)
        },
        sampled: trace.sampled,
        error: trace.error.as_ref(),
        spans,
        logs,
        metrics: trace.metrics.clone().unwrap_or_else(|| metrics_so_far(trace)),
    };
    serde_json::to_writer_pretty(&mut *output, &document)?;
    output.write_all(b"\n")
}

#[derive(Serialize)]
struct DocumentOut<'a> {
    format: &'static str,
    trace_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "is_whole")]
    sampled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a flowmeter_model::SpanError>,
    spans: Vec<SpanWire<'a>>,
    logs: Vec<LogWire<'a>>,
    metrics: Value,
}

fn is_whole(sampled: &bool) -> bool {
    *sampled
}

/// The metrics of a run that nobody saw end.
pub(super) fn metrics_so_far(trace: &TraceDocument) -> Value {
    let ended = || trace.spans.iter().filter(|span| span.end.is_some());
    let nodes = || ended().filter(|span| span.kind == SpanKind::Node);
    let (count, well) = (
        nodes().count(),
        nodes().filter(|span| span.status == Some(SpanStatus::Ok)).count(),
    );
    let first = trace
        .started
        .or_else(|| trace.spans.iter().map(|span| span.start).min());
    let last = ended().filter_map(|span| span.end).max();
    let duration_ns = first.zip(last).map_or(0, |(first, last)| last.since(first));
    json!({
        "total_duration_ms": milliseconds(duration_ns),
        "node_count": count,
        "success_rate": if count == 0 { 1.0 } else { well as f64 / count as f64 },
    })
}

/// Copies the lines that begin with `prefix`, joined by commas.
fn copy_lines(lines: &mut File, prefix: &[u8], document: &mut impl Write) -> io::Result<()> {
    lines.seek(SeekFrom::Start(0))?;
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, lines);
    let mut line = Vec::new();
    let mut first = true;
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.starts_with(prefix) {
            document.write_all(if first { b"\n" } else { b",\n" })?;
            first = false;
            document.write_all(line.strip_suffix(b"\n").unwrap_or(&line))?;
        }
    }
}
