//! The shared store rebuilt from writes, compared with the real one.

use arbtest::arbtest;
use flowmeter_engine::SharedStore;
use flowmeter_model::MutationRecord;
use flowmeter_store::{Origin, RunStatus, Store};
use serde_json::json;

use super::*;
use crate::history_view::sample::{self, NOON, Recorder, write};

fn journal_of(store: &dyn Store, run: &str, around: &str) -> (StoreJournal, Places) {
    let detail = store
        .run(&sample::key(run))
        .expect("it can be read")
        .expect("it is there");
    let spans = RunSpans::stored(store, detail).expect("it can be read");
    let workflow = spans
        .places()
        .find(around, None)
        .expect("it is there")
        .span
        .span_id;
    let mut journal = StoreJournal::of(&spans, workflow).expect("it can be read");
    journal.note_open(spans.places(), workflow, None);
    (journal, spans.places().clone())
}

fn state_after(run: &str, node: &str, around: &str) -> Value {
    let store = sample::store();
    let (journal, places) = journal_of(&store, run, around);
    let span = places.find(node, None).expect("it is there").span;
    journal.state_at(span.end, Some(span.span_id)).tree()
}

#[test]
fn the_store_is_rebuilt_as_it_was_after_a_node() {
    assert_eq!(
        state_after(sample::FIRST, "fetch", "workflow.start"),
        json!({"fetch": {"exit_code": 0, "stdout": "会议记录: 三点开会"}, "key": "k-1", "who": "ada"})
    );
    assert_eq!(
        state_after(sample::FIRST, "check", "workflow.start"),
        json!({
            "check": {"ok": true},
            "fetch": {"exit_code": 0, "stdout": "会议记录: 三点开会"},
            "key": "[REDACTED]",
            "summarize": {"response": "A meeting at three."},
            "who": "ada",
        })
    );
}

#[test]
fn nested_workflows_have_a_store_of_their_own() {
    let store = sample::store();
    let (journal, places) = journal_of(&store, sample::FIRST, "workflow.checker");
    let look = |nth| places.find("look", Some(nth)).expect("it is there").span.end;
    assert_eq!(
        journal.state_at(look(1), None).tree(),
        json!({"look": {"round": 1}, "text": "A meeting at three."})
    );
    assert_eq!(
        journal.state_at(look(2), None).tree(),
        json!({"look": {"round": 2}, "text": "A meeting at three."})
    );
}

#[test]
fn what_goes_on_is_noted() {
    let store = sample::store();
    let (journal, _) = journal_of(&store, sample::RUNNING, "workflow.start");
    assert_eq!(
        journal.notes,
        ["not ended, so what they may have written is not known: `wait`"]
    );
    assert_eq!(
        journal.state_at(None, None).tree(),
        json!({"fetch": {"stdout": "so far"}})
    );
}

#[test]
fn values_that_were_not_captured_are_unknown() {
    let store = sample::empty();
    let mut run = Recorder::begin(&store, sample::FIRST, "w", NOON, Origin::default(), 1);
    let mut node = run.node(run.key.root_span_id, "a", "echo", 1, 1);
    node.attributes.set("node.writes", json!(["a.x"]));
    run.keep(&node);
    run.end(10, RunStatus::Ok, &[], 1);
    let (journal, _) = journal_of(&store, sample::FIRST, "workflow.start");
    assert_eq!(journal.notes.len(), 1, "{:?}", journal.notes);
    let state = journal.state_at(None, None);
    assert!(state.entries["a.x"].value.is_none());
}

