//! What the file node types share: the retry policy, the messages, absolute paths.
//!
//! Never decides what a node does with a file.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flowmeter_engine::{Backoff, NodeError, RetryPolicy};

/// Three attempts, a tenth of a second apart: a file may be locked for a moment.
pub(super) fn retry() -> RetryPolicy {
    RetryPolicy::new(3, Duration::from_millis(100), Backoff::Fixed).unwrap_or_default()
}

/// What was asked, what went wrong, and whether trying again makes sense.
pub(super) fn failed(what: &str, path: &Path, error: io::Error) -> NodeError {
    let path = path.display();
    let (passing, error_type, message) = match error.kind() {
        io::ErrorKind::NotFound => (
            false,
            "file_not_found",
            format!("cannot {what} `{path}`: it does not exist"),
        ),
        io::ErrorKind::PermissionDenied => (
            false,
            "permission_denied",
            format!("cannot {what} `{path}`: permission denied"),
        ),
        io::ErrorKind::IsADirectory => (
            false,
            "is_a_folder",
            format!("cannot {what} `{path}`: it is a folder"),
        ),
        io::ErrorKind::NotADirectory => (
            false,
            "not_a_folder",
            format!("cannot {what} `{path}`: a part of the path is no folder"),
        ),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidFilename | io::ErrorKind::StorageFull => {
            (false, "io", format!("cannot {what} `{path}`: {error}"))
        }
        _ => (true, "io", format!("cannot {what} `{path}`: {error}")),
    };
    let failure = if passing {
        NodeError::failed(message)
    } else {
        NodeError::permanent(message)
    };
    failure.with_type(error_type).with_source(error)
}

/// The path from the root on, links unresolved; as it is where the current directory is gone.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// Makes the folder that `path` lies in.
pub(super) async fn make_parent(path: &Path) -> Result<(), NodeError> {
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        None => Ok(()),
        Some(parent) => {
            let made = tokio::fs::create_dir_all(parent).await;
            made.map_err(|error| failed("make the folder", parent, error))
        }
    }
}
