//! Which blocks hold which words, as bytes: for one batch, and for a bucket of the words of many batches.
//!
//! Never holds a word: only numbers that some words share.

use std::ops::ControlFlow;

use super::words::WORD_BITS;
use crate::codec::Damaged;
use crate::codec::sketch::{read_varint, write_varint};

/// Blocks in one batch at most.
pub(super) const BLOCKS_MAX: usize = 64;
/// Batches in one segment at most: what seven bits of their places tell.
pub(super) const SEGMENT_BATCHES_MAX: usize = 128;
/// Stands in the place of a batch when another one follows for the same word.
const MORE: u8 = 0x80;
/// Bits of a word's number that tell its bucket.
pub(super) const BUCKET_BITS: u32 = 9;
/// The form of the bytes.
const VERSION: u8 = 1;

// How the blocks of an entry stand there: a number below 64 is the one block.
/// So many blocks, one byte each, follow; their number is added.
const FEW: u8 = 0x80;
const FEW_MAX: u32 = 7;
/// A bit for each of 32 blocks follows.
const BITS_32: u8 = 0xfe;
/// A bit for each of 64 blocks follows.
const BITS_64: u8 = 0xff;

fn write_blocks(out: &mut Vec<u8>, blocks: u64) {
    match blocks.count_ones() {
        1 => out.push(blocks.trailing_zeros() as u8),
        few @ 0..=FEW_MAX if few < 4 || blocks >> 32 != 0 => {
            out.push(FEW + few as u8);
            let mut left = blocks;
            while left != 0 {
                out.push(left.trailing_zeros() as u8);
                left &= left - 1;
            }
        }
        _ if blocks >> 32 == 0 => {
            out.push(BITS_32);
            out.extend_from_slice(&(blocks as u32).to_le_bytes());
        }
        _ => {
            out.push(BITS_64);
            out.extend_from_slice(&blocks.to_le_bytes());
        }
    }
}

fn read_blocks(bytes: &mut &[u8]) -> Option<u64> {
    let (form, rest) = bytes.split_first()?;
    *bytes = rest;
    match *form {
        block @ 0..=63 => Some(1 << block),
        BITS_32 => {
            let (bits, rest) = bytes.split_first_chunk::<4>()?;
            *bytes = rest;
            Some(u64::from(u32::from_le_bytes(*bits)))
        }
        BITS_64 => {
            let (bits, rest) = bytes.split_first_chunk::<8>()?;
            *bytes = rest;
            Some(u64::from_le_bytes(*bits))
        }
        few => {
            let (blocks, rest) = bytes.split_at_checked(usize::from(few.checked_sub(FEW)?))?;
            *bytes = rest;
            blocks.iter().try_fold(0, |bits, block| {
                usize::from(*block).lt(&BLOCKS_MAX).then(|| bits | 1 << block)
            })
        }
    }
}

/// Packs the words of a batch: pairs of word and block, as `word << 8 | block`, sorted, each once.
pub(super) fn encode_batch(pairs: &[u32]) -> Vec<u8> {
    let mut out = Vec::with_capacity(pairs.len() * 3 + 1);
    out.push(VERSION);
    let mut last = 0;
    for of_word in pairs.chunk_by(|a, b| a >> 8 == b >> 8) {
        let word = of_word.first().map_or(0, |pair| pair >> 8);
        let blocks = of_word.iter().fold(0, |bits, pair| bits | 1_u64 << (pair & 63));
        write_varint(&mut out, u64::from(word - last));
        write_blocks(&mut out, blocks);
        last = word;
    }
    out
}

/// The words of a batch with their blocks, in the order of the words.
pub(super) struct BatchWords<'a> {
    rest: &'a [u8],
    last: u32,
}

impl<'a> BatchWords<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, Damaged> {
        match bytes.split_first() {
            Some((&VERSION, rest)) => Ok(Self { rest, last: 0 }),
            _ => Err(Damaged(
                "the words of a batch have a form that this program does not know",
            )),
        }
    }

    /// The blocks that may hold all of these words, which are sorted.
    pub(super) fn blocks_with_all(self, words: &[u32]) -> Result<u64, Damaged> {
        let mut blocks = u64::MAX;
        let mut wanted = words.iter().copied().peekable();
        for entry in self {
            let (word, there) = entry?;
            if wanted.peek().is_some_and(|wanted| *wanted < word) {
                return Ok(0);
            }
            if wanted.next_if_eq(&word).is_some() {
                blocks &= there;
                if blocks == 0 || wanted.peek().is_none() {
                    break;
                }
            }
        }
        Ok(if wanted.peek().is_some() && !words.is_empty() {
            0
        } else {
            blocks
        })
    }
}

