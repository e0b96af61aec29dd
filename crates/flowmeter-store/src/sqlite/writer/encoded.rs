//! What is appended, encoded by who appends it: spans are at hand then, and the writer gets bytes instead of trees.
//!
//! Never decides what is kept apart, nor which node a span belongs to: that is known in the writer.

use flowmeter_model::{LogRecord, Span, SpanError, TelemetryEvent, TimestampNs};
use smol_str::SmolStr;

use super::size;
use crate::codec::narrow::NarrowSpan;
use crate::codec::payload::{Deferred, DeferredPayloads, PayloadWriter};
use crate::rules::node_paths::SpanPlace;
use crate::rules::row::workflow_of;
use crate::{Append, RunEnd, RunKey, RunStart};

/// Bytes of a payload that there is room for from the beginning.
const PAYLOAD_BYTES: usize = 2_560;
/// Bytes that there is room for from the beginning at most.
const ROOM_BYTES_MAX: usize = 64 << 10;

/// Something to be kept, as it waits for the writer.
pub(super) enum Encoded {
    Began(Box<RunStart>),
    Events(RunKey, Box<EncodedEvents>),
    Ended(Box<RunEnd>),
}

/// Things that happened in a run, oldest first.
pub(super) struct EncodedEvents {
    pub(super) events: Vec<EncodedEvent>,
    pub(super) payloads: DeferredPayloads,
}

/// One of them.
#[expect(
    clippy::large_enum_variant,
    reason = "most are ends, and each by itself would cost an allocation"
)]
pub(super) enum EncodedEvent {
    Started(Box<Span>),
    Ended(EncodedSpan),
    Log(Box<LogRecord>),
}

/// A span that ended.
pub(super) struct EncodedSpan {
    /// Its node is not known yet.
    pub(super) narrow: NarrowSpan,
    pub(super) payload: Deferred,
    pub(super) place: SpanPlace,
    pub(super) end: Option<TimestampNs>,
    /// The lines that it carries.
    pub(super) logs: Vec<LogRecord>,
    /// What only the root span of the run tells.
    pub(super) root: Option<Box<RootWords>>,
}

/// What the root span of a run tells of the run.
pub(super) struct RootWords {
    pub(super) workflow: Option<SmolStr>,
    pub(super) error: Option<SpanError>,
}

impl EncodedSpan {
    pub(super) fn of(
        span: &Span,
        run: RunKey,
        payloads: &mut DeferredPayloads,
        writer: &mut PayloadWriter,
    ) -> Self {
        let (payload, prompt_hash) = payloads.write(writer, span, run.trace_id);
        let words = || RootWords {
            workflow: workflow_of(span),
            error: span.error.clone(),
        };
        Self {
            narrow: NarrowSpan::of(span, SmolStr::default(), prompt_hash),
            payload,
            place: SpanPlace::of(span),
            end: span.end,
            logs: Vec::new(),
            root: (span.span_id == run.root_span_id).then(|| Box::new(words())),
        }
    }
}

impl EncodedEvents {
    pub(super) fn of(run: RunKey, events: Vec<TelemetryEvent>) -> Self {
        let room = ROOM_BYTES_MAX.min(events.len() * PAYLOAD_BYTES);
        let mut payloads = DeferredPayloads::with_capacity(room);
        let mut writer = PayloadWriter::default();
        let encode = |event| match event {
            TelemetryEvent::SpanStarted(span) => EncodedEvent::Started(span),
            TelemetryEvent::Log(_, record) => EncodedEvent::Log(record),
            TelemetryEvent::SpanEnded(mut span) => {
                // Lines stand apart.
                let mut logs = std::mem::take(&mut span.logs);
                for record in &mut logs {
                    record.span_id = record.span_id.or(Some(span.span_id));
                }
                let encoded = EncodedSpan::of(&span, run, &mut payloads, &mut writer);
                EncodedEvent::Ended(EncodedSpan { logs, ..encoded })
            }
        };
        let events = events.into_iter().map(encode).collect();
        Self { events, payloads }
    }

    /// How many of them are spans that ended.
    pub(super) fn ended(&self) -> usize {
        let ends = |event: &&EncodedEvent| matches!(event, EncodedEvent::Ended(_));
        self.events.iter().filter(ends).count()
    }
}

impl Encoded {
    pub(super) fn of(append: Append) -> Self {
        match append {
            Append::Began(start) => Self::Began(start),
            Append::Events(run, events) => Self::Events(run, Box::new(EncodedEvents::of(run, events))),
            Append::Ended(end) => Self::Ended(end),
        }
    }

    /// How many events it is, and the bytes that it takes in memory, by estimate.
    pub(super) fn size(&self) -> (usize, usize) {
        match self {
            Self::Began(start) => (1, size::start(start)),
            Self::Ended(end) => (1, size::end(end)),
            Self::Events(_, encoded) => {
                let EncodedEvents { events, payloads } = &**encoded;
                let each = events.iter().map(|event| match event {
                    EncodedEvent::Started(span) => size::span(span),
                    EncodedEvent::Log(record) => size::line(record),
                    EncodedEvent::Ended(span) => {
                        size_of::<EncodedEvent>() + span.logs.iter().map(size::line).sum::<usize>()
                    }
                });
                (events.len(), payloads.bytes() + each.sum::<usize>())
            }
        }
    }
}
