//! The `read-file` type.
//!
//! Never changes what it reads: no line numbers, no trimming. A large file passes through without a copy.

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flowmeter_engine::{NodeContext, NodeError};
use flowmeter_model::LogLevel;
use serde_json::Value;

use super::leaf::{self, Leaf, Outputs};
use super::params::Params;
use super::{ERROR, ERROR_TYPE, NodeType, ValueType, defaulting, files, output, required};
use flowmeter::current;

pub(super) const TYPE: NodeType = NodeType {
    name: "read-file",
    summary: "Reads a file.",
    params: &[
        required(
            "file_path",
            ValueType::String,
            "the file; relative to the current directory",
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
        output(
            "content",
            ValueType::String,
            "the text; base64 where the file is not text in the encoding",
        ),
        output(
            "content_is_binary",
            ValueType::Boolean,
            "whether `content` is base64",
        ),
        output("file_path", ValueType::String, "the path from the root on"),
        ERROR,
        ERROR_TYPE,
    ],
    free_outputs: false,
    actions: &["error"],
    free_actions: false,
    default_retry: files::retry,
    make: |setting| leaf::node(ReadFile, setting),
};

/// A text encoding that every file of ours can be in.
#[derive(Clone, Copy)]
pub(super) enum Encoding {
    Utf8,
    Latin1,
}

impl Encoding {
    pub(super) fn of(params: Params<'_>) -> Result<Self, NodeError> {
        let Some(name) = params.text("encoding") else {
            return Ok(Self::Utf8);
        };
        match name.to_ascii_lowercase().replace(['_', ' '], "-").as_str() {
            "" | "utf-8" | "utf8" | "utf-8-sig" | "ascii" | "us-ascii" => Ok(Self::Utf8),
            "latin-1" | "latin1" | "iso-8859-1" | "iso8859-1" => Ok(Self::Latin1),
            _ => {
                let message =
                    format!("the parameter `encoding` is `{name}`: utf-8, ascii and latin-1 are known");
                Err(NodeError::permanent(message))
            }
        }
    }

    /// The text, or the bytes back.
    fn decode(self, bytes: Vec<u8>) -> Result<String, Vec<u8>> {
        match self {
            Self::Utf8 => String::from_utf8(bytes).map_err(std::string::FromUtf8Error::into_bytes),
            Self::Latin1 => Ok(bytes.into_iter().map(char::from).collect()),
        }
    }

    pub(super) fn encode(self, text: &str) -> Result<Vec<u8>, NodeError> {
        match self {
            Self::Utf8 => Ok(text.as_bytes().to_vec()),
            Self::Latin1 => text
                .chars()
                .map(|character| u8::try_from(character).map_err(|_| character))
                .collect::<Result<_, char>>()
                .map_err(|character| {
                    NodeError::permanent(format!(
                        "`{character}` in the content cannot be written in latin-1"
                    ))
                }),
        }
    }
}

struct ReadFile;

#[async_trait]
impl Leaf for ReadFile {
    async fn work(&self, cx: &NodeContext) -> Result<Outputs, NodeError> {
        let params = Params::of(cx);
        let path = params.path("file_path")?;
        let encoding = Encoding::of(params)?;
        let span = current(cx);
        span.log(LogLevel::Info, format!("Opening file: {}", path.display()));
        let bytes = tokio::fs::read(&path)
            .await
            .map_err(|error| files::failed("read", &path, error))?;
        span.log(LogLevel::Debug, format!("File size: {} bytes", bytes.len()));
        let (content, binary) = match encoding.decode(bytes) {
            Ok(text) => (text, false),
            Err(bytes) => (STANDARD.encode(bytes), true),
        };
        Ok(Outputs::from_iter([
            ("content".to_owned(), Value::String(content)),
            ("content_is_binary".to_owned(), Value::Bool(binary)),
            (
                "file_path".to_owned(),
                Value::from(files::absolute(&path).to_string_lossy()),
            ),
        ]))
    }
}
