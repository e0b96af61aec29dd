//! Lists of runs, spans and log lines: each filter, each order.
//!
//! Never asks for sums.

use flowmeter_model::{LogLevel, SpanKind, SpanStatus, TimestampNs, UsdNanos};

use super::samples::*;
use super::{Open, Surroundings, settle};
use crate::{LogFilter, RunFilter, RunKey, RunOrder, RunStatus, SpanFilter, Store};

/// Four runs that differ in everything, the oldest first.
fn four_runs(store: &dyn Store) -> [RunKey; 4] {
    let mut first = Sample::new(31, "greet", after(0))
        .tag("team", "blue")
        .tag("env", "prod")
        .session("s1");
    first.start.origin.user = Some("ada".to_owned());
    first.start.origin.git_commit = Some("abcdef0123".to_owned());
    first.start.origin.workflow_version = Some("2".into());
    let node = first.node("ask", after(1), SECOND);
    first.call(node, Call::default(), after(2), SECOND);
    first.log(after(3), LogLevel::Info, "Hello from GREET");

    let mut second = Sample::new(32, "sum", after(HOUR))
        .tag("team", "red")
        .session("s1");
    second.status = RunStatus::Error;
    let node = second.node("add", after(HOUR + 1), 3 * SECOND);
    let cost = priced(9_000_000);
    let call = Call {
        model: "claude",
        provider: "anthropic",
        input: 10,
        cost,
        ..Call::default()
    };
    second.call(node, call, after(HOUR + 2), 2 * SECOND);
    let mut failed = second.span(node, SpanKind::Node, "node.http", after(HOUR + 3));
    failed.attributes.set("node.id", "inner");
    failed.error = Some(failure());
    second.keep(ended(failed, 5 * SECOND));
    second.log(after(HOUR + 4), LogLevel::Error, "it broke");
    second.log(after(HOUR + 5), LogLevel::Debug, "details");

    let mut third = Sample::new(33, "greet", after(2 * HOUR))
        .tag("team", "blue")
        .session("s2");
    third.status = RunStatus::Cancelled;
    third.start.origin.user = Some("bob".to_owned());
    third.start.origin.git_commit = Some("abcxyz".to_owned());

    let mut fourth = Sample::new(34, "zebra", after(3 * HOUR));
    let node = fourth.node("ask", after(3 * HOUR + 1), SECOND);
    let cost = flowmeter_model::Cost::unpriced();
    fourth.call(
        node,
        Call {
            input: 5_000,
            cost,
            ..Call::default()
        },
        after(3 * HOUR + 2),
        SECOND,
    );
    [
        first.append(store, 2 * SECOND),
        second.append(store, 9 * SECOND),
        third.append(store, SECOND),
        fourth.append(store, 4 * SECOND),
    ]
}

fn opened_with_four(open: Open<'_>) -> (super::Opened, [RunKey; 4]) {
    let opened = open(&Surroundings::at(after(DAY)));
    let keys = four_runs(&*opened.store);
    settle(&opened);
    (opened, keys)
}

