//! The `write-file` type.
//!
//! Never copies a text to write it.

use std::borrow::Cow;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flowmeter_engine::{NodeContext, NodeError};
use flowmeter_model::LogLevel;
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use super::leaf::{self, Leaf, Outputs};
use super::params::{Params, text_of};
use super::read_file::Encoding;
use super::{ERROR, ERROR_TYPE, NodeType, ValueType, defaulting, files, output, required};
use flowmeter::current;

pub(super) const TYPE: NodeType = NodeType {
    name: "write-file",
    summary: "Writes a file, and the folders above it.",
    params: &[
        required(
            "file_path",
            ValueType::String,
            "the file; relative to the current directory",
        ),
        required(
            "content",
            ValueType::Any,
            "the text; an object or list is written as JSON",
        ),
        defaulting(
            "append",
            ValueType::Boolean,
            "false",
            "whether the content goes to the end of what is there",
        ),
        defaulting(
            "content_is_binary",
            ValueType::Boolean,
            "false",
            "whether `content` is base64",
        ),
        defaulting(
            "encoding",
            ValueType::String,
            "utf-8",
            "`utf-8`, `ascii` or `latin-1`",
        ),
    ],
    free_params: false,
    outputs: &[
        output("written", ValueType::Boolean, "true"),
        output("bytes_written", ValueType::Integer, "how many bytes were written"),
        output("file_path", ValueType::String, "the path from the root on"),
        ERROR,
        ERROR_TYPE,
    ],
    free_outputs: false,
    actions: &["error"],
    free_actions: false,
    default_retry: files::retry,
    make: |setting| leaf::node(WriteFile, setting),
};

struct WriteFile;

#[async_trait]
impl Leaf for WriteFile {
    async fn work(&self, cx: &NodeContext) -> Result<Outputs, NodeError> {
        let params = Params::of(cx);
        let path = params.path("file_path")?;
        let encoding = Encoding::of(params)?;
        // A template may come to null: an empty file then.
        let content = match cx.params().get("content") {
            Some(content) => text_of(content),
            None => params.required_text("content")?,
        };
        let bytes: Cow<'_, [u8]> = if params.flag("content_is_binary", false)? {
            let decoded = STANDARD.decode(content.trim().as_bytes());
            Cow::Owned(
                decoded
                    .map_err(|error| NodeError::permanent(format!("the content is no base64: {error}")))?,
            )
        } else if matches!(encoding, Encoding::Utf8) {
            match content {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            }
        } else {
            Cow::Owned(encoding.encode(&content)?)
        };
        let append = params.flag("append", false)?;
        let span = current(cx);
        let verb = if append { "Appending to" } else { "Writing" };
        span.log(LogLevel::Info, format!("{verb} file: {}", path.display()));
        files::make_parent(&path).await?;
        let mut options = tokio::fs::OpenOptions::new();
        options.create(true).write(true).append(append).truncate(!append);
        let written = async {
            let mut file = options.open(&path).await?;
            file.write_all(&bytes).await?;
            file.flush().await
        };
        written
            .await
            .map_err(|error| files::failed("write", &path, error))?;
        span.log(LogLevel::Debug, format!("Wrote {} bytes", bytes.len()));
        Ok(Outputs::from_iter([
            ("written".to_owned(), Value::Bool(true)),
            ("bytes_written".to_owned(), Value::from(bytes.len())),
            (
                "file_path".to_owned(),
                Value::from(files::absolute(&path).to_string_lossy()),
            ),
        ]))
    }
}
