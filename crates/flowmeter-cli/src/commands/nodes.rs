//! `flowmeter nodes`: what node types there are, what they take and what they give.
//!
//! Never holds a description of its own: it prints the table that also checks and makes the nodes.

use anyhow::Result;
use flowmeter_workflow::nodes::{NodeType, ParamSpec, find, node_types};
use serde_json::{Value, json};

use crate::args::{NodesArgs, ViewFormat};
use crate::config::did_you_mean;
use crate::exit::{BadUsage, Exit};
use crate::output::Output;

/// Lists the node types, or describes one.
pub(super) fn run(args: &NodesArgs, output: &Output) -> Result<Exit> {
    let Some(name) = &args.node_type else {
        match args.format {
            ViewFormat::Human => output.text(&listed())?,
            ViewFormat::Json => output.json(&node_types().iter().map(as_json).collect())?,
        }
        return Ok(Exit::Success);
    };
    let Some(node_type) = find(name) else {
        let lists = "`flowmeter nodes` lists them";
        if name.trim().is_empty() {
            return Err(BadUsage(format!("no node type is named; {lists}")).into());
        }
        let near = did_you_mean(name, node_types().iter().map(|known| known.name));
        let near = if near.is_empty() { ";" } else { &near };
        return Err(BadUsage(format!("there is no node type `{name}`{near} {lists}")).into());
    };
    match args.format {
        ViewFormat::Human => output.text(&described(node_type))?,
        ViewFormat::Json => output.json(&as_json(node_type))?,
    }
    Ok(Exit::Success)
}

fn listed() -> String {
    let width = node_types()
        .iter()
        .map(|known| known.name.len())
        .max()
        .unwrap_or(0);
    let lines: String = node_types()
        .iter()
        .map(|known| format!("{:width$}  {}\n", known.name, known.summary))
        .collect();
    format!("{lines}\n`flowmeter nodes TYPE` describes one.")
}

fn described(node_type: &NodeType) -> String {
    let mut text = format!("{}: {}\n", node_type.name, node_type.summary);
    let params: Vec<(&str, String)> = node_type
        .params
        .iter()
        .map(|spec| (spec.name, param_text(spec)))
        .collect();
    text.push_str(&section(
        "Parameters",
        &params,
        node_type.free_params.then_some("any others too"),
    ));
    let outputs: Vec<(&str, String)> = node_type
        .outputs
        .iter()
        .map(|spec| {
            (
                spec.name,
                format!("{}; {}", spec.value_type.as_str(), spec.description),
            )
        })
        .collect();
    let more = node_type
        .free_outputs
        .then_some("and others, which depend on the parameters");
    text.push_str(&section("Outputs", &outputs, more));
    let mut actions = vec!["default"];
    actions.extend(node_type.actions);
    if node_type.free_actions {
        actions.push("and others, which the node names itself");
    }
    let attempts = (node_type.default_retry)().attempts_max();
    text.push_str(&format!(
        "\nActions: {}\nAttempts: {attempts}\n",
        actions.join(", ")
    ));
    text.push_str(&format!("\nExample:\n  {}\n", example(node_type)));
    text
}

fn section(title: &str, entries: &[(&str, String)], more: Option<&str>) -> String {
    let width = entries.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: String = entries
        .iter()
        .map(|(name, what)| format!("  {name:width$}  {what}\n"))
        .collect();
    let more = more.map(|more| format!("  {more}\n")).unwrap_or_default();
    format!("\n{title}:\n{lines}{more}")
}

fn param_text(spec: &ParamSpec) -> String {
    let mut text = spec.value_type.as_str().to_owned();
    if spec.required {
        text.push_str(", required");
    }
    if let Some(default) = spec.default {
        text.push_str(&format!(", default {default}"));
    }
    format!("{text}; {}", spec.description)
}

/// The shortest node of this type that is complete.
fn example(node_type: &NodeType) -> String {
    let params: serde_json::Map<String, Value> = node_type
        .params
        .iter()
        .filter(|spec| spec.required)
        .map(|spec| (spec.name.to_owned(), Value::from("…")))
        .collect();
    json!({"id": format!("my_{}", node_type.name.replace('-', "_")), "type": node_type.name, "params": params})
        .to_string()
}

fn as_json(node_type: &NodeType) -> Value {
    let params: Vec<Value> = node_type
        .params
        .iter()
        .map(|spec| {
            json!({
                "name": spec.name,
                "type": spec.value_type.as_str(),
                "required": spec.required,
                "default": spec.default,
                "description": spec.description,
            })
        })
        .collect();
    let outputs: Vec<Value> = node_type
        .outputs
        .iter()
        .map(|spec| json!({"name": spec.name, "type": spec.value_type.as_str(), "description": spec.description}))
        .collect();
    json!({
        "name": node_type.name,
        "summary": node_type.summary,
        "params": params,
        "free_params": node_type.free_params,
        "outputs": outputs,
        "free_outputs": node_type.free_outputs,
        "actions": node_type.actions,
        "free_actions": node_type.free_actions,
        "attempts_max": (node_type.default_retry)().attempts_max(),
    })
}
