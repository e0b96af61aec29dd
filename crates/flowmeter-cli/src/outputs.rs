//! Which outputs a workflow can have: a name that it cannot have is refused before anything runs.
//!
//! Never looks at values: what a run has really given, the library knows.

use flowmeter_workflow::nodes::find;
use flowmeter_workflow::{BATCH_OUTPUTS, LOOP_OUTPUT, NodeEntry, WorkflowDocument};

use crate::config::did_you_mean;
use crate::exit::BadUsage;

/// The longest list of names in the message.
const LISTED_MAX: usize = 12;

/// The keys that a node can write; `None` where they are known in the run only.
fn keys(node: &NodeEntry) -> Option<Vec<&'static str>> {
    let node_type = find(&node.node_type).filter(|node_type| !node_type.free_outputs)?;
    let mut keys: Vec<&'static str> = node_type.outputs.iter().map(|output| output.name).collect();
    if node.batch.is_some() {
        keys.extend(BATCH_OUTPUTS);
    }
    if node.repeat.is_some() {
        keys.push(LOOP_OUTPUT);
    }
    Some(keys)
}

fn is_possible(document: &WorkflowDocument, wanted: &str) -> bool {
    let writes = |node: &NodeEntry, key: &str| keys(node).is_none_or(|keys| keys.contains(&key));
    let declared = document.outputs.iter().any(|output| output.name == wanted);
    let given = document.inputs.iter().any(|input| input.name == wanted);
    let written = document
        .nodes
        .iter()
        .any(|node| node.id == wanted || writes(node, wanted));
    let of_one = wanted
        .split_once('.')
        .is_some_and(|(id, key)| document.node(id).is_some_and(|node| writes(node, key)));
    declared || given || written || of_one
}

/// Refuses an output that the workflow cannot have.
///
/// # Errors
/// [`BadUsage`] with the nearest name and what there is.
pub(crate) fn check_wanted(document: &WorkflowDocument, wanted: &str) -> Result<(), BadUsage> {
    if !wanted.is_empty() && is_possible(document, wanted) {
        return Ok(());
    }
    let mut known: Vec<String> = document
        .outputs
        .iter()
        .map(|output| output.name.to_string())
        .collect();
    let has_declared = !known.is_empty();
    for node in &document.nodes {
        for key in keys(node).unwrap_or_default() {
            known.push(format!("{}.{key}", node.id));
        }
    }
    // A short name may be meant for a key that one node writes, a long one for `node.key`.
    let short = known.iter().filter_map(|name| Some(name.split_once('.')?.1));
    let near = did_you_mean(wanted, known.iter().map(String::as_str).chain(short));
    let listed = if has_declared {
        &known[..document.outputs.len()]
    } else {
        &known
    };
    let more = match listed.len().saturating_sub(LISTED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let shown = listed[..listed.len().min(LISTED_MAX)].join(", ");
    let what = if has_declared {
        "its outputs"
    } else {
        "its nodes give"
    };
    Err(BadUsage(format!(
        "there is no output `{wanted}`{near}\n  {what}: {shown}{more}"
    )))
}
