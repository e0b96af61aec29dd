//! Standard input: read when the workflow wants it, looked at when it does not.
//!
//! Never waits for a pipe that nobody reads from: scripts and build machines hand theirs on without meaning
//! anything by it.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::exit::BadUsage;
use crate::output::Output;

/// How long a pipe may stay silent until nothing is taken to be meant by it.
const SILENCE: Duration = Duration::from_millis(10);
/// How long a workflow waits for its input until the user is told that it does.
const PATIENCE: Duration = Duration::from_secs(3);

/// The same where the text would be welcome, though nobody waits for it.
const PATIENCE_UNASKED: Duration = Duration::from_millis(100);

/// What standard input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A terminal, `/dev/null`, or closed: nobody pipes anything.
    Nothing,
    /// A pipe or a socket.
    Pipe,
    /// A file.
    File,
}

/// The text that was piped in; `None` where nothing was. `wanted` is the input that it would go to.
///
/// # Errors
/// When the text cannot be read, or is no text.
pub(crate) fn read(wanted: Option<&str>, output: &Output) -> Result<Option<String>> {
    let Some((kind, mut file)) = open() else {
        return Ok(None);
    };
    match (kind, wanted) {
        (Kind::Nothing, _) => Ok(None),
        (_, Some(input)) => {
            if kind == Kind::Pipe && !is_ready(&file, PATIENCE) {
                output.note(&format!(
                    "waiting for standard input, which goes to the input `{input}`"
                ));
            }
            whole(&mut file).map(Some)
        }
        (Kind::Pipe, None) if !is_ready(&file, SILENCE) => Ok(None),
        (Kind::Pipe | Kind::File, None) => Ok(beginning(&mut file)),
    }
}

/// The text that was piped in, where nobody knows yet what it is for: whoever pipes anything has begun to by now.
/// `None` where nothing was.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_if_there() -> Result<Option<String>> {
    let Some((kind, mut file)) = open() else {
        return Ok(None);
    };
    if kind == Kind::Nothing || (kind == Kind::Pipe && !is_ready(&file, PATIENCE_UNASKED)) {
        return Ok(None);
    }
    whole(&mut file).map(|text| Some(text).filter(|text| !text.is_empty()))
}

fn whole(file: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)
        .context("standard input cannot be read")?;
    Ok(String::from_utf8(bytes).map_err(|_| BadUsage("standard input is no UTF-8 text".to_owned()))?)
}

fn open() -> Option<(Kind, File)> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return None;
    }
    let owned: OwnedFd = stdin.as_fd().try_clone_to_owned().ok()?;
    let file = File::from(owned);
    let file_type = file.metadata().ok()?.file_type();
    let kind = if file_type.is_fifo() || file_type.is_socket() {
        Kind::Pipe
    } else if file_type.is_file() {
        Kind::File
    } else {
        Kind::Nothing
    };
    Some((kind, file))
}

/// Whether something can be read, or the other side has closed, before this much time has passed.
fn is_ready(file: &File, within: Duration) -> bool {
    let timeout = Timespec {
        tv_sec: i64::try_from(within.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: within.subsec_nanos().into(),
    };
    let mut descriptors = [PollFd::new(file, PollFlags::IN)];
    poll(&mut descriptors, Some(&timeout)).is_ok_and(|ready| ready > 0)
}

/// The first bytes: they tell that something is there, and go nowhere. `None` at the end of the file.
fn beginning(file: &mut File) -> Option<String> {
    let mut bytes = [0; 64];
    let count = file.read(&mut bytes).ok().filter(|count| *count > 0)?;
    Some(String::from_utf8_lossy(&bytes[..count]).into_owned())
}
