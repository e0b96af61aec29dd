//! What lies where in the folder of saved workflows.
//!
//! `NAME.json` or `NAME.pflow.md` is the workflow as it is now, a plain file. Beside it, out of sight:
//! `.versions/NAME/3/` holds version 3 with the files that it needs, `.index.json` what `list` shows. Never writes.

use std::ffi::OsStr;
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::name::{SavedReference, WorkflowName};
use crate::validate::Form;

/// The folder of versions.
pub(super) const VERSIONS: &str = ".versions";
/// What is known of a version, in its folder.
pub(super) const RECORD: &str = ".saved.json";
/// The files that a version needs, in its folder.
pub(super) const FILES: &str = "files";

/// How the files' names end; the first of a form is what saving writes.
const ENDINGS: &[(&str, Form)] = &[
    (".json", Form::Json),
    (".pflow.md", Form::Markdown),
    (".flow.md", Form::Markdown),
];

impl Form {
    /// The form of a file: by its name where that ends as workflow files do, else by how its text begins.
    #[must_use]
    pub fn of_file(path: &Path, text: &str) -> Self {
        if is_workflow_file(path) {
            Self::of_path(path)
        } else if text.trim_start_matches('\u{feff}').trim_start().starts_with('{') {
            Self::Json
        } else {
            Self::Markdown
        }
    }

    /// How the names of such files end.
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self {
            Self::Json => ".json",
            Self::Markdown => ".pflow.md",
        }
    }
}

/// Whether a file's name ends as those of workflow files do.
pub(crate) fn is_workflow_file(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str);
    name.is_some_and(|name| split_ending(name).is_some())
}

/// A file's name without its ending, and what the ending says.
fn split_ending(file_name: &str) -> Option<(&str, Form)> {
    ENDINGS
        .iter()
        .find_map(|(ending, form)| Some((file_name.strip_suffix(ending)?, *form)))
}

/// The name and form of a workflow, from the name of its file.
pub(super) fn named(file_name: &OsStr) -> Option<(WorkflowName, Form)> {
    let (name, form) = split_ending(file_name.to_str()?)?;
    Some((WorkflowName::parse(name).ok()?, form))
}

/// The name of a workflow, by its file: without any ending that workflow files have.
pub(crate) fn stem(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy();
    match split_ending(&name) {
        Some((stem, _)) => Some(stem.to_owned()),
        None => Some(path.file_stem()?.to_string_lossy().into_owned()),
    }
}

/// The files of a workflow that are there, the newest first: there is more than one where somebody has put a second
/// there, or where saving in another form was cut short.
pub(super) fn files_of(folder: &Path, name: &WorkflowName) -> Vec<PathBuf> {
    let mut found: Vec<_> = ENDINGS
        .iter()
        .filter_map(|(ending, _)| {
            let path = folder.join(format!("{name}{ending}"));
            let metadata = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
            Some((metadata.modified().ok(), path))
        })
        .collect();
    found.sort_by_key(|(modified, _)| std::cmp::Reverse(*modified));
    found.into_iter().map(|(_, path)| path).collect()
}

/// The folder of one version.
pub(super) fn version_folder(folder: &Path, name: &WorkflowName, version: u64) -> PathBuf {
    folder
        .join(VERSIONS)
        .join(name.as_str())
        .join(version.to_string())
}

/// The versions that are kept, the newest first.
pub(super) fn versions_of(folder: &Path, name: &WorkflowName) -> Vec<u64> {
    let entries = fs::read_dir(folder.join(VERSIONS).join(name.as_str()));
    let mut versions: Vec<u64> = entries
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    versions.sort_unstable_by(|left, right| right.cmp(left));
    versions
}

/// The file of a saved workflow, where it is there.
pub(crate) fn file_of(folder: &Path, reference: &SavedReference) -> Option<PathBuf> {
    match reference.version {
        None => files_of(folder, &reference.name).into_iter().next(),
        Some(version) => {
            let inner = version_folder(folder, &reference.name, version);
            files_of(&inner, &reference.name).into_iter().next()
        }
    }
}

/// What a path in the folder of saved workflows stands for. Both paths are canonical.
pub(super) fn reference_of(folder: &Path, file: &Path) -> Option<SavedReference> {
    let mut steps = file.strip_prefix(folder).ok()?.components();
    let mut step = || match steps.next() {
        Some(Component::Normal(step)) => Some(step),
        _ => None,
    };
    let first = step()?;
    let Some(second) = step() else {
        let (name, _) = named(first)?;
        return Some(name.into());
    };
    let version = step()?.to_str()?.parse().ok()?;
    let (name, _) = named(step()?)?;
    let is_version = first == VERSIONS && second == OsStr::new(name.as_str()) && step().is_none();
    is_version.then_some(SavedReference {
        name,
        version: Some(version),
    })
}

/// How messages call a file in the folder of saved workflows: by the name of the workflow.
pub(crate) fn shown(folder: &Path, file: &Path) -> Option<String> {
    reference_of(folder, file).map(|reference| reference.to_string())
}

/// A path without `.` and `..`, by its letters alone: there are no links where it leads.
pub(super) fn tidied(path: &Path) -> PathBuf {
    let mut tidied = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                tidied.pop();
            }
            other => tidied.push(other),
        }
    }
    tidied
}
