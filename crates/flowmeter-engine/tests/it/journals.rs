//! The journal: exactly the writes through its view, each with what was there before and after.

use std::collections::BTreeMap;
use std::sync::Arc;

use arbtest::arbitrary::{Result as Drawn, Unstructured};
use flowmeter_engine::{Journal, Mutation, SharedStore, StoreView};
use serde_json::{Value, json};

fn writes(journal: Journal) -> Vec<Mutation> {
    journal.finish().resolve()
}

fn shown(journal: Journal) -> Vec<String> {
    let part = |value: &Option<Arc<Value>>| value.as_ref().map_or("-".to_owned(), ToString::to_string);
    writes(journal)
        .iter()
        .map(|write| {
            format!(
                "{}: {} → {}",
                write.path(),
                part(&write.before),
                part(&write.after)
            )
        })
        .collect()
}

#[test]
fn every_write_through_the_view_is_noted_with_path_before_and_after() {
    let store = SharedStore::new();
    store.root().in_namespace("a").set("old", json!(1));
    let (view, journal) = store.root().in_namespace("a").journaled();
    view.set("old", json!(2));
    view.set("new", json!("x"));
    view.set("new", json!("y"));
    view.set_path("deep.list", json!([1])).unwrap();
    view.set_path("deep.list[0]", json!(9)).unwrap();
    view.remove("old");
    view.set("__run__", json!(true));
    view.in_namespace("b").set("k", json!(null));
    assert_eq!(
        shown(journal),
        [
            "a.old: 1 → 2",
            "a.new: - → \"x\"",
            "a.new: \"x\" → \"y\"",
            "a.deep.list: - → [1]",
            "a.deep.list[0]: 1 → 9",
            "a.old: 2 → -",
            "__run__: - → true",
            "b.k: - → null",
        ]
    );
}

#[test]
fn writes_are_noted_in_the_order_of_their_times() {
    let (view, journal) = SharedStore::new().root().journaled();
    for number in 0..100 {
        view.set("k", json!(number));
    }
    let writes = writes(journal);
    assert_eq!(writes.len(), 100);
    assert!(writes.windows(2).all(|pair| pair[0].at <= pair[1].at));
    assert_eq!((writes[0].namespace(), writes[0].key()), ("", "k"));
}

#[test]
fn a_journal_knows_nothing_of_other_views() {
    let store = SharedStore::new();
    let plain = store.root().in_namespace("a");
    plain.set("k", json!("before it was attached"));
    let (view, journal) = plain.journaled();
    let (other, others) = plain.journaled();
    plain.set("k", json!("beside it"));
    other.set("k", json!("through another one"));
    view.set("k", json!("mine"));
    // Items write to their own layer, and their nodes have journals of their own.
    view.overlay().set("k", json!("above"));
    assert_eq!(shown(journal), ["a.k: \"through another one\" → \"mine\""]);
    assert_eq!(shown(others), ["a.k: \"beside it\" → \"through another one\""]);
    view.get("k").unwrap();
}

#[test]
fn a_failed_edit_is_not_noted() {
    let (view, journal) = SharedStore::new().root().journaled();
    view.set_path("k[0]", json!(1)).unwrap_err();
    view.set_path("k..", json!(1)).unwrap_err();
    assert!(journal.finish().is_empty());
}

#[test]
fn a_noted_value_does_not_change_when_the_store_goes_on() {
    let (view, journal) = SharedStore::new().root().journaled();
    view.set("k", json!({"n": 0}));
    view.set_path("k.n", json!({"deeper": 1})).unwrap();
    view.set_path("k.n.deeper", json!(2)).unwrap();
    let writes = writes(journal);
    let after: Vec<String> = writes
        .iter()
        .map(|write| write.after.as_ref().unwrap().to_string())
        .collect();
    assert_eq!(after, [r#"{"n":0}"#, r#"{"deeper":1}"#, "2"]);
}

#[test]
fn concurrent_nodes_have_each_their_own_writes() {
    let store = SharedStore::new();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let base = store.root().in_namespace(&format!("n{thread}"));
            scope.spawn(move || {
                for round in 0..50 {
                    let (view, journal) = base.journaled();
                    for number in 0..5 {
                        view.set("own", json!([round, number]));
                        view.set("__common__", json!(thread));
                    }
                    let writes = writes(journal);
                    assert_eq!(writes.len(), 10);
                    for write in &writes {
                        match write.key() {
                            "own" => {
                                assert_eq!(write.namespace(), format!("n{thread}"));
                                assert_eq!(write.after.as_ref().unwrap()[0], round);
                            }
                            _ => assert_eq!(**write.after.as_ref().unwrap(), thread),
                        }
                    }
                }
            });
        }
    });
}

#[test]
fn a_view_kept_after_the_end_writes_to_no_journal() {
    let store = SharedStore::new();
    let (kept, first) = store.root().in_namespace("a").journaled();
    kept.set("k", json!(1));
    assert_eq!(first.finish().len(), 1);
    kept.set("k", json!("between two journals"));
    let (view, second) = store.root().in_namespace("b").journaled();
    kept.set("k", json!("into another's"));
    view.set("k", json!(2));
    assert_eq!(shown(second), ["b.k: - → 2"]);
    assert_eq!(
        *kept.get("k").unwrap(),
        "into another's",
        "the write itself counts"
    );
}

