//! Changing the folder of saved workflows: one process at a time, and each file whole or not at all.
//!
//! Never decides what is written.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use super::error::SavedError;

/// Who changes the folder holds this file's lock; the system gives it back when a process dies.
const LOCK: &str = ".lock";
/// How long to wait for it.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);
const LOCK_PAUSE: Duration = Duration::from_millis(2);
/// What the name of a file or folder ends with while it is being written.
pub(super) const PARTIAL: &str = ".partial";
/// What nobody has touched for so long has no writer any more.
const PARTIAL_AGE_MAX: Duration = Duration::from_secs(600);

/// The right to change the folder, until this is dropped.
pub(super) struct FolderLock {
    _file: File,
}

/// Makes the folder and waits for the right to change it.
pub(super) fn lock(folder: &Path) -> Result<FolderLock, SavedError> {
    let failed = |source| SavedError::Write {
        path: folder.to_path_buf(),
        source,
    };
    make_folder(folder).map_err(failed)?;
    let file = lock_file(folder).map_err(failed)?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(FolderLock { _file: file }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
            Err(TryLockError::WouldBlock) if began.elapsed() >= LOCK_PATIENCE => {
                return Err(SavedError::Busy {
                    path: folder.join(LOCK),
                    seconds: LOCK_PATIENCE.as_secs(),
                });
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
        }
    }
}

/// The right to change the folder where nobody else has it and it can be written at all.
pub(super) fn lock_if_free(folder: &Path) -> Option<FolderLock> {
    let file = lock_file(folder).ok()?;
    file.try_lock().ok()?;
    Some(FolderLock { _file: file })
}

fn lock_file(folder: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(0o600);
    options.open(folder.join(LOCK))
}

/// A folder for its owner alone: defaults of inputs may be nobody else's business.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Writes a new file, down to the disk where it may not be lost.
pub(super) fn write_new(path: &Path, bytes: &[u8], is_durable: bool) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    if is_durable {
        file.sync_data()?;
    }
    Ok(())
}

/// Puts a file in its place in one step: whoever reads it meanwhile finds the old one or the new one.
pub(super) fn replace(path: &Path, bytes: &[u8], is_durable: bool) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let partial = path.with_file_name(format!(".{name}.{}{PARTIAL}", std::process::id()));
    let placed = write_new(&partial, bytes, is_durable).and_then(|()| fs::rename(&partial, path));
    if placed.is_err() {
        // What is left of it is of no use, and its space may be what is missing.
        let _gone_is_as_good = fs::remove_file(&partial);
    }
    placed
}

/// Makes the names in a folder last through a power failure, where the file system can.
pub(super) fn sync_folder(folder: &Path) {
    let _names_may_come_later = File::open(folder).and_then(|folder| folder.sync_all());
}

/// Removes what dead processes left half-written. The folder's lock is held.
pub(super) fn remove_abandoned(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if !name.to_string_lossy().ends_with(PARTIAL) {
            continue;
        }
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let age = modified
            .ok()
            .and_then(|at| SystemTime::now().duration_since(at).ok());
        if age.is_some_and(|age| age > PARTIAL_AGE_MAX) {
            let path = entry.path();
            let _gone_is_as_good = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
        }
    }
}