pub fn runs_by_each_filter(open: Open<'_>) {
    let (opened, all) = opened_with_four(open);
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let tags = |tags: &[(&str, &str)]| -> Vec<(String, String)> {
        tags.iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    };
    let any = RunFilter::default;
    let check = |filter: RunFilter, wanted: &[usize]| {
        let wanted: Vec<RunKey> = wanted.iter().rev().map(|place| all[*place]).collect();
        assert_eq!(keys(&runs(&*opened.store, &filter)), wanted, "{filter:?}");
    };
    check(any(), &[0, 1, 2, 3]);
    check(
        RunFilter {
            workflows: texts(&["greet"]),
            ..any()
        },
        &[0, 2],
    );
    check(
        RunFilter {
            workflows: texts(&["sum", "zebra", "none"]),
            ..any()
        },
        &[1, 3],
    );
    check(
        RunFilter {
            workflows: texts(&["gree"]),
            ..any()
        },
        &[],
    );
    check(
        RunFilter {
            statuses: vec![RunStatus::Error],
            ..any()
        },
        &[1],
    );
    check(
        RunFilter {
            statuses: vec![RunStatus::Ok, RunStatus::Cancelled],
            ..any()
        },
        &[0, 2, 3],
    );
    check(
        RunFilter {
            since: Some(after(HOUR)),
            ..any()
        },
        &[1, 2, 3],
    );
    check(
        RunFilter {
            until: Some(after(HOUR)),
            ..any()
        },
        &[0],
    );
    check(
        RunFilter {
            since: Some(after(1)),
            until: Some(after(2 * HOUR + 1)),
            ..any()
        },
        &[1, 2],
    );
    check(
        RunFilter {
            models: texts(&["claude"]),
            ..any()
        },
        &[1],
    );
    check(
        RunFilter {
            models: texts(&["gpt-4o", "claude"]),
            ..any()
        },
        &[0, 1, 3],
    );
    check(
        RunFilter {
            cost_min: Some(UsdNanos(1_000_000)),
            ..any()
        },
        &[0, 1],
    );
    check(
        RunFilter {
            cost_min: Some(UsdNanos(1_000_001)),
            ..any()
        },
        &[1],
    );
    check(
        RunFilter {
            slower_than_ns: Some(2 * SECOND),
            ..any()
        },
        &[1, 3],
    );
    check(
        RunFilter {
            slower_than_ns: Some(9 * SECOND),
            ..any()
        },
        &[],
    );
    check(
        RunFilter {
            tags: tags(&[("team", "blue")]),
            ..any()
        },
        &[0, 2],
    );
    check(
        RunFilter {
            tags: tags(&[("team", "blue"), ("env", "prod")]),
            ..any()
        },
        &[0],
    );
    check(
        RunFilter {
            tags: tags(&[("team", "prod")]),
            ..any()
        },
        &[],
    );
    check(
        RunFilter {
            session: Some("s1".to_owned()),
            ..any()
        },
        &[0, 1],
    );
    check(
        RunFilter {
            user: Some("ada".to_owned()),
            ..any()
        },
        &[0],
    );
    check(
        RunFilter {
            git_commit: Some("abc".to_owned()),
            ..any()
        },
        &[0, 2],
    );
    check(
        RunFilter {
            git_commit: Some("abcdef0123".to_owned()),
            ..any()
        },
        &[0],
    );
    check(
        RunFilter {
            git_commit: Some("abcdef01234".to_owned()),
            ..any()
        },
        &[],
    );
    check(
        RunFilter {
            git_commit: Some("%".to_owned()),
            ..any()
        },
        &[],
    );
    check(
        RunFilter {
            workflow_version: Some("2".to_owned()),
            ..any()
        },
        &[0],
    );
    let trace = all[2].trace_id.to_string();
    check(
        RunFilter {
            trace_prefix: Some(trace[..6].to_owned()),
            ..any()
        },
        &[2],
    );
    check(
        RunFilter {
            workflows: texts(&["greet"]),
            session: Some("s1".to_owned()),
            since: Some(after(0)),
            models: texts(&["gpt-4o"]),
            tags: tags(&[("env", "prod")]),
            ..any()
        },
        &[0],
    );
}

