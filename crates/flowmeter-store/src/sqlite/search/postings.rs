//! Which blocks of one batch hold which words, as bytes.
//!
//! The words are cut into chapters, of which a look-up reads one. Never holds a word: only numbers that some words share.

use super::words::WORD_BITS;
use crate::codec::Damaged;
use crate::codec::sketch::{read_varint, write_varint};

/// Blocks in one batch at most.
pub(super) const BLOCKS_MAX: usize = 64;
/// Bits of a word's number that tell its chapter.
const CHAPTER_BITS: u32 = 5;
const CHAPTERS: usize = 1 << CHAPTER_BITS;
/// Version, and where each chapter ends.
const HEADER_BYTES: usize = 1 + 4 * CHAPTERS;
/// The form of the bytes.
const VERSION: u8 = 2;

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
    let mut out = Vec::with_capacity(HEADER_BYTES + pairs.len() * 3);
    out.resize(HEADER_BYTES, 0);
    out[0] = VERSION;
    let mut rest = pairs;
    for chapter in 0..CHAPTERS {
        let (here, behind) = rest.split_at(rest.partition_point(|pair| chapter_of(pair >> 8) <= chapter));
        rest = behind;
        let mut last = first_of(chapter);
        for of_word in here.chunk_by(|a, b| a >> 8 == b >> 8) {
            let word = of_word.first().map_or(0, |pair| pair >> 8);
            let blocks = of_word.iter().fold(0, |bits, pair| bits | 1_u64 << (pair & 63));
            write_varint(&mut out, u64::from(word - last));
            write_blocks(&mut out, blocks);
            last = word;
        }
        let end = (out.len() - HEADER_BYTES) as u32;
        out[1 + 4 * chapter..5 + 4 * chapter].copy_from_slice(&end.to_le_bytes());
    }
    out
}

fn chapter_of(word: u32) -> usize {
    (word >> (WORD_BITS - CHAPTER_BITS)) as usize
}

/// The first word that a chapter may have.
fn first_of(chapter: usize) -> u32 {
    (chapter as u32) << (WORD_BITS - CHAPTER_BITS)
}

/// The words of a batch with their blocks, in the order of the words.
pub(super) struct BatchWords<'a> {
    ends: &'a [[u8; 4]],
    entries: &'a [u8],
    /// The chapter that `rest` is what is left of.
    chapter: usize,
    rest: &'a [u8],
    last: u32,
}

const DAMAGED: Damaged = Damaged("the words of a batch are damaged");

impl<'a> BatchWords<'a> {
    /// Opens what [`encode_batch`] wrote.
    ///
    /// # Errors
    /// For anything else.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, Damaged> {
        if bytes.first() != Some(&VERSION) {
            return Err(Damaged(
                "the words of a batch have a form that this program does not know",
            ));
        }
        let (header, entries) = bytes.split_at_checked(HEADER_BYTES).ok_or(DAMAGED)?;
        let mut words = Self {
            ends: header.get(1..).unwrap_or_default().as_chunks().0,
            entries,
            chapter: 0,
            rest: &[],
            last: 0,
        };
        words.turn_to(0)?;
        Ok(words)
    }

    fn end_of(&self, chapter: usize) -> usize {
        self.ends
            .get(chapter)
            .map_or(0, |end| u32::from_le_bytes(*end) as usize)
    }

    fn turn_to(&mut self, chapter: usize) -> Result<(), Damaged> {
        let begins = chapter.checked_sub(1).map_or(0, |before| self.end_of(before));
        (self.chapter, self.last) = (chapter, first_of(chapter));
        self.rest = self.entries.get(begins..self.end_of(chapter)).ok_or(DAMAGED)?;
        Ok(())
    }

    /// The blocks that may hold all of these words, which are sorted.
    ///
    /// # Errors
    /// When a chapter that holds one of them is damaged.
    pub(super) fn blocks_with_all(mut self, words: &[u32]) -> Result<u64, Damaged> {
        let mut blocks = u64::MAX;
        for word in words {
            if chapter_of(*word) != self.chapter {
                self.turn_to(chapter_of(*word))?;
            }
            let mut there = 0;
            while !self.rest.is_empty() {
                let (found, its) = self.entry().ok_or(DAMAGED)?;
                if found >= *word {
                    there = if found == *word { its } else { 0 };
                    break;
                }
            }
            blocks &= there;
            if blocks == 0 {
                break;
            }
        }
        Ok(blocks)
    }

    fn entry(&mut self) -> Option<(u32, u64)> {
        let gap = u32::try_from(read_varint(&mut self.rest)?).ok()?;
        self.last = self.last.checked_add(gap)?;
        let is_here = chapter_of(self.last) == self.chapter;
        Some((self.last, read_blocks(&mut self.rest)?)).filter(|_| is_here)
    }
}

impl Iterator for BatchWords<'_> {
    type Item = Result<(u32, u64), Damaged>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.rest.is_empty() {
            if self.chapter + 1 >= CHAPTERS {
                return None;
            }
            if let Err(damaged) = self.turn_to(self.chapter + 1) {
                return Some(Err(self.give_up(damaged)));
            }
        }
        match self.entry() {
            Some(entry) => Some(Ok(entry)),
            None => Some(Err(self.give_up(DAMAGED))),
        }
    }
}

impl BatchWords<'_> {
    fn give_up(&mut self, damaged: Damaged) -> Damaged {
        (self.chapter, self.rest) = (CHAPTERS, &[]);
        damaged
    }
}

#[cfg(test)]
mod tests;
