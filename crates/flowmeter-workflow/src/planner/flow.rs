//! The planner's flow: its steps in the wrappers that stand around every node of a workflow file, and its edges.
//!
//! Never runs anything; there is no other way through the planner than these edges.

use std::sync::Arc;

use flowmeter::{NodeDescription, Traced};
use flowmeter_engine::{Flow, FlowBuilder, InvalidFlow, Node, RetryPolicy};
use flowmeter_model::SpanKind;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use smol_str::SmolStr;
use thiserror::Error;

use super::asking::{Asker, Asking, Step};
use super::setting::{Chosen, PlannerConfig, Setting};
use super::steps::{
    Browsing, Conclusion, Discovery, Generator, Mapping, Metadata, Parameters, Planning, Preparation,
    Requirements, Validator, action, id,
};
use super::{prompts, schemas};
use crate::document::ResolutionMode;
use crate::nodes::{NodeSetting, NodeType, ParamSpec, find};
use crate::problem::InvalidWorkflow;
use crate::template::{InvalidTemplate, NodeNames, ParamTemplates};
use crate::wrappers::{Namespaced, Routed, Templated};

/// What every step may read, beside what the steps before it wrote.
pub(super) const ROOT_NAMES: [&str; 5] = ["request", "given", "saved_workflows", "node_types", "format"];

/// Why the planner itself cannot be made: a fault of this crate, which its tests would show.
#[derive(Debug, Error)]
pub enum InvalidPlanner {
    /// An edge leads nowhere.
    #[error("the planner's flow cannot be built")]
    Flow(#[from] InvalidFlow),
    /// A prompt cannot be read.
    #[error("a prompt of the planner cannot be read")]
    Prompt(#[from] InvalidTemplate),
    /// There is no node type that asks a model.
    #[error("there is no node type `llm`")]
    NoLlm,
}

/// A flow for one request, and what its steps leave beside the store.
pub(super) struct PlannerFlow {
    pub(super) flow: Flow,
    pub(super) chosen: Chosen,
    /// What is wrong with the last workflow that was not valid.
    pub(super) invalid: Arc<Mutex<Option<InvalidWorkflow>>>,
}

/// Every edge: from, action, to.
pub(super) const EDGES: [(&str, &str, &str); 17] = [
    (id::DISCOVERY, action::FOUND, id::PARAMETER_MAPPING),
    (id::DISCOVERY, action::NOT_FOUND, id::PARAMETER_DISCOVERY),
    (id::PARAMETER_DISCOVERY, "default", id::REQUIREMENTS),
    (id::REQUIREMENTS, "default", id::COMPONENT_BROWSING),
    (id::REQUIREMENTS, action::UNCLEAR, id::RESULT),
    (id::COMPONENT_BROWSING, "default", id::PLANNING),
    (id::PLANNING, "default", id::WORKFLOW_GENERATOR),
    (id::PLANNING, action::IMPOSSIBLE, id::RESULT),
    (id::WORKFLOW_GENERATOR, "default", id::PARAMETER_MAPPING),
    (id::PARAMETER_MAPPING, action::FOUND, id::PARAMETER_PREPARATION),
    (id::PARAMETER_MAPPING, action::GENERATED, id::VALIDATOR),
    (id::VALIDATOR, action::VALID, id::METADATA_GENERATION),
    (id::VALIDATOR, action::INVALID, id::WORKFLOW_GENERATOR),
    (id::VALIDATOR, action::GIVEN_UP, id::RESULT),
    (id::METADATA_GENERATION, "default", id::PARAMETER_PREPARATION),
    (id::PARAMETER_PREPARATION, "default", id::RESULT),
    (id::PARAMETER_PREPARATION, action::MISSING, id::RESULT),
];

struct Making<'a> {
    config: &'a PlannerConfig,
    asker: Arc<Asker>,
    llm: &'static NodeType,
}

/// Makes the flow for one request.
pub(super) fn planner_flow(config: &PlannerConfig, setting: Setting) -> Result<PlannerFlow, InvalidPlanner> {
    let setting = Arc::new(setting);
    let ids = [
        id::DISCOVERY,
        id::PARAMETER_DISCOVERY,
        id::REQUIREMENTS,
        id::COMPONENT_BROWSING,
        id::PLANNING,
        id::WORKFLOW_GENERATOR,
        id::PARAMETER_MAPPING,
        id::VALIDATOR,
        id::METADATA_GENERATION,
        id::PARAMETER_PREPARATION,
        id::RESULT,
    ];
    let names = Arc::new(NodeNames {
        type_by_id: ids
            .iter()
            .map(|id| (SmolStr::new_static(id), SmolStr::new_static(id)))
            .collect(),
        inputs: ROOT_NAMES.iter().map(|name| SmolStr::new_static(name)).collect(),
        mode: ResolutionMode::Strict,
    });
    let making = Making {
        config,
        asker: Arc::new(Asker::new(Arc::clone(&setting), names)?),
        llm: find("llm").ok_or(InvalidPlanner::NoLlm)?,
    };
    let chosen = Chosen::default();
    let invalid = Arc::default();
    let ours = || Arc::clone(&setting);
    let mapping_schema = format!(
        "${{{}.schema ?? {}.schema}}",
        id::DISCOVERY,
        id::WORKFLOW_GENERATOR
    );
    let discovery = Discovery {
        setting: ours(),
        chosen: Arc::clone(&chosen),
    };
    let validator = Validator {
        asker: Arc::clone(&making.asker),
        feedback: ParamTemplates::new(Arc::new(Value::from(prompts::FEEDBACK)))?,
        chosen: Arc::clone(&chosen),
        last: Arc::clone(&invalid),
    };
    let preparation = Preparation {
        setting: ours(),
        chosen: Arc::clone(&chosen),
    };
    let mut flow = Flow::builder("planner");
    flow = making.asking(flow, discovery, prompts::DISCOVERY, schemas::discovery())?;
    flow = making.asking(
        flow,
        Parameters,
        prompts::PARAMETER_DISCOVERY,
        schemas::parameter_discovery(),
    )?;
    flow = making.asking(flow, Requirements, prompts::REQUIREMENTS, schemas::requirements())?;
    flow = making.asking(
        flow,
        Browsing { setting: ours() },
        prompts::COMPONENT_BROWSING,
        schemas::component_browsing(),
    )?;
    flow = making.asking(flow, Planning, prompts::PLANNING, schemas::planning())?;
    flow = making.asking(
        flow,
        Generator { setting: ours() },
        prompts::WORKFLOW_GENERATOR,
        schemas::workflow_generator(),
    )?;
    flow = making.asking(
        flow,
        Mapping { setting: ours() },
        prompts::PARAMETER_MAPPING,
        Value::from(mapping_schema),
    )?;
    flow = making.plain(
        flow,
        id::VALIDATOR,
        validator,
        json!({"workflow": "${workflow_generator.text}", "attempt": "${workflow_generator.attempt}"}),
    )?;
    flow = making.asking(
        flow,
        Metadata,
        prompts::METADATA_GENERATION,
        schemas::metadata_generation(),
    )?;
    flow = making.plain(
        flow,
        id::PARAMETER_PREPARATION,
        preparation,
        json!({"values": "${parameter_mapping.values}"}),
    )?;
    flow = making.plain(flow, id::RESULT, Conclusion, json!({}))?;
    for (from, action, to) in EDGES {
        flow = flow.edge_on(from, action, to);
    }
    Ok(PlannerFlow {
        flow: flow.build()?,
        chosen,
        invalid,
    })
}

impl Making<'_> {
    /// A step that asks the model.
    fn asking(
        &self,
        flow: FlowBuilder,
        step: impl Step,
        prompt: &str,
        schema: Value,
    ) -> Result<FlowBuilder, InvalidPlanner> {
        let id = step.id();
        let mut params = Map::new();
        params.insert("prompt".to_owned(), Value::from(prompt.trim_end()));
        params.insert("system".to_owned(), Value::from(prompts::SYSTEM.trim_end()));
        params.insert("model".to_owned(), Value::from(self.config.model.as_str()));
        params.insert("output_schema".to_owned(), schema);
        params.insert(
            "timeout".to_owned(),
            Value::from(self.config.timeout.as_secs_f64()),
        );
        let setting = NodeSetting {
            id,
            // The step around it is what is attempted again.
            retry: RetryPolicy::once(),
            // As for the whole run.
            cache: None,
            services: &self.config.services,
        };
        let node = Asking {
            step,
            llm: (self.llm.make)(&setting),
            asker: Arc::clone(&self.asker),
        };
        self.wrapped(flow, id, node, Value::Object(params), self.llm.params)
    }

