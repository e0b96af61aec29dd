//! Long texts and beginnings of message lists that are kept once and referred to.
//!
//! A list of messages has a hash for each beginning of it: the hash of one more message follows from the hash before
//! it and the message's bytes, so that a chat that sends its history again is known by its longest beginning.
//! Never decides what is kept apart: a [`ContentSink`] does.

use std::ops::Range;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use super::Damaged;
use super::block::{Sealed, Sealer, Tag};
use super::pack::Reader;

/// Texts of so many bytes are offered to the sink.
pub(crate) const TEXT_BYTES_MIN: usize = 512;
/// Texts of so many bytes never stand in a payload: bytes.
pub(crate) const TEXT_BYTES_HUGE: usize = 64 * 1024;
/// No chat is longer; a chain of rows that leads in a circle must end.
const CHAIN_MAX: usize = 1_000_000;

/// Identifies a text or the beginning of a message list by what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ContentHash(pub(crate) u128);

impl ContentHash {
    /// Of no messages at all.
    pub(crate) const NO_MESSAGES: Self = Self(0x6d65_7373_6167_6573);

    /// Of a text.
    pub(crate) fn of_text(text: &str) -> Self {
        Self(xxh3_128(text.as_bytes()))
    }

    /// Of the messages that this is the hash of, and one more with these bytes.
    pub(crate) fn and_message(self, message: &[u8]) -> Self {
        let mut both = [0_u8; 32];
        both[..16].copy_from_slice(&self.0.to_be_bytes());
        both[16..].copy_from_slice(&xxh3_128(message).to_be_bytes());
        Self(xxh3_128(&both))
    }

    /// Eight bytes of it: enough to guess that something was seen before.
    pub(crate) fn fingerprint(self) -> u64 {
        self.0 as u64
    }

    pub(crate) fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
}

/// A list of messages, encoded, with the hash of each of its beginnings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MessageList<'a> {
    pub(super) bytes: &'a [u8],
    /// Where each message ends.
    pub(super) ends: &'a [usize],
    /// The hash of the messages up to each.
    pub(super) hashes: &'a [ContentHash],
}

impl<'a> MessageList<'a> {
    /// How many messages.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The hash of the first `count` messages.
    pub(crate) fn hash(&self, count: usize) -> ContentHash {
        match count.checked_sub(1).and_then(|last| self.hashes.get(last)) {
            Some(hash) => *hash,
            None => ContentHash::NO_MESSAGES,
        }
    }

    /// The bytes of the messages from `first` up to, and without, `end`.
    pub(crate) fn bytes(&self, first: usize, end: usize) -> &'a [u8] {
        let place = |count: usize| count.checked_sub(1).and_then(|last| self.ends.get(last)).copied();
        let (start, end) = (place(first).unwrap_or(0), place(end).unwrap_or(0));
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// What is to be kept of the first `count` messages where the first `parent` of them are kept already (0: none).
    pub(crate) fn row(&self, parent: usize, count: usize) -> ContentRow<'a> {
        ContentRow::Messages {
            parent: (parent > 0).then(|| (self.hash(parent), parent)),
            count,
            bytes: self.bytes(parent, count),
        }
    }
}

/// Decides, while a payload is written, what is kept apart. Texts within message lists are not asked for, unless they
/// are huge: the list's beginnings are. What stands twice in the same few spans is better left to compression: a span
/// writes its answer to the shared store, and the same text is then asked for twice.
pub(crate) trait ContentSink {
    /// Whether this text of [`TEXT_BYTES_MIN`] bytes or more is kept apart, so that a reference to it is written at this
    /// place of the payload. The bytes are those of a text.
    fn text(&mut self, hash: ContentHash, text: &[u8], at: usize) -> bool;

    /// Takes a text of [`TEXT_BYTES_HUGE`] bytes or more: it has to be kept apart.
    fn huge_text(&mut self, hash: ContentHash, text: &[u8]);

