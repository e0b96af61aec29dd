//! The shared store: namespaces, reserved keys, overlays, paths.

use std::sync::Arc;

use flowmeter_engine::{PathSegment, SharedStore, StorePath, StoreView};
use serde_json::{Value, json};

fn read(view: &StoreView, key: &str) -> Value {
    view.get(key).map_or(Value::Null, |value| Value::clone(&value))
}

#[test]
fn a_node_writes_under_its_own_name_and_reads_there_first() {
    let store = SharedStore::new();
    let root = store.root();
    let (a, b) = (root.in_namespace("a"), root.in_namespace("b"));
    root.set("x", json!("root"));
    a.set("x", json!("a"));
    assert_eq!((read(&a, "x"), read(&b, "x")), (json!("a"), json!("root")));
    assert_eq!(read(&root, "x"), "root");
    assert_eq!(*b.get_in("a", "x").unwrap(), "a");
    assert!(b.get_in("b", "x").is_none(), "exactly this namespace, no other");
    assert!(b.get_in("nowhere", "x").is_none());
    assert_eq!((a.namespace().as_str(), root.namespace().as_str()), ("a", ""));
    a.remove("x");
    assert_eq!(read(&a, "x"), "root", "the root's value shows again");
    assert_eq!(read(&a.in_namespace(""), "x"), "root");
    assert!(a.has_namespace("a") && a.has_namespace(""));
    assert!(!a.has_namespace("b"), "it was only looked at");
}

#[test]
fn reserved_keys_live_in_the_root() {
    let store = SharedStore::new();
    let a = store.root().in_namespace("a");
    a.set("__session__", json!(1));
    a.set_path("__plan__.step", json!(2)).unwrap();
    assert_eq!(read(&store.root(), "__session__"), 1);
    assert_eq!(read(&store.root(), "__plan__"), json!({"step": 2}));
    assert_eq!(read(&a, "__session__"), 1);
    assert!(a.get_in("a", "__session__").is_none());
    a.remove("__session__");
    assert!(store.root().get("__session__").is_none());
    for plain in ["____", "__x", "x__", "_x_"] {
        a.set(plain, json!(true));
        assert!(store.root().get(plain).is_none(), "{plain} is no reserved key");
    }
}

#[test]
fn entries_are_sorted_and_merged_over_the_layers() {
    let store = SharedStore::new();
    let a = store.root().in_namespace("a");
    a.set("z", json!(1));
    a.set("k", json!(2));
    a.set("gone", json!(3));
    a.remove("gone");
    let over = a.overlay();
    over.set("k", json!("above"));
    over.set("new", json!(4));
    let shown: Vec<String> = over
        .entries("a")
        .into_iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    assert_eq!(shown, ["k=\"above\"", "new=4", "z=1"]);
    assert_eq!(a.entries("a").len(), 2);
    assert!(a.entries("nowhere").is_empty());
}

#[test]
fn an_overlay_reads_through_and_writes_to_itself() {
    let store = SharedStore::new();
    store.root().set("shared", json!("root"));
    let a = store.root().in_namespace("a");
    a.set("own", json!("beneath"));
    let (one, two) = (a.overlay(), a.overlay());
    assert_eq!(one.namespace(), "a");
    assert_eq!(
        (read(&one, "own"), read(&one, "shared")),
        (json!("beneath"), json!("root"))
    );
    one.set("own", json!("one"));
    assert_eq!(read(&one, "own"), "one");
    assert_eq!(
        (read(&two, "own"), read(&a, "own")),
        (json!("beneath"), json!("beneath"))
    );
    let deeper = one.overlay();
    deeper.set("own", json!("deeper"));
    assert_eq!(read(&one, "own"), "one");
    assert_eq!(*deeper.get_in("a", "own").unwrap(), "deeper");
    assert_eq!(*deeper.get_in("", "shared").unwrap(), "root");
    assert!(deeper.has_namespace("a"));
}

#[test]
fn another_namespace_of_an_overlay_is_the_same_namespace_beneath() {
    let store = SharedStore::new();
    let a = store.root().in_namespace("a");
    a.set("secret", json!("of a"));
    store.root().in_namespace("b").set("known", json!("of b"));
    let b_above = a.overlay().in_namespace("b");
    assert_eq!(read(&b_above, "known"), "of b");
    assert!(
        b_above.get("secret").is_none(),
        "a's values are none of b's, with or without a layer"
    );
    let root_above = a.overlay().in_namespace("");
    assert!(root_above.get("secret").is_none());
}

#[test]
fn an_edit_deep_inside_an_overlay_copies_what_lies_beneath() {
    let store = SharedStore::new();
    let a = store.root().in_namespace("a");
    a.set("reply", json!({"items": [{"name": "x"}], "n": 1}));
    let over = a.overlay();
    over.set_path("reply.items[0].name", json!("y")).unwrap();
    assert_eq!(read(&over, "reply"), json!({"items": [{"name": "y"}], "n": 1}));
    assert_eq!(read(&a, "reply"), json!({"items": [{"name": "x"}], "n": 1}));
}

