//! The guard of a span that is being recorded.
//!
//! Sixteen bytes: the record is put together in a spare buffer of the thread's lane and written when the span
//! ends. An inert guard does nothing at all.

use flowmeter_engine::Ticks;
use flowmeter_model::SpanId;

use super::record::{RecordKind, RecordWords, RecordedValue};
use super::{Recorder, TAG_CUSTOM_OK};

/// A span that is being recorded; it ends when it is dropped, or at [`RecordingSpan::end`].
pub struct RecordingSpan<'a> {
    recorder: Option<&'a Recorder>,
    words: Option<Box<RecordWords>>,
}

impl<'a> RecordingSpan<'a> {
    #[inline]
    pub(super) fn begin(recorder: &'a Recorder, name: &'static str, parent: Option<SpanId>) -> Self {
        let mut words = recorder.with_lane(|lane| {
            let mut words = lane.take_spare();
            words.set_span_id(lane.next_span_id().to_u64());
            words
        });
        if let Some(words) = &mut words {
            words.begin(parent.map_or(0, SpanId::to_u64), Ticks::now().to_raw(), name);
        }
        Self {
            recorder: Some(recorder),
            words,
        }
    }

    #[inline]
    pub(crate) fn inert() -> Self {
        Self {
            recorder: None,
            words: None,
        }
    }

    /// Whether anything is recorded.
    #[inline]
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.words.is_some()
    }

    /// Its id, for the spans inside it; `None` when nothing is recorded.
    #[inline]
    #[must_use]
    pub fn id(&self) -> Option<SpanId> {
        self.words
            .as_ref()
            .and_then(|words| SpanId::from_u64(words.span_id()))
    }

    /// Adds an attribute. A span holds 32 KiB with all its texts; a larger one is counted as dropped.
    #[inline]
    pub fn set<'v>(&mut self, key: &'static str, value: impl Into<RecordedValue<'v>>) {
        if let Some(words) = &mut self.words {
            words.attribute(key, value.into());
        }
    }

    /// Adds an attribute that is only computed when the span is recorded.
    #[inline]
    pub fn set_with<'v, V: Into<RecordedValue<'v>>>(&mut self, key: &'static str, value: impl FnOnce() -> V) {
        if let Some(words) = &mut self.words {
            words.attribute(key, value().into());
        }
    }

    /// Ends the span.
    #[inline]
    pub fn end(self) {}

    #[inline(never)]
    fn write(&mut self, mut words: Box<RecordWords>) {
        words.complete(RecordKind::End, TAG_CUSTOM_OK, Ticks::now().to_raw());
        let Some(recorder) = self.recorder else { return };
        let wake = recorder.with_lane(|lane| {
            let wake = lane.append(&words, None);
            lane.give_spare(words);
            wake
        });
        if wake == Some(true) {
            recorder.wake();
        }
    }
}

impl Drop for RecordingSpan<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(words) = self.words.take() {
            self.write(words);
        }
    }
}
