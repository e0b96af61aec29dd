//! Saved workflows: a folder of plain files, each with a version and a checksum.
//!
//! Saving validates, keeps earlier versions within a bound, and is safe with several processes. A file that
//! somebody changes with an editor is still the workflow; it is said to be changed. Never prints and never looks
//! for the folder: it is handed in.

mod along;
mod checksum;
mod entry;
mod error;
mod files;
mod index;
mod name;
mod place;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowmeter_model::{Clock, SystemClock};

pub use entry::{SavedEntry, SavedFile, SavedInput, SavedOutput};
pub use error::SavedError;
pub(crate) use index::base_folder;
pub use name::{InvalidWorkflowName, NameReason, SavedReference, WorkflowName};
pub(crate) use place::{file_of, is_workflow_file, shown, stem};

use crate::names;
use crate::run::{LoadOptions, Workflow};
use crate::validate::{CheckedWorkflow, Checker, Form};
use along::Along;
use checksum::sha256;
use entry::Head;
use index::Index;

/// So many versions of a workflow are kept, the newest one among them.
pub const VERSIONS_MAX: usize = 10;

/// A folder of saved workflows.
#[derive(Clone)]
pub struct SavedWorkflows {
    folder: PathBuf,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for SavedWorkflows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SavedWorkflows")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// A workflow to be saved.
#[derive(Clone, Copy, Debug)]
pub struct WorkflowDraft<'a> {
    /// Its name from now on.
    pub name: &'a WorkflowName,
    /// The workflow file's text, which is saved as it is.
    pub text: &'a str,
    /// How it is written.
    pub form: Form,
    /// The file that it comes from, where it comes from one.
    pub file: Option<&'a Path>,
    /// Where its relative paths start; the file's folder where there is a file.
    pub folder: &'a Path,
    /// Saves over a file that was changed by hand.
    pub overwrites_changes: bool,
}

/// What saving did.
#[derive(Debug)]
pub struct SavedNow {
    /// The workflow as it was saved.
    pub entry: SavedEntry,
    /// Its file.
    pub file: PathBuf,
    /// What was there under this name before.
    pub replaced: Option<SavedEntry>,
    /// The workflow as it was checked, with its warnings.
    pub checked: CheckedWorkflow,
}

/// A saved workflow that was found.
#[derive(Clone, Debug)]
pub struct SavedPlace {
    /// What is known of it.
    pub entry: SavedEntry,
    /// Its file.
    pub file: PathBuf,
    /// The SHA-256 of the file as it is now.
    pub sha256: String,
    /// The versions that are kept, the newest first.
    pub versions: Vec<u64>,
}

