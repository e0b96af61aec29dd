//! The folder of answers: one file an answer, in folders by the first byte of its key, each put in place by a rename.
//!
//! Safe with other processes: whoever writes holds the folder's lock, whoever reads needs none. Never lets the
//! folder grow beyond its bounds: what was used least recently goes first. Never decides whether an answer is too
//! old.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use flowmeter_model::TimestampNs;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::entry::{AboutAnswer, CachedAnswer};
use super::key::CacheKey;
use super::tally::CacheTally;

/// Where the answers lie, in the cache's folder.
const ENTRIES: &str = "entries";
/// What the cache holds and has done.
const TALLY: &str = "tally.json";
/// Held by whoever writes.
const LOCK: &str = "lock";
/// The version of the tally's file.
const TALLY_VERSION: u32 = 1;
/// The ending of an answer's file; what is still being written has none.
const ENDING: &str = "answer";
/// What an entry has beside its text, at most.
const ABOUT_BYTES_MAX: u64 = 64 << 10;
/// How long to wait for another process to finish writing.
const LOCK_WAIT: Duration = Duration::from_secs(2);
/// How often to look whether it has.
const LOCK_POLL: Duration = Duration::from_millis(2);
/// When a file that was never finished is taken for the remains of a crash.
const ABANDONED: Duration = Duration::from_secs(3_600);

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) bytes_max: u64,
    pub(super) entries_max: u64,
    pub(super) answer_bytes_max: u64,
}

/// The folder.
pub(super) struct Disk {
    folder: PathBuf,
    bounds: Bounds,
    /// Lets the threads of this process queue up before they try for the lock of the folder.
    writing: Mutex<()>,
}

/// What a look into the folder found.
pub(super) enum Found {
    Answer(Box<CachedAnswer>),
    Nothing,
    /// A file that was no whole entry of ours, and is gone now.
    Broken,
}

/// What stands in the tally's file.
#[derive(Default, Serialize, Deserialize)]
struct Ledger {
    version: u32,
    /// What the entries come to. Counted up before a file is written, so that a crash makes it too high and never
    /// too low; the next look through the folder puts it right.
    bytes: u64,
    entries: u64,
    tally: CacheTally,
}

/// An answer's file.
pub(super) struct EntryFile {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    used: SystemTime,
}

impl EntryFile {
    /// What it says of itself, unchecked.
    pub(super) fn about(&self) -> Option<AboutAnswer> {
        let mut head = Vec::new();
        let file = File::open(&self.path).ok()?;
        file.take(ABOUT_BYTES_MAX).read_to_end(&mut head).ok()?;
        AboutAnswer::peek(&head)
    }
}

fn time_of(at: TimestampNs) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(at.0)
}

/// Makes the folders on the way to a file, for this user alone.
fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

