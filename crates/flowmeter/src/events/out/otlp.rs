//! OTLP/JSON lines: each an export request that a receiver takes as it is, spans on their own lines and logs on
//! theirs.
//!
//! OTLP wants ids of one form and times on everything. An id of another form becomes one that follows from it;
//! where no time was given, the time of formatting stands, in the order of the lines, marked as assumed.

use flowmeter_model::{
    Attributes, IdSource, LogLevel, LogRecord, Span, SpanEvent, SpanId, TimestampNs, TraceId,
};
use flowmeter_otlp::{Encoder, EncoderConfig, Envelope};
use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::{Ending, Failure, Remark, RemarkKind};
use crate::events::content::{Content, Wanted};
use crate::events::fields::Field;
use crate::events::line::{Line, Report};
use crate::events::nesting::{OpenSpan, SpanRef, Trace};

/// Spans and logs of a line, at most.
const ITEMS_MAX: usize = 512;
/// From this size of their lines on they are not gathered any further.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// On spans and logs whose times nobody gave.
const TIME_ASSUMED: &str = "flowmeter.time.assumed";

/// What holds for all of a trace.
struct Described {
    trace_id: TraceId,
    resource: Attributes,
    trace_state: String,
    sampled: bool,
}

/// What waits to be written.
#[derive(Default)]
struct Batch {
    spans: Vec<Span>,
    logs: Vec<LogRecord>,
}

/// Writes export requests.
pub(crate) struct OtlpLines {
    ids: IdSource,
    encoder: Encoder,
    resource: Attributes,
    described: FxHashMap<u64, Described>,
    /// By trace, in the order in which they came.
    batches: Vec<(u64, Batch)>,
    item_count: usize,
    batch_bytes: usize,
    /// The time that stands for the next unknown one.
    assumed_ns: u64,
}

impl OtlpLines {
    pub(crate) fn new(ids: IdSource, encoder: EncoderConfig, resource: Attributes, now: TimestampNs) -> Self {
        Self {
            ids,
            encoder: Encoder::new(encoder),
            resource,
            described: FxHashMap::default(),
            batches: Vec::new(),
            item_count: 0,
            batch_bytes: 0,
            assumed_ns: now.0,
        }
    }

    fn described(&mut self, trace: &Trace) -> &mut Described {
        let resource = &self.resource;
        self.described.entry(trace.number).or_insert_with(|| Described {
            trace_id: trace_id_of(&trace.id),
            resource: resource.clone(),
            trace_state: String::new(),
            sampled: true,
        })
    }

    /// Takes what the first line of a workflow says of all of it.
    pub(super) fn describe(&mut self, trace: &Trace, line: &Line<'_>) {
        let described = self.described(trace);
        if let Some(given) = line.json(Field::Resource)
            && let Ok(given) = serde_json::from_str::<Attributes>(given)
        {
            for (key, value) in given.iter() {
                described.resource.set(key.clone(), value.clone());
            }
        }
        let state = line
            .place(Field::TraceState)
            .filter(|place| place.shape.is_text());
        if let Some(state) = state.and_then(|place| place.decoded(line.text)) {
            described.trace_state = state.into_owned();
        }
        described.sampled = trace.is_sampled;
    }

    pub(super) fn name_span(&mut self, content: &mut Content, given: Option<&str>, parent: Option<&str>) {
        content.span.span_id = given.map_or_else(|| self.ids.span_id(), span_id_of);
        content.id = smol_str::format_smolstr!("{}", content.span.span_id);
        content.parent_id = parent.map(SmolStr::new);
        content.span.parent_span_id = parent.map(span_id_of);
        if content.span.start.0 == 0 {
            content.span.start = self.assume();
            content.span.attributes.set(TIME_ASSUMED, true);
        }
    }

    fn assume(&mut self) -> TimestampNs {
        self.assumed_ns = self.assumed_ns.saturating_add(1);
        TimestampNs(self.assumed_ns)
    }

    fn batch(&mut self, trace: &Trace) -> &mut Batch {
        let place = self
            .batches
            .iter()
            .position(|(number, _)| *number == trace.number);
        let place = place.unwrap_or_else(|| {
            self.batches.push((trace.number, Batch::default()));
            self.batches.len() - 1
        });
        &mut self.batches[place].1
    }

    pub(super) fn span_ends(&mut self, out: &mut Vec<u8>, trace: &Trace, span: OpenSpan, ending: &Ending) {
        let Some(content) = span.content else {
            return;
        };
        let mut ended = content.span;
        ended.trace_id = self.described(trace).trace_id;
        ended.end = match (ending.status, ending.at_ns, ending.duration_ns) {
            // Nobody saw it end: the encoder says so.
            (None, ..) => None,
            (_, Some(at_ns), _) if span.start_ns.is_some() => Some(TimestampNs(at_ns)),
            (_, Some(at_ns), duration_ns) => {
                ended.start = TimestampNs(at_ns.saturating_sub(duration_ns.unwrap_or(0)));
                Some(TimestampNs(at_ns))
            }
            (_, None, Some(duration_ns)) => Some(TimestampNs(ended.start.0.saturating_add(duration_ns))),
            (_, None, None) => {
                ended.attributes.set(TIME_ASSUMED, true);
                Some(if span.start_ns.is_some() {
                    ended.start
                } else {
                    self.assume()
                })
            }
        };
        self.batch_bytes += content.bytes;
        self.batch(trace).spans.push(ended);
        self.gathered(out);
    }

