//! Is there a saved workflow that fits?
//!
//! Never takes one whose name was not in the list, and none that cannot run any more.

use std::sync::Arc;

use flowmeter::current;
use flowmeter_engine::{Action, NodeContext, NodeError};
use flowmeter_model::LogLevel;
use serde_json::{Map, Value, json};

use super::{action, id, write};
use crate::document::InputEntry;
use crate::planner::answers::{flag, text};
use crate::planner::asking::Step;
use crate::planner::setting::{Chosen, Setting};
use crate::planner::{components, schemas};
use crate::validate::check_file;

pub(in crate::planner) struct Discovery {
    pub(in crate::planner) setting: Arc<Setting>,
    pub(in crate::planner) chosen: Chosen,
}

impl Step for Discovery {
    fn id(&self) -> &'static str {
        id::DISCOVERY
    }

    fn read(&self, answer: Map<String, Value>) -> Result<Value, String> {
        let name = text(&answer, "workflow");
        let name = name.trim_matches('`');
        let Some(found) = flag(&answer, "found") else {
            return Err("it has no member `found` that is true or false".to_owned());
        };
        if found && name.is_empty() {
            return Err("`found` is true, but `workflow` names none".to_owned());
        }
        Ok(json!({"found": found, "workflow": name, "reason": text(&answer, "reason")}))
    }

    fn conclude(&self, cx: &NodeContext, made: Value) -> Result<Action, NodeError> {
        let found = made["found"].as_bool().unwrap_or_default();
        let name = made["workflow"].as_str().unwrap_or_default().to_owned();
        let reason = made["reason"].clone();
        let span = current(cx);
        let fitting = if found {
            self.fitting(&name)
        } else {
            Err(String::new())
        };
        match fitting {
            Ok(inputs) => {
                let open: Vec<&InputEntry> =
                    inputs.iter().filter(|input| !self.setting.gives(input)).collect();
                span.log(LogLevel::Info, format!("The saved workflow {name} fits"));
                write(
                    cx,
                    json!({
                        "found": true,
                        "workflow": name,
                        "reason": reason,
                        "inputs": components::inputs(&open),
                        "schema": schemas::parameter_mapping(&open),
                    }),
                );
                Ok(Action::named(action::FOUND))
            }
            Err(why_not) => {
                if !why_not.is_empty() {
                    span.log(LogLevel::Warn, why_not);
                }
                write(cx, json!({"found": false, "reason": reason}));
                Ok(Action::named(action::NOT_FOUND))
            }
        }
    }
}

impl Discovery {
    /// The inputs of the workflow with this name, or why it is not taken.
    fn fitting(&self, name: &str) -> Result<Vec<InputEntry>, String> {
        let Some(known) = self.setting.known(name) else {
            return Err(format!("The model chose `{name}`, which is no saved workflow"));
        };
        let saved = self.setting.saved_workflows.as_deref();
        match check_file(&known.path, saved) {
            Ok(checked) => {
                let inputs = checked.document.inputs.clone();
                *self.chosen.lock() = Some(checked.document);
                Ok(inputs)
            }
            Err(error) => Err(format!(
                "The saved workflow `{name}` cannot run any more: {error}"
            )),
        }
    }
}
