//! Replacing a file in one step, so that nobody ever sees half of it.
//!
//! Never changes whom the file belongs to beyond what a new file does, and follows links to where they lead.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};

/// The permissions of a file that was not there before.
const NEW_FILE_MODE: u32 = 0o644;

/// Writes the text, where a link leads, with the permissions that the file had.
pub(crate) fn replace(path: &Path, text: &str) -> Result<()> {
    replace_bytes(path, text.as_bytes())
}

/// The same for what is no text.
pub(crate) fn replace_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    let target = match fs::canonicalize(path) {
        Ok(target) => target,
        Err(error) if error.kind() == ErrorKind::NotFound => path.to_path_buf(),
        Err(error) => return Err(error).with_context(|| format!("{} cannot be found", path.display())),
    };
    let told = || format!("{} cannot be written", target.display());
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file = tempfile::Builder::new()
        .prefix(".replacing-")
        .tempfile_in(folder.unwrap_or(Path::new(".")))
        .with_context(told)?;
    file.write_all(bytes).with_context(told)?;
    let permissions = fs::metadata(&target).map_or_else(
        |_| fs::Permissions::from_mode(NEW_FILE_MODE),
        |found| found.permissions(),
    );
    file.as_file().set_permissions(permissions).with_context(told)?;
    file.as_file().sync_all().with_context(told)?;
    file.persist(&target)
        .map_err(|error| error.error)
        .with_context(told)?;
    Ok(())
}
