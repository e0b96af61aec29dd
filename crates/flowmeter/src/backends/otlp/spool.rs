//! The folder of requests that could not be sent: one file each, until a later run or `flowmeter flush` sends them.
//!
//! Safe with several processes: a file appears whole, by a rename, and belongs to whoever holds its lock, which the
//! system gives back when a process dies. Bounded by bytes and by age: the oldest go first and are counted. Never
//! holds a header: keys come from the settings of whoever sends.

mod entry;

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use flowmeter_model::{Clock, SystemClock, TimestampNs};
use thiserror::Error;

pub use entry::SpooledRequest;
pub(super) use entry::{Unreadable, read_entry, read_header};

/// What a whole file's name ends with.
const ENTRY_SUFFIX: &str = ".otlp";
/// What the name of a file ends with while it is being written.
const PARTIAL_SUFFIX: &str = ".partial";
/// Who changes the folder's content holds this file's lock, so that its bound is kept.
const LOCK_FILE: &str = "spool.lock";
/// How long to wait for that lock: another process that hangs must not hold this one up.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
const LOCK_PAUSE: Duration = Duration::from_millis(5);
/// A half-written file that nobody has touched for so long has no writer any more.
const PARTIAL_AGE_MAX: Duration = Duration::from_secs(60);

/// A folder of requests that could not be sent.
#[derive(Clone)]
pub struct Spool {
    folder: PathBuf,
    bytes_max: u64,
    age_max: Duration,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool")
            .field("folder", &self.folder)
            .field("bytes_max", &self.bytes_max)
            .field("age_max", &self.age_max)
            .finish_non_exhaustive()
    }
}

/// Why the spool could not keep or give something.
#[derive(Debug, Error)]
pub enum SpoolError {
    /// The folder cannot be used.
    #[error("the spool {} cannot be used; free space or set another folder", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A request cannot be written, as on a full disk.
    #[error("the spool file {} cannot be written; free space or set another folder", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A request cannot be read.
    #[error("the spool file {} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A request is larger than the whole spool may be.
    #[error("a request of {bytes} bytes is more than the spool may hold ({bytes_max} bytes)")]
    TooLarge {
        /// The request's size.
        bytes: u64,
        /// The bound.
        bytes_max: u64,
    },
}

/// What had to go to make room, or because of its age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpoolEvictions {
    /// Requests.
    pub requests: u64,
    /// Spans, log records and data points in them.
    pub items: u64,
}

impl SpoolEvictions {
    fn count(&mut self, items: u64) {
        self.requests += 1;
        self.items += items;
    }
}

/// A request to be kept.
pub(super) struct Unsent<'a> {
    /// The backend's name.
    pub(super) name: &'a str,
    /// The identity of the endpoint.
    pub(super) endpoint: &'a str,
    pub(super) protocol: super::config::OtlpProtocol,
    pub(super) signal: flowmeter_otlp::Signal,
    pub(super) items: u64,
    pub(super) content: &'a [u8],
}

/// A file of the folder.
struct EntryFile {
    path: PathBuf,
    created: TimestampNs,
    bytes: u64,
}

/// Tells files of one process apart that are written in the same nanosecond.
static SEQUENCE: AtomicU64 = AtomicU64::new(0);

