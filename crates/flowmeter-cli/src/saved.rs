//! Workflows by file or by name: which file is meant, and what is said where there is none.
//!
//! Never loads a workflow.

use std::path::{Path, PathBuf};

use anyhow::{Error, Result};
use flowmeter_workflow::{SavedEntry, SavedError, SavedReference, SavedWorkflows};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use crate::commands::no_such_file;
use crate::exit::{BadUsage, MissingFile};
use crate::home::Home;

/// The saved workflows.
pub(crate) fn workflows(home: &Home) -> SavedWorkflows {
    SavedWorkflows::open(home.workflows())
}

/// The file that is meant: a file of that path, or else the saved workflow of that name.
///
/// # Errors
/// When there is neither, with the nearest names of both.
pub(crate) fn resolve(given: &Path, home: &Home) -> Result<PathBuf> {
    if given.as_os_str().is_empty() {
        return Err(BadUsage("no workflow is named; name a file or a saved workflow".to_owned()).into());
    }
    // A folder is no workflow: a saved one of its name may be meant.
    if given.exists() && !given.is_dir() {
        return Ok(given.to_path_buf());
    }
    let text = given.to_string_lossy();
    let reference = SavedReference::parse(&text);
    if let Ok(reference) = &reference {
        match workflows(home).file(reference) {
            Ok(file) => return Ok(file),
            Err(error) if reference.version.is_some() => return Err(plain(error)),
            Err(_) => {}
        }
    }
    let is_path = text.contains('/') || Path::new(&*text).extension().is_some();
    if is_path {
        return Err(no_such_file("workflow file", given).into());
    }
    // A file in this folder with an extension, or a saved workflow of a similar name.
    let MissingFile(mut message) = no_such_file("workflow file", given);
    message.push_str(&format!("; there is no saved workflow `{text}` either"));
    if let Some(near) = workflows(home).near(&text) {
        message.push_str(&format!("; {near}"));
    }
    Err(MissingFile(message).into())
}

/// The saved workflow that a name means, with what is wrong with the name.
pub(crate) fn reference(text: &str) -> Result<SavedReference> {
    SavedReference::parse(text).map_err(|error| plain(error.into()))
}

/// An error of the library by its innermost kind, so that its exit code and its problems are found.
pub(crate) fn plain(error: SavedError) -> Error {
    match error {
        SavedError::Load(error) => error.into(),
        other => other.into(),
    }
}

/// What is known of a saved workflow, for programs.
pub(crate) fn entry_json(entry: &SavedEntry) -> Value {
    json!({
        "name": entry.name,
        "version": entry.version,
        "changed": entry.is_changed,
        "saved_at": saved_at(entry),
        "checksum": entry.sha256.as_ref().map(|sum| format!("sha256:{sum}")),
        "form": entry.form,
        "title": entry.title,
        "description": entry.description,
        "inputs": entry.inputs,
        "outputs": entry.outputs,
        "node_count": entry.nodes,
        "uses": entry.uses,
        "files": entry.files,
        "saved_from": entry.origin,
    })
}

fn time_of(entry: &SavedEntry) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(entry.saved_ns?.0)).ok()
}

/// When it was saved, for programs.
fn saved_at(entry: &SavedEntry) -> Option<String> {
    time_of(entry)?.format(&Rfc3339).ok()
}

/// When it was saved, for people.
pub(crate) fn saved_when(entry: &SavedEntry) -> Option<String> {
    let form = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    time_of(entry)?.format(form).ok()
}

/// Its version, and whether the file is still that one.
pub(crate) fn version_text(entry: &SavedEntry) -> String {
    match (entry.version, entry.is_changed) {
        (Some(version), false) => format!("version {version}"),
        (Some(version), true) => format!("version {version}, changed since it was saved"),
        (None, _) => "put there by hand".to_owned(),
    }
}