pub fn runs_in_each_order(open: Open<'_>) {
    let (opened, all) = opened_with_four(open);
    let check = |order, wanted: [usize; 4]| {
        let rows = opened.store.runs(&RunFilter::default(), order, 10, 0).unwrap();
        assert_eq!(keys(&rows), wanted.map(|place| all[place]), "{order:?}");
    };
    check(RunOrder::Started, [3, 2, 1, 0]);
    check(RunOrder::Duration, [1, 3, 0, 2]);
    check(RunOrder::Cost, [1, 0, 3, 2]);
    check(RunOrder::Tokens, [3, 0, 1, 2]);
    check(RunOrder::Workflow, [2, 0, 1, 3]);
    let greet = RunFilter {
        workflows: vec!["greet".to_owned()],
        ..RunFilter::default()
    };
    let slow = opened.store.runs(&greet, RunOrder::Duration, 1, 0).unwrap();
    assert_eq!(keys(&slow), [all[0]]);
    // Those that began at once: the one that was heard of later comes first.
    let twins = [
        Sample::new(35, "twin", after(5 * HOUR)).append(&*opened.store, 7),
        Sample::new(36, "twin", after(5 * HOUR)).append(&*opened.store, 7),
        Sample::new(37, "twin", after(5 * HOUR)).append(&*opened.store, 7),
    ];
    settle(&opened);
    for order in [RunOrder::Started, RunOrder::Duration] {
        let filter = RunFilter {
            workflows: vec!["twin".to_owned()],
            ..RunFilter::default()
        };
        let rows = opened.store.runs(&filter, order, 10, 0).unwrap();
        assert_eq!(keys(&rows), [twins[2], twins[1], twins[0]], "{order:?}");
    }
}

pub fn runs_by_pages(open: Open<'_>) {
    let opened = open(&Surroundings::at(after(DAY)));
    let mut all: Vec<RunKey> = (0..23)
        .map(|number| Sample::new(100 + number, "page", after(number * SECOND)).append(&*opened.store, 5))
        .collect();
    all.reverse();
    settle(&opened);
    let mut found = Vec::new();
    for page in 0..6 {
        let rows = opened
            .store
            .runs(&RunFilter::default(), RunOrder::Started, 5, page * 5)
            .unwrap();
        found.extend(keys(&rows));
    }
    assert_eq!(found, all);
    assert!(
        opened
            .store
            .runs(&RunFilter::default(), RunOrder::Started, 0, 0)
            .unwrap()
            .is_empty()
    );
}

pub fn a_run_by_the_beginning_of_its_id(open: Open<'_>) {
    let opened = open(&Surroundings::at(after(DAY)));
    let all: Vec<RunKey> = (0..300)
        .map(|number| Sample::new(1_000 + number, "id", after(number)).append(&*opened.store, 5))
        .collect();
    settle(&opened);
    for length in [1, 2, 3, 7, 8, 15, 16, 17, 31, 32] {
        for key in all.iter().step_by(60) {
            let prefix = key.trace_id.to_string()[..length].to_owned();
            let wanted = all
                .iter()
                .filter(|key| key.trace_id.to_string().starts_with(&prefix));
            let filter = RunFilter {
                trace_prefix: Some(prefix.clone()),
                ..RunFilter::default()
            };
            let mut found = keys(&runs(&*opened.store, &filter));
            found.reverse();
            assert!(wanted.eq(&found), "{prefix}");
        }
    }
    for odd in [
        "zz",
        "ABCDEF",
        "-",
        "00000000000000000000000000000000000000000000000000",
    ] {
        let filter = RunFilter {
            trace_prefix: Some(odd.to_owned()),
            ..RunFilter::default()
        };
        assert!(runs(&*opened.store, &filter).is_empty(), "{odd}");
    }
}

pub fn runs_of_one_trace_are_apart(open: Open<'_>) {
    let opened = open(&Surroundings::at(after(DAY)));
    let mut caller = Sample::new(41, "caller", MARCH);
    let node = caller.node("call", after(1), SECOND);
    let mut callee = Sample::new(42, "callee", after(2));
    callee.key.trace_id = caller.key.trace_id;
    callee.root.trace_id = caller.key.trace_id;
    callee.start.key = callee.key;
    callee.start.parent_span_id = Some(node);
    callee.root.parent_span_id = Some(node);
    callee.node("work", after(3), 9);
    let caller = caller.append(&*opened.store, SECOND);
    let callee = callee.append(&*opened.store, SECOND);
    settle(&opened);
    assert_ne!(caller, callee);
    assert_eq!(spans(&*opened.store, &caller).len(), 2);
    assert_eq!(spans(&*opened.store, &callee).len(), 2);
    let row = opened.store.run(&callee).unwrap().unwrap().row;
    assert_eq!(row.parent_span_id, Some(node));
    let both = RunFilter {
        trace_prefix: Some(caller.trace_id.to_string()),
        ..RunFilter::default()
    };
    assert_eq!(keys(&runs(&*opened.store, &both)), [callee, caller]);
}