impl Spool {
    /// A spool in `folder`, which is made when the first request comes. Bounds: 64 MiB, 7 days.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            bytes_max: 64 << 20,
            age_max: Duration::from_secs(7 * 24 * 3600),
            clock: Arc::new(SystemClock),
        }
    }

    /// Holds no more than `bytes_max` bytes.
    #[must_use]
    pub fn with_bytes_max(mut self, bytes_max: u64) -> Self {
        self.bytes_max = bytes_max;
        self
    }

    /// Holds nothing longer than `age_max`.
    #[must_use]
    pub fn with_age_max(mut self, age_max: Duration) -> Self {
        self.age_max = age_max;
        self
    }

    /// Reads the time from `clock`.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The requests in it, oldest first. Half-written and unreadable files are passed over.
    ///
    /// # Errors
    /// [`SpoolError::Folder`] when the folder is there but cannot be read.
    pub fn requests(&self) -> Result<Vec<SpooledRequest>, SpoolError> {
        let files = self.files()?;
        let readable = files.iter().filter_map(|file| {
            let mut opened = File::open(&file.path).ok()?;
            read_header(&mut opened, &file.path).ok()
        });
        Ok(readable.collect())
    }

    /// Keeps a request, and says what had to go for it.
    pub(super) fn keep(&self, unsent: &Unsent<'_>) -> Result<SpoolEvictions, SpoolError> {
        let created = self.clock.now();
        let header = entry::header_line(unsent, created);
        let bytes = (header.len() + unsent.content.len()) as u64;
        if bytes > self.bytes_max {
            return Err(SpoolError::TooLarge {
                bytes,
                bytes_max: self.bytes_max,
            });
        }
        self.make_folder()?;
        let _lock = self.lock();
        let evicted = self.make_room(bytes)?;
        let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed);
        let name = format!(
            "{:020}-{}-{sequence}{ENTRY_SUFFIX}",
            created.0,
            std::process::id()
        );
        let path = self.folder.join(&name);
        let partial = self.folder.join(format!("{name}{PARTIAL_SUFFIX}"));
        let written =
            write_whole(&partial, &header, unsent.content).and_then(|()| fs::rename(&partial, &path));
        written.map_err(|source| {
            // What is left of it is of no use, and its space may be what is missing.
            let _gone_is_as_good = fs::remove_file(&partial);
            SpoolError::Write { path, source }
        })?;
        Ok(evicted)
    }

    /// Removes what is too old, and says what it was.
    ///
    /// # Errors
    /// [`SpoolError::Folder`] when the folder is there but cannot be read.
    pub fn remove_expired(&self) -> Result<SpoolEvictions, SpoolError> {
        self.make_room(0)
    }

    /// Takes a request into this process's hands; `None` where another has it or had it.
    pub(super) fn claim(&self, request: &SpooledRequest) -> Result<Option<Claim>, SpoolError> {
        let failed = |source| SpoolError::Read {
            path: request.path.clone(),
            source,
        };
        let mut file = match File::open(&request.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // Between opening and locking, its former holder may have sent and removed it.
        if !is_same_file(&file, &request.path) {
            return Ok(None);
        }
        match read_entry(&mut file, &request.path) {
            Ok((_, content)) => Ok(Some(Claim {
                path: request.path.clone(),
                content,
                _lock: file,
            })),
            Err(Unreadable::System(error)) => Err(failed(error)),
            Err(Unreadable::Content) => {
                let _gone_is_as_good = fs::remove_file(&request.path);
                Ok(None)
            }
        }
    }

    /// Whether a request is still there.
    pub(super) fn holds(&self, request: &SpooledRequest) -> bool {
        request.path.exists()
    }

    /// The whole files, oldest first.
    fn files(&self) -> Result<Vec<EntryFile>, SpoolError> {
        Ok(self.scan()?.0)
    }

    /// The whole files, oldest first (their names begin with the time), and those that are half-written.
    fn scan(&self) -> Result<(Vec<EntryFile>, Vec<PathBuf>), SpoolError> {
        let failed = |source| SpoolError::Folder {
            folder: self.folder.clone(),
            source,
        };
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok((Vec::new(), Vec::new())),
            Err(error) => return Err(failed(error)),
        };
        let (mut files, mut half_written) = (Vec::new(), Vec::new());
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let path = entry.path();
            if path.to_str().is_some_and(|path| path.ends_with(PARTIAL_SUFFIX)) {
                half_written.push(path);
            } else if let Some(created) = created_of(&path)
                // Another process may have sent it in the meantime.
                && let Ok(metadata) = entry.metadata()
                && metadata.is_file()
            {
                files.push(EntryFile {
                    path,
                    created,
                    bytes: metadata.len(),
                });
            }
        }
        files.sort_by(|left, right| left.path.cmp(&right.path));
        Ok((files, half_written))
    }

    /// Removes what is too old, then the oldest until `bytes` more fit, and what dead processes left half-written.
    fn make_room(&self, bytes: u64) -> Result<SpoolEvictions, SpoolError> {
        let (files, half_written) = self.scan()?;
        for path in half_written.iter().filter(|path| is_abandoned(path)) {
            let _gone_is_as_good = fs::remove_file(path);
        }
        let oldest = self.clock.now().0.saturating_sub(nanoseconds(self.age_max));
        let mut held: u64 = files.iter().map(|file| file.bytes).sum();
        let mut evicted = SpoolEvictions::default();
        for file in files {
            let is_too_old = file.created.0 < oldest;
            if !is_too_old && held + bytes <= self.bytes_max {
                break;
            }
            if let Some(items) = remove_unclaimed(&file.path) {
                evicted.count(items);
                held -= file.bytes;
            }
        }
        Ok(evicted)
    }

    fn make_folder(&self) -> Result<(), SpoolError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        made.map_err(|source| SpoolError::Folder {
            folder: self.folder.clone(),
            source,
        })
    }

    /// The folder's lock, unless another process holds it for too long: then the bound may be passed a little.
    fn lock(&self) -> Option<File> {
        let mut options = OpenOptions::new();
        let options = options.create(true).append(true).mode(0o600);
        let file = options.open(self.folder.join(LOCK_FILE)).ok()?;
        let began = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Some(file),
                Err(TryLockError::WouldBlock) if began.elapsed() < LOCK_PATIENCE => {
                    std::thread::sleep(LOCK_PAUSE);
                }
                Err(_) => return None,
            }
        }
    }
}

