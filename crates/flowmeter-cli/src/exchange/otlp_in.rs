//! OTLP into the history: requests of ours and of any other program, as JSON or protobuf.
//!
//! OTLP knows no runs: a trace's spans without a parent are their roots, and so is each span of ours that stands for a
//! run. The file is read twice, first for the ids alone, for children come before their parents. Never holds more than
//! one request, and 48 bytes a span.

use std::collections::HashMap;
use std::io::{BufReader, Read, Seek, SeekFrom};

use anyhow::{Context, Result};
use flowmeter_model::{Attributes, Span, SpanId, SpanKind, TelemetryEvent, TimestampNs, TraceId};
use flowmeter_otlp::{
    Received, ReceivedLog, ReceivedSpan, decode_logs, decode_logs_json, decode_traces, decode_traces_json,
};
use flowmeter_store::{RunKey, RunStart};
use serde::Deserialize;
use serde::de::IgnoredAny;
use smol_str::SmolStr;

use super::import::{ImportWatch, Importer, Place};
use super::lines_in::for_each_line;
use crate::history::origin_of;

/// The largest message of protobuf, and the largest document of JSON.
const MESSAGE_BYTES_MAX: u64 = 1 << 30;

/// One request, or what is wrong with it.
type Message<'a> = (Place, Result<Request, String>);

/// What came in one request.
enum Request {
    Spans(Received<ReceivedSpan>),
    Logs(Received<ReceivedLog>),
    /// Metrics: the history makes its own.
    Other,
}

/// Imports lines of OTLP/JSON.
///
/// # Errors
/// When the file cannot be read, and when the history cannot be written.
pub(crate) fn import_otlp_lines<F: Read + Seek>(
    file: &mut F,
    importer: &mut Importer<'_>,
    watch: &mut dyn ImportWatch,
) -> Result<()> {
    import(file, importer, watch, |file, take| {
        for_each_line(file, |number, line, read| {
            let request = line.map_err(str::to_owned).and_then(of_json);
            take((Place::Line(number), request), read)
        })
    })
}

/// Imports one document of OTLP/JSON.
///
/// # Errors
/// As [`import_otlp_lines`].
pub(crate) fn import_otlp_document<F: Read + Seek>(
    file: &mut F,
    importer: &mut Importer<'_>,
    watch: &mut dyn ImportWatch,
) -> Result<()> {
    import(file, importer, watch, |file, take| {
        let mut text = Vec::new();
        file.by_ref().take(MESSAGE_BYTES_MAX).read_to_end(&mut text)?;
        // Documents may follow one another.
        let mut documents = serde_json::Deserializer::from_slice(&text).into_iter::<IgnoredAny>();
        let mut begin = 0;
        let mut number = 0;
        loop {
            let document = documents.next();
            let end = documents.byte_offset();
            number += 1;
            match document {
                None => return Ok(()),
                Some(Ok(_)) => {
                    let part = text.get(begin..end).unwrap_or_default();
                    take((Place::Message(number), of_json(part)), end as u64)?;
                    begin = end;
                }
                Some(Err(error)) => {
                    let problem = format!("no valid JSON ({error}); what follows is left out");
                    return take((Place::Message(number), Err(problem)), text.len() as u64);
                }
            }
        }
    })
}

/// Imports protobuf: requests one after another, or each with its length in front.
///
/// # Errors
/// As [`import_otlp_lines`].
pub(crate) fn import_otlp_protobuf<F: Read + Seek>(
    file: &mut F,
    is_framed: bool,
    importer: &mut Importer<'_>,
    watch: &mut dyn ImportWatch,
) -> Result<()> {
    import(file, importer, watch, |file, take| {
        let mut reader = BufReader::with_capacity(1 << 18, file);
        let mut read = 0_u64;
        for number in 1.. {
            let place = Place::Message(number);
            match next_message(&mut reader, is_framed)? {
                NextMessage::None => break,
                NextMessage::Whole(bytes) => {
                    read += bytes.len() as u64;
                    take((place, of_protobuf(&bytes)), read)?;
                }
                NextMessage::Broken(problem) => {
                    take((place, Err(problem)), read)?;
                    break;
                }
            }
        }
        Ok(())
    })
}

enum NextMessage {
    Whole(Vec<u8>),
    Broken(String),
    None,
}