impl Iterator for BatchWords<'_> {
    type Item = Result<(u32, u64), Damaged>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let gap = read_varint(&mut self.rest).and_then(|gap| u32::try_from(gap).ok());
        let entry = gap
            .and_then(|gap| self.last.checked_add(gap))
            .filter(|word| word >> WORD_BITS == 0)
            .and_then(|word| Some((word, read_blocks(&mut self.rest)?)));
        match entry {
            Some((word, blocks)) => {
                self.last = word;
                Some(Ok((word, blocks)))
            }
            None => {
                self.rest = &[];
                Some(Err(Damaged("the words of a batch are damaged")))
            }
        }
    }
}

/// The bucket of a word.
pub(super) fn bucket_of(word: u32) -> u32 {
    word >> (WORD_BITS - BUCKET_BITS)
}

/// The words of some batches that fall into one bucket, on their way into bytes.
#[derive(Default)]
pub(super) struct BucketWriter {
    out: Vec<u8>,
    last: u32,
}

impl BucketWriter {
    /// Adds the next word, with the batches (by their places in the segment) and blocks that hold it.
    pub(super) fn push(&mut self, word: u32, places: &[(u8, u64)]) {
        if places.is_empty() {
            return;
        }
        if self.out.is_empty() {
            self.out.push(VERSION);
        }
        let word = word & ((1 << (WORD_BITS - BUCKET_BITS)) - 1);
        write_varint(&mut self.out, u64::from(word - self.last));
        self.last = word;
        let mut left = places.len();
        for (batch, blocks) in places {
            left -= 1;
            self.out.push(if left > 0 { *batch | MORE } else { *batch });
            write_blocks(&mut self.out, *blocks);
        }
    }

    /// The bytes; empty where there were no words. Begins anew.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        self.last = 0;
        std::mem::take(&mut self.out)
    }
}

/// Called with each word of a bucket.
pub(super) type VisitWords<'v> = &'v mut dyn FnMut(u32, &[(u8, u64)]) -> ControlFlow<()>;

/// Hands out the words of a bucket in order, without the bits that tell the bucket, with their batches and blocks.
/// Ends when `visit` says so.
pub(super) fn visit_bucket(bytes: &[u8], visit: VisitWords<'_>) -> Result<(), Damaged> {
    let damaged = Damaged("a bucket of words is damaged");
    let Some((version, mut rest)) = bytes.split_first() else {
        return Ok(());
    };
    if *version != VERSION {
        return Err(Damaged(
            "a bucket of words has a form that this program does not know",
        ));
    }
    let (mut word, mut places) = (0_u32, Vec::new());
    while !rest.is_empty() {
        let gap = read_varint(&mut rest).and_then(|gap| u32::try_from(gap).ok());
        word = gap.and_then(|gap| word.checked_add(gap)).ok_or(damaged)?;
        places.clear();
        loop {
            let (batch, behind) = rest.split_first().ok_or(damaged)?;
            rest = behind;
            places.push((*batch & !MORE, read_blocks(&mut rest).ok_or(damaged)?));
            if *batch & MORE == 0 {
                break;
            }
        }
        if visit(word, &places).is_break() {
            return Ok(());
        }
    }
    Ok(())
}

/// The batches and blocks of one word in its bucket.
pub(super) fn find_in_bucket(bytes: &[u8], word: u32) -> Result<Vec<(u8, u64)>, Damaged> {
    let wanted = word & ((1 << (WORD_BITS - BUCKET_BITS)) - 1);
    let mut found = Vec::new();
    visit_bucket(bytes, &mut |word, places| {
        if word < wanted {
            return ControlFlow::Continue(());
        }
        if word == wanted {
            found.extend_from_slice(places);
        }
        ControlFlow::Break(())
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests;
