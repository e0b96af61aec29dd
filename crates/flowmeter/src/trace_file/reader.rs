//! Reads a trace in either form: the document of a run that ended, or the lines of one that did not.
//!
//! A line that was cut off by a kill is left out and counted; nothing else is lost because of it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flowmeter_model::{LogRecord, Span, SpanError, SpanId, SpanStatus, TimestampNs, TraceId};
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use super::wire::{FORMAT, HeaderLine, LOG_PREFIX, LogWire, OPEN_PREFIX, OpenLine, SpanWire, yes};

/// A trace as it was read.
#[derive(Debug)]
pub struct TraceDocument {
    /// The run's id as written; other tools' ids may have another form.
    pub trace_id: String,
    /// The workflow's name, where it was given.
    pub workflow: Option<String>,
    /// When the run began.
    pub started: Option<TimestampNs>,
    /// How it ended; `None` when nobody saw it end.
    pub status: Option<SpanStatus>,
    /// Why it failed.
    pub error: Option<SpanError>,
    /// Every span that ended, and those that were named while they ran.
    pub spans: Vec<Span>,
    /// Every log line.
    pub logs: Vec<LogRecord>,
    /// The metrics as written; `None` when the run did not end.
    pub metrics: Option<Value>,
    /// Whether it is the whole trace; of a run that was not sampled only the root, errors and LLM usage are kept.
    pub sampled: bool,
    /// The process that writes it, when the run has not ended.
    pub pid: Option<u32>,
    /// Lines that could not be read.
    pub broken_lines: usize,
}

impl TraceDocument {
    /// Whether the file says that the run ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.metrics.is_some()
    }
}

