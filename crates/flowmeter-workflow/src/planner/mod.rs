//! The planner: from a request in words to a workflow that can run, and the values of its inputs.
//!
//! A flow on our engine like any other, metered by the same wrappers. Path A takes a saved workflow that fits; path B
//! makes a new one, which is validated as workflow files are. Never runs the workflow, never asks the user and never
//! writes a file.

mod answers;
mod asking;
mod components;
mod flow;
mod known;
mod prompts;
mod schemas;
mod setting;
mod steps;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use flowmeter::{PlannerPath, Traced, current};
use flowmeter_engine::{Action, Node, NodeContext, NodeError, SharedStore};
use parking_lot::Mutex;
use serde_json::{Map, Value};

pub use flow::InvalidPlanner;
pub use known::{KnownWorkflow, KnownWorkflows, WorkflowFolder};
pub use setting::{GENERATIONS_MAX, PlannerConfig, default_retry};

use crate::document::WorkflowDocument;
use crate::inputs::{InputSources, InvalidInputs, prepare_inputs};
use flow::{PlannerFlow, ROOT_NAMES, planner_flow};
use setting::Setting;
use steps::{id, object_in, text_in};

/// The failure of a request that does not say what is wanted. The message is the question to the user.
pub const UNCLEAR: &str = "planner_unclear";
/// The failure of a request that cannot be done with the node types there are.
pub const IMPOSSIBLE: &str = "planner_impossible";
/// The failure of a planner whose workflows were never valid. The cause is an
/// [`InvalidWorkflow`](crate::InvalidWorkflow).
pub const NEVER_VALID: &str = "planner_invalid_workflow";

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct PlanRequest {
    /// In the user's words.
    pub text: String,
    /// Inputs that the user has given already, by name.
    pub given: Map<String, Value>,
    /// Whether a text is piped in, for an input that takes standard input.
    pub has_stdin: bool,
}

/// Where the workflow comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum PlannedSource {
    /// It was saved before, in this file (path A).
    Saved(PathBuf),
    /// It was made for the request (path B): the file as it would be written.
    Generated(String),
}

/// A workflow for a request, with the values of its inputs.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Its name: of a new one a suggestion.
    pub name: String,
    /// What it is for; empty where nobody said.
    pub description: String,
    /// Words to find it by.
    pub keywords: Vec<String>,
    /// Where it comes from.
    pub source: PlannedSource,
    /// What it says.
    pub document: Arc<WorkflowDocument>,
    /// The values that the request names for its inputs, in their types. What the user gave is not among them.
    pub values: Map<String, Value>,
    /// The inputs that need a value and have none.
    pub missing: Vec<String>,
}

impl Planned {
    /// Which way the planner went.
    #[must_use]
    pub fn path(&self) -> PlannerPath {
        match self.source {
            PlannedSource::Saved(_) => PlannerPath::A,
            PlannedSource::Generated(_) => PlannerPath::B,
        }
    }

    /// The inputs of a run: what the user gives, then what the request names, then as for any workflow.
    ///
    /// # Errors
    /// [`InvalidInputs`]; everything that is wrong with them at once.
    pub fn prepare_inputs(
        &self,
        args: &[(String, String)],
        sources: InputSources<'_>,
    ) -> Result<Map<String, Value>, InvalidInputs> {
        let mut document = WorkflowDocument::clone(&self.document);
        for input in &mut document.inputs {
            let is_piped = input.stdin && sources.stdin.as_ref().is_some_and(|text| !text.is_empty());
            if let Some(value) = self.values.get(input.name.as_str()).filter(|_| !is_piped) {
                input.default = Some(value.clone());
            }
        }
        prepare_inputs(&document, args, sources)
    }
}

/// Plans workflows.
pub struct Planner {
    config: PlannerConfig,
}

impl Planner {
    /// A planner.
    #[must_use]
    pub fn new(config: PlannerConfig) -> Self {
        Self { config }
    }

    /// Plans a workflow for `request`. `cx` brings the meter, the budgets and the cancellation of the run; its store
    /// stays as it is.
    ///
    /// # Errors
    /// [`UNCLEAR`], [`IMPOSSIBLE`], [`NEVER_VALID`], `planner_answer` where the model gave nothing that can be used,
    /// or what a call to the model failed with.
    pub async fn plan(&self, cx: &NodeContext, request: PlanRequest) -> Result<Planned, NodeError> {
        let planned = Arc::new(Mutex::new(None));
        let run = PlannerRun {
            config: self.config.clone(),
            request: Mutex::new(Some(request)),
            planned: Arc::clone(&planned),
        };
        Traced::planner(run).run(cx).await?;
        let planned = planned.lock().take();
        planned.ok_or_else(|| NodeError::permanent("the planner ended without a result"))
    }
}

/// One run of the planner as a node, so that the meter can stand around it.
struct PlannerRun {
    config: PlannerConfig,
    request: Mutex<Option<PlanRequest>>,
    planned: Arc<Mutex<Option<Planned>>>,
}

