//! A named pipe or a device that lines are written to.
//!
//! Never waits for ever: a pipe that nobody reads, or reads slowly, is tried again with the next lines.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::appended::Lock;
use super::lines::Written;
use crate::backends::Deadline;

/// The pipe or device, open as long as somebody reads it.
pub(super) struct Stream {
    path: PathBuf,
    is_pipe: bool,
    deadline: Deadline,
    file: Option<File>,
    /// The end of a line whose beginning was written.
    rest: Vec<u8>,
}

impl Stream {
    pub(super) fn new(path: PathBuf, is_pipe: bool, deadline: Deadline) -> Self {
        Self {
            path,
            is_pipe,
            deadline,
            file: None,
            rest: Vec::new(),
        }
    }

    /// Whether a line was begun that is still to be ended.
    pub(super) fn is_in_a_line(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Writes whole lines. Of a line that was begun the stream keeps the end itself.
    pub(super) fn write(&mut self, lines: &[u8], patience: Duration) -> Written {
        match self.try_write(lines, patience) {
            Ok(()) => Written {
                bytes: lines.len(),
                outcome: Ok(()),
            },
            Err((bytes, error)) => {
                if !matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::StorageFull) {
                    // Whoever reads next must not begin in the middle of a line.
                    self.file = None;
                    self.rest.clear();
                }
                Written {
                    bytes,
                    outcome: Err(error),
                }
            }
        }
    }

    fn try_write(&mut self, lines: &[u8], patience: Duration) -> Result<(), (usize, io::Error)> {
        let file = match self.file.take() {
            Some(file) => file,
            None => self.open().map_err(|error| (0, error))?,
        };
        let file = self.file.insert(file);
        let patience = self
            .deadline
            .time_left()
            .map_or(patience, |left| left.min(patience));
        // Several processes may write to one pipe; a device belongs to programs of all kinds.
        let _locked = if self.is_pipe {
            Some(Lock::take(file, patience, &self.deadline).map_err(|error| (0, error))?)
        } else {
            None
        };
        let mut written = 0;
        let finished = write_patiently(file, &self.rest, &mut written, patience);
        self.rest.drain(..written);
        finished.map_err(|error| (0, error))?;
        let mut written = 0;
        let outcome = write_patiently(file, lines, &mut written, patience);
        outcome.map_err(|error| {
            let in_line = written > 0 && lines[written - 1] != b'\n';
            let rest = &lines[written..];
            let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            if in_line {
                self.rest.extend_from_slice(&rest[..end]);
                written += end;
            }
            (written, error)
        })
    }

    fn open(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        options.write(true).custom_flags(flags.bits().cast_signed());
        options.open(&self.path).map_err(|error| {
            if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) {
                io::Error::new(ErrorKind::NotConnected, "nobody reads it")
            } else {
                error
            }
        })
    }
}

/// Writes until all is written or nothing could be written for as long as patience lasts. Adds to `written`.
fn write_patiently(mut file: &File, bytes: &[u8], written: &mut usize, patience: Duration) -> io::Result<()> {
    let mut progressed = Instant::now();
    while *written < bytes.len() {
        match file.write(&bytes[*written..]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => {
                *written += count;
                progressed = Instant::now();
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let left = patience.saturating_sub(progressed.elapsed());
                if left.is_zero() {
                    return Err(io::Error::new(
                        ErrorKind::TimedOut,
                        "whoever reads it is too slow",
                    ));
                }
                wait_for_room(file, left)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn wait_for_room(file: &File, patience: Duration) -> io::Result<()> {
    let timeout = Timespec {
        tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(patience.subsec_nanos()),
    };
    match poll(&mut [PollFd::new(file, PollFlags::OUT)], Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