    /// How many of the first messages are kept apart, so that one reference to them is written into the list, which
    /// begins at this place of the payload; 0: none.
    fn messages(&mut self, list: &MessageList<'_>, at: usize) -> usize;

    /// Takes note of a text that searches look at, which stands there in the payload.
    fn searched(&mut self, _text: Range<usize>) {}
}

/// Keeps nothing apart but what is huge, and that nowhere: for hashes alone.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NoSink;

impl ContentSink for NoSink {
    fn text(&mut self, _hash: ContentHash, _text: &[u8], _at: usize) -> bool {
        false
    }
    fn huge_text(&mut self, _hash: ContentHash, _text: &[u8]) {}
    fn messages(&mut self, _list: &MessageList<'_>, _at: usize) -> usize {
        0
    }
}

/// Gives back what is kept apart.
pub(crate) trait ContentSource {
    /// The row of this hash, opened.
    ///
    /// # Errors
    /// When there is none, or it is damaged.
    fn content(&mut self, hash: ContentHash) -> Result<Arc<OpenedContent>, Damaged>;
}

/// What a row of content holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ContentRow<'a> {
    /// The bytes of a text.
    Text(&'a [u8]),
    /// The beginning of a message list.
    Messages {
        /// The row with the messages before these, and how many they are.
        parent: Option<(ContentHash, usize)>,
        /// How many messages, with the parent's.
        count: usize,
        /// The messages that the parent lacks.
        bytes: &'a [u8],
    },
}

impl ContentRow<'_> {
    /// The row as it is stored.
    ///
    /// # Errors
    /// When it is larger than any row may be.
    pub(crate) fn seal(&self, sealer: &mut Sealer) -> Result<Vec<u8>, Damaged> {
        match self {
            Self::Text(text) => sealer.seal(Tag::Text, 0, text),
            Self::Messages { parent, count, bytes } => {
                let (hash, parent_count) = parent.unwrap_or((ContentHash(0), 0));
                let mut raw = Vec::with_capacity(bytes.len() + 32);
                raw.extend_from_slice(&hash.to_bytes());
                raw.extend_from_slice(&(parent_count as u64).to_be_bytes());
                raw.extend_from_slice(&(*count as u64).to_be_bytes());
                raw.extend_from_slice(bytes);
                sealer.seal(Tag::Messages, 0, &raw)
            }
        }
    }
}

/// A row of content, decompressed and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OpenedContent {
    /// A text.
    Text(String),
    /// The beginning of a message list.
    Messages {
        /// The row with the messages before these, and how many they are.
        parent: Option<(ContentHash, usize)>,
        /// How many messages, with the parent's.
        count: usize,
        /// The messages that the parent lacks.
        bytes: Vec<u8>,
    },
}

impl OpenedContent {
    /// Reads what [`ContentRow::seal`] wrote.
    ///
    /// # Errors
    /// For anything else.
    pub(crate) fn open(sealer: &mut Sealer, row: &[u8]) -> Result<Self, Damaged> {
        let sealed = Sealed::read(row)?;
        let raw = sealer.open(&sealed)?;
        match sealed.tag {
            Tag::Text => String::from_utf8(raw)
                .map(Self::Text)
                .map_err(|_| Damaged("a text kept apart is no UTF-8")),
            Tag::Messages => {
                let mut reader = Reader::new(&raw);
                let hash = ContentHash(reader.hash()?);
                let mut count = || {
                    usize::try_from(reader.number_u64()?).map_err(|_| Damaged("a message list is too long"))
                };
                let (parent_count, count) = (count()?, count()?);
                Ok(Self::Messages {
                    parent: (parent_count > 0).then_some((hash, parent_count)),
                    count,
                    bytes: reader.rest().to_vec(),
                })
            }
            _ => Err(Damaged("a block stands where content belongs")),
        }
    }

    /// The rows that this one refers to itself.
    ///
    /// # Errors
    /// When it is damaged.
    pub(crate) fn references(&self, visit: &mut dyn FnMut(ContentHash)) -> Result<(), Damaged> {
        match self {
            Self::Text(_) => Ok(()),
            Self::Messages { parent, bytes, .. } => {
                if let Some((hash, _)) = parent {
                    visit(*hash);
                }
                super::payload::visit_references_in_values(bytes, visit)
            }
        }
    }
}

/// The text of this hash.
pub(super) fn text_of(
    hash: ContentHash,
    source: &mut dyn ContentSource,
) -> Result<Arc<OpenedContent>, Damaged> {
    let content = source.content(hash)?;
    match &*content {
        OpenedContent::Text(_) => Ok(content),
        OpenedContent::Messages { .. } => Err(Damaged("a message list stands where a text belongs")),
    }
}

/// The rows whose messages, one after the other, are the list of this hash: the oldest first.
pub(super) fn chain_of(
    hash: ContentHash,
    count: usize,
    source: &mut dyn ContentSource,
) -> Result<Vec<(ContentHash, Arc<OpenedContent>)>, Damaged> {
    let mut chain = Vec::new();
    let mut next = Some((hash, count));
    while let Some((hash, expected)) = next {
        let content = source.content(hash)?;
        let OpenedContent::Messages { parent, count, .. } = &*content else {
            return Err(Damaged("a text stands where a message list belongs"));
        };
        let is_shorter = parent.is_none_or(|(_, before)| before < *count);
        if *count != expected || !is_shorter || chain.len() >= CHAIN_MAX {
            return Err(Damaged("a message list kept apart has another length"));
        }
        next = *parent;
        chain.push((hash, content));
    }
    chain.reverse();
    Ok(chain)
}

#[cfg(test)]
mod tests;
