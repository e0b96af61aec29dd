//! Blocks: up to 48 payloads compressed together, so that what they have in common is stored once.
//!
//! Whatever is compressed is sealed alike, and what is too short for that, too: version, tag, length and a checksum over
//! all of it, so that a damaged page is told and never decoded. Never keeps more than one block in memory.

use std::io::Cursor;

use xxhash_rust::xxh3::Xxh3;

use super::Damaged;

/// Payloads in one block at most.
pub(crate) const PAYLOADS_MAX: usize = 48;
/// The form of what is sealed.
const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 8;
/// Version, tag, note, length, checksum.
const HEADER_BYTES: usize = 1 + 1 + 1 + 4 + CHECKSUM_BYTES;
/// Level 2 makes blocks of prose 5 % smaller and takes a third longer.
const LEVEL: i32 = 1;
/// Twice the table that the level has for blocks of this size, 3 % smaller. Twice as large again is 1 % smaller, and slower
/// where others use the processor's caches, too.
const HASH_LOG: u32 = 14;
/// A shorter match is not looked for: blocks of prose are 9 % larger than with six, and an eighth faster.
const MIN_MATCH_BYTES: u32 = 7;
/// Memory to compress into that is kept from one to the next at most, bytes.
const SCRATCH_BYTES_KEPT: usize = 1 << 20;
/// Bytes that a sealed thing may have before compression.
const RAW_BYTES_MAX: usize = 2_000_000_000;

/// Up to so many bytes are not compressed: what zstd makes of them is hardly smaller, and to begin with takes longer than
/// all the rest.
const PLAIN_BYTES_MAX: usize = 384;

/// What is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    /// Payloads of spans.
    Payloads,
    /// Log records.
    Logs,
    /// A text kept apart.
    Text,
    /// The beginning of a message list kept apart.
    Messages,
    /// Something that another part of the store packs.
    Other,
}

impl Tag {
    const ALL: [Self; 5] = [
        Self::Payloads,
        Self::Logs,
        Self::Text,
        Self::Messages,
        Self::Other,
    ];
}

/// What is sealed, still compressed; its checksum holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sealed<'a> {
    /// What it is.
    pub(crate) tag: Tag,
    /// A byte that can be read without decompressing.
    pub(crate) note: u8,
    raw_bytes: usize,
    compressed: &'a [u8],
}

impl<'a> Sealed<'a> {
    /// Reads the head of what [`Sealer::seal`] wrote, and checks the checksum.
    ///
    /// # Errors
    /// For anything else.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, Damaged> {
        let (head, compressed) = bytes
            .split_first_chunk::<HEADER_BYTES>()
            .ok_or(Damaged("a block is cut off"))?;
        let [version, tag, note, a, b, c, d, checksum @ ..] = *head;
        if version != VERSION {
            return Err(Damaged("a block has a form that this program does not know"));
        }
        if checksum_of(&head[..HEADER_BYTES - 8], compressed) != u64::from_le_bytes(checksum) {
            return Err(Damaged("a block's checksum does not hold"));
        }
        let tag = Tag::ALL
            .get(usize::from(tag))
            .ok_or(Damaged("a block is of an unknown kind"))?;
        let raw_bytes = usize::try_from(u32::from_le_bytes([a, b, c, d]))
            .ok()
            .filter(|length| *length <= RAW_BYTES_MAX)
            .ok_or(Damaged("a block is too large"))?;
        Ok(Self {
            tag: *tag,
            note,
            raw_bytes,
            compressed,
        })
    }
}

fn checksum_of(head: &[u8], compressed: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(head);
    hash.update(compressed);
    hash.digest()
}

fn compressor() -> std::io::Result<zstd::bulk::Compressor<'static>> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    compressor.set_parameter(zstd::zstd_safe::CParameter::HashLog(HASH_LOG))?;
    compressor.set_parameter(zstd::zstd_safe::CParameter::MinMatch(MIN_MATCH_BYTES))?;
    Ok(compressor)
}

/// Compresses and decompresses; keeps what zstd needs for that from one to the next.
pub(crate) struct Sealer {
    compressor: Option<zstd::bulk::Compressor<'static>>,
    decompressor: Option<zstd::bulk::Decompressor<'static>>,
    scratch: Vec<u8>,
}

impl Default for Sealer {
    fn default() -> Self {
        Self::new()
    }
}

impl Sealer {
    /// Nothing is allocated before it is used.
    pub(crate) fn new() -> Self {
        Self {
            compressor: None,
            decompressor: None,
            scratch: Vec::new(),
        }
    }

