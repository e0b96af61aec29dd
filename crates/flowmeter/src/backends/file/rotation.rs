//! Rotation: when a file makes way for a new one, what the old one is called, and how many of the old ones stay.
//!
//! Never renames by itself which file is meant: whoever holds the lock on it calls.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use flowmeter_model::TimestampNs;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use time::{Date, Month, OffsetDateTime, Time};

/// When a file that is appended to makes way for a new one.
///
/// The old file gets the time of its rotation into its name: `events.jsonl` becomes
/// `events.20250115T103045.120Z.jsonl` (UTC), so that names sort by age.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Before it would grow beyond so many bytes. A single longer line has a file to itself. Default: 100 MiB.
    pub bytes_max: Option<u64>,
    /// When it is so old at the next write. Default: `None`.
    pub age_max: Option<Duration>,
    /// How many old files stay; the oldest are removed. Default: 5.
    pub keep: usize,
}

impl Default for Rotation {
    fn default() -> Self {
        Self {
            bytes_max: Some(100 << 20),
            age_max: None,
            keep: 5,
        }
    }
}

/// How many names are tried where old files of the same millisecond are in the way.
const NAMES_MAX: u64 = 1_000;
const MILLISECOND_NS: u64 = 1_000_000;

impl Rotation {
    /// Whether the file is to make way before `bytes` more are written to it. An empty file never does.
    pub(super) fn is_due(&self, file: &Metadata, bytes: u64, now: TimestampNs) -> bool {
        if file.len() == 0 {
            return false;
        }
        let is_full = self
            .bytes_max
            .is_some_and(|most| file.len().saturating_add(bytes) > most);
        let age = || {
            // Where the file system does not know it, the last write is the best that is known.
            let born = file.created().or_else(|_| file.modified()).ok()?;
            let born_ns = u64::try_from(born.duration_since(UNIX_EPOCH).ok()?.as_nanos()).ok()?;
            Some(Duration::from_nanos(now.since(TimestampNs(born_ns))))
        };
        is_full
            || self
                .age_max
                .is_some_and(|most| age().is_some_and(|age| age >= most))
    }

    /// Renames the file and removes the oldest of its kind. The caller holds the lock on the file at `path`.
    pub(super) fn rotate(&self, path: &Path, now: TimestampNs) -> io::Result<()> {
        let name = NameParts::of(path);
        let mut old = name.rotated_files();
        let newest = old.last().and_then(|newest| name.time_of(newest));
        // Names sort by age also when the clock was set back, or the file fills up within a millisecond.
        let after_newest = newest.map_or(0, |newest| newest.0.saturating_add(MILLISECOND_NS));
        let mut at = TimestampNs(now.0.max(after_newest));
        let mut outcome = Err(Errno::EXIST.into());
        for _ in 0..NAMES_MAX {
            outcome = rename_to_new(path, &name.folder.join(name.rotated(at)));
            match &outcome {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    at = TimestampNs(at.0.saturating_add(MILLISECOND_NS));
                }
                _ => break,
            }
        }
        outcome?;
        old.push(name.rotated(at));
        for surplus in old.iter().rev().skip(self.keep) {
            // Another process may have been faster.
            let _gone_is_as_good = fs::remove_file(name.folder.join(surplus));
        }
        Ok(())
    }
}

/// Renames, unless the new name is taken.
fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system knows the flag.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            if to.symlink_metadata().is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(from, to)
        }
        outcome => Ok(outcome?),
    }
}

/// A path in the parts that its rotated names are made of.
struct NameParts {
    folder: PathBuf,
    /// With the point behind it.
    stem: String,
    /// With the point before it; empty where there is none.
    extension: String,
}

impl NameParts {
    fn of(path: &Path) -> Self {
        let text = |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned());
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        Self {
            folder: folder.unwrap_or(Path::new(".")).to_owned(),
            stem: text(path.file_stem()).unwrap_or_default() + ".",
            extension: text(path.extension()).map_or_else(String::new, |extension| format!(".{extension}")),
        }
    }

    fn rotated(&self, at: TimestampNs) -> String {
        format!("{}{}{}", self.stem, stamp(at), self.extension)
    }

    /// When the file of this name was rotated; `None` for any other file.
    fn time_of(&self, name: &str) -> Option<TimestampNs> {
        let rest = name.strip_prefix(&self.stem)?;
        time_of_stamp(rest.strip_suffix(&self.extension)?)
    }

    /// The names of the files that were rotated, oldest first.
    fn rotated_files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| self.time_of(name).is_some())
            .collect();
        names.sort_unstable();
        names
    }
}

fn stamp(at: TimestampNs) -> String {
    let at =
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    format!(
        "{:04}{:02}{:02}T{:02}{:02}{:02}.{:03}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.millisecond()
    )
}

/// The time that a stamp stands for. Nothing but what [`stamp`] writes is one.
fn time_of_stamp(text: &str) -> Option<TimestampNs> {
    let number = |from: usize, to: usize| -> Option<u16> {
        let digits = text.get(from..to)?;
        let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|_| is_plain)
    };
    let small = |from: usize, to: usize| u8::try_from(number(from, to)?).ok();
    let month = Month::try_from(small(4, 6)?).ok()?;
    let date = Date::from_calendar_date(i32::from(number(0, 4)?), month, small(6, 8)?).ok()?;
    let time = Time::from_hms_milli(small(9, 11)?, small(11, 13)?, small(13, 15)?, number(16, 19)?).ok()?;
    let at = OffsetDateTime::new_utc(date, time).unix_timestamp_nanos();
    let at = TimestampNs(u64::try_from(at).ok()?);
    (stamp(at) == text).then_some(at)
}

#[cfg(test)]
mod tests;
