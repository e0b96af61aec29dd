//! How two runs are set side by side.

use expect_test::expect;
use flowmeter_store::Store;

use super::*;
use crate::history_view::sample;
use crate::table::TableStyle;

fn diff(before: &str, after: &str, node: Option<&str>, width: Option<usize>) -> (String, Value) {
    let store = sample::store();
    let detail = |run: &str| {
        store
            .run(&sample::key(run))
            .expect("it can be read")
            .expect("it is there")
    };
    let (one, other) = (detail(before), detail(after));
    let (rows, times) = ((one.row.clone(), other.row.clone()), sample::times());
    let first = RunSpans::stored(&store, one).expect("it can be read");
    let second = RunSpans::stored(&store, other).expect("it can be read");
    let diff = RunDiff::of(&first, &second, node).expect("it can be compared");
    let look = DiffLook {
        table: TableStyle {
            width,
            ..TableStyle::default()
        },
        is_full: false,
        times: &times,
    };
    (
        diff_text(&rows.0, &rows.1, &diff, look),
        diff_json(&rows.0, &rows.1, &diff, &times),
    )
}

#[test]
fn two_runs_are_compared_node_by_node() {
    let (text, json) = diff(sample::FIRST, sample::SECOND_RUN, None, Some(100));
    expect![[r#"
           RUN       WORKFLOW   STATUS   STARTED          COMMIT    MODELS
        -  4bf92f35  summarize  ✓ ok     yesterday 14:00  1a2b3c4d  gpt-4o
        +  00aa11bb  summarize  ✗ error  1 h ago          1a2b3c4d  gpt-5

                        BEFORE      AFTER  CHANGE
        time              3.1s       5.7s    +84%
        nodes                5          3    -40%
        LLM calls            1          2   +100%
        input tokens       120        260   +117%
        output tokens       30         60   +100%
        cost           $0.0030  ≥ $0.0125   +317%

           NODE                    TIME            TOKENS                 COST  DIFFERS IN
           fetch          500ms → 480ms    -4%
        ~  summarize        2.1s → 4.8s  +129%  150 → 320  $0.0030 → ≥ $0.0125  model, params, prompt, answ…
        +  publish                200ms                                         only in the second
        -  check                  300ms                                         only in the first
        -  check/look             100ms                                         only in the first
        -  check/look #2          100ms                                         only in the first

        summarize
          model: gpt-4o → gpt-5
          parameters:
            ~ model
                - gpt-4o
                + gpt-5
            - temperature
                - 0.2
          prompt:
              [user]
            - Summarise: 会议记录: 三点开会
            + Summarise: 会议纪要: 四点开会
          answer:
              [assistant]
            - A meeting at three.
            + A meeting at four.

        Store at the end
          - check.ok
              - true
          ~ fetch.stdout
              - 会议记录: 三点开会
              + 会议纪要: 四点开会
          - key (a secret was masked when it was recorded)
              - [REDACTED]
          ~ summarize.response
              - A meeting at three.
              + A meeting at four.
          - who
              - ada
    "#]]
    .assert_eq(&text);
    let changes: Vec<(&str, &str)> = json["nodes"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|node| Some((node["node"].as_str()?, node["change"].as_str()?)))
        .collect();
    assert_eq!(
        changes,
        [
            ("fetch", "same"),
            ("summarize", "changed"),
            ("publish", "added"),
            ("check", "removed"),
            ("check/look", "removed"),
            ("check/look", "removed"),
        ]
    );
    assert_eq!(
        json["sums"]["llm_calls"],
        serde_json::json!({"before": 1, "after": 2})
    );
    assert!(
        json["nodes"][1]["prompt_diff"]
            .as_str()
            .is_some_and(|diff| diff.contains("+Summarise: 会议纪要"))
    );
}

#[test]
fn one_node_can_be_compared_alone() {
    let (text, json) = diff(sample::FIRST, sample::SECOND_RUN, Some("summarize"), None);
    assert!(text.contains("- A meeting at three."), "{text}");
    assert!(!text.contains("Store at the end"), "{text}");
    assert_eq!(json["nodes"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_run_beside_itself_is_the_same() {
    let (text, json) = diff(sample::FIRST, sample::FIRST, None, Some(80));
    expect![[r#"
           RUN       WORKFLOW   STATUS  STARTED          COMMIT    MODELS
        -  4bf92f35  summarize  ✓ ok    yesterday 14:00  1a2b3c4d  gpt-4o
        +  4bf92f35  summarize  ✓ ok    yesterday 14:00  1a2b3c4d  gpt-4o

                        BEFORE    AFTER  CHANGE
        time              3.1s     3.1s       =
        nodes                5        5       =
        LLM calls            1        1       =
        input tokens       120      120       =
        output tokens       30       30       =
        cost           $0.0030  $0.0030       =

        NODE            TIME     TOKENS     COST
        fetch          500ms  =
        summarize       2.1s  =     150  $0.0030
        check          300ms  =
        check/look     100ms  =
        check/look #2  100ms  =
    "#]]
    .assert_eq(&text);
    assert_eq!(json["state"], serde_json::json!([]));
}

#[test]
fn a_run_that_goes_on_can_be_compared() {
    let (_, json) = diff(sample::FIRST, sample::RUNNING, None, None);
    let notes = json["notes"].to_string();
    assert!(notes.contains("second run: not ended"), "{notes}");
}