    /// Compresses `raw`.
    ///
    /// # Errors
    /// When it is too large.
    pub(crate) fn seal(&mut self, tag: Tag, note: u8, raw: &[u8]) -> Result<Vec<u8>, Damaged> {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let sealed = self.seal_behind(tag, note, raw, &mut scratch);
        // No larger than it has to be.
        let sealed = sealed.map(|()| scratch.as_slice().to_vec());
        if scratch.capacity() <= SCRATCH_BYTES_KEPT {
            self.scratch = scratch;
        }
        sealed
    }

    /// The same, behind what `out` holds.
    ///
    /// # Errors
    /// When it is too large; then `out` holds what it held.
    pub(crate) fn seal_behind(
        &mut self,
        tag: Tag,
        note: u8,
        raw: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Damaged> {
        let length = u32::try_from(raw.len())
            .ok()
            .filter(|_| raw.len() <= RAW_BYTES_MAX)
            .ok_or(Damaged("something is too large to be kept"))?;
        let tag = Tag::ALL.iter().position(|known| *known == tag).unwrap_or(0) as u8;
        let start = out.len();
        out.reserve(HEADER_BYTES + zstd::zstd_safe::compress_bound(raw.len()));
        out.extend_from_slice(&[VERSION, tag, note]);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&[0; CHECKSUM_BYTES]);
        let body = out.len();
        if raw.len() > PLAIN_BYTES_MAX
            && let Err(damaged) = self.compress_behind(raw, out)
        {
            out.truncate(start);
            return Err(damaged);
        }
        // What is as long as before is what it was before.
        if raw.len() <= PLAIN_BYTES_MAX || out.len() - body >= raw.len() {
            out.truncate(body);
            out.extend_from_slice(raw);
        }
        let (head, compressed) = out.split_at_mut(body);
        let (words, checksum) = head.split_at_mut(body - CHECKSUM_BYTES);
        let sum = checksum_of(words.get(start..).unwrap_or_default(), compressed);
        checksum.copy_from_slice(&sum.to_le_bytes());
        Ok(())
    }

    fn compress_behind(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), Damaged> {
        let compressor = match &mut self.compressor {
            Some(compressor) => compressor,
            none => none.insert(compressor().map_err(|_| Damaged("there is no memory to compress with"))?),
        };
        let mut behind = Cursor::new(out);
        behind.set_position(behind.get_ref().len() as u64);
        compressor
            .compress_to_buffer(raw, &mut behind)
            .map_err(|_| Damaged("a block could not be compressed"))?;
        Ok(())
    }

    /// Decompresses.
    ///
    /// # Errors
    /// When it is damaged in spite of its checksum.
    pub(crate) fn open(&mut self, sealed: &Sealed<'_>) -> Result<Vec<u8>, Damaged> {
        let mut raw = Vec::new();
        self.open_into(sealed, &mut raw)?;
        Ok(raw)
    }

    /// The same, into a buffer that is used again.
    ///
    /// # Errors
    /// When it is damaged in spite of its checksum.
    pub(crate) fn open_into(&mut self, sealed: &Sealed<'_>, raw: &mut Vec<u8>) -> Result<(), Damaged> {
        let decompressor = match &mut self.decompressor {
            Some(decompressor) => decompressor,
            none => none.insert(
                zstd::bulk::Decompressor::new()
                    .map_err(|_| Damaged("there is no memory to decompress with"))?,
            ),
        };
        raw.clear();
        if sealed.compressed.len() == sealed.raw_bytes {
            raw.extend_from_slice(sealed.compressed);
            return Ok(());
        }
        raw.reserve(sealed.raw_bytes);
        decompressor
            .decompress_to_buffer(sealed.compressed, raw)
            .map_err(|_| Damaged("a block cannot be decompressed"))?;
        if raw.len() != sealed.raw_bytes {
            return Err(Damaged("a block has another length"));
        }
        Ok(())
    }
}

/// Gathers payloads for one block.
#[derive(Debug, Default)]
pub(crate) struct BlockWriter {
    raw: Vec<u8>,
    ends: Vec<u32>,
}

impl BlockWriter {
    /// How many payloads it holds.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it holds all that fit.
    pub(crate) fn is_full(&self) -> bool {
        self.ends.len() >= PAYLOADS_MAX
    }