/// The next request; of requests without lengths in front the next field of them, which is a request by itself.
fn next_message(reader: &mut impl Read, is_framed: bool) -> Result<NextMessage> {
    let mut bytes = Vec::new();
    let length = if is_framed {
        let mut length = [0; 4];
        match read_up_to(reader, &mut length)? {
            0 => return Ok(NextMessage::None),
            4 => u64::from(u32::from_be_bytes(length)),
            _ => {
                return Ok(NextMessage::Broken(
                    "the file ends in the midst of a message".to_owned(),
                ));
            }
        }
    } else {
        let mut byte = [0];
        if read_up_to(reader, &mut byte)? == 0 {
            return Ok(NextMessage::None);
        }
        if byte[0] != 0x0a {
            return Ok(NextMessage::Broken(
                "these bytes are no OTLP message; what follows is left out".to_owned(),
            ));
        }
        bytes.push(byte[0]);
        let mut length = 0_u64;
        for shift in (0..64).step_by(7) {
            if read_up_to(reader, &mut byte)? == 0 {
                return Ok(NextMessage::Broken(
                    "the file ends in the midst of a message".to_owned(),
                ));
            }
            bytes.push(byte[0]);
            length |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] & 0x80 == 0 {
                break;
            }
        }
        length
    };
    if length > MESSAGE_BYTES_MAX {
        return Ok(NextMessage::Broken(format!(
            "a message of {length} bytes cannot be; what follows is left out"
        )));
    }
    let before = bytes.len() as u64;
    reader.by_ref().take(length).read_to_end(&mut bytes)?;
    Ok(if bytes.len() as u64 == before + length {
        NextMessage::Whole(bytes)
    } else {
        NextMessage::Broken("the file ends in the midst of a message".to_owned())
    })
}

fn read_up_to(reader: &mut impl Read, bytes: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    while filled < bytes.len() {
        match reader.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("the file cannot be read any further"),
        }
    }
    Ok(filled)
}

/// Spans and logs have different types in the same fields, so that one is never taken for the other.
fn of_protobuf(bytes: &[u8]) -> Result<Request, String> {
    match decode_traces(bytes) {
        Ok(spans) => Ok(Request::Spans(spans)),
        Err(error) => decode_logs(bytes)
            .map(Request::Logs)
            .map_err(|_| format!("{error}; it is left out")),
    }
}

/// What tells requests apart.
#[derive(Deserialize)]
struct Told {
    #[serde(rename = "resourceSpans", alias = "resource_spans", default)]
    spans: Option<IgnoredAny>,
    #[serde(rename = "resourceLogs", alias = "resource_logs", default)]
    logs: Option<IgnoredAny>,
    #[serde(rename = "resourceMetrics", alias = "resource_metrics", default)]
    metrics: Option<IgnoredAny>,
}

fn of_json(text: &[u8]) -> Result<Request, String> {
    let told: Told = serde_json::from_slice(text)
        .map_err(|error| format!("this is no valid JSON ({error}); it is left out"))?;
    let request = match (told.spans, told.logs, told.metrics) {
        (Some(_), ..) => decode_traces_json(text).map(Request::Spans),
        (None, Some(_), _) => decode_logs_json(text).map(Request::Logs),
        (None, None, Some(_)) => return Ok(Request::Other),
        (None, None, None) => {
            return Err("this has neither `resourceSpans` nor `resourceLogs`; it is left out".to_owned());
        }
    };
    request.map_err(|error| match std::error::Error::source(&error) {
        Some(cause) => format!("{error}: {cause}; it is left out"),
        None => format!("{error}; it is left out"),
    })
}