impl SavedWorkflows {
    /// The workflows in `folder`, which is made when the first one is saved.
    #[must_use]
    pub fn open(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            clock: Arc::new(SystemClock),
        }
    }

    /// Reads the time from `clock`.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Where they are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// All of them, by name, without validating any. A folder that is not there has none.
    ///
    /// # Errors
    /// [`SavedError::Read`].
    pub fn list(&self) -> Result<Vec<SavedEntry>, SavedError> {
        index::entries(&self.folder)
    }

    /// The file of a saved workflow.
    ///
    /// # Errors
    /// [`SavedError::Unknown`] with the nearest name.
    pub fn file(&self, reference: &SavedReference) -> Result<PathBuf, SavedError> {
        file_of(&self.folder, reference).ok_or_else(|| self.unknown(reference))
    }

    /// The saved workflow that a file stands for by its place; `None` for a file elsewhere.
    #[must_use]
    pub fn reference_of(&self, file: &Path) -> Option<SavedReference> {
        place::reference_of(&self.folder.canonicalize().ok()?, &file.canonicalize().ok()?)
    }

    /// What is known of a saved workflow, without validating it.
    ///
    /// # Errors
    /// [`SavedError::Unknown`] with the nearest name, or [`SavedError::Read`].
    pub fn find(&self, reference: &SavedReference) -> Result<SavedPlace, SavedError> {
        let file = self.file(reference)?;
        let bytes = fs::read(&file).map_err(|source| SavedError::Read {
            path: file.clone(),
            source,
        })?;
        let name = reference.name.clone();
        let form = Form::of_path(&file);
        let record = reference
            .version
            .and_then(|version| index::record(&place::version_folder(&self.folder, &name, version)));
        let sha256 = sha256(&bytes);
        let entry = match record {
            Some(record) => SavedEntry {
                is_changed: record.sha256.as_ref() != Some(&sha256),
                ..record
            },
            None => index::entry_of(&self.folder, name, form, &bytes),
        };
        Ok(SavedPlace {
            entry,
            file,
            sha256,
            versions: place::versions_of(&self.folder, &reference.name),
        })
    }

    /// Loads a saved workflow, ready to run; workflows that it names are looked up here too.
    ///
    /// # Errors
    /// [`SavedError::Unknown`], or [`SavedError::Load`] with everything that is wrong.
    pub fn load(&self, reference: &SavedReference, options: &LoadOptions) -> Result<Workflow, SavedError> {
        let file = self.file(reference)?;
        let options = LoadOptions {
            saved_workflows: Some(self.folder.clone()),
            ..options.clone()
        };
        Ok(Workflow::load(&file, &options)?)
    }

    /// Validates a workflow and saves it with the files that it names by relative paths. Saving again makes the
    /// next version; [`VERSIONS_MAX`] are kept.
    ///
    /// # Errors
    /// [`SavedError::Load`] with everything that is wrong; [`SavedError::ChangedByHand`];
    /// [`SavedError::Write`]. What was saved before stays then.
    pub fn save(&self, draft: &WorkflowDraft<'_>) -> Result<SavedNow, SavedError> {
        let checked = Checker::saving(self.folder.clone(), draft)?;
        let along = along::gather(draft.name, &checked)?;
        let mut entry = SavedEntry::named(draft.name.clone(), draft.form);
        entry.take(Head::of_document(&checked.document));
        entry.sha256 = Some(sha256(draft.text.as_bytes()));
        entry.saved_ns = Some(self.clock.now());
        entry.origin = draft.file.and_then(|file| file.canonicalize().ok());
        if let Some(along) = &along {
            entry.folder = Some(along.folder.to_string_lossy().into_owned());
            entry.files = along
                .files
                .iter()
                .map(|(path, bytes)| SavedFile {
                    path: path.to_string_lossy().into_owned(),
                    sha256: sha256(bytes),
                })
                .collect();
        }
        let lock = files::lock(&self.folder)?;
        let replaced = self.may_replace(draft)?;
        let file = self.folder.join(format!("{}{}", draft.name, draft.form.ending()));
        let write = |path: &Path| {
            let path = path.to_path_buf();
            move |source| SavedError::Write { path, source }
        };
        let version = self.next_version(draft.name, replaced.as_ref());
        entry.version = Some(version);
        self.write_version(&entry, draft.text, along.as_ref())
            .map_err(write(&self.folder))?;
        // From here on the new version is the workflow; before, the old one was.
        files::replace(&file, draft.text.as_bytes(), true).map_err(write(&file))?;
        for other in place::files_of(&self.folder, draft.name) {
            if other != file {
                fs::remove_file(&other).map_err(write(&other))?;
            }
        }
        files::sync_folder(&self.folder);
        let mut index = Index::read(&self.folder);
        if let Ok(metadata) = fs::metadata(&file) {
            index.put(&file, &metadata, entry.clone());
            // The index is a memory: without it the files are read.
            let _is_read_again_next_time = index.write(&self.folder);
        }
        self.remove_old_versions(draft.name, version);
        files::remove_abandoned(&self.folder);
        drop(lock);
        Ok(SavedNow {
            entry,
            file,
            replaced,
            checked,
        })
    }

    /// Removes a saved workflow with all its versions, and says what it was.
    ///
    /// # Errors
    /// [`SavedError::Unknown`] with the nearest name, or [`SavedError::Write`].
    pub fn delete(&self, name: &WorkflowName) -> Result<SavedEntry, SavedError> {
        let reference = SavedReference::from(name.clone());
        self.file(&reference)?;
        let _lock = files::lock(&self.folder)?;
        let entry = self.find(&reference)?.entry;
        for file in place::files_of(&self.folder, name) {
            fs::remove_file(&file).map_err(|source| SavedError::Write { path: file, source })?;
        }
        let versions = self.folder.join(place::VERSIONS).join(name.as_str());
        match fs::remove_dir_all(&versions) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(SavedError::Write {
                    path: versions,
                    source,
                });
            }
            _ => {}
        }
        let mut index = Index::read(&self.folder);
        index.remove(name);
        let _is_read_again_next_time = index.write(&self.folder);
        Ok(entry)
    }

    /// What is there under the draft's name, where it may be replaced.
    fn may_replace(&self, draft: &WorkflowDraft<'_>) -> Result<Option<SavedEntry>, SavedError> {
        let Some(file) = place::files_of(&self.folder, draft.name).into_iter().next() else {
            return Ok(None);
        };
        let read = |source| SavedError::Read {
            path: file.clone(),
            source,
        };
        let bytes = fs::read(&file).map_err(read)?;
        let form = Form::of_path(&file);
        let entry = index::entry_of(&self.folder, draft.name.clone(), form, &bytes);
        // What was changed there and is saved from there is not lost, nor is what is the same.
        let is_that_file = bytes == draft.text.as_bytes()
            || draft
                .file
                .and_then(|file| file.canonicalize().ok())
                .is_some_and(|from| file.canonicalize().is_ok_and(|there| there == from));
        let is_kept = entry.version.is_some() && !entry.is_changed;
        if is_kept || is_that_file || draft.overwrites_changes {
            return Ok(Some(entry));
        }
        Err(SavedError::ChangedByHand {
            name: draft.name.clone(),
            file,
        })
    }

    fn next_version(&self, name: &WorkflowName, replaced: Option<&SavedEntry>) -> u64 {
        let kept = place::versions_of(&self.folder, name).first().copied();
        let known = replaced.and_then(|entry| entry.version);
        kept.max(known).map_or(1, |version| version.saturating_add(1))
    }

    /// Writes the folder of a version, which appears whole.
    fn write_version(&self, entry: &SavedEntry, text: &str, along: Option<&Along>) -> io::Result<()> {
        let version = entry.version.unwrap_or(1);
        let place = place::version_folder(&self.folder, &entry.name, version);
        let parent = self.folder.join(place::VERSIONS).join(entry.name.as_str());
        files::make_folder(&parent)?;
        files::remove_abandoned(&parent);
        let partial = parent.join(format!(".{version}.{}{}", std::process::id(), files::PARTIAL));
        let written = self
            .fill_version(&partial, entry, text, along)
            .and_then(|()| fs::rename(&partial, &place));
        if written.is_err() {
            let _gone_is_as_good = fs::remove_dir_all(&partial);
        }
        written?;
        files::sync_folder(&parent);
        Ok(())
    }

    fn fill_version(
        &self,
        place: &Path,
        entry: &SavedEntry,
        text: &str,
        along: Option<&Along>,
    ) -> io::Result<()> {
        // A process of the same number may have died here.
        if place.exists() {
            fs::remove_dir_all(place)?;
        }
        files::make_folder(place)?;
        let name = format!("{}{}", entry.name, entry.form.ending());
        files::write_new(&place.join(name), text.as_bytes(), false)?;
        if let Some(along) = along {
            let root = place.join(place::FILES);
            files::make_folder(&root.join(&along.folder))?;
            for (path, bytes) in &along.files {
                let path = root.join(path);
                if let Some(folder) = path.parent() {
                    files::make_folder(folder)?;
                }
                files::write_new(&path, bytes, true)?;
            }
        }
        files::write_new(
            &place.join(place::RECORD),
            &serde_json::to_vec_pretty(entry)?,
            true,
        )
    }

    /// Keeps the newest versions. What cannot be removed is removed the next time.
    fn remove_old_versions(&self, name: &WorkflowName, current: u64) {
        let versions = place::versions_of(&self.folder, name);
        for version in versions.into_iter().skip(VERSIONS_MAX) {
            if version != current {
                let old = place::version_folder(&self.folder, name, version);
                let _is_removed_next_time = fs::remove_dir_all(old);
            }
        }
    }

    fn unknown(&self, reference: &SavedReference) -> SavedError {
        let name = reference.to_string();
        let versions = place::versions_of(&self.folder, &reference.name);
        let plain = SavedReference::from(reference.name.clone());
        let help = match file_of(&self.folder, &plain) {
            Some(_) if !versions.is_empty() => {
                let kept: Vec<String> = versions.iter().map(u64::to_string).collect();
                format!("; its versions that are kept: {}", kept.join(", "))
            }
            Some(_) => "; it has no versions, because it was put into the folder by hand".to_owned(),
            None => self
                .near(reference.name.as_str())
                .map_or_else(String::new, |near| format!("; {near}")),
        };
        SavedError::Unknown { name, help }
    }

    /// The nearest saved name, and what there is; nothing where nothing is saved.
    #[must_use]
    pub fn near(&self, wanted: &str) -> Option<String> {
        names_near(&self.folder, wanted)
    }
}

/// The nearest saved name, and what there is.
pub(crate) fn names_near(folder: &Path, wanted: &str) -> Option<String> {
    let mut found: Vec<WorkflowName> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some(place::named(&entry.file_name())?.0))
        .collect();
    found.sort();
    found.dedup();
    let found: Vec<&str> = found.iter().map(WorkflowName::as_str).collect();
    names::suggestion(wanted, &found, "saved workflows")
}

#[cfg(test)]
mod tests;
