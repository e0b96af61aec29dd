//! The files that a workflow needs beside it, gathered so that it works wherever it is saved.
//!
//! They keep their places relative to each other and to the workflow: no path in any of them is rewritten. Files by
//! whole paths and saved workflows by name stay where they are. Never writes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::SavedError;
use super::name::WorkflowName;
use super::place::tidied;
use crate::nodes::workflow::{self as nested_node, WrittenPlace};
use crate::validate::CheckedWorkflow;

/// So many files may be saved with a workflow.
const FILES_MAX: usize = 256;
/// So many bytes they may be together.
const BYTES_MAX: u64 = 16 << 20;

/// Files to be saved with a workflow.
#[derive(Debug, Default)]
pub(super) struct Along {
    /// The contents, by their place relative to the folder that holds them all.
    pub(super) files: BTreeMap<PathBuf, Vec<u8>>,
    /// The workflow's own folder among them.
    pub(super) folder: PathBuf,
}

/// Gathers the files that `checked` names by relative paths; `None` where it needs none.
pub(super) fn gather(name: &WorkflowName, checked: &CheckedWorkflow) -> Result<Option<Along>, SavedError> {
    let folder = tidied(&checked.folder);
    let mut sources = BTreeMap::new();
    walk(checked, &folder, &mut sources)?;
    if sources.is_empty() {
        return Ok(None);
    }
    let too_much = |what: String| SavedError::TooMuch {
        name: name.clone(),
        what,
    };
    if sources.len() > FILES_MAX {
        return Err(too_much(format!(
            "{} files, and {FILES_MAX} is the most",
            sources.len()
        )));
    }
    let mut root = folder.clone();
    for place in sources.keys() {
        while !place.starts_with(&root) {
            root.pop();
        }
    }
    let mut bytes_left = BYTES_MAX;
    let mut along = Along {
        files: BTreeMap::new(),
        folder: relative(&root, &folder),
    };
    for (place, source) in &sources {
        let bytes = fs::read(source).map_err(|error| SavedError::Read {
            path: source.clone(),
            source: error,
        })?;
        bytes_left = bytes_left
            .checked_sub(bytes.len() as u64)
            .ok_or_else(|| too_much(format!("more than {} MiB", BYTES_MAX >> 20)))?;
        along.files.insert(relative(&root, place), bytes);
    }
    Ok(Some(along))
}

fn relative(root: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(root).unwrap_or(path).to_path_buf()
}

/// Notes where each file must lie so that the paths lead to it, and where it is now. `folder` is where the
/// workflow's own relative paths will start.
fn walk(
    checked: &CheckedWorkflow,
    folder: &Path,
    sources: &mut BTreeMap<PathBuf, PathBuf>,
) -> Result<(), SavedError> {
    for file in &checked.included_files {
        note(tidied(&folder.join(&file.written)), &file.source, sources)?;
    }
    let nested = checked
        .document
        .nodes
        .iter()
        .filter(|node| node.node_type == nested_node::NAME);
    for node in nested {
        let Some(params) = node.params.as_object() else {
            continue;
        };
        let Ok(WrittenPlace::Path(written)) = nested_node::written_place(params) else {
            continue;
        };
        if Path::new(written).is_absolute() || written.starts_with("${") {
            continue;
        }
        let child = match checked.children.get(&node.id) {
            Some(child) => child,
            None => {
                return Err(SavedError::PathOfRun {
                    node: node.id.to_string(),
                    path: written.to_owned(),
                });
            }
        };
        let Some(source) = &child.file else { continue };
        let place = tidied(&folder.join(written));
        let inner = place.parent().map(Path::to_path_buf).unwrap_or_default();
        if note(place, source, sources)? {
            walk(child, &inner, sources)?;
        }
    }
    Ok(())
}

/// Whether the file is noted for the first time.
fn note(place: PathBuf, source: &Path, sources: &mut BTreeMap<PathBuf, PathBuf>) -> Result<bool, SavedError> {
    match sources.get(&place) {
        Some(known) if known == source => Ok(false),
        Some(known) => Err(SavedError::SamePlace {
            first: known.clone(),
            second: source.to_path_buf(),
        }),
        None => {
            sources.insert(place, source.to_path_buf());
            Ok(true)
        }
    }
}
