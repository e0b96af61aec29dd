//! A file that lines are appended to, by this process and by others at the same time.
//!
//! A lock on the file is held for each write, and the file at the path is the one that is locked: so rotation by
//! one process cannot take another one's lines away. Half a line is never followed by another line.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flowmeter_model::Clock;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::lines::Written;
use super::rotation::Rotation;
use crate::backends::Deadline;

/// The most that one call of the system is asked to write.
const WRITE_BYTES_MAX: usize = 1 << 20;
/// How often a file that was renamed under our hands is opened anew for one batch.
const REOPENS_MAX: usize = 1_000;
/// The pauses between two tries for the lock.
const LOCK_PAUSES: [Duration; 2] = [Duration::from_micros(200), Duration::from_millis(10)];

/// The file, open as long as it is the one at its path.
pub(super) struct AppendedFile {
    path: PathBuf,
    rotation: Option<Rotation>,
    syncs_each_batch: bool,
    clock: Arc<dyn Clock>,
    deadline: Deadline,
    file: Option<Arc<File>>,
}

impl AppendedFile {
    pub(super) fn new(
        path: PathBuf,
        rotation: Option<Rotation>,
        syncs_each_batch: bool,
        clock: Arc<dyn Clock>,
        deadline: Deadline,
    ) -> Self {
        Self {
            path,
            rotation,
            syncs_each_batch,
            clock,
            deadline,
            file: None,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file, made with its folder if need be.
    pub(super) fn open(&mut self) -> io::Result<Arc<File>> {
        if let Some(file) = &self.file {
            return Ok(Arc::clone(file));
        }
        let open = || {
            let mut options = OpenOptions::new();
            // Prompts and values are nobody else's business.
            options.read(true).append(true).create(true).mode(0o600);
            options.open(&self.path)
        };
        let file = match open() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                    fs::create_dir_all(folder)?;
                }
                open()?
            }
            opened => opened?,
        };
        let file = Arc::new(file);
        self.file = Some(Arc::clone(&file));
        Ok(file)
    }

    /// Has what was written on the disk itself.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| file.sync_all())
    }

    /// Writes whole lines.
    pub(super) fn write(&mut self, lines: &[u8], patience: Duration) -> Written {
        let mut bytes = 0;
        let outcome = self.write_all(lines, &mut bytes, patience);
        Written { bytes, outcome }
    }

    fn write_all(&mut self, lines: &[u8], done: &mut usize, patience: Duration) -> io::Result<()> {
        let mut rotated = Ok(());
        let mut reopens = 0;
        while *done < lines.len() {
            let rest = &lines[*done..];
            let file = self.open()?;
            let _locked = Lock::take(&file, patience, &self.deadline)?;
            let found = file.metadata()?;
            if !is_at(&found, &self.path) {
                // Somebody renamed or removed it; nothing of ours is lost, for it is locked while it is written.
                self.file = None;
                reopens += 1;
                if reopens > REOPENS_MAX {
                    return Err(io::Error::other("it is renamed or removed all the time"));
                }
                continue;
            }
            if let Some(rotation) = self.rotation.as_ref().filter(|_| rotated.is_ok()) {
                let now = self.clock.now();
                if rotation.is_due(&found, first_line(rest).len() as u64, now) {
                    rotated = rotation.rotate(&self.path, now);
                    if rotated.is_ok() {
                        self.file = None;
                    }
                    // A file that cannot be renamed grows on: that is better than losing telemetry.
                    continue;
                }
            }
            let room = match (&self.rotation, &rotated) {
                (Some(rotation), Ok(())) => rotation
                    .bytes_max
                    .map_or(u64::MAX, |most| most.saturating_sub(found.len())),
                _ => u64::MAX,
            };
            let piece = whole_lines(rest, usize::try_from(room).unwrap_or(usize::MAX));
            append(&file, found.len(), piece, done)?;
            if self.syncs_each_batch {
                file.sync_data()?;
            }
        }
        rotated
    }
}

/// Appends lines to a file of this length, which nobody else writes to just now. Adds to `done` what stands there
/// as whole lines, also when it fails.
fn append(file: &File, length: u64, lines: &[u8], done: &mut usize) -> io::Result<()> {
    let mut end = length;
    if length > 0 {
        let mut last = [b'\n'];
        file.read_exact_at(&mut last, length - 1)?;
        if last != [b'\n'] {
            // Whoever wrote the last line was killed in the middle of it.
            (&*file).write_all(b"\n")?;
            end += 1;
        }
    }
    let mut written = 0;
    let outcome = loop {
        match (&*file).write(&lines[written..]) {
            Ok(0) => break Err(ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
        if written == lines.len() {
            break Ok(());
        }
    };
    let whole = match outcome {
        Ok(()) => written,
        Err(_) => end_of_last_line(&lines[..written]),
    };
    if whole < written && file.metadata().is_ok_and(|now| now.len() == end + written as u64) {
        // Where it cannot be cut, the next write sees that the last line is none.
        let _torn_lines_are_seen_later = file.set_len(end + whole as u64);
    }
    *done += whole;
    outcome
}

fn end_of_last_line(text: &[u8]) -> usize {
    memchr::memrchr(b'\n', text).map_or(0, |at| at + 1)
}

fn first_line(lines: &[u8]) -> &[u8] {
    let end = memchr::memchr(b'\n', lines).map_or(lines.len(), |at| at + 1);
    &lines[..end]
}

/// As many lines as there is room for, and at least one.
fn whole_lines(lines: &[u8], room: usize) -> &[u8] {
    let most = room.min(WRITE_BYTES_MAX);
    if lines.len() <= most {
        return lines;
    }
    match end_of_last_line(&lines[..most]) {
        0 => first_line(lines),
        end => &lines[..end],
    }
}

/// Whether the open file is the one at `path`.
fn is_at(open: &Metadata, path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == (open.dev(), open.ino()))
}

/// The lock on a file, given back when it goes.
pub(super) struct Lock<'a> {
    file: &'a File,
}

impl<'a> Lock<'a> {
    /// Waits for the lock, but not for ever: a process that is stopped would hold us up.
    pub(super) fn take(file: &'a File, patience: Duration, deadline: &Deadline) -> io::Result<Self> {
        let began = Instant::now();
        let patience = deadline.time_left().map_or(patience, |left| left.min(patience));
        loop {
            match flock(file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { file }),
                Err(Errno::WOULDBLOCK) => {}
                Err(Errno::INTR) => continue,
                // A file system without locks: what is left is that each write is a single call.
                Err(_) => return Ok(Self { file }),
            }
            let waited = began.elapsed();
            if waited >= patience {
                return Err(io::Error::new(
                    ErrorKind::TimedOut,
                    "another process holds the lock on it",
                ));
            }
            let pause = LOCK_PAUSES[usize::from(waited > LOCK_PAUSES[1])];
            std::thread::sleep(pause);
        }
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        let _not_locked_is_as_good = flock(self.file, FlockOperation::Unlock);
    }
}

#[cfg(test)]
mod tests;
