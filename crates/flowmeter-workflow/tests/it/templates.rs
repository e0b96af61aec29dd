//! Templates as files use them, from the grammar to the node.

use flowmeter_engine::NodeError;
use serde_json::{Value, json};

use crate::runs::{run, run_with};

async fn echoed(message: Value) -> Result<Value, NodeError> {
    let document = json!({
        "inputs": {"object": {"type": "object", "default": {"n": 1, "none": null, "list": [1, {"k": "v"}]}}},
        "nodes": [
            {"id": "shell", "type": "shell", "params": {"command": "echo '{\"a\": [1, 2]}'"}},
            {"id": "echo", "type": "echo", "params": {"message": message}}
        ],
        "edges": [{"from": "shell", "to": "echo"}]
    });
    let end = run(document).await?;
    Ok(Value::clone(&end.outputs.named("echo.echo").unwrap()))
}

#[tokio::test]
async fn templates_of_every_kind_reach_the_node() {
    let message = json!({
        "whole": "${object}", "text": "n=${object.n}, ${object.list}", "json": "${shell.stdout.a[1]}",
        "none": "[${object.none}]", "default": "${object.nope ?? \"d\"}", "escaped": "$${object}"
    });
    assert_eq!(
        echoed(message).await.unwrap(),
        json!({
            "whole": {"n": 1, "none": null, "list": [1, {"k": "v"}]}, "text": "n=1, [1, {\"k\": \"v\"}]", "json": 2,
            "none": "[]", "default": "d", "escaped": "${object}"
        })
    );
}

#[tokio::test]
async fn an_unresolved_template_fails_the_node_that_uses_it() {
    let error = echoed(json!("${shell.stdout.b}")).await.unwrap_err();
    assert_eq!(error.node_id(), Some("echo"));
    assert_eq!(error.error_type(), "unresolved_template");
    assert_eq!(
        error.to_string(),
        "`${shell.stdout.b}` in parameter `message` leads nowhere: `stdout` (string) has no member `b`; it has: a"
    );
}

#[tokio::test]
async fn a_template_takes_the_type_of_its_parameter() {
    let document = json!({
        "inputs": {"limit": {"type": "string"}, "object": {"default": {"a": 1}}},
        "nodes": [{"id": "a", "type": "shell", "params": {"command": "cat", "stdin": "${object}", "timeout": "${limit}"}}]
    });
    let end = run_with(document.clone(), &[("limit", "5")]).await.unwrap();
    assert_eq!(*end.outputs.result(), json!("{\"a\": 1}"));
    let error = run_with(document, &[("limit", "soon")]).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "parameter `timeout` is of type number, but `${limit}` is of type string"
    );
}
