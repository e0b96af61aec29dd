//! Which value a run prints where the file declares no outputs.

use flowmeter_workflow::text_of;
use serde_json::json;

use crate::runs::run;

#[tokio::test]
async fn a_batch_at_the_end_prints_its_own_results() {
    let document = json!({
        "nodes": [
            {"id": "first", "type": "echo", "params": {"message": "before"}},
            {"id": "each", "type": "write-file", "params": {"file_path": "/dev/null", "content": "${item}"},
                "batch": {"items": ["a"]}}
        ],
        "edges": [{"from": "first", "to": "each"}]
    });
    let end = run(document).await.unwrap();
    let printed = end
        .outputs
        .printed()
        .map(|value| text_of(value))
        .unwrap_or_default();
    assert!(printed.starts_with("[{\"item\": \"a\""), "{printed}");
}

#[tokio::test]
async fn without_a_telling_key_all_that_the_last_node_wrote_is_printed() {
    let write =
        json!({"id": "keep", "type": "write-file", "params": {"file_path": "/dev/null", "content": "x"}});
    let silent = json!({"id": "quiet", "type": "shell", "params": {"command": "true"}});
    let end = run(json!({"nodes": [silent]})).await.unwrap();
    let silent_alone = end
        .outputs
        .printed()
        .map(|value| text_of(value))
        .unwrap_or_default();
    assert!(
        silent_alone.starts_with("{\"stdout\": \"\", \"stdout_is_binary\": false, \"stderr\": \"\""),
        "{silent_alone}"
    );
    // The node that ran last, not the last one of the file.
    let back =
        json!({"nodes": [write, silent], "start_node": "quiet", "edges": [{"from": "quiet", "to": "keep"}]});
    let end = run(back).await.unwrap();
    let shown = end
        .outputs
        .printed()
        .map(|value| text_of(value))
        .unwrap_or_default();
    assert_eq!(
        shown,
        "{\"written\": true, \"bytes_written\": 1, \"file_path\": \"/dev/null\"}"
    );
}
