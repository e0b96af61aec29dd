//! A bucket of a segment: which blocks of which batches hold some of the words, as bytes.
//!
//! What is alike stands together (gaps between words, places of batches, forms, bits), for so it compresses best: to
//! less than two thirds of what it takes word by word. Never holds a word: only numbers that some words share.

use std::ops::ControlFlow;

use super::postings::BLOCKS_MAX;
use super::words::WORD_BITS;
use crate::codec::Damaged;
use crate::codec::block::{Sealed, Sealer, Tag};
use crate::codec::sketch::{read_varint, write_varint};

/// Batches in one segment.
pub(super) const SEGMENT_BATCHES: usize = 32;
/// Bits of a word's number that tell its bucket.
pub(super) const BUCKET_BITS: u32 = 9;
/// The form of what is sealed.
const FORM: u8 = 2;

// How the blocks of an entry stand there: a number below 64 is the one block.
/// So many blocks stand one byte each; their number is added.
const FEW: u8 = 0x80;
/// Four blocks take no less than the bits of those that a usual batch has.
const FEW_MAX: u32 = 3;
/// The bits of so many eights of blocks; their number is added. All first eights stand together, then all second ones.
const BITS: u8 = 0xc0;
/// Eights of blocks at most.
const PLANES: usize = BLOCKS_MAX / 8;

const DAMAGED: Damaged = Damaged("a bucket of words is damaged");

/// The bucket of a word.
pub(super) fn bucket_of(word: u32) -> u32 {
    word >> (WORD_BITS - BUCKET_BITS)
}

/// A word without the bits that tell its bucket.
fn in_bucket(word: u32) -> u32 {
    word & ((1 << (WORD_BITS - BUCKET_BITS)) - 1)
}

/// The words that fall into one bucket, on their way into bytes.
#[derive(Default)]
pub(super) struct BucketWriter {
    gaps: Vec<u8>,
    counts: Vec<u8>,
    places: Vec<u8>,
    forms: Vec<u8>,
    few: Vec<u8>,
    planes: [Vec<u8>; PLANES],
    last: u32,
    raw: Vec<u8>,
    sealer: Sealer,
}

impl BucketWriter {
    /// Adds the next word, with the batches (by their places in the segment, in order) and blocks that hold it.
    pub(super) fn push(&mut self, word: u32, entries: &[(u8, u64)]) {
        if entries.is_empty() {
            return;
        }
        let word = in_bucket(word);
        write_varint(&mut self.gaps, u64::from(word - self.last));
        self.last = word;
        self.counts.push(entries.len() as u8);
        let mut next = 0;
        for (place, blocks) in entries {
            self.places.push(place.wrapping_sub(next));
            next = place.wrapping_add(1);
            self.push_blocks(*blocks);
        }
    }

    fn push_blocks(&mut self, blocks: u64) {
        match blocks.count_ones() {
            1 => self.forms.push(blocks.trailing_zeros() as u8),
            few @ 0..=FEW_MAX => {
                self.forms.push(FEW | few as u8);
                let mut left = blocks;
                while left != 0 {
                    self.few.push(left.trailing_zeros() as u8);
                    left &= left - 1;
                }
            }
            _ => {
                let eights = (64 - blocks.leading_zeros()).div_ceil(8);
                self.forms.push(BITS | eights as u8);
                let bytes = blocks.to_le_bytes();
                for (plane, byte) in self.planes.iter_mut().zip(bytes).take(eights as usize) {
                    plane.push(byte);
                }
            }
        }
    }

    /// The bytes; empty where there were no words. Begins anew.
    ///
    /// # Errors
    /// When it is too large, which it never is.
    pub(super) fn finish(&mut self) -> Result<Vec<u8>, Damaged> {
        self.last = 0;
        if self.counts.is_empty() {
            return Ok(Vec::new());
        }
        let first = [
            &mut self.gaps,
            &mut self.counts,
            &mut self.places,
            &mut self.forms,
            &mut self.few,
        ];
        let parts = || first.iter().map(|part| &**part).chain(&self.planes);
        self.raw.clear();
        for part in parts() {
            write_varint(&mut self.raw, part.len() as u64);
        }
        for part in parts() {
            self.raw.extend_from_slice(part);
        }
        first.into_iter().chain(&mut self.planes).for_each(Vec::clear);
        self.sealer.seal(Tag::Other, FORM, &self.raw)
    }
}

/// Opens buckets; keeps the memory that this takes.
#[derive(Default)]
pub(super) struct BucketReader {
    raw: Vec<u8>,
    sealer: Sealer,
}

impl BucketReader {
    /// Opens what [`BucketWriter::finish`] wrote.
    ///
    /// # Errors
    /// For anything else.
    pub(super) fn open(&mut self, bytes: &[u8]) -> Result<Bucket<'_>, Damaged> {
        self.raw.clear();
        if bytes.is_empty() {
            return Ok(Bucket::default());
        }
        let sealed = Sealed::read(bytes)?;
        if sealed.tag != Tag::Other || sealed.note != FORM {
            return Err(Damaged(
                "a bucket of words has a form that this program does not know",
            ));
        }
        self.sealer.open_into(&sealed, &mut self.raw)?;
        Bucket::cut(&self.raw).ok_or(DAMAGED)
    }
}

