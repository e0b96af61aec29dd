//! A flow as a graph: Mermaid for documents, text for the terminal.
//!
//! Drawn from the flow object itself, so that it cannot say anything else than what runs.

use std::fmt::Write as _;

use flowmeter_engine::{Action, Flow};

/// The flow as a Mermaid flowchart.
///
/// ```
/// let graph = flowmeter::graph_mermaid(&flowmeter::pipeline_flow()?);
/// assert!(graph.contains("CollectTraces -->|buffer full| FlushTraces"));
/// # Ok::<(), flowmeter_engine::InvalidFlow>(())
/// ```
#[must_use]
pub fn graph_mermaid(flow: &Flow) -> String {
    let mut graph = String::from("flowchart TD\n");
    for id in flow.node_ids() {
        // Writing to a text cannot fail.
        let _ = writeln!(graph, "    {}[\"{}\"]", mermaid_id(id), mermaid_text(id));
    }
    for (from, action, to) in flow.edges() {
        let arrow = if action.is_default() {
            "-->".to_owned()
        } else {
            format!("-->|{}|", mermaid_text(action.as_str()))
        };
        let _ = writeln!(graph, "    {} {arrow} {}", mermaid_id(from), mermaid_id(to));
    }
    graph
}

/// The flow as text, one edge a line: `A >> B` for the action `default`, else `A - action >> B`.
#[must_use]
pub fn graph_text(flow: &Flow) -> String {
    let mut graph = format!("{}\n", flow.name());
    for (from, action, to) in flow.edges() {
        let _ = writeln!(graph, "  {from}{} >> {to}", text_of(action));
    }
    graph
}

fn text_of(action: &Action) -> String {
    if action.is_default() {
        String::new()
    } else {
        format!(" - {action}")
    }
}

/// Ids in Mermaid are words.
fn mermaid_id(id: &str) -> String {
    id.replace(|c: char| !c.is_ascii_alphanumeric() && c != '_', "_")
}

fn mermaid_text(text: &str) -> String {
    text.replace('"', "#quot;").replace('|', "#124;")
}