pub fn tags_and_sessions(open: Open<'_>) {
    let (opened, all) = opened_with_four(open);
    let row = opened.store.run(&all[0]).unwrap().unwrap().row;
    let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(row.origin.tags, [tag("team", "blue"), tag("env", "prod")]);
    assert_eq!(row.origin.session.as_deref(), Some("s1"));
    assert_eq!(row.origin.user.as_deref(), Some("ada"));
    assert_eq!(row.origin.git_commit.as_deref(), Some("abcdef0123"));
    assert_eq!(row.origin.workflow_version.as_deref(), Some("2"));
}

pub fn spans_by_each_filter(open: Open<'_>) {
    let (opened, _) = opened_with_four(open);
    let all = scan(&*opened.store, &SpanFilter::default());
    assert_eq!(all.len(), 11);
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let any = SpanFilter::default;
    let check = |filter: SpanFilter, count: usize, holds: &dyn Fn(&crate::SpanRow) -> bool| {
        let found = scan(&*opened.store, &filter);
        assert_eq!(found.len(), count, "{filter:?}");
        assert!(all.iter().filter(|row| holds(row)).eq(&found), "{filter:?}");
    };
    let noon = after(HOUR + 1);
    check(
        SpanFilter {
            since: Some(noon),
            ..any()
        },
        7,
        &|row| row.start >= noon,
    );
    check(
        SpanFilter {
            until: Some(noon),
            ..any()
        },
        4,
        &|row| row.start < noon,
    );
    check(
        SpanFilter {
            kinds: vec![SpanKind::LlmCall],
            ..any()
        },
        3,
        &|row| row.kind == SpanKind::LlmCall,
    );
    check(
        SpanFilter {
            kinds: vec![SpanKind::Run, SpanKind::Node],
            ..any()
        },
        8,
        &|row| row.kind != SpanKind::LlmCall,
    );
    check(
        SpanFilter {
            nodes: texts(&["ask"]),
            ..any()
        },
        4,
        &|row| row.node == "ask",
    );
    check(
        SpanFilter {
            nodes: texts(&["add/inner"]),
            ..any()
        },
        1,
        &|row| row.node == "add/inner",
    );
    check(
        SpanFilter {
            models: texts(&["claude"]),
            ..any()
        },
        1,
        &|row| row.model == "claude",
    );
    check(
        SpanFilter {
            providers: texts(&["openai"]),
            ..any()
        },
        2,
        &|row| row.provider == "openai",
    );
    check(
        SpanFilter {
            providers: texts(&["nobody"]),
            ..any()
        },
        0,
        &|_| false,
    );
    check(
        SpanFilter {
            statuses: vec![SpanStatus::Error],
            ..any()
        },
        2,
        &|row| row.status == SpanStatus::Error,
    );
    check(
        SpanFilter {
            statuses: vec![SpanStatus::Cancelled],
            ..any()
        },
        1,
        &|row| row.status == SpanStatus::Cancelled,
    );
    check(
        SpanFilter {
            slower_than_ns: Some(3 * SECOND),
            ..any()
        },
        3,
        &|row| row.duration_ns > 3 * SECOND,
    );
    check(
        SpanFilter {
            cost_min: Some(UsdNanos(1_000_001)),
            ..any()
        },
        1,
        &|row| row.model == "claude",
    );
    check(
        SpanFilter {
            cost_min: Some(UsdNanos(0)),
            ..any()
        },
        2,
        &|row| row.cost.is_some(),
    );
    check(
        SpanFilter {
            error_types: texts(&["http_500"]),
            ..any()
        },
        2,
        &|row| row.error_type == "http_500",
    );
    let both = SpanFilter {
        kinds: vec![SpanKind::Node],
        statuses: vec![SpanStatus::Error],
        since: Some(TimestampNs(0)),
        ..any()
    };
    check(both, 1, &|row| row.node == "add/inner");
}

