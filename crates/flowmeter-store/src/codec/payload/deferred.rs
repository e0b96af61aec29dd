//! Payloads that are written before anybody knows what of them is kept apart.
//!
//! Whoever has a span at hand writes its payload with all texts in it, and notes where those stand that may be kept
//! apart; whoever knows what is kept puts references in their places. Never decides anything itself.

use std::ops::Range;

use flowmeter_model::{Span, TraceId};

use super::super::Damaged;
use super::super::content::{ContentHash, ContentSink, MessageList};
use super::super::pack::{
    array_head_bytes, text_head_bytes, write_array, write_messages_reference, write_text_reference,
};
use super::PayloadWriter;

/// Payloads one behind the other, with what is to be decided of them.
#[derive(Debug, Default)]
pub(crate) struct DeferredPayloads {
    bytes: Vec<u8>,
    places: Places,
}

/// One of [`DeferredPayloads`].
#[derive(Clone, Debug)]
pub(crate) struct Deferred {
    bytes: Range<usize>,
    sites: Range<usize>,
    huge: Range<usize>,
    searched: Range<usize>,
}

/// Takes note of all that it is asked for, and keeps nothing apart but what has to be.
#[derive(Debug, Default)]
struct Places {
    sites: Vec<Site>,
    /// Of all message lists: where each message ends, and the hash of the messages up to it.
    ends: Vec<usize>,
    hashes: Vec<ContentHash>,
    /// Texts that stand in no payload.
    huge: Vec<(ContentHash, Box<[u8]>)>,
    /// Where the others stand that searches look at.
    searched: Vec<Range<usize>>,
}

/// Something that may be kept apart, and where it stands.
#[derive(Clone, Debug)]
enum Site {
    Text {
        at: usize,
        bytes: usize,
        hash: ContentHash,
    },
    Messages {
        at: usize,
        /// Which of the ends and hashes are its own.
        messages: Range<usize>,
    },
}

impl ContentSink for Places {
    fn text(&mut self, hash: ContentHash, text: &[u8], at: usize) -> bool {
        let bytes = text.len();
        self.sites.push(Site::Text { at, bytes, hash });
        false
    }

    fn huge_text(&mut self, hash: ContentHash, text: &[u8]) {
        self.huge.push((hash, text.into()));
    }

    fn messages(&mut self, list: &MessageList<'_>, at: usize) -> usize {
        let first = self.ends.len();
        self.ends.extend_from_slice(list.ends);
        self.hashes.extend_from_slice(list.hashes);
        let messages = first..self.ends.len();
        self.sites.push(Site::Messages { at, messages });
        0
    }

    fn searched(&mut self, text: Range<usize>) {
        self.searched.push(text);
    }
}

impl DeferredPayloads {
    /// Writes the payload of a span that belongs to a run with this trace. Gives its prompt hash, too, as
    /// [`PayloadWriter::write`] does.
    pub(crate) fn write(
        &mut self,
        writer: &mut PayloadWriter,
        span: &Span,
        run_trace: TraceId,
    ) -> (Deferred, u64) {
        let before = self.lengths();
        let prompt_hash = writer.write(span, run_trace, &mut self.places, &mut self.bytes);
        let after = self.lengths();
        let [bytes, sites, huge, searched] = std::array::from_fn(|list| before[list]..after[list]);
        let deferred = Deferred {
            bytes,
            sites,
            huge,
            searched,
        };
        (deferred, prompt_hash)
    }

    fn lengths(&self) -> [usize; 4] {
        let Places {
            sites,
            huge,
            searched,
            ..
        } = &self.places;
        [self.bytes.len(), sites.len(), huge.len(), searched.len()]
    }

    /// What the sink is going to be asked for when this payload is settled, as far as that is known.
    pub(crate) fn asked_for(&self, deferred: &Deferred) -> impl Iterator<Item = ContentHash> {
        let sites = self.places.sites.get(deferred.sites.clone()).unwrap_or_default();
        sites.iter().filter_map(|site| match site {
            Site::Text { hash, .. } => Some(*hash),
            Site::Messages { messages, .. } => self.places.hashes.get(messages.clone())?.last().copied(),
        })
    }

    /// Hands out the texts of a payload that searches look at: first those that are not huge, in order, as their bytes.
    /// Of what is huge all is handed out, with its hash.
    pub(crate) fn visit_searched(
        &self,
        deferred: &Deferred,
        visit: &mut impl FnMut(Option<ContentHash>, &[u8]),
    ) {
        let Places { huge, searched, .. } = &self.places;
        for text in searched.get(deferred.searched.clone()).unwrap_or_default() {
            visit(None, self.bytes.get(text.clone()).unwrap_or_default());
        }
        for (hash, text) in huge.get(deferred.huge.clone()).unwrap_or_default() {
            visit(Some(*hash), text);
        }
    }

    /// The payload as [`PayloadWriter::write`] writes it for this sink. Where it is not the whole one, it is made in
    /// `out`.
    ///
    /// # Errors
    /// When it is not one of these payloads.
    pub(crate) fn settle<'a>(
        &'a self,
        deferred: &Deferred,
        sink: &mut dyn ContentSink,
        out: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], Damaged> {
        const FOREIGN: Damaged = Damaged("a payload is not where it was written");
        for (hash, text) in self.places.huge.get(deferred.huge.clone()).ok_or(FOREIGN)? {
            sink.huge_text(*hash, text);
        }
        out.clear();
        let bytes = |range: Range<usize>| self.bytes.get(range).ok_or(FOREIGN);
        // What stands before this is in `out`.
        let mut settled = deferred.bytes.start;
        for site in self.places.sites.get(deferred.sites.clone()).ok_or(FOREIGN)? {
            match site {
                Site::Text {
                    at,
                    bytes: length,
                    hash,
                } => {
                    let start = at + text_head_bytes(*length);
                    if sink.text(*hash, bytes(start..start + length)?, *at) {
                        out.extend_from_slice(bytes(settled..*at)?);
                        write_text_reference(out, hash.0);
                        settled = start + length;
                    }
                }
                Site::Messages { at, messages } => {
                    let start = at + array_head_bytes(messages.len());
                    let list = MessageList {
                        bytes: bytes(start..deferred.bytes.end)?,
                        ends: self.places.ends.get(messages.clone()).ok_or(FOREIGN)?,
                        hashes: self.places.hashes.get(messages.clone()).ok_or(FOREIGN)?,
                    };
                    let known = sink.messages(&list, *at).min(list.len());
                    if let (1.., Ok(count)) = (known, u32::try_from(known)) {
                        out.extend_from_slice(bytes(settled..*at)?);
                        write_array(out, 1 + list.len() - known);
                        write_messages_reference(out, list.hash(known).0, count);
                        settled = start + list.bytes(0, known).len();
                    }
                }
            }
        }
        if settled == deferred.bytes.start {
            return bytes(deferred.bytes.clone());
        }
        out.extend_from_slice(bytes(settled..deferred.bytes.end)?);
        Ok(out)
    }

    /// Bytes in memory.
    pub(crate) fn bytes(&self) -> usize {
        let Places {
            sites,
            ends,
            hashes,
            huge,
            searched,
        } = &self.places;
        self.bytes.capacity()
            + huge.iter().map(|(_, text)| text.len()).sum::<usize>()
            + size_of_val(sites.as_slice())
            + size_of_val(ends.as_slice())
            + size_of_val(hashes.as_slice())
            + size_of_val(searched.as_slice())
    }

    /// Room for so many bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            places: Places::default(),
        }
    }
}
