//! A screen of its own on the terminal: drawn over and over, and gone without a trace.
//!
//! Never decides what is drawn. Leaves the terminal as it found it, also after a panic.

use std::io::{self, IsTerminal, Write};

use rustix::process::getpgrp;
use rustix::termios::{tcgetpgrp, tcgetwinsize};

/// The alternate screen, without cursor, and without wrapping: a line that is too long after all, because the
/// terminal was made smaller just now, is cut.
const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l";
const LEAVE: &str = "\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l";
/// To the top left.
const HOME: &str = "\u{1b}[H";
/// What was there before, in the line and below. They stand in front of what is new: behind a line that fills the
/// screen to its last column they would take its last character away.
const CLEAR_LINE: &str = "\u{1b}[K";
const CLEAR_BELOW: &str = "\u{1b}[J";
/// Where the terminal does not say how large it is.
const SIZE: (usize, usize) = (80, 24);

/// The screen.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    is_entered: bool,
}

impl Screen {
    /// Whether standard output is a terminal that can be drawn on.
    pub(crate) fn is_there() -> bool {
        io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
    }

    /// Columns and lines, as they are now.
    pub(crate) fn size() -> (usize, usize) {
        match tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
                (usize::from(size.ws_col), usize::from(size.ws_row))
            }
            _ => SIZE,
        }
    }

    /// Draws the lines, of which there are no more than `rows`. In the background nothing is drawn: the terminal is somebody else's then.
    ///
    /// # Errors
    /// Whatever the terminal fails with.
    pub(crate) fn draw(&mut self, lines: &[String], rows: usize) -> io::Result<()> {
        if !in_foreground() {
            self.is_entered = false;
            return Ok(());
        }
        let mut frame = String::new();
        if !self.is_entered {
            frame.push_str(ENTER);
        }
        frame.push_str(HOME);
        for (row, line) in lines.iter().enumerate() {
            if row > 0 {
                frame.push_str("\r\n");
            }
            frame.push_str(CLEAR_LINE);
            frame.push_str(line);
        }
        if lines.len() < rows {
            frame.push_str("\r\n");
            frame.push_str(CLEAR_BELOW);
        }
        self.is_entered = true;
        write_now(&frame)
    }

    /// Gives the terminal back.
    ///
    /// # Errors
    /// Whatever the terminal fails with.
    pub(crate) fn leave(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.is_entered) {
            return Ok(());
        }
        write_now(LEAVE)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _terminal_is_gone = self.leave();
    }
}

/// Whether the terminal is ours just now.
fn in_foreground() -> bool {
    tcgetpgrp(io::stdout()).map_or(true, |foreground| foreground == getpgrp())
}

fn write_now(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
