//! The node types of workflow files: one table that describes, checks and makes them.
//!
//! Validation, `flowmeter nodes`, the JSON Schema and the engine all read this table; nothing about a node
//! type is written down twice.

mod carriers;
mod child;
mod code;
mod copy_file;
mod delete_file;
mod echo;
mod files;
mod http;
mod leaf;
pub(crate) mod llm;
mod params;
mod process;
mod read_file;
mod shell;
mod stderr_lines;
pub(crate) mod workflow;
mod write_file;

use std::sync::Arc;

use flowmeter_engine::{Node, RetryPolicy};
pub(crate) use leaf::outputs_of;
pub(crate) use llm::{budgeted, llm_request};
use smol_str::SmolStr;
pub(crate) use workflow::NAME as WORKFLOW_TYPE;

use crate::chat::ChatModel;
use crate::document::CacheEntry;
use crate::response_cache::Caching;

/// The type of a parameter, input or output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// A text.
    String,
    /// Any number.
    Number,
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
    /// A list.
    Array,
    /// Named members.
    Object,
    /// Anything.
    Any,
}

impl ValueType {
    /// The name as in workflow files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Number => "number",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Array => "array",
            Self::Object => "object",
            Self::Any => "any",
        }
    }
}

/// A parameter of a node type.
#[derive(Clone, Copy, Debug)]
pub struct ParamSpec {
    /// Its name.
    pub name: &'static str,
    /// What it takes; `Any` where several types are welcome.
    pub value_type: ValueType,
    /// Whether a node without it is invalid.
    pub required: bool,
    /// The default as it would be written in a file.
    pub default: Option<&'static str>,
    /// One sentence, with the unit where there is one.
    pub description: &'static str,
}

/// A value that a node type writes under its namespace.
#[derive(Clone, Copy, Debug)]
pub struct OutputSpec {
    /// Its key.
    pub name: &'static str,
    /// What it holds.
    pub value_type: ValueType,
    /// One sentence.
    pub description: &'static str,
}

/// A node type.
pub struct NodeType {
    /// The `type` of workflow files.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Its parameters. A type with [`NodeType::free_params`] takes others too.
    pub params: &'static [ParamSpec],
    /// Whether parameters beyond the listed ones are welcome.
    pub free_params: bool,
    /// What it writes.
    pub outputs: &'static [OutputSpec],
    /// Whether it may write keys beyond the listed ones (a nested workflow's outputs).
    pub free_outputs: bool,
    /// Actions it may return beside `default`.
    pub actions: &'static [&'static str],
    /// Whether it may return actions beyond the listed ones (`code` names its own).
    pub free_actions: bool,
    /// Attempts where the file does not say.
    pub default_retry: fn() -> RetryPolicy,
    /// Makes a node; the parameters come later, resolved, by `NodeContext::params`.
    pub make: fn(&NodeSetting<'_>) -> Box<dyn Node>,
}

/// What a node is made with.
pub struct NodeSetting<'a> {
    /// Its id.
    pub id: &'a str,
    /// Attempts, from the file or the type's default.
    pub retry: RetryPolicy,
    /// What nodes share.
    pub services: &'a Arc<Services>,
    /// Whether its answers are to be kept and used again, where the file says so.
    pub cache: Option<CacheEntry>,
}

/// What all nodes of a run share.
pub struct Services {
    /// The model behind `llm` nodes.
    pub chat: Arc<dyn ChatModel>,
    /// The model of `llm` nodes that name none.
    pub default_model: Option<SmolStr>,
    /// Makes the HTTP client when the first node needs it.
    pub http: crate::http_client::HttpClient,
    /// Where answers are kept and which are used again.
    pub caching: Caching,
}

/// The output in which every node type tells what went wrong, when it returns the action `error`.
pub const ERROR_OUTPUT: &str = "error";

/// The output in which every node type tells what sort of failure it was: `http_429`, `timeout`, ….
pub(crate) const ERROR_TYPE_OUTPUT: &str = "error_type";

/// All node types, in the order in which they are shown.
#[must_use]
pub fn node_types() -> &'static [NodeType] {
    static TYPES: &[NodeType] = &[
        shell::TYPE,
        code::TYPE,
        http::TYPE,
        llm::TYPE,
        read_file::TYPE,
        write_file::TYPE,
        copy_file::COPY,
        copy_file::MOVE,
        delete_file::TYPE,
        workflow::TYPE,
        echo::TYPE,
    ];
    TYPES
}

/// The node type of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static NodeType> {
    node_types().iter().find(|node_type| node_type.name == name)
}

/// A required parameter of a node type.
const fn required(name: &'static str, value_type: ValueType, description: &'static str) -> ParamSpec {
    ParamSpec {
        name,
        value_type,
        required: true,
        default: None,
        description,
    }
}

/// An optional parameter without a default.
const fn optional(name: &'static str, value_type: ValueType, description: &'static str) -> ParamSpec {
    ParamSpec {
        name,
        value_type,
        required: false,
        default: None,
        description,
    }
}

/// An optional parameter with a default.
const fn defaulting(
    name: &'static str,
    value_type: ValueType,
    default: &'static str,
    description: &'static str,
) -> ParamSpec {
    ParamSpec {
        name,
        value_type,
        required: false,
        default: Some(default),
        description,
    }
}

/// An output of a node type.
const fn output(name: &'static str, value_type: ValueType, description: &'static str) -> OutputSpec {
    OutputSpec {
        name,
        value_type,
        description,
    }
}

/// The output that all types have in common.
const ERROR: OutputSpec = output(
    ERROR_OUTPUT,
    ValueType::String,
    "what went wrong; only written with the action `error`",
);

/// The other one.
const ERROR_TYPE: OutputSpec = output(
    ERROR_TYPE_OUTPUT,
    ValueType::String,
    "the sort of failure, such as `timeout`; only written with the action `error`",
);

#[cfg(test)]
mod tests;
