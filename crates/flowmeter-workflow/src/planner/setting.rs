//! What one planner works with, shared by its steps.
//!
//! Never changes while it plans.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flowmeter_engine::RetryPolicy;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use smol_str::SmolStr;

use super::known::{KnownWorkflow, KnownWorkflows};
use crate::document::{InputEntry, WorkflowDocument};
use crate::nodes::Services;

/// How often a workflow is generated until a valid one comes.
pub const GENERATIONS_MAX: u32 = 3;

/// What a planner is made with.
#[derive(Clone)]
pub struct PlannerConfig {
    /// What nodes share; the model is asked through it.
    pub services: Arc<Services>,
    /// The model that is asked.
    pub model: SmolStr,
    /// The workflows that are saved already.
    pub known: Arc<dyn KnownWorkflows>,
    /// The folder that relative paths in a new workflow start from.
    pub folder: PathBuf,
    /// Where `workflow_name` is looked up.
    pub saved_workflows: Option<PathBuf>,
    /// The longest that an LLM call may take. Default of the program: 120 s.
    pub timeout: Duration,
    /// Attempts at a step when the provider fails for a while. Default of `llm` nodes: 3, waiting 1 s, then 2 s.
    pub retry: RetryPolicy,
}

/// The same for the steps, with what is known of this request.
pub(super) struct Setting {
    pub(super) model: SmolStr,
    pub(super) folder: PathBuf,
    pub(super) saved_workflows: Option<PathBuf>,
    pub(super) retry: RetryPolicy,
    pub(super) known: Vec<KnownWorkflow>,
    /// The inputs that the user has given, by name.
    pub(super) given: Map<String, Value>,
    /// Whether a text is piped in.
    pub(super) has_stdin: bool,
}

impl Setting {
    pub(super) fn known(&self, name: &str) -> Option<&KnownWorkflow> {
        self.known.iter().find(|workflow| workflow.name == name)
    }

    /// Whether the user has given this input, by name or through a pipe.
    pub(super) fn gives(&self, input: &InputEntry) -> bool {
        self.given.contains_key(input.name.as_str()) || (input.stdin && self.has_stdin)
    }
}

/// The workflow that was found or made, once it is known to be valid.
pub(super) type Chosen = Arc<Mutex<Option<Arc<WorkflowDocument>>>>;

/// Attempts at a step while its provider fails: three in all, waiting 1 s, then 2 s.
#[must_use]
pub fn default_retry() -> RetryPolicy {
    RetryPolicy::new(3, Duration::from_secs(1), flowmeter_engine::Backoff::Exponential).unwrap_or_default()
}
