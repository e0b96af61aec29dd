//! What `state` prints: values, changes, writers.

use expect_test::expect;
use flowmeter_store::Store;

use super::*;
use crate::history_view::key_change::changes_of;
use crate::history_view::sample;

struct Asked {
    text: String,
    json: Value,
}

fn ask(
    run: &str,
    node: &str,
    view: impl Fn(&RunSpans<'_>, StateMoment<'_>, &StoreJournal, StateLook<'_>) -> Asked,
) -> Asked {
    let store = sample::store();
    let detail = store
        .run(&sample::key(run))
        .expect("it can be read")
        .expect("it is there");
    let spans = RunSpans::stored(&store, detail).expect("it can be read");
    let found = spans.places().find(node, None).expect("it is there");
    let workflow = spans
        .places()
        .workflow_around(found.span.span_id)
        .expect("it is there");
    let journal = StoreJournal::of(&spans, workflow.span_id).expect("it can be read");
    let times = sample::times();
    let look = StateLook {
        table: TableStyle {
            width: Some(80),
            ..TableStyle::default()
        },
        is_full: false,
        times: &times,
    };
    let moment = StateMoment {
        at: Some(found),
        store: &workflow.node,
    };
    view(&spans, moment, &journal, look)
}

#[test]
fn a_state_says_who_wrote_what() {
    let asked = ask(sample::FIRST, "check", |run, moment, journal, look| {
        let end = moment.at.and_then(|found| found.span.end);
        let state = journal.state_at(end, None);
        Asked {
            text: state_text(run, moment, &state, look)
                + &state_text(
                    run,
                    moment,
                    &state,
                    StateLook {
                        is_full: true,
                        ..look
                    },
                ),
            json: state_json(run, moment, &state, &journal.notes),
        }
    });
    expect![[r#"
        4bf92f35 summarize: after `check`, 14:00:03.000

        KEY                 VALUE                  NOTE    WRITTEN BY  AT
        check.ok            true                           check       14:00:02.999
        fetch.exit_code     0                              fetch       14:00:00.501
        fetch.stdout        "会议记录: 三点开会"           fetch       14:00:00.500
        key                 "[REDACTED]"           masked  summarize   14:00:02.601
        summarize.response  "A meeting at three."          summarize   14:00:02.600
        who                 "ada"                          (input)     14:00:00.001
        4bf92f35 summarize: after `check`, 14:00:03.000

        check.ok  check
          true
        fetch.exit_code  fetch
          0
        fetch.stdout  fetch
          会议记录: 三点开会
        key  summarize (a secret was masked when it was recorded)
          [REDACTED]
        summarize.response  summarize
          A meeting at three.
        who  (input)
          ada
    "#]]
    .assert_eq(&asked.text);
    assert_eq!(
        asked.json["state"]["summarize"]["response"],
        "A meeting at three."
    );
    assert_eq!(asked.json["keys"][3]["is_masked"], true);
    assert_eq!(asked.json["at"]["node"], "check");
}

#[test]
fn what_a_node_changed_is_its_own_writes() {
    let asked = ask(sample::FIRST, "summarize", |run, moment, journal, look| {
        let own = moment.at.expect("a node").span.span_id;
        let changes = changes_of(journal.writes.iter().filter(|write| write.writer.span_id == own));
        Asked {
            text: changes_text(run, moment, &changes, look),
            json: changes_json(run, moment, &changes, &journal.notes),
        }
    });
    expect![[r#"
        4bf92f35 summarize: after `summarize`, 14:00:02.620

        + summarize.response
            + A meeting at three.

        ~ key (a secret was masked when it was recorded)
            - k-1
            + [REDACTED]
    "#]]
    .assert_eq(&asked.text);
    assert_eq!(asked.json["changes"][1]["change"], "changed");
}

#[test]
fn every_writer_of_a_key_is_named() {
    let asked = ask(sample::FIRST, "look", |run, moment, journal, look| {
        let writes = writes_to(journal, "look.round", None);
        Asked {
            text: who_text("look.round", &writes, look),
            json: who_json(run, moment, "look.round", &writes, &journal.notes),
        }
    });
    expect![[r#"
        look.round was last written by `check/look #2`, 2026-11-20 14:00:02 (yesterday 14:00)

        TIME          WRITTEN BY     BEFORE     AFTER  SPAN
        14:00:02.940  check/look #2  1          2      f067aa0ba9000107
        14:00:02.810  check/look     (nothing)  1      f067aa0ba9000106
    "#]]
    .assert_eq(&asked.text);
    assert_eq!(asked.json["last"]["written_by"]["execution"], 2);
    assert_eq!(asked.json["store"], "check");
}
