//! Workflow files, run.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flowmeter_engine::{NodeContext, NodeError, SharedStore};
use flowmeter_workflow::{InputSources, LoadError, LoadOptions, Workflow, WorkflowEnd, text_of};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

pub(crate) fn options() -> LoadOptions {
    LoadOptions {
        services: crate::nodes::services(None, None),
        saved_workflows: None,
    }
}

pub(crate) fn workflow(document: &Value) -> Workflow {
    match Workflow::parse("test", &document.to_string(), Path::new("."), &options()) {
        Ok(workflow) => workflow,
        Err(error) => panic!("{error}"),
    }
}

fn context() -> NodeContext {
    NodeContext::new(SharedStore::new().root())
}

pub(crate) async fn run_with(document: Value, args: &[(&str, &str)]) -> Result<WorkflowEnd, NodeError> {
    let workflow = workflow(&document);
    let args: Vec<(String, String)> = args
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect();
    let inputs = workflow.prepare_inputs(&args, InputSources::default()).unwrap();
    workflow.run(&context(), inputs).await
}

pub(crate) async fn run(document: Value) -> Result<WorkflowEnd, NodeError> {
    run_with(document, &[]).await
}

fn printed(end: &WorkflowEnd) -> String {
    end.outputs
        .printed()
        .map(|value| text_of(value))
        .unwrap_or_default()
}

fn echo(id: &str, message: Value) -> Value {
    json!({"id": id, "type": "echo", "params": {"message": message}})
}

fn shell(id: &str, command: &str) -> Value {
    json!({"id": id, "type": "shell", "params": {"command": command}})
}

fn edge(from: &str, to: &str) -> Value {
    json!({"from": from, "to": to})
}

fn edge_on(from: &str, action: &str, to: &str) -> Value {
    json!({"from": from, "action": action, "to": to})
}

#[tokio::test]
async fn values_flow_from_inputs_through_nodes_to_outputs() {
    let document = json!({
        "inputs": {"n": {"type": "integer"}, "who": {"type": "string", "default": "wörld"}},
        "nodes": [echo("a", json!({"n": "${n}", "text": "hello ${who}"})), echo("b", json!("${a.echo.n}"))],
        "edges": [edge("a", "b")],
        "outputs": {"n": {"source": "${b.echo}", "type": "integer"}, "t": {"source": "${a.echo.text}", "stdout": true}}
    });
    let end = run_with(document, &[("n", "3")]).await.unwrap();
    assert_eq!(*end.outputs.result(), json!({"n": 3, "t": "hello wörld"}));
    assert_eq!(printed(&end), "hello wörld");
    assert_eq!(end.last_node, "b");
}

#[tokio::test]
async fn the_text_output_is_the_first_telling_key_of_any_node() {
    let document = json!({
        "nodes": [{"id": "c", "type": "code", "params": {"code": "result = 'told'"}}, shell("a", "echo one")],
        "edges": [edge("c", "a")]
    });
    assert_eq!(
        printed(&run(document).await.unwrap()),
        "told",
        "a result tells more than a stdout"
    );
    let nodes = json!([shell("a", "echo one"), shell("b", "echo two >&2")]);
    let document = json!({"nodes": nodes, "edges": [edge("a", "b")]});
    let end = run(document).await.unwrap();
    assert_eq!(printed(&end), "one");
    assert_eq!(*end.outputs.named("exit_code").unwrap(), json!(0));
    assert_eq!(*end.outputs.named("a.stdout").unwrap(), json!("one"));
    let error = end.outputs.named("stdoot").unwrap_err().to_string();
    assert!(
        error.starts_with("there is no output `stdoot`; did you mean `stdout`?"),
        "{error}"
    );
}

#[tokio::test]
async fn a_failed_node_fails_the_workflow_with_its_own_words() {
    let end = run(json!({"nodes": [shell("a", "echo broken >&2; exit 3")]}))
        .await
        .unwrap_err();
    assert_eq!(end.node_id(), Some("a"));
    assert!(
        end.to_string().contains("exit code 3") && end.to_string().contains("broken"),
        "{end}"
    );

    let document = json!({"nodes": [shell("a", "exit 3"), echo("b", json!("x"))], "edges": [edge("a", "b")]});
    let end = run(document).await.unwrap_err();
    assert_eq!(end.kind(), flowmeter_engine::ErrorKind::Routing);
    assert!(end.to_string().contains("exit code 3"), "{end}");
}