    /// Adds a payload; into one that [`BlockWriter::is_full`], nothing is added.
    ///
    /// # Errors
    /// When it does not fit.
    pub(crate) fn push(&mut self, payload: &[u8]) -> Result<(), Damaged> {
        let end = u32::try_from(self.raw.len() + payload.len()).ok();
        match end.filter(|_| !self.is_full()) {
            Some(end) => {
                self.raw.extend_from_slice(payload);
                self.ends.push(end);
                Ok(())
            }
            None => Err(Damaged("a payload does not fit into its block")),
        }
    }

    /// Compresses what was added, and begins anew.
    ///
    /// # Errors
    /// When it is too large.
    pub(crate) fn finish(&mut self, sealer: &mut Sealer) -> Result<Vec<u8>, Damaged> {
        let mut sealed = Vec::new();
        self.finish_behind(sealer, &mut sealed)?;
        Ok(sealed)
    }

    /// The same, behind what `out` holds.
    ///
    /// # Errors
    /// When it is too large.
    fn finish_behind(&mut self, sealer: &mut Sealer, out: &mut Vec<u8>) -> Result<(), Damaged> {
        for end in &self.ends {
            self.raw.extend_from_slice(&end.to_le_bytes());
        }
        self.raw.push(self.ends.len() as u8);
        let sealed = sealer.seal_behind(Tag::Payloads, self.ends.len() as u8, &self.raw, out);
        self.raw.clear();
        self.ends.clear();
        sealed
    }
}

/// Blocks that are compressed, one behind the other.
#[derive(Debug, Default)]
pub(crate) struct SealedBlocks {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl SealedBlocks {
    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of all of them.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Compresses what was added to a block; it comes behind the others.
    ///
    /// # Errors
    /// When it is too large.
    pub(crate) fn add(&mut self, block: &mut BlockWriter, sealer: &mut Sealer) -> Result<(), Damaged> {
        block.finish_behind(sealer, &mut self.bytes)?;
        self.ends.push(self.bytes.len());
        Ok(())
    }

    /// Each of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let ranges = starts.zip(&self.ends);
        ranges.map(|(start, end)| self.bytes.get(start..*end).unwrap_or_default())
    }

    /// Throws them away and keeps their memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

/// A decompressed block.
#[derive(Clone, Debug, Default)]
pub(crate) struct Block {
    raw: Vec<u8>,
    count: usize,
}

impl Block {
    /// Opens a block.
    ///
    /// # Errors
    /// When it is damaged.
    pub(crate) fn open(sealer: &mut Sealer, bytes: &[u8]) -> Result<Self, Damaged> {
        let mut block = Self::default();
        block.open_again(sealer, bytes)?;
        Ok(block)
    }

    /// Opens another block in the memory of this one.
    ///
    /// # Errors
    /// When it is damaged; then it holds nothing.
    pub(crate) fn open_again(&mut self, sealer: &mut Sealer, bytes: &[u8]) -> Result<(), Damaged> {
        self.count = 0;
        let sealed = Sealed::read(bytes)?;
        if sealed.tag != Tag::Payloads {
            return Err(Damaged("something else stands where a block of payloads belongs"));
        }
        sealer.open_into(&sealed, &mut self.raw)?;
        let count = usize::from(self.raw.last().copied().unwrap_or(0));
        let bytes_min = count * 4 + 1;
        if count > PAYLOADS_MAX || self.raw.len() < bytes_min {
            return Err(Damaged("a block holds too many payloads"));
        }
        let bytes = self.raw.len() - bytes_min;
        let mut before = 0;
        for place in 0..count {
            let end = self.end(bytes, place);
            if end < before || end > bytes {
                return Err(Damaged("a block's lengths do not fit"));
            }
            before = end;
        }
        self.count = count;
        Ok(())
    }

    fn end(&self, bytes: usize, place: usize) -> usize {
        let at = bytes + place * 4;
        let end = self.raw.get(at..at + 4).and_then(|end| end.try_into().ok());
        end.map_or(0, |end| u32::from_le_bytes(end) as usize)
    }

    /// How many payloads.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The payload at this place; `None` behind the last.
    pub(crate) fn payload(&self, place: usize) -> Option<&[u8]> {
        if place >= self.count {
            return None;
        }
        let bytes = self.raw.len() - (self.count * 4 + 1);
        let start = place.checked_sub(1).map_or(0, |before| self.end(bytes, before));
        self.raw.get(start..self.end(bytes, place))
    }

    /// All payloads, in order.
    pub(crate) fn payloads(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.count).filter_map(|place| self.payload(place))
    }

    /// The bytes of all payloads, one after the other: for a search by force.
    pub(crate) fn bytes(&self) -> &[u8] {
        let end = self.raw.len().saturating_sub(self.count * 4 + 1);
        self.raw.get(..end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
