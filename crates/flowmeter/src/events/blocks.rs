//! Reads lines in blocks: whole lines, many at a time, in memory that does not grow with the file.
//!
//! Never looks at what is in a line.

use std::io::{self, Read};

/// How much is read at once.
const READ_BYTES: usize = 256 * 1024;
/// The most lines of a block.
const LINES_MAX: usize = 10_000;
/// The longest line that is read, unless another limit is asked for.
pub const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Whole lines, each with its newline but for the last of the file.
#[derive(Debug, Default)]
pub struct Block {
    /// The lines.
    pub lines: Vec<u8>,
    /// Whether a line followed them that was too long to be kept.
    pub then_too_long: bool,
}

/// Reads a file, a pipe or standard input line by line, in blocks. What has come is handed out at once: a block
/// never waits to be full.
#[derive(Debug)]
pub struct LineBlocks<R> {
    source: R,
    /// What was read and not handed out yet.
    pending: Vec<u8>,
    /// Up to where it was handed out.
    taken: usize,
    /// Up to where there is no newline.
    searched: usize,
    line_bytes_max: usize,
    read_bytes: u64,
    /// In the midst of a line that is too long.
    skipping: bool,
    ended: bool,
}

impl<R: Read> LineBlocks<R> {
    /// Reads from `source`, lines of up to [`LINE_BYTES_MAX`] bytes.
    pub fn new(source: R) -> Self {
        Self::with_limit(source, LINE_BYTES_MAX)
    }

    /// Reads from `source`, lines of up to `line_bytes_max` bytes.
    pub fn with_limit(source: R, line_bytes_max: usize) -> Self {
        Self {
            source,
            pending: Vec::new(),
            taken: 0,
            searched: 0,
            line_bytes_max,
            read_bytes: 0,
            skipping: false,
            ended: false,
        }
    }

    /// How many bytes were read from the source so far.
    pub fn read_bytes(&self) -> u64 {
        self.read_bytes
    }

    /// Fills `block` with the next lines, at most 10,000. False when there are no more.
    ///
    /// # Errors
    /// Whatever the source fails with; a read that was interrupted is tried again.
    pub fn next_block(&mut self, block: &mut Block) -> io::Result<bool> {
        block.lines.clear();
        block.then_too_long = false;
        // One line of many megabytes is no reason to hold on to as much.
        if block.lines.capacity() > 4 * READ_BYTES {
            block.lines.shrink_to(READ_BYTES);
        }
        loop {
            if let Some(whole) = self.whole_lines() {
                block
                    .lines
                    .extend_from_slice(&self.pending[self.taken..self.taken + whole]);
                self.taken += whole;
                self.searched = self.taken;
                return Ok(true);
            }
            if self.pending.len() - self.taken > self.line_bytes_max {
                self.skipping = true;
            }
            if self.skipping {
                self.taken = self.pending.len();
                self.searched = self.taken;
            }
            if self.ended {
                block.then_too_long = std::mem::take(&mut self.skipping);
                return Ok(block.then_too_long);
            }
            self.read_more()?;
            if self.skipping
                && let Some(newline) = memchr::memchr(b'\n', &self.pending)
            {
                self.taken = newline + 1;
                self.searched = self.taken;
                self.skipping = false;
                block.then_too_long = true;
                return Ok(true);
            }
        }
    }

    /// How many bytes of whole lines are waiting; at the end of the source the last line is whole, too.
    fn whole_lines(&mut self) -> Option<usize> {
        let mut newlines = memchr::memchr_iter(b'\n', &self.pending[self.searched..]);
        if let Some(last) = newlines.by_ref().take(LINES_MAX).last() {
            return Some(self.searched + last + 1 - self.taken);
        }
        self.searched = self.pending.len();
        let waiting = self.pending.len() - self.taken;
        (self.ended && waiting > 0 && !self.skipping).then_some(waiting)
    }

    fn read_more(&mut self) -> io::Result<()> {
        self.pending.drain(..self.taken);
        self.searched -= self.taken;
        self.taken = 0;
        if self.pending.is_empty() && self.pending.capacity() > 4 * READ_BYTES {
            self.pending.shrink_to(READ_BYTES);
        }
        let kept = self.pending.len();
        self.pending.resize(kept + READ_BYTES, 0);
        let read = loop {
            match self.source.read(&mut self.pending[kept..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.pending.truncate(kept + *read.as_ref().unwrap_or(&0));
        let read = read?;
        self.read_bytes += read as u64;
        self.ended = read == 0;
        Ok(())
    }
}