fn import<F: Read + Seek>(
    file: &mut F,
    importer: &mut Importer<'_>,
    watch: &mut dyn ImportWatch,
    read: impl Fn(&mut F, &mut dyn FnMut(Message<'_>, u64) -> Result<()>) -> Result<()>,
) -> Result<()> {
    let mut index = TraceIndex::default();
    read(file, &mut |(_, request), _| {
        if let Ok(Request::Spans(received)) = request {
            for batch in &received.batches {
                for item in &batch.items {
                    index.add(&item.span, &item.name, &batch.resource);
                }
            }
        }
        Ok(())
    })?;
    index.settle();
    file.seek(SeekFrom::Start(0))?;
    importer.take_equal_logs_once(true);
    read(file, &mut |(place, request), bytes| {
        watch.read(bytes);
        match request {
            Ok(Request::Spans(received)) => {
                if received.rejected > 0 {
                    let text = format!("{} spans without valid ids are left out", received.rejected);
                    importer.problem(watch, &place, &text);
                }
                for batch in received.batches {
                    for item in batch.items {
                        take_span(&index, item.span, &batch.resource, importer)?;
                    }
                }
            }
            Ok(Request::Logs(received)) => {
                let items = received.batches.into_iter().flat_map(|batch| batch.items);
                for item in items {
                    take_log(&index, item, importer)?;
                }
            }
            Ok(Request::Other) => importer.imported.lines_passed += 1,
            Err(problem) => importer.problem(watch, &place, &problem),
        }
        Ok(())
    })?;
    importer.end_of_file()
}

fn take_span(
    index: &TraceIndex,
    mut span: Span,
    resource: &Attributes,
    importer: &mut Importer<'_>,
) -> Result<()> {
    let Some(key) = index.run_of(span.trace_id, span.span_id) else {
        return Ok(());
    };
    if !importer.has_begun(&key) {
        importer.begin(index.start_of(key, &span, resource))?;
    }
    importer.prices.price(&mut span);
    let event = if span.end.is_some() {
        TelemetryEvent::SpanEnded(Box::new(span))
    } else {
        TelemetryEvent::SpanStarted(Box::new(span))
    };
    importer.event(key, event)
}

fn take_log(index: &TraceIndex, log: ReceivedLog, importer: &mut Importer<'_>) -> Result<()> {
    let Some(trace_id) = log.trace_id else {
        importer.imported.logs_astray += 1;
        return Ok(());
    };
    let span_id = log.record.span_id;
    let of_file = span_id.and_then(|span_id| index.run_of(trace_id, span_id));
    let key = match of_file.or_else(|| index.first_run_of(trace_id)) {
        // Its spans may follow.
        Some(key) if !importer.has_begun(&key) => {
            importer.begin(index.start_without_span(key))?;
            Some(key)
        }
        Some(key) => Some(key),
        None => {
            let key = importer.run_in_history(trace_id, span_id)?;
            if let Some(key) = key {
                importer.join(key)?;
            }
            key
        }
    };
    match key {
        Some(key) => importer.event(key, TelemetryEvent::Log(trace_id, Box::new(log.record))),
        None => {
            importer.imported.logs_astray += 1;
            Ok(())
        }
    }
}

/// What is known of a span before all of its trace is.
#[derive(Clone, Copy, Debug)]
struct IndexedSpan {
    trace_id: TraceId,
    span_id: SpanId,
    parent: Option<SpanId>,
    start: TimestampNs,
    is_run: bool,
    /// The root of its run.
    root: SpanId,
}

/// Which run each span belongs to.
#[derive(Debug, Default)]
pub(super) struct TraceIndex {
    spans: Vec<IndexedSpan>,
    roots: HashMap<RunKey, Root>,
}

/// What a run's root says.
#[derive(Debug)]
struct Root {
    workflow: SmolStr,
    start: TimestampNs,
    parent: Option<SpanId>,
    resource: Attributes,
    /// What others say on spans and we say on the resource.
    session: Option<String>,
    user: Option<String>,
}

impl TraceIndex {
    pub(super) fn add(&mut self, span: &Span, name: &SmolStr, resource: &Attributes) {
        let is_run = span.kind == SpanKind::Run;
        if is_run || span.parent_span_id.is_none() {
            let key = RunKey {
                trace_id: span.trace_id,
                root_span_id: span.span_id,
            };
            self.roots.entry(key).or_insert_with(|| Root {
                workflow: workflow_of(span, name),
                start: span.start,
                parent: span.parent_span_id,
                resource: resource.clone(),
                session: first_text(span, &["session.id", "gen_ai.conversation.id"]),
                user: first_text(span, &["user.name", "user.id"]),
            });
        }
        self.spans.push(IndexedSpan {
            trace_id: span.trace_id,
            span_id: span.span_id,
            parent: span.parent_span_id,
            start: span.start,
            is_run,
            root: span.span_id,
        });
    }

    /// Finds each span's root, once all are there.
    pub(super) fn settle(&mut self) {
        self.spans
            .sort_unstable_by_key(|span| (span.trace_id, span.span_id));
        self.spans.dedup_by_key(|span| (span.trace_id, span.span_id));
        let mut begin = 0;
        while let Some(first) = self.spans.get(begin) {
            let trace_id = first.trace_id;
            let length = self.spans[begin..]
                .iter()
                .take_while(|span| span.trace_id == trace_id)
                .count();
            settle_trace(&mut self.spans[begin..begin + length]);
            begin += length;
        }
    }

    pub(super) fn run_of(&self, trace_id: TraceId, span_id: SpanId) -> Option<RunKey> {
        let found = self
            .spans
            .binary_search_by_key(&(trace_id, span_id), |span| (span.trace_id, span.span_id))
            .ok()?;
        Some(RunKey {
            trace_id,
            root_span_id: self.spans[found].root,
        })
    }

    /// The run of the trace that began first.
    fn first_run_of(&self, trace_id: TraceId) -> Option<RunKey> {
        let begin = self.spans.partition_point(|span| span.trace_id < trace_id);
        let of_trace = self.spans[begin..]
            .iter()
            .take_while(|span| span.trace_id == trace_id);
        let first = of_trace
            .filter(|span| span.root == span.span_id)
            .min_by_key(|span| span.start)?;
        Some(RunKey {
            trace_id,
            root_span_id: first.span_id,
        })
    }

    /// The beginning of a run, one of whose spans has come.
    pub(super) fn start_of(&self, key: RunKey, span: &Span, resource: &Attributes) -> RunStart {
        if self.roots.contains_key(&key) {
            return self.start_without_span(key);
        }
        // The root itself is in no file: who sent its parts is all that is known.
        let workflow = resource.get_str("service.name").unwrap_or(&span.operation);
        RunStart {
            key,
            parent_span_id: None,
            workflow: workflow.into(),
            started: self.begin_of(&key).unwrap_or(span.start),
            sampled: true,
            origin: origin_of(resource),
            resource: resource.clone(),
            process: None,
        }
    }

    fn begin_of(&self, key: &RunKey) -> Option<TimestampNs> {
        let at = |span: &IndexedSpan| (span.trace_id, span.span_id);
        let found = self
            .spans
            .binary_search_by_key(&(key.trace_id, key.root_span_id), at)
            .ok()?;
        Some(self.spans[found].start)
    }

    fn start_without_span(&self, key: RunKey) -> RunStart {
        let root = self.roots.get(&key);
        let resource = root.map(|root| root.resource.clone()).unwrap_or_default();
        let mut origin = origin_of(&resource);
        if let Some(root) = root {
            origin.session = origin.session.or_else(|| root.session.clone());
            origin.user = origin.user.or_else(|| root.user.clone());
        }
        RunStart {
            key,
            parent_span_id: root.and_then(|root| root.parent),
            workflow: root.map(|root| root.workflow.clone()).unwrap_or_default(),
            started: root
                .map(|root| root.start)
                .or_else(|| self.begin_of(&key))
                .unwrap_or_default(),
            sampled: true,
            origin,
            resource,
            process: None,
        }
    }
}

fn first_text(span: &Span, keys: &[&str]) -> Option<String> {
    let found = keys.iter().find_map(|key| span.attributes.get_str(key));
    found.filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The workflow that a root names, else what it calls itself.
fn workflow_of(span: &Span, name: &SmolStr) -> SmolStr {
    let names = [
        "workflow.name",
        "gen_ai.workflow.name",
        "traceloop.workflow.name",
        "gen_ai.agent.name",
    ];
    let named = names.iter().find_map(|key| span.attributes.get_str(key));
    named
        .filter(|named| !named.is_empty())
        .map_or_else(|| name.clone(), SmolStr::from)
}

/// Finds the roots of one trace's spans, which are sorted by their ids.
fn settle_trace(spans: &mut [IndexedSpan]) {
    let place_of =
        |id: SpanId, spans: &[IndexedSpan]| spans.binary_search_by_key(&id, |span| span.span_id).ok();
    let is_root = |span: &IndexedSpan| span.is_run || span.parent.is_none();
    // What has lost its parent goes with the trace's first root; without any, the first of the lost is one.
    let first = |wanted: &dyn Fn(&IndexedSpan) -> bool| {
        let found = spans
            .iter()
            .filter(|span| wanted(span))
            .min_by_key(|span| span.start);
        found.map(|span| span.span_id)
    };
    let is_lost = |span: &IndexedSpan| span.parent.is_none_or(|parent| place_of(parent, spans).is_none());
    let refuge = first(&is_root)
        .or_else(|| first(&is_lost))
        .or_else(|| first(&|_| true));
    let mut settled = vec![false; spans.len()];
    for start in 0..spans.len() {
        let mut path = Vec::new();
        let mut at = start;
        let root = loop {
            if settled[at] {
                break spans[at].root;
            }
            if is_root(&spans[at]) {
                path.push(at);
                break spans[at].span_id;
            }
            // A circle of parents has no root.
            if path.len() > spans.len() {
                break refuge.unwrap_or(spans[at].span_id);
            }
            path.push(at);
            match spans[at].parent.and_then(|parent| place_of(parent, spans)) {
                Some(parent) => at = parent,
                None => break refuge.unwrap_or(spans[at].span_id),
            }
        };
        for place in path {
            spans[place].root = root;
            settled[place] = true;
        }
    }
}
