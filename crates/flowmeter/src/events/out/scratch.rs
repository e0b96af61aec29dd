//! Texts that have to wait, on disk: what a document says last while its lines come first.
//!
//! Memory holds a buffer for each text and where its pieces lie. The file is nameless: nothing is left behind.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use super::Out;

/// A piece that goes to disk at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Where texts wait.
pub(super) struct Scratch {
    make: fn() -> io::Result<File>,
    file: Option<File>,
    end: u64,
    /// Pieces that were not read back yet.
    pieces: usize,
}

/// A text that waits.
#[derive(Default)]
pub(super) struct Waiting {
    buffer: Vec<u8>,
    /// Where its pieces begin, and how long they are.
    pieces: Vec<(u64, usize)>,
}

impl Scratch {
    /// `make` gives a file that nobody else has.
    pub(super) fn new(make: fn() -> io::Result<File>) -> Self {
        Self {
            make,
            file: None,
            end: 0,
            pieces: 0,
        }
    }

    fn file(&mut self) -> io::Result<&mut File> {
        if self.file.is_none() {
            self.file = Some((self.make)()?);
        }
        self.file
            .as_mut()
            .ok_or_else(|| io::Error::other("there is no temporary file"))
    }

    /// Has `text` written to disk where it is long enough to be worth it.
    pub(super) fn relieve(&mut self, text: &mut Waiting) -> io::Result<()> {
        if text.buffer.len() < PIECE_BYTES {
            return Ok(());
        }
        let start = self.end;
        let file = self.file()?;
        file.seek(SeekFrom::Start(start))?;
        file.write_all(&text.buffer)?;
        text.pieces.push((start, text.buffer.len()));
        self.end += text.buffer.len() as u64;
        self.pieces += 1;
        text.buffer.clear();
        text.buffer.shrink_to(PIECE_BYTES * 2);
        Ok(())
    }

    /// Hands a text on, and forgets it.
    fn read_back(
        &mut self,
        text: Waiting,
        mut take: impl FnMut(&mut Self, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut piece = Vec::new();
        for (start, length) in text.pieces {
            piece.resize(length, 0);
            let file = self.file()?;
            file.seek(SeekFrom::Start(start))?;
            file.read_exact(&mut piece)?;
            self.pieces -= 1;
            take(self, &piece)?;
        }
        if self.pieces == 0 && self.end > 0 {
            self.file()?.set_len(0)?;
            self.end = 0;
        }
        take(self, &text.buffer)
    }

    /// Hands a text on to the output.
    pub(super) fn write<W: Write>(&mut self, text: Waiting, out: &mut Out<W>) -> io::Result<()> {
        self.read_back(text, |_, piece| {
            out.buffer.extend_from_slice(piece);
            out.relieve()
        })
    }

    /// Hands a text on to another one.
    pub(super) fn append(&mut self, text: Waiting, to: &mut Waiting) -> io::Result<()> {
        self.read_back(text, |scratch, piece| {
            to.buffer.extend_from_slice(piece);
            scratch.relieve(to)
        })
    }
}

impl Waiting {
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }
}
