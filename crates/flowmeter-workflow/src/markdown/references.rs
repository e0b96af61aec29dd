//! Values that stand in files of their own: `./prompt.txt` becomes what the file says.
//!
//! Reads those files and nothing else; never writes.

use std::io::Read;
use std::path::Path;

use serde_json::Value;

use super::located::{Located, Spot};
use super::pieces::Line;
use super::yaml::{Complaint, YamlText};
use crate::names;

/// The keys whose values may be files.
const KEYS: [&str; 6] = ["command", "code", "prompt", "source", "headers", "batch"];

/// Of these, the ones whose files are YAML (or JSON, which is YAML).
const STRUCTURED: [&str; 2] = ["headers", "batch"];

/// How large such a file may be, in bytes.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Whether `value` of `key` names a file.
pub(super) fn is_reference(key: &str, value: &Value) -> bool {
    KEYS.contains(&key) && value.as_str().is_some_and(is_path)
}

fn is_path(text: &str) -> bool {
    (text.starts_with("./") || text.starts_with("../"))
        && !text.contains(char::is_whitespace)
        && !text.contains("${")
        && !text.contains("://")
}

/// What the file says; its place is the one where it is named.
pub(super) fn inlined(key: &str, reference: Located, folder: &Path) -> Result<Located, Complaint> {
    let at = reference.spot.start;
    let Some(named) = reference.value.as_str() else {
        return Ok(reference);
    };
    let refuse = |message: String, help: String| Err(Complaint::new(at, message, help));
    let path = folder.join(named);
    let text = match read(&path) {
        Ok(text) => text,
        Err(Unreadable::Missing) => {
            let quoted = format!(
                "paths are relative to this file; a text that is meant as it stands has a space in it: `{named} `"
            );
            let help = near(&path).unwrap_or(quoted);
            return refuse(
                format!("`{key}` names the file `{named}`, which is not there"),
                help,
            );
        }
        Err(Unreadable::TooLarge) => {
            let help = format!("at most {} MiB can be taken in", BYTES_MAX / 1024 / 1024);
            return refuse(format!("the file `{named}` of `{key}` is too large"), help);
        }
        Err(Unreadable::NoText) => {
            return refuse(
                format!("the file `{named}` of `{key}` is not UTF-8 text"),
                String::new(),
            );
        }
        Err(Unreadable::Failed(error)) => {
            return refuse(
                format!("the file `{named}` of `{key}` cannot be read: {error}"),
                String::new(),
            );
        }
    };
    if !STRUCTURED.contains(&key) {
        return Ok(Located::new(text, Spot::at(at)));
    }
    let mut complaints = Vec::new();
    let value = YamlText::of_lines(&Line::all(&text)).read(&mut complaints);
    if let Some(first) = complaints.first() {
        let before = text.get(..first.offset).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let message = format!("`{named}`, line {line}: {}", first.message);
        return refuse(message, first.help.clone().unwrap_or_default());
    }
    let value = value.map_or(Value::Null, |located| located.value);
    Ok(Located::new(value, Spot::at(at)))
}

enum Unreadable {
    Missing,
    TooLarge,
    NoText,
    Failed(std::io::Error),
}

fn read(path: &Path) -> Result<String, Unreadable> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Unreadable::Missing,
        _ => Unreadable::Failed(error),
    };
    // What is no file, such as a pipe, might never end.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(Unreadable::Failed(std::io::ErrorKind::IsADirectory.into()));
    }
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(Unreadable::TooLarge);
    }
    let text = String::from_utf8(bytes).map_err(|_| Unreadable::NoText)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    // As lines of the workflow file end with a line feed, whatever ends them in the file, so do these.
    Ok(text.replace("\r\n", "\n"))
}

/// A file beside it with a similar name.
fn near(path: &Path) -> Option<String> {
    let wanted = path.file_name()?.to_string_lossy().into_owned();
    let names: Vec<String> = std::fs::read_dir(path.parent()?)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names::nearest_name(&wanted, names.iter().map(String::as_str))
        .map(|near| format!("did you mean `{near}`? It is in that folder"))
}