    fn gathered(&mut self, out: &mut Vec<u8>) {
        self.item_count += 1;
        if self.item_count >= ITEMS_MAX || self.batch_bytes >= BATCH_BYTES_MAX {
            self.write_batches(out);
        }
    }

    fn log(
        &mut self,
        out: &mut Vec<u8>,
        trace: &Trace,
        line: &Line<'_>,
        at_ns: Option<u64>,
        mut record: LogRecord,
    ) {
        record.time = at_ns.map_or_else(
            || {
                record.attributes.set(TIME_ASSUMED, true);
                self.assume()
            },
            TimestampNs,
        );
        let target = line.place(Field::Target).filter(|place| place.shape.is_text());
        record.target = target
            .and_then(|place| place.decoded(line.text))
            .map(SmolStr::from);
        self.described(trace);
        self.batch_bytes += line.text.len();
        self.batch(trace).logs.push(record);
        self.gathered(out);
    }

    pub(super) fn remark(
        &mut self,
        out: &mut Vec<u8>,
        trace: &mut Trace,
        around: Option<SpanRef>,
        remark: &Remark<'_>,
        report: Report<'_>,
    ) {
        let attributes = remark.line.attributes(Wanted::All, report);
        let level = match remark.kind {
            RemarkKind::Log(level) => level,
            RemarkKind::Custom => {
                let at = remark.at_ns.map_or_else(|| self.assume(), TimestampNs);
                let span = around
                    .filter(|_| remark.has_room)
                    .and_then(|around| trace.get_mut(around));
                if let Some(content) = span.and_then(|span| span.content.as_mut()) {
                    let name = remark.text.text.as_ref().into();
                    let event = SpanEvent {
                        name,
                        time: at,
                        attributes,
                    };
                    content.add_event(event, remark.line.text.len());
                    return;
                }
                LogLevel::Info
            }
        };
        let record = LogRecord {
            time: TimestampNs(0),
            level,
            message: remark.text.text.clone().into_owned(),
            target: None,
            span_id: remark.span_id_in(trace, around).map(span_id_of),
            attributes,
        };
        self.log(out, trace, remark.line, remark.at_ns, record);
    }

    pub(super) fn failure(
        &mut self,
        out: &mut Vec<u8>,
        trace: &mut Trace,
        around: Option<SpanRef>,
        failure: &Failure<'_>,
    ) {
        if failure.is_kept_by(trace) {
            return;
        }
        let mut attributes = Attributes::new();
        if let Some(node) = failure.elsewhere {
            attributes.set("node.id", node);
        }
        let record = LogRecord {
            time: TimestampNs(0),
            level: LogLevel::Error,
            message: failure.message.text.clone().into_owned(),
            target: None,
            span_id: failure.span_id_in(trace, around).map(span_id_of),
            attributes,
        };
        self.log(out, trace, failure.line, failure.at_ns, record);
    }

    pub(super) fn trace_ends(&mut self, out: &mut Vec<u8>, trace: &Trace) {
        // Another trace may have its number's batch beside this one.
        if self.batches.iter().any(|(number, _)| *number == trace.number) {
            self.write_batches(out);
        }
        self.described.remove(&trace.number);
    }

    /// Writes what was gathered: a line for the spans and one for the logs of each trace.
    pub(super) fn write_batches(&mut self, out: &mut Vec<u8>) {
        for (number, batch) in self.batches.drain(..) {
            let Some(described) = self.described.get(&number) else {
                continue;
            };
            let envelope = Envelope {
                resource: &described.resource,
                trace_state: &described.trace_state,
                sampled: described.sampled,
                scope_version: env!("CARGO_PKG_VERSION"),
            };
            if !batch.spans.is_empty() {
                let request = self.encoder.traces(&envelope, &mut batch.spans.iter());
                out.extend_from_slice(&request.to_json());
                out.push(b'\n');
            }
            if !batch.logs.is_empty() {
                let mut logs = batch.logs.iter().map(|log| (described.trace_id, log));
                let request = self.encoder.logs(&envelope, &mut logs);
                out.extend_from_slice(&request.to_json());
                out.push(b'\n');
            }
        }
        self.item_count = 0;
        self.batch_bytes = 0;
    }
}

/// A trace id of the right form, from one of another form: the same one each time.
fn trace_id_of(given: &str) -> TraceId {
    let digits: String = given.chars().filter(|c| *c != '-').collect();
    let lower = digits.to_ascii_lowercase();
    TraceId::parse(&lower).unwrap_or_else(|_| {
        let halves = [hash(given.as_bytes(), 1), hash(given.as_bytes(), 2)];
        let bytes = (u128::from(halves[0]) << 64 | u128::from(halves[1])).to_be_bytes();
        TraceId::from_bytes(bytes).unwrap_or_else(|| IdSource::from_seed(1).trace_id())
    })
}

/// A number that follows from the bytes (FNV-1a, then mixed).
fn hash(bytes: &[u8], seed: u64) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ seed;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    IdSource::from_seed(hash).next_u64()
}

/// A span id of the right form, from one of another form: the same one each time.
fn span_id_of(given: &str) -> SpanId {
    let lower = given.to_ascii_lowercase();
    SpanId::parse(&lower).unwrap_or_else(|_| {
        let number = hash(given.as_bytes(), 0);
        SpanId::from_u64(number).unwrap_or_else(|| IdSource::from_seed(number).span_id())
    })
}
