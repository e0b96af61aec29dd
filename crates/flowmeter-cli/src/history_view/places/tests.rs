//! Which span is meant by a node, a path or an id.

use super::*;
use crate::history_view::sample;

fn places(run: &str) -> Places {
    let store = sample::store();
    let detail = store
        .run(&sample::key(run))
        .expect("it can be read")
        .expect("it is there");
    Places::of_run(&store, &detail).expect("it can be read")
}

fn error(places: &Places, wanted: &str, nth: Option<u64>) -> String {
    places
        .find(wanted, nth)
        .map_or_else(|error| error.to_string(), |found| format!("{found:?}"))
}

#[test]
fn nodes_are_found_by_path_name_and_id() {
    let places = places(sample::FIRST);
    let found = places.find("check/look", None).expect("it is there");
    assert_eq!((found.nth, found.count), (2, 2));
    let by_name = places.find("look", Some(1)).expect("it is there");
    assert_eq!((by_name.span.node.as_str(), by_name.nth), ("check/look", 1));
    let id = by_name.span.span_id.to_string();
    assert_eq!(
        places.find(&id, None).expect("it is there").span.span_id,
        by_name.span.span_id
    );
    assert_eq!(
        places
            .find("workflow.checker", None)
            .expect("it is there")
            .span
            .kind,
        SpanKind::Workflow
    );
    let around = places
        .workflow_around(by_name.span.span_id)
        .expect("it is nested");
    assert_eq!(around.operation, "workflow.checker");
    assert_eq!(around.node, "check");
}

#[test]
fn what_is_not_there_is_said_with_what_is() {
    let places = places(sample::FIRST);
    assert_eq!(
        error(&places, "sumarize", None),
        "no node `sumarize` ran in this run; these did: `fetch`, `summarize`, `check`, `check/look`; did you mean \
         `summarize`?"
    );
    assert_eq!(
        error(&places, "look", Some(3)),
        "`look` ran 2 times in this run; there is no --nth 3"
    );
    assert_eq!(
        error(&places, "fetch", Some(2)),
        "`fetch` ran once in this run; there is no --nth 2"
    );
}

#[test]
fn what_goes_on_has_a_place_too() {
    let places = places(sample::RUNNING);
    let wait = places.find("wait", None).expect("it is there");
    assert_eq!((wait.span.end, wait.span.status), (None, None));
    assert_eq!(places.executions().len(), 2);
}

#[test]
fn rows_and_spans_give_the_same_paths() {
    let store = sample::store();
    let detail = store
        .run(&sample::key(sample::FIRST))
        .expect("it can be read")
        .expect("it is there");
    let spans = crate::history_view::stored_trace::spans_of(&store, &detail).expect("it can be read");
    let from_spans = Places::of_spans(&spans);
    let from_rows = Places::of_run(&store, &detail).expect("it can be read");
    for span in from_rows.all() {
        assert_eq!(
            from_spans.get(span.span_id).map(|other| &other.node),
            Some(&span.node)
        );
    }
}
