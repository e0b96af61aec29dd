//! The commit that a folder is at, read from the files that git keeps.
//!
//! Never runs git, and never reads more than a bounded part of what is there.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Folders that are looked at on the way up.
const FOLDERS_MAX: usize = 64;
/// Bytes of a file that names one thing.
const SHORT_BYTES_MAX: u64 = 4_096;
/// Bytes of the list of packed references.
const PACKED_BYTES_MAX: u64 = 8 << 20;
/// References that name references.
const LINKS_MAX: usize = 5;

/// The commit that the repository around `folder` is at: lower-case hex digits. `None` where there is no
/// repository, no commit yet, or where its references are kept in a form that is not known here.
pub(super) fn commit_of(folder: &Path) -> Option<String> {
    let folder = folder.canonicalize().ok()?;
    let git = folder.ancestors().take(FOLDERS_MAX).find_map(repository)?;
    // A worktree has a HEAD of its own; the references are where the repository is.
    let shared = match short(&git.join("commondir")) {
        Some(path) => git.join(path),
        None => git.clone(),
    };
    let mut found = short(&git.join("HEAD"))?;
    for _ in 0..LINKS_MAX {
        let Some(name) = found.strip_prefix("ref:").map(str::trim) else {
            return is_commit(&found).then_some(found);
        };
        // The name becomes a path: it must not lead elsewhere.
        if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return None;
        }
        found = short(&git.join(name))
            .or_else(|| short(&shared.join(name)))
            .or_else(|| packed(&shared, name))?;
    }
    None
}

/// The folder of git's own files that belongs to a working folder.
fn repository(folder: &Path) -> Option<PathBuf> {
    let git = folder.join(".git");
    if git.join("HEAD").is_file() {
        return Some(git);
    }
    // A worktree or a submodule: a file that says where they are.
    let text = short(&git)?;
    let place = folder.join(text.strip_prefix("gitdir:")?.trim());
    place.join("HEAD").is_file().then_some(place)
}

/// The first line of a short file.
fn short(path: &Path) -> Option<String> {
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    let file = File::open(path).ok()?;
    file.take(SHORT_BYTES_MAX).read_to_string(&mut text).ok()?;
    let line = text.lines().next()?.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

/// The commit of a reference in the list of packed ones: `<commit> <name>` a line.
fn packed(git: &Path, name: &str) -> Option<String> {
    let file = File::open(git.join("packed-refs")).ok()?;
    let mut lines = BufReader::new(file.take(PACKED_BYTES_MAX));
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line).ok()? == 0 {
            return None;
        }
        let text = line.trim_ascii_end();
        if let Some(commit) = text.strip_suffix(name.as_bytes())
            && let Some(commit) = commit.strip_suffix(b" ")
            && let Ok(commit) = std::str::from_utf8(commit)
            && is_commit(commit)
        {
            return Some(commit.to_owned());
        }
    }
}

/// SHA-1 or SHA-256, in hex.
fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64)
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests;