#[tokio::test]
async fn failures_follow_the_edge_for_them() {
    let document = json!({
        "nodes": [
            shell("a", "exit 3"),
            echo("b", json!("fine")),
            echo("h", json!("handled: ${a.error} (${a.exit_code})"))
        ],
        "edges": [edge("a", "b"), edge_on("a", "error", "h")]
    });
    let end = run(document).await.unwrap();
    assert_eq!(end.last_node, "h");
    assert!(printed(&end).ends_with("(3)"), "{}", printed(&end));

    // A template that leads nowhere is a failure of the node like any other.
    let document = json!({
        "nodes": [shell("s", "echo '{\"a\": 1}'"), echo("a", json!("${s.stdout.b}")), echo("h", json!("${a.error}"))],
        "edges": [edge("s", "a"), edge_on("a", "error", "h")]
    });
    let end = run(document).await.unwrap();
    let handled = end.outputs.named("h.echo").unwrap();
    assert!(text_of(&handled).contains("has no member `b`"), "{handled}");

    let ok = json!({"nodes": [shell("a", "echo ok"), echo("h", json!("x"))], "edges": [edge_on("a", "error", "h")]});
    assert_eq!(printed(&run(ok).await.unwrap()), "ok");
    let to_end = json!({"nodes": [shell("a", "exit 1"), echo("h", json!("x"))],
        "edges": [edge("a", "h"), edge_on("a", "error", "end")]});
    run(to_end).await.unwrap();
}

#[tokio::test]
async fn batches_keep_order_and_sort_failures_out() {
    let batch = |handling: &str, parallel: bool| {
        json!({
            "inputs": {"items": {"type": "array", "default": [3, 1, "x"]}},
            "nodes": [
                {"id": "each", "type": "shell",
                 "params": {"command": "test ${it} != x && sleep 0.0${it} && echo ${__index__}:${it}"},
                 "batch": {"items": "${items}", "as": "it", "error_handling": handling, "parallel": parallel}},
                echo("all", json!({"r": "${each.results}", "c": "${each.count}", "s": "${each.success_count}",
                    "e": "${each.error_count}", "errors": "${each.errors}", "m": "${each.batch_metadata}"}))
            ],
            "edges": [edge("each", "all")]
        })
    };
    for parallel in [false, true] {
        let end = run(batch("continue", parallel)).await.unwrap();
        let all = end.outputs.named("all.echo").unwrap();
        assert_eq!(
            (&all["c"], &all["s"], &all["e"]),
            (&json!(3), &json!(2), &json!(1))
        );
        assert_eq!(all["r"][0]["stdout"], "0:3");
        assert_eq!(all["r"][1]["stdout"], "1:1");
        assert_eq!(all["r"][0]["item"], 3);
        assert_eq!(all["errors"][0]["index"], 2);
        assert_eq!(all["errors"][0]["item"], "x");
        assert_eq!(all["m"]["parallel"], parallel);
        let error = run(batch("fail_fast", parallel)).await.unwrap_err();
        assert!(error.to_string().starts_with("item 3 of 3 failed"), "{error}");
    }
}

