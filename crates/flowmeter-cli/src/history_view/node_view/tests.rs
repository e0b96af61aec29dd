//! What `show --node` prints of a node.

use expect_test::expect;
use flowmeter_store::Store;

use super::*;
use crate::history_view::sample;

fn view(run: &str, node: &str) -> (String, Value) {
    let store = sample::store();
    let detail = store
        .run(&sample::key(run))
        .expect("it can be read")
        .expect("it is there");
    let spans = RunSpans::stored(&store, detail).expect("it can be read");
    let found = spans.places().find(node, None).expect("it is there");
    let detail = NodeDetail::gather_some(&spans, found, false)
        .expect("it can be read")
        .expect("it is kept");
    let times = sample::times();
    let look = NodeLook {
        colour: false,
        is_full: false,
        times: &times,
    };
    (detail.text(look), detail.json().expect("it is JSON"))
}

#[test]
fn an_llm_node_shows_what_was_asked_and_said() {
    let (text, json) = view(sample::SECOND_RUN, "summarize");
    expect![[r#"
        summarize  node.llm  ✓ ok  4.80s
          run       00aa11bb77b34da6a3ce929d0e0e4736-00f067aa0ba90002 (summarize)
          span      f067aa0ba9000202
          began     2026-11-21 11:00:00 (59 min ago)
          calls     2
          tokens    260 in + 60 out
          cost      ≥ $0.0125 (+1 unpriced)

        Parameters
          model: gpt-5
          prompt: Summarise: …

        LLM call 1 of 2
          chat gpt-5  ✗ error  1.00s
          span      f067aa0ba9000203
          model     gpt-5 (openai)
          asked     temperature=0.2
          tokens    130 in + 0 out
          cost      unpriced: no price is known
          error     overloaded

          Prompt
          [system]
            Be short.
          [user]
            Summarise: 会议纪要: 四点开会

          Answer
          [assistant]

        LLM call 2 of 2
          chat gpt-5  ✓ ok  3.00s
          span      f067aa0ba9000204
          model     gpt-5 (openai)
          asked     temperature=0.2
          tokens    130 in + 60 out
          cost      $0.0125  priced
          source    not recorded

          Prompt
          [system]
            Be short.
          [user]
            Summarise: 会议纪要: 四点开会

          Answer
          [assistant]
            A meeting at four.

        Writes
          summarize.response: A meeting at four.
    "#]]
    .assert_eq(&text);
    assert_eq!(
        json["llm_calls"][1]["prompt"][1]["text"],
        "Summarise: 会议纪要: 四点开会"
    );
    assert_eq!(json["llm_calls"][1]["span"]["operation"], "chat gpt-5");
    assert_eq!(json["span"]["params"]["model"], "gpt-5");
}

#[test]
fn a_node_shows_its_writes_and_logs() {
    let (text, json) = view(sample::FIRST, "fetch");
    expect![[r#"
        fetch  node.shell  ✓ ok  500.0ms
          run       4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba90001 (summarize)
          span      f067aa0ba9000101
          began     2026-11-20 14:00:00 (yesterday 14:00)

        Parameters
          command: curl notes

        Writes
          fetch.stdout: 会议记录: 三点开会
          fetch.exit_code: 0

        Logs
          14:00:00.020 INFO  shell: Running command: curl notes
          14:00:00.400 WARN  shell: slow
              server
    "#]]
    .assert_eq(&text);
    assert_eq!(json["logs"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_failed_node_says_why() {
    let (text, _) = view(sample::SECOND_RUN, "publish");
    expect![[r#"
        publish  node.http  ✗ error  200.0ms
          run       00aa11bb77b34da6a3ce929d0e0e4736-00f067aa0ba90002 (summarize)
          span      f067aa0ba9000205
          began     2026-11-21 11:00:05 (59 min ago)

        Error
          the server answered 500
          Internal Server Error
          type: http_500
          caused by: connection closed

        Logs
          11:00:05.500 ERROR shell: publishing failed: connection refused
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_nested_workflow_lists_its_nodes() {
    let (text, json) = view(sample::FIRST, "check");
    assert!(text.contains("check/look"), "{text}");
    assert_eq!(json["inside"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_node_that_goes_on_can_be_looked_at() {
    let (text, json) = view(sample::RUNNING, "wait");
    assert!(text.contains("● not finished"), "{text}");
    assert_eq!(json["span"]["end_time"], Value::Null);
}
