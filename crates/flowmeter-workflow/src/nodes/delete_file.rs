//! The `delete-file` type.
//!
//! Never deletes a folder, and nothing at all unless the run says that it may.

use async_trait::async_trait;
use flowmeter_engine::{NodeContext, NodeError};
use flowmeter_model::LogLevel;
use serde_json::Value;

use super::leaf::{self, Leaf, Outputs};
use super::params::Params;
use super::{ERROR, ERROR_TYPE, NodeType, ValueType, files, optional, output, required};
use flowmeter::current;

const CONFIRMATION: &str = "confirm_delete";

pub(super) const TYPE: NodeType = NodeType {
    name: "delete-file",
    summary: "Deletes a file, when the run confirms it.",
    params: &[
        required(
            "file_path",
            ValueType::String,
            "the file; relative to the current directory",
        ),
        optional(
            CONFIRMATION,
            ValueType::Boolean,
            "must be true; also taken from `inputs` or from an input of the workflow with this name",
        ),
        optional("inputs", ValueType::Object, "may hold `confirm_delete`"),
    ],
    free_params: false,
    outputs: &[
        output(
            "deleted",
            ValueType::Boolean,
            "whether there was a file to delete",
        ),
        output("file_path", ValueType::String, "the path from the root on"),
        ERROR,
        ERROR_TYPE,
    ],
    free_outputs: false,
    actions: &["error"],
    free_actions: false,
    default_retry: files::retry,
    make: |setting| leaf::node(DeleteFile, setting),
};

struct DeleteFile;

fn confirmed(cx: &NodeContext) -> bool {
    let params = cx.params();
    let said = params
        .get(CONFIRMATION)
        .or_else(|| params.get("inputs")?.get(CONFIRMATION))
        .cloned();
    let said = said.or_else(|| cx.store().get(CONFIRMATION).map(|value| Value::clone(&value)));
    match said {
        Some(Value::Bool(said)) => said,
        Some(Value::String(said)) => said.trim().eq_ignore_ascii_case("true"),
        _ => false,
    }
}

#[async_trait]
impl Leaf for DeleteFile {
    async fn work(&self, cx: &NodeContext) -> Result<Outputs, NodeError> {
        let path = Params::of(cx).path("file_path")?;
        if !confirmed(cx) {
            let message = format!(
                "`{}` was not deleted: set `{CONFIRMATION}` to true to allow it",
                path.display()
            );
            return Err(NodeError::permanent(message).with_type("not_confirmed"));
        }
        let span = current(cx);
        span.log(LogLevel::Info, format!("Deleting file: {}", path.display()));
        let deleted = match tokio::fs::symlink_metadata(&path).await {
            // Gone is what was wanted.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            Err(error) => return Err(files::failed("delete", &path, error)),
            Ok(found) if found.is_dir() => {
                return Err(files::failed(
                    "delete",
                    &path,
                    std::io::ErrorKind::IsADirectory.into(),
                ));
            }
            Ok(_) => {
                tokio::fs::remove_file(&path)
                    .await
                    .map_err(|error| files::failed("delete", &path, error))?;
                true
            }
        };
        if !deleted {
            span.log(LogLevel::Debug, "There was no such file");
        }
        Ok(Outputs::from_iter([
            ("deleted".to_owned(), Value::Bool(deleted)),
            (
                "file_path".to_owned(),
                Value::from(files::absolute(&path).to_string_lossy()),
            ),
        ]))
    }
}