#[async_trait]
impl Node for PlannerRun {
    async fn run(&self, cx: &NodeContext) -> Result<Action, NodeError> {
        let request = self.request.lock().take().unwrap_or_default();
        let known = self.config.known.list();
        let store = SharedStore::new();
        let root = store.root();
        let values = [
            request.text.clone(),
            given_in_words(&request),
            components::workflows(&known, &request.text),
            components::types_in_short(),
            prompts::FORMAT.trim_end().to_owned(),
        ];
        for (name, value) in ROOT_NAMES.into_iter().zip(values) {
            root.set(name, Value::from(value));
        }
        let setting = Setting {
            model: self.config.model.clone(),
            folder: self.config.folder.clone(),
            saved_workflows: self.config.saved_workflows.clone(),
            retry: self.config.retry,
            known: known.clone(),
            given: request.given,
            has_stdin: request.has_stdin,
        };
        let made = planner_flow(&self.config, setting)
            .map_err(|error| NodeError::permanent(error.to_string()).with_source(error))?;
        let inner = cx.with_store(root.clone());
        let ended = made.flow.run_to_end(&inner).await;
        let span = current(cx);
        let attempts = steps::number_in(&root, id::WORKFLOW_GENERATOR, "attempt");
        if attempts > 0 {
            span.set("planner.generations", i64::try_from(attempts).unwrap_or(i64::MAX));
        }
        ended?;
        let planned = conclude(&made, &root, &known)?;
        span.set("planner.path_taken", planned.path().as_str());
        span.set("planner.workflow", planned.name.clone());
        *self.planned.lock() = Some(planned);
        Ok(Action::default())
    }
}

/// What the steps left in the store, as the planner's answer.
fn conclude(
    made: &PlannerFlow,
    store: &flowmeter_engine::StoreView,
    known: &[KnownWorkflow],
) -> Result<Planned, NodeError> {
    let failure =
        |message: String, error_type: &'static str| Err(NodeError::permanent(message).with_type(error_type));
    match text_in(store, id::RESULT, "status").as_str() {
        "unclear" => {
            let question = text_in(store, id::REQUIREMENTS, "question");
            return failure(format!("the request is not clear: {question}"), UNCLEAR);
        }
        "impossible" => {
            let reason = text_in(store, id::PLANNING, "reason");
            return failure(format!("no workflow can do this: {reason}"), IMPOSSIBLE);
        }
        "invalid" => {
            let message = format!(
                "no valid workflow came of {GENERATIONS_MAX} attempts; what is wrong with the last one:"
            );
            let error = NodeError::permanent(message).with_type(NEVER_VALID);
            return Err(match made.invalid.lock().take() {
                Some(invalid) => error.with_source(invalid),
                None => error,
            });
        }
        _ => {}
    }
    let Some(document) = made.chosen.lock().take() else {
        return failure("the planner chose no workflow".to_owned(), "planner");
    };
    let found = text_in(store, id::DISCOVERY, "workflow");
    let (name, description, keywords, source) = match known.iter().find(|workflow| workflow.name == found) {
        Some(known) => (
            known.name.clone(),
            known.description.clone().unwrap_or_default(),
            Vec::new(),
            PlannedSource::Saved(known.path.clone()),
        ),
        None => (
            text_in(store, id::METADATA_GENERATION, "name"),
            text_in(store, id::METADATA_GENERATION, "description"),
            texts_in(store, id::METADATA_GENERATION, "keywords"),
            PlannedSource::Generated(text_in(store, id::WORKFLOW_GENERATOR, "text")),
        ),
    };
    Ok(Planned {
        name,
        description,
        keywords,
        source,
        document,
        values: object_in(store, id::PARAMETER_PREPARATION, "values"),
        missing: texts_in(store, id::PARAMETER_PREPARATION, "missing"),
    })
}

fn texts_in(store: &flowmeter_engine::StoreView, step: &str, key: &str) -> Vec<String> {
    let value = store.get_in(step, key);
    let elements = value.as_deref().and_then(Value::as_array).into_iter().flatten();
    elements.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// What the user gave beside the request, for the prompts. Values under names that say secret are not told.
fn given_in_words(request: &PlanRequest) -> String {
    let mut lines: Vec<String> = request
        .given
        .iter()
        .map(|(name, value)| {
            if flowmeter::is_secret_name(name) {
                format!("- {name} (its value is secret)")
            } else {
                format!("- {name} = {value}")
            }
        })
        .collect();
    if request.has_stdin {
        lines.push(
            "- a text on standard input: one input of the workflow has to take it, with \"stdin\": true"
                .to_owned(),
        );
    }
    if lines.is_empty() {
        return "Beside the request the user has given nothing.".to_owned();
    }
    let intro = "Beside the request the user has given these inputs, which the workflow has to take under these names:";
    format!("{intro}\n{}", lines.join("\n"))
}