#[tokio::test]
async fn parallel_items_run_side_by_side() {
    let document = json!({"nodes": [{"id": "a", "type": "shell", "params": {"command": "sleep 0.4"},
        "batch": {"items": [1, 2, 3, 4, 5, 6], "parallel": true, "max_concurrent": 6}}]});
    let begun = Instant::now();
    run(document).await.unwrap();
    assert!(
        begun.elapsed() < Duration::from_millis(1500),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn an_empty_batch_and_items_with_templates() {
    let document = json!({
        "inputs": {"none": {"type": "array", "default": []}, "x": {"default": 7}},
        "nodes": [
            {"id": "a", "type": "echo", "params": {"message": "${item}"}, "batch": {"items": "${none}"}},
            {"id": "b", "type": "echo", "params": {"message": "${item.v}"}, "batch": {"items": [{"v": "${x}"}, {"v": 8}]}},
            echo("c", json!(["${a.count}", "${b.results[0].echo}", "${b.results[1].item.v}"]))
        ],
        "edges": [edge("a", "b"), edge("b", "c")]
    });
    assert_eq!(*run(document).await.unwrap().outputs.result(), json!([0, 7, 8]));
}

#[tokio::test]
async fn loops_carry_values_until_the_condition_holds() {
    let body = |repeat: Value| {
        json!({
            "nodes": [
                {"id": "count", "type": "code", "params": {
                    "inputs": {"n": 0}, "code": "result = {'n': n + 1, 'more': n < 3}"}, "loop": repeat},
                echo("after", json!(["${count.result.n}", "${count.loop_stopped}"]))
            ],
            "edges": [edge("count", "after")]
        })
    };
    let carry = json!({"n": "${self.result.n}"});
    let end = run(body(json!({"while": "${count.result.more}", "carry": carry})))
        .await
        .unwrap();
    assert_eq!(*end.outputs.named("after.echo").unwrap(), json!([4, "condition"]));
    let carry = json!({"n": "${count.result.n}"});
    let end = run(body(
        json!({"until": "${self.result.never ?? false}", "carry": carry, "max_iterations": 2}),
    ))
    .await;
    assert_eq!(
        *end.unwrap().outputs.named("after.echo").unwrap(),
        json!([2, "max_iterations"])
    );
}

#[tokio::test]
async fn branches_from_one_node_run_side_by_side_and_join() {
    let document = json!({
        "nodes": [echo("s", json!(1)), shell("a", "sleep 0.3; echo a"), shell("b", "sleep 0.3; echo b"),
            echo("j", json!("${a.stdout}${b.stdout}"))],
        "edges": [edge("s", "a"), edge("s", "b"), edge("a", "j"), edge("b", "j")]
    });
    let begun = Instant::now();
    let end = run(document).await.unwrap();
    assert_eq!(*end.outputs.named("j.echo").unwrap(), json!("ab"));
    assert!(
        begun.elapsed() < Duration::from_millis(580),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn nested_workflows_have_a_store_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let child = json!({
        "inputs": {"text": {"type": "string"}, "n": {"type": "integer", "default": 2}},
        "nodes": [echo("e", json!("${text}-${n}"))],
        "outputs": {"said": {"source": "${e.echo}"}}
    });
    let plain = json!({"nodes": [shell("s", "echo plain")]});
    let failing = json!({"nodes": [shell("s", "echo no >&2; exit 9")]});
    for (name, document) in [("child", &child), ("plain", &plain), ("failing", &failing)] {
        std::fs::write(folder.path().join(format!("{name}.json")), document.to_string()).unwrap();
    }
    let nested = |id: &str, params: Value| json!({"id": id, "type": "workflow", "params": params});
    let parent = json!({
        "inputs": {"which": {"type": "string", "default": "./child.json"}},
        "nodes": [
            nested("one", json!({"workflow_path": "child.json", "inputs": {"text": "a", "n": "5"}})),
            nested("two", json!({"workflow_name": "plain"})),
            nested("three", json!({"workflow_path": "${which}", "inputs": {"text": "${two.result}"}})),
            nested("four", json!({"workflow_path": "failing.json"})),
            echo("all", json!(["${one.said}", "${two.result}", "${three.said}", "${four.error}", "${one.e ?? \"isolated\"}"]))
        ],
        "edges": [edge("one", "two"), edge("two", "three"), edge("three", "four"), edge_on("four", "error", "all")]
    });
    let options = LoadOptions {
        saved_workflows: Some(folder.path().to_path_buf()),
        ..options()
    };
    let workflow = Workflow::parse("parent", &parent.to_string(), folder.path(), &options);
    let workflow = workflow.unwrap_or_else(|error| panic!("{error}"));
    let inputs = workflow.prepare_inputs(&[], InputSources::default()).unwrap();
    let end = workflow.run(&context(), inputs).await.unwrap();
    let result = end.outputs.named("all.echo").unwrap();
    assert_eq!(result[0], "a-5");
    assert_eq!(result[1], "plain");
    assert_eq!(result[2], "plain-2");
    assert!(
        result[3]
            .as_str()
            .unwrap()
            .starts_with("nested workflow `failing` failed at node `s`"),
        "{}",
        result[3]
    );
    assert_eq!(result[4], "isolated");
}

#[tokio::test]
async fn a_template_that_nests_a_workflow_in_itself_is_refused_in_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("again.json");
    let document = json!({
        "inputs": {"path": {"default": "again.json"}},
        "nodes": [{"id": "a", "type": "workflow", "params": {"workflow_path": "${path}"}}]
    });
    std::fs::write(&path, document.to_string()).unwrap();
    let workflow = Workflow::load(&path, &options()).unwrap();
    assert_eq!(workflow.name(), "again");
    let inputs = workflow.prepare_inputs(&[], InputSources::default()).unwrap();
    let error = workflow.run(&context(), inputs).await.unwrap_err();
    assert!(error.to_string().contains("again.json → again.json"), "{error}");
}

#[tokio::test]
async fn retries_count_total_attempts() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let document = json!({"nodes": [{"id": "r", "type": "read-file", "params": {"file_path": folder.path().join("nope")},
        "retry": {"max": 3, "wait": 0.05}}, shell("l", &format!("echo x >> {}", log.display()))],
        "edges": [edge_on("r", "error", "l")]});
    run(document).await.unwrap();
    assert!(log.exists());
}

#[tokio::test]
async fn cancellation_reaches_the_running_node() {
    let workflow = workflow(&json!({"nodes": [shell("a", "sleep 20")]}));
    let token = CancellationToken::new();
    let cx = context().with_cancellation(token.clone());
    let begun = Instant::now();
    let (outcome, ()) = tokio::join!(workflow.run(&cx, serde_json::Map::new()), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        token.cancel();
    });
    assert!(outcome.unwrap_err().is_cancelled());
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn without_namespaces_outputs_lie_at_the_root() {
    let document = json!({
        "enable_namespacing": false,
        "nodes": [shell("a", "echo hi"), echo("b", json!("${stdout}!"))],
        "edges": [edge("a", "b")]
    });
    let end = run(document).await.unwrap();
    assert_eq!(*end.outputs.named("echo").unwrap(), json!("hi!"));
}

#[tokio::test]
async fn permissive_mode_keeps_what_leads_nowhere() {
    let nodes = json!([
        shell("a", "echo '{}'"),
        echo("b", json!("<${a.stdout.x}> ${nowhere.y}"))
    ]);
    let document =
        json!({"template_resolution_mode": "permissive", "nodes": nodes, "edges": [edge("a", "b")]});
    assert_eq!(
        *run(document).await.unwrap().outputs.named("echo").unwrap(),
        json!("<${a.stdout.x}> ${nowhere.y}")
    );
}

#[tokio::test]
async fn large_values_are_not_copied_for_texts() {
    let document = json!({
        "inputs": {"big": {"type": "array"}},
        "nodes": [echo("a", json!("${big[99999]}"))],
        "outputs": {"big": {"source": "${big}"}}
    });
    let workflow = workflow(&document);
    let big: Vec<Value> = (0..100_000)
        .map(|n| json!({"n": n, "text": "x".repeat(100)}))
        .collect();
    let inputs = serde_json::Map::from_iter([("big".to_owned(), Value::Array(big))]);
    let end = workflow.run(&context(), inputs).await.unwrap();
    let declared: Arc<Value> = Arc::clone(&end.outputs.declared()[0].1);
    assert_eq!(declared[99_999]["n"], 99_999);
}

fn inputs_of(document: &Value, args: &[(&str, &str)], stdin: Option<&str>) -> Result<Value, String> {
    let workflow = workflow(document);
    let args: Vec<(String, String)> = args
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect();
    let environment = |name: &str| (name == "token").then(|| "from environment".to_owned());
    let settings = |name: &str| (name == "level").then(|| json!(4));
    let sources = InputSources {
        stdin: stdin.map(str::to_owned),
        environment: Some(&environment),
        settings: Some(&settings),
    };
    workflow
        .prepare_inputs(&args, sources)
        .map(Value::Object)
        .map_err(|error| error.to_string())
}

#[test]
fn inputs_are_coerced_and_completed() {
    let document = json!({
        "inputs": {
            "text": {"type": "string", "stdin": true}, "n": {"type": "integer"}, "x": {"type": "number"}, "on": {"type": "boolean"},
            "list": {"type": "array"}, "any": {}, "token": {"type": "string"}, "level": {"type": "integer"},
            "opt": {"required": false}, "d": {"default": 5}
        },
        "nodes": [echo("a", json!("x"))]
    });
    let args = [
        ("text", "007"),
        ("n", "7"),
        ("x", "1.5"),
        ("on", "True"),
        ("list", "[1, 2]"),
        ("any", "{\"a\": 1}"),
    ];
    assert_eq!(
        inputs_of(&document, &args, None).unwrap(),
        json!({"text": "007", "n": 7, "x": 1.5, "on": true, "list": [1, 2], "any": {"a": 1},
            "token": "from environment", "level": 4, "opt": null, "d": 5})
    );
    let error = inputs_of(
        &document,
        &[("txt", "1"), ("n", "many"), ("x", "1"), ("on", "true")],
        None,
    )
    .unwrap_err();
    expect_test::expect![[r#"
        there is no input `txt`; did you mean `text`? inputs: text, n, x, on, list, any, token, level, opt, d
        input `text` (string) is missing; it may be piped in
        input `n` is of type integer, but "many" is of type string
        input `list` (array) is missing
        input `any` (any) is missing"#]]
    .assert_eq(&error);
}

#[test]
fn standard_input_goes_to_the_input_that_asks_for_it() {
    let document = json!({"inputs": {"text": {"type": "string", "stdin": true}}, "nodes": [echo("a", json!("${text}"))]});
    assert_eq!(
        inputs_of(&document, &[], Some("a\n\n")).unwrap(),
        json!({"text": "a\n"})
    );
    assert!(
        inputs_of(&document, &[("text", "b")], Some("a"))
            .unwrap_err()
            .contains("given twice")
    );
    let document = json!({"inputs": {"text": {"default": "x"}}, "nodes": [echo("a", json!("${text}"))]});
    let error = inputs_of(&document, &[], Some("a")).unwrap_err();
    assert!(
        error.starts_with("something is piped in, but no input takes standard input"),
        "{error}"
    );
}

#[test]
fn unreadable_files_are_not_invalid_ones() {
    let error = Workflow::load(Path::new("no/such.json"), &options())
        .err()
        .unwrap();
    assert!(matches!(error, LoadError::Unreadable { .. }));
}

#[tokio::test]
async fn every_node_is_metered_with_its_parameters_and_templates() {
    let folder = tempfile::tempdir().unwrap();
    let trace_path = folder.path().join("trace.json");
    let child = json!({"inputs": {"x": {}}, "nodes": [echo("e", json!("child ${x}"))]});
    std::fs::write(folder.path().join("child.json"), child.to_string()).unwrap();
    let document = json!({
        "nodes": [
            echo("a", json!("first")),
            {"id": "each", "type": "workflow", "params": {"workflow_path": "child.json", "inputs": {"x": "${item}"}},
             "batch": {"items": ["${a.echo}", 2], "parallel": true}}
        ],
        "edges": [edge("a", "each")]
    });
    let workflow = Workflow::parse("parent", &document.to_string(), folder.path(), &options());
    let workflow = workflow.unwrap_or_else(|error| panic!("{error}"));
    let meter = flowmeter::RunMeter::builder("parent")
        .trace_file(&trace_path)
        .start()
        .unwrap();
    let cx = meter.context(SharedStore::new().root());
    let outcome = workflow.run(&cx, serde_json::Map::new()).await;
    drop(cx);
    let report = meter.finish(outcome.as_ref());
    let end = outcome.unwrap();
    assert_eq!(end.outputs.named("results").unwrap()[0]["result"], "child first");
    assert_eq!(report.metrics.nodes_executed, 4);
    let trace: Value = serde_json::from_str(&std::fs::read_to_string(&trace_path).unwrap()).unwrap();
    let text = trace.to_string();
    for expected in [
        "${item}",
        "child ${x}",
        "child first",
        "workflow.child",
        "node.echo",
    ] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
}
