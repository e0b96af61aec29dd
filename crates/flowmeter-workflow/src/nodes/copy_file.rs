//! The `copy-file` and `move-file` types.
//!
//! Never overwrites a file unless it is told to.

use std::io;
use std::path::Path;

use async_trait::async_trait;
use flowmeter_engine::{NodeContext, NodeError};
use flowmeter_model::LogLevel;
use serde_json::Value;

use super::leaf::{self, Leaf, Outputs};
use super::params::Params;
use super::{
    ERROR, ERROR_TYPE, NodeType, OutputSpec, ParamSpec, ValueType, defaulting, files, output, required,
};
use flowmeter::current;

const PARAMS: &[ParamSpec] = &[
    required(
        "source_path",
        ValueType::String,
        "the file; relative to the current directory",
    ),
    required(
        "dest_path",
        ValueType::String,
        "where it goes; folders above it are made",
    ),
    defaulting(
        "overwrite",
        ValueType::Boolean,
        "false",
        "whether a file that is there may be replaced",
    ),
];

const SOURCE: OutputSpec = output("source_path", ValueType::String, "where it was, from the root on");
const DEST: OutputSpec = output(
    "dest_path",
    ValueType::String,
    "where it is now, from the root on",
);

pub(super) const COPY: NodeType = NodeType {
    name: "copy-file",
    summary: "Copies a file.",
    params: PARAMS,
    free_params: false,
    outputs: &[
        output("copied", ValueType::Boolean, "true"),
        SOURCE,
        DEST,
        ERROR,
        ERROR_TYPE,
    ],
    free_outputs: false,
    actions: &["error"],
    free_actions: false,
    default_retry: files::retry,
    make: |setting| leaf::node(Transfer { moves: false }, setting),
};

pub(super) const MOVE: NodeType = NodeType {
    name: "move-file",
    summary: "Moves a file, also to another disk.",
    params: PARAMS,
    free_params: false,
    outputs: &[
        output("moved", ValueType::Boolean, "true"),
        SOURCE,
        DEST,
        ERROR,
        ERROR_TYPE,
    ],
    free_outputs: false,
    actions: &["error"],
    free_actions: false,
    default_retry: files::retry,
    make: |setting| leaf::node(Transfer { moves: true }, setting),
};

struct Transfer {
    moves: bool,
}

#[async_trait]
impl Leaf for Transfer {
    async fn work(&self, cx: &NodeContext) -> Result<Outputs, NodeError> {
        let params = Params::of(cx);
        let source = params.path("source_path")?;
        let dest = params.path("dest_path")?;
        let overwrite = params.flag("overwrite", false)?;
        let (verb, done) = if self.moves {
            ("move", "moved")
        } else {
            ("copy", "copied")
        };
        let span = current(cx);
        let title = if self.moves { "Moving" } else { "Copying" };
        span.log(
            LogLevel::Info,
            format!("{title} file: {} to {}", source.display(), dest.display()),
        );

        let found = tokio::fs::metadata(&source)
            .await
            .map_err(|error| files::failed(verb, &source, error))?;
        if found.is_dir() {
            return Err(files::failed(verb, &source, io::ErrorKind::IsADirectory.into()));
        }
        if same_file(&source, &dest).await {
            let message = format!(
                "cannot {verb} `{}`: source and destination are the same file",
                source.display()
            );
            return Err(NodeError::permanent(message).with_type("same_file"));
        }
        if let Ok(there) = tokio::fs::metadata(&dest).await {
            if there.is_dir() {
                return Err(files::failed(
                    "replace",
                    &dest,
                    io::ErrorKind::IsADirectory.into(),
                ));
            }
            if !overwrite {
                let message = format!(
                    "`{}` is there already: set `overwrite` to replace it",
                    dest.display()
                );
                return Err(NodeError::permanent(message).with_type("file_exists"));
            }
        }
        files::make_parent(&dest).await?;
        let transferred = if self.moves {
            relocate(&source, &dest).await
        } else {
            copy(&source, &dest).await
        };
        transferred.map_err(|error| files::failed(verb, &source, error))?;
        span.log(LogLevel::Debug, format!("File size: {} bytes", found.len()));
        Ok(Outputs::from_iter([
            (done.to_owned(), Value::Bool(true)),
            (
                "source_path".to_owned(),
                Value::from(files::absolute(&source).to_string_lossy()),
            ),
            (
                "dest_path".to_owned(),
                Value::from(files::absolute(&dest).to_string_lossy()),
            ),
        ]))
    }
}

/// Copying a file onto itself would empty it.
async fn same_file(source: &Path, dest: &Path) -> bool {
    match (
        tokio::fs::canonicalize(source).await,
        tokio::fs::canonicalize(dest).await,
    ) {
        (Ok(source), Ok(dest)) => source == dest,
        _ => false,
    }
}

async fn copy(source: &Path, dest: &Path) -> io::Result<()> {
    tokio::fs::copy(source, dest).await.map(drop)
}

/// Renames; between two disks, where that is not possible, copies and deletes.
async fn relocate(source: &Path, dest: &Path) -> io::Result<()> {
    match tokio::fs::rename(source, dest).await {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            copy(source, dest).await?;
            tokio::fs::remove_file(source).await
        }
        outcome => outcome,
    }
}