/// The words of a bucket, with the batches and blocks that hold them.
#[derive(Clone, Copy, Default)]
pub(super) struct Bucket<'a> {
    gaps: &'a [u8],
    counts: &'a [u8],
    entries: Entries<'a>,
}

impl<'a> Bucket<'a> {
    fn cut(raw: &'a [u8]) -> Option<Self> {
        let mut rest = raw;
        let mut lengths = [0_usize; 5 + PLANES];
        for length in &mut lengths {
            *length = usize::try_from(read_varint(&mut rest)?).ok()?;
        }
        let mut parts = [&[] as &[u8]; 5 + PLANES];
        for (part, length) in parts.iter_mut().zip(lengths) {
            (*part, rest) = rest.split_at_checked(length)?;
        }
        let [gaps, counts, places, forms, few, planes @ ..] = parts;
        let entries = Entries {
            places,
            forms,
            few,
            planes,
        };
        rest.is_empty().then_some(Self {
            gaps,
            counts,
            entries,
        })
    }

    /// Hands out the words in order, without the bits that tell the bucket. Ends when `visit` says so.
    ///
    /// # Errors
    /// When it is damaged.
    pub(super) fn visit(self, visit: VisitWords<'_>) -> Result<(), Damaged> {
        let (mut gaps, mut entries) = (self.gaps, self.entries);
        let (mut word, mut there) = (0_u32, Vec::new());
        for count in self.counts {
            word = next_word(word, &mut gaps).ok_or(DAMAGED)?;
            entries.read(*count, &mut there).ok_or(DAMAGED)?;
            if visit(word, &there).is_break() {
                return Ok(());
            }
        }
        if gaps.is_empty() { Ok(()) } else { Err(DAMAGED) }
    }

    /// The batches and blocks of one word.
    ///
    /// # Errors
    /// When it is damaged.
    pub(super) fn find(self, word: u32) -> Result<Vec<(u8, u64)>, Damaged> {
        let wanted = in_bucket(word);
        let (mut gaps, mut entries) = (self.gaps, self.entries);
        let (mut word, mut before) = (0_u32, 0);
        let mut found = Vec::new();
        for count in self.counts {
            word = next_word(word, &mut gaps).ok_or(DAMAGED)?;
            if word == wanted {
                entries.skip(before).ok_or(DAMAGED)?;
                entries.read(*count, &mut found).ok_or(DAMAGED)?;
            }
            if word >= wanted {
                break;
            }
            before += usize::from(*count);
        }
        Ok(found)
    }
}

fn next_word(word: u32, gaps: &mut &[u8]) -> Option<u32> {
    word.checked_add(u32::try_from(read_varint(gaps)?).ok()?)
}

/// Called with each word of a bucket.
pub(super) type VisitWords<'v> = &'v mut dyn FnMut(u32, &[(u8, u64)]) -> ControlFlow<()>;

/// What is left of the entries.
#[derive(Clone, Copy, Default)]
struct Entries<'a> {
    places: &'a [u8],
    forms: &'a [u8],
    few: &'a [u8],
    planes: [&'a [u8]; PLANES],
}

impl Entries<'_> {
    fn skip(&mut self, count: usize) -> Option<()> {
        let (skipped, forms) = self.forms.split_at_checked(count)?;
        self.forms = forms;
        self.places = self.places.get(count..)?;
        let (mut few, mut with_bits) = (0, [0_usize; PLANES + 1]);
        for form in skipped {
            if *form >= BITS {
                *with_bits.get_mut(usize::from(form - BITS))? += 1;
            } else if *form >= FEW {
                few += usize::from(form - FEW);
            }
        }
        self.few = self.few.get(few..)?;
        let mut bytes = 0;
        for (plane, count) in self.planes.iter_mut().zip(with_bits.into_iter().skip(1)).rev() {
            bytes += count;
            *plane = plane.get(bytes..)?;
        }
        Some(())
    }

    fn read(&mut self, count: u8, into: &mut Vec<(u8, u64)>) -> Option<()> {
        let count = usize::from(count);
        let (places, left_places) = self.places.split_at_checked(count)?;
        let (forms, left_forms) = self.forms.split_at_checked(count)?;
        (self.places, self.forms) = (left_places, left_forms);
        into.clear();
        let mut next = 0_u8;
        for (gap, form) in places.iter().zip(forms) {
            let place = next.wrapping_add(*gap);
            if usize::from(place) >= SEGMENT_BATCHES {
                return None;
            }
            next = place + 1;
            into.push((place, self.read_blocks(*form)?));
        }
        Some(())
    }

    fn read_blocks(&mut self, form: u8) -> Option<u64> {
        if form < BLOCKS_MAX as u8 {
            return Some(1 << form);
        }
        let mut blocks = 0;
        if form >= BITS {
            let eights = usize::from(form - BITS);
            if eights > PLANES {
                return None;
            }
            for (place, plane) in self.planes.iter_mut().take(eights).enumerate() {
                let (byte, left) = plane.split_first()?;
                *plane = left;
                blocks |= u64::from(*byte) << (8 * place);
            }
            return Some(blocks);
        }
        let (few, left) = self.few.split_at_checked(usize::from(form.checked_sub(FEW)?))?;
        self.few = left;
        for block in few {
            blocks |= 1_u64.checked_shl(u32::from(*block))?;
        }
        Some(blocks)
    }
}

#[cfg(test)]
mod tests;
