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
