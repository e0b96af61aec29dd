//! The steps of the planner, one file each.
//!
//! A step says what it makes of an answer and where the flow goes on; asking and metering stand around it.

mod browsing;
mod discovery;
mod generator;
mod mapping;
mod metadata;
mod parameters;
mod planning;
mod preparation;
mod requirements;
mod result;
mod validator;

use flowmeter_engine::{NodeContext, StoreView};
use serde_json::{Map, Value};

pub(super) use browsing::Browsing;
pub(super) use discovery::Discovery;
pub(super) use generator::Generator;
pub(super) use mapping::Mapping;
pub(super) use metadata::Metadata;
pub(super) use parameters::Parameters;
pub(super) use planning::Planning;
pub(super) use preparation::Preparation;
pub(super) use requirements::Requirements;
pub(super) use result::Conclusion;
pub(super) use validator::Validator;

/// The ids of the steps.
pub(super) mod id {
    pub(in crate::planner) const DISCOVERY: &str = "discovery";
    pub(in crate::planner) const PARAMETER_DISCOVERY: &str = "parameter_discovery";
    pub(in crate::planner) const REQUIREMENTS: &str = "requirements";
    pub(in crate::planner) const COMPONENT_BROWSING: &str = "component_browsing";
    pub(in crate::planner) const PLANNING: &str = "planning";
    pub(in crate::planner) const WORKFLOW_GENERATOR: &str = "workflow_generator";
    pub(in crate::planner) const PARAMETER_MAPPING: &str = "parameter_mapping";
    pub(in crate::planner) const VALIDATOR: &str = "validator";
    pub(in crate::planner) const METADATA_GENERATION: &str = "metadata_generation";
    pub(in crate::planner) const PARAMETER_PREPARATION: &str = "parameter_preparation";
    pub(in crate::planner) const RESULT: &str = "result";
}

/// The actions that lead to different steps.
pub(super) mod action {
    /// A saved workflow fits.
    pub(in crate::planner) const FOUND: &str = "found";
    /// None does.
    pub(in crate::planner) const NOT_FOUND: &str = "not_found";
    /// The user has to say more.
    pub(in crate::planner) const UNCLEAR: &str = "unclear";
    /// It cannot be done with these building blocks.
    pub(in crate::planner) const IMPOSSIBLE: &str = "impossible";
    /// The workflow is a new one.
    pub(in crate::planner) const GENERATED: &str = "generated";
    /// The new workflow can run.
    pub(in crate::planner) const VALID: &str = "valid";
    /// It cannot, and is to be written again.
    pub(in crate::planner) const INVALID: &str = "invalid";
    /// It cannot, and there were attempts enough.
    pub(in crate::planner) const GIVEN_UP: &str = "given_up";
    /// Inputs have no value.
    pub(in crate::planner) const MISSING: &str = "missing";
}

/// Writes the members of an object as outputs of the step.
fn write(cx: &NodeContext, outputs: Value) {
    if let Value::Object(outputs) = outputs {
        for (key, value) in outputs {
            cx.store().set(&key, value);
        }
    }
}

/// What another step wrote, as a text; empty where it wrote none.
pub(super) fn text_in(store: &StoreView, step: &str, key: &str) -> String {
    let value = store.get_in(step, key);
    value
        .as_deref()
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// What another step wrote, as an object; empty where it wrote none.
pub(super) fn object_in(store: &StoreView, step: &str, key: &str) -> Map<String, Value> {
    let value = store.get_in(step, key);
    value
        .as_deref()
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default()
}

/// What another step wrote, as a whole number; 0 where it wrote none.
pub(super) fn number_in(store: &StoreView, step: &str, key: &str) -> u64 {
    let value = store.get_in(step, key);
    value.as_deref().and_then(Value::as_u64).unwrap_or_default()
}
