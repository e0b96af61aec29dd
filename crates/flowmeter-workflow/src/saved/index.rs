//! The index of the folder: what listing shows, so that it need not open every file.
//!
//! It is a memory and no more: an entry counts as long as its file has the size and the time noted here. Without
//! the index, or with a broken one, everything is read anew from the files and their versions.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::checksum::sha256;
use super::entry::{Head, SavedEntry};
use super::error::SavedError;
use super::files;
use super::name::WorkflowName;
use super::place::{self, RECORD};
use crate::validate::Form;

const INDEX: &str = ".index.json";
const FORMAT: &str = "flowmeter.saved/1";

/// What is noted of each workflow.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Index {
    format: String,
    workflows: Vec<Noted>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Noted {
    /// The file's name.
    file: String,
    bytes: u64,
    modified_ns: u64,
    entry: SavedEntry,
}

fn modified_ns(metadata: &Metadata) -> u64 {
    let since = metadata
        .modified()
        .ok()
        .and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

impl Noted {
    fn is_of(&self, metadata: &Metadata) -> bool {
        self.bytes == metadata.len() && self.modified_ns == modified_ns(metadata)
    }
}

impl Index {
    pub(super) fn read(folder: &Path) -> Self {
        let read = fs::read(folder.join(INDEX)).ok();
        read.and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok())
            .filter(|index| index.format == FORMAT)
            .unwrap_or_else(|| Self {
                format: FORMAT.to_owned(),
                workflows: Vec::new(),
            })
    }

    /// The folder's lock is held.
    pub(super) fn write(&self, folder: &Path) -> std::io::Result<()> {
        let bytes = serde_json::to_vec(self)?;
        files::replace(&folder.join(INDEX), &bytes, false)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.workflows.len()
    }

    pub(super) fn put(&mut self, file: &Path, metadata: &Metadata, entry: SavedEntry) {
        self.remove(&entry.name);
        self.workflows.push(Noted {
            file: file_name(file),
            bytes: metadata.len(),
            modified_ns: modified_ns(metadata),
            entry,
        });
    }

    pub(super) fn remove(&mut self, name: &WorkflowName) {
        self.workflows.retain(|noted| noted.entry.name != *name);
    }
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Every workflow of the folder, by name. What the index does not know, or not as it is now, is read.
pub(super) fn entries(folder: &Path) -> Result<Vec<SavedEntry>, SavedError> {
    let unreadable = |source| SavedError::Read {
        path: folder.to_path_buf(),
        source,
    };
    let listed = match fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let index = Index::read(folder);
    let by_file: HashMap<&str, &Noted> = index
        .workflows
        .iter()
        .map(|noted| (noted.file.as_str(), noted))
        .collect();
    let mut found: BTreeMap<WorkflowName, Noted> = BTreeMap::new();
    let mut news = 0;
    for entry in listed {
        let entry = entry.map_err(unreadable)?;
        let file = entry.file_name();
        let Some((name, form)) = place::named(&file) else {
            continue;
        };
        // Through links too: a workflow may be kept elsewhere.
        let Ok(metadata) = fs::metadata(entry.path()) else {
            continue;
        };
        if !metadata.is_file() {
            continue;
        }
        // Of two files of one name the newer one counts.
        let modified = modified_ns(&metadata);
        if found
            .get(&name)
            .is_some_and(|other| other.modified_ns >= modified)
        {
            continue;
        }
        let known = file.to_str().and_then(|file| by_file.get(file));
        let noted = match known.filter(|noted| noted.is_of(&metadata)) {
            Some(noted) => Noted::clone(noted),
            None => {
                news += 1;
                Noted {
                    file: file.to_string_lossy().into_owned(),
                    bytes: metadata.len(),
                    modified_ns: modified,
                    entry: glance(folder, &entry.path(), name.clone(), form),
                }
            }
        };
        found.insert(name, noted);
    }
    let workflows: Vec<Noted> = found.into_values().collect();
    if news > 0 {
        remember(folder, &workflows);
    }
    Ok(workflows.into_iter().map(|noted| noted.entry).collect())
}

/// Notes what was read for the next time, where that is possible at once.
fn remember(folder: &Path, workflows: &[Noted]) {
    if let Some(_lock) = files::lock_if_free(folder) {
        // Somebody may have saved something since the folder was read: that stays what it is, because an entry
        // counts only for the file that it was made from.
        let index = Index {
            format: FORMAT.to_owned(),
            workflows: workflows.to_vec(),
        };
        let _is_read_again_next_time = index.write(folder);
    }
}

/// What a file tells without being validated, and whether it is as it was saved.
pub(super) fn glance(folder: &Path, file: &Path, name: WorkflowName, form: Form) -> SavedEntry {
    let bytes = fs::read(file).unwrap_or_default();
    entry_of(folder, name, form, &bytes)
}

/// The same for a file that was read.
pub(super) fn entry_of(folder: &Path, name: WorkflowName, form: Form, bytes: &[u8]) -> SavedEntry {
    let head = || Head::of_text(form, &String::from_utf8_lossy(bytes));
    match standing(folder, &name, bytes) {
        Some((record, false)) => record,
        Some((mut record, true)) => {
            record.is_changed = true;
            record.form = form;
            record.take(head());
            record
        }
        None => {
            let mut entry = SavedEntry::named(name, form);
            entry.take(head());
            entry
        }
    }
}

/// The version that a file is: the newest one with this content, or else the newest, which was changed then.
pub(super) fn standing(folder: &Path, name: &WorkflowName, bytes: &[u8]) -> Option<(SavedEntry, bool)> {
    let mut newest = None;
    let mut sum = None;
    for version in place::versions_of(folder, name) {
        let Some(record) = record(&place::version_folder(folder, name, version)) else {
            continue;
        };
        if record.sha256.as_deref() == Some(sum.get_or_insert_with(|| sha256(bytes)).as_str()) {
            return Some((record, false));
        }
        newest.get_or_insert(record);
    }
    newest.map(|record| (record, true))
}

/// What was noted when a version was saved.
pub(super) fn record(version_folder: &Path) -> Option<SavedEntry> {
    let bytes = fs::read(version_folder.join(RECORD)).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Where relative paths of a saved file start, where that is not beside it. Both paths are canonical.
pub(crate) fn base_folder(folder: &Path, file: &Path) -> Option<PathBuf> {
    let reference = place::reference_of(folder, file)?;
    let name = &reference.name;
    let entry = match reference.version {
        Some(version) => record(&place::version_folder(folder, name, version))?,
        None => standing(folder, name, &fs::read(file).ok()?)?.0,
    };
    let version = place::version_folder(folder, name, entry.version?);
    match entry.folder {
        Some(inner) => Some(version.join(place::FILES).join(inner)),
        // A version that needs no files is as if it lay where the newest one does.
        None => Some(folder.to_path_buf()),
    }
}
