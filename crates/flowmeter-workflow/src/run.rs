//! A workflow that is ready to run: loaded, validated, compiled, with the workflows nested in it.
//!
//! Never prints, never reads the environment; a file is read when it is loaded and at no other time, except
//! nested workflows whose path is a template.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowmeter_engine::{
    Action, Flow, InvalidBatchPolicy, InvalidFlow, InvalidRetryPolicy, NodeContext, NodeError, SharedStore,
};
use serde_json::{Map, Value};
use smol_str::SmolStr;
use thiserror::Error;

use crate::compile::{Compiled, END_NODE, compile};
use crate::document::WorkflowDocument;
use crate::inputs::{InputSources, InvalidInputs, prepare_inputs};
use crate::nodes::Services;
use crate::outputs::{DeclaredOutput, Outputs, PartialOutputs, collect};
use crate::problem::{InvalidWorkflow, Problem};
use crate::template::{InvalidTemplate, NodeNames};
use crate::validate::{CheckedWorkflow, Checker, check_file, check_text};
use crate::wrappers::failure_of;

/// What loading a workflow needs.
#[derive(Clone)]
pub struct LoadOptions {
    /// What nodes share.
    pub services: Arc<Services>,
    /// The folder of saved workflows, where `workflow_name` is looked up.
    pub saved_workflows: Option<PathBuf>,
}