/// Why a file is no trace.
#[derive(Debug, Error)]
pub enum ReadError {
    /// It cannot be read.
    #[error("{} cannot be read", path.display())]
    Open {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is something else.
    #[error("{} is no trace: {problem}", path.display())]
    NoTrace {
        /// Where.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// The longest first line that is looked at.
const HEADER_BYTES_MAX: u64 = 1 << 20;

/// How a document says that its run ended.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StatusWire {
    Ok,
    Error,
    Cancelled,
    /// The document was made of a run that nobody saw end.
    Unfinished,
}

impl StatusWire {
    fn ended(self) -> Option<SpanStatus> {
        match self {
            Self::Ok => Some(SpanStatus::Ok),
            Self::Error => Some(SpanStatus::Error),
            Self::Cancelled => Some(SpanStatus::Cancelled),
            Self::Unfinished => None,
        }
    }
}

#[derive(Deserialize)]
struct DocumentWire {
    #[serde(default)]
    format: Option<String>,
    trace_id: String,
    #[serde(default)]
    workflow: Option<String>,
    #[serde(default)]
    start_time: Option<TimestampNs>,
    #[serde(default)]
    status: Option<StatusWire>,
    #[serde(default = "yes")]
    sampled: bool,
    #[serde(default)]
    error: Option<SpanError>,
    spans: Vec<Value>,
    #[serde(default)]
    logs: Vec<Value>,
    #[serde(default)]
    metrics: Value,
}

/// Reads the trace at `path`.
///
/// # Errors
/// [`ReadError`] when there is no such file, or when it is no trace.
pub fn read_trace(path: &Path) -> Result<TraceDocument, ReadError> {
    let open = |source| ReadError::Open {
        path: path.to_owned(),
        source,
    };
    let no_trace = |problem: String| ReadError::NoTrace {
        path: path.to_owned(),
        problem,
    };
    let mut reader = BufReader::new(File::open(path).map_err(open)?);
    if let Some(header) = read_header(&mut reader, path)? {
        return read_lines(reader, &header).map_err(open);
    }
    reader.seek(SeekFrom::Start(0)).map_err(open)?;
    let mut text = String::new();
    reader
        .read_to_string(&mut text)
        .map_err(|source| match source.kind() {
            io::ErrorKind::InvalidData => no_trace("it is not UTF-8 text".to_owned()),
            _ => open(source),
        })?;
    if !text.trim_start().starts_with('{') {
        return Err(no_trace(
            "a trace is a JSON object with `trace_id` and `spans`".to_owned(),
        ));
    }
    let document: DocumentWire = serde_json::from_str(&text).map_err(|error| no_trace(error.to_string()))?;
    if let Some(format) = &document.format {
        check_format(format).map_err(no_trace)?;
    }
    document.into_trace().map_err(no_trace)
}

fn check_format(format: &str) -> Result<(), String> {
    if format == FORMAT {
        return Ok(());
    }
    match format.strip_prefix("flowmeter.trace/") {
        Some(version) => Err(format!(
            "its format version is {version}, and this program reads version 1; use a newer one"
        )),
        None => Err(format!("its format is `{format}`, not `{FORMAT}`")),
    }
}

impl DocumentWire {
    fn into_trace(self) -> Result<TraceDocument, String> {
        let trace_id = TraceId::parse(&self.trace_id).ok();
        let mut foreign_ids = ForeignIds::default();
        let mut spans = Vec::with_capacity(self.spans.len());
        for (index, mut value) in self.spans.into_iter().enumerate() {
            foreign_ids.adapt(&mut value);
            let wire: SpanWire<'static> =
                serde_json::from_value(value).map_err(|error| format!("span {}: {error}", index + 1))?;
            spans.push(wire.into_span(trace_id.unwrap_or_else(placeholder_trace)));
        }
        let mut logs = Vec::with_capacity(self.logs.len());
        for (index, mut value) in self.logs.into_iter().enumerate() {
            foreign_ids.adapt(&mut value);
            let wire: LogWire<'static> =
                serde_json::from_value(value).map_err(|error| format!("log {}: {error}", index + 1))?;
            logs.push(wire.into_record());
        }
        Ok(TraceDocument {
            trace_id: self.trace_id,
            workflow: self.workflow,
            started: self.start_time,
            status: self.status.and_then(StatusWire::ended),
            error: self.error,
            spans,
            logs,
            metrics: (self.status != Some(StatusWire::Unfinished)).then_some(self.metrics),
            sampled: self.sampled,
            pid: None,
            broken_lines: 0,
        })
    }
}

/// Spans carry their trace's id; where that is no W3C id, any valid one does, for nothing reads it.
pub(super) fn placeholder_trace() -> TraceId {
    flowmeter_model::IdSource::from_seed(0).trace_id()
}

/// Gives span ids of other forms (`span1`) ids of ours, the same one each time, in spans and logs alike.
#[derive(Default)]
struct ForeignIds {
    given: HashMap<String, SpanId>,
}

impl ForeignIds {
    fn adapt(&mut self, item: &mut Value) {
        for field in ["span_id", "parent_span_id"] {
            let Some(Value::String(id)) = item.get_mut(field) else {
                continue;
            };
            if SpanId::parse(id).is_err() {
                let next = self.given.len() as u64 + 1;
                if let Some(fresh) = SpanId::from_u64(next) {
                    *id = self.given.entry(id.clone()).or_insert(fresh).to_string();
                }
            }
        }
    }
}

/// What a line of a running trace says.
pub(super) enum LineRead {
    /// A span goes on.
    Open(Span),
    /// A span ended.
    Ended(Span),
    /// A log.
    Log(LogRecord),
}

impl LineRead {
    /// Reads a line, with or without its end.
    pub(super) fn parse(line: &[u8], trace_id: TraceId) -> serde_json::Result<Self> {
        if line.starts_with(LOG_PREFIX) {
            serde_json::from_slice::<LogWire<'static>>(line).map(|log| Self::Log(log.into_record()))
        } else if line.starts_with(OPEN_PREFIX) {
            serde_json::from_slice::<OpenLine<'static>>(line)
                .map(|line| Self::Open(line.open.into_span(trace_id)))
        } else {
            serde_json::from_slice::<SpanWire<'static>>(line)
                .map(|span| Self::Ended(span.into_span(trace_id)))
        }
    }
}

/// Reads the first line of a running trace; `None` for anything else.
pub(super) fn read_header(
    reader: &mut impl BufRead,
    path: &Path,
) -> Result<Option<HeaderLine<'static>>, ReadError> {
    let open = |source| ReadError::Open {
        path: path.to_owned(),
        source,
    };
    let no_trace = |problem: String| ReadError::NoTrace {
        path: path.to_owned(),
        problem,
    };
    let mut first = Vec::new();
    reader
        .take(HEADER_BYTES_MAX)
        .read_until(b'\n', &mut first)
        .map_err(open)?;
    if first.iter().all(u8::is_ascii_whitespace) {
        return Err(no_trace("it is empty".to_owned()));
    }
    let Ok(header) = serde_json::from_slice::<HeaderLine<'static>>(&first) else {
        return Ok(None);
    };
    check_format(&header.format).map_err(no_trace)?;
    Ok(Some(header))
}

/// Reads the lines behind the header.
pub(super) fn read_lines(mut reader: impl BufRead, header: &HeaderLine<'_>) -> io::Result<TraceDocument> {
    let mut trace = TraceDocument {
        trace_id: header.trace_id.to_string(),
        workflow: Some(header.workflow.to_string()),
        started: Some(header.start_time),
        status: None,
        error: None,
        spans: Vec::new(),
        logs: Vec::new(),
        metrics: None,
        sampled: header.sampled,
        pid: Some(header.pid),
        broken_lines: 0,
    };
    let mut open: Vec<Span> = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        match LineRead::parse(&line, header.trace_id) {
            Ok(LineRead::Open(span)) => open.push(span),
            Ok(LineRead::Ended(span)) => trace.spans.push(span),
            Ok(LineRead::Log(log)) => trace.logs.push(log),
            Err(_) => trace.broken_lines += 1,
        }
    }
    let ended: std::collections::HashSet<SpanId> = trace.spans.iter().map(|span| span.span_id).collect();
    trace
        .spans
        .extend(open.into_iter().filter(|span| !ended.contains(&span.span_id)));
    Ok(trace)
}
