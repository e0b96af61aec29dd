//! Lines that wait for their receiver, in bounded memory. What finds no room is counted.
//!
//! Only whole lines are ever taken away: a receiver that comes back gets a line from its beginning.

use std::io;

/// Lines that wait.
#[derive(Debug, Default)]
pub(super) struct WaitingLines {
    bytes: Vec<u8>,
    /// Up to where they were sent and taken away.
    taken: usize,
    bytes_max: usize,
    lines: u64,
    dropped: u64,
}

impl WaitingLines {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            ..Self::default()
        }
    }

    /// Adds what `write` writes, lines with their newlines; if they find no room, they are left out.
    pub(super) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<()> {
        if self.taken > 0 && self.taken >= self.bytes.len() / 2 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        let before = self.bytes.len();
        if let Err(error) = write(&mut self.bytes) {
            self.bytes.truncate(before);
            return Err(error);
        }
        let lines = count(&self.bytes[before..]);
        if self.bytes.len() - self.taken > self.bytes_max {
            self.bytes.truncate(before);
            self.dropped += lines;
        } else {
            self.lines += lines;
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines == 0
    }

    pub(super) fn line_count(&self) -> u64 {
        self.lines
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// All that waits.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// Whole lines of about this many bytes, at least one.
    pub(super) fn some_lines(&self, bytes_max: usize) -> &[u8] {
        let waiting = self.bytes();
        let near = memchr::memrchr(b'\n', &waiting[..waiting.len().min(bytes_max)]);
        let end = near.or_else(|| memchr::memchr(b'\n', waiting));
        &waiting[..end.map_or(waiting.len(), |newline| newline + 1)]
    }

    /// This much from the beginning has arrived. What is only part of a line stays until the rest has, too; says
    /// how much of it that is.
    pub(super) fn arrived(&mut self, bytes: usize) -> usize {
        let sent = &self.bytes[self.taken..self.taken + bytes];
        let whole = memchr::memrchr(b'\n', sent).map_or(0, |newline| newline + 1);
        self.lines -= count(&sent[..whole]);
        self.taken += whole;
        bytes - whole
    }

    /// The receiver will never take these lines.
    pub(super) fn refuse(&mut self, bytes: usize) {
        let lines = self.lines;
        self.arrived(bytes);
        self.dropped += lines - self.lines;
    }
}

fn count(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}