/// A request that no other process sends while this lives.
pub(super) struct Claim {
    path: PathBuf,
    pub(super) content: Bytes,
    /// Closing it gives the request back.
    _lock: File,
}

impl Claim {
    /// It has been sent, or never can be.
    pub(super) fn remove(self) -> Result<(), SpoolError> {
        match fs::remove_file(&self.path) {
            Err(source) if source.kind() != ErrorKind::NotFound => Err(SpoolError::Write {
                path: self.path,
                source,
            }),
            _ => Ok(()),
        }
    }
}

/// Whether a half-written file has no writer any more.
fn is_abandoned(path: &Path) -> bool {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    let age = modified.ok().and_then(|modified| modified.elapsed().ok());
    age.is_some_and(|age| age > PARTIAL_AGE_MAX)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// When a file was made, if it is one of the spool's.
fn created_of(path: &Path) -> Option<TimestampNs> {
    let name = path.file_name()?.to_str()?.strip_suffix(ENTRY_SUFFIX)?;
    let (created, _) = name.split_once('-')?;
    created.parse().ok().map(TimestampNs)
}

/// Writes a new file that only its owner can read. It is not forced down to the disk: that takes longer than there
/// may be time at the end, and a file that a power failure cuts short is passed over.
fn write_whole(path: &Path, header: &[u8], content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(header)?;
    file.write_all(content)
}

/// Removes a file that nobody is sending just now, and says how many items were in it.
fn remove_unclaimed(path: &Path) -> Option<u64> {
    let mut file = File::open(path).ok()?;
    file.try_lock().ok()?;
    if !is_same_file(&file, path) {
        return None;
    }
    let items = read_header(&mut file, path).map_or(0, |request| request.items);
    fs::remove_file(path).ok()?;
    Some(items)
}

fn is_same_file(file: &File, path: &Path) -> bool {
    let (Ok(opened), Ok(present)) = (file.metadata(), fs::metadata(path)) else {
        return false;
    };
    (opened.dev(), opened.ino()) == (present.dev(), present.ino())
}

#[cfg(test)]
mod tests;
