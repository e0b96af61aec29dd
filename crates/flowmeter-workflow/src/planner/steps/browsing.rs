//! Which building blocks could be needed?
//!
//! Never hands on a node type or a workflow that there is not.

use std::sync::Arc;

use flowmeter::{PlannerPath, current};
use flowmeter_engine::{Action, NodeContext, NodeError};
use flowmeter_model::LogLevel;
use serde_json::{Map, Value, json};

use super::{id, write};
use crate::names::nearest_name;
use crate::nodes::{NodeType, WORKFLOW_TYPE, find, node_types};
use crate::planner::answers::texts;
use crate::planner::asking::Step;
use crate::planner::components;
use crate::planner::setting::Setting;

pub(in crate::planner) struct Browsing {
    pub(in crate::planner) setting: Arc<Setting>,
}

impl Step for Browsing {
    fn id(&self) -> &'static str {
        id::COMPONENT_BROWSING
    }

    fn read(&self, answer: Map<String, Value>) -> Result<Value, String> {
        let types = texts(&answer, "node_types");
        let workflows = texts(&answer, "workflows");
        if types.is_empty() && workflows.is_empty() {
            return Err("it names no `node_types`".to_owned());
        }
        Ok(json!({"node_types": types, "workflows": workflows}))
    }

    fn conclude(&self, cx: &NodeContext, made: Value) -> Result<Action, NodeError> {
        let empty = Map::new();
        let made = made.as_object().unwrap_or(&empty);
        let mut chosen: Vec<&NodeType> = Vec::new();
        for name in texts(made, "node_types") {
            let name = name.trim_matches('`');
            let known = || node_types().iter().map(|node_type| node_type.name);
            match find(name).or_else(|| find(nearest_name(name, known())?)) {
                Some(node_type) if chosen.iter().any(|known| known.name == node_type.name) => {}
                Some(node_type) => chosen.push(node_type),
                None => current(cx).log(LogLevel::Warn, format!("There is no node type `{name}`")),
            }
        }
        let mut workflows = Vec::new();
        for name in texts(made, "workflows") {
            match self.setting.known(name.trim_matches('`')) {
                Some(known) => workflows.push(known),
                None => current(cx).log(LogLevel::Warn, format!("There is no saved workflow `{name}`")),
            }
        }
        if !workflows.is_empty() && !chosen.iter().any(|known| known.name == WORKFLOW_TYPE) {
            chosen.extend(find(WORKFLOW_TYPE));
        }
        if chosen.is_empty() {
            // Nothing that was named exists: better all than none.
            chosen.extend(node_types());
        }
        let mut described = components::types_in_full(&chosen);
        if !workflows.is_empty() {
            let lines: Vec<String> = workflows
                .iter()
                .map(|workflow| components::workflow_in_full(workflow))
                .collect();
            described.push_str("\n\n### Saved workflows, for nodes of type `workflow`\n");
            described.push_str(&lines.join("\n"));
        }
        let names: Vec<&str> = chosen.iter().map(|node_type| node_type.name).collect();
        let workflows: Vec<&str> = workflows.iter().map(|workflow| workflow.name.as_str()).collect();
        write(
            cx,
            json!({"node_types": names, "workflows": workflows, "described": described}),
        );
        current(cx).planner_took(PlannerPath::B);
        Ok(Action::default())
    }
}