pub fn spans_by_their_runs(open: Open<'_>) {
    let (opened, all) = opened_with_four(open);
    let check = |runs: RunFilter, wanted: &[usize]| {
        let filter = SpanFilter {
            runs,
            ..SpanFilter::default()
        };
        let mut found: Vec<RunKey> = scan(&*opened.store, &filter).iter().map(|row| row.run).collect();
        found.dedup();
        let mut wanted: Vec<RunKey> = wanted.iter().map(|place| all[*place]).collect();
        wanted.sort();
        assert_eq!(found, wanted, "{filter:?}");
    };
    let any = RunFilter::default;
    check(
        RunFilter {
            workflows: vec!["greet".to_owned()],
            ..any()
        },
        &[0, 2],
    );
    check(
        RunFilter {
            session: Some("s1".to_owned()),
            ..any()
        },
        &[0, 1],
    );
    check(
        RunFilter {
            statuses: vec![RunStatus::Error],
            ..any()
        },
        &[1],
    );
    check(
        RunFilter {
            tags: vec![("team".to_owned(), "blue".to_owned())],
            ..any()
        },
        &[0, 2],
    );
    check(
        RunFilter {
            since: Some(after(2 * HOUR)),
            ..any()
        },
        &[2, 3],
    );
    check(
        RunFilter {
            cost_min: Some(UsdNanos(2_000_000)),
            ..any()
        },
        &[1],
    );
}

pub fn logs_by_each_filter(open: Open<'_>) {
    let (opened, all) = opened_with_four(open);
    let any = LogFilter::default;
    let check = |filter: LogFilter, wanted: &[&str]| {
        let found = logs(&*opened.store, &filter);
        let found: Vec<&str> = found.iter().map(|log| log.record.message.as_str()).collect();
        assert_eq!(found, wanted, "{filter:?}");
    };
    check(any(), &["Hello from GREET", "it broke", "details"]);
    check(
        LogFilter {
            run: Some(all[1]),
            ..any()
        },
        &["it broke", "details"],
    );
    check(
        LogFilter {
            run: Some(all[3]),
            ..any()
        },
        &[],
    );
    check(
        LogFilter {
            level_min: Some(LogLevel::Info),
            ..any()
        },
        &["Hello from GREET", "it broke"],
    );
    check(
        LogFilter {
            level_min: Some(LogLevel::Error),
            ..any()
        },
        &["it broke"],
    );
    check(
        LogFilter {
            since: Some(after(HOUR + 4)),
            ..any()
        },
        &["it broke", "details"],
    );
    check(
        LogFilter {
            until: Some(after(HOUR + 5)),
            ..any()
        },
        &["Hello from GREET", "it broke"],
    );
    check(
        LogFilter {
            contains: Some("FROM greet".to_owned()),
            ..any()
        },
        &["Hello from GREET"],
    );
    check(
        LogFilter {
            contains: Some("%".to_owned()),
            ..any()
        },
        &[],
    );
    check(
        LogFilter {
            target: Some("probe".to_owned()),
            ..any()
        },
        &["Hello from GREET", "it broke", "details"],
    );
    check(
        LogFilter {
            target: Some("probe::logs".to_owned()),
            ..any()
        },
        &[],
    );
    let runs = RunFilter {
        workflows: vec!["sum".to_owned()],
        ..RunFilter::default()
    };
    check(
        LogFilter {
            runs,
            level_min: Some(LogLevel::Warn),
            ..any()
        },
        &["it broke"],
    );
}
