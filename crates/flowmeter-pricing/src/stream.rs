//! The usage of a streamed answer, read frame by frame.
//!
//! Never holds the stream: one usage block is kept, and a frame without one is passed over without
//! being parsed. Counts in a stream are cumulative: they are overwritten and never added.

use std::borrow::Cow;
use std::sync::LazyLock;

use aho_corasick::packed::{Config, Searcher};
use flowmeter_model::TokenUsage;

use crate::usage::told::Told;
use crate::usage::{Speaker, absorb, header_node};

/// Keys beneath which usage stands, and items that are charged apart. The first two are looked at closer.
const SIGNS: [&str; 16] = [
    "\"usage",
    "\"bytes\"",
    "eval_count\"",
    "token_count\"",
    "TokenCount\"",
    "_tokens\"",
    "putTokens\"",
    "tokens_predicted\"",
    "tokens_evaluated\"",
    "\"billed_units\"",
    "\"timings\"",
    "_search_call\"",
    "webSearchQueries\"",
    "edrock-",
    "EDROCK-",
    "-Tier\"",
];

static SEARCHER: LazyLock<Option<Searcher>> = LazyLock::new(|| Config::new().builder().extend(SIGNS).build());

/// Reads the usage out of a stream's frames.
#[derive(Debug)]
pub struct UsageStream {
    told: Told<'static>,
}

impl UsageStream {
    /// A stream of which nothing was read yet; the hint is that of [`extract_usage`](crate::extract_usage).
    #[must_use]
    pub fn new(provider_hint: Option<&str>) -> Self {
        Self {
            told: Told::new(Speaker::of(provider_hint)),
        }
    }

    /// Takes one frame: the data of a server-sent event, the event with all its lines, one or more lines of
    /// a stream of JSON lines, or a piece of a streamed list as long as no chunk in it is torn apart. What is
    /// no JSON, `[DONE]` included, is passed over.
    pub fn frame(&mut self, data: &str) {
        if !may_tell(data) {
            return;
        }
        let data = data.trim_start_matches('\u{feff}');
        let data = data.trim_start_matches(|letter: char| letter.is_ascii_whitespace() || letter == ',');
        if !data.starts_with(['{', '[']) || !self.values(data) {
            self.lines(data);
        }
    }

    /// Takes the headers of the response that the stream came with: Bedrock counts there, too.
    pub fn headers<'h>(&mut self, headers: impl IntoIterator<Item = (&'h str, &'h str)>) {
        self.told.take(header_node(headers).into_owned());
    }

    /// The usage as far as the stream has told it.
    #[must_use]
    pub fn usage(&self) -> TokenUsage {
        self.told.usage()
    }

    /// Takes JSON values, one after another; false if not even the first is whole.
    fn values(&mut self, json: &str) -> bool {
        let mut reader = serde_json::Deserializer::from_str(json);
        let mut read = false;
        while absorb(&mut reader, |node| self.told.take(node.into_owned())).is_ok() {
            read = true;
        }
        read
    }

    /// Takes the lines of events, or JSON lines.
    fn lines(&mut self, text: &str) {
        // A lone carriage return ends a line as well, but nobody mixes the two.
        let end = if text.contains('\n') { '\n' } else { '\r' };
        let mut event: Option<Cow<'_, str>> = None;
        for line in text.split(end) {
            let line = line
                .strip_suffix('\r')
                .unwrap_or(line)
                .trim_start_matches('\u{feff}');
            if let Some(data) = line.strip_prefix("data:") {
                let data = data.strip_prefix(' ').unwrap_or(data);
                event = Some(match event {
                    None => Cow::Borrowed(data),
                    Some(before) => Cow::Owned(format!("{before}\n{data}")),
                });
            } else if line.is_empty() {
                self.event(event.take());
            } else if line.starts_with(['{', '[']) && may_tell(line) {
                self.values(line);
            }
        }
        self.event(event);
    }

    fn event(&mut self, data: Option<Cow<'_, str>>) {
        if let Some(data) = data.filter(|data| may_tell(data))
            && !self.values(&data)
        {
            // Some servers write each data line as an event of its own, without the empty line between.
            for line in data.lines() {
                self.values(line);
            }
        }
    }
}

/// Whether parsing is worth it. Many providers put `"usage":null` into every frame but the last.
fn may_tell(data: &str) -> bool {
    let bytes = data.as_bytes();
    let Some(searcher) = &*SEARCHER else {
        return true;
    };
    searcher.find_iter(bytes).any(|found| {
        let rest = bytes.get(found.end()..).unwrap_or_default();
        match found.pattern().as_usize() {
            0 => !value_starts(rest.strip_prefix(b"\""), b"null"),
            1 => value_starts(Some(rest), b"\""),
            _ => true,
        }
    })
}

/// Whether the value that follows a key begins so.
fn value_starts(after_key: Option<&[u8]>, with: &[u8]) -> bool {
    let value = after_key
        .map(<[u8]>::trim_ascii_start)
        .and_then(|rest| rest.strip_prefix(b":"));
    value.is_some_and(|value| value.trim_ascii_start().starts_with(with))
}

#[cfg(test)]
mod tests;
