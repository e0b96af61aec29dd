//! Orders of small workflows.

use serde_json::{Value, json};

use super::{Certainty, order};
use crate::document::WorkflowDocument;

fn shown(edges: Value) -> String {
    let mut ids: Vec<&str> = Vec::new();
    for edge in edges.as_array().unwrap() {
        for key in [0, 2] {
            let id = edge[key].as_str().unwrap();
            if !ids.contains(&id) && id != "end" {
                ids.push(id);
            }
        }
    }
    let nodes: Vec<Value> = ids.iter().map(|id| json!({"id": id, "type": "echo"})).collect();
    let edges: Vec<Value> = edges
        .as_array()
        .unwrap()
        .iter()
        .map(|edge| json!({"from": edge[0], "action": edge[1], "to": edge[2]}))
        .collect();
    let document = WorkflowDocument::from_value(json!({"nodes": nodes, "edges": edges}));
    let shown = order(&document).into_iter().map(|(position, certainty)| {
        let mark = match certainty {
            Certainty::Always => "",
            Certainty::Perhaps => "?",
            Certainty::OnError => "!",
        };
        format!("{}{mark}", document.nodes[position].id)
    });
    shown.collect::<Vec<_>>().join(" ")
}

#[test]
fn nodes_stand_behind_those_that_lead_to_them() {
    assert_eq!(
        shown(json!([["a", "default", "b"], ["b", "default", "c"]])),
        "a b c"
    );
    let fork = json!([
        ["a", "default", "b"],
        ["a", "default", "c"],
        ["b", "default", "d"],
        ["c", "default", "d"]
    ]);
    assert_eq!(shown(fork), "a b c d");
    let failing = json!([
        ["a", "default", "b"],
        ["a", "error", "h"],
        ["h", "default", "b"],
        ["b", "default", "end"]
    ]);
    assert_eq!(shown(failing), "a h! b");
    let choice = json!([["a", "left", "b"], ["a", "default", "c"], ["c", "default", "d"]]);
    assert_eq!(shown(choice), "a b? c? d?");
    let circle = json!([["a", "default", "b"], ["b", "again", "a"], ["b", "default", "c"]]);
    assert_eq!(shown(circle), "a b c?");
}
