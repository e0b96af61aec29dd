//! What can go wrong with saved workflows.
//!
//! Never decides how the program leaves.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::name::{InvalidWorkflowName, WorkflowName};
use crate::run::LoadError;

/// Why a saved workflow could not be saved, found, read or removed.
#[derive(Debug, Error)]
pub enum SavedError {
    /// The name is none.
    #[error(transparent)]
    Name(#[from] InvalidWorkflowName),
    /// There is no such workflow.
    #[error("there is no saved workflow `{name}`{help}")]
    Unknown {
        /// The name, with a version where one was asked for.
        name: String,
        /// The nearest names, or what to do.
        help: String,
    },
    /// The workflow is not valid.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The file in the folder was changed by hand: saving over it would lose the change.
    #[error(
        "`{name}` was changed by hand since it was saved, and saving over it would lose that; \
         save {} first, or use --force", file.display()
    )]
    ChangedByHand {
        /// The workflow.
        name: WorkflowName,
        /// The file that was changed.
        file: PathBuf,
    },
    /// A path that begins where the file lies, and is known in the run only.
    #[error(
        "node `{node}` runs `{path}`, a path beside the file that is known in the run only: it cannot be saved along; \
         write `workflow_name`, or the whole path"
    )]
    PathOfRun {
        /// The node.
        node: String,
        /// The path as written.
        path: String,
    },
    /// The files beside the workflow are more than a workflow should need.
    #[error("the files that `{name}` needs are too many to be saved along: {what}")]
    TooMuch {
        /// The workflow.
        name: WorkflowName,
        /// How much there is, and how much there may be.
        what: String,
    },
    /// Two files would have to lie in the same place.
    #[error(
        "`{}` and `{}` would be one file when saved along, because of a link; write whole paths",
        first.display(), second.display()
    )]
    SamePlace {
        /// The one.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// The folder or a file in it cannot be read.
    #[error("the saved workflows cannot be read: {}", path.display())]
    Read {
        /// The folder or the file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The folder or a file in it cannot be written.
    #[error("the saved workflow cannot be written to {}; make the folder writable, or set another one", path.display())]
    Write {
        /// The folder or the file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Another process works in the folder and does not come to an end.
    #[error("another process has held {} for {seconds} s; try again when it has ended", path.display())]
    Busy {
        /// The lock.
        path: PathBuf,
        /// How long was waited.
        seconds: u64,
    },
}
