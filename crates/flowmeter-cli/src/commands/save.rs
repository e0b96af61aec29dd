//! `flowmeter save`: checks a workflow and keeps it under a name.
//!
//! Never runs it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use flowmeter_workflow::{Form, SavedError, SavedReference, WorkflowDraft, WorkflowName};
use serde_json::json;

use crate::args::SaveArgs;
use crate::exit::{BadUsage, Exit};
use crate::home::Home;
use crate::output::Output;
use crate::saved::{self, entry_json, plain, resolve};

/// Saves a workflow.
pub(super) fn run(args: &SaveArgs, home: &Home, output: &Output) -> Result<Exit> {
    let file = resolve(&args.file, home)?;
    let name = name_of(args, &file)?;
    let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let text =
        String::from_utf8(bytes).map_err(|_| BadUsage(format!("{} is not UTF-8 text", file.display())))?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let draft = WorkflowDraft {
        name: &name,
        text: &text,
        form: Form::of_file(&file, &text),
        file: Some(&file),
        folder,
        overwrites_changes: args.force,
    };
    let now = saved::workflows(home).save(&draft).map_err(plain)?;
    for problem in &now.checked.warnings {
        output.note(&format!("{}:{problem}", file.display()));
    }
    if args.json {
        let mut entry = entry_json(&now.entry);
        entry["file"] = json!(now.file);
        output.json(&entry)?;
        return Ok(Exit::Success);
    }
    let version = now.entry.version.unwrap_or(1);
    let mut text = format!("saved {name}, version {version}: {}\n", now.file.display());
    match now.entry.files.len() {
        0 => {}
        1 => text.push_str("with 1 file that it needs\n"),
        count => text.push_str(&format!("with {count} files that it needs\n")),
    }
    output.text(&text)?;
    if let Some(before) = now.replaced.and_then(|before| before.version) {
        output.note(&format!("version {before} is still there as {name}@{before}"));
    }
    Ok(Exit::Success)
}

fn name_of(args: &SaveArgs, file: &Path) -> Result<WorkflowName> {
    if let Some(name) = &args.name {
        return WorkflowName::parse(name).map_err(|error| plain(SavedError::from(error)));
    }
    // Saving `report@2` again is saving `report`.
    if let Some(reference) = args
        .file
        .to_str()
        .and_then(|text| SavedReference::parse(text).ok())
        && file != args.file
    {
        return Ok(reference.name);
    }
    let file_name = file.file_name().unwrap_or_default().to_string_lossy();
    let stem = [".json", ".pflow.md", ".flow.md", ".md"]
        .iter()
        .find_map(|ending| file_name.strip_suffix(ending))
        .unwrap_or(&file_name);
    WorkflowName::parse(stem).map_err(|error| {
        let instead = error.instead.as_ref().map_or("NAME", WorkflowName::as_str);
        BadUsage(format!(
            "the file's name gives no name to save it under: {error}\n  flowmeter save FILE --name {instead}"
        ))
        .into()
    })
}
