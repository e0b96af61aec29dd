//! A record that is put together outside the lane, attribute by attribute: a span opened by somebody else's
//! instrumentation, or a log line.
//!
//! Takes its words from the lane's spare ones, so that the usual record costs no allocation. Never grows a record
//! beyond a chunk: long texts travel beside it.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flowmeter_engine::Ticks;
use flowmeter_model::{Attributes, SpanId};

use super::lane::Lane;
use super::record::{RecordKind, RecordWords, RecordedValue};
use super::{Payload, Recorder};

/// Texts above this length travel beside the record.
const TEXT_IN_RECORD_BYTES_MAX: usize = 4096;
/// Words of a record above which all further texts do: a chunk has 4,096.
const WORDS_MAX: usize = 3_000;
/// The longest text that is kept at all.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// A record that is not complete yet.
pub(crate) struct RecordDraft {
    words: Box<RecordWords>,
    beyond: Option<Box<Attributes>>,
}

impl Recorder {
    /// Records that a span began; the draft takes its attributes until its end. `None` when the thread is so far
    /// gone that it records nothing any more.
    pub(crate) fn open_span(
        &self,
        parent: Option<SpanId>,
        start: Ticks,
        tag: u8,
        name: &str,
    ) -> Option<(SpanId, RecordDraft)> {
        let (span_id, words, wake) = self.with_lane(|lane| {
            let mut words = lane.take_spare();
            let span_id = lane.next_span_id();
            words.set_span_id(span_id.to_u64());
            words.begin(parent.map_or(0, SpanId::to_u64), start.to_raw(), name);
            words.complete(RecordKind::Start, tag, start.to_raw());
            let wake = if lane.needs_reader(&words) {
                None
            } else {
                Some(lane.append(&words, None))
            };
            (span_id, words, wake)
        })?;
        let wake = wake.or_else(|| {
            self.wait_for_reader(&words);
            self.with_lane(|lane| lane.append(&words, None))
        });
        if wake == Some(true) {
            self.wake();
        }
        Some((span_id, RecordDraft { words, beyond: None }))
    }

    /// Begins a log line of a span.
    pub(crate) fn begin_log(&self, span: SpanId, at: Ticks, target: &str) -> Option<RecordDraft> {
        let mut words = self.with_lane(Lane::take_spare)?;
        words.set_span_id(span.to_u64());
        words.begin(0, at.to_raw(), target);
        Some(RecordDraft { words, beyond: None })
    }

    /// Appends a draft. `payload` gets what did not fit in.
    pub(crate) fn append_draft(
        &self,
        draft: RecordDraft,
        kind: RecordKind,
        tag: u8,
        end: Ticks,
        payload: impl FnOnce(Option<Box<Attributes>>) -> Option<Payload>,
    ) {
        let RecordDraft { mut words, beyond } = draft;
        let payload = payload(beyond);
        words.complete(kind, tag, end.to_raw());
        if self.with_lane(|lane| lane.needs_reader(&words)) == Some(true) {
            self.wait_for_reader(&words);
        }
        let wake = self.with_lane(|lane| {
            let wake = lane.append(&words, payload);
            lane.give_spare(words);
            wake
        });
        if wake == Some(true) {
            self.wake();
        }
    }
}

/// The longest that a record waits for room in a journal that is full.
const ROOM_WAIT_MAX: Duration = Duration::from_millis(500);

impl Recorder {
    /// Lets the reader make room: lines come in floods, and a short wait loses none. Where the reader makes no room
    /// at all, nobody waits for it a second time.
    #[cold]
    fn wait_for_reader(&self, words: &RecordWords) {
        let began = Instant::now();
        while self.with_lane(|lane| lane.needs_reader(words)) == Some(true) {
            if began.elapsed() >= ROOM_WAIT_MAX {
                self.with_lane(Lane::give_up);
                return;
            }
            self.wake();
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}

impl RecordDraft {
    /// Adds an attribute.
    #[inline]
    pub(crate) fn attribute(&mut self, key: &str, value: RecordedValue<'_>) {
        let text_bytes = match value {
            RecordedValue::Str(text) => text.len(),
            _ => 0,
        };
        if text_bytes <= TEXT_IN_RECORD_BYTES_MAX && self.words.len() <= WORDS_MAX {
            self.words.attribute(key, value);
        } else {
            self.push_beyond(key, value);
        }
    }

    #[cold]
    fn push_beyond(&mut self, key: &str, value: RecordedValue<'_>) {
        let beyond = self.beyond.get_or_insert_default();
        match value {
            RecordedValue::I64(number) => beyond.set(key, number),
            RecordedValue::F64(number) => beyond.set(key, number),
            RecordedValue::Bool(flag) => beyond.set(key, flag),
            RecordedValue::Str(text) => beyond.set(key, shortened(text).as_ref()),
        }
    }

    /// Adds a value that is only pointed to.
    pub(crate) fn attach(&mut self, key: &str, value: Arc<serde_json::Value>) {
        self.beyond.get_or_insert_default().set(key, value);
    }

    /// Whether something travels beside the record.
    pub(crate) fn has_more(&self) -> bool {
        self.beyond.is_some()
    }

    /// Adds what `value` displays as, formatted in a buffer that is kept for the next one.
    pub(crate) fn attribute_displayed(&mut self, key: &str, value: &dyn fmt::Display) {
        // Taken out while it is in use: a value may itself log while it is formatted.
        let mut buffer = BUFFER.try_with(Cell::take).unwrap_or_default();
        buffer.clear();
        // A value that cannot be displayed leaves what it wrote so far.
        let _ = write!(buffer, "{value}");
        self.attribute(key, RecordedValue::Str(&buffer));
        if buffer.capacity() <= BUFFER_BYTES_KEPT {
            let _ = BUFFER.try_with(|kept| kept.set(buffer));
        }
    }
}

/// A larger buffer is not kept for the life of the thread.
const BUFFER_BYTES_KEPT: usize = 64 << 10;

thread_local! {
    static BUFFER: Cell<String> = const { Cell::new(String::new()) };
}

/// The text up to the longest that is kept. The word at the cut goes as a whole: half a secret is not recognised.
fn shortened(text: &str) -> Cow<'_, str> {
    if text.len() <= TEXT_BYTES_MAX {
        return Cow::Borrowed(text);
    }
    const WORD_BYTES_MAX: usize = 4096;
    let mut cut = text.floor_char_boundary(TEXT_BYTES_MAX);
    if let Some(space) = text[..cut].rfind(char::is_whitespace)
        && cut - space <= WORD_BYTES_MAX
    {
        cut = space;
    }
    Cow::Owned(format!(
        "{}… [cut at {cut} of {} bytes]",
        &text[..cut],
        text.len()
    ))
}
