//! A run and those it calls, or that call it: one trace.

use flowmeter_workflow::scripted_model::{Reply, Script};
use serde_json::{Value, json};

use crate::support::{Ended, Model, Sandbox};

const FLOWMETER: &str = env!("CARGO_BIN_EXE_flowmeter");
const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03";
const CALLERS_TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SHOW_CONTEXT: &str = "echo $TRACEPARENT/$TRACESTATE/$BAGGAGE";

/// The traces that were saved.
fn saved(sandbox: &Sandbox) -> Vec<Value> {
    let paths = sandbox.traces();
    paths
        .iter()
        .map(|path| serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
        .collect()
}

/// The span with this attribute.
fn span<'a>(trace: &'a Value, key: &str, value: &str) -> &'a Value {
    let mut spans = trace["spans"].as_array().unwrap().iter();
    spans
        .find(|span| span["attributes"][key] == value)
        .unwrap_or_else(|| panic!("no span with {key} {value}: {trace:#}"))
}

fn root(trace: &Value) -> &Value {
    let mut spans = trace["spans"].as_array().unwrap().iter();
    spans.find(|span| span["kind"] == "run").unwrap()
}

/// Runs a workflow of one node with these parameters, and more nodes beside; gives what it printed and its trace.
fn run_node(sandbox: &Sandbox, node_type: &str, params: &Value) -> (Ended, Value) {
    let node = json!({"id": "n", "type": node_type, "params": params});
    let file = sandbox.workflow("one.json", &json!({"nodes": [node]}));
    let trace = sandbox.path("one.trace.json");
    let ended = sandbox.run(&["run", &file, "--trace-file", trace.to_str().unwrap()]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let trace = serde_json::from_str(&std::fs::read_to_string(trace).unwrap()).unwrap();
    (ended, trace)
}

/// `traceparent` of a span of this trace.
fn parent_of(trace: &Value, span: &Value, flags: &str) -> String {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    format!(
        "00-{}-{}-{flags}",
        text(&trace["trace_id"]),
        text(&span["span_id"])
    )
}

#[test]
fn a_run_inside_a_shell_node_is_part_of_the_outer_trace() {
    let sandbox = Sandbox::new();
    let inner = sandbox.workflow(
        "inner.json",
        &json!({"nodes": [{"id": "say", "type": "echo", "params": {"message": "hi"}}]}),
    );
    let command = format!("{FLOWMETER} run {inner} --trace --quiet 2>/dev/null");
    let outer = sandbox.workflow(
        "outer.json",
        &json!({"nodes": [{"id": "call", "type": "shell", "params": {"command": command}}]}),
    );
    let ended = sandbox.run(&["run", &outer, "--trace"]);
    assert_eq!((ended.code, ended.out.as_str()), (0, "hi\n"), "{ended:?}");

    let traces = saved(&sandbox);
    let [outer, inner] = &traces[..] else {
        panic!("{} traces", traces.len());
    };
    assert_eq!(
        (&outer["workflow"], &inner["workflow"]),
        (&json!("outer"), &json!("inner"))
    );
    assert_eq!(outer["trace_id"], inner["trace_id"]);
    assert_eq!(root(outer).get("parent_span_id"), None);
    assert_eq!(
        root(inner)["parent_span_id"],
        span(outer, "node.id", "call")["span_id"]
    );

    let id = outer["trace_id"].as_str().unwrap();
    for wanted in [id, &id[..8], "last"] {
        let shown = sandbox.run(&["show", wanted]);
        assert_eq!(shown.code, 0, "{shown:?}");
        let outline: Vec<String> = shown
            .out
            .lines()
            .filter(|line| line.contains('→'))
            .map(|line| line.split(" [20").next().unwrap().to_owned())
            .collect();
        assert_eq!(
            outline,
            [
                "→ workflow.start",
                "  → node.shell [call]",
                "    → workflow.start",
                "      → node.echo [say]",
            ],
            "{}",
            shown.out
        );
        assert!(shown.out.contains("- Nodes Executed: 2\n"), "{}", shown.out);
        assert_eq!(
            shown.err,
            "note: 2 runs make up this trace; status and metrics are those of outer\n"
        );
    }
    let whole = sandbox.run(&["show", id, "--format", "json"]).json();
    assert_eq!(whole["workflow"], "outer");
    let spans = |trace: &Value| trace["spans"].as_array().unwrap().len();
    assert_eq!(spans(&whole), spans(outer) + spans(inner));
}

#[test]
fn runs_that_start_together_in_one_trace_have_files_of_their_own() {
    let sandbox = Sandbox::new();
    let inner = sandbox.workflow(
        "inner.json",
        &json!({"nodes": [{"id": "say", "type": "echo", "params": {"message": "hi"}}]}),
    );
    let command = format!("{FLOWMETER} run {inner} --trace --quiet 2>/dev/null");
    let outer = sandbox.workflow(
        "outer.json",
        &json!({"nodes": [{"id": "call", "type": "shell", "params": {"command": command},
                           "batch": {"items": [1, 2, 3, 4, 5, 6], "parallel": true, "max_concurrent": 6}}]}),
    );
    let ended = sandbox.run(&["run", &outer, "--trace"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let traces = saved(&sandbox);
    assert_eq!(traces.len(), 7);
    let items: Vec<&Value> = traces[0]["spans"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|span| span["kind"] == "batch_item")
        .map(|span| &span["span_id"])
        .collect();
    let mut callers: Vec<&Value> = traces[1..]
        .iter()
        .map(|trace| &root(trace)["parent_span_id"])
        .collect();
    assert!(
        callers.iter().all(|caller| items.contains(caller)),
        "{callers:?} {items:?}"
    );
    callers.sort_by_key(|caller| caller.as_str());
    callers.dedup();
    assert_eq!(callers.len(), 6);
}

#[test]
fn the_caller_in_the_environment_is_joined_and_carried_on() {
    let sandbox = Sandbox::new()
        .with("TRACEPARENT", CALLER)
        .with("TRACESTATE", "congo=t61,ot=th:c;x:y")
        .with("BAGGAGE", "user=al%20ice;p=1 , tier = gold");
    let (ended, trace) = run_node(&sandbox, "shell", &json!({"command": SHOW_CONTEXT}));
    assert_eq!(trace["trace_id"], CALLERS_TRACE);
    assert_eq!(root(&trace)["parent_span_id"], "00f067aa0ba902b7");
    let own = parent_of(&trace, span(&trace, "node.id", "n"), "03");
    assert_eq!(
        ended.out,
        format!("{own}/congo=t61,ot=th:c;x:y/user=al%20ice;p=1,tier=gold\n")
    );
}

#[test]
fn a_later_version_is_understood_and_what_only_it_knows_is_not_carried_on() {
    let later = format!("cc-{CALLERS_TRACE}-00f067aa0ba902b7-09-what-the-future-brings");
    let sandbox = Sandbox::new().with("TRACEPARENT", &later);
    let (ended, trace) = run_node(&sandbox, "shell", &json!({"command": SHOW_CONTEXT}));
    let own = parent_of(&trace, span(&trace, "node.id", "n"), "01");
    assert_eq!(ended.out, format!("{own}//\n"));
    assert_eq!(trace["trace_id"], CALLERS_TRACE);
}

#[test]
fn a_malformed_carrier_starts_a_new_trace_with_a_warning() {
    let sandbox = Sandbox::new()
        .with("TRACEPARENT", &CALLER.to_uppercase())
        .with("TRACESTATE", "congo=t61")
        .with("BAGGAGE", "no pair,tier=gold");
    let (ended, trace) = run_node(&sandbox, "shell", &json!({"command": SHOW_CONTEXT}));
    assert_ne!(trace["trace_id"], CALLERS_TRACE);
    assert_eq!(root(&trace).get("parent_span_id"), None);
    let own = parent_of(&trace, span(&trace, "node.id", "n"), "03");
    assert_eq!(ended.out, format!("{own}/ot=th:0/tier=gold\n"));
    for told in [
        "warning: TRACEPARENT `00-4BF92F3577B34DA6A3CE929D0E0E4736-00F067AA0BA902B7-03` is malformed: its trace id is \
         not 32 small hex digits, or all zero; starting a new trace\n",
        "warning: BAGGAGE is malformed in part: member 1: it has no `=`; going on without that\n",
    ] {
        assert!(ended.err.contains(told), "{}", ended.err);
    }
    let file = sandbox.path("one.json");
    let quiet = sandbox.run(&["run", file.to_str().unwrap(), "--quiet"]);
    assert_eq!((quiet.code, quiet.err.as_str()), (0, ""));
}

#[test]
fn a_malformed_state_is_left_behind_and_the_trace_joined() {
    let sandbox = Sandbox::new()
        .with("TRACEPARENT", CALLER)
        .with("TRACESTATE", "a=1,a=2");
    let (ended, trace) = run_node(&sandbox, "shell", &json!({"command": SHOW_CONTEXT}));
    let own = parent_of(&trace, span(&trace, "node.id", "n"), "03");
    assert_eq!(ended.out, format!("{own}//\n"));
    assert_eq!(trace["trace_id"], CALLERS_TRACE);
    let told = "TRACESTATE is malformed: the key of member 2 is there twice; going on without it";
    assert!(ended.err.contains(told), "{}", ended.err);
}

#[test]
fn shell_and_code_nodes_hand_on_their_own_span_unless_told_otherwise() {
    let sandbox = Sandbox::new()
        .with("TRACEPARENT", CALLER)
        .with("TRACESTATE", "congo=t61")
        .with("BAGGAGE", "tier=gold");
    let print = "import os\nresult = '/'.join(os.environ.get(n, '') for n in ('TRACEPARENT', 'TRACESTATE', 'BAGGAGE'))";
    let (ended, trace) = run_node(&sandbox, "code", &json!({"code": print}));
    let own = parent_of(&trace, span(&trace, "node.id", "n"), "03");
    assert_eq!(ended.out, format!("{own}/congo=t61/tier=gold\n"));

    let (ended, _) = run_node(&sandbox, "code", &json!({"code": print, "propagate": false}));
    assert_eq!(ended.out, "//\n");
    let (ended, _) = run_node(
        &sandbox,
        "shell",
        &json!({"command": SHOW_CONTEXT, "propagate": false}),
    );
    assert_eq!(ended.out, "//\n");
    let explicit = json!({"command": SHOW_CONTEXT, "env": {"TRACEPARENT": "mine", "BAGGAGE": "x=y"}});
    assert_eq!(run_node(&sandbox, "shell", &explicit).0.out, "mine//x=y\n");
    let explicit = json!({"command": SHOW_CONTEXT, "env": {"TRACESTATE": "mine=1"}});
    let (ended, trace) = run_node(&sandbox, "shell", &explicit);
    let own = parent_of(&trace, span(&trace, "node.id", "n"), "03");
    assert_eq!(ended.out, format!("{own}/mine=1/tier=gold\n"));
}

#[test]
fn a_second_attempt_calls_as_itself() {
    let sandbox = Sandbox::new();
    let command = "echo $TRACEPARENT; test -e done || { touch done; exit 1; }";
    let file = sandbox.workflow(
        "twice.json",
        &json!({"nodes": [{"id": "n", "type": "shell", "params": {"command": command},
                           "retry": {"max": 2, "wait": 0}}]}),
    );
    let ended = sandbox.run(&["run", &file, "--trace"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let trace = &saved(&sandbox)[0];
    let spans = trace["spans"].as_array().unwrap();
    let second = spans
        .iter()
        .find(|span| span["attributes"]["attempt.number"] == 2);
    assert_eq!(ended.out.trim_end(), parent_of(trace, second.unwrap(), "03"));
}

#[test]
fn a_nested_workflows_shell_node_hands_on_its_own_span() {
    let sandbox = Sandbox::new();
    let shell = json!({"id": "deep", "type": "shell", "params": {"command": SHOW_CONTEXT}});
    sandbox.workflow(
        "child.json",
        &json!({"nodes": [shell], "outputs": {"seen": {"source": "${deep.stdout}"}}}),
    );
    let file = sandbox.workflow(
        "outer.json",
        &json!({"nodes": [{"id": "nest", "type": "workflow", "params": {"workflow_path": "child.json"}}],
                "outputs": {"seen": {"source": "${nest.seen}"}}}),
    );
    let ended = sandbox.run(&["run", &file, "--trace"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let trace = &saved(&sandbox)[0];
    let own = parent_of(trace, span(trace, "node.id", "deep"), "03");
    assert_eq!(ended.out.trim_end(), format!("{own}/ot=th:0/"));
}

/// The headers of the only request that the model got.
fn headers(model: &Model) -> [Option<String>; 3] {
    let mut requests = model.server.requests();
    let request = requests.pop().unwrap();
    ["traceparent", "tracestate", "baggage"].map(|name| request.header(name).map(str::to_owned))
}

fn expected(parent: &str, state: &str, baggage: Option<&str>) -> [Option<String>; 3] {
    [
        Some(parent.to_owned()),
        Some(state.to_owned()),
        baggage.map(str::to_owned),
    ]
}

#[test]
fn http_requests_carry_the_trace_unless_told_otherwise() {
    let model = Model::new(Script::new());
    let url = format!("{}/chat/completions", model.server.openai_base_url());
    let sandbox = Sandbox::asking(&model).with("BAGGAGE", "tier=gold");
    let (_, trace) = run_node(&sandbox, "http", &json!({"url": url, "body": {}}));
    let own = |trace: &Value| parent_of(trace, span(trace, "node.id", "n"), "03");
    assert_eq!(
        headers(&model),
        expected(&own(&trace), "ot=th:0", Some("tier=gold"))
    );

    run_node(
        &sandbox,
        "http",
        &json!({"url": url, "body": {}, "propagate": false}),
    );
    assert_eq!(headers(&model), [None, None, None]);
    let without = json!({"url": url, "body": {}, "propagate_baggage": false});
    let (_, trace) = run_node(&sandbox, "http", &without);
    assert_eq!(headers(&model), expected(&own(&trace), "ot=th:0", None));
    let explicit = json!({"url": url, "body": {}, "headers": {"TraceParent": "mine"}});
    run_node(&sandbox, "http", &explicit);
    assert_eq!(
        headers(&model),
        [Some("mine".to_owned()), None, Some("tier=gold".to_owned())]
    );
}

#[test]
fn llm_calls_carry_the_trace_as_called_by_their_own_span() {
    let model = Model::new(Script::new().otherwise(|_| Reply::text("yes")));
    let sandbox = Sandbox::asking(&model).with("BAGGAGE", "tier=gold");
    for (name, stream) in [
        ("demo-small", true),
        ("demo-small", false),
        ("anthropic/claude-sonnet-4-5", true),
        ("ollama/llama3", false),
        ("gemini/gemini-2.5-flash", true),
    ] {
        let sandbox = Sandbox::asking(&model)
            .with("BAGGAGE", "tier=gold")
            .with("ANTHROPIC_BASE_URL", &model.server.anthropic_base_url())
            .with("ANTHROPIC_API_KEY", "k")
            .with("OLLAMA_HOST", &model.server.ollama_host())
            .with("GOOGLE_GEMINI_BASE_URL", &model.server.gemini_base_url())
            .with("GEMINI_API_KEY", "k");
        let (_, trace) = run_node(
            &sandbox,
            "llm",
            &json!({"prompt": "p", "model": name, "stream": stream}),
        );
        let spans = trace["spans"].as_array().unwrap();
        let call = spans.iter().find(|span| span["kind"] == "llm_call").unwrap();
        let own = parent_of(&trace, call, "03");
        assert_eq!(
            headers(&model),
            expected(&own, "ot=th:0", Some("tier=gold")),
            "{name}"
        );
    }
    let params = json!({"prompt": "p", "model": "demo-small", "propagate": false});
    run_node(&sandbox, "llm", &params);
    assert_eq!(headers(&model), [None, None, None]);
    let params = json!({"prompt": "p", "model": "demo-small", "propagate_baggage": false});
    run_node(&sandbox, "llm", &params);
    let [parent, state, baggage] = headers(&model);
    assert!(parent.is_some() && state.is_some());
    assert_eq!(baggage, None);
}

#[test]
fn a_wish_that_cannot_be_meant_is_found_before_anything_is_sent() {
    let model = Model::new(Script::new().otherwise(|_| Reply::text("yes")));
    let sandbox = Sandbox::asking(&model);
    let params = json!({"prompt": "p", "model": "demo-small", "propagate": "${wish.echo}"});
    let file = sandbox.workflow(
        "llm.json",
        &json!({"nodes": [{"id": "wish", "type": "echo", "params": {"message": "perhaps"}},
                          {"id": "n", "type": "llm", "params": params}],
                "edges": [{"from": "wish", "to": "n"}]}),
    );
    let ended = sandbox.run(&["run", &file, "--output-format", "json"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(
        ended.out.contains("parameter `propagate` is of type boolean"),
        "{}",
        ended.out
    );
    assert_eq!(model.server.calls(), 0);
}

#[test]
fn a_run_without_spans_stands_aside() {
    let sandbox = Sandbox::new()
        .with("TRACEPARENT", CALLER)
        .with("TRACESTATE", "congo=t61")
        .with("FLOWMETER_CAPTURE_LEVEL", "off");
    let file = sandbox.workflow(
        "one.json",
        &json!({"nodes": [{"id": "n", "type": "shell", "params": {"command": SHOW_CONTEXT}}]}),
    );
    assert_eq!(sandbox.run(&["run", &file]).out, format!("{CALLER}/congo=t61/\n"));
    let alone = Sandbox::new().with("FLOWMETER_CAPTURE_LEVEL", "off");
    let file = alone.workflow(
        "one.json",
        &json!({"nodes": [{"id": "n", "type": "shell", "params": {"command": SHOW_CONTEXT}}]}),
    );
    assert_eq!(alone.run(&["run", &file]).out, "//\n");
}
