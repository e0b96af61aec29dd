//! What belongs to what: by ids, by order, by name.

use expect_test::expect;

use super::formats::{HUMAN, config, formatted, formatted_with, tree};
use crate::events::{EventFormat, EventFormatterConfig};

#[test]
fn without_ids_nesting_follows_order() {
    let text = r#"{"type":"workflow_start","workflow_id":"outer"}
{"type":"node_start","node":{"id":"a","type":"t"}}
{"type":"node_start","node":{"id":"b","type":"u"}}
{"type":"custom","name":"cache_hit","attributes":{"key": "k1", "age_s": 3}}
{"type":"node_end","result":"ok"}
{"type":"workflow_start","workflow_id":"inner"}
{"type":"node_start","node":{"id":"c","type":"v"}}
{"type":"log","level":"WARN","message":"two\nlines"}
{"type":"node_end","result":"failed","error":{"type":"timeout","message":"too slow","chain":["deadline passed"]}}
{"type":"workflow_end","status":"error"}
{"type":"node_end","result":"success"}
{"type":"workflow_end"}
"#;
    expect![[r#"
        Workflow Trace: beeb8da1658eec67f893a2eefb32555e
        → workflow.start
          → node.t [a]
            → node.u [b]
              [CUSTOM] cache_hit {"key": "k1", "age_s": 3}
            ← node.u ✓
            → workflow.start [inner]
              → node.v [c]
                [WARN] two
                  lines
                error: too slow
                  caused by: deadline passed
              ← node.v ✗
            ← workflow.end ✗
          ← node.t ✓
        ← workflow.end

        Summary:
        - Total Duration: unknown
        - Nodes Executed: 3
        - Success Rate: 66.7%
    "#]]
    .assert_eq(&tree(text));
}

#[test]
fn ends_find_their_beginnings_by_id() {
    let text = r#"{"type":"workflow_start","workflow_id":"w","trace_id":"t1","span_id":"root","timestamp":1000000}
{"type":"node_start","node":{"id":"a","type":"t"},"span_id":"s1","parent_span_id":"root","timestamp":2000000}
{"type":"node_start","node":{"id":"b","type":"t"},"span_id":"s2","parent_span_id":"root","timestamp":3000000}
{"type":"log","message":"in a","span_id":"s1"}
{"type":"log","message":"in b","span_id":"s2"}
{"type":"log","message":"in the innermost"}
{"type":"node_end","result":"success","span_id":"s1","timestamp":12000000}
{"type":"log","message":"in b still","span_id":"s2"}
{"type":"node_end","result":"cancelled","span_id":"s2","timestamp":13000000}
{"type":"workflow_end","span_id":"root","timestamp":14000000}
"#;
    expect![[r#"
        Workflow Trace: t1
        → workflow.start [1970-01-01 00:00:00]
          → node.t [a]
          → node.t [b]
            [INFO] [a] in a
            [INFO] [b] in b
            [INFO] in the innermost
          ← node.t [a] (10.0ms) ✓
            [INFO] [b] in b still
          ← node.t (10.0ms) ✗ cancelled
        ← workflow.end (13.0ms)

        Summary:
        - Total Duration: 13.0ms
        - Nodes Executed: 2
        - Success Rate: 50%
    "#]]
    .assert_eq(&tree(text));
}

#[test]
fn with_ids_but_without_parents_nodes_stand_beside_each_other() {
    let text = r#"{"type":"workflow_start"}
{"type":"node_start","node":{"id":"a","type":"t"},"span_id":"s1"}
{"type":"node_start","node":{"id":"b","type":"t"},"span_id":"s2"}
{"type":"node_end","result":"success","span_id":"s1"}
{"type":"node_end","result":"success","span_id":"s2"}
{"type":"workflow_end"}
"#;
    expect![[r#"
        Workflow Trace: beeb8da1658eec67f893a2eefb32555e
        → workflow.start
          → node.t [a]
          → node.t [b]
          ← node.t [a] ✓
          ← node.t [b] ✓
        ← workflow.end

        Summary:
        - Total Duration: unknown
        - Nodes Executed: 2
        - Success Rate: 100%
    "#]]
    .assert_eq(&tree(text));
}

#[test]
fn nodes_without_ids_may_end_by_name() {
    let text = r#"{"type":"workflow_start"}
{"type":"node_start","node":{"id":"a","type":"t"}}
{"type":"node_start","node":{"id":"b","type":"t"}}
{"type":"node_end","result":"success","node":{"id":"a"}}
{"type":"node_end","result":"success","node":"b"}
{"type":"workflow_end"}
"#;
    expect![[r#"
        Workflow Trace: beeb8da1658eec67f893a2eefb32555e
        → workflow.start
          → node.t [a]
            → node.t [b]
          ← node.t [a] ✓
            ← node.t [b] ✓
        ← workflow.end

        Summary:
        - Total Duration: unknown
        - Nodes Executed: 2
        - Success Rate: 100%
    "#]]
    .assert_eq(&tree(text));
}

#[test]
fn an_error_marks_the_node_it_names() {
    let text = r#"{"type":"workflow_start"}
{"type":"node_start","node":{"id":"a","type":"t"}}
{"type":"node_start","node":{"id":"b","type":"t"}}
{"type":"error","message":"boom","node":{"id":"a"}}
{"type":"error","message":"only told"}
{"type":"node_end","result":"success"}
{"type":"node_end","result":"success"}
{"type":"error","message":"too late","node":{"id":"a"}}
{"type":"workflow_end"}
"#;
    expect![[r#"
        Workflow Trace: beeb8da1658eec67f893a2eefb32555e
        → workflow.start
          → node.t [a]
            → node.t [b]
            [ERROR] [a] boom
              [ERROR] [a/b] only told
            ← node.t ✓
          ← node.t ✗
          [ERROR] too late [a]
        ← workflow.end

        Summary:
        - Total Duration: unknown
        - Nodes Executed: 2
        - Success Rate: 50%
    "#]]
    .assert_eq(&tree(text));
}

#[test]
fn a_line_that_ends_a_span_may_be_all_there_is_of_it() {
    let text = r#"{"type":"workflow_start","span_id":"r","timestamp":1000000}
{"type":"span_end","kind":"custom","operation":"cleanup","status":"ok","span_id":"c","parent_span_id":"r","start_time":2000000,"timestamp":5000000}
{"type":"span_start","kind":"custom","operation":"cleanup","span_id":"c","parent_span_id":"r","timestamp":2000000}
{"type":"workflow_end","span_id":"r","timestamp":9000000}
"#;
    expect![[r#"
        Workflow Trace: beeb8da1658eec67f893a2eefb32555e
        → workflow.start [1970-01-01 00:00:00]
          → cleanup
          ← cleanup (3.0ms) ✓
        ← workflow.end (8.0ms)

        Summary:
        - Total Duration: 8.0ms
        - Nodes Executed: 0
        - Success Rate: 100%
    "#]]
    .assert_eq(&tree(text));
}

#[test]
fn what_comes_before_any_workflow_is_shown() {
    let text = r#"{"type":"log","message":"starting up"}
{"type":"workflow_start","workflow_id":"w"}
{"type":"workflow_end"}
"#;
    expect![[r#"
        Workflow Trace: beeb8da1658eec67f893a2eefb32555e
        [INFO] starting up
        → workflow.start
        ← workflow.end

        Summary:
        - Total Duration: unknown
        - Nodes Executed: 0
        - Success Rate: 100%
    "#]]
    .assert_eq(&tree(text));
    let nodes = r#"{"type":"node_start","node":{"id":"a","type":"t"}}
{"type":"node_end","result":"success","duration_ms":12.5}
"#;
    expect![[r#"
        Workflow Trace: beeb8da1658eec67f893a2eefb32555e
        → node.t [a]
        ← node.t (12.5ms) ✓

        Summary:
        - Total Duration: unknown
        - Nodes Executed: 1
        - Success Rate: 100%
    "#]]
    .assert_eq(&tree(nodes));
}

#[test]
fn calls_and_their_spend_are_shown() {
    let text = r#"{"type":"workflow_start"}
{"type":"node_start","node":{"id":"ask","type":"llm"}}
{"type":"span_start","kind":"llm_call","operation":"chat gpt-4o","attributes":{"gen_ai.request.model":"gpt-4o"}}
{"type":"span_end","kind":"llm_call","duration_ms":120,"attributes":{"gen_ai.usage.input_tokens":1200,"gen_ai.usage.output_tokens":85,"flowmeter.cost.usd":0.0089}}
{"type":"node_end","result":"success"}
{"type":"node_start","node":{"id":"other","type":"agent"}}
{"type":"node_end","result":"success","attributes":{"gen_ai.usage.input_tokens":10,"gen_ai.usage.output_tokens":5,"flowmeter.cost.status":"unpriced"}}
{"type":"workflow_end"}
"#;
    expect![[r#"
        Workflow Trace: beeb8da1658eec67f893a2eefb32555e
        → workflow.start
          → node.llm [ask]
            → chat gpt-4o
            ← chat gpt-4o (120.0ms) ✓ 1200 in, 85 out, $0.0089
          ← node.llm ✓
          → node.agent [other]
          ← node.agent ✓ 10 in, 5 out, unpriced
        ← workflow.end

        Summary:
        - Total Duration: unknown
        - Nodes Executed: 2
        - Success Rate: 100%
        - LLM Calls: 2
        - Tokens: 1300 (1210 in + 90 out)
        - Cost: ≥ $0.0089 (+1 unpriced)
    "#]]
    .assert_eq(&tree(text));
}

#[test]
fn depth_has_no_limit_but_the_indent_has() {
    let mut text = String::from("{\"type\":\"workflow_start\"}\n");
    for index in 0..100_000 {
        text.push_str(&format!(
            "{{\"type\":\"node_start\",\"node\":{{\"id\":\"n{index}\",\"type\":\"t\"}}}}\n"
        ));
    }
    text.push_str(&"{\"type\":\"node_end\",\"result\":\"success\"}\n".repeat(100_000));
    text.push_str("{\"type\":\"workflow_end\"}\n");
    let shown = tree(&text);
    assert!(shown.contains("- Nodes Executed: 100000\n"));
    assert!(shown.lines().all(|line| line.chars().count() < 250));
}

#[test]
fn there_is_room_for_so_many_open_spans_and_no_more() {
    let small = EventFormatterConfig {
        open_spans_max: 2,
        ..config(HUMAN)
    };
    let text = r#"{"type":"workflow_start"}
{"type":"node_start","node":{"id":"a","type":"t"}}
{"type":"node_start","node":{"id":"b","type":"t"}}
{"type":"node_end","result":"success"}
{"type":"workflow_end"}
"#;
    let (shown, problems) = formatted_with(small, text.as_bytes());
    expect![[r#"
        3: more than 2 spans are open at once; the line is left out
    "#]]
    .assert_eq(&problems);
    assert!(shown.contains("← node.t ✓"), "{shown}");
}

#[test]
fn nodes_of_nested_workflows_are_counted_by_their_paths() {
    let text = r#"{"type":"workflow_start"}
{"type":"node_start","node":{"id":"outer","type":"workflow"}}
{"type":"workflow_start","workflow_id":"inner"}
{"type":"node_start","node":{"id":"ask","type":"llm"}}
{"type":"span_start","kind":"llm_call","operation":"chat m","attributes":{"gen_ai.request.model":"m"}}
{"type":"span_end","kind":"llm_call","attributes":{"gen_ai.usage.input_tokens":7}}
{"type":"node_end","result":"success"}
{"type":"workflow_end"}
{"type":"node_end","result":"success"}
{"type":"workflow_end"}
"#;
    let (metrics, problems) = formatted(EventFormat::Metrics, text);
    assert_eq!(problems, "");
    let metrics: serde_json::Value = serde_json::from_str(&metrics).unwrap();
    let nodes: Vec<&String> = metrics["nodes"].as_object().unwrap().keys().collect();
    assert_eq!(nodes, ["outer/ask", "outer"]);
    assert_eq!(metrics["nodes"]["outer/ask"]["tokens"]["input"], 7);
    assert_eq!(metrics["workflow_count"], 1);
}
