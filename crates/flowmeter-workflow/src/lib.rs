//! Workflow files for flowmeter: parsed, validated, compiled to flows, run.
//!
//! [`Workflow::load`] reads a file, reports everything that is wrong with it at once ([`InvalidWorkflow`]),
//! and makes it ready to run; [`Workflow::run`] runs it on the engine, metered. Never prints, never reads the
//! environment: what comes from there is handed in.

#![forbid(unsafe_code)]

mod batch_items;
pub mod chat;
mod compile;
pub mod convert;
mod document;
pub mod http_client;
mod inputs;
mod loop_condition;
mod markdown;
mod model_calls;
mod names;
pub mod nodes;
mod outputs;
pub mod plan;
pub mod planner;
mod problem;
pub mod response_cache;
mod run;
mod saved;
mod schema;
pub mod scripted_model;
mod template;
mod validate;
mod wrappers;

pub use batch_items::BATCH_OUTPUTS;
pub use document::{
    BatchEntry, CacheEntry, EdgeEntry, InputEntry, LoopEntry, NodeEntry, OutputEntry, ResolutionMode,
    RetryEntry, WorkflowDocument,
};
pub use inputs::{InputLookup, InputSources, InvalidInputs, prepare_inputs, value_of_text};
pub use loop_condition::LOOP_OUTPUT;
pub use model_calls::UnpricedCall;
pub use names::nearest_name;
pub use outputs::{Outputs, PartialOutputs, UnknownOutput, text_of};
pub use problem::{InvalidWorkflow, Problem, Severity};
pub use run::{LoadError, LoadOptions, Workflow, WorkflowEnd};
pub use saved::{
    InvalidWorkflowName, NameReason, SavedEntry, SavedError, SavedFile, SavedInput, SavedNow, SavedOutput,
    SavedPlace, SavedReference, SavedWorkflows, VERSIONS_MAX, WorkflowDraft, WorkflowName,
};
pub use schema::json_schema;
pub use template::{InvalidTemplate, Template, render_value};
pub use validate::{CheckedWorkflow, Form, check_file, check_text, check_text_as};