#[test]
fn a_dropped_journal_forgets_and_makes_room() {
    let store = SharedStore::new();
    let value = Arc::new(json!("held"));
    for _ in 0..100 {
        let (view, journal) = store.root().journaled();
        view.set("k", Arc::clone(&value));
        view.remove("k");
        drop(journal);
    }
    assert_eq!(Arc::strong_count(&value), 1, "nothing holds the value any more");
    let (view, journal) = store.root().journaled();
    view.set("k", json!(1));
    assert_eq!(journal.finish().len(), 1);
}

/// A small value with some depth.
fn draw_value(u: &mut Unstructured<'_>, depth: u32) -> Drawn<Value> {
    Ok(match u.int_in_range(0..=if depth == 0 { 2 } else { 4 })? {
        0 => Value::Null,
        1 => json!(u.int_in_range(0..=9)?),
        2 => json!("t"),
        3 => {
            let count = u.int_in_range(0..=2)?;
            (0..count)
                .map(|_| draw_value(u, depth - 1))
                .collect::<Drawn<Vec<_>>>()?
                .into()
        }
        _ => {
            let mut members = serde_json::Map::new();
            for name in ["x", "y"] {
                if u.arbitrary()? {
                    members.insert(name.to_owned(), draw_value(u, depth - 1)?);
                }
            }
            members.into()
        }
    })
}

const NAMESPACES: [&str; 3] = ["", "a", "b"];
const KEYS: [&str; 4] = ["k", "l", "__r__", "m"];

fn draw_write(u: &mut Unstructured<'_>, view: &StoreView) -> Drawn<()> {
    let view = view.in_namespace(u.choose(&NAMESPACES)?);
    let key = u.choose(&KEYS)?;
    match u.int_in_range(0..=3)? {
        0 => view.remove(key),
        1 => view.set(key, draw_value(u, 2)?),
        _ => {
            let mut path = (*key).to_owned();
            for _ in 0..u.int_in_range(0..=3)? {
                path += u.choose(&[".x", ".y", "[0]", "[1]"])?;
            }
            // Many of these lead nowhere; then nothing may be noted.
            let _ = view.set_path(&path, draw_value(u, 2)?);
        }
    }
    Ok(())
}

type State = BTreeMap<(String, String), Value>;

fn state(store: &Arc<SharedStore>) -> State {
    let root = store.root();
    let mut state = State::new();
    for namespace in NAMESPACES {
        for (key, value) in root.entries(namespace) {
            state.insert((namespace.to_owned(), key.to_string()), Value::clone(&value));
        }
    }
    state
}

/// Replays with the store's own means: what `set_path` makes of a missing value, it makes again.
fn replay(store: &Arc<SharedStore>, writes: &[Mutation]) {
    for write in writes {
        let view = store.root().in_namespace(write.namespace());
        let whole = if write.namespace().is_empty() {
            write.key().to_owned()
        } else {
            format!("{}.{}", write.namespace(), write.key())
        };
        let path = write.path();
        let deep = path.strip_prefix(&whole).unwrap();
        match (&write.after, deep) {
            (None, _) => view.remove(write.key()),
            (Some(after), "") => view.set(write.key(), Arc::clone(after)),
            (Some(after), deep) => view
                .set_path(&format!("{}{deep}", write.key()), Arc::clone(after))
                .unwrap(),
        }
    }
}

#[test]
fn the_journal_leads_from_the_first_state_to_the_last() {
    arbtest::arbtest(|u| {
        let (store, copy) = (SharedStore::new(), SharedStore::new());
        for _ in 0..u.int_in_range(0..=6)? {
            let namespace = u.choose(&NAMESPACES)?;
            let (key, value) = (u.choose(&KEYS)?, draw_value(u, 2)?);
            for store in [&store, &copy] {
                store.root().in_namespace(namespace).set(key, value.clone());
            }
        }
        let first = state(&store);
        let (view, journal) = store.root().journaled();
        for _ in 0..u.int_in_range(0..=30)? {
            draw_write(u, &view)?;
        }
        let writes = writes(journal);
        replay(&copy, &writes);
        assert_eq!(state(&copy), state(&store));

        // And the values before lead back to the whole keys' first values.
        let mut earliest: State = state(&store);
        for write in writes.iter().rev() {
            let place = (write.namespace().to_owned(), write.key().to_owned());
            if write.path().ends_with(write.key()) {
                match &write.before {
                    Some(before) => earliest.insert(place, Value::clone(before)),
                    None => earliest.remove(&place),
                };
            }
        }
        for (place, value) in &first {
            let touched_deep = writes.iter().any(|write| {
                write.namespace() == place.0 && write.key() == place.1 && !write.path().ends_with(write.key())
            });
            if !touched_deep {
                assert_eq!(earliest.get(place), Some(value));
            }
        }
        Ok(())
    });
}