impl Disk {
    /// Touches nothing.
    pub(super) fn new(folder: PathBuf, bounds: Bounds) -> Self {
        Self {
            folder,
            bounds,
            writing: Mutex::new(()),
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn path_of(&self, key: &CacheKey) -> PathBuf {
        let key = key.hex();
        let (shard, rest) = key.split_at(2);
        self.folder
            .join(ENTRIES)
            .join(shard)
            .join(format!("{rest}.{ENDING}"))
    }

    /// The answer of this key. With `used`, it counts as used then.
    pub(super) fn read(&self, key: &CacheKey, used: Option<TimestampNs>) -> Found {
        let path = self.path_of(key);
        let Ok(file) = File::open(&path) else {
            return Found::Nothing;
        };
        let limit = self.bounds.answer_bytes_max + ABOUT_BYTES_MAX;
        let mut bytes = Vec::new();
        match (&file).take(limit + 1).read_to_end(&mut bytes) {
            Ok(read) if read as u64 <= limit => {}
            // Too long to be ours.
            Ok(_) => bytes.clear(),
            Err(_) => return Found::Nothing,
        }
        match CachedAnswer::decode(&bytes, key) {
            Some(answer) => {
                if let Some(used) = used {
                    // In a folder that cannot be written nothing is thrown out either.
                    let _order_is_a_nicety = file.set_modified(time_of(used));
                }
                Found::Answer(Box::new(answer))
            }
            None => {
                let _gone_is_as_good = fs::remove_file(&path);
                Found::Broken
            }
        }
    }

    /// Removes the answer of this key.
    pub(super) fn remove(&self, key: &CacheKey) {
        let _gone_is_as_good = fs::remove_file(self.path_of(key));
    }

    /// Writes an answer, with room made for it, and adds `pending` to the tally. Where the lock was had, `pending` is
    /// empty afterwards.
    pub(super) fn write(
        &self,
        key: &CacheKey,
        bytes: &[u8],
        now: TimestampNs,
        pending: &mut CacheTally,
    ) -> io::Result<()> {
        let path = self.path_of(key);
        let shard = path.parent().unwrap_or(&self.folder);
        make_folder(shard)?;
        let size = bytes.len() as u64;
        self.locked(|ledger| {
            let replaced = fs::metadata(&path).ok().map(|known| known.len());
            if let Some(replaced) = replaced {
                ledger.bytes = ledger.bytes.saturating_sub(replaced);
                ledger.entries = ledger.entries.saturating_sub(1);
            }
            let is_full = |bytes: u64, entries: u64| {
                bytes.saturating_add(size) > self.bounds.bytes_max || entries >= self.bounds.entries_max
            };
            if is_full(ledger.bytes, ledger.entries) {
                self.make_room(ledger, size, &path, now);
            }
            ledger.bytes = ledger.bytes.saturating_add(size);
            ledger.entries += 1;
            ledger.take(pending, now);
            ledger.tally.stored += 1;
            self.save(ledger)?;
            let mut file = tempfile::Builder::new()
                .prefix("unfinished-")
                .tempfile_in(shard)?;
            file.write_all(bytes)?;
            file.as_file().set_modified(time_of(now))?;
            file.persist(&path).map_err(|error| error.error)?;
            Ok(())
        })
    }

    /// Throws out what was used least recently, with a tenth to spare so that this is not done at every write.
    fn make_room(&self, ledger: &mut Ledger, size: u64, except: &Path, now: TimestampNs) {
        let mut files = self.scan(Some(now));
        files.retain(|file| file.path != except);
        files.sort_by_key(|file| file.used);
        let spare = |most: u64| most - most / 10;
        let bytes_wanted = spare(self.bounds.bytes_max).saturating_sub(size);
        let entries_wanted = spare(self.bounds.entries_max).saturating_sub(1);
        let (mut bytes, mut entries) = (
            files.iter().map(|file| file.bytes).sum::<u64>(),
            files.len() as u64,
        );
        for file in files {
            // A scan may find that there is room: the ledger counts too high after a crash.
            if bytes <= bytes_wanted && entries <= entries_wanted {
                break;
            }
            if fs::remove_file(&file.path).is_ok() {
                ledger.tally.evicted += 1;
            }
            bytes = bytes.saturating_sub(file.bytes);
            entries -= 1;
        }
        (ledger.bytes, ledger.entries) = (bytes, entries);
    }

    /// All answers' files. With a time, the remains of crashes are removed on the way.
    pub(super) fn scan(&self, now: Option<TimestampNs>) -> Vec<EntryFile> {
        let list = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
        let mut found = Vec::new();
        for shard in list(&self.folder.join(ENTRIES)) {
            for entry in list(&shard.path()) {
                let Ok(known) = entry.metadata() else { continue };
                let path = entry.path();
                let used = known.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                if path.extension().is_some_and(|ending| ending == ENDING) {
                    let bytes = known.len();
                    found.push(EntryFile { path, bytes, used });
                } else if let Some(now) = now
                    && time_of(now).duration_since(used).is_ok_and(|age| age > ABANDONED)
                {
                    let _gone_is_as_good = fs::remove_file(path);
                }
            }
        }
        found
    }

    /// Adds `pending` to the tally. Where that goes well, `pending` is empty afterwards.
    pub(super) fn add_tally(&self, pending: &mut CacheTally, now: TimestampNs) -> io::Result<()> {
        make_folder(&self.folder)?;
        self.locked(|ledger| {
            ledger.take(pending, now);
            self.save(ledger)
        })
    }

    /// What the cache has done so far; nothing where nobody counted.
    pub(super) fn tally(&self) -> CacheTally {
        self.load().map(|ledger| ledger.tally).unwrap_or_default()
    }

    /// Removes the files that `is_wanted` picks. Returns how many, and their bytes.
    pub(super) fn clear(&self, is_wanted: &dyn Fn(&EntryFile) -> bool) -> io::Result<(u64, u64)> {
        if !self.folder.exists() {
            return Ok((0, 0));
        }
        self.locked(|ledger| {
            let mut cleared = (0, 0);
            let mut kept = (0, 0);
            for file in self.scan(None) {
                let counted = if is_wanted(&file) {
                    match fs::remove_file(&file.path) {
                        Ok(()) => &mut cleared,
                        // Somebody else found it broken.
                        Err(error) if error.kind() == ErrorKind::NotFound => continue,
                        Err(error) => return Err(error),
                    }
                } else {
                    &mut kept
                };
                counted.0 += 1;
                counted.1 += file.bytes;
            }
            (ledger.entries, ledger.bytes) = kept;
            self.save(ledger)?;
            Ok(cleared)
        })
    }

    /// Does `work` while no other process writes.
    fn locked<T>(&self, work: impl FnOnce(&mut Ledger) -> io::Result<T>) -> io::Result<T> {
        let _queued = self.writing.lock();
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(self.folder.join(LOCK))?;
        let began = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(fs::TryLockError::WouldBlock) if began.elapsed() < LOCK_WAIT => {
                    std::thread::sleep(LOCK_POLL);
                }
                Err(fs::TryLockError::WouldBlock) => {
                    return Err(io::Error::new(
                        ErrorKind::WouldBlock,
                        "another process has held its lock for two seconds",
                    ));
                }
                // A file system without locks: renames keep the answers whole, the figures may be off.
                Err(fs::TryLockError::Error(_)) => break,
            }
        }
        let mut ledger = match self.load() {
            Some(ledger) => ledger,
            None => {
                let files = self.scan(None);
                Ledger {
                    version: TALLY_VERSION,
                    bytes: files.iter().map(|file| file.bytes).sum(),
                    entries: files.len() as u64,
                    tally: CacheTally::default(),
                }
            }
        };
        work(&mut ledger)
    }

    fn load(&self) -> Option<Ledger> {
        let text = fs::read(self.folder.join(TALLY)).ok()?;
        let ledger: Ledger = serde_json::from_slice(&text).ok()?;
        (ledger.version == TALLY_VERSION).then_some(ledger)
    }

    fn save(&self, ledger: &Ledger) -> io::Result<()> {
        let mut file = tempfile::Builder::new()
            .prefix("unfinished-")
            .tempfile_in(&self.folder)?;
        file.write_all(&serde_json::to_vec(ledger)?)?;
        file.persist(self.folder.join(TALLY))
            .map_err(|error| error.error)?;
        Ok(())
    }
}

impl Ledger {
    fn take(&mut self, pending: &mut CacheTally, now: TimestampNs) {
        self.tally.merge(&std::mem::take(pending));
        self.tally.since.get_or_insert(now);
    }
}

#[cfg(test)]
mod tests;
