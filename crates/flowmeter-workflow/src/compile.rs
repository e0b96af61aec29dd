//! From a checked document to a flow: every node made and wrapped, every edge drawn.
//!
//! Checks nothing that validation has checked; never runs anything.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flowmeter::{NodeDescription, Traced};
use flowmeter_engine::{
    Action, Backoff, Batch, BatchErrorHandling, BatchPolicy, Flow, Loop, Node, NodeContext, NodeError,
    RetryPolicy,
};
use flowmeter_model::SpanKind;
use serde_json::Value;
use smol_str::SmolStr;

use crate::batch_items::FileBatch;
use crate::document::{NodeEntry, WorkflowDocument};
use crate::loop_condition::{FileLoop, ITERATIONS_DEFAULT};
use crate::nodes::{NodeSetting, NodeType, Services, find, workflow as nested_node};
use crate::outputs::DeclaredOutput;
use crate::run::{LoadError, Loader, Workflow};
use crate::template::{NodeNames, ParamTemplates};
use crate::wrappers::{Namespaced, Routed, Templated};

/// An edge to this id ends the flow.
pub(crate) const END: &str = "end";

/// The node behind edges to [`END`].
pub(crate) const END_NODE: &str = "__end__";

/// A document made ready to run.
pub(crate) struct Compiled {
    pub(crate) flow: Flow,
    pub(crate) names: Arc<NodeNames>,
    pub(crate) outputs: Vec<DeclaredOutput>,
}

/// Makes the flow of `document`; `children` are the nested workflows whose paths are written out.
pub(crate) fn compile(
    name: &str,
    document: &WorkflowDocument,
    services: &Arc<Services>,
    children: &BTreeMap<SmolStr, Arc<Workflow>>,
    loader: &Loader,
) -> Result<Compiled, LoadError> {
    let mut type_by_id = HashMap::with_capacity(document.nodes.len());
    for node in &document.nodes {
        type_by_id.insert(node.id.clone(), node.node_type.clone());
    }
    let names = Arc::new(NodeNames {
        type_by_id,
        inputs: document.inputs.iter().map(|input| input.name.clone()).collect(),
        mode: document.template_resolution_mode,
    });
    let mut error_edges = HashSet::new();
    let mut other_edges = HashSet::new();
    for edge in &document.edges {
        let set = if edge.action == "error" {
            &mut error_edges
        } else {
            &mut other_edges
        };
        set.insert(&edge.from);
    }
    let mut builder = Flow::builder(name);
    for entry in &document.nodes {
        let parts = Parts {
            document,
            entry,
            names: &names,
            services,
            children,
            loader,
        };
        let namespaced = Namespaced {
            node: parts.repeated()?,
            id: entry.id.clone(),
            enabled: document.enable_namespacing,
            keeps_error: error_edges.contains(&entry.id),
        };
        let traced = Traced::new(
            namespaced,
            NodeDescription {
                id: entry.id.clone(),
                node_type: entry.node_type.clone(),
                config: Arc::clone(&entry.params),
                kind: SpanKind::Node,
            },
        )
        .budget(entry.budget);
        let routed = Routed {
            node: traced,
            id: entry.id.clone(),
            has_error_edge: error_edges.contains(&entry.id),
            has_other_edges: other_edges.contains(&entry.id),
            namespace: parts.namespace(),
        };
        builder = builder.node(entry.id.clone(), routed);
    }
    // A node with an edge for failures only has nowhere else to go: when it succeeds, the flow is done.
    let failing_only: Vec<&SmolStr> = error_edges
        .iter()
        .filter(|id| !other_edges.contains(**id))
        .copied()
        .collect();
    if !failing_only.is_empty() || document.edges.iter().any(|edge| is_end(&edge.to)) {
        builder = builder.node(END_NODE, End);
    }
    for id in failing_only {
        builder = builder.edge(id.clone(), END_NODE);
    }
    for edge in &document.edges {
        let to = if is_end(&edge.to) {
            SmolStr::new_static(END_NODE)
        } else {
            edge.to.clone()
        };
        builder = builder.edge_on(edge.from.clone(), Action::named(&edge.action), to);
    }
    if let Some(start) = document.start_id() {
        builder = builder.start(start.clone());
    }
    let outputs = document
        .outputs
        .iter()
        .map(|output| {
            let source = output
                .source
                .clone()
                .map(|source| templates(Value::String(source)))
                .transpose()?;
            Ok(DeclaredOutput {
                name: output.name.clone(),
                value_type: output.value_type,
                source,
                stdout: output.stdout,
            })
        })
        .collect::<Result<_, LoadError>>()?;
    Ok(Compiled {
        flow: builder.build()?,
        names,
        outputs,
    })
}