    /// A step that asks nobody.
    fn plain(
        &self,
        flow: FlowBuilder,
        id: &'static str,
        node: impl Node,
        params: Value,
    ) -> Result<FlowBuilder, InvalidPlanner> {
        self.wrapped(flow, id, node, params, &[])
    }

    /// The wrappers of a workflow file's nodes, in their order.
    fn wrapped(
        &self,
        flow: FlowBuilder,
        id: &'static str,
        node: impl Node,
        params: Value,
        specs: &'static [ParamSpec],
    ) -> Result<FlowBuilder, InvalidPlanner> {
        let id = SmolStr::new_static(id);
        let params = Arc::new(params);
        let templated = Templated {
            node,
            id: id.clone(),
            params: ParamTemplates::new(Arc::clone(&params))?,
            specs,
            written: Arc::clone(&params),
            names: Arc::clone(&self.asker.names),
            carried: Vec::new(),
        };
        let namespaced = Namespaced {
            node: templated,
            id: id.clone(),
            enabled: true,
            keeps_error: false,
        };
        let description = NodeDescription {
            id: id.clone(),
            node_type: id.clone(),
            config: params,
            kind: SpanKind::Node,
        };
        let routed = Routed {
            node: Traced::new(namespaced, description),
            id: id.clone(),
            has_error_edge: false,
            has_other_edges: true,
            namespace: id.clone(),
        };
        Ok(flow.node(id, routed))
    }
}
