//! An output with somebody at its other end, such as a terminal or a pipe, who may go away.
//!
//! Never fails because the reader has gone: from then on nothing is written any more.

use std::io::{self, ErrorKind, Write};

/// The output.
pub(crate) struct ReaderFacing {
    output: Box<dyn Write + Send>,
    is_closed: bool,
}

impl ReaderFacing {
    pub(crate) fn new(output: Box<dyn Write + Send>) -> Self {
        Self {
            output,
            is_closed: false,
        }
    }

    /// Writes `text`, hands it on at once and empties it, whatever becomes of it.
    ///
    /// # Errors
    /// What the output fails with, unless nobody reads it.
    pub(crate) fn hand_on(&mut self, text: &mut Vec<u8>) -> io::Result<()> {
        if text.is_empty() || self.is_closed {
            text.clear();
            return Ok(());
        }
        let written = self.output.write_all(text).and_then(|()| self.output.flush());
        text.clear();
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.is_closed = true;
                Ok(())
            }
            written => written,
        }
    }
}