/// Why a workflow cannot be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read the workflow file `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not a valid workflow.
    #[error(transparent)]
    Invalid(#[from] InvalidWorkflow),
    /// The flow cannot be built.
    #[error("the flow cannot be built")]
    Flow(#[from] InvalidFlow),
    /// A batch is out of range.
    #[error("a batch cannot be built")]
    Batch(#[from] InvalidBatchPolicy),
    /// A retry policy is out of range.
    #[error("a retry policy cannot be built")]
    Retry(#[from] InvalidRetryPolicy),
    /// A template cannot be read.
    #[error("a template cannot be read")]
    Template(#[from] InvalidTemplate),
    /// A node type is not known.
    #[error("there is no node type `{0}`")]
    UnknownNodeType(String),
}

/// How a workflow ended.
#[derive(Debug)]
pub struct WorkflowEnd {
    /// The last node's action.
    pub action: Action,
    /// The last node's id.
    pub last_node: SmolStr,
    /// What the workflow gives.
    pub outputs: Outputs,
}

/// Loads the workflows that a workflow runs, when their path is known in the run only.
#[derive(Clone)]
pub(crate) struct Loader {
    pub(crate) options: LoadOptions,
    /// The folder that relative paths start from.
    pub(crate) folder: PathBuf,
    /// The files around this one, outermost first, and this one.
    pub(crate) chain: Vec<PathBuf>,
}

/// A workflow, ready to run any number of times.
pub struct Workflow {
    name: SmolStr,
    document: Arc<WorkflowDocument>,
    warnings: Vec<Problem>,
    flow: Flow,
    node_names: Arc<NodeNames>,
    outputs: Vec<DeclaredOutput>,
    children: BTreeMap<SmolStr, Arc<Self>>,
    services: Arc<Services>,
}

impl Workflow {
    /// Loads a workflow file, with every workflow nested in it.
    ///
    /// # Errors
    /// [`LoadError`]; everything that is wrong with the file at once.
    pub fn load(path: &Path, options: &LoadOptions) -> Result<Self, LoadError> {
        let checked = check_file(path, options.saved_workflows.as_deref())?;
        Self::assemble(&checked, options, Vec::new())
    }

    /// Reads a workflow from a text; relative paths in it start from `folder`.
    ///
    /// # Errors
    /// [`LoadError`]; everything that is wrong with the text at once.
    pub fn parse(name: &str, text: &str, folder: &Path, options: &LoadOptions) -> Result<Self, LoadError> {
        let checked = check_text(name, text, folder, options.saved_workflows.as_deref())?;
        Self::assemble(&checked, options, Vec::new())
    }

    /// Loads a nested workflow whose path became known in the run.
    pub(crate) fn load_nested(path: &Path, loader: &Loader) -> Result<Self, LoadError> {
        let mut checker = Checker::new(loader.options.saved_workflows.clone());
        let checked = checker.check_nested(path, &loader.chain)?;
        Self::assemble(&checked, &loader.options, loader.chain.clone())
    }

    fn assemble(
        checked: &CheckedWorkflow,
        options: &LoadOptions,
        mut chain: Vec<PathBuf>,
    ) -> Result<Self, LoadError> {
        let mut made = BTreeMap::new();
        chain.extend(checked.file.clone());
        Self::assemble_once(checked, options, &chain, &mut made)
    }

    /// Each file is compiled once, however often it is nested.
    fn assemble_once(
        checked: &CheckedWorkflow,
        options: &LoadOptions,
        chain: &[PathBuf],
        made: &mut BTreeMap<PathBuf, Arc<Self>>,
    ) -> Result<Self, LoadError> {
        let mut children = BTreeMap::new();
        for (id, child) in &checked.children {
            let known = child
                .file
                .as_ref()
                .and_then(|file| made.get(file))
                .map(Arc::clone);
            let workflow = match known {
                Some(workflow) => workflow,
                None => {
                    let inner: Vec<PathBuf> = chain.iter().cloned().chain(child.file.clone()).collect();
                    let workflow = Arc::new(Self::assemble_once(child, options, &inner, made)?);
                    if let Some(file) = &child.file {
                        made.insert(file.clone(), Arc::clone(&workflow));
                    }
                    workflow
                }
            };
            children.insert(id.clone(), workflow);
        }
        let loader = Loader {
            options: options.clone(),
            folder: checked.folder.clone(),
            chain: chain.to_vec(),
        };
        let Compiled { flow, names, outputs } = compile(
            &checked.name,
            &checked.document,
            &options.services,
            &children,
            &loader,
        )?;
        Ok(Self {
            name: checked.name.clone(),
            document: Arc::clone(&checked.document),
            warnings: checked.warnings.clone(),
            flow,
            node_names: names,
            outputs,
            children,
            services: Arc::clone(&options.services),
        })
    }

    /// Its name: the file's, without the extension.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the file says.
    #[must_use]
    pub fn document(&self) -> &WorkflowDocument {
        &self.document
    }

    /// What is odd about the file, though it can run.
    #[must_use]
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// The workflows that its nodes run, by node id, where their paths are written out.
    #[must_use]
    pub fn children(&self) -> &BTreeMap<SmolStr, Arc<Self>> {
        &self.children
    }

    /// What its nodes share.
    pub(crate) fn services(&self) -> &Services {
        &self.services
    }

    /// Puts the inputs together: command line, then declared default, then environment, then settings.
    ///
    /// # Errors
    /// [`InvalidInputs`]; everything that is wrong with them at once.
    pub fn prepare_inputs(
        &self,
        args: &[(String, String)],
        sources: InputSources<'_>,
    ) -> Result<Map<String, Value>, InvalidInputs> {
        prepare_inputs(&self.document, args, sources)
    }

    /// Runs the workflow in a store of its own, the inputs at its root. `cx` brings cancellation and what
    /// surrounds the run; its store stays as it is.
    ///
    /// # Errors
    /// What a node failed with; also when the last node returned the action `error`.
    pub async fn run(&self, cx: &NodeContext, inputs: Map<String, Value>) -> Result<WorkflowEnd, NodeError> {
        self.run_in(cx, &SharedStore::new(), inputs).await
    }

    /// The same in `store`, for whoever wants to look at it afterwards.
    ///
    /// # Errors
    /// As [`Workflow::run`].
    pub async fn run_in(
        &self,
        cx: &NodeContext,
        store: &Arc<SharedStore>,
        inputs: Map<String, Value>,
    ) -> Result<WorkflowEnd, NodeError> {
        let root = store.root();
        let (journaled, journal) = root.journaled();
        for (name, value) in inputs {
            journaled.set(&name, value);
        }
        // What the store held at any moment follows from the writes alone, those before the first node among them.
        flowmeter::current(cx).record_writes(journal.finish());
        let cx = cx.with_store(root);
        let end = self.flow.run_to_end(&cx).await?;
        if end.action == Action::error() {
            let namespace = if self.document.enable_namespacing {
                end.last_node.as_str()
            } else {
                ""
            };
            return Err(failure_of(cx.store(), namespace).in_node(&end.last_node));
        }
        let last_node = if end.last_node == END_NODE {
            SmolStr::default()
        } else {
            end.last_node
        };
        let outputs = collect(&self.document, &self.outputs, &self.node_names, &cx, &last_node)?;
        Ok(WorkflowEnd {
            action: end.action,
            last_node,
            outputs,
        })
    }

    /// What a run that failed left behind in `store`: the declared outputs that there are, or, where none are
    /// declared, what each node wrote. `None` where that is nothing.
    #[must_use]
    pub fn partial_outputs(&self, store: &Arc<SharedStore>) -> Option<PartialOutputs> {
        let cx = NodeContext::new(store.root());
        PartialOutputs::collect(&self.document, &self.outputs, &self.node_names, &cx)
    }
}
