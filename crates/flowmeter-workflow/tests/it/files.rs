//! The file node types.

use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::nodes::{path, run};

#[tokio::test]
async fn files_are_written_read_copied_moved_and_deleted() {
    let folder = TempDir::new().unwrap();
    let (first, second, third) = (
        path(&folder, "a/b/one.txt"),
        path(&folder, "c/two.txt"),
        path(&folder, "d/three.txt"),
    );
    let text = "line one\nline two\n\n";

    let ran = run("write-file", json!({"file_path": first, "content": text})).await;
    assert_eq!(
        (ran.get("written"), ran.get("bytes_written")),
        (json!(true), json!(text.len()))
    );
    let ran = run("read-file", json!({"file_path": first})).await;
    assert_eq!(
        (ran.get("content"), ran.get("content_is_binary")),
        (json!(text), json!(false))
    );
    assert_eq!(ran.get("file_path"), json!(first));
    run(
        "write-file",
        json!({"file_path": first, "content": {"a": 1}, "append": true}),
    )
    .await;
    assert_eq!(
        std::fs::read_to_string(&first).unwrap(),
        format!("{text}{{\"a\": 1}}")
    );

    assert_eq!(
        run("copy-file", json!({"source_path": first, "dest_path": second}))
            .await
            .get("copied"),
        json!(true)
    );
    let error = run("copy-file", json!({"source_path": first, "dest_path": second}))
        .await
        .error();
    assert!(error.contains("there already"), "{error}");
    let again = json!({"source_path": first, "dest_path": second, "overwrite": "true"});
    assert_eq!(run("copy-file", again).await.action(), "default");
    let error = run(
        "copy-file",
        json!({"source_path": first, "dest_path": first, "overwrite": true}),
    )
    .await
    .error();
    assert!(error.contains("the same file"), "{error}");
    assert!(!std::fs::read(&first).unwrap().is_empty());

    assert_eq!(
        run("move-file", json!({"source_path": second, "dest_path": third}))
            .await
            .get("moved"),
        json!(true)
    );
    assert!(!std::path::Path::new(&second).exists());

    let error = run("delete-file", json!({"file_path": third})).await.error();
    assert!(error.contains("confirm_delete"), "{error}");
    assert!(std::path::Path::new(&third).exists());
    let confirmed = json!({"file_path": third, "inputs": {"confirm_delete": true}});
    assert_eq!(
        run("delete-file", confirmed.clone()).await.get("deleted"),
        json!(true)
    );
    assert_eq!(run("delete-file", confirmed).await.get("deleted"), json!(false));
}

#[tokio::test]
async fn a_missing_file_fails_at_once_and_leads_to_the_action_error() {
    let began = Instant::now();
    let ran = run("read-file", json!({"file_path": "/no/such/file.txt"})).await;
    assert_eq!(ran.error(), "cannot read `/no/such/file.txt`: it does not exist");
    assert!(
        began.elapsed() < Duration::from_millis(90),
        "it must not be tried three times"
    );
    assert!(
        run("read-file", json!({"file_path": "/"}))
            .await
            .error()
            .contains("folder")
    );
    assert!(
        run("read-file", json!({}))
            .await
            .error()
            .contains("`file_path` is missing")
    );
}

#[tokio::test]
async fn binary_and_latin_1_files_are_read_and_written() {
    let folder = TempDir::new().unwrap();
    let file = path(&folder, "x");
    run(
        "write-file",
        json!({"file_path": file, "content": "AAH/", "content_is_binary": true}),
    )
    .await;
    assert_eq!(std::fs::read(&file).unwrap(), [0, 1, 255]);
    let ran = run("read-file", json!({"file_path": file})).await;
    assert_eq!(
        (ran.get("content"), ran.get("content_is_binary")),
        (json!("AAH/"), json!(true))
    );

    run(
        "write-file",
        json!({"file_path": file, "content": "é", "encoding": "latin-1"}),
    )
    .await;
    assert_eq!(std::fs::read(&file).unwrap(), [0xe9]);
    assert_eq!(
        run("read-file", json!({"file_path": file, "encoding": "latin-1"}))
            .await
            .get("content"),
        json!("é")
    );
    assert!(
        run("read-file", json!({"file_path": file, "encoding": "koi8"}))
            .await
            .error()
            .contains("koi8")
    );
}

#[tokio::test]
async fn a_large_file_passes() {
    let folder = TempDir::new().unwrap();
    let file = path(&folder, "large");
    std::fs::write(&file, vec![b'x'; 60 * 1024 * 1024]).unwrap();
    let ran = run("read-file", json!({"file_path": file})).await;
    assert_eq!(ran.get("content").as_str().unwrap().len(), 60 * 1024 * 1024);
}
