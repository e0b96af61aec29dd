//! What is said about lines that are wrong, and what is formatted all the same.

use expect_test::expect;

use super::formats::{HUMAN, config, formatted, formatted_with};
use crate::events::{EventFormat, EventFormatter, EventFormatterConfig, FormatError};

const FAULTY: &str = r#"{"type":"workflow_start","workflow_id":"w"}

{"type":"nod_start","node":{"id":"x","type":"t"}}
{"type":"frobnicate"}
{"type":5}
{"message":"no type"}
{bad
[1,2]
"text"
{"type":"log","message":"cut off
{"type":"log"}
{"type":"log","level":"loud","message":"hm"}
{"type":"log","level":"info","message":["no text"]}
{"type":"log","message":"t","timestamp":"yesterday"}
{"type":"log","message":"t","timestamp":-5,"span_id":7,"attributes":[1]}
{"type":"node_start"}
{"type":"node_end","result":"success"}
{"type":"node_start","node":{"id":"only"}}
{"type":"node_end","result":{"not":"a word"}}
{"type":"node_end","result":"success"}
{"type":"span_end","operation":"never"}
{"type":"error"}
{"type":"custom","attributes":{}}
{"type":"log","level":"INFO","level":"WARN","message":"twice"}
{"type":"span_start","kind":"llm","operation":"x"}
{"type":"node_start","node":{"id":"left","type":"open"}}
{"type":"workflow_end","duration_ms":"long"}
{"type":"workflow_end"}
{"type":"node_end","node":{"id":"nobody"},"result":"success"}
"#;

#[test]
fn every_problem_names_its_line_and_what_was_expected() {
    let (_, problems) = formatted(HUMAN, FAULTY);
    expect![[r#"
        3: unknown event type `nod_start` (did you mean `node_start`?); known are workflow_start, node_start, log, node_end, error, custom, workflow_end, span_start, span_end
        4: unknown event type `frobnicate`; known are workflow_start, node_start, log, node_end, error, custom, workflow_end, span_start, span_end
        5: unknown event type `5`; known are workflow_start, node_start, log, node_end, error, custom, workflow_end, span_start, span_end
        6: `type` is missing: an event line names one of workflow_start, node_start, log, node_end, error, custom, workflow_end, span_start, span_end
        7: this line is not valid JSON: key must be a string at column 2; it is left out
        8: this line is not valid JSON: invalid type: sequence, expected a JSON object; it is left out
        9: this line is not valid JSON: invalid type: string "text", expected a JSON object at column 6; it is left out
        10: this line is not valid JSON: it ends too early (EOF while parsing a string) at column 32; it is left out
        11: `log` lines need `message`, a text
        12: `loud` is no log level: trace, debug, info, warn or error is wanted; it is shown as INFO
        13: `message` is a list, where a text is wanted; the line is taken without it
        14: `timestamp` is "yesterday", where a number of nanoseconds since 1970 is wanted; the line is taken without it
        15: `attributes` is a list, where an object is wanted; the line is taken without it
        15: `timestamp` is -5, where a number of nanoseconds since 1970 is wanted; the line is taken without it
        15: `span_id` is 7, where a text is wanted; the line is taken without it
        16: `node_start` lines need `node`, an object with `id` and `type`
        18: `node_start` lines need `node.type`, a text
        19: `result` is an object, where `success`, `error` or `cancelled` is wanted; the line is taken without it
        20: unbalanced `node_end`: no node is open; a `node_start` line before this one is missing
        21: unbalanced `span_end`: span `never` is not open; a `span_start` line before this one is missing
        22: `error` lines need `message`, a text
        23: `custom` lines need `name`, a text
        24: `level` is given more than once; the last one counts
        25: `llm` is no kind of span: run, node, attempt, batch_item, iteration, workflow, llm_call or custom is wanted; it is taken as custom
        27: `duration_ms` is "long", where a number of milliseconds is wanted; the line is taken without it
        25: unbalanced `span_start`: span `x` never ends; a `span_end` line for it is missing
        26: unbalanced `node_start`: node `left` never ends; a `node_end` line for it is missing
        28: unbalanced `workflow_end`: no workflow is open; a `workflow_start` line before this one is missing
        29: unbalanced `node_end`: node `nobody` is not open; a `node_start` line before this one is missing
    "#]].assert_eq(&problems);
}

#[test]
fn the_rest_is_formatted_all_the_same() {
    let (shown, _) = formatted(HUMAN, FAULTY);
    expect![[r#"
        Workflow Trace: beeb8da1658eec67f893a2eefb32555e
        → workflow.start
          [INFO] ?
          [INFO] hm
          [INFO] ?
          [INFO] t
          [INFO] t
          → node.? [?]
          ← node.? ✓
          → node.? [only]
          ← node.? ✗
          [ERROR] ?
          [CUSTOM] ?
          [WARN] twice
          → x
            → node.open [left]
            ← node.open (not finished)
          ← x (not finished)
        ← workflow.end

        Summary:
        - Total Duration: unknown
        - Nodes Executed: 2 (and 1 that had not ended)
        - Success Rate: 50%
        - This is not all of it: some of what began has no end in the events.
    "#]]
    .assert_eq(&shown);
}

#[test]
fn strict_stops_at_the_first() {
    let text = r#"{"type":"workflow_start","workflow_id":"w"}
{"type":"node_start","node":{"id":"a","type":"t"}}
{"type":"node_end","result":"success"}
{"type":"oops"}
{"type":"log","message":"never seen"}
{"type":"workflow_end"}
"#;
    let strict = |format| EventFormatterConfig {
        strict: true,
        ..config(format)
    };
    let (shown, problems) = formatted_with(strict(HUMAN), text.as_bytes());
    assert_eq!(problems.lines().count(), 1);
    expect![[r#"
        Workflow Trace: beeb8da1658eec67f893a2eefb32555e
        → workflow.start
          → node.t [a]
          ← node.t ✓
    "#]]
    .assert_eq(&shown);
    // A document that was begun is completed, and says what it is.
    let (shown, problems) = formatted_with(strict(EventFormat::Json), text.as_bytes());
    assert_eq!(problems.lines().count(), 1);
    let document: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(document["status"], "unfinished");
    let (shown, _) = formatted_with(strict(EventFormat::Metrics), text.as_bytes());
    assert_eq!(shown, "", "figures of a part are no figures");
    // A field that is wrong keeps its own line back, too.
    let wrong = "{\"type\":\"log\",\"message\":\"x\",\"timestamp\":true}\n";
    let (shown, problems) = formatted_with(strict(HUMAN), wrong.as_bytes());
    assert_eq!((shown.as_str(), problems.lines().count()), ("", 1));
}

#[test]
fn many_problems_are_counted_and_some_are_kept() {
    let text = "nonsense\n".repeat(1000);
    let (shown, problems) = formatted(HUMAN, &text);
    assert_eq!(shown, "");
    assert!(problems.ends_with("and 900 more\n"), "{problems}");
}

#[test]
fn a_saved_trace_is_told_from_events() {
    let traces = [
        r#"{"format":"flowmeter.trace/1","trace_id":"a","workflow":"w","start_time":1,"pid":7}"#,
        r#"{"trace_id":"a","spans":[],"metrics":{}}"#,
        "{\n  \"trace_id\": \"abc\",\n  \"spans\": [\n",
    ];
    for trace in traces {
        let mut formatter = EventFormatter::new(config(HUMAN), Vec::new());
        let outcome = trace.lines().find_map(|line| formatter.take_line(line).err());
        assert!(matches!(outcome, Some(FormatError::IsTrace)), "{trace}");
    }
}

#[test]
fn an_id_that_is_in_use_is_reported() {
    let text = r#"{"type":"workflow_start"}
{"type":"node_start","node":{"id":"a","type":"t"},"span_id":"s"}
{"type":"node_start","node":{"id":"b","type":"t"},"span_id":"s"}
{"type":"node_end","result":"success","span_id":"s"}
{"type":"workflow_end"}
"#;
    let (_, problems) = formatted(HUMAN, text);
    expect![[r#"
        3: `span_id` s is open already, since line 2; both are shown
        2: unbalanced `node_start`: node `a` never ends; a `node_end` line for it is missing
    "#]]
    .assert_eq(&problems);
}

#[test]
fn what_open_spans_hold_has_a_limit() {
    let small = |format| EventFormatterConfig {
        held_bytes_max: 200,
        ..config(format)
    };
    let text = r#"{"type":"workflow_start"}
{"type":"node_start","node":{"id":"a","type":"t","config":{"x":"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"}}}
{"type":"node_start","node":{"id":"b","type":"t","config":{"x":"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"}}}
{"type":"custom","name":"c","attributes":{"long":"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"}}
{"type":"node_end","result":"success"}
{"type":"node_end","result":"success"}
{"type":"workflow_end"}
"#;
    let (shown, problems) = formatted_with(small(EventFormat::Json), text.as_bytes());
    expect![[r#"
        3: what the open spans hold exceeds 200 bytes; the line is taken without its content
    "#]]
    .assert_eq(&problems);
    let document: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(document["spans"][0]["attributes"]["node.id"], "b");
    assert_eq!(
        document["logs"][0]["message"], "c",
        "what finds no room in its span is a log"
    );
}

#[test]
fn what_an_export_frames_a_run_with_is_no_event_and_no_problem() {
    let events = [
        r#"{"type":"workflow_start","workflow_id":"w","timestamp":1000}"#,
        r#"{"type":"workflow_end","workflow_id":"w","timestamp":2000}"#,
    ];
    let framed = format!(
        "{}\n{}\n{}\n{}\n",
        r#"{"type":"run_begin","format":"flowmeter.history/1","workflow":"w"}"#,
        events[0],
        events[1],
        r#"{"type":"run_end","status":"ok"}"#
    );
    let (text, problems) = formatted(HUMAN, &framed);
    assert_eq!(problems, "");
    assert_eq!(text, formatted(HUMAN, &format!("{}\n", events.join("\n"))).0);
}