/// Whether an edge to this id ends the flow.
pub(crate) fn is_end(id: &str) -> bool {
    id == END || id == END_NODE
}

/// Where edges to [`END`] lead.
struct End;

#[async_trait]
impl Node for End {
    async fn run(&self, _cx: &NodeContext) -> Result<Action, NodeError> {
        Ok(Action::default())
    }
}

fn templates(written: Value) -> Result<ParamTemplates, LoadError> {
    Ok(ParamTemplates::new(Arc::new(written))?)
}

/// What one node is made of.
struct Parts<'a> {
    document: &'a WorkflowDocument,
    entry: &'a NodeEntry,
    names: &'a Arc<NodeNames>,
    services: &'a Arc<Services>,
    children: &'a BTreeMap<SmolStr, Arc<Workflow>>,
    loader: &'a Loader,
}

impl Parts<'_> {
    /// Where the node writes.
    fn namespace(&self) -> SmolStr {
        if self.document.enable_namespacing {
            self.entry.id.clone()
        } else {
            SmolStr::default()
        }
    }

    /// The node with its batch or loop.
    fn repeated(&self) -> Result<Box<dyn Node>, LoadError> {
        let entry = self.entry;
        let templated = self.templated()?;
        if let Some(batch) = &entry.batch {
            let items = FileBatch {
                id: entry.id.clone(),
                entry: batch.clone(),
                items: templates(batch.items.clone())?,
                names: Arc::clone(self.names),
                namespace: self.namespace(),
                outputs: find(&entry.node_type).map_or(&[], |node_type| node_type.outputs),
            };
            let policy = BatchPolicy {
                error_handling: if batch.continue_on_error {
                    BatchErrorHandling::Continue
                } else {
                    BatchErrorHandling::FailFast
                },
                concurrent_max: if batch.parallel { batch.max_concurrent } else { 1 },
                attempts_max: batch.max_retries,
                retry_wait: seconds(batch.retry_wait),
            };
            return Ok(Box::new(Batch::new(templated, items, policy)?));
        }
        if let Some(repeat) = &entry.repeat {
            let carry = repeat
                .carry
                .iter()
                .map(|(name, template)| Ok((name.clone(), templates(template.clone())?)))
                .collect::<Result<_, LoadError>>()?;
            let condition = FileLoop {
                id: entry.id.clone(),
                condition: templates(Value::String(repeat.condition.clone()))?,
                until: repeat.until,
                carry,
                iterations_max: repeat.max_iterations.clone().map(templates).transpose()?,
                names: Arc::clone(self.names),
            };
            // A limit that is a template is only known in the run: the condition keeps it then.
            let iterations_max = match &repeat.max_iterations {
                None => ITERATIONS_DEFAULT,
                Some(limit) => limit
                    .as_f64()
                    .map_or(u32::MAX, |limit| limit.clamp(1.0, f64::from(u32::MAX)) as u32),
            };
            return Ok(Box::new(Loop::new(templated, condition, iterations_max)));
        }
        Ok(Box::new(templated))
    }

    fn templated(&self) -> Result<Templated<Box<dyn Node>>, LoadError> {
        let entry = self.entry;
        let node_type =
            find(&entry.node_type).ok_or_else(|| LoadError::UnknownNodeType(entry.node_type.to_string()))?;
        Ok(Templated {
            node: self.leaf(node_type)?,
            id: entry.id.clone(),
            params: ParamTemplates::new(Arc::clone(&entry.params))?,
            specs: node_type.params,
            written: Arc::clone(&entry.params),
            names: Arc::clone(self.names),
            carried: entry
                .repeat
                .iter()
                .flat_map(|repeat| repeat.carry.iter().map(|(name, _)| name.clone()))
                .collect(),
        })
    }

    fn leaf(&self, node_type: &NodeType) -> Result<Box<dyn Node>, LoadError> {
        let entry = self.entry;
        let retry = match &entry.retry {
            Some(retry) => {
                let backoff = if retry.exponential {
                    Backoff::Exponential
                } else {
                    Backoff::Fixed
                };
                RetryPolicy::new(retry.max, seconds(retry.wait), backoff)?
            }
            None => (node_type.default_retry)(),
        };
        if node_type.name == nested_node::NAME {
            let child = self.children.get(&entry.id).map(Arc::clone);
            return Ok(nested_node::node(child, retry, self.loader.clone()));
        }
        let setting = NodeSetting {
            id: &entry.id,
            retry,
            services: self.services,
            cache: entry.cache,
        };
        Ok((node_type.make)(&setting))
    }
}

/// Seconds of a file; the schema has refused what is negative, a day is as good as forever.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.clamp(0.0, 86_400.0)).unwrap_or_default()
}
