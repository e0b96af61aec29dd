//! The guard of a span that is being recorded.
//!
//! Holds a few attributes in place and writes one record when it ends; an inert guard does nothing at all.

use flowmeter_engine::Ticks;
use flowmeter_model::SpanId;

use super::record::{Attribute, RecordDraft, RecordKind, RecordedValue};
use super::{Recorder, TAG_CUSTOM_OK};

/// Attributes held without an allocation.
const ATTRIBUTES_IN_PLACE: usize = 4;

struct Open<'a> {
    recorder: &'a Recorder,
    span_id: SpanId,
    parent_span_id: Option<SpanId>,
    start: Ticks,
    name: &'static str,
    attributes: [Option<Attribute<'a>>; ATTRIBUTES_IN_PLACE],
    held: usize,
    more: Vec<Attribute<'a>>,
}

/// A span that is being recorded; it ends when it is dropped, or at [`RecordingSpan::end`].
pub struct RecordingSpan<'a> {
    open: Option<Open<'a>>,
}

impl<'a> RecordingSpan<'a> {
    #[inline]
    pub(super) fn begin(recorder: &'a Recorder, name: &'static str, parent: Option<SpanId>) -> Self {
        Self {
            open: Some(Open {
                recorder,
                span_id: recorder.next_span_id(),
                parent_span_id: parent,
                start: Ticks::now(),
                name,
                attributes: [None; ATTRIBUTES_IN_PLACE],
                held: 0,
                more: Vec::new(),
            }),
        }
    }

    #[inline]
    pub(super) fn inert() -> Self {
        Self { open: None }
    }

    /// Whether anything is recorded.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.open.is_some()
    }

    /// Its id, for the spans inside it; `None` when nothing is recorded.
    #[inline]
    #[must_use]
    pub fn id(&self) -> Option<SpanId> {
        self.open.as_ref().map(|open| open.span_id)
    }

    /// Adds an attribute.
    #[inline]
    pub fn set(&mut self, key: &'static str, value: impl Into<RecordedValue<'a>>) {
        if let Some(open) = &mut self.open {
            let attribute = (key, value.into());
            match open.attributes.get_mut(open.held) {
                Some(slot) => {
                    *slot = Some(attribute);
                    open.held += 1;
                }
                None if open.more.len() + ATTRIBUTES_IN_PLACE < 255 => open.more.push(attribute),
                None => {}
            }
        }
    }

    /// Adds an attribute that is only computed when the span is recorded.
    #[inline]
    pub fn set_with<V: Into<RecordedValue<'a>>>(&mut self, key: &'static str, value: impl FnOnce() -> V) {
        if self.open.is_some() {
            self.set(key, value());
        }
    }

    /// Ends the span.
    #[inline]
    pub fn end(self) {
        drop(self);
    }
}

impl Drop for RecordingSpan<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(open) = &self.open {
            let draft = RecordDraft {
                kind: RecordKind::End,
                span_id: open.span_id.to_u64(),
                parent_span_id: open.parent_span_id.map_or(0, SpanId::to_u64),
                start: open.start.to_raw(),
                end: Ticks::now().to_raw(),
                tag: TAG_CUSTOM_OK,
                name: open.name,
                attributes: &open.attributes[..open.held.min(ATTRIBUTES_IN_PLACE)],
                more: &open.more,
            };
            open.recorder.append(&draft, None);
        }
    }
}
