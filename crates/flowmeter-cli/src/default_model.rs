//! The model where none is named for a node: the flag's, the settings', or that of the first provider with a key.
//!
//! Never reads a key: only whether there is one.

use flowmeter_workflow::Workflow;
use flowmeter_workflow::chat::{default_model, default_model_variables};

use crate::config::{Config, Origin};
use crate::exit::MissingModel;
use crate::output::Output;

/// A model and why it is this one.
struct Chosen {
    model: String,
    why: String,
}

fn chosen(config: &Config) -> Option<Chosen> {
    if let Some(model) = &config.model {
        let why = match config.origin_of("model") {
            Origin::Flag => "--model".to_owned(),
            other => other.to_string(),
        };
        let model = model.clone();
        return Some(Chosen { model, why });
    }
    let found = default_model(&|name| std::env::var(name).ok())?;
    Some(Chosen {
        model: found.model.to_string(),
        why: format!("{} is set; --model chooses another", found.key_variable),
    })
}

/// The model that plans, said on standard error.
///
/// # Errors
/// [`MissingModel`], which names what to set.
pub(crate) fn of_planner(config: &Config, output: &Output) -> Result<String, MissingModel> {
    let Some(Chosen { model, why }) = chosen(config) else {
        return Err(MissingModel(format!(
            "no model to plan with: name one with --model or with `model` in config.toml, or set the key of a \
             provider: {}",
            default_model_variables().join(", ")
        )));
    };
    output.note(&format!("planning with {model} ({why})"));
    Ok(model)
}

/// The settings of a run, with the model for nodes that name none.
pub(crate) fn of_run(mut config: Config) -> Config {
    config.model = chosen(&config).map(|chosen| chosen.model);
    config
}

/// Says which model was chosen for the nodes that name none, where nobody named it and a node needs it.
pub(crate) fn tell_if_used(config: &Config, workflow: &Workflow, output: &Output) {
    let is_named = config.origin_of("model") != Origin::Default;
    let Some(model) = config.model.as_ref().filter(|_| !is_named) else {
        return;
    };
    if needs_model(workflow) {
        let why = default_model(&|name| std::env::var(name).ok());
        let why = why.map_or("", |found| found.key_variable);
        output.note(&format!(
            "nodes that name no model ask {model} ({why} is set; --model chooses another)"
        ));
    }
}

/// Whether an `llm` node in it, or in a workflow nested in it, names no model.
fn needs_model(workflow: &Workflow) -> bool {
    let unnamed = |node: &flowmeter_workflow::NodeEntry| {
        node.node_type == "llm" && node.params.get("model").is_none_or(serde_json::Value::is_null)
    };
    workflow.document().nodes.iter().any(unnamed)
        || workflow.children().values().any(|child| needs_model(child))
}
