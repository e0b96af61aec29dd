//! Runs named by id, by `last` and the like.

use flowmeter_store::{MemoryStore, Origin};

use super::*;
use crate::history_view::sample::{self, NOON, Recorder};

fn chosen(store: &MemoryStore, text: &str) -> String {
    select(store, text, &sample::times())
        .map_or_else(|error| error.to_string(), |run| run.row.key.to_string())
}

#[test]
fn runs_are_named_in_many_ways() {
    let store = sample::store();
    for (text, wanted) in [
        ("last", sample::RUNNING),
        ("last~1", sample::SECOND_RUN),
        ("last~2", sample::FIRST),
        ("last~3", sample::KILLED),
        ("last~", sample::SECOND_RUN),
        ("last-failed", sample::SECOND_RUN),
        ("4bf92", sample::FIRST),
        ("4BF92F35", sample::FIRST),
        ("dead", sample::KILLED),
        ("4bf92f3577b34da6a3ce929d0e0e4736", sample::FIRST),
        (sample::FIRST, sample::FIRST),
        ("4bf92f35-00f0", sample::FIRST),
    ] {
        assert_eq!(chosen(&store, text), wanted, "{text}");
    }
}

#[test]
fn what_is_not_there_is_said_with_what_to_do() {
    let store = sample::store();
    assert_eq!(
        chosen(&store, "ffff"),
        "there is no run whose id begins with `ffff`; `flowmeter runs` lists them"
    );
    assert_eq!(
        chosen(&store, "4bf9"),
        "2 runs begin with `4bf9`; give more of the id:\n  4bf9aaaa  summarize, 1 min ago, running\n  4bf92f35  \
         summarize, yesterday 14:00, ok"
    );
    assert!(chosen(&store, "last~9").contains("the history has fewer"));
    assert!(chosen(&store, "abc").contains("give at least 4 digits"));
    assert!(chosen(&store, "no/such.json").contains("names no run"));
    assert!(chosen(&sample::empty(), "last").contains("the history has no run yet"));
}

#[test]
fn a_trace_of_several_runs_is_named_by_the_one_that_started_the_others() {
    let store = sample::store();
    let outer = "abcdef0077b34da6a3ce929d0e0e4736-00f067aa0ba90010";
    let inner = "abcdef0077b34da6a3ce929d0e0e4736-00f067aa0ba90011";
    let mut run = Recorder::begin(
        &store,
        outer,
        "outer",
        NOON - 50_000_000_000,
        Origin::default(),
        1,
    );
    let call = run.node(run.key.root_span_id, "call", "shell", 1, 10_000);
    run.keep(&call);
    let start = flowmeter_store::RunStart {
        key: sample::key(inner),
        parent_span_id: Some(call.span_id),
        workflow: "inner".into(),
        started: flowmeter_model::TimestampNs(NOON - 40_000_000_000),
        sampled: true,
        origin: Origin::default(),
        resource: flowmeter_model::Attributes::new(),
        process: None,
    };
    store
        .append(flowmeter_store::Append::Began(Box::new(start)))
        .expect("it is kept");
    store.flush().expect("it is durable");
    assert_eq!(chosen(&store, "abcdef"), outer);
    assert_eq!(chosen(&store, "last"), outer);
    assert_eq!(chosen(&store, inner), inner);
    assert_eq!(chosen(&store, "abcdef00-00f067aa0ba90011"), inner);
    let selected = select(&store, "abcdef", &sample::times()).expect("it is there");
    assert_eq!(selected.trace.len(), 2);
    let keys = [sample::key(outer), sample::key(inner), sample::key(sample::FIRST)];
    assert_eq!(
        short_ids(&keys),
        [
            "abcdef00-00f067aa0ba90010",
            "abcdef00-00f067aa0ba90011",
            "4bf92f35"
        ]
    );
}

#[test]
fn ids_are_as_long_as_it_takes() {
    let one = sample::key("abcdef0077b34da6a3ce929d0e0e4736-00f067aa0ba90010");
    let other = sample::key("abcdef0077b44da6a3ce929d0e0e4736-00f067aa0ba90011");
    assert_eq!(short_ids(&[one, other]), ["abcdef0077b3", "abcdef0077b4"]);
}
