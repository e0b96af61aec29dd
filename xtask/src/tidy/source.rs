//! The Rust sources of the workspace: where each file lies, and its text.
//!
//! Never judges a file; it only says which crate a file belongs to and whether it is a test.

use std::path::Path;

use anyhow::{Context, Result};

use super::rust::{self, Lexed};
use super::shown_path;

/// One Rust source file.
#[derive(Debug)]
pub(super) struct SourceFile {
    /// Its path from the root of the workspace, with `/`.
    pub(super) path: String,
    /// What is in it.
    pub(super) text: String,
    /// The same, with code and comments told apart.
    pub(super) lexed: Lexed,
}

impl SourceFile {
    /// A file with this path and text.
    pub(super) fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            path: path.into(),
            lexed: rust::lex(&text),
            text,
        }
    }

    /// Every Rust file below these folders of the root, except in `target` and hidden folders.
    pub(super) fn read_all(root: &Path, folders: &[&str]) -> Result<Vec<Self>> {
        let mut files = Vec::new();
        for folder in folders {
            read_folder(root, &root.join(folder), &mut files)?;
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    /// The folder name of its crate, which is also the crate's name.
    pub(super) fn crate_name(&self) -> &str {
        let mut parts = self.path.split('/');
        match parts.next() {
            Some("crates") => parts.next().unwrap_or_default(),
            other => other.unwrap_or_default(),
        }
    }

    /// The folders between the crate's own and the file.
    pub(super) fn folders(&self) -> impl Iterator<Item = &str> {
        let depth = if self.path.starts_with("crates/") { 2 } else { 1 };
        let folders = self.path.rsplit_once('/').map_or("", |(folders, _)| folders);
        folders.split('/').skip(depth)
    }

    /// The file's name without its extension.
    pub(super) fn stem(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name.strip_suffix(".rs").unwrap_or(name)
    }

    /// Whether the file is there for tests or measurements only.
    pub(super) fn is_test(&self) -> bool {
        self.stem() == "tests"
            || self
                .folders()
                .any(|folder| folder == "tests" || folder == "benches")
    }

    /// Whether the file becomes part of what is shipped: no test, no example, no build script.
    pub(super) fn is_shipped(&self) -> bool {
        let is_build_script = self.stem() == "build" && self.folders().next().is_none();
        !self.is_test() && !is_build_script && !self.folders().any(|folder| folder == "examples")
    }
}

fn read_folder(root: &Path, folder: &Path, files: &mut Vec<SourceFile>) -> Result<()> {
    let reading = || format!("cannot read {}", folder.display());
    for entry in std::fs::read_dir(folder).with_context(reading)? {
        let entry = entry.with_context(reading)?;
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        if entry.file_type().with_context(reading)?.is_dir() {
            if name != "target" {
                read_folder(root, &path, files)?;
            }
        } else if name.ends_with(".rs") {
            let text =
                std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            files.push(SourceFile::new(shown_path(root, &path), text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
