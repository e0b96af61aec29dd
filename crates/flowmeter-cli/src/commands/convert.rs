//! `flowmeter convert`: a workflow file in the other form.
//!
//! Never runs a workflow; writes the file that it is told to write and no other.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use flowmeter_workflow::Form;
use flowmeter_workflow::convert::{self, ConvertError};

use super::no_such_file;
use crate::args::{ConvertArgs, FormArg};
use crate::exit::{BadUsage, Exit};
use crate::output::Output;

/// Converts the file and prints it, or writes it.
pub(super) fn run(args: &ConvertArgs, output: &Output) -> Result<Exit> {
    let from = Form::of_path(&args.file);
    let to = match (args.to, &args.output) {
        (Some(FormArg::Json), _) => Form::Json,
        (Some(FormArg::Md), _) => Form::Markdown,
        (None, Some(path)) => Form::of_path(path),
        (None, None) if from == Form::Json => Form::Markdown,
        (None, None) => Form::Json,
    };
    let text = text_of(&args.file)?;
    let folder = args.file.parent().unwrap_or(Path::new(""));
    let converted = convert::convert(&text, from, to, folder).map_err(|error| in_file(error, &args.file))?;
    match &args.output {
        Some(path) => replace(path, &converted.text)?,
        None => output.text(&converted.text)?,
    }
    for note in &converted.notes {
        output.note(note);
    }
    Ok(Exit::Success)
}

/// What a workflow file says.
pub(super) fn text_of(path: &Path) -> Result<String> {
    match fs::read(path) {
        Ok(bytes) => {
            let file = path.display();
            String::from_utf8(bytes).map_err(|error| {
                let valid = error.utf8_error().valid_up_to();
                BadUsage(format!(
                    "{file}: the file is not UTF-8 text, from byte {valid} on"
                ))
                .into()
            })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(no_such_file("workflow file", path).into())
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// The error with the file that it is about.
pub(super) fn in_file(error: ConvertError, path: &Path) -> anyhow::Error {
    match error {
        ConvertError::Invalid(mut invalid) => {
            invalid.file = Some(path.to_path_buf());
            flowmeter_workflow::LoadError::Invalid(invalid).into()
        }
        other => BadUsage(format!("{}: {other}", path.display())).into(),
    }
}

/// Writes a file in one step: whoever reads it meanwhile sees the old text or the new one.
pub(super) fn replace(path: &Path, text: &str) -> Result<()> {
    // A link stays one: what it leads to is written.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
    let written = (|| -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
        std::io::Write::write_all(&mut file, text.as_bytes())?;
        match fs::metadata(&target) {
            Ok(there) => file.as_file().set_permissions(there.permissions())?,
            Err(_) => set_usual_permissions(file.as_file())?,
        }
        file.persist(&target).map_err(|error| error.error)?;
        Ok(())
    })();
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// A temporary file is its owner's only; a file that somebody asked for is like any other.
fn set_usual_permissions(file: &fs::File) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}