#[test]
fn deep_writes_lead_into_the_value() {
    let store = sample::empty();
    let mut run = Recorder::begin(&store, sample::FIRST, "w", NOON, Origin::default(), 1);
    let root = run.key.root_span_id;
    let mut node = run.node(root, "a", "echo", 1, 50);
    node.mutations = vec![
        write(NOON, 2, "reply", None, Some(json!({"items": [{"n": 1}]}))),
        write(NOON, 3, "reply.items[0].n", Some(json!(1)), Some(json!(2))),
        write(NOON, 4, "reply.items[1]", None, Some(json!("new"))),
        write(NOON, 5, "a.out", None, Some(json!({}))),
        write(NOON, 6, "a.out.name", None, Some(json!("x"))),
        // A root key of the name of a node is not what `a.out` leads into.
        write(NOON, 7, "a", None, Some(json!({"root": true}))),
        write(NOON, 8, "a.more", None, Some(json!(7))),
        write(NOON, 9, "gone", None, Some(json!(1))),
        write(NOON, 10, "gone", Some(json!(1)), None),
        write(
            NOON,
            11,
            "a.cut",
            None,
            Some(json!("long… [cut at 4 of 90 chars]")),
        ),
        write(NOON, 12, "a.cut.deep", None, Some(json!(1))),
    ];
    run.keep(&node);
    run.end(100, RunStatus::Ok, &[], 1);
    let (journal, _) = journal_of(&store, sample::FIRST, "workflow.start");
    let state = journal.state_at(None, None);
    let values: Vec<(&str, Value)> = state
        .entries
        .iter()
        .map(|(path, entry)| (path.as_str(), entry.value.as_deref().cloned().unwrap_or_default()))
        .collect();
    assert_eq!(
        values,
        [
            ("a", json!({"root": true})),
            ("a.cut", json!("long… [cut at 4 of 90 chars]")),
            ("a.more", json!(7)),
            ("a.out", json!({"name": "x"})),
            ("reply", json!({"items": [{"n": 2}, "new"]})),
        ]
    );
    assert_eq!(state.lost, ["a.cut.deep"]);
    assert!(state.entries["a.cut"].altered().is_cut);
}

/// Whatever is written to a real store, the journal rebuilds it, after each write.
#[test]
fn any_history_of_writes_is_rebuilt() {
    arbtest(|u| {
        let engine = SharedStore::new();
        let root = engine.root();
        let mut writes: Vec<MutationRecord> = Vec::new();
        let mut expected: Vec<Value> = Vec::new();
        for step in 0..u.int_in_range(1..=24)? {
            let node = *u.choose(&["a", "b"])?;
            let (view, journal) = if u.arbitrary()? {
                root.in_namespace(node)
            } else {
                root.clone()
            }
            .journaled();
            let name = *u.choose(&["x", "y", "z"])?;
            match u.int_in_range(0..=5)? {
                0 => view.remove(name),
                1 => {
                    let _a_way_that_leads_nowhere_is_refused =
                        view.set_path(&format!("{name}.m"), json!(step));
                }
                2 => {
                    let _a_way_that_leads_nowhere_is_refused =
                        view.set_path(&format!("{name}.l[0]"), json!(step));
                }
                3 => view.set(name, json!({"m": {"n": step}, "l": [step]})),
                _ => view.set(name, json!(step)),
            }
            for write in journal.finish().resolve() {
                writes.push(MutationRecord {
                    path: write.path(),
                    before: write.before.clone(),
                    after: write.after.clone(),
                    time: TimestampNs(step),
                });
            }
            expected.push(tree_of(&root));
        }
        let mut journal = StoreJournal {
            writes: Vec::new(),
            notes: Vec::new(),
            namespaces: ["a", "b"].map(SmolStr::new).into_iter().collect(),
        };
        let store = sample::empty();
        let mut run = Recorder::begin(&store, sample::FIRST, "w", NOON, Origin::default(), 1);
        let mut span = run.node(run.key.root_span_id, "a", "echo", 1, 1);
        span.mutations = writes;
        let writer = Writer {
            span_id: span.span_id,
            node: "a".into(),
            nth: 1,
        };
        journal.add(&span, writer);
        for (step, wanted) in expected.iter().enumerate() {
            let state = journal.state_at(Some(TimestampNs(step as u64)), None);
            assert_eq!(state.tree(), *wanted, "after step {step} of {:?}", span.mutations);
        }
        Ok(())
    });
}

/// The store as one object, namespaces as objects.
fn tree_of(root: &flowmeter_engine::StoreView) -> Value {
    let mut tree = Map::new();
    for (key, value) in root.entries("") {
        tree.insert(key.to_string(), Value::clone(&value));
    }
    for namespace in ["a", "b"] {
        let members: Map<String, Value> = root
            .entries(namespace)
            .into_iter()
            .map(|(key, value)| (key.to_string(), Value::clone(&value)))
            .collect();
        if !members.is_empty() {
            tree.insert(namespace.to_owned(), members.into());
        }
    }
    tree.into()
}