#[test]
fn a_path_makes_what_is_missing() {
    let view = SharedStore::new().root().in_namespace("a");
    view.set_path("deep.er.still", json!(1)).unwrap();
    view.set_path("deep.list", json!([])).unwrap();
    view.set_path("deep.list[0]", json!("first")).unwrap();
    view.set_path("deep.list[1]", json!({"n": null})).unwrap();
    view.set_path("deep.list[1].n.m", json!(true)).unwrap();
    view.set_path("deep.list[0]", json!("again")).unwrap();
    view.set_path("whole", json!("value")).unwrap();
    assert_eq!(
        read(&view, "deep"),
        json!({"er": {"still": 1}, "list": ["again", {"n": {"m": true}}]})
    );
    assert_eq!(read(&view, "whole"), "value");
}

#[test]
fn a_path_that_leads_nowhere_changes_nothing() {
    let view = SharedStore::new().root();
    let before = json!({"text": "t", "list": [1], "nothing": null});
    view.set("v", before.clone());
    let expect = |path: &str, problem: &str| {
        let error = view.set_path(path, json!(1)).unwrap_err();
        assert_eq!(error.to_string(), format!("store path `{path}`: {problem}"));
        assert_eq!(read(&view, "v"), before, "{path}");
        assert_eq!(view.entries("").len(), 1, "{path} left something behind");
    };
    expect("v.text.more", "`more` is looked for in a string");
    expect("v.list[2]", "index 2 is beyond the array's 1 elements");
    expect("v.list[1].x", "index 1 is beyond the array's 1 elements");
    expect("v.list.name", "`name` is looked for in an array");
    expect("v[0]", "[0] is looked for in an object");
    expect("v.nothing[0]", "[0] is looked for in null");
    expect("v.new.deep[0]", "[0] is looked for in nothing");
    expect("other[0]", "[0] is looked for in nothing");
}

#[test]
fn a_malformed_path_is_refused() {
    let view = SharedStore::new().root();
    for (path, problem) in [
        ("", "a name is missing between the dots"),
        ("a..b", "a name is missing between the dots"),
        (".a", "a name is missing between the dots"),
        ("[0]", "a name is missing between the dots"),
        ("a[0", "a bracket is not closed"),
        ("a[x]", "`x` is no array index"),
        ("a[-1]", "`-1` is no array index"),
        (
            "a[99999999999999999999]",
            "`99999999999999999999` is no array index",
        ),
        ("a[0]b", "`b` follows a bracket"),
    ] {
        let error = view.set_path(path, json!(1)).unwrap_err();
        assert_eq!(error.to_string(), format!("store path `{path}`: {problem}"));
    }
    assert!(view.entries("").is_empty());
}

#[test]
fn a_path_is_read_as_key_and_steps() {
    let path = StorePath::parse("reply.items[0][12].name").unwrap();
    assert_eq!(path.key(), "reply");
    let name = |name: &str| PathSegment::Name(name.to_owned());
    assert_eq!(
        path.rest(),
        [
            name("items"),
            PathSegment::Index(0),
            PathSegment::Index(12),
            name("name")
        ]
    );
    assert!(StorePath::parse("alone").unwrap().rest().is_empty());
}

#[test]
fn a_big_value_is_shared_until_it_is_edited() {
    let view = SharedStore::new().root();
    let big = Arc::new(json!({"rows": vec!["x".repeat(1000); 1000], "n": 0}));
    view.set("big", Arc::clone(&big));
    let read = view.get("big").unwrap();
    assert!(Arc::ptr_eq(&big, &read), "no copy on the way in or out");
    let over = view.overlay();
    assert!(Arc::ptr_eq(&over.get("big").unwrap(), &big));
    view.set_path("big.n", json!(1)).unwrap();
    assert_eq!(
        read["n"], 0,
        "a value that was read does not change behind the reader's back"
    );
    assert_eq!(view.get("big").unwrap()["n"], 1);
    assert_eq!(
        over.get("big").unwrap()["n"],
        1,
        "the layer beneath is a view, not a copy"
    );
}

#[test]
fn a_value_that_nobody_else_holds_is_edited_in_place() {
    let view = SharedStore::new().root();
    view.set("big", json!({"rows": vec![0; 100_000], "n": 0}));
    let address = |view: &StoreView| Arc::as_ptr(&view.get("big").unwrap()) as usize;
    let before = address(&view);
    view.set_path("big.n", json!(1)).unwrap();
    assert_eq!(address(&view), before, "nothing was copied");
}

#[test]
fn many_threads_write_at_once() {
    let store = SharedStore::new();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let view = store.root().in_namespace(&format!("n{thread}"));
            scope.spawn(move || {
                for number in 0..500 {
                    view.set(&format!("k{number}"), json!(thread));
                    view.set_path("counts.last", json!(number)).unwrap();
                    assert_eq!(*view.get(&format!("k{number}")).unwrap(), thread);
                }
            });
        }
    });
    for thread in 0..8 {
        assert_eq!(store.root().entries(&format!("n{thread}")).len(), 501);
    }
}
