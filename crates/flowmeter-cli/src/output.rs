//! Standard output and standard error: data goes to the one, everything for the eye to the other.
//!
//! A reader that has gone away (`| head`) is no failure. Never decides what is said, only where and in which
//! colour.

use std::env;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};

use owo_colors::{OwoColorize, Style};
use serde_json::Value;

/// The two streams of the process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// Errors and results only.
    quiet: bool,
    /// Standard output belongs to somebody else: data goes to standard error.
    yields_stdout: bool,
    colour_out: bool,
    colour_err: bool,
}

impl Output {
    /// Looks at the terminals and at NO_COLOR, CLICOLOR, CLICOLOR_FORCE and TERM.
    pub(crate) fn new(quiet: bool) -> Self {
        let wanted = colour_wish(|name| env::var(name).ok());
        Self {
            quiet,
            yields_stdout: false,
            colour_out: wanted.unwrap_or_else(|| io::stdout().is_terminal()),
            colour_err: wanted.unwrap_or_else(|| io::stderr().is_terminal()),
        }
    }

    /// The same with the data on standard error, because something else is on standard output.
    pub(crate) fn yielding_stdout(self) -> Self {
        Self {
            yields_stdout: true,
            colour_out: self.colour_err,
            ..self
        }
    }

    /// Whether colour goes to standard output.
    pub(crate) fn colour_out(&self) -> bool {
        self.colour_out
    }

    /// Whether colour goes to standard error.
    pub(crate) fn colour_err(&self) -> bool {
        self.colour_err
    }

    /// Columns of the terminal behind standard output, if it is one.
    pub(crate) fn width_out(&self) -> Option<usize> {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
        Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
    }

    /// Columns of the terminal behind standard error, if it is one.
    pub(crate) fn width_err(&self) -> Option<usize> {
        let size = rustix::termios::tcgetwinsize(io::stderr()).ok()?;
        Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
    }

    /// Whether only results and errors are wanted.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Writes data to standard output.
    ///
    /// # Errors
    /// Whatever the system says, unless the reader has gone away.
    pub(crate) fn write(&self, work: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        let stream: Box<dyn Write> = if self.yields_stdout {
            Box::new(io::stderr().lock())
        } else {
            Box::new(io::stdout().lock())
        };
        let mut out = BufWriter::with_capacity(1 << 16, stream);
        match work(&mut out).and_then(|()| out.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                // What is left in the buffer has no reader either.
                let (_, _unwritten) = out.into_parts();
                Ok(())
            }
            outcome => outcome.map_err(|error| {
                io::Error::new(
                    error.kind(),
                    format!("standard output cannot be written: {error}"),
                )
            }),
        }
    }

    /// Writes a text to standard output, with a newline at its end.
    ///
    /// # Errors
    /// As [`Output::write`].
    pub(crate) fn text(&self, text: &str) -> io::Result<()> {
        self.write(|out| {
            out.write_all(text.as_bytes())?;
            if text.ends_with('\n') {
                Ok(())
            } else {
                out.write_all(b"\n")
            }
        })
    }

    /// Writes a value to standard output as JSON for people and programs alike.
    ///
    /// # Errors
    /// As [`Output::write`].
    pub(crate) fn json(&self, value: &Value) -> io::Result<()> {
        self.write(|out| {
            serde_json::to_writer_pretty(&mut *out, value)?;
            out.write_all(b"\n")
        })
    }

    /// Says something on standard error, whatever happens; a standard error that is closed is no failure.
    pub(crate) fn say(&self, text: &str) {
        let mut err = io::stderr().lock();
        let _closed_stderr_is_no_failure = writeln!(err, "{text}").and_then(|()| err.flush());
    }

    /// Puts a question on standard error; the answer goes on the same line.
    pub(crate) fn ask(&self, question: &str) {
        let mut err = io::stderr().lock();
        let _closed_stderr_is_no_failure = write!(err, "{question}").and_then(|()| err.flush());
    }

    /// Says something that `--quiet` keeps back.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            self.say(text);
        }
    }

    /// Says that something looks wrong; `--quiet` keeps it back.
    pub(crate) fn warn(&self, text: &str) {
        self.note(&self.warning(text));
    }

    /// A warning as it stands on standard error.
    pub(crate) fn warning(&self, text: &str) -> String {
        format!("{} {text}", self.paint("warning:", Style::new().yellow().bold()))
    }

    /// Says that something failed.
    pub(crate) fn error(&self, text: &str) {
        self.say(&format!(
            "{} {text}",
            self.paint("error:", Style::new().red().bold())
        ));
    }

    /// A text for standard error in a colour.
    pub(crate) fn paint(&self, text: &str, style: Style) -> String {
        if self.colour_err {
            text.style(style).to_string()
        } else {
            text.to_owned()
        }
    }
}

/// What the environment says about colour; `None` leaves it to the terminal.
fn colour_wish(variable: impl Fn(&str) -> Option<String>) -> Option<bool> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    if set("NO_COLOR").is_some() {
        return Some(false);
    }
    match set("CLICOLOR_FORCE").as_deref() {
        None | Some("0") => {}
        Some(_) => return Some(true),
    }
    if set("CLICOLOR").as_deref() == Some("0") || set("TERM").as_deref() == Some("dumb") {
        return Some(false);
    }
    None
}

#[cfg(test)]
mod tests;
